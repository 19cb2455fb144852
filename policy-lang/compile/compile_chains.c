/*
 * What verdict numbers stand for, and the chains of those in use. A chain's comment says
 * in one line which policy it is and where that is written.
 */
#include "policy-lang/compile/compile_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/evaluate/route.h"

/* Numbers that are no policy's. */
static const struct {
	uint32_t number;
	enum action action;
	const char *comment;
} fixed[] = {
    {NUMBER_CLUSTER_ALLOW, ACTION_ALLOW, "cluster default: allow"},
    {NUMBER_CLUSTER_DENY, ACTION_DENY, "cluster default: deny"},
    {NUMBER_GATE, ACTION_DENY, "workload that is not programmed yet"},
    {NUMBER_MIDSTREAM, ACTION_DENY, "TCP of a connection that is not known"},
    {NUMBER_FAIL_SAFE, ACTION_ALLOW, "fail-safe port of the node"},
    {NUMBER_NODE_ALLOW, ACTION_ALLOW, "no policy for the node decides"},
    {NUMBER_UNREADY, ACTION_DENY, "published, but no workload is ready"},
    {NUMBER_VIA_TRANSLATED, ACTION_DENY,
	"via: translated on a node that it comes by again"},
    {NUMBER_VIA_POSED, ACTION_DENY, "via: what others go through poses as one of them"},
    {NUMBER_STRAY, ACTION_DENY, "routed, but of no connection that is known"},
    {NUMBER_UNPUBLISHED, ACTION_DENY, "address of Routes, nothing published"},
    {NUMBER_SPOOFED, ACTION_DENY, "source address that is not behind the interface"},
};

void
chains_add(struct compiler *c, const struct verdict_number *number)
{
	if (c->number_count == c->number_cap) {
		c->number_cap = c->number_cap == 0 ? 64 : 2 * c->number_cap;
		c->numbers =
		    xreallocarray(c->numbers, c->number_cap, sizeof(*c->numbers));
	}
	c->numbers[c->number_count++] = *number;
}

static int
number_cmp(const void *a, const void *b)
{
	const struct verdict_number *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

void
chains_seal(struct compiler *c)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		chains_add(c, &(struct verdict_number){.number = fixed[i].number});
	qsort(c->numbers, c->number_count, sizeof(*c->numbers), number_cmp);
	for (size_t i = 1; i < c->number_count; i++) {
		const struct verdict_number *n = &c->numbers[i];

		if (n->number != n[-1].number)
			continue;
		diag_say(c->diags, CODE_NUMBER_COLLISION,
		    n->rule != NULL ? n->rule->loc : (struct loc){0},
		    "two rules have the number %u", (unsigned)n->number);
		c->failed = true;
	}
}

/* Every number that a verdict bears has been added. */
static struct verdict_number *
find_number(struct compiler *c, uint32_t number)
{
	struct verdict_number key = {.number = number};
	struct verdict_number *found =
	    bsearch(&key, c->numbers, c->number_count, sizeof(key), number_cmp);

	if (found == NULL)
		base_die("compiler: a verdict without a rule");
	return found;
}

static struct loc
number_loc(const struct verdict_number *n)
{
	if (n->rule != NULL)
		return n->rule->loc;
	if (n->policy != NULL)
		return n->policy->isolate_loc[n->dir];
	if (n->route_rule != NULL)
		return n->route_rule->loc;
	if (n->way != NULL)
		return n->way->loc;
	return (struct loc){0};
}

void
chains_set_way(struct compiler *c, uint32_t number, const struct table_way *way)
{
	struct verdict_number *n = find_number(c, number);

	n->way = way;
	n->mark = table_way_mark(c->options->settings.steer_mask, way->number);
}

const struct policy *
chains_policy(struct compiler *c, uint32_t number)
{
	return find_number(c, number)->policy;
}

const struct rule *
chains_rule(struct compiler *c, uint32_t number)
{
	return find_number(c, number)->rule;
}

