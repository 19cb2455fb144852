#include "policy-lang/live/amend.h"

#include <stdlib.h>
#include <string.h>

#include "common/doc_path.h"
#include "policy-lang/lint/lint.h"
#include "policy-lang/live/amend_internal.h"
#include "policy-lang/load/load.h"
#include "policy-lang/model/codes.h"

/* So many edits leave in a live model what a load would not have: namespaces that are no more. */
#define EDITS_MOST 20000u

/* A policy with mistakes, which the live model is without. */
struct amend_aside {
	struct arena *arena;
	struct str name;
	struct amend_finding *mistakes;
	size_t count, cap;
};

/* ---- words ---- */

/* A note is about a place ("the first one is here"), which nobody here is shown. */
static const char *
note_words(struct arena *arena, const struct diag *d)
{
	const struct source *other = d->note_loc.source;

	if (other == NULL ||
	    (d->loc.source != NULL && str_eq(other->name, d->loc.source->name)))
		return d->note;
	return arena_printf(arena, "%s: %.*s", d->note, STR_ARG(other->name));
}

struct str
amend_words(struct arena *arena, const struct diag *d)
{
	if (d->hint == NULL && d->note == NULL)
		return str_dup(arena, str_from(d->msg));
	return str_from(arena_printf(arena, "%s (%s)", d->msg,
	    d->hint != NULL ? d->hint : note_words(arena, d)));
}

const struct doc_node *
amend_only_document(struct arena *arena, const struct source *source)
{
	struct diag_list unread;
	struct doc_list docs;

	diag_list_init(&unread, arena);
	return doc_read(arena, source, &unread, &docs) && docs.count == 1 ? docs.docs[0]
									  : NULL;
}

static struct str
text_at(const struct doc_node *doc, const char *key)
{
	const struct doc_node *node = doc_value(doc, key);

	return node != NULL && node->kind == DOC_STRING ? node->text : STR("");
}

bool
amend_says_policy(const struct doc_node *doc)
{
	return doc != NULL && doc->kind == DOC_MAP &&
	       load_is_policy(text_at(doc, "apiVersion"), text_at(doc, "kind"));
}

bool
amend_is_policy(const struct amend_document *d)
{
	struct arena *scratch;
	struct source source;
	bool policy;

	if (d == NULL)
		return true;
	scratch = arena_new_sized(1024);
	source = (struct source){d->name, d->text};
	policy = amend_says_policy(amend_only_document(scratch, &source));
	arena_free(scratch);
	return policy;
}

/* ---- the documents ---- */

static struct amend_document *
document_new(const struct source *source)
{
	const size_t name = source->name.len, text = source->text.len;
	struct amend_document *d = xcalloc(1, sizeof(*d) + name + text + 1);
	char *bytes = (char *)(d + 1);

	if (name != 0)
		memcpy(bytes, source->name.ptr, name);
	if (text != 0)
		memcpy(bytes + name, source->text.ptr, text);
	*d = (struct amend_document){{bytes, name}, {bytes + name, text}};
	return d;
}

static int
document_cmp(const void *a, const void *b)
{
	const struct amend_document *const *x = a, *const *y = b;

	return str_cmp((*x)->name, (*y)->name);
}

