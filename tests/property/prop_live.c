/*
 * A model that is kept up source by source against loading all of them anew: a random
 * cluster, a document to a source, and a series of random edits, each of one document or of
 * a few at once. After each the content of the state that was told equals what compiling a
 * new load of all the sources gives, byte for byte with the places of elements, or where it
 * keeps rules for workloads to come, does the same to packets; what is refused, or beyond an
 * edit, leaves everything as it was. Questions to the state are answered as its content says.
 * Between the edits pods are announced, and no longer. A
 * load that takes what is kept of a document in the place of mistakes is as one of what the
 * document said before.
 * Options: --cases N (series) --edits N (of each) --seed S. What fails is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live.h"
#include "policy-lang/load/load.h"
#include "policy-lang/table/table_walk.h"
#include "tests/property/edits.h"
#include "tests/property/judged.h"

#define CASES_DEFAULT  DICE_CASES(60)
#define EDITS_DEFAULT  25
#define ANNOUNCED_MOST 3
#define SERIES_MORE    1000 /* at most, until all has come */

struct series {
	uint64_t seed;
	struct arena *arena; /* of the series */
	struct editor editor;
	struct documents docs; /* as the live model has them */
	struct model_options model_options;
	struct compile_options options;
	struct ip_prefix gates[2];
	struct arena *base; /* of the live model */
	struct live *live;
	struct compile_state *state;
	struct table_content content;
	struct announced_pod *announced; /* ANNOUNCED_MOST; another for each change */
	unsigned long edits, quick, anew, beyond, refused;
	unsigned long spaces, announced_edits, own_edits; /* of those that were taken */
	unsigned long nodes;   /* edits of them that were taken */
	unsigned long told_of; /* nodes that came to be what only pods say */
	unsigned long grown;   /* namespaces that came by edits */
	unsigned long moved, moved_policies; /* placed elsewhere; what is in them */
	unsigned long kept, kept_pods;       /* loads with something kept */
	unsigned long own, via; /* compiled: own workloads alone; via again */
	unsigned long keeping;  /* edits after which it has rules for nobody */
	unsigned long
	    ruled; /* quick edits with the first Route that leads out, or the last */
	/* Edits that took no compiling anew: of Routes, of limits, of external networks that
	 * somebody speaks of, and of what means nothing to a node. */
	unsigned long routes, limits, externals, silent;
};

static const struct {
	struct str name, path;
} clusters[CLUSTER_MAX] = {{{"east", 4}, {"east", 4}}, {{"west", 4}, {"west", 4}}};

static bool
fail(const struct series *s, const char *what)
{
	(void)fprintf(stderr, "seed %llu, edit %lu: %s\n", (unsigned long long)s->seed,
	    s->edits, what);
	for (size_t i = 0; i < s->docs.count; i++)
		(void)fprintf(stderr, "---\n# %.*s\n%.*s",
		    STR_ARG(s->docs.items[i].name), STR_ARG(s->docs.items[i].text));
	return false;
}

static struct bundle
bundle_of(struct arena *arena, const struct documents *docs)
{
	struct source *sources = ARENA_ARRAY(arena, docs->count, struct source);

	for (size_t i = 0; i < docs->count; i++)
		sources[i] = (struct source){docs->items[i].name, docs->items[i].text};
	return (struct bundle){sources, docs->count};
}

/* Loads all of it anew. */
static bool
begin(struct series *s, const struct documents *docs)
{
	struct diag_list diags;
	struct bundle *bundle;
	struct live *live;
	struct arena *base = arena_new();

	diag_list_init(&diags, base);
	bundle = ARENA_NEW(base, struct bundle);
	*bundle = bundle_of(base, docs);
	live = live_load(base, bundle, &s->model_options, NULL, &diags);
	if (live == NULL) {
		arena_free(base);
		return false;
	}
	compile_state_free(s->state);
	live_free(s->live);
	arena_free(s->base);
	s->base = base;
	s->live = live;
	live_keep_texts(live);
	s->docs = *docs;
	s->state = compile_state_new(live_model(live), &s->options, &diags);
	return s->state != NULL;
}

/* ---- comparing ---- */

