#include "enforcer/flows/flow_view.h"

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/model/learnt.h"

static const char *const reason_names[] = {
    [FLOW_RULE] = "rule",
    [FLOW_ISOLATION] = "isolation",
    [FLOW_CLUSTER_DEFAULT] = "cluster-default",
    [FLOW_NOT_PROGRAMMED] = "not-programmed",
    [FLOW_MIDSTREAM] = "midstream",
    [FLOW_LIMIT] = "limit",
    [FLOW_UNPUBLISHED] = "unpublished",
    [FLOW_VIA] = "via",
    [FLOW_NOT_FOLLOWED] = "not-followed",
    [FLOW_STRAY] = "stray",
    [FLOW_SPOOFED] = "spoofed",
    [FLOW_UNKNOWN] = "unknown",
};

const char *
flow_reason_name(enum flow_reason reason)
{
	return reason_names[reason];
}

/* ---- joining ---- */

/* Numbers that are no rule's. */
static bool
find_fixed_reason(uint32_t number, enum flow_reason *out_reason)
{
	static const struct {
		uint32_t number;
		enum flow_reason reason;
	} fixed[] = {
	    {NUMBER_CLUSTER_ALLOW, FLOW_CLUSTER_DEFAULT},
	    {NUMBER_CLUSTER_DENY, FLOW_CLUSTER_DEFAULT},
	    {NUMBER_GATE, FLOW_NOT_PROGRAMMED},
	    {NUMBER_MIDSTREAM, FLOW_MIDSTREAM},
	    {NUMBER_UNREADY, FLOW_UNPUBLISHED},
	    {NUMBER_UNPUBLISHED, FLOW_UNPUBLISHED},
	    {NUMBER_VIA_TRANSLATED, FLOW_VIA},
	    {NUMBER_VIA_POSED, FLOW_VIA},
	    {NUMBER_STRAY, FLOW_STRAY},
	    {NUMBER_SPOOFED, FLOW_SPOOFED},
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (fixed[i].number == number) {
			*out_reason = fixed[i].reason;
			return true;
		}
	}
	return false;
}

static enum flow_reason
find_reason(uint32_t number, const struct table_rule_chain *rule)
{
	enum flow_reason reason;

	if (find_fixed_reason(number, &reason))
		return reason;
	if (rule == NULL)
		return FLOW_UNKNOWN;
	if (str_is(str_from(rule->policy_kind), "Quota"))
		return FLOW_LIMIT;
	if (rule->unfollowed)
		return FLOW_NOT_FOLLOWED;
	return rule->isolation ? FLOW_ISOLATION : FLOW_RULE;
}

/* The numbers of the cluster default and of the gate say nothing about the end. The
 * walk does, for the first; what is not programmed is the end that nobody knows. */
static enum direction
find_direction(const struct flow_view *v, const struct program *p)
{
	const struct nflog_packet *packet = &v->record->packet;
	struct flow flow = {.proto = packet->proto, .port = packet->dst_port};

	if (v->reason == FLOW_RULE || v->reason == FLOW_ISOLATION ||
	    v->reason == FLOW_LIMIT || v->reason == FLOW_NOT_FOLLOWED)
		return v->rule->dir;
	if (p == NULL || v->record->crowd)
		return DIR_INGRESS;
	if (v->reason == FLOW_MIDSTREAM) /* nobody knows; the end that it was for */
		return v->dst != NULL || packet->to_node ? DIR_INGRESS : DIR_EGRESS;
	if (packet->at_destination)
		return DIR_INGRESS;
	if (v->reason == FLOW_SPOOFED) /* of the source only that it is another */
		return DIR_INGRESS;
	if (v->reason == FLOW_VIA || v->reason == FLOW_STRAY)
		return v->src != NULL ? DIR_EGRESS : DIR_INGRESS;
	if (v->reason != FLOW_CLUSTER_DEFAULT)
		return v->src == NULL && v->dst != NULL ? DIR_EGRESS : DIR_INGRESS;
	flow.src = endpoint_of_addr(p->model, packet->src);
	flow.dst = endpoint_of_addr(p->model, packet->dst);
	return evaluate_direction(p->model, &flow, DIR_EGRESS).allow ? DIR_INGRESS
								     : DIR_EGRESS;
}

/* Of several names the first. */
static void
see_name(void *ctx, const struct learnt_entry *entry)
{
	struct str *name = ctx;

	if (name->len == 0 || str_cmp(entry->name, *name) < 0)
		*name = entry->name;
}

static void
find_name(struct flow_view *v, const struct program *p)
{
	const struct learnt *learnt = p != NULL ? p->model->options.learnt : NULL;

	v->dst_name = STR("");
	if (learnt != NULL && v->direction == DIR_EGRESS && v->subject != NULL &&
	    v->dst == NULL && v->dst_node == NULL)
		learnt_names(
		    learnt, v->tenant, &v->record->packet.dst, see_name, &v->dst_name);
}

/* What was seen in the node's own hooks is of its addresses, whatever documents say of it. */
static const struct node *
node_at(const struct program *p, const struct ip_addr *addr, bool here)
{
	const struct node *node = model_node_at(p->model, addr);

	if (node == NULL && here)
		node = model_node(p->model, p->options.node);
	return node == NULL && here ? &p->node : node;
}

