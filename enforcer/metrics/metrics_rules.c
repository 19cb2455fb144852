/*
 * The kernel's counters of rules and limits, as metrics: by the words of the program that is in
 * force.
 */
#include "common/prometheus.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/metrics/metrics_internal.h"

#define MAX_RULES 5000 /* in one answer; the rest is summed up */

/* A rule's labels, once for each of its two counters. */
static void
add_rule(struct buf *out, const char *what, const struct table_rule_chain *rule,
    uint64_t value)
{
	buf_printf(out,
	    "ringfence_rule_%s_total{number=\"%u\",action=\"%s\","
	    "direction=\"%s\",kind=\"%s\",namespace=\"",
	    what, (unsigned)rule->number, action_name(rule->action),
	    direction_name(rule->dir), rule->policy_kind);
	prometheus_add_value(out, rule->namespace_path);
	buf_add_cstr(out, "\",policy=\"");
	prometheus_add_value(out, rule->policy);
	buf_add_cstr(out, "\",rule=\"");
	if (rule->rule_name.len != 0)
		prometheus_add_value(out, rule->rule_name);
	else if (rule->policy.len == 0)
		buf_add_cstr(out, rule->comment);
	else if (rule->isolation)
		buf_add_cstr(out, "isolation");
	else
		buf_printf(out, "%u", (unsigned)rule->rule_index);
	buf_printf(out, "\"} %llu\n", (unsigned long long)value);
}

/* Of limits: what passed one, and what exceeded it. */
static void
add_limit(struct buf *out, const char *what, const struct table_rule_chain *rule,
    uint64_t value)
{
	buf_printf(out,
	    "ringfence_limit_%s_total{limit=\"%.*s\",result=\"%s\",namespace=\"", what,
	    STR_ARG(rule->rule_name),
	    rule->action == ACTION_DENY ? "exceeded" : "passed");
	prometheus_add_value(out, rule->namespace_path);
	buf_add_cstr(out, "\",quota=\"");
	prometheus_add_value(out, rule->policy);
	buf_printf(out, "\"} %llu\n", (unsigned long long)value);
}

struct rule_counters {
	const struct program *program;
	struct buf packets, bytes;
	struct buf limit_packets, limit_bytes;
	size_t count, limits;
	uint64_t denied[DIRECTION_COUNT];
};

static void
on_counter(void *arg, uint32_t number, uint64_t packets, uint64_t bytes)
{
	struct rule_counters *c = arg;
	const struct table_rule_chain *rule = program_rule(c->program, number);

	if (rule == NULL)
		return; /* of a program that comes or goes just now */
	if (str_is(str_from(rule->policy_kind), "Quota")) {
		if (!table_limit_is_whole(rule) || c->limits++ >= MAX_RULES)
			return;
		add_limit(&c->limit_packets, "packets", rule, packets);
		add_limit(&c->limit_bytes, "bytes", rule, bytes);
		return;
	}
	if (rule->action == ACTION_DENY)
		c->denied[rule->dir] += packets;
	if (c->count++ >= MAX_RULES)
		return;
	add_rule(&c->packets, "packets", rule, packets);
	add_rule(&c->bytes, "bytes", rule, bytes);
}

void
metrics_add_rules(
    const struct engine *e, const struct proc_msg *counters, struct buf *out)
{
	struct rule_counters c = {.program = e->apply.current};
	bool read = c.program != NULL && kernel_counters_read(counters, on_counter, &c);

	prometheus_add(out, "ringfence_rule_counters_read", "gauge",
	    "1 if the counters of rules could be read.", read ? 1 : 0);
	if (read) {
		prometheus_head(out, "ringfence_policy_drop_packets_total", "counter",
		    "First packets of connections that policy denied, by direction.");
		for (unsigned d = 0; d < DIRECTION_COUNT; d++)
			buf_printf(out,
			    "ringfence_policy_drop_packets_total{direction=\"%s\"} "
			    "%llu\n",
			    direction_name((enum direction)d),
			    (unsigned long long)c.denied[d]);
		prometheus_head(out, "ringfence_rule_packets_total", "counter",
		    "First packets of connections that a rule decided.");
		buf_add_str(out, buf_str(&c.packets));
		prometheus_head(
		    out, "ringfence_rule_bytes_total", "counter", "Their bytes.");
		buf_add_str(out, buf_str(&c.bytes));
		prometheus_head(out, "ringfence_limit_packets_total", "counter",
		    "Packets that a limit judged: of connections the first, of bytes "
		    "each.");
		buf_add_str(out, buf_str(&c.limit_packets));
		prometheus_head(
		    out, "ringfence_limit_bytes_total", "counter", "Their bytes.");
		buf_add_str(out, buf_str(&c.limit_bytes));
		prometheus_add(out, "ringfence_rules_not_listed", "gauge",
		    "Rules beyond those whose counters are listed.",
		    c.count > MAX_RULES ? c.count - MAX_RULES : 0);
	}
	buf_free(&c.limit_packets);
	buf_free(&c.limit_bytes);
	buf_free(&c.packets);
	buf_free(&c.bytes);
}
