#include "enforcer/metrics.h"

#include <stdlib.h>
#include <unistd.h>

#include "enforcer/engine_state.h"
#include "enforcer/server.h"
#include "enforcer/way_report.h"

#define QUESTION_BYTES 8192
#define MAX_RULES      5000 /* in one answer; the rest is summed up */

struct metrics {
	struct engine *engine;
	struct server *server;
};

/* ---- Prometheus text ---- */

static void
add_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP ringfence_%s %s\n# TYPE ringfence_%s %s\n", name, help,
	    name, type);
}

static void
add(struct buf *out, const char *name, const char *type, const char *help,
    uint64_t value)
{
	add_head(out, name, type, help);
	buf_printf(out, "ringfence_%s %llu\n", name, (unsigned long long)value);
}

static void
add_seconds(struct buf *out, const char *name, const char *help, int64_t ns)
{
	add_head(out, name, "gauge", help);
	buf_printf(out, "ringfence_%s %.6f\n", name, (double)ns / 1e9);
}

/* A label's value: backslash, quote and newline escaped. */
static void
add_label(struct buf *out, struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\\' || c == '"')
			buf_add_char(out, '\\');
		if (c == '\n')
			buf_add_cstr(out, "\\n");
		else
			buf_add_char(out, c);
	}
}

/* What became of changes of single files. */
static void
add_edits(const struct engine_edits *x, struct buf *out)
{
	add(out, "edits_total", "counter", "Files that were changed one by one.",
	    x->files);
	add(out, "edits_refused_total", "counter",
	    "Files that were changed and are refused: what they said before goes on.",
	    x->refused);
	add_head(out, "compiles_total", "counter",
	    "What changes took: the elements that they touch, the node's program anew, "
	    "or loading and compiling everything.");
	buf_printf(out,
	    "ringfence_compiles_total{kind=\"incremental\"} %llu\n"
	    "ringfence_compiles_total{kind=\"node\"} %llu\n"
	    "ringfence_compiles_total{kind=\"whole\"} %llu\n",
	    (unsigned long long)x->incremental, (unsigned long long)x->anew,
	    (unsigned long long)x->wholes);
	add(out, "edit_fallbacks_total", "counter",
	    "Changes whose effect took loading everything to tell.", x->beyond);
	histogram_write(out, "ringfence_edit_duration_seconds",
	    "How long it took to read changed files and to tell what changes in the "
	    "table.",
	    &x->durations);
}

static void
add_sources(const struct engine *e, struct buf *out)
{
	add_head(out, "source_good", "gauge",
	    "1 if what the source says is in force or could be.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_good{directory=\"");
		add_label(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %d\n", e->sources[i].state == SOURCE_GOOD ? 1 : 0);
	}
	add_head(out, "source_errors", "gauge", "Errors in what the source says.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_errors{directory=\"");
		add_label(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %u\n", e->sources[i].error_total);
	}
	add_head(out, "source_bad_files", "gauge",
	    "Files of the source that are refused: what they said before goes on.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_bad_files{directory=\"");
		add_label(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %zu\n", e->sources[i].refused.len);
	}
	add(out, "loads_total", "counter", "Times that the sources were read.",
	    e->load.loads);
	add(out, "load_failures_total", "counter",
	    "Times that they could not be put in force.", e->load.failures);
	add_seconds(out, "load_running_seconds",
	    "How long the load has taken that runs; 0 if none does.",
	    (int64_t)engine_load_ns(e, monotime_now()));
	add_edits(&e->edits, out);
}

static void
add_clusters(const struct engine *e, struct buf *out)
{
	struct kube_report reports[ENFORCER_MAX_SOURCES];
	size_t count = 0;

	for (size_t i = 0; i < e->settings.source_count; i++)
		count += engine_kube_report(e, i, &reports[count]);
	kube_report_metrics(out, reports, count);
}

