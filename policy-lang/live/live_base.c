/*
 * What each source of a base says, which was loaded whole: found out of the model.
 */
#include "policy-lang/live/live_internal.h"

/* How many objects each source has. */
static void
count_objects(struct live *l, const struct load_note *note)
{
	const struct model *m = l->model;

	for (size_t i = 0; i < note->claim_count; i++)
		live_file_of(l, note->claims[i].source)->claim_count++;
	for (size_t i = 0; i < m->workload_count; i++)
		live_file_of(l, m->workloads[i]->loc.source)->workload_count++;
	for (size_t i = 0; i < m->policy_count; i++)
		live_say(l, live_file_of(l, m->policies[i]->loc.source))
		    ->policy_count++;
	for (size_t i = 0; i < m->node_count; i++) {
		if (m->nodes[i]->loc.source != NULL)
			live_say(l, live_file_of(l, m->nodes[i]->loc.source))
			    ->node_count++;
	}
}

/* Room for them. Where there is an array, it is told by where the next goes. */
static void
make_room(struct live *l)
{
	for (size_t i = 0; i < l->base_count; i++) {
		struct live_file *f = &l->base[i];
		struct live_said *said = f->said;

		if (f->claim_count > 1)
			f->claims.many =
			    ARENA_ARRAY(l->arena, f->claim_count, uint64_t);
		if (f->workload_count > 1)
			f->workloads.many =
			    ARENA_ARRAY(l->arena, f->workload_count, struct workload *);
		if (said == NULL)
			continue;
		said->policies =
		    ARENA_ARRAY(l->arena, said->policy_count, struct policy *);
		said->nodes = ARENA_ARRAY(l->arena, said->node_count, struct node *);
		said->policy_count = said->node_count = 0;
	}
}

static void
end_of_room(struct live *l)
{
	for (size_t i = 0; i < l->base_count; i++) {
		struct live_file *f = &l->base[i];

		if (f->claim_count > 1)
			f->claims.many -= f->claim_count;
		if (f->workload_count > 1)
			f->workloads.many -= f->workload_count;
	}
}

/* Which objects each source has. */
static void
share_out(struct live *l, const struct load_note *note)
{
	const struct model *m = l->model;

	count_objects(l, note);
	make_room(l);
	for (size_t i = 0; i < note->claim_count; i++) {
		struct live_file *f = live_file_of(l, note->claims[i].source);

		*(f->claim_count == 1 ? &f->claims.one : f->claims.many++) =
		    note->claims[i].hash;
	}
	for (size_t i = 0; i < m->workload_count; i++) {
		struct live_file *f = live_file_of(l, m->workloads[i]->loc.source);

		*(f->workload_count == 1 ? &f->workloads.one : f->workloads.many++) =
		    m->workloads[i];
	}
	end_of_room(l);
	for (size_t i = 0; i < m->policy_count; i++) {
		struct live_said *said =
		    live_file_of(l, m->policies[i]->loc.source)->said;

		said->policies[said->policy_count++] = m->policies[i];
	}
	for (size_t i = 0; i < m->node_count; i++) {
		struct live_said *said;

		if (m->nodes[i]->loc.source == NULL)
			continue;
		said = live_file_of(l, m->nodes[i]->loc.source)->said;
		said->nodes[said->node_count++] = m->nodes[i];
	}
}

/* A source's claims, of which two of one hash make it one that takes a whole load. */
static void
index_files(struct live *l)
{
	for (size_t i = 0; i < l->base_count; i++) {
		struct live_file *f = &l->base[i];

		if (!live_take_claims(l, f))
			live_say(l, f)->other = true;
	}
	live_index_numbers(l);
}

void
live_share_base(
    struct live *l, const struct bundle *bundle, const struct load_note *note)
{
	l->base = ARENA_ARRAY(l->arena, bundle->count, struct live_file);
	l->base_count = bundle->count;
	live_files_reserve(&l->files, bundle->count);
	for (size_t i = 0; i < bundle->count; i++) {
		struct live_file *f = &l->base[i];

		f->source = &bundle->sources[i];
		/* Two of one name: then neither can be told from the other. */
		if (live_files_put(&l->files, f) != NULL)
			live_say(l, f)->other = true;
	}
	for (size_t i = 0; i < note->audit.count; i++) {
		const struct policy *p = note->audit.items[i];

		live_say(l, live_file_of(l, p->loc.source))->left_out++;
	}
	/* Numbers that have moved out of each other's way stay as they are. */
	for (size_t i = 0; i < note->collided_count; i++)
		live_say(l, live_file_of(l, note->collided[i]))->other = true;
	share_out(l, note);
	live_share_others(l, note);
	live_share_spaces(l, note);
	live_index_hosts(l);
	index_files(l);
	live_index_shared(l);
}
