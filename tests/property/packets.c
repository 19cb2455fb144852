#include "tests/property/packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile.h"
#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/load/load.h"
#include "policy-lang/table/table_walk.h"
#include "tests/property/cluster.h"
#include "tests/property/names.h"
#include "tests/unit/policy-lang/table_sim.h"

#define ADDRESS_MAX 400

struct trial {
	uint64_t seed;
	struct dice dice;
	struct cluster_texts texts;
	struct arena *arena;
	struct source sources[1 + CLUSTER_MAX];
	struct bundle bundle;
	struct model *model;
	struct learnt *learnt;
	struct str node;    /* as the compiler is told: "node-1", "east/node-1" */
	struct str name;    /* of the node */
	struct str cluster; /* of the node; "" with one */
	struct table_content content;
	struct ip_prefix gates[2];
	size_t gate_count;
	struct ip_addr addrs[ADDRESS_MAX];
	size_t addr_count;
	unsigned long compared, denied, ruled;
};

/* ---- a case ---- */

static void
add_addr(struct trial *t, const struct ip_addr *addr)
{
	if (t->addr_count < ADDRESS_MAX)
		t->addrs[t->addr_count++] = *addr;
}

static void
add_text(struct trial *t, const char *text)
{
	struct ip_addr addr;

	if (!ip_parse(str_from(text), &addr))
		base_die("address");
	add_addr(t, &addr);
}

/* The ends of a network and what is just outside of them. */
static void
add_edges(struct trial *t, const struct ip_prefix *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct ip_addr first, last, next;

		ip_prefix_range(&prefixes[i], &first, &last);
		add_addr(t, &first);
		add_addr(t, &last);
		if (ip_prev(&first, &next))
			add_addr(t, &next);
		if (ip_next(&last, &next))
			add_addr(t, &next);
	}
}

static void
add_list_edges(struct trial *t, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		for (size_t j = 0; j < list->rules[i].peer_count; j++) {
			const struct peer *peer = &list->rules[i].peers[j];

			if (peer->kind != PEER_NETWORK || dice_roll(&t->dice, 3) != 0)
				continue;
			add_edges(t, peer->prefixes, peer->prefix_count);
			add_edges(t, peer->excepts, peer->except_count);
		}
	}
}

static void
collect_addrs(struct trial *t)
{
	static const char *const others[] = {"192.0.2.7", "8.8.8.8", "2001:db8::7",
	    "10.1.0.77", "fd00:1::77", "10.9.0.99"};
	const struct model *m = t->model;

	t->addr_count = 0;
	for (size_t i = 0; i < m->workload_count; i++) {
		for (size_t j = 0; j < m->workloads[i]->ip_count; j++)
			add_addr(t, &m->workloads[i]->ips[j]);
	}
	for (size_t i = 0; i < m->node_count; i++) {
		for (size_t j = 0; j < m->nodes[i]->ip_count; j++)
			add_addr(t, &m->nodes[i]->ips[j]);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		add_text(t, others[i]);
	for (size_t i = 0; i < NAMES_ADDRESSES; i++)
		add_text(t, names_addresses[i]);
	for (size_t i = 0; i < m->policy_count; i++) {
		for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
			add_list_edges(t, &m->policies[i]->mandatory[d]);
			add_list_edges(t, &m->policies[i]->allow[d]);
			add_list_edges(t, &m->policies[i]->defaults[d]);
		}
	}
}

static void
print_case(const struct trial *t)
{
	for (size_t i = 0; i < t->bundle.count; i++)
		(void)fprintf(stderr, "# %.*s\n%.*s", STR_ARG(t->sources[i].name),
		    STR_ARG(t->sources[i].text));
}

/* The sources, and which clusters they are of. */
static void
bundle_case(struct trial *t, struct model_options *options)
{
	static const struct {
		struct str name, path;
	} clusters[CLUSTER_MAX] = {
	    {{"east", 4}, {"east.yaml", 9}}, {{"west", 4}, {"west.yaml", 9}}};

	t->sources[0] = (struct source){STR("tree.yaml"), buf_str(&t->texts.tree)};
	for (unsigned i = 0; i < t->texts.clusters; i++)
		t->sources[1 + i] =
		    (struct source){clusters[i].path, buf_str(&t->texts.kube[i])};
	t->bundle = (struct bundle){t->sources, 1 + t->texts.clusters};
	options->clusters = (const void *)clusters;
	options->cluster_count = t->texts.clusters;
}

