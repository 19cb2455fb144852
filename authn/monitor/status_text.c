#include "authn/monitor/status_text.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/prometheus.h"

#define ROLES_MAX   80
#define HEAD_END    "\r\n\r\n"
#define METRIC_NAME "ringfence_gate_"

struct role_state {
	char name[16];
	uint32_t pid;
	bool ready;
	uint64_t restarts;
};

struct status_report {
	struct role_state roles[ROLES_MAX];
	size_t role_count;
	bool announced; /* the monitor's part is there */
	uint32_t expected, received;
	json_t *parts; /* array of {"role": ..., "status": {...}} */
};

/* ---- requests ---- */

static const struct {
	const char *path;
	enum status_page page;
} pages[] = {
    {"/healthz", STATUS_PAGE_HEALTH},
    {"/readyz", STATUS_PAGE_READY},
    {"/metrics", STATUS_PAGE_METRICS},
    {"/status", STATUS_PAGE_STATUS},
};

int
status_page_request(struct str head, enum status_page *out_page)
{
	struct str rest = head, line, method, target;

	if (memmem(head.ptr, head.len, HEAD_END, strlen(HEAD_END)) == NULL)
		return 0;
	line = str_split(&rest, '\r');
	method = str_split(&line, ' ');
	target = str_split(&line, ' ');
	if (!str_starts(line, STR("HTTP/1.")))
		return 400;
	if (!str_is(method, "GET"))
		return 405;
	target = str_slice(target, 0, str_find(target, '?', 0));
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (!str_is(target, pages[i].path))
			continue;
		*out_page = pages[i].page;
		return 200;
	}
	return 404;
}

const char *
status_page_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
	    {200, "OK"},
	    {400, "Bad Request"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {503, "Service Unavailable"},
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Error";
}

/* ---- reports ---- */

struct status_report *
status_report_new(void)
{
	struct status_report *r = xcalloc(1, sizeof(*r));

	r->parts = json_array();
	return r;
}

void
status_report_free(struct status_report *r)
{
	if (r == NULL)
		return;
	json_decref(r->parts);
	free(r);
}

static void
add_roles(struct status_report *r, struct proc_reader *reader)
{
	r->expected = proc_get_u32(reader);
	while (reader->ok && reader->pos < reader->len && r->role_count < ROLES_MAX) {
		struct role_state *s = &r->roles[r->role_count++];
		struct str name = proc_get_str(reader);

		if (name.len < sizeof(s->name))
			memcpy(s->name, name.ptr, name.len);
		s->pid = proc_get_u32(reader);
		s->ready = proc_get_u8(reader) != 0;
		s->restarts = proc_get_u64(reader);
	}
	r->announced = true;
}

static void
add_part(struct status_report *r, struct str role, struct str text)
{
	json_t *status = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *part = json_object();

	if (json_object_set_new(part, "role", json_stringn(role.ptr, role.len)) != 0 ||
	    json_object_set_new(
		part, "status", status != NULL ? status : json_null()) != 0 ||
	    json_array_append_new(r->parts, part) != 0)
		base_die("out of memory");
	r->received++;
}

bool
status_report_add(struct status_report *r, const struct proc_msg *msg)
{
	struct proc_reader reader;
	struct str role;

	proc_reader_init(&reader, msg);
	role = proc_get_str(&reader);
	if (str_is(role, "monitor"))
		add_roles(r, &reader);
	else
		add_part(r, role, proc_get_str(&reader));
	return r->announced && r->received >= r->expected;
}

static bool
all_ready(const struct status_report *r)
{
	bool ready = r->announced && r->role_count != 0;

	for (size_t i = 0; i < r->role_count; i++)
		ready = ready && r->roles[i].ready;
	return ready;
}

/* ---- Prometheus ---- */

enum metric_type {
	COUNTER,
	GAUGE
};

