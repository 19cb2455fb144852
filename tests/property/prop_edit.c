/*
 * Edits against compiling anew: a random cluster, a document to a source, and a series of
 * random edits of single documents. After each the state that was told of the edit has the
 * content that compiling the whole model gives, byte for byte with the places of elements,
 * and the difference that it told leads from the content before to the one after.
 * Options: --cases N (series) --edits N (of each) --seed S. What fails is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile_incremental.h"
#include "policy-lang/load.h"
#include "tests/property/cluster.h"

#define CASES_DEFAULT DICE_CASES(60)
#define EDITS_DEFAULT 25
#define DOCUMENTS_MAX 256

struct document {
	struct str name; /* of its source: part, kind and metadata */
	struct str kind;
	struct str text;
};

struct documents {
	struct document items[DOCUMENTS_MAX];
	size_t count;
};

struct series {
	uint64_t seed;
	struct dice dice;
	struct arena
	    *arena; /* of everything: models before an edit are still referred to */
	struct documents docs;
	unsigned clusters;
	struct model *model;
	struct compile_options options;
	struct ip_prefix gates[2];
	struct compile_state *state;
	struct table_content content;
	unsigned long edits, quick, elements;
};

/* ---- documents ---- */

static struct str
line_after(struct str text, const char *key)
{
	while (text.ptr != NULL) {
		struct str line = str_split(&text, '\n');

		if (str_starts(line, str_from(key)))
			return str_slice(line, strlen(key), line.len);
	}
	return (struct str){0};
}

static void
add_document(struct series *s, struct documents *docs, struct str part, struct str text)
{
	struct str copy = str_dup(s->arena, text);
	struct str kind = line_after(copy, "kind: ");
	struct str meta = line_after(copy, "metadata: {");
	size_t end = 0;

	if (kind.ptr == NULL || docs->count == DOCUMENTS_MAX)
		return;
	while (end < meta.len && meta.ptr[end] != '}' &&
	       !str_starts(str_slice(meta, end, meta.len), STR(", labels")))
		end++;
	docs->items[docs->count++] = (struct document){
	    .name =
		STR_CONCAT(s->arena, part, STR("/"), line_after(text, "apiVersion: "),
		    STR(" "), kind, STR(" "), str_slice(meta, 0, end), STR(".yaml")),
	    .kind = kind,
	    .text = copy,
	};
}

static void
split_documents(
    struct series *s, struct documents *docs, struct str part, struct str text)
{
	while (text.len > 0) {
		size_t from = str_starts(text, STR("---\n")) ? 4 : 0, at = from;

		while (at < text.len &&
		       !str_starts(str_slice(text, at, text.len), STR("---\n")))
			at = str_find(text, '\n', at) + 1;
		add_document(s, docs, part, str_slice(text, from, at));
		text = str_slice(text, at, text.len);
	}
}

/* A random cluster with as many clusters as the series has; or, first, with any. */
static void
roll_documents(struct series *s, struct documents *docs, bool first)
{
	struct cluster_texts texts;
	bool again;

	do {
		memset(&texts, 0, sizeof(texts));
		cluster_print(&texts, &s->dice);
		again = !first && texts.clusters != s->clusters;
		if (!again) {
			s->clusters = texts.clusters;
			docs->count = 0;
			split_documents(s, docs, STR("tree"), buf_str(&texts.tree));
			for (unsigned i = 0; i < texts.clusters; i++)
				split_documents(s, docs, str_from(cluster_names[i]),
				    buf_str(&texts.kube[i]));
		}
		buf_free(&texts.tree);
		for (unsigned i = 0; i < CLUSTER_MAX; i++)
			buf_free(&texts.kube[i]);
	} while (again);
}

static struct model *
load(struct series *s, const struct documents *docs)
{
	static const struct {
		struct str name, path;
	} clusters[CLUSTER_MAX] = {
	    {{"east", 4}, {"east", 4}}, {{"west", 4}, {"west", 4}}};
	struct source *sources = ARENA_ARRAY(s->arena, docs->count, struct source);
	struct bundle bundle = {sources, docs->count};
	struct model_options options = {
	    .clusters = (const void *)clusters, .cluster_count = s->clusters};
	struct diag_list diags;
	struct model *m;

	for (size_t i = 0; i < docs->count; i++)
		sources[i] = (struct source){docs->items[i].name, docs->items[i].text};
	diag_list_init(&diags, s->arena);
	return model_load(s->arena, &bundle, &options, &diags, &m) ? m : NULL;
}

/* ---- edits ---- */

static size_t
find_document(const struct documents *docs, struct str name)
{
	for (size_t i = 0; i < docs->count; i++) {
		if (str_eq(docs->items[i].name, name))
			return i;
	}
	return docs->count;
}

static bool
is_fixed(const struct document *doc)
{
	return str_is(doc->kind, "Namespace") || str_is(doc->kind, "Node");
}

