#include "policy-lang/amend.h"

#include <stdlib.h>
#include <string.h>

#include "common/doc_path.h"
#include "common/map.h"
#include "policy-lang/codes.h"
#include "policy-lang/lint.h"
#include "policy-lang/load.h"

struct amend_base {
	struct arena *arena;
	struct bundle documents;
	struct model *model;
	struct diag_list diags;
	struct map known; /* mistakes that there are: see mistake_key */
};

/* ---- the documents as they are ---- */

/* A mistake by what it is and where; in the arena. */
static struct str
mistake_key(struct arena *arena, const struct diag *d)
{
	return str_from(arena_printf(arena, "%.*s\n%u:%u\n%s\n%s",
	    d->loc.source != NULL ? (int)d->loc.source->name.len : 0,
	    d->loc.source != NULL ? d->loc.source->name.ptr : "", d->loc.line,
	    d->loc.col, d->code, d->msg));
}

struct amend_base *
amend_base_new(const struct bundle *documents)
{
	struct amend_base *base = xcalloc(1, sizeof(*base));

	base->arena = arena_new();
	base->documents = (struct bundle){
	    .sources = ARENA_ARRAY(base->arena, documents->count, struct source),
	    .count = documents->count,
	};
	for (size_t i = 0; i < documents->count; i++)
		base->documents.sources[i] = (struct source){
		    .name = str_dup(base->arena, documents->sources[i].name),
		    .text = str_dup(base->arena, documents->sources[i].text),
		};
	diag_list_init(&base->diags, base->arena);
	if (!model_load(
		base->arena, &base->documents, NULL, &base->diags, &base->model)) {
		for (const struct diag *d = base->diags.first; d != NULL; d = d->next) {
			if (d->severity == DIAG_ERROR)
				(void)map_set(&base->known, mistake_key(base->arena, d),
				    base); /* the value says nothing */
		}
	}
	return base;
}

void
amend_base_free(struct amend_base *base)
{
	if (base == NULL)
		return;
	map_fini(&base->known);
	arena_free(base->arena);
	free(base);
}

const struct model *
amend_base_model(const struct amend_base *base)
{
	return base->model;
}

static struct str
words(struct arena *arena, const struct diag *d)
{
	if (d->hint == NULL && d->note == NULL)
		return str_dup(arena, str_from(d->msg));
	return str_from(arena_printf(
	    arena, "%s (%s)", d->msg, d->hint != NULL ? d->hint : d->note));
}

/* The only document of a source; NULL: it cannot be read, or has several. */
static const struct doc_node *
only_document(struct arena *arena, const struct source *source)
{
	struct diag_list unread;
	struct doc_list docs;

	diag_list_init(&unread, arena);
	return doc_read(arena, source, &unread, &docs) && docs.count == 1 ? docs.docs[0]
									  : NULL;
}

void
amend_base_each_mistake(const struct amend_base *base,
    void (*fn)(void *arg, struct str source, struct str field, const char *code,
	struct str message),
    void *arg)
{
	for (const struct diag *d = base->diags.first; d != NULL; d = d->next) {
		struct arena *arena;
		const struct doc_node *doc;

		if (d->severity != DIAG_ERROR || d->loc.source == NULL)
			continue;
		arena = arena_new_sized(1024);
		doc = only_document(arena, d->loc.source);
		fn(arg, d->loc.source->name,
		    doc != NULL ? doc_path_at(arena, doc, d->loc) : STR(""), d->code,
		    words(arena, d));
		arena_free(arena);
	}
}

/* ---- the documents with the object ---- */

struct judging {
	const struct amend_base *base;
	const struct source *object; /* NULL: it is no more */
	const struct doc_node *doc;  /* its document; NULL: it cannot be read */
	struct arena *arena;         /* the caller's */
	struct amend_finding *findings;
	size_t count, cap;
};

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

static void
add(struct judging *j, const struct diag *d)
{
	const bool own = j->object != NULL && d->loc.source == j->object;
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
	    .message = words(j->arena, d)};
	if (own && j->doc != NULL)
		f->field = doc_path_at(j->arena, j->doc, d->loc);
	else if (!own && d->loc.source != NULL)
		f->object = str_dup(j->arena, d->loc.source->name);
}

/* Its mistakes, and those of others that there were not. */
static void
add_errors(struct judging *j, const struct diag_list *diags)
{
	struct arena *scratch = arena_new_sized(1024);

	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity != DIAG_ERROR)
			continue;
		if (d->loc.source != j->object &&
		    map_get(&j->base->known, mistake_key(scratch, d)) != NULL)
			continue;
		add(j, d);
	}
	arena_free(scratch);
	/* The list has an end: what is beyond it counts, too. */
	if (j->count == 0 && diags->errors > j->base->diags.errors)
		add(j, &(struct diag){.severity = DIAG_ERROR,
			   .code = diag_code_table[CODE_TOO_MANY].code,
			   .msg = "it adds to more mistakes than can be told"});
}

static void
add_warnings(struct judging *j, const struct model *model, struct diag_list *diags)
{
	const bool world = has_pods(model);

	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING && d->loc.source == j->object &&
		    (world || !is_about_workloads(d->code)))
			add(j, d);
	}
}

/* The documents with the object in its place. */
static struct bundle
put_together(struct judging *j, const struct source *object, struct arena *arena)
{
	const struct bundle *old = &j->base->documents;
	struct bundle all = {
	    .sources = ARENA_ARRAY(arena, old->count + 1, struct source)};

	for (size_t i = 0; i < old->count; i++) {
		if (!str_eq(old->sources[i].name, object->name))
			all.sources[all.count++] = old->sources[i];
	}
	if (object->text.ptr != NULL) {
		all.sources[all.count] = *object;
		j->object = &all.sources[all.count++];
	}
	return all;
}

void
amend_judge(const struct amend_base *base, const struct source *object,
    struct arena *arena, struct amend_judgement *out)
{
	struct judging j = {.base = base, .arena = arena};
	struct arena *own = arena_new();
	struct bundle all = put_together(&j, object, own);
	struct diag_list diags;
	struct model *model = NULL;

	diag_list_init(&diags, own);
	if (j.object != NULL)
		j.doc = only_document(own, j.object);
	if (model_load(own, &all, NULL, &diags, &model) && j.object != NULL)
		model_lint(model, &diags);
	diag_sort(&diags);
	add_errors(&j, &diags);
	out->errors = j.count;
	if (j.object != NULL)
		add_warnings(&j, model, &diags);
	out->count = j.count;
	out->findings = NULL;
	if (j.count != 0) {
		struct amend_finding *copy =
		    ARENA_ARRAY(arena, j.count, struct amend_finding);

		memcpy(copy, j.findings, j.count * sizeof(*copy));
		out->findings = copy;
	}
	free(j.findings);
	arena_free(own);
}