/* Some keys that are there, and some that are not. */
static bool
answers_as(struct series *s, const struct table_content *content)
{
	for (unsigned set = 0; set < SET_COUNT; set++) {
		for (size_t i = 0; i < content->element_count[set]; i++) {
			struct table_element key = content->elements[set][i], found;
			const struct table_element *e;

			if (set != SET_RULES && dice_roll(&s->editor.dice, 2) == 0)
				key.addr[3] ^= (uint8_t)dice_roll(&s->editor.dice, 4);
			if (key.proto != 0 && dice_roll(&s->editor.dice, 4) == 0)
				key.port_lo ^= 1;
			e = table_find(content, (enum table_set_id)set, &key);
			if (compile_state_find(s->state, (enum table_set_id)set, &key,
				&found) != (e != NULL) ||
			    (e != NULL && !table_element_equal(e, &found)))
				return fail(s, "a question is answered otherwise");
		}
	}
	return true;
}

/* What no program tells: how many there are of everything, and where. */
static bool
same_others(const struct model *a, const struct model *b)
{
	bool same =
	    a->access_count == b->access_count &&
	    a->external_count == b->external_count &&
	    a->quota_count == b->quota_count && a->route_count == b->route_count &&
	    a->service_count == b->service_count && a->test_count == b->test_count;

	for (size_t i = 0; i < a->ns_count && same; i++) {
		const struct ns *x = a->namespaces[i], *y = model_ns(b, x->path);

		same = y != NULL ? x->access_count == y->access_count &&
				       x->quota_count == y->quota_count &&
				       x->route_count == y->route_count
				 : x->access_count + x->quota_count == 0;
	}
	for (size_t i = 0; i < a->external_count && same; i++)
		same = str_eq(a->externals[i]->name, b->externals[i]->name) &&
		       str_eq(a->externals[i]->ns->path, b->externals[i]->ns->path) &&
		       a->externals[i]->prefix_count == b->externals[i]->prefix_count;
	return same;
}

static bool
lists_inside(const struct table_content *c)
{
	return c->element_count[SET_INSIDE4] + c->element_count[SET_INSIDE6] != 0;
}

static bool
check(struct series *s, const struct compile_delta *delta)
{
	struct arena *scratch = arena_new();
	struct bundle bundle = bundle_of(scratch, &s->docs);
	struct table_content expected, now;
	size_t counts[SET_COUNT];
	struct diag_list diags;
	struct model *m;
	bool ok = true;

	diag_list_init(&diags, scratch);
	if (!model_load(scratch, &bundle, &s->model_options, &diags, &m) ||
	    !compile_node(scratch, m, &s->options, &diags, &expected)) {
		ok = fail(s, "was taken, but a whole load refuses it");
		goto out;
	}
	if (m->workload_count != live_model(s->live)->workload_count ||
	    m->policy_count != live_model(s->live)->policy_count ||
	    m->audit_count != live_model(s->live)->audit_count ||
	    !same_others(m, live_model(s->live)))
		ok = fail(s, "other objects than a whole load");
	compile_state_content(s->state, s->arena, &now);
	compile_state_counts(s->state, counts);
	if (ok && (compile_state_keeps(s->state)
			  ? !same_judgement(&s->editor.dice, &expected, &now)
			  : !same_content(&expected, &now)))
		ok = fail(s, "another content than a whole load");
	s->keeping += compile_state_keeps(s->state);
	for (unsigned i = 0; i < SET_COUNT && ok; i++) {
		if (!delta->anew &&
		    !delta_leads(delta, (enum table_set_id)i, &s->content, &now))
			ok = fail(s, "the difference leads elsewhere");
		if (counts[i] != now.element_count[i])
			ok = fail(s, "counts wrong");
	}
	if (ok && !delta->anew && !delta_leads_chains(delta, &s->content, &now))
		ok = fail(s, "the difference of chains leads elsewhere");
	ok = ok && answers_as(s, &now);
	s->ruled += !delta->anew && lists_inside(&now) != lists_inside(&s->content);
	s->content = now;
out:
	arena_free(scratch);
	return ok;
}

/* ---- edits ---- */

#define OTHER_IN 256 /* edits, in one of which something else is said to be another */

/* Now and then there is more among them than can be told the effect of. */
static const struct compile_change *
and_others(struct series *s, const struct compile_change *changes, size_t *count)
{
	struct compile_change *more =
	    ARENA_ARRAY(s->arena, *count + 1, struct compile_change);

	if (dice_roll(&s->editor.dice, OTHER_IN) != 0)
		return changes;
	for (size_t i = 0; i < *count; i++)
		more[i] = changes[i];
	more[(*count)++].kind = CHANGE_OTHER;
	return more;
}

