/*
 * What else there is in a random cluster: external networks and who speaks of them, and
 * documents that mean nothing to a node.
 */
#include "tests/property/cluster_words.h"
#include "tests/property/names.h"

#define EXTERNALS 3 /* names of external networks: "e0" and so on */

static void
print_head(struct buf *out, const char *kind, const char *name, unsigned number,
    const char *home)
{
	buf_printf(out,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: %s\n"
	    "metadata: {name: %s%u, namespace: %s}\n",
	    kind, name, number, home);
}

/* ---- external networks ---- */

static void
print_external(struct buf *out, struct dice *dice, unsigned number, const char *home)
{
	static const char *const nets[] = {"192.0.2.0/24", "198.51.100.0/25",
	    "10.1.0.0/28, 192.0.2.7/32", "2001:db8::/64", "fd00:1::/126, 10.9.0.0/24"};
	const bool names = cluster_chance(dice, 3);

	print_head(out, "ExternalNetwork", "e", number, home);
	buf_add_cstr(out, "spec: {");
	if (names)
		buf_printf(out, "fqdns: [\"%s\"]", names_pattern(dice));
	if (!names || cluster_chance(dice, 2))
		buf_printf(out, "%scidrs: [%s]", names ? ", " : "", PICK(dice, nets));
	buf_add_cstr(out, "}\n");
}

/* Who speaks of one: a policy, or a Route. */
static void
print_namer(struct buf *out, struct dice *dice, unsigned number, const char *home)
{
	static const char *const lists[] = {"mandatory: {egress: [{action: deny, to",
	    "default: {ingress: [{action: deny, from", "allow: {egress: [{to"};
	static const char *const ways[] = {
	    "action: direct", "action: route, source: [198.51.100.7]", "action: deny"};
	const unsigned external = dice_roll(dice, EXTERNALS);

	if (cluster_chance(dice, 3)) {
		print_head(out, "Route", "t", number, home);
		buf_printf(out,
		    "spec: {default: {egress: [{%s, to: [{external: e%u}]}]}}\n",
		    PICK(dice, ways), external);
		return;
	}
	print_head(out, "Policy", "x", number, home);
	buf_printf(
	    out, "spec: {%s: [{external: e%u}]}]}}\n", PICK(dice, lists), external);
}

/* ---- what means nothing to a node ---- */

static void
print_silent(struct buf *out, struct dice *dice, unsigned number, const char *home)
{
	switch (dice_roll(dice, 3)) {
	case 0:
		print_head(out, "Access", "a", number, home);
		buf_printf(out,
		    "spec: {groups: [g%u], default: [{action: allow, verbs: [get], "
		    "resources: [pods]}]}\n",
		    dice_roll(dice, 3));
		break;
	case 1:
		print_head(out, "Quota", "s", number, home);
		buf_printf(
		    out, "spec: {requests: {perSecond: %u}}\n", 1 + dice_roll(dice, 9));
		break;
	default:
		print_head(out, "Test", "u", number, home);
		buf_printf(out,
		    "spec: {expect: [{from: 192.0.2.1, to: 192.0.2.2, ports: [80/tcp], "
		    "verdict: %s}]}\n",
		    cluster_chance(dice, 2) ? "allow" : "deny");
	}
}

static void
print_kube(struct buf *out, struct dice *dice, unsigned number)
{
	const unsigned ns = dice_roll(dice, CLUSTER_KUBE);

	if (cluster_chance(dice, 2))
		buf_printf(out,
		    "---\napiVersion: v1\nkind: Service\n"
		    "metadata: {name: v%u, namespace: k%u}\n"
		    "spec: {selector: {app: a%u}, clusterIP: 10.96.0.%u, "
		    "ports: [{port: 80}]}\n",
		    number, ns, dice_roll(dice, 3), 1 + dice_roll(dice, 9));
	else
		buf_printf(out,
		    "---\napiVersion: apps/v1\nkind: Deployment\n"
		    "metadata: {name: d%u, namespace: k%u}\n"
		    "spec: {template: {metadata: {labels: {app: a%u}}, spec: {}}}\n",
		    number, ns, dice_roll(dice, 3));
}

void
cluster_print_others(struct cluster_texts *out, struct dice *dice)
{
	struct buf *kube = out->clusters == 0 ? &out->tree : &out->kube[0];

	for (unsigned i = 0; i < EXTERNALS; i++) {
		print_external(&out->tree, dice, i, "/");
		if (cluster_chance(dice, 2))
			print_external(
			    &out->tree, dice, i, cluster_home(dice, out->clusters));
	}
	for (unsigned i = 0; i < 3; i++) {
		print_namer(&out->tree, dice, i, cluster_home(dice, out->clusters));
		print_silent(&out->tree, dice, i, cluster_home(dice, out->clusters));
		print_kube(kube, dice, i);
	}
}
