/*
 * Pods whose addresses are known before their sources say them. A pod that such an
 * announcement is about has another workload stand in for the one that its source made.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live_internal.h"

#define STAND_IN_CHUNK_BYTES 512

/* ---- what stands in ---- */

static void
free_stand_ins(struct live_file *f, struct ptr_vec *garbage)
{
	while (live_said(f)->stand_ins != NULL) {
		struct arena *arena = f->said->stand_ins->arena;

		f->said->stand_ins = f->said->stand_ins->next;
		if (garbage != NULL)
			ptr_vec_push(garbage, arena);
		else
			arena_free(arena);
	}
}

void
live_free_stand_ins(struct live_file *f)
{
	free_stand_ins(f, NULL);
}

void
live_drop_stand_ins(struct live *l, struct live_file *f)
{
	free_stand_ins(f, &l->garbage);
}

/* One that stood in for a workload before goes. */
static void
drop_stand_in(struct live *l, struct live_file *f, const struct workload *w)
{
	for (struct live_stand_in **at = &f->said->stand_ins; *at != NULL;
	     at = &(*at)->next) {
		if ((*at)->workload != w)
			continue;
		ptr_vec_push(&l->garbage, (*at)->arena);
		*at = (*at)->next;
		return;
	}
}

static struct workload *
stand_in(
    struct live *l, struct live_file *f, size_t at, const struct announced_pod *pod)
{
	struct arena *arena = arena_new_sized(STAND_IN_CHUNK_BYTES);
	struct live_stand_in *s = ARENA_NEW(arena, struct live_stand_in);
	struct workload *w = ARENA_NEW(arena, struct workload);
	struct live_said *said = live_say(l, f);

	*w = *live_workloads_of(f)[at];
	load_announce(arena, w, pod);
	drop_stand_in(l, f, live_workloads_of(f)[at]);
	*s = (struct live_stand_in){said->stand_ins, arena, w};
	said->stand_ins = s;
	*(f->workload_count == 1 ? &f->workloads.one : &f->workloads.many[at]) = w;
	return w;
}

/* ---- which pods ---- */

static bool
same_pod(const struct announced_pod *a, const struct announced_pod *b)
{
	return str_eq(a->namespace, b->namespace) && str_eq(a->name, b->name);
}

static bool
same_announcement(const struct announced_pod *a, const struct announced_pod *b)
{
	bool same = same_pod(a, b) && a->ip_count == b->ip_count;

	for (size_t i = 0; i < a->ip_count && same; i++)
		same = ip_eq(&a->ips[i], &b->ips[i]);
	return same;
}

/* What a list says of a pod: the first counts. NULL: nothing. */
static const struct announced_pod *
find_pod(
    const struct announced_pod *pods, size_t count, const struct announced_pod *pod)
{
	for (size_t i = 0; i < count; i++) {
		if (same_pod(&pods[i], pod))
			return &pods[i];
	}
	return NULL;
}

struct announcing {
	struct live *l;
	struct arena *arena;
	struct diag_list *diags;
	struct compile_change *changes;
	size_t count, cap;
};

static void
tell(struct announcing *a, const struct workload *before, const struct workload *after)
{
	if (a->count == a->cap) {
		struct compile_change *more = ARENA_ARRAY(
		    a->arena, a->cap != 0 ? a->cap * 2 : 8, struct compile_change);

		if (a->count != 0)
			memcpy(more, a->changes, a->count * sizeof(*more));
		a->cap = a->cap != 0 ? a->cap * 2 : 8;
		a->changes = more;
	}
	a->changes[a->count++] = (struct compile_change){.kind = CHANGE_WORKLOAD,
	    .workload_before = before,
	    .workload_after = after};
}

/* A pod of a source that the announcement is about: `pod` NULL, it is no more. */
static void
replace(struct announcing *a, struct workload *before, const struct announced_pod *pod)
{
	struct live_file *f = live_file_of(a->l, before->loc.source);
	struct workload *after;
	size_t at = 0;

	while (at < f->workload_count && live_workloads_of(f)[at] != before)
		at++;
	if (at == f->workload_count)
		base_die("a workload is no source's");
	live_take_workload_out(a->l, before);
	after = stand_in(a->l, f, at, pod);
	live_put_workload_in(a->l, after, a->diags);
	tell(a, before, after);
}

/* Pods of the name in one cluster, which share a namespace with at most all others. */
static void
announce_in(struct announcing *a, struct str cluster, const struct announced_pod *of,
    const struct announced_pod *now)
{
	const struct model *m = a->l->model;
	struct str prefix = model_display_of_kube(a->arena, cluster, of->namespace);

	for (size_t i = model_first_displayed(m, prefix);
	     i < m->workload_count &&
	     str_starts(m->workloads[i]->shape->display, prefix);
	     i++) {
		struct workload *w = m->workloads[i];

		/* What is put in takes the place of what is taken out. */
		if (load_is_announced(m, w, of) && str_eq(w->where->cluster, cluster))
			replace(a, w, now);
	}
}

static void
announce(struct announcing *a, const struct announced_pod *of,
    const struct announced_pod *now)
{
	const struct model_options *options = &a->l->model->options;

	if (options->cluster_count != 1)
		announce_in(a, STR(""), of, now);
	for (size_t i = 0; i < options->cluster_count; i++)
		announce_in(a, options->clusters[i].name, of, now);
}

static struct announced_pod *
copy_pods(struct arena *arena, const struct announced_pod *pods, size_t count)
{
	struct announced_pod *copies = ARENA_ARRAY(arena, count, struct announced_pod);

	for (size_t i = 0; i < count; i++) {
		struct ip_addr *ips =
		    ARENA_ARRAY(arena, pods[i].ip_count, struct ip_addr);

		if (pods[i].ip_count != 0)
			memcpy(ips, pods[i].ips, pods[i].ip_count * sizeof(*ips));
		copies[i] = (struct announced_pod){str_dup(arena, pods[i].namespace),
		    str_dup(arena, pods[i].name), ips, pods[i].ip_count};
	}
	return copies;
}

void
live_announce(struct live *l, const struct announced_pod *pods, size_t count,
    struct arena *arena, struct diag_list *diags, struct compile_change **out_changes,
    size_t *out_count)
{
	struct announcing a = {.l = l, .arena = arena, .diags = diags};
	struct model_options *options = &l->model->options;
	const struct announced_pod *old = options->announced;
	size_t old_count = options->announced_count;
	struct arena *old_arena = l->announced_arena;

	l->announced_arena = arena_new_sized(STAND_IN_CHUNK_BYTES);
	options->announced = copy_pods(l->announced_arena, pods, count);
	options->announced_count = count;
	for (size_t i = 0; i < old_count; i++) {
		if (find_pod(pods, count, &old[i]) == NULL)
			announce(&a, &old[i], NULL);
	}
	for (size_t i = 0; i < count; i++) {
		const struct announced_pod *was = find_pod(old, old_count, &pods[i]);

		if (find_pod(pods, i, &pods[i]) != NULL)
			continue; /* said before */
		if (was == NULL || !same_announcement(was, &pods[i]))
			announce(&a, &pods[i], &pods[i]);
	}
	arena_free(old_arena);
	*out_changes = a.changes;
	*out_count = a.count;
}