static void
add_program(const struct program *p, struct buf *out)
{
	size_t counts[SET_COUNT];

	add(out, "program_generation", "gauge", "Number of the program in force.",
	    p->number);
	add_seconds(out, "program_since_seconds",
	    "When the program in force came into force, in UNIX time.", p->since.ns);
	add(out, "workloads", "gauge", "Workloads that are known.",
	    p->model->workload_count);
	add(out, "local_workloads", "gauge", "Workloads of this node.",
	    p->local_workloads);
	add(out, "policies", "gauge", "Policies that are known.",
	    p->model->policy_count);
	add(out, "routes", "gauge", "Routes that are known.", p->model->route_count);
	add(out, "rule_chains", "gauge", "Rules in force on this node.",
	    p->real.chain_count);
	add_seconds(out, "load_duration_seconds", "How long reading documents took.",
	    (int64_t)p->load_us * 1000);
	add_seconds(out, "compile_duration_seconds", "How long compiling took.",
	    (int64_t)p->compile_us * 1000);
	add_head(out, "set_elements", "gauge", "Elements of the sets of the table.");
	program_counts(p, counts);
	for (size_t i = 0; i < SET_COUNT; i++)
		buf_printf(out, "ringfence_set_elements{set=\"%s\"} %zu\n",
		    table_sets[i].name, counts[i]);
}

static void
add_apply(const struct engine *e, struct buf *out)
{
	const struct engine_apply *a = &e->apply;

	add(out, "table_owned", "gauge", "1 if nobody else can change the table.",
	    e->kernel.owned);
	add(out, "limits_rates_enforced", "gauge",
	    "1 if the kernel knows limits per second.",
	    (e->kernel.lacks & OP_LACKS_RATES) == 0);
	add(out, "limits_connections_enforced", "gauge",
	    "1 if the kernel knows limits of open connections.",
	    (e->kernel.lacks & OP_LACKS_COUNTS) == 0);
	add(out, "translation_enforced", "gauge",
	    "1 if the kernel can translate what Routes say.",
	    (e->kernel.lacks & OP_LACKS_NAT) == 0);
	add(out, "steering_enforced", "gauge",
	    "1 if the kernel can steer what Routes say.",
	    (e->kernel.lacks & OP_LACKS_FIB) == 0);
	add(out, "programs_total", "counter", "Programs put in force.", a->programs);
	histogram_write(out, "ringfence_commit_duration_seconds",
	    "How long the kernel took for a change.", &a->commits);
	histogram_write(out, "ringfence_policy_programming_duration_seconds",
	    "From a change of a source to its being in force.", &a->programming);
	add(out, "heals_total", "counter",
	    "Times that the table was changed by others and made anew.", a->heals);
	add(out, "looks_total", "counter", "Times that the table was read back.",
	    a->looks);
	add(out, "mismatches_total", "counter",
	    "Times that the table read back was not what was committed.",
	    a->mismatches);
	add(out, "kernel_refusals_total", "counter",
	    "Commits that the kernel did not take.", a->refusals);
	add(out, "stale_commits_total", "counter",
	    "Commits that another's change came before.", a->stale_total);
}

/* The role that forwards DNS. */
static void
add_resolver(const struct engine_hold *hold, struct buf *out)
{
	for (size_t i = 0; i < DNS_COUNTS; i++) {
		const bool gauge = i == DNS_COUNT_WAITING;
		char name[64];

		(void)snprintf(name, sizeof(name), "dns_resolver_%s%s",
		    dns_count_words[i].name, gauge ? "" : "_total");
		add(out, name, gauge ? "gauge" : "counter", dns_count_words[i].help,
		    hold->counts[i]);
	}
}

