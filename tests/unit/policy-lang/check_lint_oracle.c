/*
 * What the lints claim about rules, against the evaluator: random worlds are judged
 * connection by connection. The seed is printed with a failure; RINGFENCE_LINT_CASES asks
 * for more worlds, RINGFENCE_LINT_SEED for one of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "load_fixture.h"

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/lint/lint.h"

struct dice {
	uint64_t state;
};

static unsigned
roll(struct dice *d, unsigned below)
{
	d->state = d->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(d->state >> 33) % below;
}

static const char *
pick(struct dice *d, const char *const *texts, unsigned count)
{
	return texts[roll(d, count)];
}

#define PICK(d, texts) pick((d), (texts), (unsigned)ARRAY_LEN(texts))

/* ---- worlds ---- */

static const char *const paths[] = {"/", "/a", "/a/x", "/b"};
static const char *const labels[] = {
    "{app: p}", "{app: p, tier: s}", "{app: q}", "{tier: t}", "{app: q, tier: t}"};
static const char *const selectors[] = {"{}", "{matchLabels: {app: p}}",
    "{matchLabels: {app: q}}", "{matchLabels: {tier: s}}",
    "{matchLabels: {app: p, tier: s}}", "{matchLabels: {app: none}}",
    "{matchExpressions: [{key: app, operator: In, values: [p, q]}]}",
    "{matchExpressions: [{key: app, operator: NotIn, values: [p]}]}",
    "{matchExpressions: [{key: tier, operator: Exists}]}",
    "{matchExpressions: [{key: tier, operator: DoesNotExist}]}"};
static const char *const port_lists[] = {"[80/tcp]", "[80-81/tcp]", "[81/tcp, 80/tcp]",
    "[tcp]", "[udp]", "[http]", "[icmp]", "[53/udp, 80/tcp]", "[tcp, udp, sctp]"};
static const char *const networks[] = {"10.0.0.0/8", "10.0.0.1/32", "10.0.0.0/30",
    "0.0.0.0/0", "192.0.2.0/24", "0.0.0.0/1", "128.0.0.0/1"};
static const char *const actions[] = {"allow", "deny", "pass"};

static void
add_peers(struct dice *d, struct buf *out)
{
	unsigned count = 1 + roll(d, 2);

	for (unsigned i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		if (roll(d, 3) == 0)
			buf_printf(out, "{cidr: %s}", PICK(d, networks));
		else if (roll(d, 2) == 0)
			buf_printf(out, "{workloads: %s}", PICK(d, selectors));
		else
			buf_printf(out, "{namespace: %s, workloads: %s}",
			    PICK(d, paths), PICK(d, selectors));
	}
}

static void
add_rules(struct dice *d, struct buf *out, bool ordered, const char *side)
{
	unsigned count = 1 + roll(d, 3);

	for (unsigned i = 0; i < count; i++) {
		const char *sep = "";

		buf_add_cstr(out, i > 0 ? ", {" : "{");
		if (ordered) {
			buf_printf(out, "action: %s", PICK(d, actions));
			sep = ", ";
		}
		if (roll(d, 4) != 0) {
			buf_printf(out, "%s%s: [", sep, side);
			add_peers(d, out);
			buf_add_char(out, ']');
			sep = ", ";
		}
		if (roll(d, 2) == 0)
			buf_printf(out, "%sports: %s", sep, PICK(d, port_lists));
		buf_add_char(out, '}');
	}
}

static void
add_policy(struct dice *d, struct buf *out, unsigned index)
{
	static const char *const phases[] = {"mandatory", "allow", "default"};
	const char *sep = "";

	buf_printf(out,
	    "{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: {name: p%u, "
	    "namespace: %s}, spec: {workloads: %s, ",
	    index, PICK(d, paths), PICK(d, selectors));
	for (unsigned ph = 0; ph < 3; ph++) {
		bool egress = roll(d, 2) == 0;

		if (ph != index % 3 && roll(d, 2) == 0)
			continue;
		buf_printf(out, "%s%s: {%s: [", sep, phases[ph],
		    egress ? "egress" : "ingress");
		add_rules(d, out, ph != 1, egress ? "to" : "from");
		buf_add_cstr(out, "]}");
		sep = ", ";
	}
	buf_add_cstr(out, "}}\n---\n");
}