/* What was put into the model is compiled, and compared. */
static bool
advance(struct series *s, const struct compile_change *changes, size_t count)
{
	struct compile_delta delta;
	struct diag_list diags;

	diag_list_init(&diags, s->arena);
	s->edits++;
	changes = and_others(s, changes, &count);
	compile_state_advance(
	    s->state, s->arena, live_model(s->live), changes, count, &diags, &delta);
	if (delta.anew) {
		struct table_content old;

		/* What was compiled before can still be asked for. */
		compile_state_content(s->state, s->arena, &old);
		if (!compile_delta_has_elements(&delta) &&
		    !same_content(&old, &s->content))
			return fail(s, "what is to be compiled anew has changed");
		compile_state_free(s->state);
		live_settle(s->live);
		s->state = compile_state_new(live_model(s->live), &s->options, &diags);
		if (s->state == NULL)
			return fail(s, "does not compile");
		s->anew++;
	} else {
		s->quick++;
		s->own += delta.own;
		s->via += delta.via;
	}
	live_sweep(s->live);
	return check(s, &delta);
}

static void
count_changes(struct series *s, const struct compile_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct compile_change *c = &changes[i];
		const struct policy *before = c->policy_before;

		s->spaces +=
		    c->kind == CHANGE_KUBE_LABELS || c->kind == CHANGE_NS_LABELS;
		s->nodes += c->kind == CHANGE_NODE;
		s->told_of += c->kind == CHANGE_NODE && c->node_after != NULL &&
			      c->node_after->loc.source == NULL;
		s->moved += c->kind == CHANGE_KUBE_PLACE;
		for (size_t j = i; j < count && before != NULL && j <= i + 1; j++) {
			const struct policy *after = changes[j].policy_after;

			s->moved_policies +=
			    after != NULL &&
			    str_eq(before->namespace_text, after->namespace_text) &&
			    str_eq(before->name, after->name) &&
			    before->level != after->level;
		}
	}
}

/* Which kinds of edits have been quick. */
static void
count_quick(struct series *s, const struct document *doc,
    const struct compile_change *changes, size_t count)
{
	bool of_policy = false, of_route = false, of_limits = false;

	for (size_t i = 0; i < count; i++) {
		of_policy |= changes[i].kind == CHANGE_POLICY;
		of_route |= changes[i].kind == CHANGE_ROUTE;
		of_limits |= changes[i].kind == CHANGE_LIMITS;
	}
	s->externals += str_is(doc->kind, "ExternalNetwork") && (of_policy || of_route);
	s->routes += str_is(doc->kind, "Route") && of_route;
	s->limits += of_limits;
	s->silent += count == 0;
}

static bool
commit(struct series *s, struct live_edit *edit, const struct documents *after,
    const struct document *last, bool *out_committed)
{
	struct compile_change *changes;
	const struct model *m = live_model(s->live);
	size_t count, spaces = m->ns_count + m->kube_count;
	const unsigned long quick = s->quick;
	struct diag_list diags;
	bool ok;

	diag_list_init(&diags, s->arena);
	*out_committed = live_commit(edit, s->arena, &diags, &changes, &count);
	if (!*out_committed)
		return true;
	s->grown += m->ns_count + m->kube_count - spaces;
	s->docs = *after;
	count_changes(s, changes, count);
	ok = advance(s, changes, count);
	if (s->quick != quick)
		count_quick(s, last, changes, count);
	return ok;
}

