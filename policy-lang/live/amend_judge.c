/*
 * An object judged among the documents of a base: alone, where what it says changes nothing of
 * what others mean, or by a load of everything.
 */
#include <stdlib.h>
#include <string.h>

#include "common/doc_path.h"
#include "policy-lang/lint/lint.h"
#include "policy-lang/live/amend_internal.h"
#include "policy-lang/load/load.h"
#include "policy-lang/model/codes.h"

struct judging {
	struct amend_base *base;
	struct str name;               /* of the object */
	bool gone;                     /* it is no more */
	const struct doc_node *doc;    /* its document; NULL: it cannot be read */
	struct amend_mistakes without; /* of the documents but for it */
	bool others;                   /* what becomes of others is told */
	bool cut_short;                /* the lints were */
	struct arena *arena;           /* the caller's */
	struct amend_finding *findings;
	size_t count, cap;
};

/* ---- findings ---- */

/* What is said of workloads and nodes means nothing to who knows policy alone. */
static bool
is_about_workloads(const char *code)
{
	static const enum diag_code codes[] = {CODE_SELECTS_NOTHING,
	    CODE_PORT_NAME_UNKNOWN, CODE_PORT_NAME_PROTOCOL, CODE_PEER_MATCHES_NOTHING,
	    CODE_NODES_MATCH_NOTHING, CODE_UNKNOWN_NODE, CODE_ONE_FAMILY,
	    CODE_CIDR_COVERS_SERVICES, CODE_CUTS_DNS, CODE_CUTS_API_SERVER};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (strcmp(diag_code_table[codes[i]].code, code) == 0)
			return true;
	}
	return false;
}

static bool
has_pods(const struct model *m)
{
	for (size_t i = 0; i < m->workload_count; i++) {
		if (m->workloads[i]->kube != NULL)
			return true;
	}
	return false;
}

static bool
is_own(const struct judging *j, struct loc loc)
{
	return !j->gone && loc.source != NULL && str_eq(loc.source->name, j->name);
}

static void
add(struct judging *j, const struct diag *d)
{
	const bool own = is_own(j, d->loc);
	struct amend_finding *f;

	if (j->count == j->cap) {
		j->cap = j->cap != 0 ? 2 * j->cap : 16;
		j->findings = xreallocarray(j->findings, j->cap, sizeof(*j->findings));
	}
	f = &j->findings[j->count++];
	*f = (struct amend_finding){.severity = d->severity,
	    .code = d->code,
	    .field = STR(""),
	    .object = STR(""),
	    .message = amend_words(j->arena, d)};
	if (own && j->doc != NULL)
		f->field = doc_path_at(j->arena, j->doc, d->loc);
	else if (!own && d->loc.source != NULL)
		f->object = str_dup(j->arena, d->loc.source->name);
}

static void
add_warnings_of(struct judging *j, const struct diag_list *diags, bool own, bool world)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING && is_own(j, d->loc) == own &&
		    (world || !is_about_workloads(d->code)))
			add(j, d);
	}
}

/* Its own first. */
static void
add_warnings(
    struct judging *j, const struct model *model, const struct diag_list *diags)
{
	const bool world = has_pods(model);

	add_warnings_of(j, diags, true, world);
	if (j->others && !j->cut_short)
		add_warnings_of(j, diags, false, world);
}

static void
begin(struct judging *j, struct amend_base *base, const struct source *object,
    struct arena *arena, struct arena *scratch)
{
	*j = (struct judging){.base = base,
	    .name = object->name,
	    .gone = object->text.ptr == NULL,
	    .arena = arena};
	if (!j->gone)
		j->doc = amend_only_document(scratch, object);
}

static void
finish(struct judging *j, size_t errors, struct amend_judgement *out)
{
	*out = (struct amend_judgement){.count = j->count, .errors = errors};
	if (j->count != 0) {
		struct amend_finding *copy =
		    ARENA_ARRAY(j->arena, j->count, struct amend_finding);

		memcpy(copy, j->findings, j->count * sizeof(*copy));
		out->findings = copy;
	}
	free(j->findings);
	amend_mistakes_fini(&j->without);
}

/* ---- by a load of everything ---- */

/* The documents with the object in its place; what `object` of the bundle is. */
static struct bundle
put_together(const struct judging *j, const struct source *object, struct arena *arena)
{
	const struct amend_base *base = j->base;
	struct bundle all = {
	    .sources = ARENA_ARRAY(arena, base->count + 1, struct source)};

	for (size_t i = 0; i < base->count; i++) {
		const struct amend_document *d = base->documents[i];

		if (object == NULL || !str_eq(d->name, object->name))
			all.sources[all.count++] = (struct source){d->name, d->text};
	}
	if (object != NULL && object->text.ptr != NULL)
		all.sources[all.count++] = *object;
	return all;
}

