/*
 * Rules that never decide anything, whatever workloads there are: what is before them in
 * the walk takes all of it. And rules of allow blocks that others of the union cover.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/lint/lint_rules.h"
#include "policy-lang/model/label_index.h"

/* ---- what is left of a rule ---- */

static void
add_step(struct finder *f, uint32_t block, bool pass)
{
	if (f->step_count == f->step_cap) {
		f->step_cap = f->step_cap == 0 ? 64 : 2 * f->step_cap;
		f->steps = xreallocarray(f->steps, f->step_cap, sizeof(*f->steps));
	}
	f->steps[f->step_count++] = (struct step){block, pass};
}

/*
 * The blocks of a list, before one of them, take their part away. In the rule's own list
 * what is passed is lost to it like what is decided; elsewhere it comes back.
 */
static void
take_list(struct finder *f, uint32_t list, uint32_t before)
{
	bool own = before != UINT32_MAX;

	if (f->list_first[list] == f->list_first[list + 1])
		return;
	finder_find(f, list, before, f->box);
	f->lint->work += f->found_count;
	for (size_t i = 0; i < f->found_count; i++)
		add_step(
		    f, f->found[i], block_is_pass(&f->blocks[f->found[i]]) && !own);
}

/* What a step takes: of what is passed, all that may come back. */
static const struct space_box *
step_box(const struct finder *f, const struct step *step)
{
	const struct block *b = &f->blocks[step->block];

	return step->pass ? &b->passes : &b->box;
}

/*
 * True if a corner of the box is in nothing that is taken: then something is left, which
 * is so of most rules, and needs no cutting to be known.
 */
static bool
corner_stays(struct finder *f, bool last)
{
	struct space_box corner = space_corner(f->scratch, f->box, last);

	for (size_t i = 0; i < f->step_count; i++) {
		if (f->steps[i].block != LEVEL_END &&
		    space_has_corner(step_box(f, &f->steps[i]), &corner, last))
			return false;
	}
	return true;
}

/* True if the steps leave nothing of the box. */
static bool
nothing_is_left(struct finder *f)
{
	struct space_rest rest;
	bool none;

	arena_reset(f->scratch);
	if (corner_stays(f, true) || corner_stays(f, false))
		return false;
	space_rest_init(&rest, f->scratch, f->box);
	for (size_t i = 0; i < f->step_count && !rest.gave_up; i++) {
		const struct step *step = &f->steps[i];

		if (rest.open.count == 0 && rest.passed.count == 0)
			break; /* whatever comes, there is nothing to take */
		f->lint->work += rest.open.count;
		if (step->block == LEVEL_END)
			space_rest_next_level(&rest);
		else if (space_rest_take(&rest, step_box(f, step), step->pass))
			finder_push(
			    &f->takers, &f->taker_count, &f->taker_cap, step->block);
		rest.gave_up = rest.gave_up || f->lint->work > LINT_WORK;
	}
	f->lint->given_up += rest.gave_up;
	none = rest.open.count == 0 && !rest.gave_up;
	space_rest_fini(&rest);
	return none;
}

static const struct ns *
ancestor_at(const struct ns *ns, uint32_t depth)
{
	while (ns->depth > depth)
		ns = ns->parent;
	return ns;
}

struct place {
	const struct ns *level, *top; /* of the rule, of its subject */
	enum direction dir;
	enum list_kind kind;
	uint32_t at; /* its first block */
};

/* The mandatory rules of all levels, or those before a mandatory rule. True if the
 * end of the question is reached. */
static bool
take_mandatory(struct finder *f, const struct place *p)
{
	bool own = p->kind == LIST_MANDATORY;
	uint32_t depth = own ? p->level->depth : p->top->depth;

	for (uint32_t d = 0; d <= depth; d++) {
		const struct ns *level = ancestor_at(p->top, d);
		bool last = own && d == depth;

		take_list(f, finder_list(level, p->dir, LIST_MANDATORY),
		    last ? p->at : UINT32_MAX);
		if (!last)
			add_step(f, LEVEL_END, false);
	}
	return own;
}

