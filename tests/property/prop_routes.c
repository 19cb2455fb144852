/*
 * The laws of Routes, over random trees, from YAML text through the loader:
 *   (a) no edit below a namespace changes what mandatory rules at or above it decided;
 *   (b) a default that is added at depth k changes nothing that a mandatory rule, or a
 *       default deeper than k, decided;
 *   (c) removing an empty level that nothing refers to changes nothing;
 *   (d) a second implementation, which knows no walk but one flat, sorted list, and reads
 *       no YAML, answers alike: the rule, what becomes of the connection, and to whom;
 *   (e) splitting a rule's ports and peers over several rules changes nothing.
 * Options: --cases N --seed S (by default another each time).
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy-lang/load.h"
#include "policy-lang/route.h"
#include "tests/property/world.h"

#define CASES_DEFAULT DICE_CASES(300)
#define LEVELS        7
#define WORKLOADS     6
#define ROUTES        6
#define RULES         4
#define NONE          (-1)

/* ---- a world as data ---- */

struct rule_spec {
	enum phase phase;
	enum route_kind kind;
	enum route_action action;
	int ports;      /* in port_sets */
	int to[2];      /* NONE; egress: in networks; via: a level */
	int from;       /* via: a level */
	int effect;     /* egress */
	int addresses;  /* ingress: in address_sets; NONE: any (deny, pass) */
	int weights[2]; /* ingress: of app a, b; NONE: no target */
	int target;     /* ingress: 0 or 9000 */
	int through;    /* via: app a or b at a level: level * 2 + app */
	bool direct;    /* via: onFailure */
};

struct route_spec {
	int level, priority;
	int app; /* NONE: everybody */
	struct rule_spec rules[RULES];
	int rule_count;
};

struct spec {
	int parent[LEVELS]; /* always smaller; 0 is the root */
	int at[WORKLOADS];
	int app[WORKLOADS];
	struct route_spec routes[ROUTES];
	int route_count;
};

static const char *const networks[] = {
    "192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32"};
static const char *const outside[] = {
    "192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1"};
/* By network, then address: is the one in the other? */
static const bool in_network[3][4] = {{true, true, false, false},
    {false, true, false, false}, {false, false, false, true}};
static const char *const published[] = {"203.0.113.1", "203.0.113.2", "2001:db8:f::1"};
static const struct {
	const char *text;
	bool has[3];
} address_sets[] = {{"203.0.113.1", {true, false, false}},
    {"203.0.113.2, '2001:db8:f::1'", {false, true, true}},
    {"203.0.113.1, 203.0.113.2", {true, true, false}}};
static const struct {
	uint8_t proto;
	uint16_t port;
} probes[] = {{PROTO_TCP, 443}, {PROTO_TCP, 85}, {PROTO_UDP, 53}};
/* The items of a rule's ports, and which probes each takes. */
static const struct {
	const char *items[2];
	bool takes[2][3];
} port_sets[] = {
    {{NULL, NULL}, {{true, true, true}, {false, false, false}}},
    {{"443/tcp", NULL}, {{true, false, false}, {false, false, false}}},
    {{"80-90/tcp", "53/udp"}, {{false, true, false}, {false, false, true}}},
    {{"80-443/tcp", NULL}, {{true, true, false}, {false, false, false}}},
};
static const struct {
	const char *text;
	bool refuses[2]; /* IPv4, IPv6 */
} effects[] = {
    {"source: [203.0.113.7]", {false, true}},
    {"source: ['2001:db8:f::7', 203.0.113.8]", {false, false}},
    {"gateway: [gw-1]", {false, false}},
    {"gateway: {matchLabels: {edge: nowhere}}", {true, true}},
    {"nextHop: ['fd00::1']", {true, false}},
    {"table: 7", {false, false}},
};

static bool
within(const struct spec *s, int level, int top)
{
	while (level > top)
		level = s->parent[level];
	return level == top;
}

static int
depth(const struct spec *s, int level)
{
	int d = 0;

	for (; level != 0; level = s->parent[level])
		d++;
	return d;
}

static int
roll_some(struct dice *dice, int count)
{
	return (int)dice_roll(dice, (unsigned)count + 1) - 1;
}

