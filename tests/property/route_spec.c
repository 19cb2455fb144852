#include "tests/property/route_spec.h"

#include "policy-lang/evaluate/route.h"

static const char *const networks[] = {
    "192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32"};
const struct spec_addresses spec_address_sets[3] = {
    {"203.0.113.1", {true, false, false}},
    {"203.0.113.2, '2001:db8:f::1'", {false, true, true}},
    {"203.0.113.1, 203.0.113.2", {true, true, false}}};
const struct spec_probe spec_probes[SPEC_PROBES] = {
    {PROTO_TCP, 443}, {PROTO_TCP, 85}, {PROTO_UDP, 53}};

const struct spec_ports spec_port_sets[4] = {
    {{NULL, NULL}, {{true, true, true}, {false, false, false}}},
    {{"443/tcp", NULL}, {{true, false, false}, {false, false, false}}},
    {{"80-90/tcp", "53/udp"}, {{false, true, false}, {false, false, true}}},
    {{"80-443/tcp", NULL}, {{true, true, false}, {false, false, false}}},
};
const struct spec_effect spec_effects[6] = {
    {"source: [203.0.113.7]", {false, true}},
    {"source: ['2001:db8:f::7', 203.0.113.8]", {false, false}},
    {"gateway: [gw-1]", {false, false}},
    {"gateway: {matchLabels: {edge: nowhere}}", {true, true}},
    {"nextHop: ['fd00::1']", {true, false}},
    {"table: 7", {false, false}},
};

bool
spec_within(const struct spec *s, int level, int top)
{
	while (level > top)
		level = s->parent[level];
	return level == top;
}

int
spec_depth(const struct spec *s, int level)
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
	r->ports = (int)dice_roll(dice, ARRAY_LEN(spec_port_sets));
	for (int i = 0; i < 2; i++) {
		r->to[i] = roll_some(dice, r->kind == ROUTE_EGRESS ? 3 : SPEC_LEVELS);
		r->weights[i] = roll_some(dice, 3);
	}
	r->from = roll_some(dice, SPEC_LEVELS);
	r->effect = (int)dice_roll(dice, ARRAY_LEN(spec_effects));
	r->addresses = roll_some(dice, 3);
	r->target = dice_roll(dice, 2) == 0 ? 0 : 9000;
	r->through = (int)dice_roll(dice, 2 * SPEC_LEVELS);
	r->direct = dice_roll(dice, 2) == 0;
	if (r->kind != ROUTE_INGRESS || r->action != ROUTE_APPLY)
		return;
	if (r->ports == 0 || (r->target != 0 && r->ports == 2))
		r->ports = 1 + 2 * (int)dice_roll(dice, 2);
	if (r->addresses == SPEC_NONE)
		r->addresses = 0;
	if (r->weights[0] == SPEC_NONE && r->weights[1] == SPEC_NONE)
		r->weights[0] = 1;
}

void
spec_roll_route(struct dice *dice, struct route_spec *r, int level)
{
	r->level = level;
	r->priority = (int)dice_roll(dice, 2);
	r->app = roll_some(dice, 2);
	r->rule_count = 1 + (int)dice_roll(dice, SPEC_RULES);
	for (int i = 0; i < r->rule_count; i++)
		roll_rule(dice, &r->rules[i]);
}

void
spec_roll(struct dice *dice, struct spec *s)
{
	*s = (struct spec){0};
	for (int i = 1; i < SPEC_LEVELS; i++)
		s->parent[i] = (int)dice_roll(dice, (unsigned)i);
	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		s->at[i] = (int)dice_roll(dice, SPEC_LEVELS);
		s->app[i] = (int)dice_roll(dice, 2);
	}
	s->route_count = 1 + (int)dice_roll(dice, SPEC_ROUTES - 1);
	for (int i = 0; i < s->route_count; i++)
		spec_roll_route(dice, &s->routes[i], (int)dice_roll(dice, SPEC_LEVELS));
}

/* ---- as YAML ---- */

void
spec_print_path(struct buf *out, const struct spec_printing *p, int level)
{
	if (level == 0)
		return;
	spec_print_path(out, p, p->s->parent[level]);
	if (!p->gone[level])
		buf_printf(out, "/n%d", level);
}

