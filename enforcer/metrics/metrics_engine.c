/*
 * What the engine's parts count, as metrics.
 */
#include "common/prometheus.h"
#include "enforcer/control/way_report.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/metrics/metrics_internal.h"

/* What became of changes of single files. */
static void
add_edits(const struct engine_edits *x, struct buf *out)
{
	prometheus_add(out, "ringfence_edits_total", "counter",
	    "Files that were changed one by one.", x->files);
	prometheus_add(out, "ringfence_edits_refused_total", "counter",
	    "Files that were changed and are refused: what they said before goes on, "
	    "or "
	    "what they govern is closed.",
	    x->refused);
	prometheus_head(out, "ringfence_compiles_total", "counter",
	    "What changes took: the elements that they touch, the node's program anew, "
	    "or loading and compiling everything.");
	buf_printf(out,
	    "ringfence_compiles_total{kind=\"incremental\"} %llu\n"
	    "ringfence_compiles_total{kind=\"node\"} %llu\n"
	    "ringfence_compiles_total{kind=\"whole\"} %llu\n",
	    (unsigned long long)x->incremental, (unsigned long long)x->anew,
	    (unsigned long long)x->wholes);
	prometheus_add(out, "ringfence_edit_fallbacks_total", "counter",
	    "Changes whose effect took loading everything to tell.", x->beyond);
	histogram_write(out, "ringfence_edit_duration_seconds",
	    "How long it took to read changed files and to tell what changes in the "
	    "table.",
	    &x->durations);
}

