#include "policy-lang/live/live.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/live_internal.h"

#define PART_CHUNK_BYTES 1024
#define EDIT_MOST        4096 /* sources; of more a load of all makes nobody wait */
#define FILE_OVERHEAD                                                                  \
	192 /* of one that came by an edit: arena, chunk, place in the map */

/* ---- one source ---- */

static struct live_file *
new_file(const struct source *source, struct arena *arena)
{
	struct live_file *f = ARENA_NEW(arena, struct live_file);

	f->source = source;
	f->arena = arena;
	return f;
}

struct live_said *
live_say(const struct live *l, struct live_file *f)
{
	if (f->said == NULL)
		f->said =
		    ARENA_NEW(f->arena != NULL ? f->arena : l->arena, struct live_said);
	return f->said;
}

static void
free_file(struct live_file *f)
{
	if (f == NULL)
		return;
	if (f->said != NULL)
		free(f->said->numbers);
	live_free_stand_ins(f);
	arena_free(f->arena); /* in which it is itself; NULL: as long as the model */
}

/* ---- loading ---- */

struct live *
live_load(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, const struct load_reading *reading,
    struct diag_list *diags)
{
	struct live *l = xcalloc(1, sizeof(*l));
	struct load_note note = {.part = false};
	bool ok;

	if (reading != NULL)
		note.reading = *reading;

	l->arena = arena;
	ok = load_whole(arena, bundle, options, diags, &note, &l->model);
	live_hold_arrays(l);
	if (ok)
		live_share_base(l, bundle, &note);
	ptr_vec_fini(&note.audit);
	ptr_vec_fini(&note.placed);
	free(note.collided);
	free(note.named);
	free(note.claims);
	if (ok)
		return l;
	live_free(l);
	return NULL;
}

static void
free_maps(struct live *l)
{
	struct map *maps[] = {
	    &l->model->node_by_address, &l->model->ns_by_path, &l->model->kube_by_name};

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_fini(maps[i]);
	live_files_fini(&l->files);
	live_claims_fini(&l->claims);
	address_map_fini(&l->model->by_address);
}

void
live_free(struct live *l)
{
	if (l == NULL)
		return;
	live_sweep(l);
	for (size_t i = 0; i < l->files.slot_count; i++)
		free_file(l->files.items[i]);
	live_free_shared(l);
	live_free_hosts(l);
	free_maps(l);
	live_free_arrays(l);
	ptr_vec_fini(&l->garbage);
	ptr_vec_fini(&l->others);
	for (size_t i = 0; i < l->grown.count; i++)
		arena_free(l->grown.items[i]);
	ptr_vec_fini(&l->grown);
	arena_free(l->announced_arena);
	free(l->own);
	live_claims_fini(&l->numbers);
	free(l);
}

const struct model *
live_model(const struct live *l)
{
	return l->model;
}

struct live_file *
live_file_of(const struct live *l, const struct source *source)
{
	return live_files_get(&l->files, source->name);
}

const struct source *
live_source(const struct live *l, struct str name)
{
	const struct live_file *f = live_files_get(&l->files, name);

	return f != NULL ? f->source : NULL;
}

/* ---- reading ---- */

struct live_edit *
live_edit_new(struct live *l)
{
	struct live_edit *e = xcalloc(1, sizeof(*e));

	e->l = l;
	e->arena = arena_new_sized(PART_CHUNK_BYTES);
	return e;
}

void
live_edit_free(struct live_edit *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->count; i++)
		free_file(e->items[i].after);
	for (size_t i = 0; i < e->spent.count; i++)
		free_file(e->spent.items[i]);
	ptr_vec_fini(&e->spent);
	free(e->items);
	free(e->externals.gone);
	free(e->externals.come);
	map_fini(&e->fresh.ns_by_path);
	map_fini(&e->fresh.kube_by_name);
	arena_free(e->fresh.arena);
	arena_free(e->arena);
	free(e);
}