/* Other labels for a namespace or a node. */
static struct str
relabel(struct series *s, struct str text)
{
	char *copy = arena_strndup(s->arena, text.ptr, text.len);
	char *at = strstr(copy, "team: t");

	if (at == NULL)
		at = strstr(copy, "zone: z");
	if (at != NULL)
		at[7] = (char)('0' + dice_roll(&s->dice, 3));
	return (struct str){copy, text.len};
}

/* Edits `docs`; the name of the document that was taken, put or changed. */
static struct document
edit(struct series *s, struct documents *docs)
{
	static struct documents other;
	struct document doc = docs->items[dice_roll(&s->dice, (unsigned)docs->count)];
	size_t at = find_document(docs, doc.name);

	if (is_fixed(&doc)) {
		docs->items[at].text = relabel(s, doc.text);
		return doc;
	}
	if (dice_roll(&s->dice, 3) == 0) {
		docs->items[at] = docs->items[--docs->count];
		return doc;
	}
	roll_documents(s, &other, false);
	doc = other.items[dice_roll(&s->dice, (unsigned)other.count)];
	at = find_document(docs, doc.name);
	if (at == docs->count && docs->count < DOCUMENTS_MAX)
		docs->count++;
	if (at < docs->count)
		docs->items[at] = doc;
	return doc;
}

static bool
is_from(struct loc loc, struct str name)
{
	return loc.source != NULL && str_eq(loc.source->name, name);
}

static const struct workload *
find_workload(const struct model *m, struct str name)
{
	for (size_t i = 0; i < m->workload_count; i++) {
		if (is_from(m->workloads[i]->loc, name))
			return m->workloads[i];
	}
	return NULL;
}

static const struct policy *
find_policy(const struct model *m, struct str name)
{
	for (size_t i = 0; i < m->policy_count; i++) {
		if (is_from(m->policies[i]->loc, name))
			return m->policies[i];
	}
	return NULL;
}

static struct compile_change
change_of(
    const struct document *doc, const struct model *before, const struct model *after)
{
	struct compile_change change = {.kind = CHANGE_OTHER};

	if (str_is(doc->kind, "Pod") || str_is(doc->kind, "Workload")) {
		change.kind = CHANGE_WORKLOAD;
		change.workload_before = find_workload(before, doc->name);
		change.workload_after = find_workload(after, doc->name);
	} else if (!is_fixed(doc)) {
		change.kind = CHANGE_POLICY;
		change.policy_before = find_policy(before, doc->name);
		change.policy_after = find_policy(after, doc->name);
	}
	for (size_t i = 0; i < after->kube_count; i++) {
		if (!is_from(after->kube_namespaces[i]->loc, doc->name))
			continue;
		change.kind = CHANGE_KUBE_LABELS;
		change.kube = after->kube_namespaces[i];
	}
	for (size_t i = 0; i < after->ns_count; i++) {
		if (!is_from(after->namespaces[i]->loc, doc->name))
			continue;
		change.kind = CHANGE_NS_LABELS;
		change.ns = after->namespaces[i];
	}
	return change;
}

/* ---- comparing ---- */

static bool
same_loc(struct loc a, struct loc b)
{
	if (a.source == NULL || b.source == NULL)
		return a.source == b.source;
	return str_eq(a.source->name, b.source->name) && a.line == b.line &&
	       a.col == b.col && a.end_col == b.end_col;
}

static bool
same_content(const struct table_content *a, const struct table_content *b)
{
	struct buf one = {0}, two = {0};
	bool same = true;

	table_print_json(&one, a);
	table_print_json(&two, b);
	same = str_eq(buf_str(&one), buf_str(&two));
	buf_free(&one);
	buf_free(&two);
	for (size_t i = 0; i < SET_COUNT && same; i++) {
		same = a->element_count[i] == b->element_count[i];
		for (size_t j = 0; j < a->element_count[i] && same; j++)
			same = table_element_equal(
				   &a->elements[i][j], &b->elements[i][j]) &&
			       same_loc(a->elements[i][j].loc, b->elements[i][j].loc);
	}
	return same;
}

/* before - removed + added == after, in the order of elements. */
static bool
delta_leads(const struct compile_delta *d, enum table_set_id set,
    const struct table_content *before, const struct table_content *after)
{
	const struct table_element *old = before->elements[set];
	const struct table_element *now = after->elements[set];
	size_t gone = 0, new = 0, i = 0, j = 0;

	while (i < before->element_count[set] || j < after->element_count[set]) {
		if (i < before->element_count[set] && gone < d->removed_count[set] &&
		    table_element_equal(&old[i], &d->removed[set][gone])) {
			gone++;
			i++;
		} else if (j < after->element_count[set] && new < d->added_count[set] &&
			   table_element_equal(&now[j], &d->added[set][new])) {
			new ++;
			j++;
		} else if (i < before->element_count[set] &&
			   j < after->element_count[set] &&
			   table_element_equal(&old[i], &now[j])) {
			i++;
			j++;
		} else {
			return false;
		}
	}
	return gone == d->removed_count[set] && new == d->added_count[set];
}