/* The place of a name among the documents, or where it would be. */
static size_t
amend_place(const struct amend_base *base, struct str name)
{
	size_t lo = 0, hi = base->count;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (str_cmp(base->documents[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct amend_document *
amend_document(const struct amend_base *base, struct str name)
{
	const size_t at = amend_place(base, name);

	return at < base->count && str_eq(base->documents[at]->name, name)
		   ? base->documents[at]
		   : NULL;
}

static void
insert(struct amend_base *base, size_t at, struct amend_document *d)
{
	struct amend_document **all;

	if (base->count == base->cap) {
		base->cap += base->cap / 2 + 64;
		base->documents =
		    xreallocarray(base->documents, base->cap, sizeof(*base->documents));
	}
	all = base->documents;
	memmove(all + at + 1, all + at, (base->count - at) * sizeof(*all));
	all[at] = d;
	base->count++;
}

/* All of one name: files may be named twice. */
static void
remove_all(struct amend_base *base, struct str name)
{
	const size_t at = amend_place(base, name);
	struct amend_document **all = base->documents;
	size_t end = at;

	for (; end < base->count && str_eq(all[end]->name, name); end++)
		free(all[end]);
	if (end == at)
		return;
	memmove(all + at, all + end, (base->count - end) * sizeof(*all));
	base->count -= end - at;
}

/* ---- what stands aside ---- */

static void
aside_free(struct amend_aside *a)
{
	if (a == NULL)
		return;
	free(a->mistakes);
	arena_free(a->arena);
}

static struct amend_aside *
aside_of(struct amend_base *base, struct str name)
{
	struct amend_aside *a = map_get(&base->aside, name);
	struct arena *arena;

	if (a != NULL)
		return a;
	arena = arena_new_sized(1024);
	a = ARENA_NEW(arena, struct amend_aside);
	*a = (struct amend_aside){.arena = arena, .name = str_dup(arena, name)};
	(void)map_set(&base->aside, a->name, a); /* new */
	return a;
}

static struct str
field_of(struct arena *arena, const struct diag *d)
{
	struct arena *scratch = arena_new_sized(1024);
	const struct doc_node *doc = amend_only_document(scratch, d->loc.source);
	struct str field = STR("");

	if (doc != NULL)
		field = doc_path_at(arena, doc, d->loc);
	arena_free(scratch);
	return field;
}

static void
aside_add(struct amend_aside *a, const struct diag *d, struct str text)
{
	const struct source source = {a->name, text};
	struct diag there = *d;

	if (a->count == a->cap) {
		a->cap = a->cap != 0 ? 2 * a->cap : 2;
		a->mistakes = xreallocarray(a->mistakes, a->cap, sizeof(*a->mistakes));
	}
	there.loc.source = &source; /* which has its text */
	a->mistakes[a->count++] = (struct amend_finding){.severity = DIAG_ERROR,
	    .code = d->code,
	    .field = field_of(a->arena, &there),
	    .message = amend_words(a->arena, d)};
}

/* A mistake that is the document's own: one that another document makes may go with that. */
static bool
is_its_own(const struct diag *d)
{
	return strcmp(d->code, diag_code_table[CODE_DUPLICATE_OBJECT].code) != 0;
}

static void
forget_aside(struct amend_base *base)
{
	for (size_t i = 0; i < base->aside.len; i++)
		aside_free(base->aside.entries[i].value);
	map_fini(&base->aside);
	base->aside = (struct map){0};
}

/* False: the mistakes are of another kind. */
static bool
stand_aside(struct amend_base *base, const struct diag_list *diags)
{
	bool all = diags->dropped == 0;

	for (const struct diag *d = diags->first; d != NULL && all; d = d->next) {
		const struct amend_document *document;

		if (d->severity != DIAG_ERROR)
			continue;
		document = d->loc.source != NULL
			       ? amend_document(base, d->loc.source->name)
			       : NULL;
		all = document != NULL && is_its_own(d) &&
		      (map_get(&base->aside, document->name) != NULL ||
			  amend_is_policy(document));
		if (all)
			aside_add(aside_of(base, document->name), d, document->text);
	}
	if (!all)
		forget_aside(base);
	return all;
}

/* ---- loading ---- */

static void
unload(struct amend_base *base)
{
	live_free(base->live);
	base->live = NULL;
	base->model = NULL;
	arena_free(base->arena);
	base->arena = NULL;
	forget_aside(base);
	base->edits = 0;
}

/* Those that do not stand aside; in an arena of their own, which is the base's. */
static struct bundle *
begin_load(struct amend_base *base)
{
	struct bundle *all;

	arena_free(base->arena);
	base->arena = arena_new();
	diag_list_init(&base->diags, base->arena);
	all = ARENA_NEW(base->arena, struct bundle);
	all->sources = ARENA_ARRAY(base->arena, base->count + 1, struct source);
	for (size_t i = 0; i < base->count; i++) {
		const struct amend_document *d = base->documents[i];

		if (map_get(&base->aside, d->name) == NULL)
			all->sources[all->count++] =
			    (struct source){str_dup(base->arena, d->name), d->text};
	}
	return all;
}

static const struct model *
model_of(const struct amend_base *base)
{
	return base->live != NULL ? live_model(base->live) : base->model;
}

static void
load(struct amend_base *base)
{
	const struct bundle *all = begin_load(base);

	base->live = live_load(base->arena, all, NULL, NULL, &base->diags);
	if (base->live == NULL && stand_aside(base, &base->diags)) {
		all = begin_load(base);
		base->live = live_load(base->arena, all, NULL, NULL, &base->diags);
	}
	if (base->live == NULL) {
		forget_aside(base);
		all = begin_load(base);
		if (!model_load(base->arena, all, NULL, &base->diags, &base->model))
			return; /* as was to be expected */
	}
	/* Routes that contradict each other. */
	if (model_of(base)->route_count != 0)
		model_lint_routes(model_of(base), &base->diags);
}

void
amend_mistakes_fini(struct amend_mistakes *mistakes)
{
	map_fini(&mistakes->keys);
	arena_free(mistakes->arena);
	*mistakes = (struct amend_mistakes){0};
}

bool
amend_is_good(const struct amend_base *base)
{
	return base->live != NULL && base->aside.len == 0;
}

void
amend_fresh(struct amend_base *base)
{
	if (!base->stale && base->edits < EDITS_MOST)
		return;
	unload(base);
	load(base);
	base->stale = false;
}

struct amend_base *
amend_base_new(const struct bundle *documents)
{
	struct amend_base *base = xcalloc(1, sizeof(*base));

	base->cap = documents->count + 64;
	base->documents = xcalloc(base->cap, sizeof(*base->documents));
	for (size_t i = 0; i < documents->count; i++)
		base->documents[base->count++] = document_new(&documents->sources[i]);
	qsort(base->documents, base->count, sizeof(*base->documents), document_cmp);
	load(base);
	return base;
}

void
amend_base_free(struct amend_base *base)
{
	if (base == NULL)
		return;
	unload(base);
	amend_mistakes_fini(&base->known);
	amend_mistakes_fini(&base->warned);
	for (size_t i = 0; i < base->count; i++)
		free(base->documents[i]);
	free(base->documents);
	free(base);
}

const struct model *
amend_base_model(struct amend_base *base)
{
	amend_fresh(base);
	return model_of(base);
}

/* ---- one document after the other ---- */

/* What is known of their contradictions is of what they were. */
static bool
routes_change(const struct compile_change *changes, size_t count)
{
	bool some = false;

	for (size_t i = 0; i < count; i++)
		some |= changes[i].kind == CHANGE_ROUTE;
	return some;
}

enum live_answer
amend_replace(
    struct amend_base *base, struct str name, struct str text, struct diag_list *diags)
{
	struct live_edit *edit = live_edit_new(base->live);
	enum live_answer answer = live_read(edit, name, text, diags);
	struct compile_change *changes;
	struct arena *scratch;
	size_t count;

	if (answer == LIVE_READ) {
		scratch = arena_new_sized(1024);
		if (!live_commit(edit, scratch, diags, &changes, &count))
			answer = LIVE_BEYOND;
		else if (routes_change(changes, count))
			base->stale = true;
		base->edits += answer == LIVE_READ;
		arena_free(scratch);
	}
	live_edit_free(edit);
	return answer;
}

/* A policy that became one with mistakes. */
static bool
set_aside(struct amend_base *base, struct str name, struct str text,
    const struct diag_list *diags)
{
	struct arena *scratch = arena_new_sized(1024);
	struct diag_list unused;
	bool gone;

	diag_list_init(&unused, scratch);
	gone = amend_replace(base, name, (struct str){NULL, 0}, &unused) == LIVE_READ;
	arena_free(scratch);
	for (const struct diag *d = diags->first; d != NULL && gone; d = d->next) {
		if (d->severity == DIAG_ERROR)
			aside_add(aside_of(base, name), d, text);
	}
	return gone;
}

/* False: it takes a load. `text.ptr` NULL: it is no more. */
static bool
follow(struct amend_base *base, struct str name, struct str text, bool policy)
{
	struct arena *scratch = arena_new_sized(1024);
	struct diag_list diags;
	enum live_answer answer;
	bool done;

	diag_list_init(&diags, scratch);
	answer = amend_replace(base, name, text, &diags);
	done = answer == LIVE_READ;
	/* What it was is taken away before the places of its mistakes are. */
	if (answer == LIVE_READ || answer == LIVE_REFUSED)
		aside_free(map_remove(&base->aside, name));
	if (answer == LIVE_REFUSED && policy && diags.dropped == 0)
		done = set_aside(base, name, text, &diags);
	live_sweep(base->live);
	arena_free(scratch);
	return done;
}

void
amend_base_put(struct amend_base *base, const struct source *source)
{
	const bool gone = source->text.ptr == NULL;
	const struct amend_document *after = NULL;
	bool policy;

	if (amend_document(base, source->name) == NULL && gone)
		return;
	policy = amend_is_policy(amend_document(base, source->name));
	remove_all(base, source->name);
	if (!gone) {
		const size_t at = amend_place(base, source->name);

		insert(base, at, document_new(source));
		after = base->documents[at];
		policy = policy && amend_is_policy(after);
	}
	amend_mistakes_fini(&base->known);
	amend_mistakes_fini(&base->warned);
	/* What stands aside may have been mended by what is no policy. */
	if (base->stale || base->live == NULL || (!policy && base->aside.len != 0) ||
	    !follow(base, source->name,
		after != NULL ? after->text : (struct str){NULL, 0}, policy))
		base->stale = true;
}

void
amend_base_each_mistake(struct amend_base *base,
    void (*fn)(void *arg, struct str source, struct str field, const char *code,
	struct str message),
    void *arg)
{
	amend_fresh(base);
	for (size_t i = 0; i < base->aside.len; i++) {
		const struct amend_aside *a = base->aside.entries[i].value;

		for (size_t j = 0; j < a->count; j++)
			fn(arg, a->name, a->mistakes[j].field, a->mistakes[j].code,
			    a->mistakes[j].message);
	}
	for (const struct diag *d = base->diags.first; d != NULL; d = d->next) {
		struct arena *arena;

		if (d->severity != DIAG_ERROR || d->loc.source == NULL)
			continue;
		arena = arena_new_sized(1024);
		fn(arg, d->loc.source->name, field_of(arena, d), d->code,
		    amend_words(arena, d));
		arena_free(arena);
	}
}
