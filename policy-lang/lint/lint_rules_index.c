/*
 * The blocks of all rules, and which of them may be in the way of a box.
 */
#include "policy-lang/lint/lint_rules.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/label_index.h"

uint32_t
finder_list(const struct ns *level, enum direction dir, enum list_kind kind)
{
	return (level->index * DIRECTION_COUNT + (uint32_t)dir) * LIST_KINDS +
	       (uint32_t)kind;
}

void
finder_push(uint32_t **items, size_t *count, size_t *cap, uint32_t id)
{
	if (*count == *cap) {
		*cap = *cap == 0 ? 16 : 2 * *cap;
		*items = xreallocarray(*items, *cap, sizeof(**items));
	}
	(*items)[(*count)++] = id;
}

/* ---- blocks ---- */

bool
block_is_pass(const struct block *b)
{
	return b->rule != NULL && b->rule->action == ACTION_PASS;
}

static void
add_blocks(
    struct finder *f, const struct policy *p, const struct rule *rule, uint32_t list)
{
	struct space_boxes boxes = {0};

	if (rule != NULL)
		space_rule(&f->lint->space, rule, &boxes);
	else
		space_subject(&f->lint->space, &p->subject, &boxes);
	for (size_t i = 0; i < boxes.count; i++) {
		if (f->count == f->cap) {
			f->cap = f->cap == 0 ? 256 : 2 * f->cap;
			f->blocks =
			    xreallocarray(f->blocks, f->cap, sizeof(*f->blocks));
		}
		f->blocks[f->count] = (struct block){
		    .box = boxes.items[i], .policy = p, .rule = rule, .list = list};
		if (block_is_pass(&f->blocks[f->count]))
			f->blocks[f->count].passes =
			    space_with_names(&f->lint->space, &boxes.items[i]);
		f->count++;
	}
	free(boxes.items);
}

static void
add_list(
    struct finder *f, const struct ns *level, enum direction dir, enum list_kind kind)
{
	static const enum phase phases[] = {
	    [LIST_MANDATORY] = PHASE_MANDATORY,
	    [LIST_ALLOW] = PHASE_ALLOW,
	    [LIST_DEFAULT] = PHASE_DEFAULT,
	};
	uint32_t list = finder_list(level, dir, kind);

	f->list_first[list] = (uint32_t)f->count;
	if (f->looks_at != NULL && !f->looks_at[level->index])
		return;
	for (size_t i = 0; i < level->policy_count; i++) {
		const struct policy *p = level->policies[i];
		const struct rule_list *rules;

		if (p->subject.nodes != NULL)
			continue; /* takes nothing of what workloads' policies do */
		if (kind == LIST_ISOLATION) {
			if (p->isolates[dir])
				add_blocks(f, p, NULL, list);
			continue;
		}
		rules = policy_rules(p, phases[kind], dir);
		f->rule_count += (unsigned)rules->count;
		for (size_t j = 0; j < rules->count && f->lint->work <= LINT_WORK; j++)
			add_blocks(f, p, &rules->rules[j], list);
	}
}

/* Of a level that is asked about all policies are: which rules of a union are redundant
 * depends on which others are. Before them are their subjects' ancestors. */
static void
focus(struct finder *f)
{
	const struct model *m = f->lint->m;

	if (f->lint->only == NULL)
		return;
	f->looks_at = ARENA_ARRAY(f->lint->arena, m->ns_count, bool);
	f->asks_at = ARENA_ARRAY(f->lint->arena, m->ns_count, bool);
	for (size_t i = 0; i < m->policy_count; i++) {
		if (lint_asks(f->lint, m->policies[i]))
			f->asks_at[m->policies[i]->level->index] = true;
	}
	for (size_t i = 0; i < m->policy_count; i++) {
		if (!f->asks_at[m->policies[i]->level->index])
			continue;
		for (const struct ns *ns = m->policies[i]->subject.subtree; ns != NULL;
		     ns = ns->parent)
			f->looks_at[ns->index] = true;
	}
}

bool
finder_asks(const struct finder *f, const struct block *b)
{
	return f->asks_at == NULL || f->asks_at[b->policy->level->index];
}

void
finder_collect(struct finder *f)
{
	const struct model *m = f->lint->m;
	size_t lists = m->ns_count * DIRECTION_COUNT * LIST_KINDS;

	focus(f);
	f->list_first = xcalloc(lists + 1, sizeof(*f->list_first));
	for (size_t i = 0; i < m->ns_count; i++) {
		for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
			for (unsigned k = 0; k < LIST_KINDS; k++)
				add_list(f, m->namespaces[i], (enum direction)d,
				    (enum list_kind)k);
		}
	}
	f->list_first[lists] = (uint32_t)f->count;
}

/* ---- the index ---- */

#define EVERY_VALUE UINT32_MAX /* for blocks that ask for no single value */

