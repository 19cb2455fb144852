/*
 * What the control socket says.
 */
#include <string.h>

#include "enforcer/control/control.h"
#include "enforcer/control/way_report.h"
#include "enforcer/engine/engine_state.h"

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\":", key);
	buf_add_json(out, value);
}

static void
add_number(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void
add_bool(struct buf *out, const char *key, bool value)
{
	buf_printf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

static void
add_time(struct buf *out, const char *key, walltime_t t)
{
	char text[WALLTIME_TEXT_BYTES];

	buf_add_char(out, ',');
	if (t.ns == 0)
		buf_printf(out, "\"%s\":null", key);
	else
		add_member(out, key, str_from(walltime_format(t, text)));
}

void
control_answer_error(struct buf *out, struct str why)
{
	buf_add_char(out, '{');
	add_member(out, "error", why);
	buf_add_cstr(out, "}\n");
}

const char *
control_no_policy(const struct engine *e)
{
	if (e->apply.current == NULL)
		return "no policy is in force yet (`status` tells why)";
	if (e->apply.current->skeleton)
		return "no policy is in force yet (`status` tells why): everything "
		       "from or to workloadNetworks is denied, but what the node sends";
	return NULL;
}

/* ---- status ---- */

static void
add_source(struct buf *out, const struct engine *e, size_t index)
{
	const struct settings_source *settings = &e->settings.sources[index];
	const struct engine_source *s = &e->sources[index];
	struct kube_report report;

	buf_add_char(out, '{');
	add_member(out, "directory", settings->directory);
	buf_add_char(out, ',');
	add_member(out, "state", str_from(source_state_name(s->state)));
	add_time(out, "since", s->since);
	add_number(out, "errorCount", s->error_total);
	buf_add_cstr(out, ",\"errors\":[");
	for (size_t i = 0; i < s->error_count; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		buf_add_json(out, str_from(s->errors[i]));
	}
	buf_add_cstr(out, "],\"badFiles\":[");
	for (size_t i = 0; i < s->refused.len; i++) {
		const struct refused_file *f = s->refused.entries[i].value;

		buf_add_cstr(out, i != 0 ? ",{" : "{");
		add_member(out, "file", f->name);
		add_time(out, "since", f->since);
		add_number(out, "errorCount", f->total);
		add_bool(out, "closed", f->closed || f->excess);
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
	if (engine_kube_report(e, index, &report)) {
		buf_add_cstr(out, ",\"kinds\":");
		kube_report_status(out, &report);
	}
	buf_add_char(out, '}');
}

static void
add_program(struct buf *out, const struct program *p)
{
	size_t counts[SET_COUNT];
	bool first = true;

	program_counts(p, counts);
	add_number(out, "generation", p->number);
	add_time(out, "since", p->since);
	add_number(out, "workloads", p->model->workload_count);
	add_number(out, "localWorkloads", p->local_workloads);
	add_bool(out, "nodeKnown", program_knows_node(p));
	add_number(out, "policies", p->model->policy_count);
	add_number(out, "routes", p->model->route_count);
	add_number(out, "auditPolicies", p->model->audit_count);
	add_number(out, "namespaces", p->model->ns_count);
	add_number(out, "rules", p->real.chain_count);
	buf_add_cstr(out, ",\"elements\":{");
	for (size_t i = 0; i < SET_COUNT; i++) {
		if (counts[i] == 0)
			continue;
		buf_printf(out, "%s\"%s\":%zu", first ? "" : ",", table_sets[i].name,
		    counts[i]);
		first = false;
	}
	buf_add_char(out, '}');
}

static void
add_kernel(struct buf *out, const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	buf_add_cstr(out, ",\"kernel\":{");
	buf_printf(
	    out, "\"connected\":%s", engine_kernel_connected(e) ? "true" : "false");
	add_number(out, "generation", a->generation);
	add_bool(out, "owned", engine_apply_owns_table(e));
	add_bool(out, "limitsRates", (e->kernel.lacks & OP_LACKS_RATES) == 0);
	add_bool(out, "limitsConnections", (e->kernel.lacks & OP_LACKS_COUNTS) == 0);
	add_bool(out, "translation", (e->kernel.lacks & OP_LACKS_NAT) == 0);
	add_bool(out, "steering", (e->kernel.lacks & OP_LACKS_FIB) == 0);
	add_bool(out, "sourceValidation", engine_settings_validate(&e->settings));
	add_bool(out, "verified", a->digest_known && a->mismatches == 0);
	add_time(out, "lastApply", a->last_apply);
	add_number(out, "lastApplyMicroseconds", a->last_apply_us);
	add_number(out, "lastApplyOperations", a->last_ops);
	add_number(out, "heals", a->heals);
	add_time(out, "lastHeal", a->last_heal);
	add_number(out, "refusals", a->refusals);
	buf_add_char(out, ',');
	add_member(out, "refusal", str_from(a->refusal));
	buf_add_char(out, '}');
}

static void
add_flows(struct buf *out, const struct engine *e)
{
	const struct engine_flows *f = &e->flows;

	buf_printf(
	    out, ",\"flows\":{\"reading\":%s", f->log.fd >= 0 ? "true" : "false");
	add_number(out, "packets", f->packets);
	add_number(out, "records", f->records);
	add_number(out, "lost", f->log.lost);
	add_number(out, "unwritten", f->unwritten);
	add_number(out, "writeFailures", f->write_failures);
	buf_add_char(out, '}');
	if (!e->settings.audit)
		return;
	buf_printf(
	    out, ",\"audit\":{\"writable\":%s", e->audit.writable ? "true" : "false");
	add_number(out, "lines", e->audit.lines);
	add_number(out, "lost", e->audit.lost);
	buf_add_char(out, '}');
}

/* What policies that are only watched would have denied, by rule. */
static void
add_audited(struct buf *out, const struct engine *e)
{
	const struct engine_shadow *s = &e->shadow;
	bool some = false;

	buf_add_cstr(out, ",\"audited\":[");
	for (size_t i = 0; i < s->count_len && e->apply.current != NULL; i++) {
		const struct table_rule_chain *rule =
		    program_shadow_rule(e->apply.current, s->counts[i].number);

		if (rule == NULL)
			continue; /* of a policy that is gone, or enforced by now */
		buf_add_cstr(out, some ? ",{" : "{");
		add_member(out, "rule", str_from(rule->comment));
		add_number(out, "connections", s->counts[i].connections);
		buf_add_char(out, '}');
		some = true;
	}
	buf_add_char(out, ']');
}

static void
add_connections(struct buf *out, const struct engine *e)
{
	const struct engine_cut *c = &e->cut;

	buf_printf(out, ",\"connections\":{\"judged\":%s",
	    !c->wanted && !c->running ? "true" : "false");
	add_number(out, "listed", c->last_listed);
	add_number(out, "lists", c->lists);
	add_number(out, "lastMicroseconds", c->last_us);
	add_number(out, "cut", c->cut);
	add_number(out, "kept", c->kept);
	add_number(out, "adopted", e->adopt.adopted);
	add_number(out, "audited", e->shadow.denied);
	add_number(out, "failures", c->failures);
	add_bool(out, "adopting", e->adopt.open);
	buf_add_char(out, '}');
	add_audited(out, e);
}

static void
add_unfiltered(struct buf *out, const struct engine *e)
{
	const struct engine_unfiltered *u = &e->unfiltered;

	buf_add_cstr(out, ",\"unfiltered\":[");
	for (size_t i = 0; i < u->count; i++) {
		buf_add_cstr(out, i != 0 ? ",{" : "{");
		add_member(out, "bridge", str_from(u->bridges[i].name));
		add_number(out, "family", u->bridges[i].family == IP_V4 ? 4 : 6);
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

static void
add_interfaces(struct buf *out, const char *name,
    const struct interface_pattern *interfaces, size_t count)
{
	buf_printf(out, ",\"%s\":[", name);
	for (size_t i = 0; i < count; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		buf_add_json(out, str_from((const char *)interfaces[i].first));
	}
	buf_add_char(out, ']');
}

/* The role that forwards DNS. */
static void
add_resolver(struct buf *out, const struct engine_hold *hold)
{
	buf_printf(out, ",\"resolver\":{\"connected\":%s",
	    hold->channel.fd >= 0 ? "true" : "false");
	for (size_t i = 0; i < DNS_COUNTS; i++)
		add_number(out, dns_count_words[i].name, hold->counts[i]);
	buf_add_char(out, '}');
}

static void
add_names(struct buf *out, const struct engine *e)
{
	const struct engine_names *n = &e->names;

	if (e->settings.names_group == 0)
		return;
	buf_printf(out, ",\"names\":{\"mode\":\"%s\",\"reading\":%s",
	    e->settings.names_held ? "hold" : "observe",
	    !e->settings.names_held && n->log.fd >= 0 ? "true" : "false");
	add_number(out, "known", learnt_count(n->learnt));
	add_number(out, "questions", n->asked);
	add_number(out, "answers", n->answers);
	add_number(out, "unasked", n->unasked);
	add_number(out, "truncated", n->truncated);
	add_number(out, "malformed", n->log.malformed);
	add_number(out, "lost", n->log.lost);
	add_number(out, "learnt", n->news);
	add_number(out, "forgotten", n->forgotten);
	add_number(out, "full", n->full);
	add_number(out, "dropped", n->dropped);
	if (e->settings.names_held)
		add_resolver(out, &e->hold);
	buf_add_char(out, '}');
}

void
control_answer_names(struct engine *e, bool json, struct buf *out)
{
	if (e->settings.names_group == 0)
		control_answer_error(
		    out, STR("no names are learnt: the configuration has no dns"));
	else
		engine_names_print(e, json, out);
}

void
control_answer_status(struct engine *e, struct buf *out)
{
	buf_add_char(out, '{');
	add_member(out, "version", STR(RINGFENCE_VERSION));
	buf_add_char(out, ',');
	add_member(out, "node", e->settings.node);
	buf_add_char(out, ',');
	add_member(out, "state", str_from(engine_state_name(e)));
	add_bool(out, "pending",
	    engine_apply_is_busy(e) ||
		(e->apply.current != NULL && !engine_apply_is_in_force(e)));
	add_time(out, "started", e->started);
	add_number(out, "configErrors", e->config_errors);
	if (e->apply.current != NULL)
		add_program(out, e->apply.current);
	buf_add_cstr(out, ",\"sources\":[");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		add_source(out, e, i);
	}
	buf_add_char(out, ']');
	add_unfiltered(out, e);
	add_interfaces(out, "uplinks", e->settings.uplinks, e->settings.uplink_count);
	add_interfaces(out, "unrouted", e->unrouted, e->unrouted_count);
	add_kernel(out, e);
	add_connections(out, e);
	add_flows(out, e);
	way_report_status(e, out);
	add_names(out, e);
	buf_add_cstr(out, ",\"roles\":[");
	for (size_t i = 0; i < e->role_count; i++) {
		buf_add_cstr(out, i != 0 ? ",{" : "{");
		add_member(out, "name", str_from(e->roles[i].name));
		add_number(out, "pid", e->roles[i].pid);
		add_number(out, "restarts", e->roles[i].restarts);
		buf_add_char(out, '}');
	}
	buf_add_cstr(out, "]}\n");
}

/* ---- flows ---- */

void
control_answer_flows(struct engine *e, size_t count, struct buf *out)
{
	const struct engine_flows *f = &e->flows;
	size_t n = count < f->recent_count ? count : f->recent_count;

	for (size_t i = n; i > 0; i--) {
		size_t at =
		    (f->recent_next + ENGINE_RECENT_FLOWS - i) % ENGINE_RECENT_FLOWS;

		buf_add_str(out, buf_str(&f->recent[at]));
	}
}

void
control_answer_mark(const struct engine *e, struct buf *out)
{
	buf_printf(
	    out, "{\"mark\":{\"engine\":%llu", (unsigned long long)e->started.ns);
	add_number(out, "records", e->flows.records);
	add_number(out, "lost", e->flows.log.lost);
	buf_add_cstr(out, "}}\n");
}

/* ---- rules ---- */

static void
add_rule(struct buf *out, const struct table_rule_chain *rule, const char *action,
    uint64_t packets, uint64_t bytes)
{
	buf_printf(out, "{\"number\":%u,\"action\":\"%s\",\"direction\":\"%s\",",
	    (unsigned)rule->number, action, direction_name(rule->dir));
	add_member(out, "comment", str_from(rule->comment));
	buf_add_cstr(out, ",\"kind\":");
	buf_add_json(out, str_from(rule->policy_kind));
	buf_add_char(out, ',');
	add_member(out, "namespace", rule->namespace_path);
	buf_add_char(out, ',');
	add_member(out, "policy", rule->policy);
	buf_add_char(out, ',');
	add_member(out, "rule", rule->rule_name);
	add_number(out, "index", rule->rule_index);
	add_bool(out, "isolation", rule->isolation);
	if (rule->loc.source != NULL) {
		buf_add_char(out, ',');
		add_member(out, "file", rule->loc.source->name);
		add_number(out, "line", rule->loc.line);
	}
	add_number(out, "packets", packets);
	add_number(out, "bytes", bytes);
	buf_add_char(out, '}');
}

struct rules_answer {
	const struct engine *engine;
	const struct program *program;
	struct buf *out;
	size_t watched; /* of the shadow's chains those before it are dealt with */
};

static void
answer_rule(struct rules_answer *a, const struct table_rule_chain *rule,
    const char *action, uint64_t packets, uint64_t bytes)
{
	buf_add_cstr(a->out, a->out->len != 0 ? ",\n" : "\n");
	add_rule(a->out, rule, action, packets, bytes);
}

static uint64_t
audited_by(const struct engine *e, uint32_t number)
{
	const struct engine_shadow *s = &e->shadow;

	for (size_t i = 0; i < s->count_len; i++) {
		if (s->counts[i].number == number)
			return s->counts[i].connections;
	}
	return 0;
}

/* Those with numbers below `end` that deny only while policies that are watched count: they
 * have no packets, but connections that they would have denied. */
static void
answer_watched(struct rules_answer *a, uint64_t end)
{
	const struct program_side *shadow = &a->program->shadow;

	for (; a->watched < shadow->chain_count &&
	       shadow->chains[a->watched].number < end;
	     a->watched++) {
		const struct table_rule_chain *rule = &shadow->chains[a->watched];

		if (rule->action == ACTION_DENY && rule->policy.len != 0 &&
		    program_rule(a->program, rule->number) == NULL)
			answer_rule(
			    a, rule, "audit", audited_by(a->engine, rule->number), 0);
	}
}

static void
on_counter(void *arg, uint32_t number, uint64_t packets, uint64_t bytes)
{
	struct rules_answer *a = arg;
	const struct table_rule_chain *rule = program_rule(a->program, number);

	if (rule == NULL)
		return; /* of a program that comes or goes just now */
	answer_watched(a, number);
	answer_rule(a, rule, action_name(rule->action), packets, bytes);
}

void
control_answer_rules(struct engine *e, const struct proc_msg *answer, struct buf *out)
{
	struct buf list = {0};
	struct rules_answer a = {
	    .engine = e, .program = e->apply.current, .out = &list};

	if (a.program == NULL || !kernel_counters_read(answer, on_counter, &a)) {
		control_answer_error(out, STR("the counters cannot be read now"));
	} else {
		answer_watched(&a, UINT64_MAX);
		buf_add_char(out, '[');
		buf_add_str(out, buf_str(&list));
		buf_add_cstr(out, "]\n");
	}
	buf_free(&list);
}
