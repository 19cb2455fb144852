/*
 * Routes and Quotas of a random cluster.
 */
#include "tests/property/cluster_words.h"
#include "tests/property/names.h"

/* ---- routes ---- */

static void
print_leaving(struct buf *out, struct dice *dice)
{
	static const char *const ways[] = {"action: direct", "action: deny",
	    "action: pass", "action: route, source: [198.51.100.7, \"2001:db8:5::7\"]",
	    "action: route, source: [198.51.100.8/30]",
	    "action: route, nextHop: [192.0.2.1], source: [198.51.100.9]",
	    "action: route, nextHop: [192.0.2.2, \"2001:db8::2\"]",
	    "action: route, table: 100",
	    "action: route, gateway: [node-1, node-0], source: [198.51.100.10]",
	    "action: route, gateway: [node-1]",
	    "action: route, gateway: {matchLabels: {zone: z1}}, source: [fd00:5::11]"};
	static const char *const ports[] = {"80/tcp", "53/udp, 1000-2000/tcp", "tcp"};

	buf_printf(out, "{%s", PICK(dice, ways));
	if (!cluster_chance(dice, 3)) {
		buf_add_cstr(out, ", to: [{");
		if (cluster_chance(dice, 2))
			buf_printf(out, "fqdn: \"%s\"", names_pattern(dice));
		else
			cluster_print_cidr(out, dice);
		buf_add_cstr(out, "}]");
	}
	if (cluster_chance(dice, 2))
		buf_printf(out, ", ports: [%s]", PICK(dice, ports));
	buf_add_char(out, '}');
}

static void
print_publishing(struct buf *out, struct dice *dice)
{
	static const char *const ports[] = {
	    "80/tcp", "443/tcp", "8000-8010/udp", "8005-8020/udp", "1-65535/tcp"};
	static const char *const limits[] = {"action: deny", "action: pass"};

	if (cluster_chance(dice, 4)) {
		buf_printf(
		    out, "{%s, ports: [%s]}", PICK(dice, limits), PICK(dice, ports));
		return;
	}
	buf_printf(out,
	    "{action: publish, address: [192.0.2.80, \"2001:db8::80\"], ports: [%s], "
	    "balance: %s, to: [{workloads: ",
	    PICK(dice, ports), cluster_chance(dice, 2) ? "hash" : "random");
	cluster_print_pods(out, dice);
	buf_printf(out, ", weight: %u}, {workloads: {}}]}", dice_roll(dice, 5));
}

static void
print_workloads(struct buf *out, struct dice *dice)
{
	buf_add_char(out, '{');
	if (cluster_chance(dice, 2)) {
		buf_printf(out, "namespace: %s, ", PICK(dice, cluster_paths));
	} else if (cluster_chance(dice, 3)) {
		buf_add_cstr(out, "namespaces: ");
		cluster_print_spaces(out, dice);
		buf_add_cstr(out, ", ");
	}
	buf_add_cstr(out, "workloads: ");
	cluster_print_pods(out, dice);
	buf_add_char(out, '}');
}

static void
print_via(struct buf *out, struct dice *dice)
{
	static const char *const actions[] = {"deny", "pass", "direct", "through",
	    "through", "through", "through, onFailure: direct"};
	static const char *const ports[] = {"80/tcp", "53/udp, 1000-2000/tcp", "http"};
	const char *action = PICK(dice, actions);

	buf_printf(out, "{action: %s", action);
	if (str_starts(str_from(action), STR("through"))) {
		buf_add_cstr(out, ", through: ");
		print_workloads(out, dice);
	}
	if (!cluster_chance(dice, 3)) {
		buf_add_cstr(out, ", to: [");
		print_workloads(out, dice);
		buf_add_char(out, ']');
	}
	if (cluster_chance(dice, 3)) {
		buf_add_cstr(out, ", from: [");
		print_workloads(out, dice);
		buf_add_char(out, ']');
	}
	if (cluster_chance(dice, 2))
		buf_printf(out, ", ports: [%s]", PICK(dice, ports));
	buf_add_char(out, '}');
}

static void
print_route_list(struct buf *out, struct dice *dice, const char *what,
    void (*print)(struct buf *out, struct dice *dice))
{
	unsigned count = dice_roll(dice, 4);

	buf_printf(out, "    %s: [", what);
	for (unsigned i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		print(out, dice);
	}
	buf_add_cstr(out, "]\n");
}

void
cluster_print_routes(struct buf *out, struct dice *dice)
{
	static const char *const levels[] = {"mandatory", "default"};
	unsigned count = 1 + dice_roll(dice, 2);

	for (unsigned i = 0; i < count; i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
		    "metadata: {name: r%u, namespace: %s}\nspec:\n",
		    i, PICK(dice, cluster_paths));
		for (unsigned l = 0; l < ARRAY_LEN(levels); l++) {
			buf_printf(out, "  %s:\n", levels[l]);
			print_route_list(out, dice, "egress", print_leaving);
			if (cluster_chance(dice, 2))
				print_route_list(
				    out, dice, "ingress", print_publishing);
			if (cluster_chance(dice, 3))
				print_route_list(out, dice, "via", print_via);
		}
	}
}

/* ---- quotas ---- */

void
cluster_print_quotas(struct buf *out, struct dice *dice)
{
	static const char *const limits[] = {"connectionsPerSecond: 0.5",
	    "connectionsPerSecond: 100, burst: 7", "connectionsPerSecond: 0",
	    "connections: 3", "connections: 1000", "egressBytesPerSecond: 1M",
	    "ingressBytesPerSecond: 20", "connections: 40, ingressBytesPerSecond: 9k"};
	unsigned count = 1 + dice_roll(dice, 3);

	for (unsigned i = 0; i < count; i++) {
		buf_printf(out,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Quota\n"
		    "metadata: {name: q%u, namespace: %s}\n"
		    "spec: {network: {%s, guaranteedPercent: %u}}\n",
		    i, PICK(dice, cluster_paths), PICK(dice, limits),
		    50 * dice_roll(dice, 3));
	}
}