static struct posting *
posting_of(struct finder *f, uint32_t list, uint32_t dim, addr_num value, bool make)
{
	uint8_t bytes[8 + sizeof(value)];
	struct str key = {(const char *)bytes, sizeof(bytes)};
	struct posting *p;

	memcpy(bytes, &list, 4);
	memcpy(bytes + 4, &dim, 4);
	memcpy(bytes + 8, &value, sizeof(value));
	p = map_get(&f->postings, key);
	if (p == NULL && make) {
		p = ARENA_NEW(f->lint->arena, struct posting);
		(void)map_set(&f->postings, str_dup(f->lint->arena, key), p);
	}
	return p;
}

static void
post(struct posting *p, uint32_t block)
{
	if (p->count == p->cap) {
		p->cap = p->cap == 0 ? 2 : 2 * p->cap;
		p->items = xreallocarray(p->items, p->cap, sizeof(*p->items));
	}
	p->items[p->count++] = block;
}

static void
count_values(struct finder *f, const struct block *b)
{
	for (uint32_t i = 0; i < b->box.count; i++) {
		const struct space_dim *d = &b->box.dims[i];

		for (uint32_t j = 0; space_is_points(&d->set) && j < d->set.count; j++)
			posting_of(f, b->list, d->id, d->set.ranges[j].lo, true)
			    ->seen++;
	}
}

/* How many ask for what it asks for in a dimension; UINT64_MAX: for no single values. */
static uint64_t
seen_there(struct finder *f, const struct block *b, const struct space_dim *d)
{
	uint64_t seen = 0;

	if (!space_is_points(&d->set))
		return UINT64_MAX;
	for (uint32_t j = 0; j < d->set.count; j++)
		seen += posting_of(f, b->list, d->id, d->set.ranges[j].lo, true)->seen;
	return seen;
}

/*
 * Posts a block in the dimension in which fewest others ask for the same; in all of them where
 * there are several: which comes first depends on what was read first. A rule that passes is
 * always found: leaving out what decides finds too little, leaving out what saves a part from
 * being decided would find too much.
 */
static void
index_block(struct finder *f, uint32_t number)
{
	const struct block *b = &f->blocks[number];
	const uint32_t count = block_is_pass(b) ? 0 : b->box.count;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < count; i++) {
		const uint64_t seen = seen_there(f, b, &b->box.dims[i]);

		least = seen < least ? seen : least;
	}
	if (least == UINT64_MAX) {
		post(posting_of(f, b->list, EVERY_VALUE, 0, true), number);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct space_dim *d = &b->box.dims[i];

		if (seen_there(f, b, d) != least)
			continue;
		for (uint32_t j = 0; j < d->set.count; j++)
			post(posting_of(f, b->list, d->id, d->set.ranges[j].lo, true),
			    number);
	}
}

void
finder_index(struct finder *f)
{
	f->marks = xcalloc(f->count / 64 + 1, sizeof(*f->marks));
	for (size_t i = 0; i < f->count; i++)
		count_values(f, &f->blocks[i]);
	for (size_t i = 0; i < f->count; i++)
		index_block(f, (uint32_t)i);
}

/* Marks those of a posting that stand before a block; *last is the greatest of all. */
static void
mark(struct finder *f, const struct posting *p, uint32_t before, uint32_t *last)
{
	for (uint32_t i = 0; p != NULL && i < p->count && p->items[i] < before; i++) {
		f->marks[p->items[i] / 64] |= UINT64_C(1) << p->items[i] % 64;
		*last = p->items[i] > *last ? p->items[i] : *last;
	}
}

/* What is marked, in order; nothing is any more. */
static void
collect_marked(struct finder *f, uint32_t first, uint32_t last)
{
	for (uint32_t word = first / 64; word <= last / 64; word++) {
		uint64_t bits = f->marks[word];

		for (f->marks[word] = 0; bits != 0; bits &= bits - 1)
			finder_push(&f->found, &f->found_count, &f->found_cap,
			    word * 64 + (uint32_t)__builtin_ctzll(bits));
	}
	f->lint->work += (last - first) / 512;
}

/* Postings rise and overlap: a sort of what several of them have would be dearer than what
 * is then done with it. */
void
finder_find(
    struct finder *f, uint32_t list, uint32_t before, const struct space_box *box)
{
	const uint32_t first = f->list_first[list];
	uint32_t last = first;

	f->found_count = 0;
	mark(f, posting_of(f, list, EVERY_VALUE, 0, false), before, &last);
	for (uint32_t i = 0; i < box->count; i++) {
		const struct space_dim *d = &box->dims[i];

		for (uint32_t j = 0; space_is_points(&d->set) && j < d->set.count; j++)
			mark(f, posting_of(f, list, d->id, d->set.ranges[j].lo, false),
			    before, &last);
	}
	collect_marked(f, first, last);
}