static void
roll_rule(struct dice *dice, struct rule_spec *r)
{
	static const enum route_action actions[] = {ROUTE_APPLY, ROUTE_APPLY,
	    ROUTE_APPLY, ROUTE_DENY, ROUTE_PASS, ROUTE_DIRECT};

	r->phase = dice_roll(dice, 2) == 0 ? PHASE_MANDATORY : PHASE_DEFAULT;
	r->kind = (enum route_kind)dice_roll(dice, ROUTE_KIND_COUNT);
	r->action = actions[dice_roll(dice, r->kind == ROUTE_INGRESS ? 5 : 6)];
	r->ports = (int)dice_roll(dice, ARRAY_LEN(port_sets));
	for (int i = 0; i < 2; i++) {
		r->to[i] = roll_some(dice, r->kind == ROUTE_EGRESS ? 3 : LEVELS);
		r->weights[i] = roll_some(dice, 3);
	}
	r->from = roll_some(dice, LEVELS);
	r->effect = (int)dice_roll(dice, ARRAY_LEN(effects));
	r->addresses = roll_some(dice, 3);
	r->target = dice_roll(dice, 2) == 0 ? 0 : 9000;
	r->through = (int)dice_roll(dice, 2 * LEVELS);
	r->direct = dice_roll(dice, 2) == 0;
	if (r->kind != ROUTE_INGRESS || r->action != ROUTE_APPLY)
		return;
	if (r->ports == 0 || (r->target != 0 && r->ports == 2))
		r->ports = 1 + 2 * (int)dice_roll(dice, 2);
	if (r->addresses == NONE)
		r->addresses = 0;
	if (r->weights[0] == NONE && r->weights[1] == NONE)
		r->weights[0] = 1;
}

static void
roll_route(struct dice *dice, struct route_spec *r, int level)
{
	r->level = level;
	r->priority = (int)dice_roll(dice, 2);
	r->app = roll_some(dice, 2);
	r->rule_count = 1 + (int)dice_roll(dice, RULES);
	for (int i = 0; i < r->rule_count; i++)
		roll_rule(dice, &r->rules[i]);
}

static void
roll_spec(struct dice *dice, struct spec *s)
{
	*s = (struct spec){0};
	for (int i = 1; i < LEVELS; i++)
		s->parent[i] = (int)dice_roll(dice, (unsigned)i);
	for (int i = 0; i < WORKLOADS; i++) {
		s->at[i] = (int)dice_roll(dice, LEVELS);
		s->app[i] = (int)dice_roll(dice, 2);
	}
	s->route_count = 1 + (int)dice_roll(dice, ROUTES - 1);
	for (int i = 0; i < s->route_count; i++)
		roll_route(dice, &s->routes[i], (int)dice_roll(dice, LEVELS));
}

/* ---- as YAML ---- */

struct printing {
	const struct spec *s;
	bool gone[LEVELS]; /* these levels are left out */
	bool split;        /* a rule for each port and peer */
	struct buf *out;
};

static void
print_path(struct buf *out, const struct printing *p, int level)
{
	if (level == 0)
		return;
	print_path(out, p, p->s->parent[level]);
	if (!p->gone[level])
		buf_printf(out, "/n%d", level);
}

static void
print_level(const struct printing *p, int level)
{
	size_t before = p->out->len;

	print_path(p->out, p, level);
	if (p->out->len == before)
		buf_add_char(p->out, '/');
}

/* What "to" has at place i, or (NONE) both. */
static void
print_to(const struct printing *p, const struct rule_spec *r, int which)
{
	const char *comma = "";

	if (r->to[0] == NONE && r->to[1] == NONE)
		return;
	buf_add_cstr(p->out, ", to: [");
	for (int i = 0; i < 2; i++) {
		if (r->to[i] == NONE || (which != NONE && which != i))
			continue;
		buf_add_cstr(p->out, comma);
		comma = ", ";
		if (r->kind == ROUTE_EGRESS) {
			buf_printf(p->out, "{cidr: '%s'}", networks[r->to[i]]);
			continue;
		}
		buf_add_cstr(p->out, "{namespace: ");
		print_level(p, r->to[i]);
		buf_add_char(p->out, '}');
	}
	buf_add_char(p->out, ']');
}

