/*
 * Edits against compiling anew: a random cluster, a document to a source, and a series of
 * random edits of single documents. After each the state that was told of the edit has the
 * content that compiling the whole model gives, byte for byte with the places of elements,
 * or where it keeps rules for workloads to come, one that does the same to packets; and the
 * difference that it told leads from the content before to the one after.
 * Options: --cases N (series) --edits N (of each) --seed S. What fails is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_incremental.h"
#include "policy-lang/load/load.h"
#include "tests/property/edits.h"
#include "tests/property/judged.h"
#include "tests/property/names.h"

#define CASES_DEFAULT DICE_CASES(60)
#define EDITS_DEFAULT 25
#define SERIES_MORE   1000 /* at most, until all has come */

struct series {
	uint64_t seed;
	struct arena
	    *arena; /* of everything: models before an edit are still referred to */
	struct editor editor;
	struct documents docs;
	struct model *model;
	struct compile_options options;
	struct ip_prefix gates[2];
	struct compile_state *state;
	struct table_content content;
	struct learnt *learnt;
	uint64_t now_ms;
	unsigned long edits, quick, elements, learnt_edits, learnt_quick;
	unsigned long moves, quick_moves; /* edits that place something elsewhere */
	/* Edits under a Route that says via, of anything but Routes and Quotas: which were
	 * compiled anew, and which had what goes through something compiled again. */
	unsigned long via_edits, via_anew, via_again;
	/* Edits after which only some of the node's own were looked at; and after which rules
	 * were kept that nobody is held to. */
	unsigned long own, keeping;
};

static struct model *
load(struct series *s, const struct documents *docs)
{
	static const struct {
		struct str name, path;
	} clusters[CLUSTER_MAX] = {
	    {{"east", 4}, {"east", 4}}, {{"west", 4}, {"west", 4}}};
	struct source *sources = ARENA_ARRAY(s->arena, docs->count, struct source);
	struct bundle bundle = {sources, docs->count};
	struct model_options options = {.clusters = (const void *)clusters,
	    .cluster_count = s->editor.clusters,
	    .learnt = s->learnt};
	struct diag_list diags;
	struct model *m;

	for (size_t i = 0; i < docs->count; i++)
		sources[i] = (struct source){docs->items[i].name, docs->items[i].text};
	diag_list_init(&diags, s->arena);
	return model_load(s->arena, &bundle, &options, &diags, &m) ? m : NULL;
}

/* ---- edits ---- */

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

/* The node of a document, in the model that has it, and what there is of that name. */
static void
find_nodes(const struct model *m, const struct model *other, struct str name,
    const struct node **out, const struct node **out_other)
{
	for (size_t i = 0; i < m->node_count; i++) {
		if (!is_from(m->nodes[i]->loc, name))
			continue;
		*out = m->nodes[i];
		*out_other = model_cluster_node(other, (*out)->cluster, (*out)->name);
	}
}

#define CHANGES_MAX 512

struct changes {
	struct compile_change items[CHANGES_MAX];
	size_t count;
};

static void
add_change(struct changes *c, struct compile_change change)
{
	if (c->count == CHANGES_MAX)
		base_die("too many changes");
	c->items[c->count++] = change;
}

static bool
same_addresses(const struct node *a, const struct node *b)
{
	bool same = a->ip_count == b->ip_count;

	for (size_t i = 0; i < a->ip_count && same; i++)
		same = ip_eq(&a->ips[i], &b->ips[i]);
	return same;
}

/* Nodes that are what pods tell of them. */
static void
add_nodes(struct changes *c, const struct model *before, const struct model *after)
{
	for (size_t i = 0; i < before->node_count; i++) {
		const struct node *old = before->nodes[i];
		const struct node *now =
		    model_cluster_node(after, old->cluster, old->name);

		if (now == NULL || !same_addresses(old, now))
			add_change(c, (struct compile_change){.kind = CHANGE_NODE,
					  .node_before = old,
					  .node_after = now});
	}
	for (size_t i = 0; i < after->node_count; i++) {
		const struct node *now = after->nodes[i];

		if (model_cluster_node(before, now->cluster, now->name) == NULL)
			add_change(c, (struct compile_change){
					  .kind = CHANGE_NODE, .node_after = now});
	}
}