static void
add_names(const struct engine *e, struct buf *out)
{
	const struct engine_names *n = &e->names;

	if (e->settings.names_group == 0)
		return;
	add(out, "names_known", "gauge", "Addresses that tenants know by names.",
	    learnt_count(n->learnt));
	add(out, "names_learnt_total", "counter", "Addresses that became known.",
	    n->news);
	add(out, "names_forgotten_total", "counter", "Addresses that were forgotten.",
	    n->forgotten);
	add(out, "names_full_total", "counter",
	    "Addresses not learnt, as their tenant knew as much as it may.", n->full);
	add(out, "names_dropped_total", "counter",
	    "Addresses not learnt, as too many came while policy was loaded.",
	    n->dropped);
	if (e->settings.names_held) {
		add_resolver(&e->hold, out);
		return;
	}
	add(out, "dns_questions_total", "counter", "Questions that were read.",
	    n->asked);
	add(out, "dns_answers_total", "counter", "Answers that were believed.",
	    n->answers);
	add(out, "dns_unasked_total", "counter",
	    "Answers to no question, which were not.", n->unasked);
	add(out, "dns_truncated_total", "counter",
	    "Answers that did not say all, which were not.", n->truncated);
	add(out, "dns_malformed_total", "counter", "Messages that were no DNS.",
	    n->log.malformed);
	add(out, "dns_lost_total", "counter",
	    "Copies of DNS that the socket had no room for.", n->log.lost);
}

static void
add_flows(const struct engine *e, struct buf *out)
{
	const struct engine_flows *f = &e->flows;

	add_head(out, "flow_packets_total", "counter",
	    "First packets of connections that were logged, by verdict.");
	buf_printf(out,
	    "ringfence_flow_packets_total{verdict=\"deny\"} %llu\n"
	    "ringfence_flow_packets_total{verdict=\"allow\"} %llu\n",
	    (unsigned long long)f->denied, (unsigned long long)f->allowed);
	add(out, "flow_records_total", "counter", "Records written.", f->records);
	add(out, "flow_packets_lost_total", "counter",
	    "Logged packets that the socket had no room for.", f->log.lost);
	add(out, "flow_packets_malformed_total", "counter",
	    "Logged packets that could not be understood.", f->log.malformed);
	add_head(out, "flow_exported_records_total", "counter",
	    "Records sent to the journal or to a collector.");
	for (unsigned i = 0; i < EXPORT_COUNT; i++)
		buf_printf(out,
		    "ringfence_flow_exported_records_total{receiver=\"%s\"} %llu\n",
		    engine_export_name((enum enforcer_export)i),
		    (unsigned long long)e->exports[i].sent);
	add_head(out, "flow_export_lost_records_total", "counter",
	    "Records that a receiver did not take.");
	for (unsigned i = 0; i < EXPORT_COUNT; i++)
		buf_printf(out,
		    "ringfence_flow_export_lost_records_total{receiver=\"%s\"} %llu\n",
		    engine_export_name((enum enforcer_export)i),
		    (unsigned long long)e->exports[i].lost);
	add(out, "flow_write_failures_total", "counter",
	    "Failed writes to the flow log.", f->write_failures);
	add(out, "audit_lines_total", "counter", "Lines for the audit log.",
	    e->audit.lines);
	add(out, "audit_lines_lost_total", "counter",
	    "Lines that did not reach the audit log.", e->audit.lost);
	add(out, "audit_questions_passed_over_total", "counter",
	    "Questions over the control socket that were too many for records of their "
	    "own.",
	    e->audit.passed_over);
}

static void
add_connections(const struct engine *e, struct buf *out)
{
	const struct engine_cut *c = &e->cut;

	add(out, "connections_cut_total", "counter",
	    "Established connections that were ended because policy forbids them.",
	    c->cut);
	add(out, "connections_kept_total", "counter",
	    "Times that one was found forbidden and kept.", c->kept);
	add(out, "connections_adopted_total", "counter",
	    "Connections of before the first program that were made known.",
	    e->adopt.adopted);
	add(out, "connection_lists_total", "counter",
	    "Times that all connections were judged.", c->lists);
	add(out, "connection_list_failures_total", "counter",
	    "Times that they could not be.", c->failures);
	add(out, "connections_listed", "gauge",
	    "Connections that were judged the last time.", c->last_listed);
	add(out, "audit_denied_connections_total", "counter",
	    "Connections that policies with enforcement: audit would have denied.",
	    e->shadow.denied);
	add_seconds(out, "connection_list_duration_seconds",
	    "How long judging them took.", (int64_t)c->last_us * 1000);
}

