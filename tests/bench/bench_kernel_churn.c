/*
 * Changes of a large cluster, so many a second, from their text to the kernel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/bundle.h"
#include "enforcer/engine/plan_delta.h"
#include "enforcer/engine/program.h"
#include "tests/bench/bench_kernel.h"

#define PEER_CHANGES 60
#define OWN_CHANGES  300 /* pods of the node that go, each for another that comes */
#define ALONE_MOST                                                                     \
	20000u /* objects that are sources of their own, as a watch has them */

struct object {
	struct str name, text;
	struct str addr; /* its IPv4 address as it stands there; ptr NULL: none */
};

struct churn {
	struct arena *arena;
	struct program *program;
	struct nft *nft;
	struct object *objects; /* that can change */
	size_t object_count;
	struct object *own; /* of the node's */
	size_t own_count;
	uint64_t dice;
	unsigned next_addr;
	size_t commits, anew, ops;
};

static struct str
find_after(struct str text, const char *key)
{
	size_t len = strlen(key), at;

	for (at = 0; at + len <= text.len; at = str_find(text, '\n', at) + 1) {
		if (str_starts(str_slice(text, at, text.len), str_from(key)))
			return str_slice(
			    text, at + len, str_find(text, '\n', at + len));
		if (str_find(text, '\n', at) == text.len)
			break;
	}
	return (struct str){0};
}

/* Whether it is a pod that is to be a source of its own, and of which list. */
static bool
can_change(struct churn *c, struct str text, struct str node, struct object **out_list,
    size_t **out_count)
{
	const bool own = str_eq(find_after(text, "  nodeName: "), node);

	*out_list = own ? c->own : c->objects;
	*out_count = own ? &c->own_count : &c->object_count;
	return **out_count < ALONE_MOST &&
	       str_starts(text, STR("apiVersion: v1\nkind: Pod\n")) &&
	       find_after(text, "  podIP: ").len != 0;
}

static void
take_source(struct churn *c, const struct source *file, struct str node,
    struct bundle *out, size_t cap)
{
	struct str rest = file->text;
	struct buf left = {0};
	size_t number = 0;

	while (rest.len != 0) {
		size_t end = 0;
		struct object *list;
		struct str text;
		size_t *count;
		char name[64];

		while (end < rest.len &&
		       !str_starts(str_slice(rest, end, rest.len), STR("---\n")))
			end = str_find(rest, '\n', end) + 1;
		if (end > rest.len)
			end = rest.len;
		text = str_slice(rest, 0, end);
		rest = str_slice(rest, end < rest.len ? end + 4 : end, rest.len);
		if (out->count + 2 < cap && can_change(c, text, node, &list, &count)) {
			(void)snprintf(name, sizeof(name), ".%zu.yaml", number++);
			out->sources[out->count] = (struct source){
			    STR_CONCAT(c->arena, file->name, str_from(name)), text};
			list[(*count)++] =
			    (struct object){out->sources[out->count].name, text,
				find_after(text, "  podIP: ")};
			out->count++;
			continue;
		}
		buf_add_str(&left, text);
		buf_add_cstr(&left, "---\n");
	}
	out->sources[out->count++] =
	    (struct source){file->name, str_dup(c->arena, buf_str(&left))};
	buf_free(&left);
}

static void
load(struct churn *c, struct engine_settings *settings, const char *directory)
{
	struct bundle files, split = {0};
	struct err err = ERR_INIT;
	struct diag_list diags;
	size_t most;
	int fd;

	diag_list_init(&diags, c->arena);
	if (!bundle_read(c->arena, &directory, 1, &diags, &files))
		exit(1);
	most = 2 * ALONE_MOST + files.count + 2;
	split.sources = ARENA_ARRAY(c->arena, most, struct source);
	c->objects = ARENA_ARRAY(c->arena, ALONE_MOST, struct object);
	c->own = ARENA_ARRAY(c->arena, ALONE_MOST, struct object);
	for (size_t i = 0; i < files.count; i++)
		take_source(c, &files.sources[i], settings->node, &split, most);
	bench_must(bundle_seal(&split, &fd, &err), &err, "bundle");
	c->program = program_make(settings, &fd, 1, NULL);
	(void)close(fd); /* only read from */
	if (c->program->ok)
		return;
	(void)fprintf(stderr, "bench-kernel: %s\n",
	    c->program->diags.first != NULL ? c->program->diags.first->msg : "refused");
	exit(1);
}

