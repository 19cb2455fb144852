/*
 * Phases of the language's tool, timed from the inside, as one JSON object.
 *
 *     bench-language load PATH...              read, parse, load, lint; libyaml beside
 *     bench-language ask PATH... -- QUESTIONS  load, then `can` and `explain` of each line
 *
 * NAME_s are seconds of the wall clock, NAME_cpu_s of the processor; memory is in bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yaml.h>

#include <stdio.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "common/doc.h"
#include "policy-lang/explain/explain.h"
#include "policy-lang/lint/lint.h"
#include "policy-lang/load/load.h"

struct bench {
	struct arena *arena;
	struct diag_list diags;
	struct bundle bundle;
	struct model *model;
	monotime_t since;
	double cpu_since;
	bool first; /* no member printed yet */
};

static double
processor_seconds(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		base_die("no processor clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
start(struct bench *b)
{
	b->since = monotime_now();
	b->cpu_since = processor_seconds();
}

static void
print_number(struct bench *b, const char *name, double value)
{
	printf("%s\"%s\": %.9g", b->first ? "{" : ", ", name, value);
	b->first = false;
}

/* Prints the seconds of the clock as NAME_s, those of the processor as NAME_cpu_s. */
static void
stop(struct bench *b, const char *name)
{
	double wall = (double)monotime_since(b->since, monotime_now()) / 1e9;
	double cpu = processor_seconds() - b->cpu_since;
	char text[64];

	(void)snprintf(text, sizeof(text), "%s_s", name);
	print_number(b, text, wall);
	(void)snprintf(text, sizeof(text), "%s_cpu_s", name);
	print_number(b, text, cpu);
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

static size_t
bundle_bytes(const struct bundle *bundle)
{
	size_t bytes = 0;

	for (size_t i = 0; i < bundle->count; i++)
		bytes += bundle->sources[i].text.len;
	return bytes;
}

/* ---- load ---- */

/* What libyaml alone needs for the same bytes; false: it is no YAML. */
static bool
bare_libyaml(const struct bundle *bundle)
{
	bool ok = true;

	for (size_t i = 0; i < bundle->count && ok; i++) {
		struct str text = bundle->sources[i].text;
		yaml_parser_t parser;
		bool end = false;

		if (yaml_parser_initialize(&parser) == 0)
			return false;
		yaml_parser_set_input_string(
		    &parser, (const unsigned char *)text.ptr, text.len);
		while (ok && !end) {
			yaml_event_t event;

			ok = yaml_parser_parse(&parser, &event) != 0;
			end = ok && event.type == YAML_STREAM_END_EVENT;
			if (ok)
				yaml_event_delete(&event);
		}
		yaml_parser_delete(&parser);
	}
	return ok;
}

static bool
read_documents(struct bench *b, size_t *out_bytes)
{
	struct arena *scratch = arena_new();
	bool ok = true;

	for (size_t i = 0; i < b->bundle.count; i++) {
		struct doc_list docs;

		ok &= doc_read(scratch, &b->bundle.sources[i], &b->diags, &docs);
	}
	*out_bytes = arena_bytes(scratch);
	arena_free(scratch);
	return ok;
}

static bool
load(struct bench *b, char **paths, size_t count)
{
	bool ok;

	start(b);
	ok = bundle_read(
	    b->arena, (const char *const *)paths, count, &b->diags, &b->bundle);
	stop(b, "read");
	start(b);
	ok = model_load(b->arena, &b->bundle, NULL, &b->diags, &b->model) && ok;
	stop(b, "load");
	return ok;
}

static void
print_sizes(struct bench *b, size_t text_bytes)
{
	const struct model *m = b->model;

	print_number(b, "bytes", (double)text_bytes);
	print_number(b, "files", (double)b->bundle.count);
	print_number(b, "policies", (double)m->policy_count);
	print_number(b, "workloads", (double)m->workload_count);
	print_number(b, "namespaces", (double)m->ns_count);
	print_number(b, "model_bytes", (double)(arena_bytes(b->arena) - text_bytes));
	print_number(b, "rss_bytes", memory("VmRSS"));
	print_number(b, "rss_peak_bytes", memory("VmHWM"));
}

static bool
bench_load(struct bench *b, char **paths, size_t count)
{
	struct diag_list lints;
	size_t document_bytes;
	bool ok = load(b, paths, count);

	print_sizes(b, bundle_bytes(&b->bundle));
	diag_list_init(&lints, b->arena);
	start(b);
	model_lint(b->model, &lints);
	stop(b, "lint");
	start(b);
	ok = read_documents(b, &document_bytes) && ok;
	stop(b, "documents");
	print_number(b, "document_bytes", (double)document_bytes);
	start(b);
	ok = bare_libyaml(&b->bundle) && ok;
	stop(b, "libyaml");
	return ok;
}

/* ---- ask ---- */

struct questions {
	struct query *items;
	size_t count;
};

/* Splits the text into lines of three words each. */
static bool
read_questions(
    struct bench *b, struct resolver *resolver, struct str text, struct questions *out)
{
	struct buf why = {0};
	bool ok = true;

	out->items = ARENA_ARRAY(b->arena, text.len / 6 + 1, struct query);
	while (ok && text.len > 0) {
		struct str line = str_split(&text, '\n');
		struct str words[3];

		if (line.len == 0)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			words[i] = str_split(&line, ' ');
		ok = query_read(resolver, words, &out->items[out->count++], &why);
	}
	if (!ok)
		(void)fprintf(stderr, "%s\n", why.data);
	buf_free(&why);
	return ok;
}

static size_t
judge_all(struct judge *judge, const struct questions *q, size_t from, size_t to)
{
	size_t allowed = 0;

	for (size_t i = from; i < to && i < q->count; i++) {
		bool comparable;

		allowed += judge_connection(judge, &q->items[i].src, &q->items[i].dst,
		    q->items[i].proto, q->items[i].port, 0, &comparable);
	}
	return allowed;
}

static size_t
explain_all(struct bench *b, const struct questions *q, size_t count)
{
	struct arena *a = arena_new();
	size_t allowed = 0;

	for (size_t i = 0; i < count && i < q->count; i++) {
		struct explanations all;

		if (explain_query(a, b->model, &q->items[i], 0, &all))
			allowed += all.allow;
		arena_reset(a);
	}
	arena_free(a);
	return allowed;
}

#define EXPLAINED 1000

static bool
bench_ask(struct bench *b, char **paths, size_t count, const char *file)
{
	struct resolver *resolver;
	struct judge *judge;
	struct questions q = {0};
	struct bundle text;
	bool ok = load(b, paths, count);

	ok = bundle_read(b->arena, &file, 1, &b->diags, &text) && ok;
	if (!ok)
		return false;
	print_sizes(b, bundle_bytes(&b->bundle));
	start(b);
	resolver = resolver_new(b->arena, b->model);
	stop(b, "names");
	start(b);
	ok = read_questions(b, resolver, text.sources[0].text, &q);
	stop(b, "read_questions");
	print_number(b, "questions", (double)q.count);
	start(b);
	judge = judge_new(b->model);
	print_number(b, "allowed", (double)judge_all(judge, &q, 0, 1));
	stop(b, "first_answer");
	start(b);
	(void)judge_all(judge, &q, 0, q.count); /* finds who is governed by what */
	stop(b, "cold");
	start(b);
	print_number(b, "allowed_all", (double)judge_all(judge, &q, 0, q.count));
	stop(b, "warm");
	start(b);
	print_number(b, "explained_allowed", (double)explain_all(b, &q, EXPLAINED));
	stop(b, "explain");
	print_number(
	    b, "explained", (double)(q.count < EXPLAINED ? q.count : EXPLAINED));
	print_number(b, "rss_end_bytes", memory("VmRSS"));
	judge_free(judge);
	resolver_free(resolver);
	return ok;
}

static bool
run(struct bench *b, int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "load") == 0)
		return bench_load(b, argv + 2, (size_t)argc - 2);
	if (argc >= 5 && strcmp(argv[1], "ask") == 0 &&
	    strcmp(argv[argc - 2], "--") == 0)
		return bench_ask(b, argv + 2, (size_t)argc - 4, argv[argc - 1]);
	(void)fprintf(stderr, "usage: bench-language load PATH...\n"
			      "       bench-language ask PATH... -- QUESTIONS\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	struct bench b = {.arena = arena_new(), .first = true};
	bool ok;

	diag_list_init(&b.diags, b.arena);
	ok = run(&b, argc, argv) && b.diags.errors == 0;
	printf("}\n");
	if (!ok) {
		struct buf text = {0};

		diag_render(&text, &b.diags, DIAG_TEXT);
		(void)fprintf(stderr, "%s\nbench-language: errors in the input\n",
		    text.len > 0 ? text.data : "");
		buf_free(&text);
	}
	arena_free(b.arena);
	return ok ? 0 : 1;
}