struct loc
chains_loc(struct compiler *c, uint32_t number)
{
	return number_loc(find_number(c, number));
}

struct loc
chains_use(struct compiler *c, uint32_t number)
{
	struct verdict_number *n = find_number(c, number);

	if (!c->placing)
		n->uses += c->retracting ? UINT32_MAX : 1; /* takes one away */
	return number_loc(n);
}

/* ---- comments ---- */

/* What a comment may consist of: printable ASCII that no quoting needs. */
static void
sanitise(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			*text = '?';
	}
}

static struct str
base_name(struct str path)
{
	size_t from = path.len;

	while (from > 0 && path.ptr[from - 1] != '/')
		from--;
	return str_slice(path, from, path.len);
}

/* The number for where a route cannot be followed. */
static bool
is_refusal(const struct verdict_number *n)
{
	return n->route != NULL && n->number != n->route_rule->number;
}

static const char *
title_of(struct arena *a, const struct verdict_number *n)
{
	struct str path;

	if (n->route == NULL)
		return policy_title(a, n->policy);
	path = n->route->level->depth > 0 ? n->route->level->path : STR("");
	return arena_printf(
	    a, "Route %.*s/%.*s", STR_ARG(path), STR_ARG(n->route->name));
}

const char *
chains_place(struct arena *a, struct loc loc, bool with_path)
{
	struct str file;

	if (loc.source == NULL)
		return "";
	file = with_path ? loc.source->name : base_name(loc.source->name);
	return arena_printf(a, " %.*s:%u", STR_ARG(file), (unsigned)loc.line);
}

const char *
chains_comment(struct arena *a, const char *head, const char *tail)
{
	char *text = arena_printf(a, "%s%s", head, tail);

	if (strlen(text) > TABLE_COMMENT_BYTES) {
		size_t room = strlen(tail) + 40 < TABLE_COMMENT_BYTES
				  ? TABLE_COMMENT_BYTES - strlen(tail) - 2
				  : 38;

		text = arena_printf(a, "%.*s..%.*s", (int)room, head,
		    (int)(TABLE_COMMENT_BYTES - 2 - room), tail);
	}
	sanitise(text);
	return text;
}

/* " ingress rule 2 (metrics) web.yaml:12", or without the name or the directories. */
static const char *
comment_tail(
    struct arena *a, const struct verdict_number *n, bool with_name, bool with_path)
{
	const struct rule *rule = n->rule;
	const char *place = chains_place(a, number_loc(n), with_path);
	const char *what = "isolation";
	struct str name = rule != NULL       ? rule->name
			  : n->route != NULL ? n->route_rule->name
					     : STR("");

	if (rule != NULL) {
		const char *phase = "";

		if (rule->policy->kind == POLICY_NATIVE)
			phase = arena_printf(a, "%s ", phase_name(rule->phase));
		what = arena_printf(a, "%srule %u", phase, (unsigned)rule->index);
	} else if (n->route != NULL) {
		what = arena_printf(a, "%s rule %u%s", phase_name(n->route_rule->phase),
		    (unsigned)n->route_rule->index,
		    is_refusal(n) ? ", cannot be followed" : "");
	}
	if (with_name && name.len != 0)
		what = arena_printf(a, "%s (%.*s)", what, STR_ARG(name));
	return arena_printf(a, " %s %s%s",
	    n->route != NULL ? route_kind_name(n->route_rule->kind)
			     : direction_name(n->dir),
	    what, place);
}

/* What is least missed goes first: directories, the rule's name, then the middle of
 * policy's name, then the end. */
static const char *
comment_of(struct arena *a, const struct verdict_number *n)
{
	const char *head, *tail;

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (fixed[i].number == n->number)
			return fixed[i].comment;
	}
	if (n->way != NULL) {
		return chains_comment(a, n->way->comment, "");
	}
	head = title_of(a, n);
	tail = comment_tail(a, n, true, true);
	if (strlen(head) + strlen(tail) > TABLE_COMMENT_BYTES)
		tail = comment_tail(a, n, true, false);
	if (strlen(head) + strlen(tail) > TABLE_COMMENT_BYTES)
		tail = comment_tail(a, n, false, false);
	return chains_comment(a, head, tail);
}

