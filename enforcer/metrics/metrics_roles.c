/*
 * What the daemon's processes take, as the kernel counts it: read when it is asked for, from
 * descriptors that the parent opened.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/prometheus.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/metrics/metrics_internal.h"

#define STAT_BYTES 1024 /* proc(5): a name of 15 bytes and some 50 numbers */

struct usage {
	uint64_t restarts, cpu_ticks, resident_pages;
};

/* Adds nothing of a process that has ended, or cannot be looked at. */
static void
add_usage(const struct engine_role *role, struct usage *sum)
{
	uint64_t user, system, pages;
	char text[STAT_BYTES];
	const char *after;
	ssize_t n;

	sum->restarts += role->restarts;
	n = pread(role->stat, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return;
	text[n] = '\0';
	after = strrchr(text, ')'); /* of the name, in which there may be others */
	/* Fields 14, 15 and 24 of all; the third comes first here. */
	if (after == NULL ||
	    sscanf(after,
		") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
		" %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
		&user, &system, &pages) != 3)
		return;
	sum->cpu_ticks += user + system;
	sum->resident_pages += pages;
}

/* Of each cluster that is watched there is a role, and all have one name. */
static bool
is_first(const struct engine_role *roles, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(roles[i].name, roles[at].name) == 0)
			return false;
	}
	return true;
}

static struct usage
usage_of(const struct engine_role *roles, size_t count, const char *name)
{
	struct usage sum = {0};

	for (size_t i = 0; i < count; i++) {
		if (strcmp(roles[i].name, name) == 0)
			add_usage(&roles[i], &sum);
	}
	return sum;
}

void
metrics_add_roles(const struct engine_role *roles, size_t count, struct buf *out)
{
	const double ticks_per_s = (double)sysconf(_SC_CLK_TCK);
	const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct buf cpu = {0}, memory = {0};

	prometheus_head(
	    out, "ringfence_role_restarts_total", "counter", "Restarts of roles.");
	prometheus_head(&cpu, "process_cpu_seconds_total", "counter",
	    "Processor time that processes of a role have taken.");
	prometheus_head(&memory, "process_resident_memory_bytes", "gauge",
	    "Memory of processes of a role that is resident.");
	for (size_t i = 0; i < count; i++) {
		const char *name = roles[i].name;
		struct usage u;

		if (!is_first(roles, i))
			continue;
		u = usage_of(roles, count, name);
		buf_printf(out,
		    "ringfence_role_restarts_total{role=\"%s\"} %" PRIu64 "\n", name,
		    u.restarts);
		if (u.resident_pages == 0)
			continue;
		buf_printf(&cpu, "process_cpu_seconds_total{role=\"%s\"} %.2f\n", name,
		    (double)u.cpu_ticks / ticks_per_s);
		buf_printf(&memory,
		    "process_resident_memory_bytes{role=\"%s\"} %" PRIu64 "\n", name,
		    u.resident_pages * page_bytes);
	}
	buf_add_str(out, buf_str(&cpu));
	buf_add_str(out, buf_str(&memory));
	buf_free(&cpu);
	buf_free(&memory);
}