/* Keys of a role's status; with `label` several keys make one metric. */
static const struct metric {
	const char *role, *key, *name, *label;
	enum metric_type type;
	const char *help;
} metrics[] = {
    {"worker", "connections", "connections", NULL, GAUGE, "Client connections open."},
    {"worker", "connectionsTotal", "connections_total", NULL, COUNTER,
	"Client connections accepted."},
    {"worker", "connectionsRefused", "connections_refused_total", NULL, COUNTER,
	"Client connections closed at once: too many."},
    {"worker", "handshakesFailed", "tls_handshakes_failed_total", NULL, COUNTER,
	"TLS handshakes of clients that failed."},
    {"worker", "inFlight", "requests_in_flight", NULL, GAUGE, "Requests under way."},
    {"worker", "requests", "requests_total", NULL, COUNTER, "Requests received."},
    {"worker", "answers2xx", "answers_total", "class=\"2xx\"", COUNTER,
	"Answers by class."},
    {"worker", "answers3xx", "answers_total", "class=\"3xx\"", COUNTER, NULL},
    {"worker", "answers4xx", "answers_total", "class=\"4xx\"", COUNTER, NULL},
    {"worker", "answers5xx", "answers_total", "class=\"5xx\"", COUNTER, NULL},
    {"worker", "denied", "denied_total", NULL, COUNTER, "Requests that Access denied."},
    {"worker", "unauthenticated", "unauthenticated_total", NULL, COUNTER,
	"Requests of nobody who is known."},
    {"worker", "quotaRefused", "quota_refused_total", NULL, COUNTER,
	"Requests over a quota."},
    {"worker", "unavailable", "unavailable_total", NULL, COUNTER,
	"Requests refused because something was not there."},
    {"worker", "crowded", "crowded_total", NULL, COUNTER,
	"Requests refused because too many waited for an API server."},
    {"worker", "malformed", "malformed_total", NULL, COUNTER, "Requests malformed."},
    {"worker", "streamsEnded", "streams_ended_total", NULL, COUNTER,
	"Streams ended because their permission did."},
    {"worker", "upstreamConnectionsTotal", "upstream_connections_total", NULL, COUNTER,
	"Connections made to the API servers."},
    {"worker", "upstreamFailures", "upstream_failures_total", NULL, COUNTER,
	"Failures of API servers."},
    {"worker", "bufferBytes", "buffer_bytes", NULL, GAUGE, "Memory in buffers."},
    {"worker", "keyWaiting", "key_waiting", NULL, GAUGE,
	"Handshakes that wait for a signature."},
    {"worker", "keyWaitMicroseconds", "key_wait_microseconds_total", NULL, COUNTER,
	"Time that handshakes have waited for signatures."},
    {"key", "keys", "keys", NULL, GAUGE,
	"Private keys held; for a minute after a change, old and new ones."},
    {"key", "signatures", "key_signatures_total", NULL, COUNTER,
	"Handshakes signed for workers."},
    {"key", "refused", "key_refused_total", NULL, COUNTER,
	"Signatures refused: an unknown key, or no handshake."},
    {"key", "busyMicroseconds", "key_busy_microseconds_total", NULL, COUNTER,
	"Time spent on signatures, and on requests for keys that are not known."},
    {"auth", "loginsAllowed", "logins_total", "result=\"allowed\"", COUNTER,
	"Logins by result."},
    {"auth", "loginsDenied", "logins_total", "result=\"denied\"", COUNTER, NULL},
    {"auth", "loginsThrottled", "logins_total", "result=\"throttled\"", COUNTER, NULL},
    {"auth", "loginsUnavailable", "logins_total", "result=\"unavailable\"", COUNTER,
	NULL},
    {"auth", "loginsRunning", "logins_running", NULL, GAUGE, "Logins under way."},
    {"auth", "loginsLost", "login_threads_lost", NULL, GAUGE,
	"Threads that hang in the directory."},
    {"auth", "tokenChecks", "token_checks_total", NULL, COUNTER,
	"Tokens looked up in the store."},
    {"auth", "certificateChecks", "certificate_checks_total", NULL, COUNTER,
	"Users by certificate whose accounts workers asked about."},
    {"auth", "certificateUsers", "certificate_users", NULL, GAUGE,
	"Users by certificate whose accounts are known or looked for."},
    {"auth", "tokensLive", "tokens_live", NULL, GAUGE,
	"Tokens neither revoked nor expired."},
    {"auth", "replicas", "replicas", NULL, GAUGE, "Gates that share limits."},
    {"auth", "etcdConnected", "etcd_connected", NULL, GAUGE, "1 while etcd answers."},
    {"auth", "etcdFailures", "etcd_failures_total", NULL, COUNTER,
	"Beats that etcd did not answer."},
    {"auth", "rowsForeign", "share_rows_foreign_total", NULL, COUNTER,
	"Rows of another version of the gate that were left alone."},
    {"auth", "revocations", "revocations_total", NULL, COUNTER, "Tokens revoked."},
    {"auth", "rotations", "rotations_total", NULL, COUNTER, "Tokens rotated."},
    {"auth", "tokensRefused", "tokens_refused_total", NULL, COUNTER,
	"Tokens and logins refused because the user had too many."},
    {"auth", "servicesDeclared", "service_accounts_declared_total", NULL, COUNTER,
	"Service accounts declared."},
    {"auth", "servicesRemoved", "service_accounts_removed_total", NULL, COUNTER,
	"Service accounts removed."},
    {"auth", "accountsAllowed", "account_checks_total", "result=\"allowed\"", COUNTER,
	"Looks at accounts with live tokens, by result."},
    {"auth", "accountsDenied", "account_checks_total", "result=\"denied\"", COUNTER,
	NULL},
    {"auth", "accountsUnavailable", "account_checks_total", "result=\"unavailable\"",
	COUNTER, NULL},
    {"auth", "accounts", "accounts", NULL, GAUGE, "Accounts with live tokens."},
    {"auth", "accountsSuspended", "accounts_suspended", NULL, GAUGE,
	"Of these, the ones that may not be used."},
    {"auth", "accountsAge", "account_check_age_seconds", NULL, GAUGE,
	"The longest ago that one of them was checked."},
    {"auth", "directoryResting", "directory_servers_resting", NULL, GAUGE,
	"Directory servers left alone after a failure."},
    {"budget", "admissionsAllowed", "admissions_total", "result=\"allowed\"", COUNTER,
	"Admission reviews by result."},
    {"budget", "admissionsDenied", "admissions_total", "result=\"denied\"", COUNTER,
	NULL},
    {"budget", "admissionsUnknown", "admissions_total", "result=\"unknown\"", COUNTER,
	NULL},
    {"budget", "admissionsMalformed", "admissions_total", "result=\"malformed\"",
	COUNTER, NULL},
    {"budget", "admissionStrangers", "admission_strangers_total", NULL, COUNTER,
	"Connections to the webhook under a name that may not ask."},
    {"budget", "budgetLists", "budget_lists_total", NULL, COUNTER,
	"Times that objects of a kind were listed anew."},
    {"budget", "budgetsSynced", "budgets_known", NULL, GAUGE,
	"1 once everything that budgets count is known."},
    {"budget", "reservations", "budget_reservations", NULL, GAUGE,
	"Objects admitted and not seen yet."},
    {"budget", "quotasApplied", "resource_quotas_applied_total", NULL, COUNTER,
	"ResourceQuotas written."},
    {"budget", "quotasRemoved", "resource_quotas_removed_total", NULL, COUNTER,
	"ResourceQuotas removed."},
    {"budget", "quotaFailures", "resource_quota_failures_total", NULL, COUNTER,
	"Passes over the ResourceQuotas that failed."},
    {"budget", "budgetsConnected", "budget_etcd_connected", NULL, GAUGE,
	"1 while the other gates' reservations are known."},
    {"budget", "budgetConflicts", "budget_conflicts_total", NULL, COUNTER,
	"Times that another gate reserved first."},
    {"budget", "budgetsCharged", "budget_reservations_foreign_total", NULL, COUNTER,
	"Reservations of other gates."},
    {"budget", "policyAllowed", "policy_reviews_total", "result=\"allowed\"", COUNTER,
	"Admission reviews of policy by result."},
    {"budget", "policyDenied", "policy_reviews_total", "result=\"denied\"", COUNTER,
	NULL},
    {"budget", "policyUnknown", "policy_reviews_total", "result=\"unknown\"", COUNTER,
	NULL},
    {"budget", "policyMalformed", "policy_reviews_total", "result=\"malformed\"",
	COUNTER, NULL},
    {"budget", "policyWarnings", "policy_review_warnings_total", NULL, COUNTER,
	"Warnings that were given with them."},
    {"budget", "policyHeld", "policy_reviews_held_total", NULL, COUNTER,
	"Times that a refusal was held back for what may be under way."},
    {"budget", "policyWaiting", "policy_reviews_waiting", NULL, GAUGE,
	"Reviews of policy that are not answered yet."},
    {"budget", "policyObjects", "policy_objects", NULL, GAUGE,
	"Objects of the API servers that policy is judged by."},
    {"budget", "statusLeads", "status_writer_leads", NULL, GAUGE,
	"1 while this gate writes the status of documents."},
    {"budget", "statusWrites", "status_writes_total", NULL, COUNTER,
	"Documents whose status was written."},
    {"budget", "statusFailures", "status_failures_total", NULL, COUNTER,
	"Passes over the documents that failed."},
    {"budget", "statusNodes", "status_nodes", NULL, GAUGE, "Nodes that have a report."},
    {"budget", "policyKnown", "policy_known", NULL, GAUGE,
	"1 once all of these are known."},
    {"audit", "lines", "audit_lines_total", NULL, COUNTER, "Audit records taken."},
    {"audit", "failures", "audit_failures_total", NULL, COUNTER,
	"Times that the audit log could not be written."},
    {"audit", "writable", "audit_writable", NULL, GAUGE,
	"1 while the audit log can be written."},
};