/* Ports that rules speak of as well, none of them to speak of everywhere. */
static void
roll_fail_safe(struct trial *t, struct fail_safe *out)
{
	static const struct fail_safe_port ports[] = {{PROTO_TCP, 443, 443},
	    {PROTO_UDP, 53, 54}, {PROTO_TCP, 7000, 8000}, {PROTO_SCTP, 80, 90}};

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		unsigned first = dice_roll(&t->dice, ARRAY_LEN(ports));

		out->ports[d] = ports + first;
		out->count[d] = dice_roll(&t->dice, ARRAY_LEN(ports) - first + 1);
	}
}

static bool
load_case(struct trial *t)
{
	struct model_options options = {0};
	struct diag_list diags;
	struct world world;

	options.default_deny = dice_roll(&t->dice, 4) == 0;
	options.ip_blocks_skip_pods = dice_roll(&t->dice, 3) == 0;
	options.nodes_unprotected = dice_roll(&t->dice, 4) == 0;
	roll_fail_safe(t, &options.fail_safe);
	names_fill(t->learnt, &t->dice);
	options.learnt = dice_roll(&t->dice, 5) == 0 ? NULL : t->learnt;
	if (dice_roll(&t->dice, 4) == 0) {
		world_roll(&world, &t->dice);
		world.clusters = false; /* cluster_print does several */
		world_print(&t->texts.tree, &world, &(struct world_printing){0});
	} else {
		cluster_print(&t->texts, &t->dice);
	}
	bundle_case(t, &options);
	diag_list_init(&diags, t->arena);
	if (!model_load(t->arena, &t->bundle, &options, &diags, &t->model)) {
		struct buf told = {0};

		diag_render(&told, &diags, DIAG_TEXT);
		print_case(t);
		(void)fprintf(stderr, "\nseed %llu does not load:\n%s",
		    (unsigned long long)t->seed, told.data);
		buf_free(&told);
		return false;
	}
	collect_addrs(t);
	return true;
}

static bool
compile_case(struct trial *t, struct table_content *out)
{
	struct compile_options options = {
	    .node = t->node,
	    .settings = {.log_group = 100},
	    .workload_networks = t->gates,
	    .workload_network_count = t->gate_count,
	};
	struct diag_list diags;

	diag_list_init(&diags, t->arena);
	return compile_node(t->arena, t->model, &options, &diags, out);
}

/* The same model gives the same bytes, and they are a program that can be loaded. */
static bool
check_program(struct trial *t)
{
	struct table_content again;
	struct buf one = {0}, two = {0};
	char why[128] = "";
	bool ok = compile_case(t, &t->content) && compile_case(t, &again);

	if (ok && sim_insane(&t->content, why, sizeof(why)))
		ok = false;
	if (ok) {
		table_print_json(&one, &t->content);
		table_print_json(&two, &again);
		ok = str_eq(buf_str(&one), buf_str(&two));
	}
	if (!ok) {
		print_case(t);
		(void)fprintf(stderr, "\nseed %llu, %.*s: no good program: %s\n",
		    (unsigned long long)t->seed, STR_ARG(t->node), why);
	}
	buf_free(&one);
	buf_free(&two);
	return ok;
}

/* ---- packets ---- */

static uint16_t
random_port(struct dice *dice)
{
	static const uint16_t edges[] = {0, 1, 52, 53, 54, 79, 80, 81, 84, 85, 90, 91,
	    95, 96, 97, 442, 443, 444, 1023, 1024, 6999, 7000, 7001, 7003, 7004, 7999,
	    8000, 8080, 9000, 9001, 9090, 9091, 65535};

	if (dice_roll(dice, 4) == 0)
		return (uint16_t)dice_roll(dice, 65536);
	return edges[dice_roll(dice, (unsigned)ARRAY_LEN(edges))];
}

/* ICMP is of one family; what the other does with that number nobody asks. */
static uint8_t
random_proto(struct dice *dice, enum ip_family family)
{
	static const uint8_t protos[] = {PROTO_TCP, PROTO_TCP, PROTO_TCP, PROTO_UDP,
	    PROTO_UDP, PROTO_SCTP, 47, PROTO_ICMP};
	uint8_t proto = protos[dice_roll(dice, (unsigned)ARRAY_LEN(protos))];

	return proto == PROTO_ICMP && family == IP_V6 ? PROTO_ICMPV6 : proto;
}

static bool
has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

static bool
is_local(const struct trial *t, const struct endpoint *end)
{
	return end->kind == ENDPOINT_WORKLOAD &&
	       str_eq(end->workload->where->node, t->name) &&
	       str_eq(end->workload->where->cluster, t->cluster);
}

