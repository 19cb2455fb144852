/*
 * Changes of a large cluster, one at a time, through the incremental compiler of one node,
 * as one JSON object:
 *
 *     bench-changes NODE COUNT PATH...
 *
 * Somebody else's workload gets another's labels, two swap their addresses, a namespace
 * gets another's labels, or comes to be where another is, a policy changes, a workload of
 * the node gets the labels of another of them. What comes out in the end is compared with
 * compiling the model as it is then.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <stdio.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "policy-lang/compile/compile_incremental.h"
#include "policy-lang/load/load.h"

struct bench {
	struct arena *arena;
	struct diag_list diags;
	struct bundle bundle;
	struct model *model;
	struct compile_options options;
	struct compile_state *state;
	uint64_t dice;
	bool first; /* no member printed yet */
};

static void
print_number(struct bench *b, const char *name, double value)
{
	printf("%s\"%s\": %.9g", b->first ? "{" : ", ", name, value);
	b->first = false;
}

static double
seconds_since(monotime_t began)
{
	return (double)monotime_since(began, monotime_now()) / 1e9;
}

static double
processor_seconds(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		base_die("no processor clock");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
roll(struct bench *b, size_t below)
{
	b->dice = b->dice * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(b->dice >> 33) % below;
}

/* ---- the model, changed in place ---- */

static bool
is_local(const struct bench *b, const struct workload *w)
{
	return str_eq(w->where->node, b->options.node);
}

static size_t
roll_remote(struct bench *b)
{
	for (;;) {
		size_t i = roll(b, b->model->workload_count);
		const struct workload *w = b->model->workloads[i];

		if (!is_local(b, w) && w->ip_count != 0 &&
		    model_workload_at(b->model, &w->ips[0]) == w)
			return i;
	}
}

/* The addresses that one has are another's, who names the same. */
static void
give(struct bench *b, const struct workload *before, struct workload *now)
{
	now->ips = before->ips;
	now->ip_count = before->ip_count;
	for (size_t i = 0; i < now->ip_count; i++) {
		if (model_workload_at(b->model, &now->ips[i]) == before)
			address_map_set(&b->model->by_address, now, i);
	}
}

/* Puts another object in the place of a workload, but for its addresses; both live on. */
static struct workload *
replace(struct bench *b, size_t i, struct compile_change *change)
{
	struct workload *now = ARENA_NEW(b->arena, struct workload);

	*now = *b->model->workloads[i];
	change->kind = CHANGE_WORKLOAD;
	change->workload_before = b->model->workloads[i];
	change->workload_after = now;
	b->model->workloads[i] = now;
	return now;
}

static void
take_labels(struct bench *b, struct workload *w, const struct workload *from)
{
	struct workload_shape *shape = ARENA_NEW(b->arena, struct workload_shape);

	*shape = *w->shape;
	shape->labels = from->shape->labels;
	w->shape = shape;
}

static size_t
relabel(struct bench *b, struct compile_change changes[2])
{
	struct workload *now = replace(b, roll_remote(b), &changes[0]);

	give(b, changes[0].workload_before, now);
	take_labels(b, now, b->model->workloads[roll_remote(b)]);
	return 1;
}

static size_t
swap_addresses(struct bench *b, struct compile_change changes[2])
{
	size_t i = roll_remote(b), j = roll_remote(b);
	struct workload *x, *y;

	if (i == j)
		return relabel(b, changes);
	x = replace(b, i, &changes[0]);
	y = replace(b, j, &changes[1]);
	give(b, changes[1].workload_before, x);
	give(b, changes[0].workload_before, y);
	return 2;
}

static size_t
roll_local(struct bench *b)
{
	size_t i = roll(b, b->model->workload_count);

	while (!is_local(b, b->model->workloads[i]))
		i = (i + 1) % b->model->workload_count;
	return i;
}

static size_t
relabel_local(struct bench *b, struct compile_change changes[2])
{
	struct workload *now = replace(b, roll_local(b), &changes[0]);

	give(b, changes[0].workload_before, now);
	take_labels(b, now, b->model->workloads[roll_local(b)]);
	return 1;
}

static bool
has_local(const struct bench *b, const struct kube_ns *kube)
{
	for (size_t i = 0; i < b->model->workload_count; i++) {
		if (b->model->workloads[i]->kube == kube &&
		    is_local(b, b->model->workloads[i]))
			return true;
	}
	return false;
}

/* In a small cluster each has some workload of the node: then it costs what that does. */
static struct kube_ns *
roll_namespace(struct bench *b)
{
	struct kube_ns *kube = b->model->kube_namespaces[0];

	for (unsigned i = 0; i < 20 && (i == 0 || has_local(b, kube)); i++)
		kube = b->model->kube_namespaces[roll(b, b->model->kube_count)];
	return kube;
}

static size_t
relabel_namespace(struct bench *b, struct compile_change changes[2])
{
	struct kube_ns *kube = roll_namespace(b);

	kube->labels = b->model->kube_namespaces[roll(b, b->model->kube_count)]->labels;
	changes[0] = (struct compile_change){.kind = CHANGE_KUBE_LABELS, .kube = kube};
	return 1;
}

/* To where another one is, with its workloads. */
static size_t
move_namespace(struct bench *b, struct compile_change changes[2])
{
	struct kube_ns *kube = roll_namespace(b);

	kube->ns = b->model->kube_namespaces[roll(b, b->model->kube_count)]->ns;
	for (size_t i = 0; i < b->model->workload_count; i++) {
		if (b->model->workloads[i]->kube == kube)
			b->model->workloads[i]->ns = kube->ns;
	}
	changes[0] = (struct compile_change){.kind = CHANGE_KUBE_PLACE, .kube = kube};
	return 1;
}

static size_t
touch_policy(struct bench *b, struct compile_change changes[2])
{
	const struct policy *p = b->model->policies[roll(b, b->model->policy_count)];

	changes[0] = (struct compile_change){
	    .kind = CHANGE_POLICY, .policy_before = p, .policy_after = p};
	return 1;
}

/* ---- timing ---- */

static int
double_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

typedef size_t make_change(struct bench *b, struct compile_change changes[2]);

/* COUNT changes of one kind: how long each took, and how many compiled anew. */
static bool
run_changes(struct bench *b, const char *name, size_t count, make_change *make)
{
	struct arena *arena = arena_new();
	double *taken = xcalloc(count, sizeof(*taken));
	double sum = 0, cpu = 0;
	size_t quick = 0, anew = 0, elements = 0;
	char text[64];
	bool ok = true;

	for (size_t i = 0; i < count && ok; i++) {
		struct compile_change changes[2] = {{.kind = CHANGE_OTHER}};
		size_t made = make(b, changes);
		struct compile_delta delta;
		double cpu_began = processor_seconds(), seconds;
		monotime_t began = monotime_now();

		ok = compile_state_update(
		    b->state, arena, b->model, changes, made, &b->diags, &delta);
		seconds = seconds_since(began);
		if (delta.anew) {
			anew++;
		} else {
			cpu += processor_seconds() - cpu_began;
			taken[quick++] = seconds;
			sum += seconds;
		}
		for (size_t set = 0; set < SET_COUNT; set++)
			elements += delta.added_count[set] + delta.removed_count[set];
		arena_reset(arena);
	}
	qsort(taken, quick, sizeof(*taken), double_cmp);
	(void)snprintf(text, sizeof(text), "%s_quick", name);
	print_number(b, text, (double)quick);
	(void)snprintf(text, sizeof(text), "%s_anew", name);
	print_number(b, text, (double)anew);
	(void)snprintf(text, sizeof(text), "%s_elements", name);
	print_number(b, text, (double)elements);
	(void)snprintf(text, sizeof(text), "%s_us", name);
	print_number(b, text, quick != 0 ? 1e6 * sum / (double)quick : 0);
	(void)snprintf(text, sizeof(text), "%s_cpu_us", name);
	print_number(b, text, quick != 0 ? 1e6 * cpu / (double)quick : 0);
	(void)snprintf(text, sizeof(text), "%s_p99_us", name);
	print_number(b, text, quick != 0 ? 1e6 * taken[quick * 99 / 100] : 0);
	free(taken);
	arena_free(arena);
	return ok;
}

static bool
same_as_anew(struct bench *b)
{
	struct table_content now, expected;
	struct buf one = {0}, two = {0};
	bool same;

	compile_state_content(b->state, b->arena, &now);
	if (!compile_node(b->arena, b->model, &b->options, &b->diags, &expected))
		return false;
	table_print_json(&one, &now);
	table_print_json(&two, &expected);
	same = str_eq(buf_str(&one), buf_str(&two));
	buf_free(&one);
	buf_free(&two);
	return same;
}

static bool
load(struct bench *b, char **paths, size_t count)
{
	bool ok = bundle_read(
	    b->arena, (const char *const *)paths, count, &b->diags, &b->bundle);

	return model_load(b->arena, &b->bundle, NULL, &b->diags, &b->model) && ok;
}

static bool
run(struct bench *b, size_t count)
{
	struct table_content content;
	struct arena *arena = arena_new();
	size_t locals = 0, elements = 0;
	double cpu = processor_seconds();
	monotime_t began = monotime_now();
	bool ok = compile_node(arena, b->model, &b->options, &b->diags, &content);

	print_number(b, "compile_s", seconds_since(began));
	print_number(b, "compile_cpu_s", processor_seconds() - cpu);
	for (size_t i = 0; i < SET_COUNT; i++)
		elements += content.element_count[i];
	print_number(b, "elements", (double)elements);
	arena_free(arena);
	for (size_t i = 0; i < b->model->workload_count; i++)
		locals += is_local(b, b->model->workloads[i]);
	print_number(b, "policies", (double)b->model->policy_count);
	print_number(b, "workloads", (double)b->model->workload_count);
	print_number(b, "local", (double)locals);
	began = monotime_now();
	b->state = compile_state_new(b->model, &b->options, &b->diags);
	print_number(b, "state_s", seconds_since(began));
	if (!ok || b->state == NULL)
		return false;
	ok = run_changes(b, "relabel", count, relabel) &&
	     run_changes(b, "swap", count / 4, swap_addresses) &&
	     run_changes(b, "namespace", count / 40 + 1, relabel_namespace) &&
	     run_changes(b, "place", count / 40 + 1, move_namespace) &&
	     run_changes(b, "policy", count / 40 + 1, touch_policy) &&
	     (locals == 0 || run_changes(b, "local", count / 40 + 1, relabel_local));
	ok = ok && same_as_anew(b);
	print_number(b, "equal", ok ? 1 : 0);
	return ok;
}

int
main(int argc, char **argv)
{
	struct bench b = {.arena = arena_new(), .first = true, .dice = 1};
	uint64_t count;
	bool ok;

	if (argc < 4 || !str_to_u64(str_from(argv[2]), 100000000, &count)) {
		(void)fprintf(stderr, "usage: bench-changes NODE COUNT PATH...\n");
		return 2;
	}
	diag_list_init(&b.diags, b.arena);
	b.options = (struct compile_options){
	    .node = str_from(argv[1]), .settings = {.log_group = 100}};
	ok = load(&b, argv + 3, (size_t)argc - 3) && run(&b, count);
	printf("}\n");
	if (!ok)
		(void)fprintf(stderr, "bench-changes: refused, or not the same\n");
	compile_state_free(b.state);
	arena_free(b.arena);
	return ok ? 0 : 1;
}