static void
print_ports(const struct printing *p, const struct rule_spec *r, int which)
{
	const char *comma = "";

	if (r->ports == 0)
		return;
	buf_add_cstr(p->out, ", ports: [");
	for (int i = 0; i < 2; i++) {
		if (port_sets[r->ports].items[i] == NULL ||
		    (which != NONE && which != i))
			continue;
		buf_printf(p->out, "%s%s", comma, port_sets[r->ports].items[i]);
		comma = ", ";
	}
	buf_add_char(p->out, ']');
}

static void
print_backends(const struct printing *p, const struct rule_spec *r)
{
	const char *comma = "";

	buf_add_cstr(p->out, ", to: [");
	for (int i = 0; i < 2; i++) {
		if (r->weights[i] == NONE)
			continue;
		buf_printf(p->out,
		    "%s{workloads: {matchLabels: {app: %c}}, weight: %d}", comma,
		    'a' + i, r->weights[i]);
		comma = ", ";
	}
	buf_printf(p->out, "]");
	if (r->target != 0)
		buf_printf(p->out, ", targetPort: %d", r->target);
}

static void
print_effect(const struct printing *p, const struct rule_spec *r)
{
	switch (r->kind) {
	case ROUTE_EGRESS:
		buf_printf(p->out, ", %s", effects[r->effect].text);
		return;
	case ROUTE_INGRESS:
		print_backends(p, r);
		return;
	case ROUTE_VIA:
		buf_add_cstr(p->out, ", through: {namespace: ");
		print_level(p, r->through / 2);
		buf_printf(p->out,
		    ", workloads: {matchLabels: {app: %c}}}, onFailure: %s",
		    'a' + r->through % 2, r->direct ? "direct" : "deny");
		return;
	}
}

static void
print_rule(const struct printing *p, const struct rule_spec *r, const char *name,
    int port, int to)
{
	buf_printf(p->out, "    - {name: %s, action: %s", name,
	    route_action_name(r->kind, r->action));
	print_ports(p, r, port);
	if (r->kind == ROUTE_INGRESS && r->addresses != NONE)
		buf_printf(p->out, ", address: [%s]", address_sets[r->addresses].text);
	if (r->kind != ROUTE_INGRESS)
		print_to(p, r, to);
	if (r->kind == ROUTE_VIA && r->from != NONE) {
		buf_add_cstr(p->out, ", from: [{namespace: ");
		print_level(p, r->from);
		buf_add_cstr(p->out, "}]");
	}
	if (r->action == ROUTE_APPLY)
		print_effect(p, r);
	buf_add_cstr(p->out, "}\n");
}

static void
print_parts(const struct printing *p, const struct rule_spec *r, const char *name)
{
	int ports = port_sets[r->ports].items[1] != NULL ? 2 : 1;
	bool both = r->kind != ROUTE_INGRESS && r->to[0] != NONE && r->to[1] != NONE;

	if (!p->split) {
		print_rule(p, r, name, NONE, NONE);
		return;
	}
	for (int i = 0; i < ports; i++) {
		for (int j = 0; j < (both ? 2 : 1); j++)
			print_rule(p, r, name, ports == 2 ? i : NONE, both ? j : NONE);
	}
}

static void
print_route(const struct printing *p, int number)
{
	const struct route_spec *r = &p->s->routes[number];
	static const enum phase phases[] = {PHASE_MANDATORY, PHASE_DEFAULT};

	buf_printf(p->out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
	    "metadata: {name: route%d, namespace: ",
	    number);
	print_level(p, r->level);
	buf_printf(p->out, "}\nspec:\n  priority: %d\n", r->priority);
	if (r->app != NONE)
		buf_printf(
		    p->out, "  workloads: {matchLabels: {app: %c}}\n", 'a' + r->app);
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		buf_printf(p->out, "  %s:\n", phase_name(phases[i]));
		for (int kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
			buf_printf(
			    p->out, "   %s:\n", route_kind_name((enum route_kind)kind));
			for (int j = 0; j < r->rule_count; j++) {
				char name[16];

				if (r->rules[j].phase != phases[i] ||
				    (int)r->rules[j].kind != kind)
					continue;
				(void)snprintf(name, sizeof(name), "r%d-%d", number, j);
				print_parts(p, &r->rules[j], name);
			}
		}
	}
}