static bool
is_this_node(const struct trial *t, const struct endpoint *end)
{
	return end->kind == ENDPOINT_NODE && end->node != NULL &&
	       str_eq(end->node->name, t->name) &&
	       str_eq(end->node->cluster, t->cluster);
}

/* What the node's kernel should do with a flow. */
struct expected {
	bool accept;
	uint32_t numbers[4];
	size_t number_count;
};

static bool
in_gate(const struct trial *t, const struct ip_addr *addr)
{
	for (size_t i = 0; i < t->gate_count; i++) {
		if (ip_in_prefix(addr, &t->gates[i]))
			return true;
	}
	return false;
}

static bool
is_unknown(const struct trial *t, const struct ip_addr *addr)
{
	return in_gate(t, addr) && model_workload_at(t->model, addr) == NULL &&
	       model_node_at(t->model, addr) == NULL;
}

/* The number whose chain counts the verdict; none if no policy governs the end. */
static uint32_t
number_of(const struct trial *t, const struct verdict *v, enum direction dir)
{
	switch (v->reason) {
	case REASON_RULE:
		return v->rule->number;
	case REASON_ISOLATION:
		return v->policy->isolate_number[dir];
	case REASON_CLUSTER_DEFAULT:
		return t->model->options.default_deny ? NUMBER_CLUSTER_DENY
						      : NUMBER_CLUSTER_ALLOW;
	case REASON_FAIL_SAFE:
		return NUMBER_FAIL_SAFE;
	case REASON_NODE_OPEN:
		return NUMBER_NODE_ALLOW;
	case REASON_NO_POLICY:
	case REASON_SELF:
	case REASON_OWN_NODE:
		break;
	}
	return NUMBER_NONE;
}

static void
expect_direction(
    struct trial *t, const struct flow *flow, enum direction dir, struct expected *out)
{
	struct verdict v = evaluate_direction(t->model, flow, dir);
	uint32_t number = number_of(t, &v, dir);

	out->accept = v.allow;
	if (number != NUMBER_NONE)
		out->numbers[out->number_count++] = number;
	t->ruled += v.reason == REASON_RULE;
}

static struct expected
expect(struct trial *t, const struct flow *flow, enum table_hook hook)
{
	struct expected e = {.accept = true};

	if (hook != HOOK_OUTPUT &&
	    (is_unknown(t, &flow->src.addr) ||
		(hook == HOOK_FORWARD && is_unknown(t, &flow->dst.addr)))) {
		e.accept = false;
		e.numbers[e.number_count++] = NUMBER_GATE;
		return e;
	}
	if (is_local(t, &flow->src) || is_this_node(t, &flow->src))
		expect_direction(t, flow, DIR_EGRESS, &e);
	/* What the node sends its own workloads meets no chain of theirs. */
	if (e.accept && hook != HOOK_OUTPUT &&
	    (is_local(t, &flow->dst) || is_this_node(t, &flow->dst)))
		expect_direction(t, flow, DIR_INGRESS, &e);
	return e;
}

/* Numbers agree, but that an end that nothing governs is not counted at all; nor is a node
 * in a direction that no rule for it speaks of. */
static bool
numbers_agree(const struct expected *e, const struct table_verdict *v)
{
	size_t j = 0;

	for (size_t i = 0; i < e->number_count; i++) {
		if (j < v->number_count && v->numbers[j] == e->numbers[i])
			j++;
		else if (e->numbers[i] != NUMBER_CLUSTER_ALLOW &&
			 e->numbers[i] != NUMBER_NODE_ALLOW &&
			 e->numbers[i] != NUMBER_FAIL_SAFE)
			return false;
	}
	return j == v->number_count;
}

static bool
complain(const struct trial *t, const struct table_packet *p, const struct expected *e,
    const struct table_verdict *v)
{
	char from[IP_TEXT_BYTES], to[IP_TEXT_BYTES];

	print_case(t);
	(void)fprintf(stderr,
	    "\nseed %llu, %.*s: %s -> %s protocol %u port %u: policy %s, table %s\n",
	    (unsigned long long)t->seed, STR_ARG(t->node), ip_format(&p->saddr, from),
	    ip_format(&p->daddr, to), (unsigned)p->proto, (unsigned)p->dport,
	    e->accept ? "allows" : "denies", v->accept ? "accepts" : "drops");
	for (size_t i = 0; i < e->number_count; i++)
		(void)fprintf(stderr, "  policy: %u\n", (unsigned)e->numbers[i]);
	for (size_t i = 0; i < v->number_count; i++)
		(void)fprintf(stderr, "  table: %u\n", (unsigned)v->numbers[i]);
	return false;
}

