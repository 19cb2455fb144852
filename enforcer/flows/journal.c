#include "enforcer/flows/journal.h"

#include <string.h>

#define PRIORITY_NOTICE "5"
#define PRIORITY_INFO   "6"

/* A value with a newline is written with its length; what a tenant wrote may have one. */
static void
add_field(struct buf *out, const char *name, struct str value)
{
	if (value.len == 0)
		return;
	buf_add_cstr(out, name);
	if (str_find(value, '\n', 0) == value.len) {
		buf_add_char(out, '=');
	} else {
		uint64_t len = value.len;

		buf_add_char(out, '\n');
		for (unsigned i = 0; i < sizeof(len); i++)
			buf_add_char(out, (char)(len >> (8 * i)));
	}
	buf_add_str(out, value);
	buf_add_char(out, '\n');
}

static void
add_number(struct buf *out, const char *name, uint64_t value)
{
	buf_printf(out, "%s=%llu\n", name, (unsigned long long)value);
}

static void
add_end(struct buf *out, const struct flow_view *v, bool source)
{
	const struct nflog_packet *p = &v->record->packet;
	const struct workload *w = source ? v->src : v->dst;
	const struct node *node = source ? v->src_node : v->dst_node;
	char text[IP_TEXT_BYTES];

	add_field(out, source ? "RINGFENCE_SRC_ADDRESS" : "RINGFENCE_DST_ADDRESS",
	    str_from(ip_format(source ? &p->src : &p->dst, text)));
	if (p->has_ports)
		add_number(out, source ? "RINGFENCE_SRC_PORT" : "RINGFENCE_DST_PORT",
		    source ? p->src_port : p->dst_port);
	if (w != NULL) {
		add_field(out,
		    source ? "RINGFENCE_SRC_WORKLOAD" : "RINGFENCE_DST_WORKLOAD",
		    w->name);
		add_field(out,
		    source ? "RINGFENCE_SRC_NAMESPACE" : "RINGFENCE_DST_NAMESPACE",
		    w->ns->path);
	} else if (node != NULL) {
		add_field(out, source ? "RINGFENCE_SRC_NODE" : "RINGFENCE_DST_NODE",
		    node->name);
	}
}

static void
add_rule(struct buf *out, const struct table_rule_chain *rule)
{
	if (rule == NULL || rule->policy.len == 0)
		return;
	add_field(out, "RINGFENCE_POLICY_KIND", str_from(rule->policy_kind));
	add_field(out, "RINGFENCE_POLICY_NAMESPACE", rule->namespace_path);
	add_field(out, "RINGFENCE_POLICY", rule->policy);
	add_field(out, "RINGFENCE_RULE", str_from(rule->comment));
	if (rule->loc.source == NULL)
		return;
	add_field(out, "RINGFENCE_FILE", rule->loc.source->name);
	add_number(out, "RINGFENCE_LINE", rule->loc.line);
}

static void
add_message(struct buf *out, const struct flow_view *v)
{
	struct buf text = {0};

	buf_printf(&text, "%s ", flow_view_verdict(v));
	flow_view_end(&text, v, true);
	buf_add_cstr(&text, " to ");
	flow_view_end(&text, v, false);
	if (!v->record->crowd) {
		char proto[8];

		buf_printf(&text, ", %s", proto_name(v->record->packet.proto, proto));
		if (v->record->packet.has_ports)
			buf_printf(&text, " %u", (unsigned)v->record->packet.dst_port);
	}
	buf_printf(&text, " (%s%s%s), %llu times", flow_reason_name(v->reason),
	    v->rule != NULL ? ": " : "", v->rule != NULL ? v->rule->comment : "",
	    (unsigned long long)v->record->count);
	add_field(out, "MESSAGE", buf_str(&text));
	buf_free(&text);
}

void
journal_add(struct buf *out, const struct flow_view *view)
{
	bool denied = !view->allow || view->record->packet.cut;
	char time[WALLTIME_TEXT_BYTES], proto[8];

	add_message(out, view);
	add_field(out, "MESSAGE_ID", STR(JOURNAL_FLOW_ID));
	add_field(out, "SYSLOG_IDENTIFIER", STR("ringfence-enforcer"));
	add_field(out, "PRIORITY", denied ? STR(PRIORITY_NOTICE) : STR(PRIORITY_INFO));
	add_field(
	    out, "RINGFENCE_TIME", str_from(walltime_format(view->record->time, time)));
	add_field(out, "RINGFENCE_VERDICT", str_from(flow_view_verdict(view)));
	add_field(out, "RINGFENCE_REASON", str_from(flow_reason_name(view->reason)));
	add_number(out, "RINGFENCE_COUNT", view->record->count);
	add_field(out, "RINGFENCE_TENANT", view->tenant);
	add_rule(out, view->rule);
	if (view->record->crowd)
		return;
	add_field(
	    out, "RINGFENCE_DIRECTION", str_from(direction_name(view->direction)));
	add_field(out, "RINGFENCE_PROTOCOL",
	    str_from(proto_name(view->record->packet.proto, proto)));
	add_end(out, view, true);
	add_end(out, view, false);
}