/* A pod is announced, with other addresses than before perhaps; or no longer. */
static void
roll_announced(struct series *s)
{
	const struct announced_pod *old = s->announced;
	const struct model *m = live_model(s->live);
	struct announced_pod *pod;
	size_t from;
	struct ip_addr *ips = ARENA_ARRAY(s->arena, 2, struct ip_addr);
	const char *v4 =
	    arena_printf(s->arena, "10.1.2.%u", dice_roll(&s->editor.dice, 4));

	s->announced = ARENA_ARRAY(s->arena, ANNOUNCED_MOST, struct announced_pod);
	for (unsigned i = 0; old != NULL && i < ANNOUNCED_MOST; i++)
		s->announced[i] = old[i];
	s->model_options.announced = s->announced;
	s->model_options.announced_count = ANNOUNCED_MOST;
	pod = &s->announced[dice_roll(&s->editor.dice, ANNOUNCED_MOST)];
	*pod = (struct announced_pod){.namespace = STR("nowhere"), .name = STR("none")};
	if (dice_roll(&s->editor.dice, 4) == 0 || !ip_parse(str_from(v4), &ips[0]) ||
	    !ip_parse(STR("fd00:1::77"), &ips[1]))
		return;
	pod->ips = ips;
	pod->ip_count = 1 + dice_roll(&s->editor.dice, 2);
	from = dice_roll(&s->editor.dice, (unsigned)m->workload_count);
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[(from + i) % m->workload_count];

		if (w->kube == NULL || !str_eq(w->where->node, s->model_options.here))
			continue;
		/* One whose status has addresses will do where there is no other. */
		pod->name = str_dup(s->arena, w->name);
		pod->namespace = str_dup(s->arena, w->kube->name);
		if (w->ip_count == 0 || w->announced)
			return;
	}
}

static bool
one_announcement(struct series *s)
{
	struct compile_change *changes;
	struct diag_list diags;
	size_t count;

	if (live_model(s->live)->workload_count == 0)
		return true;
	diag_list_init(&diags, s->arena);
	roll_announced(s);
	live_announce(
	    s->live, s->announced, ANNOUNCED_MOST, s->arena, &diags, &changes, &count);
	s->announced_edits += count;
	return advance(s, changes, count);
}

/* The node gets addresses, and loses some: of workloads, of nodes, of nobody. */
static bool
one_own(struct series *s)
{
	static const char *const texts[] = {"10.1.0.3", "10.1.1.2", "10.9.0.1",
	    "10.9.0.250", "192.0.2.7", "2001:db8::5", "fd00:1::2", "fd00:9::1"};
	struct ip_addr *own = ARENA_ARRAY(s->arena, ARRAY_LEN(texts), struct ip_addr);
	struct compile_change *changes;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (dice_roll(&s->editor.dice, 2) == 0 &&
		    ip_parse(str_from(texts[i]), &own[count]))
			count++;
	}
	s->model_options.own = own;
	s->model_options.own_count = count;
	live_own(s->live, own, count, s->arena, &changes, &count);
	s->own_edits += count;
	return advance(s, changes, count);
}

/* ---- what is kept ---- */

static bool
compile_docs(struct series *s, struct arena *arena, const struct documents *docs,
    struct table_content *out)
{
	struct bundle bundle = bundle_of(arena, docs);
	struct diag_list diags;
	struct model *m;

	diag_list_init(&diags, arena);
	return model_load(arena, &bundle, &s->model_options, &diags, &m) &&
	       compile_node(arena, m, &s->options, &diags, out);
}

/* `docs`, of which one is spoiled, with what the live model has of that. */
static bool
compile_kept(struct series *s, struct arena *arena, const struct documents *docs,
    struct str spoiled, struct table_content *out)
{
	struct bundle bundle = bundle_of(arena, docs);
	struct load_kept *kept = ARENA_ARRAY(arena, bundle.count, struct load_kept);
	struct load_reading reading = {0};
	struct diag_list diags;
	struct live *live;
	bool ok;

	for (size_t i = 0; i < bundle.count; i++) {
		if (!str_eq(bundle.sources[i].name, spoiled))
			continue;
		if (!live_kept(s->live, spoiled, &kept[i]))
			return false;
		bundle.sources[i].text = kept[i].text;
		s->kept_pods += kept[i].pod_count;
	}
	diag_list_init(&diags, arena);
	reading.kept = kept;
	live = live_load(arena, &bundle, &s->model_options, &reading, &diags);
	ok = live != NULL &&
	     compile_node(arena, live_model(live), &s->options, &diags, out);
	live_free(live);
	return ok;
}

static bool
check_kept(struct series *s, const struct documents *edited, struct str spoiled)
{
	static struct documents expected;
	struct arena *arena = arena_new();
	struct table_content want, got;
	size_t before = 0, at = 0;
	bool ok = true;

	expected = *edited;
	while (before < s->docs.count && !str_eq(s->docs.items[before].name, spoiled))
		before++;
	while (!str_eq(expected.items[at].name, spoiled))
		at++;
	if (before < s->docs.count)
		expected.items[at].text = s->docs.items[before].text;
	else
		expected.items[at].text = STR("# it was not there\n");
	if (compile_docs(s, arena, &expected, &want)) {
		ok = compile_kept(s, arena, edited, spoiled, &got) &&
		     same_content(&want, &got);
		s->kept++;
	}
	arena_free(arena);
	return ok || fail(s, "what is kept is not what was said");
}

