/*
 * Edits of every kind in a large cluster: what the daemon does with each, and what that takes
 * of the processor, as one JSON object:
 *
 *     bench-edits NODE ROUNDS DIRECTORY EDITS
 *
 * Every document of the directory is a source, as objects of a watched cluster are. A file of
 * EDITS, NAME.yaml, has two documents: the first comes, the second takes its place, and goes;
 * ROUNDS times, of which the median counts. Where the first is said to be "# instead of TEXT",
 * they are in the place of the source that has the text, and in the end that is there again.
 *
 * `path` is what it took: `nothing` (no element is another), `elements`, `own` (only of workloads
 * of the node that are others), `local` (the node's own rules found out again), `node` (compiled
 * anew), `whole` (loaded anew). `loop_us` is what of `cpu_us` the engine does nothing else in.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/bundle.h"
#include "enforcer/engine/plan.h"
#include "enforcer/engine/plan_cold.h"
#include "enforcer/engine/plan_delta.h"
#include "enforcer/engine/program.h"

#define SLOW_ROUNDS 1 /* of what takes a load or compiling anew */
#define ROUNDS_MOST 1000

struct bench {
	struct arena *arena;
	struct engine_settings settings;
	struct bundle bundle; /* as it is now */
	struct program *program;
};

static double
cpu_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		base_die("no processor clock");
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "bench-edits: %s: %s\n", what, why);
	exit(1);
}

/* ---- sources ---- */

/* The next document of a text, which is what comes behind it. */
static struct str
next_document(struct str *text)
{
	struct str document;
	size_t end = 0;

	while (end < text->len &&
	       !str_starts(str_slice(*text, end, text->len), STR("---\n")))
		end = str_find(*text, '\n', end) + 1;
	if (end > text->len)
		end = text->len;
	document = str_slice(*text, 0, end);
	*text = str_slice(*text, end < text->len ? end + 4 : end, text->len);
	return document;
}

static void
split(struct bench *b, const struct bundle *files, size_t more)
{
	size_t count = more;

	for (size_t i = 0; i < files->count; i++) {
		struct str rest = files->sources[i].text;

		for (; rest.len != 0; count++)
			(void)next_document(&rest); /* it is only counted */
	}
	b->bundle.sources = ARENA_ARRAY(b->arena, count, struct source);
	for (size_t i = 0; i < files->count; i++) {
		struct str rest = files->sources[i].text;

		while (rest.len != 0) {
			const char *name = arena_printf(b->arena, "%.*s.%zu",
			    STR_ARG(files->sources[i].name), b->bundle.count);

			b->bundle.sources[b->bundle.count++] =
			    (struct source){str_from(name), next_document(&rest)};
		}
	}
}

static void
make_program(struct bench *b)
{
	struct err err = ERR_INIT;
	int fd;

	if (bundle_seal(&b->bundle, &fd, &err) != 0)
		fail("bundle", err.msg);
	program_free(b->program);
	b->program = program_make(&b->settings, &fd, 1, NULL);
	(void)close(fd); /* only read from */
	if (!b->program->ok)
		fail("refused", b->program->diags.first != NULL
				    ? b->program->diags.first->msg
				    : "");
}

/* The source of a name, or one more. */
static struct source *
source_of(struct bench *b, struct str name)
{
	for (size_t i = 0; i < b->bundle.count; i++) {
		if (str_eq(b->bundle.sources[i].name, name))
			return &b->bundle.sources[i];
	}
	b->bundle.sources[b->bundle.count] = (struct source){name, STR("")};
	return &b->bundle.sources[b->bundle.count++];
}

/* ---- one edit ---- */

struct outcome {
	const char *path;
	double us, loop_us; /* all of it, and what nothing else goes on meanwhile */
};

static bool
is_empty(const struct compile_delta *d)
{
	size_t count =
	    d->chain_added_count + d->chain_changed_count + d->chain_removed_count;

	for (size_t set = 0; set < SET_COUNT; set++)
		count += d->added_count[set] + d->removed_count[set];
	return count == 0;
}