/* What a warning says may hang on how many of something there are: its place and its code do not. */
static struct str
warning_key(struct arena *arena, const char *code, struct loc loc)
{
	return str_from(arena_printf(arena, "%.*s\n%u:%u\n%s",
	    STR_ARG(loc.source->name), loc.line, loc.col, code));
}

static bool
note_warning(void *ctx, enum diag_severity severity, const char *code, struct loc loc)
{
	struct amend_mistakes *warned = ctx;

	if (severity == DIAG_WARNING && loc.source != NULL)
		(void)map_set(&warned->keys, warning_key(warned->arena, code, loc),
		    warned->arena); /* the value says nothing */
	warned->all &= strcmp(code, diag_code_table[CODE_LINT_LIMIT].code) != 0;
	return severity == DIAG_ERROR;
}

/* The warnings that there are; `all` false: not every one, or it does not load. */
static void
look_for_warnings(const struct judging *j, struct amend_mistakes *out)
{
	struct arena *scratch = arena_new();
	const struct bundle all = put_together(j, NULL, scratch);
	struct diag_list diags;
	struct model *model;

	diag_list_init(&diags, scratch);
	*out = (struct amend_mistakes){.arena = arena_new_sized(1024), .all = true};
	diags.wants = note_warning;
	diags.wants_ctx = out;
	if (model_load(scratch, &all, NULL, &diags, &model))
		model_lint(model, &diags);
	else
		out->all = false;
	arena_free(scratch);
}

/* True of others' that there were not. */
static bool
is_news(struct judging *j, const char *code, struct loc loc)
{
	struct amend_mistakes *warned = &j->base->warned;
	struct arena *scratch;
	bool news;

	if (!j->others || loc.source == NULL)
		return false;
	if (warned->arena == NULL)
		look_for_warnings(j, warned);
	scratch = arena_new_sized(1024);
	news = warned->all &&
	       map_get(&warned->keys, warning_key(scratch, code, loc)) == NULL;
	arena_free(scratch);
	return news;
}

/* Errors, the object's own warnings, and what is new of others': these take no place from each
 * other, and nothing else takes one from them. */
static bool
wants(void *ctx, enum diag_severity severity, const char *code, struct loc loc)
{
	struct judging *j = ctx;

	if (severity == DIAG_ERROR)
		return true;
	j->cut_short |= strcmp(code, diag_code_table[CODE_LINT_LIMIT].code) == 0;
	return severity == DIAG_WARNING && (is_own(j, loc) || is_news(j, code, loc));
}

static struct str
mistake_key(struct arena *arena, const struct diag *d)
{
	return str_from(arena_printf(arena, "%.*s\n%u:%u\n%s\n%s",
	    d->loc.source != NULL ? (int)d->loc.source->name.len : 0,
	    d->loc.source != NULL ? d->loc.source->name.ptr : "", d->loc.line,
	    d->loc.col, d->code, d->msg));
}

/* Of the documents with the object in its place, or as they are (put_together). */
static void
look_for_mistakes(
    const struct judging *j, const struct source *object, struct amend_mistakes *out)
{
	struct arena *scratch = arena_new();
	const struct bundle all = put_together(j, object, scratch);
	struct diag_list diags;
	struct model *model;

	diag_list_init(&diags, scratch);
	*out = (struct amend_mistakes){.arena = arena_new_sized(1024),
	    .all = model_load(scratch, &all, NULL, &diags, &model)};
	/* Routes, too, as far as they are understood: what shows when the rest is, was there. */
	model_lint_routes(model, &diags);
	out->count = diags.errors;
	for (const struct diag *d = diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR)
			(void)map_set(&out->keys, mistake_key(out->arena, d),
			    out->arena); /* the value says nothing */
	}
	arena_free(scratch);
}

/* The mistakes that there are, if others than the object have any. With `loaded` the object mends
 * what kept all of them from being seen: then those count, too, that are there without it. */
static void
know(struct judging *j, const struct diag_list *found, bool loaded)
{
	struct amend_mistakes *known = &j->base->known;
	const struct source gone = {.name = j->name};
	const struct diag *other = found->first;

	while (
	    other != NULL && (other->severity != DIAG_ERROR || is_own(j, other->loc)))
		other = other->next;
	if (other == NULL && found->dropped == 0)
		return;
	if (known->arena == NULL)
		look_for_mistakes(j, NULL, known);
	if (loaded && !known->all) /* what can be seen is enough */
		look_for_mistakes(j, &gone, &j->without);
}

static bool
is_known(const struct judging *j, const struct diag *d, struct arena *scratch)
{
	const struct str key = mistake_key(scratch, d);

	return map_get(&j->base->known.keys, key) != NULL ||
	       map_get(&j->without.keys, key) != NULL;
}