/* Isolation and defaults, from the subject's own level up to the rule. */
static void
take_upwards(struct finder *f, const struct place *p)
{
	for (const struct ns *s = p->top; s != NULL; s = s->parent) {
		bool last = s == p->level;

		if (last && p->kind != LIST_DEFAULT)
			return;
		take_list(f, finder_list(s, p->dir, LIST_ISOLATION), UINT32_MAX);
		take_list(
		    f, finder_list(s, p->dir, LIST_DEFAULT), last ? p->at : UINT32_MAX);
		if (last)
			return;
		add_step(f, LEVEL_END, false);
	}
}

/* True if nothing of the blocks [first, end), which are one rule's, is ever reached. */
static bool
never_reached(struct finder *f, const struct place *p, uint32_t first, uint32_t end)
{
	bool none = true;

	f->taker_count = 0;
	for (uint32_t i = first; i < end && none; i++) {
		if (f->lint->work > LINT_WORK) {
			f->lint->given_up++;
			return false;
		}
		f->box = &f->blocks[i].box;
		f->step_count = 0;
		if (!take_mandatory(f, p))
			take_upwards(f, p);
		none = nothing_is_left(f);
	}
	return none;
}

/* ---- saying it ---- */

static bool
same_owner(const struct block *a, const struct block *b)
{
	return a->rule == b->rule && a->policy == b->policy;
}

/* True if the rule of block `by` alone takes all of the blocks. */
static bool
takes_all(struct finder *f, const struct block *by, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i < end; i++) {
		bool covered = false;

		for (size_t j = 0; j < f->taker_count && !covered; j++) {
			const struct block *b = &f->blocks[f->takers[j]];

			covered = same_owner(b, by) &&
				  space_covers(&b->box, &f->blocks[i].box);
		}
		if (!covered)
			return false;
	}
	return true;
}

/* Who took it: one that took all, or the first of several (*out_sole false). */
static const struct block *
blame(struct finder *f, uint32_t first, uint32_t end, bool *out_sole)
{
	*out_sole = true;
	for (size_t i = 0; i < f->taker_count && i < 64; i++) {
		const struct block *by = &f->blocks[f->takers[i]];

		if (takes_all(f, by, first, end))
			return by;
	}
	*out_sole = false;
	return &f->blocks[f->takers[0]];
}

static const char *
block_name(struct finder *f, const struct block *b)
{
	return b->rule != NULL ? lint_rule_name(f->lint, b->rule)
			       : lint_policy_name(f->lint, b->policy);
}

static struct loc
block_loc(const struct block *b, enum direction dir)
{
	return b->rule != NULL ? b->rule->loc : b->policy->isolate_loc[dir];
}

static void
say_never(struct finder *f, const struct place *p, uint32_t first, uint32_t end)
{
	const struct block *b = &f->blocks[first];
	bool sole;
	const struct block *by = blame(f, first, end, &sole);
	bool shadowed = by->list == b->list;
	const char *what =
	    b->rule != NULL ? "can never match" : "never comes to its allow block";
	const char *how = by->rule == NULL    ? "isolates its workloads before"
			  : block_is_pass(by) ? "passes all of it on"
					      : "decides all of it before";
	struct diag *d = lint_say(f->lint,
	    shadowed ? CODE_SHADOWED_RULE : CODE_UNREACHABLE_RULE, block_loc(b, p->dir),
	    sole ? "%s %s: %s %s" : "%s %s: %s and others decide all of it before",
	    block_name(f, b), what, block_name(f, by), how);

	lint_note(f->lint, d, block_loc(by, p->dir),
	    sole ? "%s by this" : "%s by this and others",
	    shadowed ? "shadowed" : "decided");
}

/* The end of the blocks that are of one rule. */
static uint32_t
owner_end(const struct finder *f, uint32_t first)
{
	uint32_t end = first + 1;

	while (end < f->count && f->blocks[end].list == f->blocks[first].list &&
	       same_owner(&f->blocks[end], &f->blocks[first]))
		end++;
	return end;
}

/* Policies whose isolation in one direction is never reached: that is said once, not for
 * each of their rules. */
static struct str
dead_key(const struct block *b, uint8_t *bytes)
{
	struct str key = {(const char *)bytes, sizeof(b->policy) + 1};

	memcpy(bytes, &b->policy, sizeof(b->policy));
	bytes[sizeof(b->policy)] = (uint8_t)(b->list / LIST_KINDS % DIRECTION_COUNT);
	return key;
}

