/*
 * What sources say of namespaces: labels and owners. A namespace of the model stays, and is
 * given what is said of it now: everything refers to it. One that nobody knew is put in, and
 * stays, too. Where Kubernetes namespaces are placed: live_move.c.
 */
#include "policy-lang/live/live_internal.h"

/* ---- of the base ---- */

static bool
is_known(const struct live *l, struct loc loc)
{
	return loc.source != NULL && live_file_of(l, loc.source) != NULL;
}

/* Calls `each` for all that is said; `said` is good for the call. */
static void
walk(struct live *l, void (*space)(struct live *l, const struct load_space *said))
{
	const struct model *m = l->model;

	for (size_t i = 0; i < m->ns_count; i++) {
		struct ns *ns = m->namespaces[i];
		const struct load_space said = {.ns = ns,
		    .labels = ns->labels,
		    .owners = ns->owners,
		    .owner_count = ns->owner_count,
		    .loc = ns->loc};

		if (is_known(l, ns->loc))
			space(l, &said);
	}
	for (size_t i = 0; i < m->kube_count; i++) {
		struct kube_node *node =
		    CONTAINER_OF(m->kube_namespaces[i], struct kube_node, kube);
		const struct load_space said = {
		    .kube = node, .labels = node->kube.labels, .loc = node->kube.loc};

		if (is_known(l, node->kube.loc))
			space(l, &said);
	}
}

static void
count_space(struct live *l, const struct load_space *said)
{
	live_say(l, live_file_of(l, said->loc.source))->space_count++;
}

static void
add_space(struct live *l, const struct load_space *space)
{
	struct live_said *said = live_file_of(l, space->loc.source)->said;

	if (said->spaces == NULL) {
		said->spaces =
		    ARENA_ARRAY(l->arena, said->space_count, struct load_space *);
		said->space_count = 0;
	}
	said->spaces[said->space_count] = ARENA_NEW(l->arena, struct load_space);
	*said->spaces[said->space_count++] = *space;
}

static void
share_placed(struct live *l, const struct ptr_vec *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct load_placed *placed = all->items[i];

		live_say(l, live_file_of(l, placed->loc.source))->placed_count++;
		placed->kube->placers++;
	}
	for (size_t i = 0; i < all->count; i++) {
		struct load_placed *placed = all->items[i];
		struct live_said *said = live_file_of(l, placed->loc.source)->said;

		if (said->placed == NULL) {
			said->placed = ARENA_ARRAY(
			    l->arena, said->placed_count, struct load_placed *);
			said->placed_count = 0;
		}
		said->placed[said->placed_count++] = placed;
	}
}

void
live_share_spaces(struct live *l, const struct load_note *note)
{
	walk(l, count_space);
	walk(l, add_space);
	share_placed(l, &note->placed);
}

/* ---- edits ---- */

void
live_take_fresh(struct live_edit *e)
{
	struct load_fresh *fresh = &e->fresh;
	struct live *l = e->l;
	struct model *m = l->model;

	if (fresh->arena == NULL)
		return;
	for (size_t i = 0; i < fresh->ns_by_path.len; i++)
		live_put_ns_in(l, fresh->ns_by_path.entries[i].value);
	for (size_t i = 0; i < fresh->kube_by_name.len; i++) {
		const struct map_entry *kube = &fresh->kube_by_name.entries[i];

		live_put_kube_in(l, kube->value);
		(void)map_set(&m->kube_by_name, kube->key, kube->value); /* new */
	}
	for (size_t i = 0; i < m->ns_count; i++)
		m->namespaces[i]->index = (uint32_t)i;
	l->edited_bytes += arena_bytes(fresh->arena);
	ptr_vec_push(&l->grown, fresh->arena);
	fresh->arena = NULL;
}

static bool
same_labels(struct label_set a, struct label_set b)
{
	bool same = a.count == b.count;

	for (size_t i = 0; i < a.count && same; i++)
		same = str_eq(a.items[i].key, b.items[i].key) &&
		       str_eq(a.items[i].value, b.items[i].value);
	return same;
}

static bool
same_space(const struct load_space *a, const struct load_space *b)
{
	return a->kube == b->kube && a->ns == b->ns;
}

/* Of what one source says before and after, the common case, which must be told from
 * edits that change nothing for policy. */
static bool
says_the_same(const struct load_space *said, const struct live_file *other)
{
	for (size_t i = 0; i < live_said(other)->space_count; i++) {
		if (same_space(said, live_said(other)->spaces[i]))
			return same_labels(
			    said->labels, live_said(other)->spaces[i]->labels);
	}
	return false;
}

static void
tell(const struct live_file *f, const struct live_file *other,
    struct compile_change *changes, size_t *count)
{
	for (size_t i = 0; i < live_said(f)->space_count; i++) {
		const struct load_space *said = live_said(f)->spaces[i];

		if (says_the_same(said, other))
			continue;
		changes[(*count)++] = (struct compile_change){
		    .kind = said->kube != NULL ? CHANGE_KUBE_LABELS : CHANGE_NS_LABELS,
		    .kube = said->kube != NULL ? &said->kube->kube : NULL,
		    .ns = said->ns,
		};
	}
}

/* As if no document declared them. */
static void
take_back(const struct live_file *f)
{
	for (size_t i = 0; i < live_said(f)->space_count; i++) {
		struct load_space bare = {.ns = live_said(f)->spaces[i]->ns,
		    .kube = live_said(f)->spaces[i]->kube};

		if (bare.kube != NULL)
			bare.labels = bare.kube->bare;
		load_declare(&bare);
	}
}

static void
say(const struct live_file *f)
{
	for (size_t i = 0; i < live_said(f)->space_count; i++)
		load_declare(live_said(f)->spaces[i]);
}

void
live_put_spaces(
    const struct live_edit *e, struct compile_change *changes, size_t *count)
{
	for (size_t i = 0; i < e->count; i++) {
		tell(e->items[i].before, e->items[i].after, changes, count);
		tell(e->items[i].after, e->items[i].before, changes, count);
		if (e->items[i].before != NULL)
			take_back(e->items[i].before);
	}
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].after != NULL)
			say(e->items[i].after);
	}
}