/* Its mistakes, and those of others that there were not. */
static void
add_errors(struct judging *j, const struct diag_list *diags)
{
	struct arena *scratch = arena_new_sized(1024);

	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR &&
		    (is_own(j, d->loc) || !is_known(j, d, scratch)))
			add(j, d);
	}
	arena_free(scratch);
	/* The list has an end: what is beyond it counts, too. */
	if (j->count == 0 && diags->errors > j->base->known.count &&
	    diags->errors > j->without.count)
		add(j, &(struct diag){.severity = DIAG_ERROR,
			   .code = diag_code_table[CODE_TOO_MANY].code,
			   .msg = "it adds to more mistakes than can be told"});
}

/* Both what it is and what it would be are policies, which nobody else depends on. */
static bool
says_policy(const struct judging *j)
{
	return (j->gone || amend_says_policy(j->doc)) &&
	       amend_is_policy(amend_document(j->base, j->name));
}

void
amend_judge_whole(struct amend_base *base, const struct source *object,
    struct arena *arena, struct amend_judgement *out)
{
	struct judging j;
	struct arena *own = arena_new();
	struct diag_list diags;
	struct model *model = NULL;
	struct bundle all;
	size_t errors;
	bool loaded;

	amend_fresh(base);
	begin(&j, base, object, arena, own);
	j.others = amend_is_good(base) && !says_policy(&j);
	all = put_together(&j, object, own);
	diag_list_init(&diags, own);
	diags.wants = wants;
	diags.wants_ctx = &j;
	loaded = model_load(own, &all, NULL, &diags, &model);
	if (loaded && (!j.gone || j.others))
		model_lint(model, &diags);
	know(&j, &diags, loaded);
	diag_sort(&diags);
	add_errors(&j, &diags);
	errors = j.count;
	add_warnings(&j, model, &diags);
	finish(&j, errors, out);
	out->whole = true;
	arena_free(own);
}

/* ---- alone ---- */

static bool
stands_alone(const struct judging *j)
{
	return j->base->live != NULL && says_policy(j);
}

static void
lint_alone(struct judging *j, struct diag_list *diags)
{
	const size_t mended = map_get(&j->base->aside, j->name) != NULL;

	if (j->base->aside.len != mended)
		return; /* the tree has mistakes elsewhere */
	live_settle(j->base->live);
	model_lint_source(
	    live_model(j->base->live), live_source(j->base->live, j->name), diags);
}

/* Puts back what was there before. */
static void
put_back(struct judging *j)
{
	const struct amend_document *old = amend_document(j->base, j->name);
	struct arena *scratch = arena_new_sized(1024);
	struct str text = {NULL, 0};
	struct diag_list unused;

	if (old != NULL && map_get(&j->base->aside, j->name) == NULL)
		text = old->text;
	diag_list_init(&unused, scratch);
	if (amend_replace(j->base, j->name, text, &unused) != LIVE_READ)
		j->base->stale = true;
	arena_free(scratch);
}

/* Reads it, puts it in for as long as it is looked at. False: it takes a whole load. */
static bool
look(struct judging *j, const struct source *object, struct diag_list *diags)
{
	struct live_edit *edit = live_edit_new(j->base->live);
	enum live_answer answer = live_read(edit, object->name, object->text, diags);
	struct compile_change *changes;
	bool done = answer == LIVE_REFUSED;
	size_t count;

	if (answer == LIVE_READ &&
	    live_commit(edit, diags->arena, diags, &changes, &count)) {
		j->base->edits++;
		lint_alone(j, diags);
		done = true;
	}
	if (done) {
		diag_sort(diags);
		for (const struct diag *d = diags->first; d != NULL; d = d->next) {
			if (d->severity == DIAG_ERROR)
				add(j, d);
		}
		add_warnings(j, live_model(j->base->live), diags);
	}
	if (done && answer == LIVE_READ)
		put_back(j);
	live_edit_free(edit);
	live_sweep(j->base->live);
	return done;
}

static bool
judge_alone(struct judging *j, const struct source *object, struct arena *scratch)
{
	struct diag_list diags;

	if (!stands_alone(j))
		return false;
	if (j->gone)
		return true; /* nobody misses it */
	diag_list_init(&diags, scratch);
	return look(j, object, &diags);
}

void
amend_judge(struct amend_base *base, const struct source *object, struct arena *arena,
    struct amend_judgement *out)
{
	struct arena *scratch = arena_new_sized(4096);
	struct judging j;
	size_t errors = 0;

	amend_fresh(base);
	begin(&j, base, object, arena, scratch);
	if (judge_alone(&j, object, scratch)) {
		while (errors < j.count && j.findings[errors].severity == DIAG_ERROR)
			errors++;
		finish(&j, errors, out);
	} else {
		free(j.findings);
		amend_judge_whole(base, object, arena, out);
	}
	arena_free(scratch);
}