static void
print_spec(const struct printing *p)
{
	buf_add_cstr(p->out, "apiVersion: v1\nkind: Node\n"
			     "metadata: {name: gw-1, labels: {edge: x}}\n");
	for (int i = 0; i < WORKLOADS; i++) {
		buf_printf(p->out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
		    "metadata: {name: w%d, labels: {app: %c}, namespace: ",
		    i, 'a' + p->s->app[i]);
		print_level(p, p->s->at[i]);
		buf_printf(p->out, "}\nspec: {ips: [10.0.0.%d", i + 1);
		if (i % 2 == 0)
			buf_printf(p->out, ", 'fd00::%d'", i + 1);
		buf_add_cstr(p->out, "]}\n");
	}
	for (int i = 0; i < p->s->route_count; i++)
		print_route(p, i);
}

/* ---- read back ---- */

struct reading {
	struct arena *arena;
	struct buf text;
	struct source source;
	struct model *m;
	const struct workload *w[WORKLOADS];
};

static bool
read_spec(struct reading *r, const struct spec *s, const bool *gone, bool split)
{
	struct printing p = {.s = s, .split = split};
	struct bundle bundle = {&r->source, 1};
	struct diag_list diags;
	struct buf told = {0};

	*r = (struct reading){.arena = arena_new()};
	for (int i = 0; gone != NULL && i < LEVELS; i++)
		p.gone[i] = gone[i];
	p.out = &r->text;
	print_spec(&p);
	r->source = (struct source){STR("routes.yaml"), buf_str(&r->text)};
	diag_list_init(&diags, r->arena);
	if (!model_load(r->arena, &bundle, NULL, &diags, &r->m)) {
		diag_render_text(&told, &diags);
		(void)fprintf(stderr, "%s\n%s\n", told.data, r->text.data);
		buf_free(&told);
		return false;
	}
	for (size_t i = 0; i < r->m->workload_count; i++)
		r->w[r->m->workloads[i]->name.ptr[1] - '0'] = r->m->workloads[i];
	return true;
}

static void
reading_fini(struct reading *r)
{
	buf_free(&r->text);
	arena_free(r->arena);
}

/* ---- questions ---- */

/* Workload `w` and, by kind, an outside address, a published one or another workload. */
struct ask {
	enum route_kind kind;
	int w, other, probe;
};

static const int others[ROUTE_KIND_COUNT] = {[ROUTE_EGRESS] = ARRAY_LEN(outside),
    [ROUTE_INGRESS] = ARRAY_LEN(published),
    [ROUTE_VIA] = WORKLOADS};

static bool
next_ask(struct ask *ask)
{
	if (++ask->probe < (int)ARRAY_LEN(probes))
		return true;
	ask->probe = 0;
	if (++ask->other < others[ask->kind])
		return true;
	ask->other = 0;
	if (++ask->w < WORKLOADS)
		return true;
	ask->w = 0;
	ask->kind++;
	return ask->kind < ROUTE_KIND_COUNT;
}

static struct flow
flow_of(const struct reading *r, const struct ask *ask)
{
	struct flow flow = {.src = endpoint_of_workload(r->m, r->w[ask->w]),
	    .proto = probes[ask->probe].proto,
	    .port = probes[ask->probe].port};
	struct ip_addr addr = {0};
	const char *text;

	flow.src.has_addr = true;
	flow.src.addr = r->w[ask->w]->ips[0];
	if (ask->kind == ROUTE_VIA) {
		flow.dst = endpoint_of_workload(r->m, r->w[ask->other]);
		flow.dst.has_addr = true;
		flow.dst.addr = r->w[ask->other]->ips[0];
		return flow;
	}
	text = ask->kind == ROUTE_EGRESS ? outside[ask->other] : published[ask->other];
	if (!ip_parse(str_from(text), &addr))
		abort();
	flow.dst = endpoint_of_addr(r->m, addr);
	return flow;
}

