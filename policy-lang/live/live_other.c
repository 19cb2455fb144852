/*
 * Objects of which there are few, of every kind in the same way (load_other.c): put into the
 * model and taken out, as policies are.
 */
#include "policy-lang/live/live_internal.h"
#include "policy-lang/model/net_limit.h"

/* ---- of the base ---- */

/* Of a file of the base, made when something is first known of it. */
static struct live_others *
others_of(struct live *l, const struct source *source)
{
	struct live_file *f = live_file_of(l, source);

	struct live_said *said = live_say(l, f);

	if (said->others == NULL) {
		said->others = ARENA_NEW(l->arena, struct live_others);
		said->others->file = f;
		live_list_others(l, f);
	}
	return said->others;
}

static void
share_kind(struct live *l, enum load_other kind)
{
	const size_t count = load_other_count(l->model, kind);
	void **items = load_other_items(l->model, kind);

	for (size_t i = 0; i < count; i++)
		others_of(l, load_other_loc(kind, items[i]).source)->count[kind]++;
	for (size_t i = 0; i < count; i++) {
		struct live_others *o =
		    others_of(l, load_other_loc(kind, items[i]).source);

		if (o->items[kind] == NULL) {
			o->items[kind] = ARENA_ARRAY(l->arena, o->count[kind], void *);
			o->count[kind] = 0;
		}
		o->items[kind][o->count[kind]++] = items[i];
	}
}

static void
share_named(struct live *l, const struct load_note *note)
{
	for (size_t i = 0; i < note->named_count; i++)
		others_of(l, note->named[i].source)->named_count++;
	for (size_t i = 0; i < note->named_count; i++) {
		struct live_others *o = others_of(l, note->named[i].source);

		if (o->named == NULL) {
			o->named =
			    ARENA_ARRAY(l->arena, o->named_count, struct load_named);
			o->named_count = 0;
		}
		o->named[o->named_count++] = note->named[i];
	}
}

void
live_share_others(struct live *l, const struct load_note *note)
{
	for (unsigned kind = 0; kind < OTHER_KINDS; kind++)
		share_kind(l, (enum load_other)kind);
	share_named(l, note);
}

/* ---- of one source ---- */

struct live_others *
live_read_others(struct live_file *f, const struct load_objects *objects,
    const struct load_note *note)
{
	struct live_others *o;
	size_t count = note->named_count;

	for (unsigned kind = 0; kind < OTHER_KINDS; kind++)
		count += objects->other_count[kind];
	if (count == 0)
		return NULL;
	o = ARENA_NEW(f->arena, struct live_others);
	o->file = f;
	for (unsigned kind = 0; kind < OTHER_KINDS; kind++) {
		o->items[kind] = objects->others[kind];
		o->count[kind] = objects->other_count[kind];
	}
	o->named = ARENA_ARRAY(f->arena, note->named_count, struct load_named);
	for (size_t i = 0; i < note->named_count; i++)
		o->named[o->named_count++] = note->named[i];
	return o;
}

void
live_list_others(struct live *l, struct live_file *f)
{
	struct live_others *o = live_said(f)->others;

	if (o == NULL)
		return;
	o->place = l->others.count;
	ptr_vec_push(&l->others, o);
}

void
live_unlist_others(struct live *l, struct live_file *f)
{
	const struct live_others *o = live_said(f)->others;
	struct live_others *last;

	if (o == NULL)
		return;
	last = l->others.items[--l->others.count];
	last->place = o->place;
	l->others.items[last->place] = last;
}

bool
live_others_at(const struct live_file *f, const struct ns *ns)
{
	const struct live_others *o = live_said(f)->others;
	bool found = false;

	for (unsigned kind = 0; kind < OTHER_KINDS && o != NULL; kind++) {
		for (size_t i = 0; i < o->count[kind] && !found; i++)
			found = load_other_ns(
				    (enum load_other)kind, o->items[kind][i]) == ns;
	}
	return found;
}

/* ---- the model ---- */

void
live_put_others_in(struct live *l, const struct live_file *f)
{
	const struct live_others *o = live_said(f)->others;

	for (unsigned i = 0; i < OTHER_KINDS && o != NULL; i++) {
		const enum load_other kind = (enum load_other)i;
		size_t count = load_other_count(l->model, kind);
		void **all = load_other_items(l->model, kind);

		for (size_t j = 0; j < o->count[i]; j++)
			live_insert(&all, &count, &l->other_caps[i], o->items[i][j],
			    load_other_kinds[i].compare);
		load_set_other_items(l->model, kind, all, count);
	}
}

void
live_take_others_out(struct live *l, const struct live_file *f)
{
	const struct live_others *o = live_said(f)->others;

	for (unsigned i = 0; i < OTHER_KINDS && o != NULL; i++) {
		const enum load_other kind = (enum load_other)i;
		size_t count = load_other_count(l->model, kind);
		void **all = load_other_items(l->model, kind);

		for (size_t j = 0; j < o->count[i]; j++)
			live_remove(
			    all, &count, o->items[i][j], load_other_kinds[i].compare);
		load_set_other_items(l->model, kind, all, count);
	}
}

void
live_link_others(struct live *l)
{
	for (unsigned kind = 0; kind < OTHER_KINDS; kind++)
		load_link_others(l->model, (enum load_other)kind);
}

/* ---- what is told ---- */

size_t
live_other_changes(const struct live_file *f)
{
	const struct live_others *o = live_said(f)->others;

	return o != NULL ? o->count[OTHER_ROUTE] + o->count[OTHER_QUOTA] : 0;
}

/* Of the other kinds a node asks nothing. */
void
live_tell_others(const struct live_file *f, bool after, struct compile_change *changes,
    size_t *count)
{
	const struct live_others *o = live_said(f)->others;

	for (size_t i = 0; o != NULL && i < o->count[OTHER_ROUTE]; i++) {
		const struct route_policy *route = o->items[OTHER_ROUTE][i];

		changes[(*count)++] = (struct compile_change){
		    .kind = CHANGE_ROUTE,
		    .route_before = after ? NULL : route,
		    .route_after = after ? route : NULL,
		};
	}
	for (size_t i = 0; o != NULL && i < o->count[OTHER_QUOTA]; i++) {
		if (net_limit_has(o->items[OTHER_QUOTA][i]))
			changes[(*count)++] =
			    (struct compile_change){.kind = CHANGE_LIMITS};
	}
}