static void
put(struct live_edit *e, struct str name, struct live_file *after)
{
	for (size_t i = 0; i < e->count; i++) {
		if (!str_eq(e->items[i].name, name))
			continue;
		if (e->items[i].after != NULL) /* places refer to it */
			ptr_vec_push(&e->spent, e->items[i].after);
		e->items[i].after = after;
		return;
	}
	if (e->count == e->cap) {
		e->cap = e->cap != 0 ? e->cap * 2 : 8;
		e->items = xreallocarray(e->items, e->cap, sizeof(*e->items));
	}
	e->items[e->count++] = (struct live_replacement){
	    str_dup(e->arena, name), live_files_get(&e->l->files, name), after};
}

static void
put_workloads(struct live_file *f, struct workload **items, size_t count)
{
	f->workload_count = (uint32_t)count;
	if (count == 1)
		f->workloads.one = items[0];
	else
		f->workloads.many = items;
}

static void
put_claims(struct live_file *f, const struct load_note *note)
{
	uint64_t *all = &f->claims.one;

	if (note->claim_count != 1)
		all = f->claims.many =
		    ARENA_ARRAY(f->arena, note->claim_count, uint64_t);
	for (size_t i = 0; i < note->claim_count; i++)
		all[f->claim_count++] = note->claims[i].hash;
}

/* Takes the vectors of namespaces. */
static void
put_said(const struct live *l, struct live_file *f, const struct load_objects *objects,
    struct load_note *note)
{
	struct live_others *others = live_read_others(f, objects, note);
	struct live_said *said;

	if (others == NULL && objects->policy_count + objects->node_count == 0 &&
	    objects->numbers == NULL && note->spaces.count + note->placed.count == 0)
		return;
	said = live_say(l, f);
	*said = (struct live_said){
	    .policies = objects->policies,
	    .policy_count = (uint32_t)objects->policy_count,
	    .nodes = objects->nodes,
	    .node_count = (uint32_t)objects->node_count,
	    .numbers = objects->numbers,
	    .number_count = (uint32_t)objects->number_count,
	    .spaces = ptr_vec_copy(f->arena, &note->spaces),
	    .space_count = (uint32_t)note->spaces.count,
	    .placed = ptr_vec_copy(f->arena, &note->placed),
	    .placed_count = (uint32_t)note->placed.count,
	    .others = others,
	};
	ptr_vec_fini(&note->spaces);
	ptr_vec_fini(&note->placed);
}

static struct live_file *
read_file(struct live_edit *e, struct str name, struct str text,
    struct diag_list *diags, enum live_answer *out_answer)
{
	struct live *l = e->l;
	struct arena *arena = arena_new_sized(PART_CHUNK_BYTES);
	struct source *source = ARENA_NEW(arena, struct source);
	struct live_file *f = new_file(source, arena);
	struct load_note note = {
	    .part = true, .fresh = &e->fresh, .externals = e->externals};
	struct load_objects objects = {0};
	bool ok;

	source->name = str_dup(arena, name);
	source->text = text;
	ok = load_part(arena, source, l->model, diags, &note, &objects);
	source->text = STR("");
	put_workloads(f, objects.workloads, objects.workload_count);
	put_claims(f, &note);
	put_said(l, f, &objects, &note);
	live_keep_text(l, f, text);
	free(note.claims);
	free(note.named);
	*out_answer = note.beyond ? LIVE_BEYOND : ok ? LIVE_READ : LIVE_REFUSED;
	if (*out_answer == LIVE_READ && !live_is_of_pods(f))
		return f;
	ptr_vec_push(&e->spent, f);
	return *out_answer == LIVE_READ ? live_compact(l, f) : NULL;
}

static bool
has_others(const struct live_file *f)
{
	return f != NULL && live_said(f)->others != NULL;
}

enum live_answer
live_read(
    struct live_edit *e, struct str name, struct str text, struct diag_list *diags)
{
	const struct live_file *before = live_files_get(&e->l->files, name);
	enum live_answer answer = LIVE_READ;
	struct live_file *after = NULL;

