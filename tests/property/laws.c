/*
 * The laws of the language, over random trees, from YAML text through the loader to the
 * evaluator:
 *   (a) no edit below a namespace changes what mandatory rules at or above it decided;
 *   (b) a default that is added at depth k changes nothing that an allow block at depth k
 *       or deeper, or a default deeper than k, decided;
 *   (c) removing an empty level that nothing refers to changes nothing;
 *   (d) the walk flattened to one ordered list gives the same verdicts;
 *   (e) splitting a rule's ports and peers over several rules changes nothing.
 * Options: --cases N --seed S (by default another each time). What fails is printed with its seed and its YAML.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/load/load.h"
#include "tests/property/flat_walk.h"
#include "tests/property/world.h"

#define CASES_DEFAULT DICE_CASES(400)
#define CASES_MORE    200
#define OUTSIDE_COUNT 4
#define END_COUNT     (WORLD_WORKLOADS + OUTSIDE_COUNT)

static const char *const outside[OUTSIDE_COUNT] = {
    "192.0.2.1", "192.0.2.200", "10.9.0.1", "2001:db8::1"};

static const struct {
	uint8_t proto;
	uint16_t port;
} probes[] = {{PROTO_TCP, 79}, {PROTO_TCP, 80}, {PROTO_TCP, 85}, {PROTO_TCP, 90},
    {PROTO_TCP, 91}, {PROTO_TCP, 443}, {PROTO_TCP, 444}, {PROTO_UDP, 53},
    {PROTO_UDP, 54}, {PROTO_SCTP, 80}, {PROTO_ICMP, 0}, {PROTO_ICMPV6, 0}};

/* A world as text and as what became of it. */
struct reading {
	struct buf texts[WORLD_PARTS];
	struct arena *arena;
	struct source sources[WORLD_PARTS];
	struct bundle bundle;
	struct endpoint ends[END_COUNT][2]; /* by family: 4, 6 */
	/* To every question in their order, once several laws need them; NULL. */
	struct verdict *answers;
	struct model *model;
	const struct workload *workloads[WORLD_WORKLOADS];
	unsigned workload_count;
};

struct trial {
	uint64_t seed;
	const char *law;
	unsigned long
	    decided; /* verdicts that the law spoke of: none at all is no test */
};

static void
reading_fini(struct reading *r)
{
	for (unsigned i = 0; i < WORLD_PARTS; i++)
		buf_free(&r->texts[i]);
	arena_free(r->arena);
}

static const struct workload *
find_workload(const struct model *m, unsigned number)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "w%u", number);
	for (size_t i = 0; i < m->workload_count; i++) {
		if (str_is(m->workloads[i]->name, name))
			return m->workloads[i];
	}
	return NULL;
}

static void
print_reading(const struct reading *r)
{
	for (size_t i = 0; i < r->bundle.count; i++)
		(void)fprintf(stderr, "# %.*s\n%.*s\n", STR_ARG(r->sources[i].name),
		    STR_ARG(r->sources[i].text));
}

static void find_ends(struct reading *r);

static bool
read_world(
    struct reading *r, const struct world *world, const struct world_printing *how)
{
	static const struct {
		struct str name, path;
	} clusters[] = {
	    {{"east", 4}, {"east.yaml", 9}}, {{"west", 4}, {"west.yaml", 9}}};
	struct model_options options = {.default_deny = world->kube[1],
	    .clusters = (const void *)clusters,
	    .cluster_count = world->clusters ? ARRAY_LEN(clusters) : 0};
	struct diag_list diags;
	struct buf told = {0};