/* ---- chains ---- */

static enum action
action_of(const struct verdict_number *n)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
		if (fixed[i].number == n->number)
			return fixed[i].action;
	}
	if (n->way != NULL)
		return ACTION_ALLOW;
	if (n->route != NULL)
		return is_refusal(n) || n->route_rule->action == ROUTE_DENY
			   ? ACTION_DENY
			   : ACTION_ALLOW;
	return n->rule != NULL ? n->rule->action : ACTION_DENY;
}

struct table_rule_chain
chains_one(struct arena *a, const struct verdict_number *n)
{
	struct table_rule_chain chain = {
	    .number = n->number,
	    .action = action_of(n),
	    .comment = comment_of(a, n),
	    .loc = number_loc(n),
	    .dir = n->dir,
	    .policy_kind = "",
	    .isolation = n->policy != NULL && n->rule == NULL,
	    .reset = n->number == NUMBER_MIDSTREAM,
	    .quiet = n->number == NUMBER_UNPUBLISHED,
	    .mark = n->mark,
	    .keeps = n->way != NULL && n->way->kind != WAY_OUT,
	};

	if (n->policy != NULL) {
		chain.phase = PHASE_ALLOW;
		chain.policy_kind = policy_kind_name(n->policy->kind);
		chain.policy = n->policy->name;
		chain.namespace_path = n->policy->level->path;
		chain.host = n->policy->subject.nodes != NULL;
	}
	if (n->rule != NULL) {
		chain.phase = n->rule->phase;
		chain.rule_name = n->rule->name;
		chain.rule_index = n->rule->index;
	}
	if (n->route != NULL) {
		chain.policy_kind = "Route";
		chain.policy = n->route->name;
		chain.namespace_path = n->route->level->path;
		chain.phase = n->route_rule->phase;
		chain.rule_name = n->route_rule->name;
		chain.rule_index = n->route_rule->index;
		chain.unfollowed = is_refusal(n);
	}
	return chain;
}

/* Limits have chains that no verdict bears; texts come into the arena. */
static void
merge_limits(
    const struct compiler *c, struct arena *arena, struct table_content *content)
{
	struct table_rule_chain *chains = content->rule_chains;
	size_t at = content->rule_chain_count, left = c->limit_count;

	content->rule_chain_count += left;
	while (left > 0) {
		const struct table_rule_chain *limit = &c->limits[left - 1];

		if (at > 0 && chains[at - 1].number > limit->number) {
			chains[at + left - 1] = chains[at - 1];
			at--;
			continue;
		}
		limits_copy_chain(arena, limit, &chains[at + left - 1]);
		left--;
	}
}

void
chains_build(
    const struct compiler *c, struct arena *arena, struct table_content *content)
{
	struct table_element *elements;
	size_t count = 0;

	for (size_t i = 0; i < c->number_count; i++)
		count += c->numbers[i].uses != 0 ? 1 : 0;
	content->rule_chains =
	    ARENA_ARRAY(arena, count + c->limit_count, struct table_rule_chain);
	content->rule_chain_count = 0;
	elements = ARENA_ARRAY(arena, count, struct table_element);
	for (size_t i = 0; i < c->number_count; i++) {
		struct table_rule_chain *chain;

		if (c->numbers[i].uses == 0)
			continue;
		chain = &content->rule_chains[content->rule_chain_count];
		*chain = chains_one(arena, &c->numbers[i]);
		elements[content->rule_chain_count++] = (struct table_element){
		    .class_id = chain->number,
		    .value = chain->number,
		    .loc = chain->loc,
		};
	}
	content->elements[SET_RULES] = elements;
	content->element_count[SET_RULES] = count;
	merge_limits(c, arena, content);
}