	if (before != NULL && live_said(before)->other)
		return LIVE_BEYOND;
	if (text.ptr != NULL)
		after = read_file(e, name, text, diags, &answer);
	if (answer != LIVE_READ)
		return answer;
	put(e, name, after);
	if (has_others(before) || has_others(after) || e->externals.come_count != 0)
		live_see_externals(e);
	return LIVE_READ;
}

bool
live_read_again(struct live_edit *e, const struct live_file *f, struct diag_list *diags)
{
	struct live_file *again;
	enum live_answer answer;

	if (live_said(f)->text.ptr == NULL || live_said(f)->other ||
	    e->count >= EDIT_MOST)
		return false;
	again = read_file(e, f->source->name, live_said(f)->text, diags, &answer);
	if (answer != LIVE_READ)
		return false;
	put(e, f->source->name, again);
	return true;
}

/* ---- putting it in ---- */

static void
undo_claims(struct live_edit *e, size_t taken)
{
	for (size_t i = 0; i < taken; i++) {
		if (e->items[i].after != NULL) {
			live_drop_claims(e->l, e->items[i].after);
			live_drop_numbers(e->l, e->items[i].after);
		}
	}
	for (size_t i = 0; i < e->count; i++) {
		struct live_file *f = e->items[i].before;

		if (f == NULL)
			continue;
		if (!live_take_claims(e->l, f))
			base_die("a claim was lost");
		live_retake_numbers(e->l, f);
	}
}

/* False, and nothing has changed: a name or a number is another source's. */
static bool
swap_claims(struct live_edit *e)
{
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].before != NULL) {
			live_drop_claims(e->l, e->items[i].before);
			live_drop_numbers(e->l, e->items[i].before);
		}
	}
	for (size_t i = 0; i < e->count; i++) {
		struct live_file *f = e->items[i].after;

		if (f == NULL)
			continue;
		if (!live_take_claims(e->l, f)) {
			undo_claims(e, i);
			return false;
		}
		if (!live_take_numbers(e->l, f)) {
			live_drop_claims(e->l, f);
			undo_claims(e, i);
			return false;
		}
	}
	return true;
}

static size_t
audit_policies(const struct live_file *f)
{
	const struct live_said *said = live_said(f);
	size_t count = said->left_out;

	for (size_t i = 0; i < said->policy_count; i++)
		count += said->policies[i]->audit;
	return count;
}

/* Whether there are any decides what is to be made of the model. */
static bool
count_audit(struct live_edit *e)
{
	struct model *m = e->l->model;
	size_t count = m->audit_count;

	for (size_t i = 0; i < e->count; i++)
		count += audit_policies(e->items[i].after) -
			 audit_policies(e->items[i].before);
	if ((count == 0) != (m->audit_count == 0))
		return false;
	m->audit_count = count;
	return true;
}

/* Of one that came by an edit. */
static size_t
bytes_of(const struct live_file *f)
{
	return arena_bytes(f->arena) + FILE_OVERHEAD;
}

static void
forget_file(struct live *l, struct live_file *f)
{
	live_drop_stand_ins(l, f);
	live_unlist_others(l, f);
	if (f->arena != NULL) { /* else its objects are the base's */
		l->edited_bytes -= bytes_of(f);
		ptr_vec_push(&l->garbage, f->arena);
		f->arena = NULL;
	}
	free_file(f);
}

static void
note_former(struct live *l, const struct live_replacement *r)
{
	struct live_former *former;

	if (map_get(&l->former, r->name) != NULL)
		return;
	former = xcalloc(1, sizeof(*former) + r->name.len);
	memcpy(former->name, r->name.ptr, r->name.len);
	former->file = r->before;
	(void)map_set(
	    &l->former, (struct str){former->name, r->name.len}, former); /* new */
}

static void
replace_file(struct live *l, struct live_replacement *r)
{
	note_former(l, r);
	if (r->before != NULL) {
		live_files_remove(&l->files, r->before->source->name);
		forget_file(l, r->before);
	}
	if (r->after != NULL) {
		(void)live_files_put(&l->files, r->after); /* new */
		live_list_others(l, r->after);
		l->edited_bytes += bytes_of(r->after);
	}
	r->after = NULL; /* no longer the edit's */
}