/* Appends all metrics as Prometheus text. */
static void
metrics_write(const struct engine *e, struct buf *out)
{
	add_head(out, "enforcer_info", "gauge", "1, with version and node.");
	buf_add_cstr(
	    out, "ringfence_enforcer_info{version=\"" RINGFENCE_VERSION "\",node=\"");
	add_label(out, e->settings.node);
	buf_add_cstr(out, "\"} 1\n");
	add_head(out, "state", "gauge",
	    "1 for the present state: starting, closed, enforcing, stale.");
	buf_printf(out, "ringfence_state{state=\"%s\"} 1\n", engine_state_name(e));
	add(out, "unfiltered_bridges", "gauge",
	    "Bridges, by family, whose workloads reach each other past policy.",
	    e->unfiltered.count);
	add_sources(e, out);
	add_clusters(e, out);
	if (e->apply.current != NULL)
		add_program(e->apply.current, out);
	way_report_metrics(e, out);
	add_apply(e, out);
	add_connections(e, out);
	add_flows(e, out);
	add_names(e, out);
	add_seconds(out, "start_time_seconds", "When the engine started, in UNIX time.",
	    e->started.ns);
	add_head(out, "role_restarts_total", "counter", "Restarts of roles.");
	for (size_t i = 0; i < e->role_count; i++)
		buf_printf(out, "ringfence_role_restarts_total{role=\"%s\"} %u\n",
		    e->roles[i].name, (unsigned)e->roles[i].restarts);
}

/* ---- rules ---- */

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
	add_label(out, rule->namespace_path);
	buf_add_cstr(out, "\",policy=\"");
	add_label(out, rule->policy);
	buf_add_cstr(out, "\",rule=\"");
	if (rule->rule_name.len != 0)
		add_label(out, rule->rule_name);
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
	add_label(out, rule->namespace_path);
	buf_add_cstr(out, "\",quota=\"");
	add_label(out, rule->policy);
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

static void
add_rules(const struct engine *e, const struct proc_msg *answer, struct buf *out)
{
	struct rule_counters c = {.program = e->apply.current};
	bool read = c.program != NULL && kernel_counters_read(answer, on_counter, &c);

	add(out, "rule_counters_read", "gauge",
	    "1 if the counters of rules could be read.", read ? 1 : 0);
	if (read) {
		add_head(out, "policy_drop_packets_total", "counter",
		    "First packets of connections that policy denied, by direction.");
		for (unsigned d = 0; d < DIRECTION_COUNT; d++)
			buf_printf(out,
			    "ringfence_policy_drop_packets_total{direction=\"%s\"} "
			    "%llu\n",
			    direction_name((enum direction)d),
			    (unsigned long long)c.denied[d]);
		add_head(out, "rule_packets_total", "counter",
		    "First packets of connections that a rule decided.");
		buf_add_str(out, buf_str(&c.packets));
		add_head(out, "rule_bytes_total", "counter", "Their bytes.");
		buf_add_str(out, buf_str(&c.bytes));
		add_head(out, "limit_packets_total", "counter",
		    "Packets that a limit judged: of connections the first, of bytes "
		    "each.");
		buf_add_str(out, buf_str(&c.limit_packets));
		add_head(out, "limit_bytes_total", "counter", "Their bytes.");
		buf_add_str(out, buf_str(&c.limit_bytes));
		add(out, "rules_not_listed", "gauge",
		    "Rules beyond those whose counters are listed.",
		    c.count > MAX_RULES ? c.count - MAX_RULES : 0);
	}
	buf_free(&c.limit_packets);
	buf_free(&c.limit_bytes);
	buf_free(&c.packets);
	buf_free(&c.bytes);
}

/* ---- HTTP ---- */

static void
answer(struct server_conn *conn, const char *status, const char *type, struct str body)
{
	struct buf out = {0};

	buf_printf(&out,
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n",
	    status, type, body.len);
	buf_add_str(&out, body);
	server_send(conn, buf_str(&out));
	server_finish(conn);
	buf_free(&out);
}

static void
send_metrics(
    struct engine *e, struct server_conn *conn, const struct proc_msg *counters)
{
	struct buf body = {0};

