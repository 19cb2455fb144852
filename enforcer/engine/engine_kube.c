/*
 * Clusters that are sources: each is a role, which sends what the parent sends of a directory,
 * one edit at a time, and how it goes.
 */
#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/kube/node_report.h"

void
engine_kube_init(struct engine *e)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		e->kubes[i] = (struct engine_kube){
		    .engine = e, .index = i, .channel = {.fd = -1}};
}

static void
disconnect(struct engine_kube *k)
{
	link_free(k->link);
	k->link = NULL;
	proc_channel_close(&k->channel);
	k->unread = false;
	k->engine->sources[k->index].wanted = false;
}

void
engine_kube_forget(struct engine *e)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		disconnect(&e->kubes[i]);
		arena_free(e->kubes[i].arena);
		e->kubes[i].arena = NULL;
	}
}

void
engine_kube_fini(struct engine *e)
{
	engine_kube_forget(e);
}

/* ---- what it sends ---- */

static bool
is_of(const struct engine_kube *k, const struct proc_msg *msg)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	return proc_get_u32(&r) == k->index && r.ok;
}

static bool
on_state(struct engine_kube *k, const struct proc_msg *msg)
{
	struct engine *e = k->engine;
	struct arena *arena = arena_new_sized(1024);
	struct kube_state state;
	struct proc_reader r;
	bool news;

	proc_reader_init(&r, msg);
	if (!kube_state_decode(arena, &r, &state)) {
		arena_free(arena);
		return false;
	}
	news = k->arena == NULL || !str_eq(state.why, k->state.why);
	arena_free(k->arena);
	k->arena = arena;
	k->state = state;
	k->told = monotime_now();
	if (state.why.len == 0)
		engine_source_readable(e, k->index);
	else if (news || e->sources[k->index].state != SOURCE_UNREADABLE)
		engine_source_failed(e, k->index, state.why);
	return true;
}

static bool
on_message(void *arg, struct proc_msg *msg)
{
	struct engine_kube *k = arg;

	switch (msg->type) {
	case MSG_SOURCE:
		k->bundles++;
		return is_of(k, msg) && engine_take_source(k->engine, msg);
	case MSG_SOURCE_EDIT:
		k->bundles++;
		k->unread = true;
		return is_of(k, msg) && engine_take_source_edit(k->engine, msg);
	case MSG_KUBE_STATE:
		return on_state(k, msg);
	default:
		return false;
	}
}

/* Its end shows to the parent. What it said stays. */
static void
on_lost(void *arg)
{
	disconnect(arg);
}

void
engine_kube_connect(struct engine *e, size_t index, int fd)
{
	static const struct link_handler handler = {on_message, on_lost};
	struct engine_kube *k = &e->kubes[index];
	struct err err = ERR_INIT;

	disconnect(k);
	k->bundles = k->in_force = k->told_hash = 0;
	proc_channel_init(&k->channel, fd);
	if (link_new(&e->loop, &k->channel, &handler, k, &k->link, &err) == 0)
		return;
	log_error("kube-link", "detail=%s", log_quote(str_from(err.msg)));
	disconnect(k);
}

/* ---- what it is told ---- */

static bool
tell(struct engine_kube *k, uint32_t type)
{
	struct err err = ERR_INIT;

	if (k->channel.fd < 0)
		return false;
	if (link_send(&k->channel, type, 0, NULL, -1, &err) == 0)
		return true;
	log_error("kube-link", "detail=%s", log_quote(str_from(err.msg)));
	return false;
}

bool
engine_kube_want(struct engine *e, size_t index)
{
	return tell(&e->kubes[index], MSG_SOURCE_WANTED);
}

static bool
waits(const struct engine_edits *x, size_t source)
{
	for (size_t i = 0; i < x->count; i++) {
		if (x->queue[i].source == source)
			return true;
	}
	return false;
}

/* A role that cannot be told has gone, or goes: its successor begins anew. */
void
engine_kube_taken(struct engine *e)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		struct engine_kube *k = &e->kubes[i];

		if (k->unread && !waits(&e->edits, i))
			k->unread = !tell(k, MSG_SOURCE_TAKEN);
	}
}

/* Everything that came is in the kernel, or was refused. */
static bool
is_settled(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	return !e->load.running && !e->load.dirty && !e->load.behind &&
	       e->edits.count == 0 && a->phase == APPLY_IDLE && a->candidate == NULL &&
	       !a->suspect && a->recompiled == NULL && engine_apply_is_in_force(e);
}

static void
add_refused(const struct engine_source *s, struct node_held *out)
{
	for (size_t i = 0; i < s->refused.len; i++) {
		const struct refused_file *f = s->refused.entries[i].value;

		out->total++;
		if (out->count < NODE_REPORT_REFUSED)
			out->refused[out->count++] = (struct node_refused){f->name,
			    str_from(f->count != 0 ? f->errors[0] : "refused")};
	}
}

static void
tell_in_force(struct engine_kube *k)
{
	struct node_held held = {.bundles = k->in_force};
	struct err err = ERR_INIT;
	struct buf body = {0};
	uint64_t hash;

	add_refused(&k->engine->sources[k->index], &held);
	node_held_encode(&body, &held);
	hash = map_hash(buf_str(&body));
	/* One that is not taken is sent again. */
	if (hash != k->told_hash &&
	    link_send(&k->channel, MSG_KUBE_IN_FORCE, 0, &body, -1, &err) == 0)
		k->told_hash = hash;
	buf_free(&body);
}

void
engine_kube_tick(struct engine *e)
{
	const bool settled = is_settled(e);

	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		struct engine_kube *k = &e->kubes[i];

		if (settled)
			k->in_force = k->bundles;
		if (k->channel.fd >= 0 && k->in_force != 0)
			tell_in_force(k);
	}
}

bool
engine_kube_report(const struct engine *e, size_t index, struct kube_report *out)
{
	const struct engine_kube *k = &e->kubes[index];

	*out = (struct kube_report){
	    e->settings.sources[index].directory, &k->state, k->told};
	return k->arena != NULL;
}