static void
tell_file(const struct live *l, const struct live_file *f, bool after,
    struct compile_change *changes, size_t *count)
{
	const struct live_said *said = live_said(f);

	for (size_t i = 0; i < f->workload_count; i++)
		changes[(*count)++] = (struct compile_change){
		    .kind = CHANGE_WORKLOAD,
		    .workload_before = after ? NULL : live_workloads_of(f)[i],
		    .workload_after = after ? live_workloads_of(f)[i] : NULL,
		};
	live_tell_nodes(l, f, after, changes, count);
	live_tell_others(f, after, changes, count);
	for (size_t i = 0; i < said->policy_count; i++) {
		if (live_in_force(l, said->policies[i]))
			changes[(*count)++] = (struct compile_change){
			    .kind = CHANGE_POLICY,
			    .policy_before = after ? NULL : said->policies[i],
			    .policy_after = after ? said->policies[i] : NULL,
			};
	}
}

/* At most. */
static size_t
count_changes(const struct live_file *f)
{
	const struct live_said *said = live_said(f);

	return f == NULL ? 0
			 : f->workload_count + said->policy_count + said->space_count +
			       said->node_count + live_other_changes(f);
}

static void
tell(const struct live_edit *e, struct arena *arena, struct compile_change **out,
    size_t *out_count)
{
	size_t most = 0;

	for (size_t i = 0; i < e->count; i++)
		most += count_changes(e->items[i].before) +
			count_changes(e->items[i].after);
	/* Each may make another of its node. */
	*out = ARENA_ARRAY(arena, 2 * most + e->move_count, struct compile_change);
	*out_count = 0;
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].before != NULL)
			tell_file(e->l, e->items[i].before, false, *out, out_count);
		if (e->items[i].after != NULL)
			tell_file(e->l, e->items[i].after, true, *out, out_count);
	}
}

/* What may fail; then nothing has changed. */
static bool
begin(struct live_edit *e, struct diag_list *diags)
{
	if (!live_nodes_stand_alone(e) || !live_begin_moves(e, diags))
		return false;
	if (!live_read_namers(e, diags) || !swap_claims(e)) {
		live_undo_moves(e);
		return false;
	}
	if (!count_audit(e)) {
		undo_claims(e, e->count);
		live_undo_moves(e);
		return false;
	}
	return true;
}

bool
live_commit(struct live_edit *e, struct arena *arena, struct diag_list *diags,
    struct compile_change **out_changes, size_t *out_count)
{
	bool policies = false, others = false;

	if (!begin(e, diags))
		return false;
	live_take_fresh(e);
	tell(e, arena, out_changes, out_count);
	live_put_spaces(e, *out_changes, out_count);
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].before != NULL)
			policies |=
			    live_take_out(e->l, e->items[i].before, e->items[i].after);
		others |= has_others(e->items[i].before);
	}
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].after != NULL)
			policies |= live_put_in(
			    e->l, e->items[i].after, e->items[i].before, diags);
		others |= has_others(e->items[i].after);
	}
	if (policies)
		load_link_policies(e->l->model);
	if (others)
		live_link_others(e->l);
	live_end_moves(e, *out_changes, out_count);
	live_settle_hosts(e->l, *out_changes, out_count, diags);
	for (size_t i = 0; i < e->count; i++)
		replace_file(e->l, &e->items[i]);
	return true;
}

void
live_settle(struct live *l)
{
	for (size_t i = 0; i < l->model->workload_count; i++)
		l->model->workloads[i]->index = (uint32_t)i;
}

void
live_sweep(struct live *l)
{
	for (size_t i = 0; i < l->garbage.count; i++)
		arena_free(l->garbage.items[i]);
	l->garbage.count = 0;
	for (size_t i = 0; i < l->former.len; i++)
		free(l->former.entries[i].value);
	map_fini(&l->former);
}

size_t
live_edited_bytes(const struct live *l)
{
	return l->edited_bytes;
}