/* The same of any document, with nothing else changed. */
static bool
check_some_kept(struct series *s)
{
	static struct documents edited;
	struct document *doc;

	if (s->docs.count == 0)
		return true;
	edited = s->docs;
	doc = &edited.items[dice_roll(&s->editor.dice, (unsigned)edited.count)];
	doc->text = STR("kind: [\n");
	return check_kept(s, &edited, doc->name);
}

/* A document of mistakes now and then. */
static struct str
spoil(struct series *s, struct str text)
{
	if (dice_roll(&s->editor.dice, 20) != 0)
		return text;
	return STR_CONCAT(s->arena, text,
	    dice_roll(&s->editor.dice, 2) == 0 ? STR("unknownField: 1\n") : STR("]\n"));
}

/* What the editor only changes is taken away now and then. */
static struct document
roll_edit(struct series *s, struct documents *edited)
{
	struct document doc = editor_edit(&s->editor, edited);

	for (size_t i = 0; i < edited->count && document_is_fixed(&doc); i++) {
		if (str_eq(edited->items[i].name, doc.name) &&
		    dice_roll(&s->editor.dice, 8) == 0)
			edited->items[i] = edited->items[--edited->count];
	}
	return doc;
}

static bool
one_edit(struct series *s)
{
	static struct documents edited;
	const struct compile_delta whole = {.anew = true};
	struct live_edit *edit = live_edit_new(s->live);
	enum live_answer answer = LIVE_READ;
	unsigned steps = dice_roll(&s->editor.dice, 4) == 0 ? 3 : 1;
	struct diag_list diags;
	bool committed = false, ok = true;
	struct document last = {0};

	edited = s->docs;
	diag_list_init(&diags, s->arena);
	for (unsigned i = 0; i < steps && answer == LIVE_READ; i++) {
		struct document doc = roll_edit(s, &edited);
		struct str text = {0};

		last = doc;
		for (size_t j = 0; j < edited.count; j++) {
			if (!str_eq(edited.items[j].name, doc.name))
				continue;
			text = edited.items[j].text = spoil(s, edited.items[j].text);
		}
		answer = live_read(edit, doc.name, text, &diags);
	}
	if (answer == LIVE_READ)
		ok = commit(s, edit, &edited, &last, &committed);
	live_edit_free(edit);
	if (committed || !ok)
		return ok;
	if (answer == LIVE_REFUSED) {
		if (begin(s, &edited))
			return fail(s, "refused what a whole load takes");
		s->refused++;
		if (!check_kept(s, &edited, last.name))
			return false;
		return check(s, &whole); /* as it was */
	}
	ok = check(s, &whole); /* as it was */
	if (!ok || !begin(s, &edited))
		return ok; /* or a whole load refuses it, too */
	s->beyond++;
	return check(s, &whole);
}

static bool
one_change(struct series *s)
{
	const unsigned roll = dice_roll(&s->editor.dice, 8);

	return roll < 2 ? one_announcement(s) : roll == 2 ? one_own(s) : one_edit(s);
}

static bool
run_series(struct series *s, uint64_t edits)
{
	/* As in prop_edit.c. */
	static const uint32_t few[] = {0, 4, 200};
	static const struct route_tables tables = {100, 199, {"/", 1}};
	const struct compile_delta whole = {.anew = true};
	static struct documents docs;
	bool ok;

	do {
		editor_roll(&s->editor, &docs, true);
		s->model_options = (struct model_options){
		    .clusters = (const void *)clusters,
		    .cluster_count = s->editor.clusters,
		    .here = STR("node-0"),
		};
		s->options = (struct compile_options){
		    .node =
			s->editor.clusters != 0 ? STR("east/node-0") : STR("node-0"),
		    .settings = {.log_group = 100,
			.steer_mask = 0xff00,
			.validate_sources = dice_roll(&s->editor.dice, 2) == 0},
		    .workload_networks = s->gates,
		    .workload_network_count =
			dice_roll(&s->editor.dice, 2) == 0 ? 2 : 0,
		    .way_count = few[dice_roll(&s->editor.dice, ARRAY_LEN(few))],
		    .route_tables = &tables,
		    .route_table_count = 1,
		};
	} while (!begin(s, &docs));
	ok = check(s, &whole);
	for (uint64_t i = 0; i < edits && ok; i++)
		ok = one_change(s) &&
		     (dice_roll(&s->editor.dice, 4) != 0 || check_some_kept(s));
	compile_state_free(s->state);
	live_free(s->live);
	arena_free(s->base);
	return ok;
}