static const char *
path_of(const struct compile_delta *d)
{
	if (d->local)
		return d->own ? "own" : "local";
	return is_empty(d) ? "nothing" : "elements";
}

static enum program_answer
commit(struct bench *b, const struct source *s, struct arena *arena,
    struct diag_list *diags, struct compile_delta *out_delta)
{
	struct program_edit *edit = program_edit_new(b->program);
	const struct str text = s->text.len != 0 ? s->text : (struct str){NULL, 0};
	enum program_answer answer = PROGRAM_BEYOND;

	switch (program_edit_read(edit, s->name, text, diags)) {
	case LIVE_READ:
		answer = program_edit_commit(edit, arena, diags, out_delta);
		break;
	case LIVE_REFUSED:
		fail("an edit is refused",
		    diags->first != NULL ? diags->first->msg : "");
		break;
	case LIVE_BEYOND:
		break;
	}
	program_edit_free(edit);
	return answer;
}

/* As the engine does: beside the loop, which puts it in the place of what was. */
static void
compile_anew(struct bench *b, double *out_loop_us)
{
	const uint32_t uses = b->program->options.settings.uses;
	struct program_recompiled anew = {.midstream = MIDSTREAM_RESET, .uses = uses};
	double began;

	program_recompile(b->program, &anew);
	began = cpu_us();
	program_take(b->program, &anew);
	program_keep_uses(b->program, uses);
	*out_loop_us = cpu_us() - began;
}

/* What the source says now goes into the program. */
static struct outcome
take(struct bench *b, const struct source *s)
{
	struct arena *arena = arena_new();
	struct compile_delta delta = {.anew = false};
	struct outcome out = {.path = "whole"};
	struct diag_list diags;
	struct op_batch batch;
	struct table_settings *settings = &b->program->options.settings;
	const uint32_t before = settings->uses;
	const double began = cpu_us();
	double began_beside, loop, beside = 0;

	diag_list_init(&diags, arena);
	switch (commit(b, s, arena, &diags, &delta)) {
	case PROGRAM_SAME:
	case PROGRAM_CHANGED:
		settings->uses |= table_uses(delta.added_count);
		plan_delta(
		    arena, b->program->real.state, settings, before, &delta, &batch);
		out.path = path_of(&delta);
		break;
	case PROGRAM_COMPILES:
		out.path = "node";
		began_beside = cpu_us();
		compile_anew(b, &loop);
		beside = cpu_us() - began_beside - loop;
		break;
	case PROGRAM_BEYOND:
		began_beside = cpu_us();
		make_program(b);
		beside = cpu_us() - began_beside;
		break;
	}
	program_sweep(b->program);
	out.us = cpu_us() - began;
	out.loop_us = out.us - beside;
	arena_free(arena);
	return out;
}

/* ---- edits of a kind ---- */

static const char *const steps[] = {"add", "change", "delete"};

struct kind {
	struct str name;     /* of its source */
	struct str texts[3]; /* by step */
	struct str original; /* "": there was none */
};

static int
double_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool
is_slow(const struct outcome *o)
{
	return strcmp(o->path, "node") == 0 || strcmp(o->path, "whole") == 0;
}

