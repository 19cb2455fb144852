/*
 * What the enforcer does with changes, down to the kernel, without its processes: to be run
 * in a network namespace of its own.
 *
 *     bench-kernel churn NODE RATE COUNT DIRECTORY
 *
 * COUNT pods of a large cluster, RATE a second, get another address each; every change is
 * read from YAML, put into the model, compiled, encoded as for the kernel role, checked by
 * what that runs, committed. Latency is from when a change was due. Beside it, on the same
 * table: nft(8) with the same change, and a bare sender of the same messages, made before.
 * In the end the kernel's table is compared with one that is compiled from scratch.
 *
 *     bench-kernel commit ELEMENTS RUNS
 *
 * One transaction that adds so many elements, and one that deletes them: ours, the bare
 * sender, nft(8). Ours and the bare sender's are done in turns, and compared one by one:
 * whatever else the machine does, it does to both.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "enforcer/nft_socket.h"
#include "enforcer/plan_delta.h"
#include "enforcer/program.h"

#define PEER_CHANGES 60
#define ALONE_MOST                                                                     \
	20000u /* objects that are sources of their own, as a watch has them */

extern char **environ;

static bool first_member = true;

static void
print_number(const char *name, double value)
{
	printf("%s\"%s\": %.9g", first_member ? "{" : ", ", name, value);
	first_member = false;
}

static int
double_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
percentile(double *values, size_t count, size_t percent)
{
	qsort(values, count, sizeof(*values), double_cmp);
	return values[count * percent / 100 < count ? count * percent / 100
						    : count - 1];
}

static double
us_since(monotime_t began)
{
	return (double)monotime_since(began, monotime_now()) / 1e3;
}

static void
must(int rc, const struct err *err, const char *what)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "bench-kernel: %s: %s\n", what, err->msg);
	exit(1);
}

/* ---- senders ---- */

static struct nft *
new_nft(void)
{
	struct err err = ERR_INIT;
	int fd;

	must(nft_socket(&fd, &err), &err, "socket");
	return nft_new(fd);
}

static void
apply(struct nft *nft, const struct op_batch *batch)
{
	struct nft_refusal refusal;
	struct err err = ERR_INIT;
	uint32_t generation;

	must(nft_apply(nft, batch, 0, &generation, &refusal, &err), &err, "commit");
}

/* As from the engine to the kernel role, which trusts nothing. */
static void
send_ours(struct nft *nft, const struct op_batch *batch)
{
	struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	struct op_batch decoded;
	struct buf data = {0};

	op_encode(&data, batch);
	must(op_decode(arena, (const uint8_t *)data.data, data.len, &decoded, &err),
	    &err, "decode");
	apply(nft, &decoded);
	buf_free(&data);
	arena_free(arena);
}

struct cost {
	double us, cpu_us;
};

static double
cpu_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		exit(1);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* To send what has been built, and to hear that it was done. */
static struct cost
send_bare(struct nft *nft, const struct op_batch *batch)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	struct nft_build b;
	struct cost cost;
	monotime_t began;
	struct nlmsghdr *last;
	ssize_t n;
	int room;

	nft_begin(nft, &b, batch->settings, &nft->copies, 0);
	for (size_t i = 0; i < batch->count; i++)
		nft_build_op(&b, batch, i);
	last = (struct nlmsghdr *)(void *)(b.bytes.data + b.last_at);
	last->nlmsg_flags |= NLM_F_ACK;
	nft_build_batch(&b, false, 0);
	nft->seq += (uint32_t)b.count + 2;
	room = 4 * (int)b.bytes.len + 65536;
	(void)setsockopt(nft->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	cost.cpu_us = cpu_us();
	began = monotime_now();
	n = send(nft->fd, b.bytes.data, b.bytes.len, 0);
	if (n == (ssize_t)b.bytes.len)
		n = recv(nft->fd, answer, sizeof(answer), 0);
	cost.us = us_since(began);
	cost.cpu_us = cpu_us() - cost.cpu_us;
	last = (struct nlmsghdr *)(void *)answer;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
	    ((struct nlmsgerr *)NLMSG_DATA(last))->error != 0) {
		(void)fprintf(stderr, "bench-kernel: the bare sender failed\n");
		exit(1);
	}
	nft_build_fini(&b);
	return cost;
}

/* ---- nft(8) ---- */