static void
add_sources(const struct engine *e, struct buf *out)
{
	prometheus_head(out, "ringfence_source_good", "gauge",
	    "1 if what the source says is in force or could be.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_good{directory=\"");
		prometheus_add_value(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %d\n", e->sources[i].state == SOURCE_GOOD ? 1 : 0);
	}
	prometheus_head(
	    out, "ringfence_source_errors", "gauge", "Errors in what the source says.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_errors{directory=\"");
		prometheus_add_value(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %u\n", e->sources[i].error_total);
	}
	prometheus_head(out, "ringfence_source_bad_files", "gauge",
	    "Files of the source that are refused: what they said before goes on, or "
	    "what "
	    "they govern is closed.");
	for (size_t i = 0; i < e->settings.source_count; i++) {
		buf_add_cstr(out, "ringfence_source_bad_files{directory=\"");
		prometheus_add_value(out, e->settings.sources[i].directory);
		buf_printf(out, "\"} %zu\n", e->sources[i].refused.len);
	}
	prometheus_add(out, "ringfence_loads_total", "counter",
	    "Times that the sources were read.", e->load.loads);
	prometheus_add(out, "ringfence_load_failures_total", "counter",
	    "Times that they could not be put in force.", e->load.failures);
	prometheus_add_seconds(out, "ringfence_load_running_seconds",
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

	prometheus_add(out, "ringfence_program_generation", "gauge",
	    "Number of the program in force.", p->number);
	prometheus_add_seconds(out, "ringfence_program_since_seconds",
	    "When the program in force came into force, in UNIX time.", p->since.ns);
	prometheus_add(out, "ringfence_workloads", "gauge", "Workloads that are known.",
	    p->model->workload_count);
	prometheus_add(out, "ringfence_local_workloads", "gauge",
	    "Workloads of this node.", p->local_workloads);
	prometheus_add(out, "ringfence_policies", "gauge", "Policies that are known.",
	    p->model->policy_count);
	prometheus_add(out, "ringfence_routes", "gauge", "Routes that are known.",
	    p->model->route_count);
	prometheus_add(out, "ringfence_rule_chains", "gauge",
	    "Rules in force on this node.", p->real.chain_count);
	prometheus_add_seconds(out, "ringfence_load_duration_seconds",
	    "How long reading documents took.", (int64_t)p->load_us * 1000);
	prometheus_add_seconds(out, "ringfence_compile_duration_seconds",
	    "How long compiling took.", (int64_t)p->compile_us * 1000);
	prometheus_head(out, "ringfence_set_elements", "gauge",
	    "Elements of the sets of the table.");
	program_counts(p, counts);
	for (size_t i = 0; i < SET_COUNT; i++)
		buf_printf(out, "ringfence_set_elements{set=\"%s\"} %zu\n",
		    table_sets[i].name, counts[i]);
}

static void
add_apply(const struct engine *e, struct buf *out)
{
	const struct engine_apply *a = &e->apply;

	prometheus_add(out, "ringfence_table_owned", "gauge",
	    "1 if nobody else can change the table.", engine_apply_owns_table(e));
	prometheus_add(out, "ringfence_limits_rates_enforced", "gauge",
	    "1 if the kernel knows limits per second.",
	    (e->kernel.lacks & OP_LACKS_RATES) == 0);
	prometheus_add(out, "ringfence_limits_connections_enforced", "gauge",
	    "1 if the kernel knows limits of open connections.",
	    (e->kernel.lacks & OP_LACKS_COUNTS) == 0);
	prometheus_add(out, "ringfence_translation_enforced", "gauge",
	    "1 if the kernel can translate what Routes say.",
	    (e->kernel.lacks & OP_LACKS_NAT) == 0);
	prometheus_add(out, "ringfence_steering_enforced", "gauge",
	    "1 if the kernel can steer what Routes say.",
	    (e->kernel.lacks & OP_LACKS_FIB) == 0);
	prometheus_add(out, "ringfence_source_validation_enforced", "gauge",
	    "1 if source addresses are validated.",
	    engine_settings_validate(&e->settings));
	prometheus_add(out, "ringfence_programs_total", "counter",
	    "Programs put in force.", a->programs);
	histogram_write(out, "ringfence_commit_duration_seconds",
	    "How long the kernel took for a change.", &a->commits);
	histogram_write(out, "ringfence_policy_programming_duration_seconds",
	    "From a change of a source to its being in force.", &a->programming);
	prometheus_add(out, "ringfence_heals_total", "counter",
	    "Times that the table was changed by others and made anew.", a->heals);
	prometheus_add(out, "ringfence_looks_total", "counter",
	    "Times that the table was read back.", a->looks);
	prometheus_add(out, "ringfence_mismatches_total", "counter",
	    "Times that the table read back was not what was committed.",
	    a->mismatches);
	prometheus_add(out, "ringfence_kernel_refusals_total", "counter",
	    "Commits that the kernel did not take.", a->refusals);
	prometheus_add(out, "ringfence_stale_commits_total", "counter",
	    "Commits that another's change came before.", a->stale_total);
}

/* The role that forwards DNS. */
static void
add_resolver(const struct engine_hold *hold, struct buf *out)
{
	for (size_t i = 0; i < DNS_COUNTS; i++) {
		const bool gauge = i == DNS_COUNT_WAITING;
		char name[80];

		(void)snprintf(name, sizeof(name), "ringfence_dns_resolver_%s%s",
		    dns_count_words[i].name, gauge ? "" : "_total");
		prometheus_add(out, name, gauge ? "gauge" : "counter",
		    dns_count_words[i].help, hold->counts[i]);
	}
}

static void
add_names(const struct engine *e, struct buf *out)
{
	const struct engine_names *n = &e->names;

	if (e->settings.names_group == 0)
		return;
	prometheus_add(out, "ringfence_names_known", "gauge",
	    "Addresses that tenants know by names.", learnt_count(n->learnt));
	prometheus_add(out, "ringfence_names_learnt_total", "counter",
	    "Addresses that became known.", n->news);
	prometheus_add(out, "ringfence_names_forgotten_total", "counter",
	    "Addresses that were forgotten.", n->forgotten);
	prometheus_add(out, "ringfence_names_full_total", "counter",
	    "Addresses not learnt, as their tenant knew as much as it may.", n->full);
	prometheus_add(out, "ringfence_names_dropped_total", "counter",
	    "Addresses not learnt, as too many came while policy was loaded.",
	    n->dropped);
	if (e->settings.names_held) {
		add_resolver(&e->hold, out);
		return;
	}
	prometheus_add(out, "ringfence_dns_questions_total", "counter",
	    "Questions that were read.", n->asked);
	prometheus_add(out, "ringfence_dns_answers_total", "counter",
	    "Answers that were believed.", n->answers);
	prometheus_add(out, "ringfence_dns_unasked_total", "counter",
	    "Answers to no question, which were not.", n->unasked);
	prometheus_add(out, "ringfence_dns_truncated_total", "counter",
	    "Answers that did not say all, which were not.", n->truncated);
	prometheus_add(out, "ringfence_dns_malformed_total", "counter",
	    "Messages that were no DNS.", n->log.malformed);
	prometheus_add(out, "ringfence_dns_lost_total", "counter",
	    "Copies of DNS that the socket had no room for.", n->log.lost);
}

static void
add_flows(const struct engine *e, struct buf *out)
{
	const struct engine_flows *f = &e->flows;

	prometheus_head(out, "ringfence_flow_packets_total", "counter",
	    "First packets of connections that were logged, by verdict.");
	buf_printf(out,
	    "ringfence_flow_packets_total{verdict=\"deny\"} %llu\n"
	    "ringfence_flow_packets_total{verdict=\"allow\"} %llu\n",
	    (unsigned long long)f->denied, (unsigned long long)f->allowed);
	prometheus_add(out, "ringfence_flow_records_total", "counter", "Records made.",
	    f->records);
	prometheus_add(out, "ringfence_flow_packets_lost_total", "counter",
	    "Logged packets that the socket had no room for.", f->log.lost);
	prometheus_add(out, "ringfence_flow_packets_malformed_total", "counter",
	    "Logged packets that could not be understood.", f->log.malformed);
	prometheus_head(out, "ringfence_flow_exported_records_total", "counter",
	    "Records sent to the journal or to a collector.");
	for (unsigned i = 0; i < EXPORT_COUNT; i++)
		buf_printf(out,
		    "ringfence_flow_exported_records_total{receiver=\"%s\"} %llu\n",
		    engine_export_name((enum enforcer_export)i),
		    (unsigned long long)e->exports[i].sent);
	prometheus_head(out, "ringfence_flow_export_lost_records_total", "counter",
	    "Records that a receiver did not take.");
	for (unsigned i = 0; i < EXPORT_COUNT; i++)
		buf_printf(out,
		    "ringfence_flow_export_lost_records_total{receiver=\"%s\"} %llu\n",
		    engine_export_name((enum enforcer_export)i),
		    (unsigned long long)e->exports[i].lost);
	prometheus_add(out, "ringfence_flow_records_unwritten_total", "counter",
	    "Records that the flow log did not take.", f->unwritten);
	prometheus_add(out, "ringfence_flow_write_failures_total", "counter",
	    "Failed writes to the flow log.", f->write_failures);
	prometheus_add(out, "ringfence_audit_lines_total", "counter",
	    "Lines for the audit log.", e->audit.lines);
	prometheus_add(out, "ringfence_audit_lines_lost_total", "counter",
	    "Lines that did not reach the audit log.", e->audit.lost);
	prometheus_add(out, "ringfence_audit_questions_passed_over_total", "counter",
	    "Questions over the control socket that were too many for records of their "
	    "own.",
	    e->audit.passed_over);
}

static void
add_connections(const struct engine *e, struct buf *out)
{
	const struct engine_cut *c = &e->cut;

	prometheus_add(out, "ringfence_connections_cut_total", "counter",
	    "Established connections that were ended because policy forbids them.",
	    c->cut);
	prometheus_add(out, "ringfence_connections_kept_total", "counter",
	    "Times that one was found forbidden and kept.", c->kept);
	prometheus_add(out, "ringfence_connections_adopted_total", "counter",
	    "Connections of before the first program that were made known.",
	    e->adopt.adopted);
	prometheus_add(out, "ringfence_connection_lists_total", "counter",
	    "Times that all connections were judged.", c->lists);
	prometheus_add(out, "ringfence_connection_list_failures_total", "counter",
	    "Times that they could not be.", c->failures);
	prometheus_add(out, "ringfence_connections_listed", "gauge",
	    "Connections that were judged the last time.", c->last_listed);
	prometheus_add(out, "ringfence_audit_denied_connections_total", "counter",
	    "Connections that policies with enforcement: audit would have denied.",
	    e->shadow.denied);
	prometheus_add_seconds(out, "ringfence_connection_list_duration_seconds",
	    "How long judging them took.", (int64_t)c->last_us * 1000);
}

void
metrics_add_engine(const struct engine *e, struct buf *out)
{
	prometheus_head(
	    out, "ringfence_enforcer_info", "gauge", "1, with version and node.");
	buf_add_cstr(
	    out, "ringfence_enforcer_info{version=\"" RINGFENCE_VERSION "\",node=\"");
	prometheus_add_value(out, e->settings.node);
	buf_add_cstr(out, "\"} 1\n");
	prometheus_head(out, "ringfence_state", "gauge",
	    "1 for the present state: starting, closed, enforcing, stale.");
	buf_printf(out, "ringfence_state{state=\"%s\"} 1\n", engine_state_name(e));
	prometheus_add(out, "ringfence_config_last_reload_successful", "gauge",
	    "1 if the configuration that was read last is in use.",
	    e->config_errors == 0);
	prometheus_add(out, "ringfence_unfiltered_bridges", "gauge",
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
	prometheus_add_seconds(out, "ringfence_start_time_seconds",
	    "When the engine started, in UNIX time.", e->started.ns);
	metrics_add_roles(e->roles, e->role_count, out);
}