	*r = (struct reading){.arena = arena_new()};
	r->bundle = (struct bundle){r->sources, world->clusters ? WORLD_PARTS : 1};
	for (size_t i = 0; i < r->bundle.count; i++) {
		world_print_part(&r->texts[i], world, how, (enum world_part)i);
		r->sources[i] = (struct source){
		    i == WORLD_TREE ? STR("tree.yaml") : clusters[i - 1].path,
		    buf_str(&r->texts[i])};
	}
	diag_list_init(&diags, r->arena);
	if (!model_load(r->arena, &r->bundle, &options, &diags, &r->model)) {
		diag_render(&told, &diags, DIAG_TEXT);
		print_reading(r);
		(void)fprintf(stderr, "%s\n", told.data);
		buf_free(&told);
		return false;
	}
	r->workload_count = world->workload_count;
	for (unsigned i = 0; i < r->workload_count; i++) {
		r->workloads[i] = find_workload(r->model, i);
		if (r->workloads[i] == NULL)
			return false;
	}
	find_ends(r);
	return true;
}

/* ---- questions ---- */

static struct endpoint
find_end(const struct reading *r, unsigned i, unsigned family)
{
	struct endpoint end;
	struct ip_addr addr;

	if (i >= r->workload_count) {
		if (!ip_parse(str_from(outside[i - r->workload_count]), &addr))
			base_die("address");
		return endpoint_of_addr(r->model, addr);
	}
	end = endpoint_of_workload(r->model, r->workloads[i]);
	for (size_t k = 0; k < r->workloads[i]->ip_count && !end.has_addr; k++) {
		if (r->workloads[i]->ips[k].family != family)
			continue;
		end.has_addr = true;
		end.addr = r->workloads[i]->ips[k];
	}
	return end;
}

static void
find_ends(struct reading *r)
{
	for (unsigned i = 0; i < r->workload_count + OUTSIDE_COUNT; i++) {
		r->ends[i][0] = find_end(r, i, IP_V4);
		r->ends[i][1] = find_end(r, i, IP_V6);
	}
}

/* One direction's question: `self` is a workload. */
struct question {
	unsigned self, peer, probe, family;
	enum direction dir;
};

static bool
next_question(const struct reading *r, struct question *q)
{
	if (++q->probe < ARRAY_LEN(probes))
		return true;
	q->probe = 0;
	if ((q->dir = (enum direction)(q->dir + 1)) < DIRECTION_COUNT)
		return true;
	q->dir = DIR_INGRESS;
	q->family = q->family == IP_V4 ? IP_V6 : IP_V4;
	if (q->family == IP_V6)
		return true;
	if (++q->peer < r->workload_count + OUTSIDE_COUNT)
		return true;
	q->peer = 0;
	return ++q->self < r->workload_count;
}

static struct flow
flow_of(const struct reading *r, const struct question *q)
{
	struct endpoint self = r->ends[q->self][q->family == IP_V6];
	struct endpoint peer = r->ends[q->peer][q->family == IP_V6];
	bool egress = q->dir == DIR_EGRESS;

	return (struct flow){
	    .src = egress ? self : peer,
	    .dst = egress ? peer : self,
	    .proto = probes[q->probe].proto,
	    .port = probes[q->probe].port,
	};
}

static struct verdict
ask(const struct reading *r, const struct question *q)
{
	struct flow flow = flow_of(r, q);

	return evaluate_direction(r->model, &flow, q->dir);
}

static void
answer_all(struct reading *r)
{
	struct question q = {.family = IP_V4};
	size_t count = r->workload_count * (r->workload_count + OUTSIDE_COUNT) * 2 *
		       DIRECTION_COUNT * ARRAY_LEN(probes);
	struct verdict *answers = ARENA_ARRAY(r->arena, count, struct verdict);
	size_t i = 0;

	do
		answers[i++] = ask(r, &q);
	while (next_question(r, &q));
	if (i != count)
		base_die("questions");
	r->answers = answers;
}

static bool
fail(const struct trial *t, const struct question *q, const struct reading *before,
    const struct reading *after)
{
	(void)fprintf(stderr,
	    "law (%s) is broken, seed %llu: w%u, %s, peer %u, protocol %u port %u\n",
	    t->law, (unsigned long long)t->seed, q->self, direction_name(q->dir),
	    q->peer, (unsigned)probes[q->probe].proto, (unsigned)probes[q->probe].port);
	(void)fprintf(stderr, "# before\n");
	print_reading(before);
	if (after != NULL) {
		(void)fprintf(stderr, "# after\n");
		print_reading(after);
	}
	return false;
}