static bool
fail(const struct series *s, const struct document *doc, const char *what)
{
	(void)fprintf(stderr, "seed %llu, edit %lu of %.*s: %s\n",
	    (unsigned long long)s->seed, s->edits, STR_ARG(doc->name), what);
	for (size_t i = 0; i < s->docs.count; i++)
		(void)fprintf(stderr, "---\n# %.*s\n%.*s",
		    STR_ARG(s->docs.items[i].name), STR_ARG(s->docs.items[i].text));
	return false;
}

/* Compiles the model as it is now, and compares. */
static bool
check_edit(
    struct series *s, const struct document *doc, const struct compile_delta *delta)
{
	struct table_content expected, now;
	struct diag_list diags;

	diag_list_init(&diags, s->arena);
	if (!compile_node(s->arena, s->model, &s->options, &diags, &expected))
		return fail(s, doc, "does not compile");
	compile_state_content(s->state, s->arena, &now);
	if (!same_content(&expected, &now))
		return fail(s, doc, "another content than compiling anew");
	for (unsigned i = 0; i < SET_COUNT && !delta->anew; i++) {
		if (!delta_leads(delta, (enum table_set_id)i, &s->content, &now))
			return fail(s, doc, "the difference leads elsewhere");
		s->elements += delta->added_count[i] + delta->removed_count[i];
	}
	s->content = now;
	return true;
}

/* ---- a series ---- */

static bool
one_edit(struct series *s)
{
	static struct documents edited;
	struct compile_delta delta;
	struct compile_change change;
	struct document doc;
	struct diag_list diags;
	struct model *after;

	edited = s->docs;
	doc = edit(s, &edited);
	after = load(s, &edited);
	if (after == NULL)
		return true; /* such as a second policy of a priority */
	change = change_of(&doc, s->model, after);
	s->docs = edited;
	s->model = after;
	s->edits++;
	diag_list_init(&diags, s->arena);
	if (!compile_state_update(
		s->state, s->arena, after, &change, 1, &diags, &delta))
		return fail(s, &doc, "refused");
	s->quick += !delta.anew;
	return check_edit(s, &doc, &delta);
}

static bool
run_series(struct series *s, uint64_t edits)
{
	struct compile_delta none = {.anew = true};
	struct document start = {.name = STR("the start")};
	struct diag_list diags;
	bool ok = true;

	do
		roll_documents(s, &s->docs, true);
	while ((s->model = load(s, &s->docs)) == NULL);
	s->options = (struct compile_options){
	    .node = s->clusters != 0 ? STR("east/node-0") : STR("node-0"),
	    .settings = {.log_group = 100},
	    .workload_networks = s->gates,
	    .workload_network_count = dice_roll(&s->dice, 2) == 0 ? 2 : 0,
	};
	diag_list_init(&diags, s->arena);
	s->state = compile_state_new(s->model, &s->options, &diags);
	if (s->state == NULL)
		return fail(s, &start, "refused");
	ok = check_edit(s, &start, &none);
	for (uint64_t i = 0; i < edits && ok; i++)
		ok = one_edit(s);
	compile_state_free(s->state);
	return ok;
}

static bool
read_number(const char *text, uint64_t *out)
{
	return text != NULL && str_to_u64(str_from(text), UINT32_MAX, out);
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t edits = EDITS_DEFAULT, done = 0;
	static struct series s;
	unsigned long edited = 0, quick = 0, elements = 0;
	bool ok = true;

	for (int i = 1; i < argc; i += 2) {
		uint64_t *number = strcmp(argv[i], "--cases") == 0   ? &cases
				   : strcmp(argv[i], "--seed") == 0  ? &seed
				   : strcmp(argv[i], "--edits") == 0 ? &edits
								     : NULL;

		if (number == NULL || !read_number(argv[i + 1], number)) {
			(void)fprintf(stderr,
			    "usage: %s [--cases N] [--seed S] [--edits N]\n", argv[0]);
			return 2;
		}
	}
	for (; done < cases && ok; done++) {
		memset(&s, 0, sizeof(s));
		s.seed = seed + done;
		s.arena = arena_new();
		dice_init(&s.dice, s.seed);
		if (!ip_prefix_parse(STR("10.1.0.0/16"), &s.gates[0], NULL) ||
		    !ip_prefix_parse(STR("fd00:1::/64"), &s.gates[1], NULL))
			return 2;
		ok = run_series(&s, edits);
		edited += s.edits;
		quick += s.quick;
		elements += s.elements;
		arena_free(s.arena);
	}
	(void)printf(
	    "%llu series from seed %llu: %lu edits, %lu without compiling anew, "
	    "of %lu elements\n",
	    (unsigned long long)done, (unsigned long long)seed, edited, quick,
	    elements);
	/* A run that always compiles anew, or changes nothing, is no test. */
	return ok && quick > edited / 4 && elements > quick / 4 ? 0 : 1;
}