	metrics_write(e, &body);
	add_rules(e, counters, &body);
	answer(conn, "200 OK", "text/plain; version=0.0.4", buf_str(&body));
	buf_free(&body);
}

static void
on_counted(struct engine *e, const struct proc_msg *counters, void *arg)
{
	uint64_t *id = arg;
	struct server_conn *conn =
	    e->metrics != NULL ? server_find(e->metrics->server, *id) : NULL;

	if (conn != NULL)
		send_metrics(e, conn, counters);
	free(id);
}

/* With the counters of rules, if the kernel role tells them. */
static void
answer_metrics(struct engine *e, struct server_conn *conn)
{
	uint64_t *id = xcalloc(1, sizeof(*id));
	struct err err = ERR_INIT;

	*id = server_conn_id(conn);
	if (engine_kernel_ask(e, MSG_COUNTERS, NULL, -1, on_counted, id, &err) == 0)
		return;
	free(id);
	send_metrics(e, conn, NULL);
}

/* That we answer says that the loop turns; without a kernel role that answers nothing can be
 * changed or healed, and behind a load that does not end nothing new comes into force. */
static void
answer_healthz(struct engine *e, struct server_conn *conn)
{
	const monotime_t now = monotime_now();
	const char *ill = engine_kernel_ill(e, now);
	struct buf body = {0};

	if (ill == NULL)
		ill = engine_load_ill(e, now);

	buf_printf(&body, "%s\n", ill != NULL ? ill : "ok");
	answer(conn, ill == NULL ? "200 OK" : "503 Service Unavailable", "text/plain",
	    buf_str(&body));
	buf_free(&body);
}

static void
answer_readyz(struct engine *e, struct server_conn *conn)
{
	const struct engine_unfiltered *u = &e->unfiltered;
	bool ok = e->apply.current != NULL && !e->apply.current->skeleton;
	struct buf body = {0};

	buf_printf(&body, "%s\n", engine_state_name(e));
	for (size_t i = 0; i < u->count; i++)
		buf_printf(&body, "unfiltered: %s IPv%u\n", u->bridges[i].name,
		    u->bridges[i].family == IP_V4 ? 4 : 6);
	/* What policy does not reach must not seem to be fenced. */
	ok = ok && !(u->refused && u->count != 0);
	answer(conn, ok ? "200 OK" : "503 Service Unavailable", "text/plain",
	    buf_str(&body));
	buf_free(&body);
}

static const struct {
	const char *path;
	void (*answer)(struct engine *e, struct server_conn *conn);
} pages[] = {
    {"/metrics", answer_metrics},
    {"/healthz", answer_healthz},
    {"/readyz", answer_readyz},
};

static void
on_question(void *arg, struct server_conn *conn, struct str question)
{
	struct metrics *m = arg;
	struct str rest = question;
	struct str line = str_split(&rest, '\r');
	struct str method = str_split(&line, ' ');
	struct str target = str_split(&line, ' ');
	struct str path = str_slice(target, 0, str_find(target, '?', 0));

	if (!str_starts(line, STR("HTTP/1."))) {
		answer(conn, "400 Bad Request", "text/plain", STR("bad request\n"));
		return;
	}
	if (!str_is(method, "GET")) {
		answer(conn, "405 Method Not Allowed", "text/plain", STR("GET only\n"));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (str_is(path, pages[i].path)) {
			pages[i].answer(m->engine, conn);
			return;
		}
	}
	answer(conn, "404 Not Found", "text/plain", STR("not found\n"));
}

int
metrics_new(struct engine *e, int fd, struct metrics **out_metrics, struct err *err)
{
	static const struct server_handler handler = {
	    .name = "metrics",
	    .end = "\r\n\r\n",
	    .question_bytes = QUESTION_BYTES,
	    .question = on_question,
	};
	struct metrics *m = xcalloc(1, sizeof(*m));
	int rc;

	m->engine = e;
	rc = server_new(&e->loop, fd, &handler, m, &m->server, err);
	if (rc != 0)
		free(m);
	else
		*out_metrics = m;
	return rc;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	server_free(m->server);
	free(m);
}