/* The sum over all processes of a role; false if none told. */
static bool
metric_sum(const struct status_report *r, const struct metric *m, double *out_sum)
{
	bool found = false;
	size_t i;
	json_t *part;

	*out_sum = 0;
	json_array_foreach(r->parts, i, part)
	{
		const json_t *role = json_object_get(part, "role");
		const json_t *value =
		    json_object_get(json_object_get(part, "status"), m->key);

		if (strcmp(json_string_value(role), m->role) != 0)
			continue;
		if (json_is_boolean(value))
			*out_sum += json_is_true(value) ? 1 : 0;
		else if (json_is_number(value))
			*out_sum += json_number_value(value);
		else
			continue;
		found = true;
	}
	return found;
}

/* Arrays of a role's status whose elements each make one value of every metric. */
static const struct table {
	const char *role, *array, *labels[3];
	struct {
		const char *key, *name;
		enum metric_type type;
		const char *help;
		int divisor;
	} values[5];
} tables[] = {
    {"budget", "budgets", {"namespace", "quota", "resource"},
	{{"limitMilli", "budget_limit", GAUGE, "What a subtree may hold.", 1000},
	    {"usedMilli", "budget_used", GAUGE,
		"What a subtree holds, and what was admitted for it.", 1000}}},
    {"worker", "quotas", {"namespace", "quota"},
	{{"admitted", "quota_admitted_total", COUNTER,
	     "Requests that a Quota was charged for.", 1},
	    {"refused", "quota_document_refused_total", COUNTER,
		"Requests refused because of it.", 1},
	    {"inFlight", "quota_in_flight", GAUGE, "Requests under way that it limits.",
		1},
	    {"watches", "quota_watches", GAUGE, "Watches that it limits.", 1},
	    {"today", "quota_requests_today", GAUGE, "Of its requests a day.", 1}}},
};

