/*
 * What a container runtime tells of workloads that it is about to start here, and who waits
 * until their policy is in force. The Kubernetes API learns a pod's addresses only once it
 * runs: until then they are what is told here. It is forgotten on detach, or once the runtime
 * says which attachments there are; and when this process ends, for by then the API, or the
 * runtime that asks again, tells it anew.
 */
#include <stdlib.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

/* At most; a node runs some hundred. */
#define MOST_ATTACHMENTS 8192
#define MOST_WAITERS     1024
/* So many programs later what was there when somebody began to wait is in force. */
#define PROGRAMS_LATER 2

struct attachment {
	struct arena *arena; /* of all of it, itself included */
	struct str key;      /* container/interface */
	struct engine_attach_to to;
};

struct waiter {
	struct waiter *next;
	struct arena *arena;
	struct engine_attach_to to;
	uint64_t after; /* the program that was in force */
	monotime_t deadline;
	engine_attach_fn answered;
	uint64_t arg;
};

/* ---- what is told ---- */

static struct engine_attach_to
copy_to(struct arena *a, const struct engine_attach_to *to)
{
	struct ip_addr *addrs = ARENA_ARRAY(a, to->addr_count, struct ip_addr);

	for (size_t i = 0; i < to->addr_count; i++)
		addrs[i] = to->addrs[i];
	return (struct engine_attach_to){
	    .namespace = str_dup(a, to->namespace),
	    .name = str_dup(a, to->name),
	    .addrs = addrs,
	    .addr_count = to->addr_count,
	};
}