static size_t
roll(struct churn *c, size_t below)
{
	c->dice = c->dice * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(c->dice >> 33) % below;
}

/* The pod with another address, that nobody has. */
static struct str
moved(struct churn *c, struct arena *arena, const struct object *o)
{
	struct buf out = {0};
	struct str rest = o->text, text;
	char addr[32];

	(void)snprintf(addr, sizeof(addr), "10.%u.%u.%u",
	    200 + c->next_addr / 60000 % 50, c->next_addr / 250 % 240,
	    1 + c->next_addr % 250);
	c->next_addr++;
	while (rest.len != 0) {
		if (str_starts(rest, o->addr)) {
			buf_add_cstr(&out, addr);
			rest = str_slice(rest, o->addr.len, rest.len);
		} else {
			buf_add_char(&out, rest.ptr[0]);
			rest = str_slice(rest, 1, rest.len);
		}
	}
	text = str_dup(arena, buf_str(&out));
	buf_free(&out);
	return text;
}

/* `texts` of `names` go into the program; what that changes is in *out. */
static void
change(struct churn *c, struct arena *arena, const struct source *edits, size_t count,
    struct op_batch *out)
{
	struct program_edit *edit = program_edit_new(c->program);
	struct table_settings *settings = &c->program->options.settings;
	const uint32_t before = settings->uses;
	struct diag_list diags;
	struct compile_delta delta;

	diag_list_init(&diags, arena);
	*out = (struct op_batch){.count = 0};
	for (size_t i = 0; i < count; i++) {
		if (program_edit_read(edit, edits[i].name, edits[i].text, &diags) !=
		    LIVE_READ) {
			(void)fprintf(stderr, "bench-kernel: an edit is refused\n");
			exit(1);
		}
	}
	if (program_edit_commit(edit, arena, &diags, &delta) != PROGRAM_CHANGED) {
		(void)fprintf(stderr, "bench-kernel: an edit takes more\n");
		exit(1);
	}
	settings->uses |= table_uses(delta.added_count);
	plan_delta(arena, c->program->real.state, settings, before, &delta, out);
	program_edit_free(edit);
}

