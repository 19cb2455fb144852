/*
 * Kubernetes namespaces that are placed elsewhere: where a document says so now, or at their own
 * names when none does any more. Pods go with them. What is written in such a namespace means
 * what it does by where that is: its sources are read again.
 */
#include "policy-lang/live/live_internal.h"

/* ---- which ---- */

/* Those that are new among them: what placed one may be refused, or gone again. */
static size_t
count_placed(const struct live_edit *e)
{
	size_t count = e->fresh.kube_by_name.len;

	for (size_t i = 0; i < e->count; i++) {
		const struct live_replacement *r = &e->items[i];

		count += live_said(r->before)->placed_count;
		count += live_said(r->after)->placed_count;
	}
	return count;
}

static struct live_move *
move_of(struct live_edit *e, struct kube_node *kube)
{
	if (kube->move == NULL) {
		kube->move = &e->moves[e->move_count++];
		*kube->move = (struct live_move){
		    .kube = kube, .from = kube->kube.ns, .others = kube->placers};
	}
	return kube->move;
}

/* Of all that is placed, where it comes to be. False: some do not agree. */
static bool
hear(struct live_edit *e)
{
	bool agreed = true;

	for (size_t i = 0; i < e->fresh.kube_by_name.len; i++)
		(void)move_of(e, CONTAINER_OF(e->fresh.kube_by_name.entries[i].value,
				     struct kube_node, kube));
	for (size_t i = 0; i < e->count; i++) {
		const struct live_said *before = live_said(e->items[i].before);
		const struct live_said *after = live_said(e->items[i].after);

		for (size_t j = 0; j < before->placed_count; j++)
			move_of(e, before->placed[j]->kube)->others--;
		for (size_t j = 0; j < after->placed_count; j++) {
			struct live_move *move = move_of(e, after->placed[j]->kube);
			struct ns *to = after->placed[j]->ns;

			agreed = agreed && (move->to == NULL || move->to == to);
			move->to = to;
		}
	}
	for (size_t i = 0; i < e->move_count; i++) {
		struct live_move *move = &e->moves[i];

		if (move->others != 0)
			agreed = agreed && (move->to == NULL || move->to == move->from);
		if (move->others != 0)
			move->to = move->from;
		else if (move->to == NULL)
			move->to = load_default_place(
			    e->l->model, &e->fresh, move->kube->kube.name);
	}
	return agreed;
}

/* Puts those that come to be elsewhere there. */
static void
set_out(struct live_edit *e)
{
	size_t count = 0;

	for (size_t i = 0; i < e->move_count; i++) {
		struct live_move *move = &e->moves[i];

		move->kube->move = NULL;
		if (move->from == move->to)
			continue;
		move->kube->kube.ns = move->to;
		e->moves[count++] = *move;
	}
	e->move_count = count;
}

/* ---- what is written in them ---- */

/* False: it takes a whole load. */
static bool
read_again(struct live_edit *e, const struct source *source, struct diag_list *diags)
{
	const struct live_file *f = live_file_of(e->l, source);

	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].before == f)
			return true; /* what it says now is looked at by itself */
	}
	return live_read_again(e, f, diags);
}

static bool
is_written_in(const struct live_move *move, const struct policy *p)
{
	return p->level == move->from &&
	       str_eq(p->namespace_text, move->kube->kube.name);
}

/* What is at the place may have been written there by the path: that does no harm. */
static bool
read_what_is_in(
    struct live_edit *e, const struct live_move *move, struct diag_list *diags)
{
	const struct model *m = e->l->model;
	struct str prefix = model_display_of_ns(e->arena, move->from);
	bool ok = true;

	for (size_t i = 0; i < move->from->policy_count && ok; i++) {
		if (is_written_in(move, move->from->policies[i]))
			ok = read_again(e, move->from->policies[i]->loc.source, diags);
	}
	for (size_t i = 0; i < e->l->others.count && ok; i++) {
		const struct live_others *o = e->l->others.items[i];

		if (live_others_at(o->file, move->from))
			ok = read_again(e, o->file->source, diags);
	}
	for (size_t i = model_first_displayed(m, prefix);
	     i < m->workload_count && ok &&
	     str_starts(m->workloads[i]->shape->display, prefix);
	     i++) {
		if (m->workloads[i]->kube == NULL && m->workloads[i]->ns == move->from)
			ok = read_again(e, m->workloads[i]->loc.source, diags);
	}
	return ok;
}

static bool
was_read_before(const struct live_edit *e, const struct live_file *f)
{
	bool found = false;

	for (size_t i = 0; f != NULL && i < e->move_count && !found; i++) {
		for (size_t j = 0; j < live_said(f)->policy_count && !found; j++)
			found = is_written_in(&e->moves[i], live_said(f)->policies[j]);
		for (size_t j = 0; j < f->workload_count && !found; j++)
			found = live_workloads_of(f)[j]->kube == NULL &&
				live_workloads_of(f)[j]->ns == e->moves[i].from;
		found = found || live_others_at(f, e->moves[i].from);
	}
	return found;
}

static bool
read_all_again(struct live_edit *e, struct diag_list *diags)
{
	const size_t count = e->count; /* what is added is read now */
	bool ok = true;

	for (size_t i = 0; i < count && ok; i++) {
		if (was_read_before(e, e->items[i].after))
			ok = live_read_again(e, e->items[i].after, diags);
	}
	for (size_t i = 0; i < e->move_count && ok; i++)
		ok = read_what_is_in(e, &e->moves[i], diags);
	return ok;
}

/* ---- all of it ---- */

bool
live_begin_moves(struct live_edit *e, struct diag_list *diags)
{
	bool agreed;

	e->moves = ARENA_ARRAY(e->arena, count_placed(e), struct live_move);
	agreed = hear(e);
	set_out(e);
	if (agreed && read_all_again(e, diags))
		return true;
	live_undo_moves(e);
	return false;
}

void
live_undo_moves(struct live_edit *e)
{
	for (size_t i = 0; i < e->move_count; i++)
		e->moves[i].kube->kube.ns = e->moves[i].from;
	e->move_count = 0;
}

static void
count_words(struct live_edit *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct live_said *before = live_said(e->items[i].before);
		const struct live_said *after = live_said(e->items[i].after);

		for (size_t j = 0; j < before->placed_count; j++)
			before->placed[j]->kube->placers--;
		for (size_t j = 0; j < after->placed_count; j++)
			after->placed[j]->kube->placers++;
	}
}

static void
take_along(struct live_edit *e, const struct live_move *move)
{
	const struct kube_ns *kube = &move->kube->kube;
	const struct model *m = e->l->model;
	struct str prefix = model_display_of_kube(e->arena, kube->cluster, kube->name);

	for (size_t i = model_first_displayed(m, prefix);
	     i < m->workload_count &&
	     str_starts(m->workloads[i]->shape->display, prefix);
	     i++) {
		if (m->workloads[i]->kube == kube)
			m->workloads[i]->ns = kube->ns;
	}
}

void
live_end_moves(struct live_edit *e, struct compile_change *changes, size_t *count)
{
	count_words(e);
	for (size_t i = 0; i < e->move_count; i++) {
		take_along(e, &e->moves[i]);
		changes[(*count)++] = (struct compile_change){
		    .kind = CHANGE_KUBE_PLACE, .kube = &e->moves[i].kube->kube};
	}
}