static bool
same_to(const struct engine_attach_to *a, const struct engine_attach_to *b)
{
	if (!str_eq(a->namespace, b->namespace) || !str_eq(a->name, b->name) ||
	    a->addr_count != b->addr_count)
		return false;
	for (size_t i = 0; i < a->addr_count; i++) {
		if (!ip_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

static void
forget(struct attachment *a)
{
	if (a != NULL)
		arena_free(a->arena);
}

/* Remembers a pod's addresses; whatever has no name is in the sources by its address. */
static bool
remember(struct engine *e, struct str key, const struct engine_attach_to *to)
{
	struct map *all = &e->attach.all;
	struct attachment *old = map_get(all, key), *a;
	struct arena *arena;

	if (to->name.len == 0 || (old != NULL && same_to(&old->to, to)))
		return true;
	if (old == NULL && all->len == MOST_ATTACHMENTS)
		return false;
	arena = arena_new_sized(512);
	a = ARENA_NEW(arena, struct attachment);
	*a = (struct attachment){arena, str_dup(arena, key), copy_to(arena, to)};
	if (old != NULL)
		(void)map_remove(all, key); /* its key goes with it */
	forget(old);
	(void)map_set(all, a->key, a);
	log_debug("attached", "container=%s pod=%s", log_quote(a->key),
	    log_quote(a->to.name));
	engine_edits_announced(e);
	return true;
}

void
engine_attach_remove(struct engine *e, struct str key)
{
	struct attachment *a = map_remove(&e->attach.all, key);

	if (a == NULL)
		return;
	forget(a);
	engine_edits_announced(e);
}

void
engine_attach_keep(struct engine *e, const struct map *keys)
{
	struct map *all = &e->attach.all;
	bool some = false;

	/* Removal moves the last into the gap. */
	for (size_t i = all->len; i > 0; i--) {
		struct attachment *a = all->entries[i - 1].value;

		if (map_get(keys, a->key) != NULL)
			continue;
		(void)map_remove(all, a->key);
		forget(a);
		some = true;
	}
	if (some)
		engine_edits_announced(e);
}

void
engine_attach_copy(const struct engine *e, struct arena *arena,
    const struct announced_pod **out_pods, size_t *out_count)
{
	const struct map *all = &e->attach.all;
	struct announced_pod *pods = ARENA_ARRAY(arena, all->len, struct announced_pod);

	for (size_t i = 0; i < all->len; i++) {
		const struct attachment *a = all->entries[i].value;
		struct engine_attach_to to = copy_to(arena, &a->to);

		pods[i] = (struct announced_pod){
		    to.namespace, to.name, to.addrs, to.addr_count};
	}
	*out_pods = pods;
	*out_count = all->len;
}

/* ---- who waits ---- */

/* A workload of this node has the address, and is the one that was named. */
static bool
is_known(const struct engine *e, const struct engine_attach_to *to,
    const struct ip_addr *addr)
{
	const struct workload *w = model_workload_at(e->apply.current->model, addr);

	if (w == NULL || w->host_network || !str_eq(w->where->node, e->settings.node))
		return false;
	return to->name.len == 0 || w->kube == NULL ||
	       (str_eq(w->kube->name, to->namespace) && str_eq(w->name, to->name));
}

/* NULL: it is in force. Otherwise why it is not; `out_which` of the addresses. */
static const char *
what_is_missing(const struct engine *e, const struct waiter *w, size_t *out_which)
{
	const struct program *p = e->apply.current;

	*out_which = SIZE_MAX;
	if (p == NULL || p->skeleton)
		return "no policy is in force yet";
	for (size_t i = 0; i < w->to.addr_count; i++) {
		if (is_known(e, &w->to, &w->to.addrs[i]))
			continue;
		*out_which = i;
		return w->to.name.len != 0
			   ? "policy does not know that pod here, with this address"
			   : "policy knows no workload here with this address";
	}
	if (!e->apply.table_known)
		return "the kernel's table is being made anew";
	if (e->apply.ahead) /* what was found above may be what is not there yet */
		return "a change of policy is not in force yet";
	if (engine_apply_is_busy(e) && p->number < w->after + PROGRAMS_LATER)
		return "a change of policy is not in force yet";
	return NULL;
}

static void
finish(struct engine *e, struct waiter *w, const char *missing, size_t which)
{
	char text[IP_TEXT_BYTES] = "";
	struct engine_attach_result result = {
	    .generation = e->apply.current != NULL ? e->apply.current->number : 0,
	    .missing = missing,
	    .address = text,
	};

	if (missing != NULL && which < w->to.addr_count)
		(void)ip_format(&w->to.addrs[which], text);
	w->answered(e, w->arg, &result);
	arena_free(w->arena);
	e->attach.waiter_count--;
}

void
engine_attach_tick(struct engine *e)
{
	struct waiter **at = &e->attach.waiters;
	monotime_t now = monotime_now();

	while (*at != NULL) {
		struct waiter *w = *at;
		size_t which;
		const char *missing = what_is_missing(e, w, &which);

		if (missing != NULL && now.ns < w->deadline.ns) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		finish(e, w, missing, which);
	}
}

bool
engine_attach(struct engine *e, struct str key, const struct engine_attach_to *to,
    uint64_t wait_ms, engine_attach_fn answered, uint64_t arg)
{
	struct arena *arena;
	struct waiter *w;

	if (e->attach.waiter_count == MOST_WAITERS || !remember(e, key, to))
		return false;
	arena = arena_new_sized(512);
	w = ARENA_NEW(arena, struct waiter);
	*w = (struct waiter){
	    .next = e->attach.waiters,
	    .arena = arena,
	    .to = copy_to(arena, to),
	    .after = e->apply.current != NULL ? e->apply.current->number : 0,
	    .deadline = {monotime_now().ns + wait_ms * UINT64_C(1000000)},
	    .answered = answered,
	    .arg = arg,
	};
	e->attach.waiters = w;
	e->attach.waiter_count++;
	engine_attach_tick(e);
	return true;
}

void
engine_attach_fini(struct engine *e)
{
	while (e->attach.waiters != NULL) {
		struct waiter *w = e->attach.waiters;

		e->attach.waiters = w->next;
		arena_free(w->arena);
	}
	for (size_t i = 0; i < e->attach.all.len; i++)
		forget(e->attach.all.entries[i].value);
	map_fini(&e->attach.all);
}