/* Verdicts before and after must be equal wherever `concerns` says that the law speaks. */
static bool
compare(struct trial *t, const struct reading *before, const struct reading *after,
    bool (*concerns)(const struct verdict *v, const void *what), const void *what)
{
	struct question q = {.family = IP_V4};
	size_t i = 0;

	do {
		struct verdict v =
		    before->answers != NULL ? before->answers[i++] : ask(before, &q);

		if (concerns != NULL && !concerns(&v, what))
			continue;
		t->decided++;
		if (ask(after, &q).allow != v.allow)
			return fail(t, &q, before, after);
	} while (next_question(before, &q));
	return true;
}

/* ---- (a) and (b) ---- */

static enum phase
phase_of(const struct verdict *v)
{
	return v->reason == REASON_ISOLATION ? PHASE_ALLOW : v->rule->phase;
}

static bool
by_walk(const struct verdict *v)
{
	return v->reason == REASON_RULE || v->reason == REASON_ISOLATION;
}

/* Decided by a mandatory rule at or above the namespace `what`. */
static bool
mandatory_above(const struct verdict *v, const void *what)
{
	return by_walk(v) && phase_of(v) == PHASE_MANDATORY &&
	       ns_within(what, v->level);
}

static const struct ns *
ns_of(const struct reading *r, const struct world *world, unsigned ns)
{
	struct world_printing plain = {0};
	struct buf path = {0};
	const struct ns *found;

	world_path(&path, world, ns, &plain);
	found = model_ns(r->model, buf_str(&path));
	buf_free(&path);
	return found;
}

static bool
law_a(struct trial *t, const struct world *world, const struct reading *base,
    struct dice *dice)
{
	struct world edited = *world;
	struct world_printing plain = {0};
	struct reading after = {0};
	unsigned top = dice_roll(dice, world->ns_count);
	bool ok;

	for (unsigned p = 0; p < WORLD_POLICIES; p++) {
		unsigned ns = edited.policies[p].present
				  ? edited.policies[p].ns
				  : dice_roll(dice, world->ns_count);

		if (ns == top || !world_within(world, ns, top))
			continue;
		edited.policies[p].present = false;
		if (dice_roll(dice, 4) != 0)
			world_roll_policy(&edited, dice, p, ns);
	}
	ok = read_world(&after, &edited, &plain) &&
	     compare(t, base, &after, mandatory_above, ns_of(base, world, top));
	reading_fini(&after);
	return ok;
}

/* Decided by an allow block at the depth `what` or deeper, or a default deeper. */
static bool
decided_deeper(const struct verdict *v, const void *what)
{
	unsigned depth;

	memcpy(&depth, what, sizeof(depth));
	if (!by_walk(v))
		return false;
	if (phase_of(v) == PHASE_ALLOW)
		return v->level->depth >= depth;
	return phase_of(v) == PHASE_DEFAULT && v->level->depth > depth;
}

static bool
law_b(struct trial *t, const struct world *world, const struct reading *base,
    struct dice *dice)
{
	struct world edited = *world;
	struct world_printing plain = {0};
	struct reading after = {0};
	unsigned ns = dice_roll(dice, world->ns_count);
	unsigned depth = world_depth(world, ns);
	bool ok;

	world_roll_default(&edited, dice, WORLD_POLICIES - 1, ns);
	ok = read_world(&after, &edited, &plain) &&
	     compare(t, base, &after, decided_deeper, &depth);
	reading_fini(&after);
	return ok;
}

/* ---- (c) and (e) ---- */

static bool
law_c(struct trial *t, const struct world *world, const struct reading *base,
    struct dice *dice)
{
	struct world_printing how = {
	    .insert = true, .inserted = 1 + dice_roll(dice, world->ns_count - 1)};
	struct reading longer = {0};
	bool ok =
	    read_world(&longer, world, &how) && compare(t, base, &longer, NULL, NULL);

