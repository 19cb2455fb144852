/*
 * The ends of both models, and which of them a change may concern: those whose policies it
 * touches, and those that it changes themselves.
 */
#include <roaring/roaring.h>
#include <string.h>

#include "policy-lang/diff/diff_internal.h"

#define NONE UINT32_MAX
#define ALL  ((1u << DIRECTION_COUNT) - 1)

/* ---- ends of both ---- */

/* An end that is gone: its namespace is not of the new tree. */
static const struct conn_end *
gone_end(struct arena *arena, const struct conn_end *end)
{
	struct conn_end *copy = ARENA_NEW(arena, struct conn_end);

	*copy = *end;
	copy->workload = NULL;
	return copy;
}

void
diff_ends_join(struct diff *diff, struct conn_world *joint)
{
	const struct conn_world *a = diff->old_world, *b = diff->new_world;
	size_t most = (size_t)a->party_count + b->party_count;
	uint32_t i = 0, j = 0;

	joint->parties = ARENA_ARRAY(diff->arena, most, struct conn_party);
	diff->parties = ARENA_ARRAY(diff->arena, most, struct diff_party);
	while (i < a->party_count || j < b->party_count) {
		struct diff_party *both = &diff->parties[joint->party_count];
		int order = 0;

		if (i == a->party_count)
			order = 1;
		else if (j == b->party_count)
			order = -1;
		else
			order = str_cmp(
			    a->parties[i].end->display, b->parties[j].end->display);
		both->old = order <= 0 ? i++ : NONE;
		both->new = order >= 0 ? j++ : NONE;
		joint->parties[joint->party_count++].end =
		    both->new != NONE
			? b->parties[both->new].end
			: gone_end(diff->arena, a->parties[both->old].end);
	}
}

enum diff_presence
diff_presence_of(const struct diff *diff, uint32_t party)
{
	if (diff->parties[party].old == NONE)
		return DIFF_NEW;
	return diff->parties[party].new == NONE ? DIFF_GONE : DIFF_BOTH;
}

/* ---- whether policy sees the same in two ends ---- */

static bool
same_labels(struct label_set a, struct label_set b)
{
	if (a.count != b.count)
		return false;
	for (size_t i = 0; i < a.count; i++) {
		if (!str_eq(a.items[i].key, b.items[i].key) ||
		    !str_eq(a.items[i].value, b.items[i].value))
			return false;
	}
	return true;
}

static bool
same_ports(const struct workload *a, const struct workload *b)
{
	if (a->shape->port_count != b->shape->port_count)
		return false;
	for (size_t i = 0; i < a->shape->port_count; i++) {
		const struct named_port *x = &a->shape->ports[i],
					*y = &b->shape->ports[i];

		if (!str_eq(x->name, y->name) || x->proto != y->proto ||
		    x->port != y->port)
			return false;
	}
	return true;
}

static bool
same_place(const struct workload *a, const struct workload *b)
{
	if (!str_eq(a->where->cluster, b->where->cluster) ||
	    !str_eq(a->ns->path, b->ns->path) ||
	    (a->kube == NULL) != (b->kube == NULL) ||
	    !same_labels(workload_ns_labels(a), workload_ns_labels(b)))
		return false;
	return a->kube == NULL || (str_eq(a->kube->cluster, b->kube->cluster) &&
				      str_eq(a->kube->name, b->kube->name));
}

static bool
same_workload(const struct workload *a, const struct workload *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->host_network == b->host_network &&
	       str_eq(a->where->node, b->where->node) &&
	       str_eq(a->shape->service_account, b->shape->service_account) &&
	       same_labels(a->shape->labels, b->shape->labels) && same_ports(a, b) &&
	       same_place(a, b);
}

static bool
same_node(const struct node *a, const struct node *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return str_eq(a->cluster, b->cluster) && str_eq(a->name, b->name) &&
	       same_labels(a->labels, b->labels);
}

static bool
same_address(const struct conn_face *a, const struct conn_face *b)
{
	return a->family == b->family &&
	       (a->family == 0 || ip_eq(&a->end.addr, &b->end.addr));
}

/* The faces of a party differ in their addresses only. */
static bool
same_party(const struct conn_world *a, const struct conn_party *x,
    const struct conn_world *b, const struct conn_party *y)
{
	const struct conn_face *old = &a->faces[x->first_face];
	const struct conn_face *new = &b->faces[y->first_face];

	if (x->face_count != y->face_count)
		return false;
	for (uint32_t i = 0; i < x->face_count; i++) {
		if (!same_address(&old[i], &new[i]))
			return false;
	}
	return x->face_count == 0 ||
	       (old->end.kind == new->end.kind &&same_workload(
				     old->end.workload, new->end.workload) &&
		   same_node(old->end.node, new->end.node));
}

/* ---- whom the change touches ---- */

static void
touch_subjects(struct conn_world *world, const struct policy *policy,
    const bool differs[DIRECTION_COUNT], uint8_t *touched)
{
	roaring_bitmap_t *faces = roaring_bitmap_create();
	roaring_uint32_iterator_t *it;
	uint8_t bits = 0;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		if (differs[d] && conn_policy_concerns(policy, (enum direction)d))
			bits |= (uint8_t)(1u << d);
	}
	if (faces == NULL)
		base_die("out of memory");
	if (bits != 0)
		conn_match_faces(world, &policy->subject, NULL, faces);
	it = roaring_create_iterator(faces);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it))
		touched[world->faces[it->current_value].party] |= bits;
	roaring_free_uint32_iterator(it);
	roaring_bitmap_free(faces);
}

/* What is not in the models' documents: how the tool was called. */
static bool
same_options(const struct diff *diff)
{
	const struct model_options *a = &diff->old_world->model->options;
	const struct model_options *b = &diff->new_world->model->options;

	if (a->default_deny != b->default_deny ||
	    a->nodes_unprotected != b->nodes_unprotected)
		return false;
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		const struct fail_safe *x = &a->fail_safe, *y = &b->fail_safe;

		if (x->count[d] != y->count[d] ||
		    (x->count[d] > 0 && memcmp(x->ports[d], y->ports[d],
					    x->count[d] * sizeof(*x->ports[d])) != 0))
			return false;
	}
	return true;
}

void
diff_ends_touched(const struct diff *diff, uint8_t **out_old, uint8_t **out_new)
{
	struct conn_world *a = diff->old_world, *b = diff->new_world;
	uint8_t *old = ARENA_ARRAY(diff->arena, a->party_count, uint8_t);
	uint8_t *new = ARENA_ARRAY(diff->arena, b->party_count, uint8_t);
	bool all = !same_options(diff);

	for (size_t i = 0; i < diff->documents.policy_count; i++) {
		const struct diff_document *doc = &diff->documents.policies[i];

		if (doc->old != NULL)
			touch_subjects(a, doc->old, doc->differs, old);
		if (doc->new != NULL)
			touch_subjects(b, doc->new, doc->differs, new);
	}
	for (uint32_t i = 0; i < diff->joint->world->party_count; i++) {
		const struct diff_party *both = &diff->parties[i];
		uint8_t *x = both->old != NONE ? &old[both->old] : NULL;
		uint8_t *y = both->new != NONE ? &new[both->new] : NULL;
		uint8_t bits = ALL;

		if (!all && x != NULL && y != NULL &&
		    same_party(a, &a->parties[both->old], b, &b->parties[both->new]))
			bits = *x | *y;
		if (x != NULL)
			*x = bits;
		if (y != NULL)
			*y = bits;
	}
	*out_old = old;
	*out_new = new;
}