/* The worst path that any round took counts. */
static void
run_kind(struct bench *b, const struct kind *k, size_t rounds)
{
	static double us[ARRAY_LEN(steps)][ROUNDS_MOST];
	static double loop_us[ARRAY_LEN(steps)][ROUNDS_MOST];
	const char *paths[ARRAY_LEN(steps)] = {NULL};
	size_t done = 0;
	bool slow = false;

	while (done < rounds && !(slow && done == SLOW_ROUNDS)) {
		for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
			struct source *s = source_of(b, k->name);
			struct outcome o;

			s->text = k->texts[i];
			o = take(b, s);
			us[i][done] = o.us;
			loop_us[i][done] = o.loop_us;
			if (paths[i] == NULL || is_slow(&o))
				paths[i] = o.path;
			slow |= is_slow(&o);
		}
		if (k->original.len != 0) {
			struct source *s = source_of(b, k->name);

			s->text = k->original;
			(void)take(b, s); /* as it was */
		}
		done++;
	}
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		qsort(us[i], done, sizeof(us[i][0]), double_cmp);
		qsort(loop_us[i], done, sizeof(loop_us[i][0]), double_cmp);
		printf("%s\"%s\": {\"path\": \"%s\", \"cpu_us\": %.6g, "
		       "\"loop_us\": %.6g}",
		    i > 0 ? ", " : "", steps[i], paths[i], us[i][done / 2],
		    loop_us[i][done / 2]);
	}
}

static struct str
after(struct str text, const char *head)
{
	return str_starts(text, str_from(head))
		   ? str_slice(text, strlen(head), str_find(text, '\n', 0))
		   : (struct str){NULL, 0};
}

static bool
contains(struct str text, struct str part)
{
	return memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

static struct kind
kind_of(struct bench *b, const struct source *file)
{
	struct kind k = {.name = file->name, .original = STR("")};
	struct str rest = file->text, wanted = after(rest, "# instead of ");

	k.texts[0] = next_document(&rest);
	k.texts[1] = next_document(&rest);
	k.texts[2] = STR("");
	for (size_t i = 0; wanted.ptr != NULL && i < b->bundle.count; i++) {
		const struct source *s = &b->bundle.sources[i];

		if (!contains(s->text, wanted))
			continue;
		k.name = s->name;
		k.original = s->text;
		return k;
	}
	if (wanted.ptr != NULL)
		fail("nothing to put it in the place of", file->name.ptr);
	return k;
}

static void
print_name(struct str path)
{
	size_t from = path.len;

	while (from > 0 && path.ptr[from - 1] != '/')
		from--;
	path = str_slice(path, from, path.len);
	printf("\"%.*s\": {", (int)str_find(path, '.', 0), path.ptr);
}

static void
read_all(struct arena *arena, const char *path, struct bundle *out)
{
	struct diag_list diags;

	diag_list_init(&diags, arena);
	if (!bundle_read(arena, &path, 1, &diags, out))
		fail(path, diags.first != NULL ? diags.first->msg : "cannot be read");
}

int
main(int argc, char **argv)
{
	struct bench b = {.arena = arena_new()};
	struct settings_source source = {STR("/"), STR(""), false};
	struct ip_prefix network = {{IP_V4, {10}}, 8};
	struct bundle files, edits;
	uint64_t rounds;
	double began;

	if (argc != 5 || !str_to_u64(str_from(argv[2]), ROUNDS_MOST, &rounds)) {
		(void)fprintf(
		    stderr, "usage: bench-edits NODE ROUNDS DIRECTORY EDITS\n");
		return 2;
	}
	b.settings = (struct engine_settings){
	    .node = str_from(argv[1]),
	    .flow_group = 100,
	    .sources = &source,
	    .source_count = 1,
	    .workload_networks = &network,
	    .workload_network_count = 1,
	};
	read_all(b.arena, argv[3], &files);
	read_all(b.arena, argv[4], &edits);
	split(&b, &files, edits.count);
	began = cpu_us();
	make_program(&b);
	printf("{\"load_us\": %.6g, \"policies\": %zu, \"workloads\": %zu, "
	       "\"local\": %zu, \"edits\": {",
	    cpu_us() - began, b.program->model->policy_count,
	    b.program->model->workload_count, b.program->local_workloads);
	for (size_t i = 0; i < edits.count; i++) {
		const struct kind k = kind_of(&b, &edits.sources[i]);

		printf(i > 0 ? ", " : "");
		print_name(edits.sources[i].name);
		run_kind(&b, &k, rounds);
		printf("}");
	}
	printf("}}\n");
	program_free(b.program);
	arena_free(b.arena);
	return 0;
}