static struct route_found
walk_of(const struct reading *r, const struct ask *ask)
{
	struct flow flow = flow_of(r, ask);

	return route_walk(r->m, r->w[ask->w], ask->kind, &flow, NULL);
}

static struct str
name_of(struct route_found found)
{
	return found.rule != NULL ? found.rule->name : STR("-");
}

/* ---- the second implementation ---- */

struct entry {
	int route, rule;
};

static const struct spec *sorting;

static int
entry_rank(const struct entry *e)
{
	const struct route_spec *r = &sorting->routes[e->route];
	bool mandatory = r->rules[e->rule].phase == PHASE_MANDATORY;
	int d = depth(sorting, r->level);

	return mandatory ? d : 100 - d;
}

static int
entry_cmp(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	const struct route_spec *p = &sorting->routes[a->route];
	const struct route_spec *q = &sorting->routes[b->route];

	if (entry_rank(a) != entry_rank(b))
		return entry_rank(a) - entry_rank(b);
	if (p->priority != q->priority)
		return p->priority - q->priority;
	return a->route != b->route ? a->route - b->route : a->rule - b->rule;
}

static bool
spec_ports(const struct rule_spec *r, int probe)
{
	return port_sets[r->ports].takes[0][probe] ||
	       port_sets[r->ports].takes[1][probe];
}

static bool
spec_via(const struct spec *s, const struct rule_spec *r, const struct ask *ask)
{
	int ends[2] = {ask->w, ask->other};
	bool any = r->to[0] == NONE && r->to[1] == NONE, to = false;

	for (int i = 0; i < 2; i++) {
		to |= r->to[i] != NONE && within(s, s->at[ask->other], r->to[i]);
		if (r->action == ROUTE_APPLY && s->app[ends[i]] == r->through % 2 &&
		    within(s, s->at[ends[i]], r->through / 2))
			return false;
	}
	return (any || to) && (r->from == NONE || within(s, s->at[ask->w], r->from));
}

static bool
spec_matches(const struct spec *s, const struct rule_spec *r, const struct ask *ask)
{
	bool any = r->to[0] == NONE && r->to[1] == NONE;

	if (r->kind != ask->kind || !spec_ports(r, ask->probe))
		return false;
	if (r->kind == ROUTE_VIA)
		return spec_via(s, r, ask);
	if (r->kind == ROUTE_INGRESS)
		return r->addresses == NONE ||
		       address_sets[r->addresses].has[ask->other];
	return any || (r->to[0] != NONE && in_network[r->to[0]][ask->other]) ||
	       (r->to[1] != NONE && in_network[r->to[1]][ask->other]);
}

/* One flat list, sorted; `pass` strikes out what is left of its level. */
static struct entry
flat_answer(const struct spec *s, const struct ask *ask)
{
	struct entry list[ROUTES * RULES];
	size_t count = 0;

	for (int i = 0; i < s->route_count; i++) {
		const struct route_spec *r = &s->routes[i];

		if (!within(s, s->at[ask->w], r->level) ||
		    (r->app != NONE && r->app != s->app[ask->w]))
			continue;
		for (int j = 0; j < r->rule_count; j++) {
			if (spec_matches(s, &r->rules[j], ask))
				list[count++] = (struct entry){i, j};
		}
	}
	sorting = s;
	if (count > 0)
		qsort(list, count, sizeof(list[0]), entry_cmp);
	for (size_t i = 0; i < count;) {
		int rank = entry_rank(&list[i]);

		if (s->routes[list[i].route].rules[list[i].rule].action != ROUTE_PASS)
			return list[i];
		while (i < count && entry_rank(&list[i]) == rank)
			i++;
	}
	return (struct entry){NONE, NONE};
}