/* Kubernetes namespaces that are at another place, and what is written in them. */
static void
add_moves(struct changes *c, const struct model *before, const struct model *after)
{
	for (size_t i = 0; i < after->kube_count; i++) {
		const struct kube_ns *now = after->kube_namespaces[i];
		const struct kube_ns *old =
		    model_kube_ns(before, now->cluster, now->name);

		if (old != NULL && !str_eq(old->ns->path, now->ns->path))
			add_change(c, (struct compile_change){
					  .kind = CHANGE_KUBE_PLACE, .kube = now});
	}
	for (size_t i = 0; i < after->policy_count; i++) {
		const struct policy *now = after->policies[i];
		const struct policy *old = find_policy(before, now->loc.source->name);

		if (old != NULL && !str_eq(old->level->path, now->level->path))
			add_change(c, (struct compile_change){.kind = CHANGE_POLICY,
					  .policy_before = old,
					  .policy_after = now});
	}
	for (size_t i = 0; i < after->workload_count; i++) {
		const struct workload *now = after->workloads[i];
		const struct workload *old =
		    find_workload(before, now->loc.source->name);

		if (old != NULL && now->kube == NULL &&
		    !str_eq(old->ns->path, now->ns->path))
			add_change(c, (struct compile_change){.kind = CHANGE_WORKLOAD,
					  .workload_before = old,
					  .workload_after = now});
	}
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
	} else if (!document_is_fixed(doc) && !str_is(doc->kind, "Route") &&
		   !str_is(doc->kind, "Quota")) {
		change.kind = CHANGE_POLICY;
		change.policy_before = find_policy(before, doc->name);
		change.policy_after = find_policy(after, doc->name);
	}
	if (str_is(doc->kind, "Node")) {
		change.kind = CHANGE_NODE;
		find_nodes(
		    before, after, doc->name, &change.node_before, &change.node_after);
		find_nodes(
		    after, before, doc->name, &change.node_after, &change.node_before);
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
	if (compile_state_keeps(s->state)
		? !same_judgement(&s->editor.dice, &expected, &now)
		: !same_content(&expected, &now))
		return fail(s, doc, "another content than compiling anew");
	s->keeping += compile_state_keeps(s->state);
	for (unsigned i = 0; i < SET_COUNT && !delta->anew; i++) {
		if (!delta_leads(delta, (enum table_set_id)i, &s->content, &now))
			return fail(s, doc, "the difference leads elsewhere");
		s->elements += delta->added_count[i] + delta->removed_count[i];
	}
	if (!delta->anew && !delta_leads_chains(delta, &s->content, &now))
		return fail(s, doc, "the difference of chains leads elsewhere");
	if (!delta->anew && !delta->ways && !same_ways(&s->content, &now))
		return fail(s, doc, "it was not told that ways are others");
	s->content = now;
	return true;
}

/* ---- a series ---- */

static bool
has_via(const struct model *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->route_count; i++)
		count += m->routes[i]->mandatory[ROUTE_VIA].count +
			 m->routes[i]->defaults[ROUTE_VIA].count;
	return count != 0;
}

static void
count_via(struct series *s, const struct compile_change *edit,
    const struct compile_delta *delta)
{
	if (!has_via(s->model) || edit->kind == CHANGE_OTHER)
		return;
	s->via_edits++;
	s->via_anew += delta->anew;
	s->via_again += delta->via;
}

static bool
one_edit(struct series *s)
{
	static struct documents edited;
	struct compile_delta delta;
	static struct changes changes;
	struct document doc;
	bool moved;
	struct diag_list diags;
	struct model *after;

	edited = s->docs;
	doc = editor_edit(&s->editor, &edited);
	after = load(s, &edited);
	if (after == NULL)
		return true; /* such as a second policy of a priority */
	changes.count = 0;
	add_change(&changes, change_of(&doc, s->model, after));
	add_moves(&changes, s->model, after);
	moved = changes.count > 1;
	s->moves += moved;
	add_nodes(&changes, s->model, after);
	s->docs = edited;
	s->model = after;
	s->edits++;
	diag_list_init(&diags, s->arena);
	if (!compile_state_update(s->state, s->arena, after, changes.items,
		changes.count, &diags, &delta))
		return fail(s, &doc, "refused");
	s->quick += !delta.anew;
	s->quick_moves += !delta.anew && moved;
	count_via(s, &changes.items[0], &delta);
	s->own += delta.own;
	return check_edit(s, &doc, &delta);
}

/* ---- names ---- */

#define LEARNT_MAX 40

struct learnt_changes {
	struct compile_change items[LEARNT_MAX];
	size_t count;
};

static void
tell_learnt(void *ctx, const struct learnt_entry *entry)
{
	struct learnt_changes *c = ctx;

	if (c->count == LEARNT_MAX)
		base_die("too many names");
	c->items[c->count++] =
	    (struct compile_change){.kind = CHANGE_LEARNT, .addr = entry->addr};
}

/* Some addresses are learnt, and others forgotten. */
static bool
one_lesson(struct series *s)
{
	struct document doc = {.name = STR("names")};
	struct learnt_changes changes = {0};
	struct compile_delta delta;
	struct diag_list diags;

	s->now_ms += dice_roll(&s->editor.dice, 200) * UINT64_C(1000);
	(void)learnt_expire(s->learnt, s->now_ms, NULL, tell_learnt, &changes);
	for (unsigned i = dice_roll(&s->editor.dice, 4); i > 0; i--) {
		struct compile_change *c = &changes.items[changes.count];

		c->kind = CHANGE_LEARNT;
		if (names_learn(s->learnt, &s->editor.dice, s->now_ms, &c->addr))
			changes.count++;
	}
	s->learnt_edits++;
	diag_list_init(&diags, s->arena);
	if (!compile_state_update(s->state, s->arena, s->model, changes.items,
		changes.count, &diags, &delta))
		return fail(s, &doc, "refused");
	s->learnt_quick += !delta.anew;
	return check_edit(s, &doc, &delta);
}