static struct loaded *
random_world(struct dice *d)
{
	struct buf text = {0};
	struct loaded *l;
	char *copy;

	for (unsigned i = 0; i < ARRAY_LEN(paths); i++)
		buf_printf(&text,
		    "{apiVersion: ringfence.dev/v1alpha1, kind: Namespace, metadata: "
		    "{name: %s}}\n---\n",
		    paths[i]);
	for (unsigned i = 0; i < 7; i++)
		buf_printf(&text,
		    "{apiVersion: ringfence.dev/v1alpha1, kind: Workload, metadata: "
		    "{name: w%u, namespace: %s, labels: %s}, spec: {ips: [10.0.0.%u], "
		    "ports: [%s]}}\n---\n",
		    i, PICK(d, paths), PICK(d, labels), i,
		    roll(d, 2) == 0 ? "{name: http, port: 80, protocol: tcp}" : "");
	for (unsigned i = 0; i < 6; i++)
		add_policy(d, &text, i);
	copy = malloc(text.len + 1); /* the sources outlive the buffer */
	memcpy(copy, text.data, text.len + 1);
	buf_free(&text);
	l = load_ok(copy);
	return l;
}

static void
world_free(struct loaded *l)
{
	void *text = (void *)(uintptr_t)l->sources[0].text.ptr;

	loaded_free(l);
	free(text);
}

/* ---- every connection ---- */

static const struct {
	uint8_t proto;
	uint16_t port;
} services[] = {{PROTO_TCP, 80}, {PROTO_TCP, 81}, {PROTO_TCP, 443}, {PROTO_UDP, 53},
    {PROTO_UDP, 80}, {PROTO_SCTP, 80}, {PROTO_ICMP, 0}, {253, 0}};

typedef void visit_fn(void *ctx, const struct flow *flow, enum direction dir);

static void
each_flow(const struct model *m, visit_fn *visit, void *ctx)
{
	static const char *const outside[] = {"192.0.2.1", "203.0.113.9"};
	size_t ends = m->workload_count + ARRAY_LEN(outside);

	for (size_t i = 0; i < ends * ends * ARRAY_LEN(services) * 2; i++) {
		size_t s = i % ARRAY_LEN(services), rest = i / ARRAY_LEN(services);
		enum direction dir = (enum direction)(rest % 2);
		size_t at[2] = {rest / 2 % ends, rest / 2 / ends};
		struct endpoint end[2];
		struct flow flow = {
		    .proto = services[s].proto, .port = services[s].port};

		for (unsigned e = 0; e < 2; e++) {
			struct ip_addr addr;

			if (at[e] < m->workload_count)
				addr = m->workloads[at[e]]->ips[0];
			else
				ck_assert(ip_parse(
				    str_from(outside[at[e] - m->workload_count]),
				    &addr));
			end[e] = endpoint_of_addr(m, addr);
		}
		flow.src = end[0];
		flow.dst = end[1];
		visit(ctx, &flow, dir);
	}
}

static bool
same_place(struct loc a, struct loc b)
{
	return a.line == b.line && a.col == b.col;
}

/* ---- what is said ---- */

struct claims {
	struct loaded *l;
	unsigned seed;
	unsigned never, redundant, nobody, silent;
};

static bool
is_code(const struct diag *d, const char *code)
{
	return strcmp(d->code, code) == 0;
}

static bool
claims_never(const struct diag *d)
{
	return is_code(d, "shadowed-rule") || is_code(d, "unreachable-rule");
}

