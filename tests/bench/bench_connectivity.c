/*
 * Phases of `list` and `diff`, timed from the inside, as one JSON object.
 *
 *     bench-connectivity list PATH...
 *     bench-connectivity diff OLD NEW
 *
 * Seconds are of the wall clock, memory is in bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "policy-lang/connectivity/connectivity_group.h"
#include "policy-lang/diff/diff_print.h"
#include "policy-lang/load/load.h"

static const char *between = "{";

static void
print_number(const char *name, double value)
{
	printf("%s\"%s\": %.9g", between, name, value);
	between = ", ";
}

/* When a phase began: on the wall, and of the processor, which neighbours do not slow. */
struct stopwatch {
	monotime_t wall;
	double cpu_s;
};

static double
cpu_seconds(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) != 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct stopwatch
begin(void)
{
	return (struct stopwatch){monotime_now(), cpu_seconds()};
}

/* Prints NAME_s and NAME_cpu_s. */
static void
end(const char *name, struct stopwatch since)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s_s", name);
	print_number(text, (double)monotime_since(since.wall, monotime_now()) / 1e9);
	(void)snprintf(text, sizeof(text), "%s_cpu_s", name);
	print_number(text, cpu_seconds() - since.cpu_s);
}

/* A field of /proc/self/status, which is in kB. */
static double
memory(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long kb = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0)
			kb = strtoul(line + strlen(field) + 1, NULL, 10);
	}
	if (f != NULL)
		(void)fclose(f); /* it was only read */
	return (double)kb * 1024;
}

static struct model *
load(struct arena *arena, const char *const *paths, size_t count, struct bundle *bundle)
{
	struct model_options options = {0};
	struct diag_list diags;
	struct model *model = NULL;

	diag_list_init(&diags, arena);
	if (!bundle_read(arena, paths, count, &diags, bundle) ||
	    !model_load(arena, bundle, &options, &diags, &model)) {
		(void)fprintf(stderr, "bench-connectivity: the input has errors\n");
		exit(1);
	}
	return model;
}

static void
bench_list(struct arena *arena, const char *const *paths, size_t count)
{
	struct connectivity_options options = {0};
	struct bundle bundle;
	struct stopwatch since = begin();
	struct model *model = load(arena, paths, count, &bundle);
	double before;
	struct conn_pool pool;
	struct conn_world *world;
	struct conn_relation *relation;
	struct conn_groups groups;
	struct buf text = {0};

	end("load", since);
	before = memory("VmRSS:");
	print_number("load_rss_bytes", before);
	since = begin();
	conn_pool_init(&pool, arena, conn_names_portless(model));
	world = conn_world_new(arena, model, &options, &pool);
	end("world", since);
	since = begin();
	relation = conn_relation_new(world, false);
	end("relation", since);
	print_number("list_rss_bytes", memory("VmRSS:") - before);
	since = begin();
	conn_groups_make(relation, NULL, &groups);
	connectivity_print_groups(&text, &groups, CONNECTIVITY_TXT);
	end("print", since);
	print_number("text_bytes", (double)text.len);
	print_number("parties", (double)world->party_count);
	print_number("egress_sides", (double)world->planes[DIR_EGRESS].side_count);
	print_number("ingress_sides", (double)world->planes[DIR_INGRESS].side_count);
	print_number("egress_views", (double)world->planes[DIR_EGRESS].view_count);
	print_number("ingress_views", (double)world->planes[DIR_INGRESS].view_count);
	print_number("atoms", (double)relation->atom_count);
	print_number("groups", (double)groups.group_count);
	print_number("sets", (double)groups.set_count);
	print_number("columns", (double)relation->column_count);
	print_number("lines", (double)relation->line_count);
	print_number("pairs", (double)conn_relation_pair_count(relation));
	print_number("rss_peak_bytes", memory("VmHWM:"));
	buf_free(&text);
	conn_relation_free(relation);
	conn_world_free(world);
	conn_pool_fini(&pool);
}

static void
bench_diff(struct arena *arena, const char *const *paths)
{
	struct connectivity_options options = {0};
	struct bundle bundles[2];
	struct model *models[2];
	struct stopwatch since = begin();
	struct diff_report report;
	struct diff *diff;
	struct buf text = {0};
	double before;

	for (size_t i = 0; i < 2; i++)
		models[i] = load(arena, &paths[i], 1, &bundles[i]);
	end("load", since);
	before = memory("VmRSS:");
	since = begin();
	diff = diff_new(arena, models[0], models[1], &options);
	end("diff", since);
	print_number("diff_rss_bytes", memory("VmRSS:") - before);
	since = begin();
	diff_report_make(diff, 1000, &report);
	diff_print(&text, &report, CONNECTIVITY_TXT);
	end("print", since);
	print_number("text_bytes", (double)text.len);
	print_number("parties", (double)diff->joint->world->party_count);
	print_number("atoms", (double)diff->joint->atom_count);
	print_number("lines", (double)diff->line_count);
	print_number("rows", (double)report.row_count);
	print_number("policies", (double)report.documents.policy_count);
	print_number("rss_peak_bytes", memory("VmHWM:"));
	buf_free(&text);
	diff_free(diff);
}

int
main(int argc, char **argv)
{
	struct arena *arena = arena_new();

	if (argc < 3) {
		(void)fprintf(stderr, "usage: bench-connectivity list|diff PATH...\n");
		return 2;
	}
	if (strcmp(argv[1], "list") == 0)
		bench_list(arena, (const char *const *)&argv[2], (size_t)argc - 2);
	else if (argc == 4)
		bench_diff(arena, (const char *const *)&argv[2]);
	printf("}\n");
	arena_free(arena);
	return 0;
}