static void
check_reached(struct finder *f, uint32_t first, uint32_t end, struct map *dead)
{
	struct block *b = &f->blocks[first];
	struct place p = {
	    .level = b->policy->level,
	    .top = b->policy->subject.subtree,
	    .dir = (enum direction)(b->list / LIST_KINDS % DIRECTION_COUNT),
	    .kind = (enum list_kind)(b->list % LIST_KINDS),
	    .at = first,
	};
	uint8_t bytes[sizeof(b->policy) + 1];
	struct str key = dead_key(b, bytes);
	bool said = p.kind == LIST_ALLOW && map_get(dead, key) != NULL;

	if (!said && !never_reached(f, &p, first, end))
		return;
	if (!said)
		say_never(f, &p, first, end);
	if (p.kind == LIST_ISOLATION)
		(void)map_set(dead, str_dup(f->lint->arena, key), b);
	for (uint32_t i = first; i < end; i++)
		f->blocks[i].removed = true;
}

/* ---- allow blocks ---- */

/* Takes away what other rules of the union allow, those left out that are themselves
 * said to be redundant. */
static void
take_others(struct finder *f, const struct block *self)
{
	finder_find(f, self->list, UINT32_MAX, &self->box);
	f->lint->work += f->found_count;
	for (size_t i = 0; i < f->found_count; i++) {
		const struct block *b = &f->blocks[f->found[i]];

		if (!b->removed && !same_owner(b, self))
			add_step(f, f->found[i], false);
	}
}

static bool
is_redundant(struct finder *f, uint32_t first, uint32_t end)
{
	bool all = true;

	f->taker_count = 0;
	for (uint32_t i = first; i < end && all; i++) {
		if (f->lint->work > LINT_WORK) {
			f->lint->given_up++;
			return false;
		}
		f->box = &f->blocks[i].box;
		f->step_count = 0;
		take_others(f, &f->blocks[i]);
		all = nothing_is_left(f);
	}
	return all;
}

static void
check_redundant(struct finder *f, uint32_t first, uint32_t end)
{
	const struct rule *rule = f->blocks[first].rule;
	const struct block *by;
	struct diag *d;
	bool sole;

	if (!is_redundant(f, first, end))
		return;
	by = blame(f, first, end, &sole);
	d = lint_say(f->lint, CODE_REDUNDANT_RULE, rule->loc,
	    sole ? "%s adds nothing: %s allows all of it"
		 : "%s adds nothing: %s and others allow all of it",
	    lint_rule_name(f->lint, rule), lint_rule_name(f->lint, by->rule));
	lint_note(
	    f->lint, d, by->rule->loc, sole ? "allowed here" : "the first of them");
	for (uint32_t i = first; i < end; i++)
		f->blocks[i].removed = true;
}

/* From the last to the first, so that of two equal rules the later one is said. */
static void
check_allow_blocks(struct finder *f)
{
	for (uint32_t end = (uint32_t)f->count; end > 0;) {
		uint32_t first = end - 1;

		while (first > 0 &&
		       f->blocks[first - 1].list == f->blocks[first].list &&
		       same_owner(&f->blocks[first - 1], &f->blocks[first]))
			first--;
		if (finder_asks(f, &f->blocks[first]) &&
		    f->blocks[first].list % LIST_KINDS == LIST_ALLOW &&
		    !f->blocks[first].removed)
			check_redundant(f, first, end);
		end = first;
	}
}

void
lint_rules(struct lint *lint)
{
	struct finder f = {.lint = lint, .scratch = arena_new()};
	struct map dead = {0};

	finder_collect(&f);
	finder_index(&f);
	/* Without some of them, what is said of the others would not hold. */
	if (lint->work > LINT_WORK) {
		lint->given_up += f.rule_count;
		f.count = 0;
	}
	for (uint32_t i = 0; i < f.count;) {
		uint32_t end = owner_end(&f, i);

		if (finder_asks(&f, &f.blocks[i]))
			check_reached(&f, i, end, &dead);
		i = end;
	}
	check_allow_blocks(&f);
	for (size_t i = 0; i < f.postings.len; i++)
		free(((struct posting *)f.postings.entries[i].value)->items);
	map_fini(&f.postings);
	map_fini(&dead);
	free(f.blocks);
	free(f.list_first);
	free(f.found);
	free(f.marks);
	free(f.steps);
	free(f.takers);
	arena_free(f.scratch);
}