static const struct ip_addr *
random_addr(struct trial *t)
{
	return &t->addrs[dice_roll(&t->dice, (unsigned)t->addr_count)];
}

/* An address of a workload of this node, if the dice find one soon. */
static const struct ip_addr *
local_addr(struct trial *t)
{
	const struct ip_addr *addr = random_addr(t);

	for (unsigned i = 0; i < 20; i++) {
		struct endpoint end = endpoint_of_addr(t->model, *addr);

		if (is_local(t, &end) || (i > 10 && is_this_node(t, &end)))
			break;
		addr = random_addr(t);
	}
	return addr;
}

static bool
compare_packet(struct trial *t)
{
	struct table_packet p = {.hook = HOOK_FORWARD};
	struct expected e;
	struct table_verdict v;
	struct flow flow;
	bool untouched; /* what the node sends keeps its priority if nobody judges it */
	bool out = dice_roll(&t->dice, 2) == 0;

	p.saddr = out ? *local_addr(t) : *random_addr(t);
	p.daddr = out ? *random_addr(t) : *local_addr(t);
	if (dice_roll(&t->dice, 16) == 0)
		p.daddr = p.saddr;
	if (p.saddr.family != p.daddr.family)
		return true;
	p.proto = random_proto(&t->dice, p.saddr.family);
	p.dport = random_port(&t->dice);
	flow = (struct flow){
	    .src = endpoint_of_addr(t->model, p.saddr),
	    .dst = endpoint_of_addr(t->model, p.daddr),
	    .proto = p.proto,
	    .port = has_ports(p.proto) ? p.dport : 0,
	};
	/* What stays inside a workload or the node crosses no hook, but where somebody has
	 * translated it. */
	if (flow.src.workload != NULL && flow.src.workload == flow.dst.workload) {
		if (!ip_eq(&p.saddr, &p.daddr))
			return true;
		p.translated = true;
	}
	if (is_this_node(t, &flow.src) && is_this_node(t, &flow.dst))
		return true;
	if (is_this_node(t, &flow.src))
		p.hook = HOOK_OUTPUT;
	else if (is_this_node(t, &flow.dst))
		p.hook = HOOK_INPUT;
	e = expect(t, &flow, p.hook);
	v = table_walk(&t->content, &p);
	t->compared++;
	t->denied += !e.accept;
	untouched = p.hook == HOOK_OUTPUT && v.number_count == 0;
	if (e.accept != v.accept || !numbers_agree(&e, &v) ||
	    (v.accept && v.priority != 0 && !untouched))
		return complain(t, &p, &e, &v);
	return true;
}

static void
name_node(struct trial *t, unsigned i, unsigned cluster)
{
	bool several = t->texts.clusters != 0;

	t->cluster = str_from(several ? cluster_names[cluster] : "");
	t->name = str_from(arena_printf(t->arena, "node-%u", i));
	t->node = str_from(arena_printf(t->arena, "%.*s%s%.*s", STR_ARG(t->cluster),
	    several ? "/" : "", STR_ARG(t->name)));
}

static bool
run_case(struct trial *t, uint64_t packets)
{
	bool ok = load_case(t);

	if (ok && dice_roll(&t->dice, 3) == 0)
		t->gate_count = 2;
	for (unsigned i = 0; ok && i < CLUSTER_NODES * CLUSTER_MAX; i++) {
		if (i >= CLUSTER_NODES && t->texts.clusters == 0)
			break;
		name_node(t, i % CLUSTER_NODES, i / CLUSTER_NODES);
		ok = check_program(t);
		for (uint64_t j = 0; j < packets && ok; j++)
			ok = compare_packet(t);
	}
	return ok;
}

bool
packets_agree(const struct dice *dice, uint64_t seed, uint64_t packets,
    struct packet_tally *tally)
{
	struct trial t = {
	    .seed = seed,
	    .dice = *dice,
	    .arena = arena_new(),
	    .learnt = learnt_new(20),
	};
	bool ok;

	if (!ip_prefix_parse(STR("10.1.0.0/16"), &t.gates[0], NULL) ||
	    !ip_prefix_parse(STR("fd00:1::/64"), &t.gates[1], NULL))
		base_die("prefix");
	ok = run_case(&t, packets);
	tally->compared += t.compared;
	tally->denied += t.denied;
	tally->ruled += t.ruled;
	learnt_free(t.learnt);
	buf_free(&t.texts.tree);
	for (unsigned i = 0; i < CLUSTER_MAX; i++)
		buf_free(&t.texts.kube[i]);
	arena_free(t.arena);
	return ok;
}