static void
sleep_until(monotime_t when)
{
	const struct timespec t = {
	    (time_t)(when.ns / 1000000000u), (long)(when.ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		continue;
}

static double
cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		exit(1);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Texts are made before the clock runs: they are what a source sends. */
static void
run_events(struct churn *c, size_t rate, size_t count)
{
	struct arena *arena = arena_new();
	struct source *edits = ARENA_ARRAY(c->arena, count, struct source);
	double *latency = xcalloc(count, sizeof(*latency)), cpu;
	size_t done = 0;
	monotime_t start;

	for (size_t i = 0; i < count; i++) {
		const struct object *o = &c->objects[roll(c, c->object_count)];

		edits[i] = (struct source){o->name, moved(c, c->arena, o)};
	}
	cpu = cpu_seconds();
	start = monotime_now();
	while (done < count) {
		monotime_t due = {start.ns + done * (uint64_t)1000000000 / rate}, now;
		size_t most = done;
		struct op_batch batch;

		sleep_until(due);
		now = monotime_now();
		while (most < count &&
		       start.ns + most * (uint64_t)1000000000 / rate <= now.ns)
			most++;
		change(c, arena, &edits[done], most - done, &batch);
		c->ops += batch.count;
		if (batch.count != 0)
			bench_send_ours(c->nft, &batch);
		c->commits++;
		program_sweep(c->program);
		now = monotime_now();
		for (; done < most; done++)
			latency[done] = (double)(now.ns - start.ns -
						 done * (uint64_t)1000000000 / rate) /
					1e3;
		arena_reset(arena);
	}
	cpu = cpu_seconds() - cpu;
	bench_print_number("changes", (double)count);
	bench_print_number("rate", (double)rate);
	bench_print_number("seconds", bench_us_since(start) / 1e6);
	bench_print_number("commits", (double)c->commits);
	bench_print_number("operations", (double)c->ops);
	bench_print_number("cpu_us", 1e6 * cpu / (double)count);
	bench_print_number("p50_us", bench_percentile(latency, count, 50));
	bench_print_number("p99_us", bench_percentile(latency, count, 99));
	bench_print_number("max_us", bench_percentile(latency, count, 100));
	free(latency);
	arena_free(arena);
}

/* The same kind of change by others, and by us, one at a time. */
static void
run_peers(struct churn *c)
{
	double took[3][PEER_CHANGES];
	struct arena *arena = arena_new();
	struct nft *bare = bench_new_nft();
	size_t done[3] = {0};

	for (size_t i = 0; i < (size_t)3 * PEER_CHANGES; i++) {
		const struct object *o = &c->objects[roll(c, c->object_count)];
		struct source edit = {o->name, moved(c, arena, o)};
		monotime_t began = monotime_now();
		struct op_batch batch;

		change(c, arena, &edit, 1, &batch);
		if (i % 3 == 0 || !bench_is_plain(&batch)) {
			bench_send_ours(c->nft, &batch);
			if (i % 3 == 0)
				took[0][done[0]++] = bench_us_since(began);
		} else if (i % 3 == 1) {
			took[1][done[1]++] = bench_send_bare(bare, &batch).us;
		} else {
			took[2][done[2]++] = bench_send_nft(&batch);
		}
		program_sweep(c->program);
		arena_reset(arena);
	}
	bench_print_number("alone_us", bench_percentile(took[0], done[0], 50));
	bench_print_number(
	    "bare_us", done[1] != 0 ? bench_percentile(took[1], done[1], 50) : 0);
	bench_print_number(
	    "nft_us", done[2] != 0 ? bench_percentile(took[2], done[2], 50) : 0);
	nft_close(bare);
	arena_free(arena);
}

/* ---- the node's own pods ---- */

/* The pod's successor: another name, another address. */
static struct object
successor(struct churn *c, const struct object *o)
{
	struct str text = moved(c, c->arena, o), name = find_after(text, "  name: ");
	struct buf out = {0};
	struct object next;

	buf_add_str(&out, str_slice(text, 0, (size_t)(name.ptr - text.ptr)));
	buf_printf(&out, "p%u", c->next_addr);
	buf_add_str(
	    &out, str_slice(text, (size_t)(name.ptr - text.ptr) + name.len, text.len));
	next.text = str_dup(c->arena, buf_str(&out));
	next.addr = find_after(next.text, "  podIP: ");
	buf_clear(&out);
	buf_printf(&out, "p%u.yaml", c->next_addr);
	next.name = str_dup(c->arena, buf_str(&out));
	buf_free(&out);
	return next;
}

/* One edit; microseconds until it is in the kernel, and of these those of the kernel's. */
static struct bench_cost
time_edit(
    struct churn *c, struct arena *arena, const struct source *edit, double *kernel)
{
	const double cpu = bench_cpu_us();
	const monotime_t began = monotime_now();
	struct op_batch batch;
	struct bench_cost cost;

	change(c, arena, edit, 1, &batch);
	*kernel = bench_us_since(began);
	if (batch.count != 0)
		bench_send_ours(c->nft, &batch);
	cost.us = bench_us_since(began);
	cost.cpu_us = bench_cpu_us() - cpu;
	*kernel = cost.us - *kernel;
	program_sweep(c->program);
	arena_reset(arena);
	return cost;
}

static void
run_own(struct churn *c)
{
	double took[2 * OWN_CHANGES], kernel[2 * OWN_CHANGES], cpu = 0;
	struct arena *arena = arena_new();

	for (size_t i = 0; i < 2 * OWN_CHANGES; i += 2) {
		struct object *o = &c->own[roll(c, c->own_count)];
		const struct object next = successor(c, o);
		const struct source edits[] = {{o->name, {0}}, {next.name, next.text}};

		for (size_t j = 0; j < ARRAY_LEN(edits); j++) {
			const struct bench_cost cost =
			    time_edit(c, arena, &edits[j], &kernel[i + j]);

			took[i + j] = cost.us;
			cpu += cost.cpu_us;
		}
		*o = next;
	}
	bench_print_number("own_cpu_us", cpu / (2 * OWN_CHANGES));
	bench_print_number("own_p50_us", bench_percentile(took, 2 * OWN_CHANGES, 50));
	bench_print_number("own_p99_us", bench_percentile(took, 2 * OWN_CHANGES, 99));
	bench_print_number("own_max_us", bench_percentile(took, 2 * OWN_CHANGES, 100));
	bench_print_number(
	    "own_kernel_p50_us", bench_percentile(kernel, 2 * OWN_CHANGES, 50));
	bench_print_number(
	    "own_kernel_p99_us", bench_percentile(kernel, 2 * OWN_CHANGES, 99));
	arena_free(arena);
}

/* What the kernel has, against the model compiled from scratch. */
static bool
is_as_compiled(struct churn *c)
{
	static const struct plan_visitor nobody;
	struct arena *arena = arena_new();
	struct nft_observed seen;
	struct plan_observed observed = {0};
	struct table_content content;
	struct diag_list diags;
	struct err err = ERR_INIT;
	bool same;

	diag_list_init(&diags, arena);
	live_settle(c->program->real.live);
	bench_must(nft_observe(c->nft, arena, &seen, &err), &err, "observe");
	for (size_t i = 0; i < SET_COUNT; i++) {
		observed.elements[i] = seen.elements[i];
		observed.element_count[i] = seen.element_count[i];
	}
	observed.chains = seen.rule_chains;
	observed.chain_count = seen.rule_chain_count;
	same = compile_node(
		   arena, c->program->model, &c->program->options, &diags, &content) &&
	       plan_compare(&observed, &content, &nobody) == 0;
	arena_free(arena);
	return same;
}

int
bench_churn(const char *node, size_t rate, size_t count, const char *directory)
{
	struct settings_source source = {str_from(directory), STR(""), false};
	struct ip_prefix networks[] = {{{IP_V4, {10}}, 8}, {{IP_V6, {0xfd}}, 8}};
	struct engine_settings settings = {
	    .node = str_from(node),
	    .flow_group = 100,
	    .sources = &source,
	    .source_count = 1,
	    .workload_networks = networks,
	    .workload_network_count = ARRAY_LEN(networks),
	};
	struct churn c = {.arena = arena_new(), .dice = 1, .nft = bench_new_nft()};
	struct arena *arena = arena_new();
	struct table_content content;
	struct op_batch batch;
	bool same;

	load(&c, &settings, directory);
	program_content(c.program, arena, MIDSTREAM_RESET, &content);
	plan_make(arena, NULL, &content, &batch);
	bench_apply(c.nft, &batch);
	arena_free(arena);
	bench_print_number("workloads", (double)c.program->model->workload_count);
	bench_print_number("policies", (double)c.program->model->policy_count);
	bench_print_number("local", (double)c.program->local_workloads);
	run_events(&c, rate, count);
	run_peers(&c);
	if (c.own_count != 0)
		run_own(&c);
	same = is_as_compiled(&c);
	bench_print_number("equal", same ? 1 : 0);
	printf("}\n");
	program_free(c.program);
	nft_close(c.nft);
	arena_free(c.arena);
	return same ? 0 : 1;
}