static void
flat_effect(
    const struct spec *s, const struct ask *ask, struct entry e, struct buf *out)
{
	const struct rule_spec *r = &s->routes[e.route].rules[e.rule];
	bool there = false;

	if (r->action != ROUTE_APPLY) {
		buf_add_cstr(out, r->action == ROUTE_DENY ? " refused" : " as-it-is");
		return;
	}
	if (r->kind == ROUTE_EGRESS) {
		buf_add_cstr(out, effects[r->effect].refuses[ask->other == 3]
				      ? " refused"
				      : " taken");
		return;
	}
	/* The first address of every workload is IPv4: so are these flows. */
	for (int i = 0; i < WORKLOADS; i++)
		there |=
		    s->app[i] == r->through % 2 && within(s, s->at[i], r->through / 2);
	buf_add_cstr(out, there ? " taken" : r->direct ? " as-it-is" : " refused");
	for (int i = 0; i < WORKLOADS; i++) {
		if (s->app[i] == r->through % 2 && within(s, s->at[i], r->through / 2))
			buf_printf(out, " w%d", i);
	}
}

static void
flat_say(const struct spec *s, const struct ask *ask, struct buf *out)
{
	struct entry e = flat_answer(s, ask);

	if (ask->kind == ROUTE_VIA && ask->w == ask->other)
		e.route = NONE; /* to itself */
	if (e.route == NONE) {
		buf_add_cstr(out, "- as-it-is");
		return;
	}
	buf_printf(out, "r%d-%d", e.route, e.rule);
	flat_effect(s, ask, e, out);
}

/* Is claim `a` before `b`? Paths are compared as texts, as the model sorts them. */
static bool
claim_before(const struct spec *s, struct entry a, struct entry b)
{
	struct printing p = {.s = s};
	struct buf x = {0}, y = {0};
	int paths;

	sorting = s;
	if (entry_rank(&a) != entry_rank(&b))
		return entry_rank(&a) < entry_rank(&b);
	print_path(&x, &p, s->routes[a.route].level);
	print_path(&y, &p, s->routes[b.route].level);
	paths = str_cmp(buf_str(&x), buf_str(&y));
	buf_free(&x);
	buf_free(&y);
	return paths != 0 ? paths < 0 : entry_cmp(&a, &b) < 0;
}

/* "r1-2 taken w0:443*1/2 w3:443*1/2" for a published address; ask->w counts for nothing. */
static void
flat_say_published(const struct spec *s, const struct ask *ask, struct buf *out)
{
	struct entry first = {NONE, NONE};
	const struct rule_spec *r;
	int members[2] = {0, 0}, total = 0;
	bool takes[WORKLOADS];

	for (int i = 0; i < WORKLOADS; i++) {
		struct ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
		struct entry e = flat_answer(s, &one);

		if (e.route != NONE &&
		    s->routes[e.route].rules[e.rule].action == ROUTE_APPLY &&
		    (first.route == NONE || claim_before(s, e, first)))
			first = e;
	}
	if (first.route == NONE) {
		buf_add_cstr(out, "- as-it-is");
		return;
	}
	r = &s->routes[first.route].rules[first.rule];
	for (int i = 0; i < WORKLOADS; i++) {
		struct ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
		struct entry e = flat_answer(s, &one);

		takes[i] = e.route == first.route && e.rule == first.rule &&
			   r->weights[s->app[i]] != NONE &&
			   (ask->other < 2 || i % 2 == 0);
		if (takes[i] && members[s->app[i]]++ == 0)
			total += r->weights[s->app[i]];
	}
	buf_printf(
	    out, "r%d-%d %s", first.route, first.rule, total > 0 ? "taken" : "refused");
	for (int i = 0; i < WORKLOADS; i++) {
		int lo = r->ports == 3 ? 80 : 443, port = probes[ask->probe].port;

		if (takes[i])
			buf_printf(out, " w%d:%d*%d/%d", i,
			    r->target != 0 ? r->target + port - lo : port,
			    r->weights[s->app[i]], total * members[s->app[i]]);
	}
}

/* ---- the first, in the same words ---- */

static void
say_outcome(struct buf *out, struct route_found by, enum route_outcome outcome)
{
	static const char *const names[] = {"as-it-is", "taken", "refused"};

	buf_add_str(out, name_of(by));
	buf_printf(out, " %s", names[outcome]);
}