static void
render_row(struct buf *out, const struct table *t, size_t value, const json_t *row)
{
	const double number =
	    json_number_value(json_object_get(row, t->values[value].key));
	const char *label;

	buf_printf(out, METRIC_NAME "%s{", t->values[value].name);
	for (size_t i = 0; i < ARRAY_LEN(t->labels) && t->labels[i] != NULL; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		label = json_string_value(json_object_get(row, t->labels[i]));
		buf_printf(out, "%s=\"", t->labels[i]);
		prometheus_add_value(out, str_from(label != NULL ? label : ""));
		buf_add_char(out, '"');
	}
	buf_printf(out, "} %.15g\n", number / t->values[value].divisor);
}

static void
render_table(const struct status_report *r, struct buf *out, const struct table *t)
{
	for (size_t v = 0; v < ARRAY_LEN(t->values) && t->values[v].key != NULL; v++) {
		size_t i, n;
		json_t *part, *row;

		buf_printf(out,
		    "# HELP " METRIC_NAME "%s %s\n# TYPE " METRIC_NAME "%s %s\n",
		    t->values[v].name, t->values[v].help, t->values[v].name,
		    t->values[v].type == COUNTER ? "counter" : "gauge");
		json_array_foreach(r->parts, i, part)
		{
			const json_t *status = json_object_get(part, "status");

			if (strcmp(json_string_value(json_object_get(part, "role")),
				t->role) != 0)
				continue;
			json_array_foreach(json_object_get(status, t->array), n, row)
			{
				render_row(out, t, v, row);
			}
		}
	}
}