static bool
run_series(struct series *s, uint64_t edits)
{
	/* So few that they are in each other's way; or none, and all those are denied. */
	static const uint32_t few[] = {0, 4, 200};
	static const struct route_tables tables = {100, 199, {"/", 1}};
	struct compile_delta none = {.anew = true};
	struct document start = {.name = STR("the start")};
	struct diag_list diags;
	bool ok = true;

	s->learnt = learnt_new(10); /* three tenants: within LEARNT_MAX */
	names_fill(s->learnt, &s->editor.dice);
	do
		editor_roll(&s->editor, &s->docs, true);
	while ((s->model = load(s, &s->docs)) == NULL);
	s->options = (struct compile_options){
	    .node = s->editor.clusters != 0 ? STR("east/node-0") : STR("node-0"),
	    .settings = {.log_group = 100,
		.steer_mask = 0xff00,
		.validate_sources = dice_roll(&s->editor.dice, 2) == 0},
	    .workload_networks = s->gates,
	    .workload_network_count = dice_roll(&s->editor.dice, 2) == 0 ? 2 : 0,
	    .way_count = few[dice_roll(&s->editor.dice, ARRAY_LEN(few))],
	    .route_tables = &tables,
	    .route_table_count = 1,
	};
	diag_list_init(&diags, s->arena);
	s->state = compile_state_new(s->model, &s->options, &diags);
	if (s->state == NULL)
		return fail(s, &start, "refused");
	ok = check_edit(s, &start, &none);
	for (uint64_t i = 0; i < edits && ok; i++)
		ok = dice_roll(&s->editor.dice, 3) == 0 ? one_lesson(s) : one_edit(s);
	compile_state_free(s->state);
	learnt_free(s->learnt);
	return ok;
}

/* What the series did, all together. */
struct sums {
	unsigned long edits, quick, elements, learnt_edits, learnt_quick, moves,
	    quick_moves, via_edits, via_anew, via_again, own, keeping;
};

static void
add_up(struct sums *t, const struct series *s)
{
	t->edits += s->edits;
	t->quick += s->quick;
	t->elements += s->elements;
	t->learnt_edits += s->learnt_edits;
	t->learnt_quick += s->learnt_quick;
	t->moves += s->moves;
	t->quick_moves += s->quick_moves;
	t->via_edits += s->via_edits;
	t->via_anew += s->via_anew;
	t->via_again += s->via_again;
	t->own += s->own;
	t->keeping += s->keeping;
}

/* A run that always compiles anew, or changes nothing, is no test. Few series may do little of
 * something by chance: then there are more. */
static bool
is_test(const struct sums *t)
{
	return t->quick > t->edits * 2 / 5 && t->elements > t->quick / 16 &&
	       t->quick_moves > t->moves / 2 && t->learnt_quick == t->learnt_edits &&
	       t->own > t->edits / 64 && t->keeping != 0 &&
	       t->via_anew <= t->via_edits / 16 && t->via_again != 0 &&
	       t->via_edits - t->via_again > t->via_edits / 8;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t edits = EDITS_DEFAULT, done = 0;
	static struct series s;
	struct sums t = {0};
	const struct run_option options[] = {
	    {"--cases", &cases}, {"--seed", &seed}, {"--edits", &edits}};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (; ok && (done < cases || (!is_test(&t) && done < cases + SERIES_MORE));
	     done++) {
		memset(&s, 0, sizeof(s));
		s.seed = seed + done;
		s.arena = s.editor.arena = arena_new();
		dice_init(&s.editor.dice, s.seed);
		s.editor.plain = dice_roll(&s.editor.dice, 3) == 0;
		if (!ip_prefix_parse(STR("10.1.0.0/16"), &s.gates[0], NULL) ||
		    !ip_prefix_parse(STR("fd00:1::/64"), &s.gates[1], NULL))
			return 2;
		ok = run_series(&s, edits);
		add_up(&t, &s);
		arena_free(s.arena);
	}
	(void)printf(
	    "%llu series from seed %llu: %lu edits, %lu without compiling anew, "
	    "of %lu elements; %lu moves, %lu without; names %lu times, %lu without; "
	    "%lu under via, %lu of them compiling anew, %lu via again; "
	    "%lu of own workloads alone, %lu with rules for nobody\n",
	    (unsigned long long)done, (unsigned long long)seed, t.edits, t.quick,
	    t.elements, t.moves, t.quick_moves, t.learnt_edits, t.learnt_quick,
	    t.via_edits, t.via_anew, t.via_again, t.own, t.keeping);
	return ok && is_test(&t) ? 0 : 1;
}