static void
say_published(const struct reading *r, const struct flow *flow, struct buf *out)
{
	struct route_ingress in;
	bool by_number[WORKLOADS] = {false};

	route_ingress(r->arena, r->m, flow, &in);
	say_outcome(out, in.by, in.outcome);
	for (size_t i = 0; i < in.target_count; i++)
		by_number[in.targets[i].workload->name.ptr[1] - '0'] = true;
	for (int w = 0; w < WORKLOADS; w++) {
		for (size_t i = 0; by_number[w] && i < in.target_count; i++) {
			const struct route_target *t = &in.targets[i];

			if (t->workload != r->w[w])
				continue;
			buf_printf(out, " w%d:%d*%d/%d", w, (int)t->flow.port,
			    (int)t->weight, (int)(in.total_weight * t->among));
		}
	}
}

static void
say(const struct reading *r, const struct ask *ask, struct buf *out)
{
	struct flow flow = flow_of(r, ask);
	struct route_egress egress;
	struct route_via via;

	switch (ask->kind) {
	case ROUTE_EGRESS:
		route_egress(r->arena, r->m, &flow, &egress);
		say_outcome(out, egress.by, egress.outcome);
		return;
	case ROUTE_INGRESS:
		say_published(r, &flow, out);
		return;
	case ROUTE_VIA:
		route_via(r->arena, r->m, &flow, &via);
		say_outcome(out, via.by, via.outcome);
		for (int w = 0; w < WORKLOADS; w++) {
			for (size_t i = 0; i < via.through_count; i++) {
				if (via.through[i] == r->w[w])
					buf_printf(out, " w%d", w);
			}
		}
		return;
	}
}

/* ---- laws ---- */

struct trial {
	const struct spec *s;
	struct reading *base;
	struct dice *dice;
	uint64_t seed;
	unsigned long decided;
};

static bool
broken(const struct trial *t, const struct ask *ask, const char *law, struct str is,
    struct str other)
{
	(void)fprintf(stderr,
	    "law (%s), seed %llu: %s w%d %d probe %d: %.*s, but %.*s\n%s\n", law,
	    (unsigned long long)t->seed, route_kind_name(ask->kind), ask->w, ask->other,
	    ask->probe, STR_ARG(is), STR_ARG(other), t->base->text.data);
	return false;
}

static bool
law_flat(struct trial *t)
{
	struct ask ask = {0};
	bool ok = true;

	do {
		struct buf x = {0}, y = {0};

		say(t->base, &ask, &x);
		if (ask.kind == ROUTE_INGRESS)
			flat_say_published(t->s, &ask, &y);
		else
			flat_say(t->s, &ask, &y);
		t->decided += x.data[0] == 'r';
		ok = str_eq(buf_str(&x), buf_str(&y)) ||
		     broken(t, &ask, "d", buf_str(&x), buf_str(&y));
		buf_free(&x);
		buf_free(&y);
	} while (ok && next_ask(&ask));
	return ok;
}

typedef bool keeps_fn(
    const struct trial *t, const struct ask *ask, struct route_found found, int level);

/* Every answer that `keeps` says must stay is the same in another world. */
static bool
same_answers(struct trial *t, const char *law, const struct spec *edited,
    const bool *gone, bool split, keeps_fn *keeps, int level)
{
	struct reading other;
	struct ask ask = {0};
	bool ok = read_spec(&other, edited, gone, split);

	while (ok) {
		struct route_found found = walk_of(t->base, &ask);
		struct str was = name_of(found);
		struct str is = name_of(walk_of(&other, &ask));

		if (keeps == NULL ||
		    (found.rule != NULL && keeps(t, &ask, found, level))) {
			t->decided += found.rule != NULL;
			ok = str_eq(was, is) || broken(t, &ask, law, was, is);
		}
		if (!next_ask(&ask))
			break;
	}
	if (!ok && other.text.data != NULL)
		(void)fprintf(stderr, "edited:\n%s\n", other.text.data);
	reading_fini(&other);
	return ok;
}