/* Rules that never match, and allow blocks that are never come to, decide nothing. */
static void
check_never(void *ctx, const struct flow *flow, enum direction dir)
{
	struct claims *c = ctx;
	struct verdict v = evaluate_direction(c->l->m, flow, dir);
	struct loc loc = {0};

	if (v.policy == NULL)
		return;
	loc = v.rule != NULL ? v.rule->loc : v.policy->isolate_loc[dir];
	for (const struct diag *d = c->l->diags.first; d != NULL; d = d->next) {
		bool block = claims_never(d) && v.policy->isolates[dir] &&
			     v.rule != NULL && v.rule->phase == PHASE_ALLOW &&
			     same_place(d->loc, v.policy->isolate_loc[dir]);

		ck_assert_msg(!(claims_never(d) && same_place(d->loc, loc)) && !block,
		    "seed %u: %s", c->seed, d->msg);
	}
}

/* Verdicts, before and after redundant rules are made to match nothing. */
struct verdicts {
	struct claims *c;
	bool *allow;
	size_t count;
	bool compare;
};

static void
check_verdict(void *ctx, const struct flow *flow, enum direction dir)
{
	struct verdicts *v = ctx;
	bool allow = evaluate_direction(v->c->l->m, flow, dir).allow;

	if (v->compare)
		ck_assert_msg(v->allow[v->count] == allow, "seed %u:\n%s\n%.*s",
		    v->c->seed, loaded_text(v->c->l),
		    STR_ARG(v->c->l->sources[0].text));
	v->allow[v->count++] = allow;
}

static void
silence_rule(struct claims *c, struct loc loc)
{
	for (size_t i = 0; i < c->l->m->policy_count; i++) {
		struct policy *p = c->l->m->policies[i];

		for (unsigned k = 0; k < 2; k++) {
			for (size_t j = 0; j < p->allow[k].count; j++) {
				struct rule *r = &p->allow[k].rules[j];

				if (!same_place(r->loc, loc))
					continue;
				r->any_peer = false;
				r->peer_count = 0;
			}
		}
	}
}

static void
check_redundant(struct claims *c)
{
	static bool allow[20000];
	struct verdicts v = {.c = c, .allow = allow};

	each_flow(c->l->m, check_verdict, &v);
	ck_assert_uint_lt(v.count, ARRAY_LEN(allow));
	for (const struct diag *d = c->l->diags.first; d != NULL; d = d->next) {
		if (!is_code(d, "redundant-rule"))
			continue;
		c->redundant++;
		silence_rule(c, d->loc);
	}
	v.count = 0;
	v.compare = true;
	each_flow(c->l->m, check_verdict, &v);
}

/* A subject is said to select nobody exactly when it does. */
static void
check_subjects(struct claims *c)
{
	for (size_t i = 0; i < c->l->m->policy_count; i++) {
		const struct policy *p = c->l->m->policies[i];
		bool said = false, any = false;

		for (size_t j = 0; j < c->l->m->workload_count; j++)
			any |= policy_applies(p, c->l->m->workloads[j]);
		for (const struct diag *d = c->l->diags.first; d != NULL; d = d->next)
			said |= is_code(d, "selects-nothing") &&
				same_place(d->loc, p->subject.selector->loc);
		ck_assert_msg(said == !any, "seed %u: %.*s", c->seed, STR_ARG(p->name));
		c->nobody += said;
	}
}

/* Pair by pair and rule by rule: a policy of `self` isolates it, or speaks of the other. */
static bool
is_spoken_of(const struct model *m, const struct workload *self,
    const struct workload *other, enum direction dir)
{
	struct endpoint end = endpoint_of_addr(m, other->ips[0]);

	for (size_t i = 0; i < m->policy_count; i++) {
		const struct policy *p = m->policies[i];
		const struct rule_list *lists[] = {
		    &p->mandatory[dir], &p->defaults[dir]};

		if (!policy_applies(p, self))
			continue;
		if (p->isolates[dir])
			return true;
		for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
			for (size_t j = 0; j < lists[k]->count; j++) {
				const struct rule *r = &lists[k]->rules[j];

				if (r->action != ACTION_PASS &&
				    rule_matches_peer(r, &end, &(struct knower){0}))
					return true;
			}
		}
	}
	return false;
}