static void
print_elements(FILE *file, const char *verb, const struct op *op)
{
	const char *name = table_sets[op->set].name;

	(void)fprintf(file, "%s element inet ringfence %s {", verb, name);
	for (size_t i = 0; i < op->element_count; i++) {
		const struct table_element *e = &op->elements[i];
		struct ip_addr addr = {
		    table_sets[op->set].key[0] == FIELD_IPV6 ? IP_V6 : IP_V4, {0}};
		char text[IP_TEXT_BYTES];

		memcpy(addr.bytes, e->addr, sizeof(addr.bytes));
		(void)fprintf(
		    file, "%s%s", i == 0 ? " " : ", ", ip_format(&addr, text));
		if (table_sets[op->set].value != FIELD_NONE && strcmp(verb, "add") == 0)
			(void)fprintf(file, " : %x:%x", (unsigned)(e->value >> 16),
			    (unsigned)(e->value & 0xffff));
	}
	(void)fprintf(file, " }\n");
}

/* Whether it is of sets that are keyed by an address alone. */
static bool
is_plain(const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		if ((op->kind != OP_ADD && op->kind != OP_DELETE) ||
		    table_sets[op->set].key[1] != FIELD_NONE ||
		    table_sets[op->set].interval || op->set == SET_RULES)
			return false;
	}
	return batch->count != 0;
}