static void
render_metrics(const struct status_report *r, struct buf *out)
{
	double sum;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		render_table(r, out, &tables[i]);

	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		const struct metric *m = &metrics[i];

		if (m->help != NULL)
			buf_printf(out,
			    "# HELP " METRIC_NAME "%s %s\n# TYPE " METRIC_NAME
			    "%s %s\n",
			    m->name, m->help, m->name,
			    m->type == COUNTER ? "counter" : "gauge");
		if (!metric_sum(r, m, &sum))
			continue;
		buf_printf(out, METRIC_NAME "%s", m->name);
		if (m->label != NULL)
			buf_printf(out, "{%s}", m->label);
		buf_printf(out, " %.0f\n", sum);
	}
	buf_add_cstr(out, "# HELP " METRIC_NAME "role_ready 1 if the process serves.\n"
			  "# TYPE " METRIC_NAME "role_ready gauge\n");
	for (size_t i = 0; i < r->role_count; i++)
		buf_printf(out, METRIC_NAME "role_ready{role=\"%s\",slot=\"%zu\"} %d\n",
		    r->roles[i].name, i, r->roles[i].ready);
	buf_add_cstr(out,
	    "# HELP " METRIC_NAME "role_restarts_total Times that it was started "
	    "again.\n# TYPE " METRIC_NAME "role_restarts_total counter\n");
	for (size_t i = 0; i < r->role_count; i++)
		buf_printf(out,
		    METRIC_NAME "role_restarts_total{role=\"%s\",slot=\"%zu\"} %llu\n",
		    r->roles[i].name, i, (unsigned long long)r->roles[i].restarts);
}

/* ---- JSON ---- */

static void
render_status(const struct status_report *r, struct buf *out)
{
	char *parts = json_dumps(r->parts, JSON_COMPACT | JSON_SORT_KEYS);

	buf_printf(out,
	    "{\"version\":\"" RINGFENCE_VERSION "\",\"ready\":%s,\"roles\":[",
	    all_ready(r) ? "true" : "false");
	for (size_t i = 0; i < r->role_count; i++) {
		const struct role_state *s = &r->roles[i];

		buf_printf(out,
		    "%s{\"role\":\"%s\",\"pid\":%u,\"ready\":%s,\"restarts\":%llu}",
		    i == 0 ? "" : ",", s->name, s->pid, s->ready ? "true" : "false",
		    (unsigned long long)s->restarts);
	}
	buf_printf(out, "],\"parts\":%s}\n", parts != NULL ? parts : "[]");
	free(parts);
}

int
status_page_render(const struct status_report *r, enum status_page page,
    struct buf *out, const char **out_type)
{
	*out_type = "text/plain; charset=utf-8";
	switch (page) {
	case STATUS_PAGE_HEALTH:
		break;
	case STATUS_PAGE_READY:
		if (!all_ready(r)) {
			buf_add_cstr(out, "not ready\n");
			return 503;
		}
		break;
	case STATUS_PAGE_METRICS:
		*out_type = "text/plain; version=0.0.4; charset=utf-8";
		render_metrics(r, out);
		return 200;
	case STATUS_PAGE_STATUS:
		*out_type = "application/json";
		render_status(r, out);
		return 200;
	}
	buf_add_cstr(out, "ok\n");
	return 200;
}