static uint64_t
figure_of(const struct diag *d, const char *name)
{
	for (const struct diag_figure *f = d->figures; f != NULL; f = f->next) {
		if (strcmp(f->name, name) == 0)
			return f->value;
	}
	ck_abort_msg("no figure %s", name);
}

/* What the default alone decides is counted as it is pair by pair, and is decided so. */
static void
check_silence(struct claims *c)
{
	const struct model *m = c->l->m;
	const struct diag *said = NULL;
	uint64_t counts[2] = {0, 0}, both = 0;

	for (const struct diag *d = c->l->diags.first; d != NULL; d = d->next) {
		if (is_code(d, "default-alone"))
			said = d;
	}
	for (size_t i = 0; i < m->workload_count * m->workload_count; i++) {
		const struct workload *src = m->workloads[i % m->workload_count];
		const struct workload *dst = m->workloads[i / m->workload_count];
		bool egress, ingress;

		if (src == dst)
			continue;
		egress = !is_spoken_of(m, src, dst, DIR_EGRESS);
		ingress = !is_spoken_of(m, dst, src, DIR_INGRESS);
		counts[DIR_EGRESS] += egress;
		counts[DIR_INGRESS] += ingress;
		both += egress && ingress;
		for (size_t s = 0; egress && s < ARRAY_LEN(services); s++) {
			struct flow flow = {.src = endpoint_of_addr(m, src->ips[0]),
			    .dst = endpoint_of_addr(m, dst->ips[0]),
			    .proto = services[s].proto,
			    .port = services[s].port};

			ck_assert_ptr_null(
			    evaluate_direction(m, &flow, DIR_EGRESS).policy);
		}
	}
	ck_assert_msg((said != NULL) == (both > 0), "seed %u", c->seed);
	if (said == NULL)
		return;
	ck_assert_uint_eq(figure_of(said, "default"), both);
	ck_assert_uint_eq(figure_of(said, "egressDefault"), counts[DIR_EGRESS]);
	ck_assert_uint_eq(figure_of(said, "ingressDefault"), counts[DIR_INGRESS]);
	ck_assert_uint_eq(
	    figure_of(said, "pairs"), m->workload_count * (m->workload_count - 1));
	c->silent++;
}

START_TEST(claims_hold_in_every_world)
{
	const char *cases = getenv("RINGFENCE_LINT_CASES");
	const char *only = getenv("RINGFENCE_LINT_SEED");
	unsigned count = cases != NULL ? (unsigned)strtoul(cases, NULL, 10) : 100;
	unsigned first = only != NULL ? (unsigned)strtoul(only, NULL, 10) : 1;
	struct claims c = {0};

	for (unsigned seed = first; seed < first + (only != NULL ? 1 : count); seed++) {
		struct dice d = {.state = seed};

		c.seed = seed;
		c.l = random_world(&d);
		model_lint(c.l->m, &c.l->diags);
		if (only != NULL)
			(void)fprintf(stderr, "%.*s%s", STR_ARG(c.l->sources[0].text),
			    loaded_text(c.l));
		for (const struct diag *g = c.l->diags.first; g != NULL; g = g->next)
			c.never += claims_never(g);
		each_flow(c.l->m, check_never, &c);
		check_subjects(&c);
		check_silence(&c);
		check_redundant(&c);
		world_free(c.l);
	}
	/* Claims are made, of each kind, or the test says nothing. */
	if (only == NULL) {
		ck_assert_uint_gt(c.never, count / 2);
		ck_assert_uint_gt(c.redundant, count / 20);
		ck_assert_uint_gt(c.nobody, count / 2);
		ck_assert_uint_gt(c.silent, count / 20);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lint_oracle");
	TCase *tc = tcase_create("lint_oracle");

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, claims_hold_in_every_world);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