static double
send_nft(const struct op_batch *batch)
{
	char path[] = "/tmp/bench-kernel-XXXXXX";
	char *argv[] = {(char[]){"nft"}, (char[]){"-f"}, path, NULL};
	int fd = mkstemp(path), status;
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	monotime_t began;
	double took;
	pid_t pid;

	if (file == NULL)
		exit(1);
	for (size_t i = 0; i < batch->count; i++)
		print_elements(file, batch->ops[i].kind == OP_ADD ? "add" : "delete",
		    &batch->ops[i]);
	(void)fclose(file);
	began = monotime_now();
	if (posix_spawnp(&pid, "nft", NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		(void)fprintf(stderr, "bench-kernel: nft failed\n");
		exit(1);
	}
	took = us_since(began);
	(void)unlink(path);
	return took;
}

/* ---- commit ---- */

static struct op_batch
one_op(struct arena *arena, enum op_kind kind, const struct table_element *elements,
    size_t count)
{
	struct op_batch batch = {.ops = ARENA_NEW(arena, struct op), .count = 1};

	batch.ops[0] = (struct op){.kind = kind,
	    .set = SET_PEER4_IN,
	    .elements = elements,
	    .element_count = count};
	return batch;
}

/* Of each run of each way, adding and deleting. nft(8) takes many times as long as the others
 * and is not compared with them turn by turn: it has fewer. */
#define NFT_RUNS 5
struct commit_runs {
	size_t count, nft_count;
	struct cost *ours[2], *bare[2];
	double *nft[2];
};

static void
time_ours(
    struct nft *nft, const struct op_batch batches[2], struct cost *out[2], size_t run)
{
	for (size_t d = 0; d < 2; d++) {
		double cpu = cpu_us();
		monotime_t began = monotime_now();

		send_ours(nft, &batches[d]);
		out[d][run] = (struct cost){us_since(began), cpu_us() - cpu};
	}
}

static void
time_all(struct nft *nft, struct nft *bare, const struct op_batch batches[2],
    struct commit_runs *r)
{
	for (size_t i = 0; i < r->count; i++) {
		/* What ran before has left the caches cold for whoever is first. */
		for (size_t d = 0; d < 2; d++)
			send_ours(nft, &batches[d]);
		if (i % 2 == 0)
			time_ours(nft, batches, r->ours, i);
		for (size_t d = 0; d < 2; d++)
			r->bare[d][i] = send_bare(bare, &batches[d]);
		if (i % 2 != 0)
			time_ours(nft, batches, r->ours, i);
		for (size_t d = 0; d < 2 && i < r->nft_count; d++)
			r->nft[d][i] = send_nft(&batches[d]);
	}
}

static void
print_way(const char *way, const struct commit_runs *r, size_t d)
{
	double *one = xcalloc(r->count, sizeof(*one));
	const struct {
		const char *before, *after; /* the way */
		bool bare, ratio, cpu;
	} figures[] = {
	    {"", "_us", false, false, false},
	    {"bare_", "_us", true, false, false},
	    {"", "_cpu_us", false, false, true},
	    {"bare_", "_cpu_us", true, false, true},
	    {"", "_of_bare", false, true, false},
	    {"", "_cpu_of_bare", false, true, true},
	};
	char name[64];

	for (size_t f = 0; f < ARRAY_LEN(figures); f++) {
		for (size_t i = 0; i < r->count; i++) {
			const struct cost *ours = &r->ours[d][i],
					  *bare = &r->bare[d][i];
			double mine = figures[f].cpu ? ours->cpu_us : ours->us;
			double other = figures[f].cpu ? bare->cpu_us : bare->us;

			one[i] = figures[f].ratio  ? other / mine
				 : figures[f].bare ? other
						   : mine;
		}
		(void)snprintf(name, sizeof(name), "%s%s%s", figures[f].before, way,
		    figures[f].after);
		print_number(name, percentile(one, r->count, 50));
	}
	(void)snprintf(name, sizeof(name), "nft_%s_us", way);
	print_number(name, percentile(r->nft[d], r->nft_count, 50));
	free(one);
}

static int
run_commit(size_t count, size_t runs)
{
	static const struct table_content empty;
	struct table_content will_be = empty;
	struct arena *arena = arena_new();
	struct table_element *elements =
	    ARENA_ARRAY(arena, count, struct table_element);
	struct commit_runs r = {
	    .count = runs, .nft_count = runs < NFT_RUNS ? runs : NFT_RUNS};
	struct nft *nft = new_nft(), *bare = new_nft();
	struct op_batch all, batches[2];

	for (size_t i = 0; i < count; i++) {
		const uint8_t addr[4] = {
		    10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		memcpy(elements[i].addr, addr, sizeof(addr));
		elements[i].value = (uint32_t)(4096 + i % 100);
	}
	plan_make(arena, NULL, &empty, &all);
	/* With the room that a table of so many is made with: else the kernel, too, makes
	 * room, by and by, in the turn of whoever comes just then. */
	will_be.element_count[SET_PEER4_IN] = count;
	all.ops[0].room = plan_room(arena, &will_be);
	apply(nft, &all);
	batches[0] = one_op(arena, OP_ADD, elements, count);
	batches[1] = one_op(arena, OP_DELETE, elements, count);
	for (size_t d = 0; d < 2; d++) {
		r.ours[d] = xcalloc(runs, sizeof(struct cost));
		r.bare[d] = xcalloc(runs, sizeof(struct cost));
		r.nft[d] = xcalloc(runs, sizeof(double));
	}
	time_all(nft, bare, batches, &r);
	print_number("elements", (double)count);
	print_way("add", &r, 0);
	print_way("delete", &r, 1);
	printf("}\n");
	for (size_t d = 0; d < 2; d++) {
		free(r.ours[d]);
		free(r.bare[d]);
		free(r.nft[d]);
	}
	nft_close(nft);
	nft_close(bare);
	arena_free(arena);
	return 0;
}

/* ---- churn ---- */

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

static void
take_source(struct churn *c, const struct source *file, struct str node,
    struct bundle *out, size_t cap)
{
	struct str rest = file->text;
	struct buf left = {0};
	size_t number = 0;

	while (rest.len != 0) {
		size_t end = 0;
		struct str text;
		char name[64];

		while (end < rest.len &&
		       !str_starts(str_slice(rest, end, rest.len), STR("---\n")))
			end = str_find(rest, '\n', end) + 1;
		if (end > rest.len)
			end = rest.len;
		text = str_slice(rest, 0, end);
		rest = str_slice(rest, end < rest.len ? end + 4 : end, rest.len);
		if (c->object_count < ALONE_MOST && out->count + 2 < cap &&
		    str_starts(text, STR("apiVersion: v1\nkind: Pod\n")) &&
		    find_after(text, "  podIP: ").len != 0 &&
		    !str_eq(find_after(text, "  nodeName: "), node)) {
			(void)snprintf(name, sizeof(name), ".%zu.yaml", number++);
			out->sources[out->count] = (struct source){
			    STR_CONCAT(c->arena, file->name, str_from(name)), text};
			c->objects[c->object_count++] =
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
	int fd;

	diag_list_init(&diags, c->arena);
	if (!bundle_read(c->arena, &directory, 1, &diags, &files))
		exit(1);
	split.sources =
	    ARENA_ARRAY(c->arena, ALONE_MOST + files.count + 2, struct source);
	c->objects = ARENA_ARRAY(c->arena, ALONE_MOST, struct object);
	for (size_t i = 0; i < files.count; i++)
		take_source(c, &files.sources[i], settings->node, &split,
		    ALONE_MOST + files.count + 2);
	must(bundle_seal(&split, &fd, &err), &err, "bundle");
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
	plan_delta(
	    arena, c->program->real.state, &c->program->options.settings, &delta, out);
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
			send_ours(c->nft, &batch);
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
	print_number("changes", (double)count);
	print_number("rate", (double)rate);
	print_number("seconds", us_since(start) / 1e6);
	print_number("commits", (double)c->commits);
	print_number("operations", (double)c->ops);
	print_number("cpu_us", 1e6 * cpu / (double)count);
	print_number("p50_us", percentile(latency, count, 50));
	print_number("p99_us", percentile(latency, count, 99));
	print_number("max_us", percentile(latency, count, 100));
	free(latency);
	arena_free(arena);
}

/* The same kind of change by others, and by us, one at a time. */
static void
run_peers(struct churn *c)
{
	double took[3][PEER_CHANGES];
	struct arena *arena = arena_new();
	struct nft *bare = new_nft();
	size_t done[3] = {0};

	for (size_t i = 0; i < (size_t)3 * PEER_CHANGES; i++) {
		const struct object *o = &c->objects[roll(c, c->object_count)];
		struct source edit = {o->name, moved(c, arena, o)};
		monotime_t began = monotime_now();
		struct op_batch batch;

		change(c, arena, &edit, 1, &batch);
		if (i % 3 == 0 || !is_plain(&batch)) {
			send_ours(c->nft, &batch);
			if (i % 3 == 0)
				took[0][done[0]++] = us_since(began);
		} else if (i % 3 == 1) {
			took[1][done[1]++] = send_bare(bare, &batch).us;
		} else {
			took[2][done[2]++] = send_nft(&batch);
		}
		program_sweep(c->program);
		arena_reset(arena);
	}
	print_number("alone_us", percentile(took[0], done[0], 50));
	print_number("bare_us", done[1] != 0 ? percentile(took[1], done[1], 50) : 0);
	print_number("nft_us", done[2] != 0 ? percentile(took[2], done[2], 50) : 0);
	nft_close(bare);
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
	must(nft_observe(c->nft, arena, &seen, &err), &err, "observe");
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

static int
run_churn(const char *node, size_t rate, size_t count, const char *directory)
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
	struct churn c = {.arena = arena_new(), .dice = 1, .nft = new_nft()};
	struct arena *arena = arena_new();
	struct table_content content;
	struct op_batch batch;
	bool same;

	load(&c, &settings, directory);
	program_content(c.program, arena, MIDSTREAM_RESET, &content);
	plan_make(arena, NULL, &content, &batch);
	apply(c.nft, &batch);
	arena_free(arena);
	print_number("workloads", (double)c.program->model->workload_count);
	print_number("policies", (double)c.program->model->policy_count);
	print_number("local", (double)c.program->local_workloads);
	run_events(&c, rate, count);
	run_peers(&c);
	same = is_as_compiled(&c);
	print_number("equal", same ? 1 : 0);
	printf("}\n");
	program_free(c.program);
	nft_close(c.nft);
	arena_free(c.arena);
	return same ? 0 : 1;
}

int
main(int argc, char **argv)
{
	uint64_t a, b;

	if (argc == 4 && strcmp(argv[1], "commit") == 0 &&
	    str_to_u64(str_from(argv[2]), 10000000, &a) &&
	    str_to_u64(str_from(argv[3]), 1000000, &b) && a != 0 && b != 0)
		return run_commit(a, b);
	if (argc == 6 && strcmp(argv[1], "churn") == 0 &&
	    str_to_u64(str_from(argv[3]), 1000000, &a) &&
	    str_to_u64(str_from(argv[4]), 1000000, &b) && a != 0 && b != 0)
		return run_churn(argv[2], a, b, argv[5]);
	(void)fprintf(stderr, "usage: bench-kernel churn NODE RATE COUNT DIRECTORY\n"
			      "       bench-kernel commit ELEMENTS RUNS\n");
	return 2;
}