/* What the series did, all together. */
struct sums {
	unsigned long quick, anew, beyond, refused, spaces, grown, nodes, announced,
	    kept, kept_pods, moved, moved_policies, told_of, own, keeping, via, routes,
	    limits, externals, silent, ruled, own_addresses;
};

static void
add_up(struct sums *t, const struct series *s)
{
	t->quick += s->quick;
	t->anew += s->anew;
	t->beyond += s->beyond;
	t->refused += s->refused;
	t->spaces += s->spaces;
	t->announced += s->announced_edits;
	t->kept += s->kept;
	t->grown += s->grown;
	t->nodes += s->nodes;
	t->kept_pods += s->kept_pods;
	t->moved += s->moved;
	t->told_of += s->told_of;
	t->own += s->own;
	t->own_addresses += s->own_edits;
	t->keeping += s->keeping;
	t->via += s->via;
	t->routes += s->routes;
	t->limits += s->limits;
	t->externals += s->externals;
	t->silent += s->silent;
	t->ruled += s->ruled;
	t->moved_policies += s->moved_policies;
}

/* Without one of them a run is no test. What is rare may be lacking in a few series: then there
 * are more. */
static bool
all_came(const struct sums *t)
{
	return t->anew != 0 && t->refused != 0 && t->spaces != 0 && t->grown != 0 &&
	       t->nodes != 0 && t->announced != 0 && t->kept != 0 &&
	       t->kept_pods != 0 && t->moved != 0 && t->moved_policies != 0 &&
	       t->told_of != 0 && t->own != 0 && t->keeping != 0 && t->via != 0 &&
	       t->routes != 0 && t->limits != 0 && t->externals != 0 &&
	       t->silent != 0 && t->ruled != 0 && t->own_addresses != 0;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t edits = EDITS_DEFAULT, done = 0;
	static struct series s;
	const struct run_option options[] = {
	    {"--cases", &cases}, {"--seed", &seed}, {"--edits", &edits}};
	struct sums t = {0};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (; ok && (done < cases || (!all_came(&t) && done < cases + SERIES_MORE));
	     done++) {
		memset(&s, 0, sizeof(s));
		s.seed = seed + done;
		s.arena = s.editor.arena = arena_new();
		dice_init(&s.editor.dice, s.seed);
		s.editor.plain = dice_roll(&s.editor.dice, 3) == 0;
		s.editor.others = true;
		if (!ip_prefix_parse(STR("10.1.0.0/16"), &s.gates[0], NULL) ||
		    !ip_prefix_parse(STR("fd00:1::/64"), &s.gates[1], NULL))
			return 2;
		ok = run_series(&s, edits);
		add_up(&t, &s);
		arena_free(s.arena);
	}
	(void)printf("%llu series from seed %llu: edits: %lu quick, %lu compiled anew, "
		     "%lu loaded whole, %lu refused; %lu namespaces' labels, %lu new, "
		     "%lu moved with %lu policies; %lu nodes, %lu as pods say; "
		     "%lu announced pods, %lu addresses of the node; %lu times kept, "
		     "%lu of them pods; "
		     "%lu of own workloads alone, %lu with rules for nobody, %lu via "
		     "again; quick: %lu Routes, "
		     "%lu of them the first or last that leads out, %lu limits, %lu "
		     "external networks, %lu that mean nothing\n",
	    (unsigned long long)done, (unsigned long long)seed, t.quick, t.anew,
	    t.beyond, t.refused, t.spaces, t.grown, t.moved, t.moved_policies, t.nodes,
	    t.told_of, t.announced, t.own_addresses, t.kept, t.kept_pods, t.own,
	    t.keeping, t.via, t.routes, t.ruled, t.limits, t.externals, t.silent);
	/* Nor is one that always begins again. */
	return ok && t.quick > t.beyond && all_came(&t) ? 0 : 1;
}
