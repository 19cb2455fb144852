#include "policy-lang/evaluate/policy_index.h"

#include <stdlib.h>

#include "policy-lang/evaluate/evaluate.h"

/* Fewer policies than this are simply looked at. */
#define WORTH_INDEXING 8

/* Policies filed under one label, or (files of `rest`) under none. */
struct file {
	uint32_t *items; /* indices in level->policies, ascending */
	size_t count, cap;
	size_t wanted; /* how many policies could be filed here */
};

struct policy_index {
	const struct ns *level;
	struct arena *arena;
	struct map files; /* "w" or "n", key, NUL, value -> struct file */
	struct file rest;
};

/* Labels of workloads and of namespaces are told apart by their first byte. */
static struct str
make_key(struct buf *key, char kind, struct str label, struct str value)
{
	buf_clear(key);
	buf_add_char(key, kind);
	buf_add_str(key, label);
	buf_add_char(key, '\0');
	buf_add_str(key, value);
	return buf_str(key);
}

static struct file *
file_at(struct policy_index *index, struct str key)
{
	struct file *file = map_get(&index->files, key);

	if (file == NULL) {
		file = ARENA_NEW(index->arena, struct file);
		(void)map_set(
		    &index->files, str_dup(index->arena, key), file); /* new */
	}
	return file;
}

static void
file_add(struct file *file, uint32_t policy)
{
	if (file->count == file->cap) {
		file->cap = file->cap == 0 ? 4 : 2 * file->cap;
		file->items =
		    xreallocarray(file->items, file->cap, sizeof(*file->items));
	}
	file->items[file->count++] = policy;
}

/* ---- filing ---- */

/* A requirement under whose values a policy can be filed: the subject bears one of them. */
struct place {
	char kind;
	const struct requirement *req;
	size_t wanted; /* by how many policies, over all its values */
};

typedef void (*place_fn)(struct policy_index *index, struct place *place, void *arg);

static void
each_place_of(struct policy_index *index, const struct selector *selector, char kind,
    place_fn fn, void *arg)
{
	for (size_t i = 0; selector != NULL && i < selector->count; i++) {
		struct place place = {.kind = kind, .req = &selector->reqs[i]};

		if (place.req->op == REQ_IN)
			fn(index, &place, arg);
	}
}

static void
each_place(struct policy_index *index, const struct policy *p, place_fn fn, void *arg)
{
	each_place_of(index, p->subject.selector, 'w', fn, arg);
	each_place_of(index, p->subject.ns_selector, 'n', fn, arg);
}

static void
count_wanted(struct policy_index *index, struct place *place, void *arg)
{
	struct buf *key = arg;

	for (size_t i = 0; i < place->req->value_count; i++)
		file_at(index,
		    make_key(key, place->kind, place->req->key, place->req->values[i]))
		    ->wanted++;
}

struct choice {
	struct buf *key;
	struct place best; /* req NULL: none */
};

static void
choose_rarest(struct policy_index *index, struct place *place, void *arg)
{
	struct choice *choice = arg;

	for (size_t i = 0; i < place->req->value_count; i++)
		place->wanted +=
		    file_at(index, make_key(choice->key, place->kind, place->req->key,
				       place->req->values[i]))
			->wanted;
	if (choice->best.req == NULL || place->wanted < choice->best.wanted)
		choice->best = *place;
}

static void
file_policy(struct policy_index *index, uint32_t number, struct buf *key)
{
	struct choice choice = {.key = key};
	const struct requirement *req;

	each_place(index, index->level->policies[number], choose_rarest, &choice);
	req = choice.best.req;
	if (req == NULL) {
		file_add(&index->rest, number);
		return;
	}
	for (size_t i = 0; i < req->value_count; i++)
		file_add(file_at(index,
			     make_key(key, choice.best.kind, req->key, req->values[i])),
		    number);
}

struct policy_index *
policy_index_new(const struct ns *level)
{
	struct policy_index *index = xcalloc(1, sizeof(*index));
	struct buf key = {0};

	index->level = level;
	index->arena = arena_new_sized(1024);
	if (level->policy_count >= WORTH_INDEXING) {
		for (size_t i = 0; i < level->policy_count; i++)
			each_place(index, level->policies[i], count_wanted, &key);
		for (size_t i = 0; i < level->policy_count; i++)
			file_policy(index, (uint32_t)i, &key);
	} else {
		for (size_t i = 0; i < level->policy_count; i++)
			file_add(&index->rest, (uint32_t)i);
	}
	buf_free(&key);
	return index;
}

void
policy_index_free(struct policy_index *index)
{
	if (index == NULL)
		return;
	for (size_t i = 0; i < index->files.len; i++) {
		struct file *file = index->files.entries[i].value;

		free(file->items);
	}
	free(index->rest.items);
	map_fini(&index->files);
	arena_free(index->arena);
	free(index);
}

/* ---- finding ---- */

static void
add_matching(const struct policy_index *index, const struct file *file,
    const struct workload *w, struct file *found)
{
	for (size_t i = 0; file != NULL && i < file->count; i++) {
		if (policy_applies(index->level->policies[file->items[i]], w))
			file_add(found, file->items[i]);
	}
}

static void
add_by_labels(const struct policy_index *index, char kind, struct label_set labels,
    const struct workload *w, struct file *found)
{
	struct buf key = {0};

	for (size_t i = 0; index->files.len > 0 && i < labels.count; i++)
		add_matching(index,
		    map_get(&index->files, make_key(&key, kind, labels.items[i].key,
					       labels.items[i].value)),
		    w, found);
	buf_free(&key);
}

struct policy **
policy_index_find(const struct policy_index *index, struct arena *a,
    const struct workload *w, size_t *out_count)
{
	struct file found = {0};
	struct policy **list = NULL;

	add_matching(index, &index->rest, w, &found);
	add_by_labels(index, 'w', w->shape->labels, w, &found);
	add_by_labels(index, 'n', workload_ns_labels(w), w, &found);
	if (found.count > 1)
		qsort(found.items, found.count, sizeof(*found.items), u32_cmp);
	if (found.count > 0)
		list = ARENA_ARRAY(a, found.count, struct policy *);
	for (size_t i = 0; i < found.count; i++)
		list[i] = index->level->policies[found.items[i]];
	*out_count = found.count;
	free(found.items);
	return list;
}