static bool
decided_above(
    const struct trial *t, const struct ask *ask, struct route_found found, int level)
{
	return found.rule->phase == PHASE_MANDATORY &&
	       (int)found.route->level->depth <= depth(t->s, level) &&
	       within(t->s, t->s->at[ask->w], level);
}

static bool
law_mandatory(struct trial *t)
{
	struct spec edited = *t->s;
	int level = (int)dice_roll(t->dice, LEVELS);

	for (int i = 0; i < edited.route_count; i++) {
		struct route_spec *r = &edited.routes[i];

		if (r->level != level && within(&edited, r->level, level))
			roll_route(t->dice, r, r->level);
	}
	/* And one more, somewhere below, where there is a below. */
	for (int below = level + 1; below < LEVELS && edited.route_count < ROUTES;
	     below++) {
		if (within(&edited, below, level))
			roll_route(
			    t->dice, &edited.routes[edited.route_count++], below);
	}
	return same_answers(t, "a", &edited, NULL, false, decided_above, level);
}

static bool
decided_nearer(const struct trial *t, const struct ask *ask UNUSED,
    struct route_found found, int level)
{
	return found.rule->phase == PHASE_MANDATORY ||
	       (int)found.route->level->depth > depth(t->s, level);
}

static bool
law_default(struct trial *t)
{
	struct spec edited = *t->s;
	int level = (int)dice_roll(t->dice, LEVELS);
	struct route_spec *r = &edited.routes[edited.route_count];

	if (edited.route_count == ROUTES)
		return true;
	edited.route_count++;
	roll_route(t->dice, r, level);
	for (int i = 0; i < r->rule_count; i++)
		r->rules[i].phase = PHASE_DEFAULT;
	return same_answers(t, "b", &edited, NULL, false, decided_nearer, level);
}

static bool
law_empty_level(struct trial *t)
{
	bool gone[LEVELS];

	for (int i = 0; i < LEVELS; i++)
		gone[i] = i != 0;
	for (int i = 0; i < WORKLOADS; i++)
		gone[t->s->at[i]] = false;
	for (int i = 0; i < t->s->route_count; i++) {
		const struct route_spec *r = &t->s->routes[i];

		gone[r->level] = false;
		for (int j = 0; j < r->rule_count; j++) {
			const struct rule_spec *rule = &r->rules[j];

			if (rule->kind != ROUTE_VIA)
				continue;
			gone[rule->through / 2] = false;
			if (rule->from != NONE)
				gone[rule->from] = false;
			for (int k = 0; k < 2; k++) {
				if (rule->to[k] != NONE)
					gone[rule->to[k]] = false;
			}
		}
	}
	return same_answers(t, "c", t->s, gone, false, NULL, 0);
}

static bool
law_split(struct trial *t)
{
	return same_answers(t, "e", t->s, NULL, true, NULL, 0);
}

static const struct {
	const char *name;
	bool (*holds)(struct trial *t);
} laws[] = {{"a", law_mandatory}, {"b", law_default}, {"c", law_empty_level},
    {"d", law_flat}, {"e", law_split}};

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	const struct run_option options[] = {{"--cases", &cases}, {"--seed", &seed}};
	unsigned long decided[ARRAY_LEN(laws)] = {0};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (uint64_t i = 0; i < cases && ok; i++) {
		struct reading base;
		struct dice dice;
		struct spec s;

		dice_init(&dice, seed + i);
		roll_spec(&dice, &s);
		ok = read_spec(&base, &s, NULL, false);
		for (size_t j = 0; j < ARRAY_LEN(laws) && ok; j++) {
			struct trial t = {&s, &base, &dice, seed + i, 0};

			ok = laws[j].holds(&t);
			decided[j] += t.decided;
		}
		reading_fini(&base);
	}
	(void)printf("%llu cases from seed %llu: %s;", (unsigned long long)cases,
	    (unsigned long long)seed, ok ? "held" : "BROKEN");
	for (size_t j = 0; j < ARRAY_LEN(laws); j++) {
		(void)printf(" (%s) %lu", laws[j].name, decided[j]);
		/* A law that nothing was asked of has not been tested. */
		ok = ok && decided[j] > 0;
	}
	(void)printf(" answers\n");
	return ok ? 0 : 1;
}