void
flow_view_make(struct flow_view *out_view, const struct program *program,
    const struct flows_record *record)
{
	const struct nflog_packet *packet = &record->packet;
	struct flow_view *v = out_view;

	*v = (struct flow_view){.record = record};
	if (program != NULL) {
		v->rule = packet->audit ? program_shadow_rule(program, packet->number)
					: program_rule(program, packet->number);
		if (!record->crowd) {
			v->src = model_workload_at(program->model, &packet->src);
			v->dst = model_workload_at(program->model, &packet->dst);
			v->src_node = node_at(program, &packet->src, packet->from_node);
			v->dst_node = node_at(program, &packet->dst, packet->to_node);
		}
	}
	v->reason = find_reason(packet->number, v->rule);
	v->allow = v->rule != NULL && v->rule->action == ACTION_ALLOW;
	v->direction = find_direction(v, program);
	v->subject = v->direction == DIR_EGRESS ? v->src : v->dst;
	v->tenant = v->subject != NULL ? ns_tenant(v->subject->ns) : STR("");
	find_name(v, program);
}

const char *
flow_view_verdict(const struct flow_view *v)
{
	if (v->record->packet.cut)
		return "cut";
	if (v->record->packet.audit)
		return "audit";
	return v->allow ? "allow" : "deny";
}

/* ---- JSON ---- */

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\":", key);
	buf_add_json(out, value);
}

static void
add_ip(struct buf *out, const struct ip_addr *addr)
{
	char text[IP_TEXT_BYTES];

	add_member(out, "address", str_from(ip_format(addr, text)));
}

static void
add_end(struct buf *out, const char *key, const struct flow_view *v, bool source)
{
	const struct nflog_packet *packet = &v->record->packet;
	const struct workload *w = source ? v->src : v->dst;
	const struct node *node = source ? v->src_node : v->dst_node;

	buf_printf(out, ",\"%s\":{", key);
	add_ip(out, source ? &packet->src : &packet->dst);
	if (packet->has_ports)
		buf_printf(out, ",\"port\":%u",
		    (unsigned)(source ? packet->src_port : packet->dst_port));
	if (w != NULL) {
		buf_add_char(out, ',');
		add_member(out, "workload", w->name);
		buf_add_char(out, ',');
		add_member(out, "namespace", w->ns->path);
	} else if (node != NULL) {
		buf_add_char(out, ',');
		add_member(out, "node", node->name);
	} else if (!source && v->dst_name.len != 0) {
		buf_add_char(out, ',');
		add_member(out, "name", v->dst_name);
	}
	buf_add_char(out, '}');
}

static void
add_policy(struct buf *out, const struct table_rule_chain *rule)
{
	if (rule == NULL || rule->policy.len == 0) {
		buf_add_cstr(out, ",\"policy\":null");
		return;
	}
	buf_add_cstr(out, ",\"policy\":{");
	add_member(out, "kind", str_from(rule->policy_kind));
	buf_add_char(out, ',');
	add_member(out, "namespace", rule->namespace_path);
	buf_add_char(out, ',');
	add_member(out, "name", rule->policy);
	if (str_is(str_from(rule->policy_kind), "Quota")) {
		buf_add_char(out, ',');
		add_member(out, "limit", rule->rule_name);
	} else if (!rule->isolation) {
		buf_printf(out, ",\"rule\":%u", (unsigned)rule->rule_index);
		if (rule->rule_name.len != 0) {
			buf_add_char(out, ',');
			add_member(out, "ruleName", rule->rule_name);
		}
	}
	if (rule->loc.source != NULL) {
		buf_add_char(out, ',');
		add_member(out, "file", rule->loc.source->name);
		buf_printf(out, ",\"line\":%u", (unsigned)rule->loc.line);
	}
	buf_add_char(out, '}');
}

void
flow_view_json(struct buf *out, const struct flow_view *v)
{
	char time[WALLTIME_TEXT_BYTES], proto[8];

	buf_add_char(out, '{');
	add_member(out, "time", str_from(walltime_format(v->record->time, time)));
	buf_printf(out, ",\"verdict\":\"%s\"", flow_view_verdict(v));
	if (!v->record->crowd) {
		buf_printf(out, ",\"direction\":\"%s\"", direction_name(v->direction));
		add_end(out, "src", v, true);
		add_end(out, "dst", v, false);
		buf_printf(out, ",\"protocol\":\"%s\"",
		    proto_name(v->record->packet.proto, proto));
	}
	if (v->tenant.len != 0) {
		buf_add_char(out, ',');
		add_member(out, "tenant", v->tenant);
	}
	add_policy(out, v->rule);
	buf_printf(out, ",\"reason\":\"%s\",\"count\":%llu}",
	    flow_reason_name(v->reason), (unsigned long long)v->record->count);
}

void
flow_view_end(struct buf *out, const struct flow_view *v, bool source)
{
	const struct nflog_packet *packet = &v->record->packet;
	const struct workload *w = source ? v->src : v->dst;
	const struct node *node = source ? v->src_node : v->dst_node;
	char text[IP_TEXT_BYTES];

	if (v->record->crowd) {
		buf_add_cstr(out, "many");
	} else if (w != NULL) {
		buf_add_str(out, w->ns->path);
		buf_printf(
		    out, "%s%.*s", w->ns->depth == 0 ? "" : "/", STR_ARG(w->name));
	} else if (node != NULL) {
		buf_printf(out, "node/%.*s", STR_ARG(node->name));
	} else {
		buf_add_cstr(
		    out, ip_format(source ? &packet->src : &packet->dst, text));
	}
}