	reading_fini(&longer);
	return ok;
}

static bool
law_e(struct trial *t, const struct world *world, const struct reading *base,
    struct dice *dice UNUSED)
{
	struct world_printing how = {.split = true};
	struct reading split = {0};
	bool ok =
	    read_world(&split, world, &how) && compare(t, base, &split, NULL, NULL);

	reading_fini(&split);
	return ok;
}

/* ---- (d) ---- */

static bool
law_d(struct trial *t, const struct world *world UNUSED, const struct reading *base,
    struct dice *dice UNUSED)
{
	static struct flat_walk flat[DIRECTION_COUNT];
	struct question q = {.family = IP_V4};
	unsigned self = UINT32_MAX;
	size_t asked = 0;

	do {
		struct verdict v = base->answers[asked++];
		struct flow flow = flow_of(base, &q);

		if (v.reason == REASON_SELF || v.reason == REASON_OWN_NODE)
			continue;
		if (self != q.self) {
			self = q.self;
			for (size_t d = 0; d < DIRECTION_COUNT; d++)
				flat_walk_make(&flat[d], base->model,
				    base->workloads[self], (enum direction)d);
		}
		t->decided++;
		if (flat_walk_allows(&flat[q.dir], &flow, q.dir,
			!base->model->options.default_deny) != v.allow)
			return fail(t, &q, base, NULL);
	} while (next_question(base, &q));
	return true;
}

/* ---- all of them ---- */

static const struct {
	const char *name;
	bool (*holds)(struct trial *t, const struct world *world,
	    const struct reading *base, struct dice *dice);
} laws[] = {{"a", law_a}, {"b", law_b}, {"c", law_c}, {"d", law_d}, {"e", law_e}};

#define FAILURES_SHOWN 2 /* of each law */

static struct {
	unsigned long decided; /* verdicts that the law spoke of */
	unsigned failures;
} tally[ARRAY_LEN(laws)];

static bool
run_case(uint64_t seed)
{
	struct world_printing plain = {0};
	struct reading base = {0};
	struct world world;
	struct dice dice;
	bool ok;

	dice_init(&dice, seed);
	world_roll(&world, &dice);
	ok = read_world(&base, &world, &plain);
	if (ok)
		answer_all(&base);
	for (size_t i = 0; i < ARRAY_LEN(laws) && base.model != NULL && ok; i++) {
		struct trial t = {.seed = seed, .law = laws[i].name};

		if (tally[i].failures < FAILURES_SHOWN &&
		    !laws[i].holds(&t, &world, &base, &dice))
			tally[i].failures++;
		tally[i].decided += t.decided;
	}
	if (!ok)
		(void)fprintf(stderr, "seed %llu: the world is refused\n",
		    (unsigned long long)seed);
	reading_fini(&base);
	return ok;
}

/* A law that nothing was asked of has not been tested. Few cases may ask nothing by chance: then
 * there are more. */
static bool
all_asked(void)
{
	for (size_t i = 0; i < ARRAY_LEN(laws); i++) {
		if (tally[i].decided == 0)
			return false;
	}
	return true;
}

static bool
report(uint64_t cases, uint64_t seed)
{
	bool ok = true;

	(void)printf("%llu cases from seed %llu:", (unsigned long long)cases,
	    (unsigned long long)seed);
	for (size_t i = 0; i < ARRAY_LEN(laws); i++) {
		bool holds = tally[i].failures == 0;

		(void)printf(" (%s) %s %lu", laws[i].name, holds ? "held" : "BROKEN",
		    tally[i].decided);
		ok = ok && holds;
	}
	(void)printf(" verdicts\n");
	return ok;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed(), done = 0;
	const struct run_option options[] = {{"--cases", &cases}, {"--seed", &seed}};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (; ok && (done < cases || (!all_asked() && done < cases + CASES_MORE));
	     done++)
		ok = run_case(seed + done);
	return report(done, seed) && ok && all_asked() ? 0 : 1;
}
