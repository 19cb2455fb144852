#include "enforcer/kube/kube_report.h"

#include "common/prometheus.h"
#include "enforcer/kube/kube_watch.h"

static double
silent_seconds(const struct kube_report *r, const struct kube_state_kind *k)
{
	const uint64_t since_ms = monotime_since(r->told, monotime_now()) / 1000000;

	return (double)(k->silent_ms + since_ms) / 1000;
}

static bool
was_heard(const struct kube_state_kind *k)
{
	return k->silent_ms != UINT64_MAX;
}

/* ---- status ---- */

static void
add_kind(struct buf *out, const struct kube_report *r, size_t i)
{
	const struct kube_state_kind *k = &r->state->kinds[i];

	buf_printf(out,
	    "{\"name\":\"%s\",\"phase\":\"%s\",\"synced\":%s,\"objects\":%llu,"
	    "\"bytes\":%llu,\"lists\":%llu,\"watches\":%llu,\"events\":%llu,"
	    "\"repeated\":%llu,\"failures\":%llu,\"silentSeconds\":",
	    kube_kinds[i].name, kube_phase_name(k->phase), k->synced ? "true" : "false",
	    (unsigned long long)k->objects, (unsigned long long)k->bytes,
	    (unsigned long long)k->lists, (unsigned long long)k->watches,
	    (unsigned long long)k->events, (unsigned long long)k->repeated,
	    (unsigned long long)k->failures);
	if (was_heard(k))
		buf_printf(out, "%.3f", silent_seconds(r, k));
	else
		buf_add_cstr(out, "null");
	buf_add_cstr(out, ",\"failure\":");
	buf_add_json(out, k->detail);
	buf_add_char(out, '}');
}

void
kube_report_status(struct buf *out, const struct kube_report *report)
{
	buf_add_char(out, '[');
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		if (i != 0)
			buf_add_char(out, ',');
		add_kind(out, report, i);
	}
	buf_add_char(out, ']');
}

/* ---- metrics ---- */

static const struct {
	const char *name, *type, *help;
	size_t offset; /* of a u64 in struct kube_state_kind */
} numbers[] = {
    {"ringfence_kube_objects", "gauge", "Objects of the cluster that are known.",
	offsetof(struct kube_state_kind, objects)},
    {"ringfence_kube_bytes", "gauge", "Bytes of what is kept of them.",
	offsetof(struct kube_state_kind, bytes)},
    {"ringfence_kube_lists_total", "counter", "Times that all of them were listed.",
	offsetof(struct kube_state_kind, lists)},
    {"ringfence_kube_watches_total", "counter", "Times that a watch was begun.",
	offsetof(struct kube_state_kind, watches)},
    {"ringfence_kube_events_total", "counter", "Changes that watches told.",
	offsetof(struct kube_state_kind, events)},
    {"ringfence_kube_repeated_events_total", "counter",
	"Changes that had been told before.",
	offsetof(struct kube_state_kind, repeated)},
    {"ringfence_kube_failures_total", "counter", "Lists and watches that failed.",
	offsetof(struct kube_state_kind, failures)},
};

static void
add_sample(struct buf *out, const char *name, const struct kube_report *r, size_t kind)
{
	buf_printf(out, "%s{source=\"%.*s\",kind=\"%s\"} ", name, STR_ARG(r->source),
	    kube_kinds[kind].name);
}

static void
add_watching(struct buf *out, const struct kube_report *reports, size_t count)
{
	prometheus_head(out, "ringfence_kube_watching", "gauge",
	    "1 if the kind is watched, or is not served.");
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < KUBE_KIND_COUNT; j++) {
			const uint8_t phase = reports[i].state->kinds[j].phase;

			add_sample(out, "ringfence_kube_watching", &reports[i], j);
			buf_printf(out, "%d\n",
			    phase == KUBE_WATCHING || phase == KUBE_ABSENT);
		}
	}
}

static void
add_silence(struct buf *out, const struct kube_report *reports, size_t count)
{
	prometheus_head(out, "ringfence_kube_silent_seconds", "gauge",
	    "Since the server said anything of them.");
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < KUBE_KIND_COUNT; j++) {
			const struct kube_state_kind *k = &reports[i].state->kinds[j];

			if (!was_heard(k) || k->phase == KUBE_ABSENT)
				continue;
			add_sample(
			    out, "ringfence_kube_silent_seconds", &reports[i], j);
			buf_printf(out, "%.3f\n", silent_seconds(&reports[i], k));
		}
	}
}

static void
add_reports(struct buf *out, const struct kube_report *reports, size_t count)
{
	prometheus_head(out, "ringfence_kube_node_reports_total", "counter",
	    "NodeReports that were written, by result.");
	for (size_t i = 0; i < count; i++) {
		const struct kube_state *s = reports[i].state;
		const uint64_t numbers_of[] = {s->reports, s->report_failures};

		for (size_t j = 0; j < ARRAY_LEN(numbers_of); j++)
			buf_printf(out,
			    "ringfence_kube_node_reports_total"
			    "{source=\"%.*s\",result=\"%s\"} %llu\n",
			    STR_ARG(reports[i].source), j == 0 ? "taken" : "failed",
			    (unsigned long long)numbers_of[j]);
	}
}

static uint64_t
number_of(const struct kube_report *r, size_t kind, size_t number)
{
	const char *base = (const char *)&r->state->kinds[kind];

	return *(const uint64_t *)(const void *)(base + numbers[number].offset);
}

void
kube_report_metrics(struct buf *out, const struct kube_report *reports, size_t count)
{
	if (count == 0)
		return;
	for (size_t n = 0; n < ARRAY_LEN(numbers); n++) {
		prometheus_head(out, numbers[n].name, numbers[n].type, numbers[n].help);
		for (size_t i = 0; i < count; i++) {
			for (size_t j = 0; j < KUBE_KIND_COUNT; j++) {
				add_sample(out, numbers[n].name, &reports[i], j);
				buf_printf(out, "%llu\n",
				    (unsigned long long)number_of(&reports[i], j, n));
			}
		}
	}
	add_watching(out, reports, count);
	add_silence(out, reports, count);
	add_reports(out, reports, count);
}