static void
print_level(const struct spec_printing *p, int level)
{
	size_t before = p->out->len;

	spec_print_path(p->out, p, level);
	if (p->out->len == before)
		buf_add_char(p->out, '/');
}

/* What "to" has at place i, or (SPEC_NONE) both. */
static void
print_to(const struct spec_printing *p, const struct rule_spec *r, int which)
{
	const char *comma = "";

	if (r->to[0] == SPEC_NONE && r->to[1] == SPEC_NONE)
		return;
	buf_add_cstr(p->out, ", to: [");
	for (int i = 0; i < 2; i++) {
		if (r->to[i] == SPEC_NONE || (which != SPEC_NONE && which != i))
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
print_ports(const struct spec_printing *p, const struct rule_spec *r, int which)
{
	const char *comma = "";

	if (r->ports == 0)
		return;
	buf_add_cstr(p->out, ", ports: [");
	for (int i = 0; i < 2; i++) {
		if (spec_port_sets[r->ports].items[i] == NULL ||
		    (which != SPEC_NONE && which != i))
			continue;
		buf_printf(p->out, "%s%s", comma, spec_port_sets[r->ports].items[i]);
		comma = ", ";
	}
	buf_add_char(p->out, ']');
}

static void
print_backends(const struct spec_printing *p, const struct rule_spec *r)
{
	const char *comma = "";

	buf_add_cstr(p->out, ", to: [");
	for (int i = 0; i < 2; i++) {
		if (r->weights[i] == SPEC_NONE)
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
print_effect(const struct spec_printing *p, const struct rule_spec *r)
{
	switch (r->kind) {
	case ROUTE_EGRESS:
		buf_printf(p->out, ", %s", spec_effects[r->effect].text);
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
print_rule(const struct spec_printing *p, const struct rule_spec *r, const char *name,
    int port, int to)
{
	buf_printf(p->out, "    - {name: %s, action: %s", name,
	    route_action_name(r->kind, r->action));
	print_ports(p, r, port);
	if (r->kind == ROUTE_INGRESS && r->addresses != SPEC_NONE)
		buf_printf(
		    p->out, ", address: [%s]", spec_address_sets[r->addresses].text);
	if (r->kind != ROUTE_INGRESS)
		print_to(p, r, to);
	if (r->kind == ROUTE_VIA && r->from != SPEC_NONE) {
		buf_add_cstr(p->out, ", from: [{namespace: ");
		print_level(p, r->from);
		buf_add_cstr(p->out, "}]");
	}
	if (r->action == ROUTE_APPLY)
		print_effect(p, r);
	buf_add_cstr(p->out, "}\n");
}

static void
print_parts(const struct spec_printing *p, const struct rule_spec *r, const char *name)
{
	int ports = spec_port_sets[r->ports].items[1] != NULL ? 2 : 1;
	bool both =
	    r->kind != ROUTE_INGRESS && r->to[0] != SPEC_NONE && r->to[1] != SPEC_NONE;

	if (!p->split) {
		print_rule(p, r, name, SPEC_NONE, SPEC_NONE);
		return;
	}
	for (int i = 0; i < ports; i++) {
		for (int j = 0; j < (both ? 2 : 1); j++)
			print_rule(p, r, name, ports == 2 ? i : SPEC_NONE,
			    both ? j : SPEC_NONE);
	}
}

static void
print_route(const struct spec_printing *p, int number)
{
	const struct route_spec *r = &p->s->routes[number];
	static const enum phase phases[] = {PHASE_MANDATORY, PHASE_DEFAULT};

	buf_printf(p->out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
	    "metadata: {name: route%d, namespace: ",
	    number);
	print_level(p, r->level);
	buf_printf(p->out, "}\nspec:\n  priority: %d\n", r->priority);
	if (r->app != SPEC_NONE)
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

void
spec_print(const struct spec_printing *p)
{
	buf_add_cstr(p->out, "apiVersion: v1\nkind: Node\n"
			     "metadata: {name: gw-1, labels: {edge: x}}\n");
	for (int i = 0; i < SPEC_WORKLOADS; i++) {
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
