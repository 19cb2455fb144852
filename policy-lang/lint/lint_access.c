/*
 * Access rules that others decide before them, tenants without owners, and quotas that a
 * lower one above them makes void.
 */
#include "policy-lang/lint/lint_internal.h"

/* ---- what one rule takes in of another ---- */

/* To look at a text takes a fraction of what a comparison of rules does. */
#define TEXTS_OF_WORK 8

static bool
list_has(struct lint *lint, const struct str *list, size_t count, struct str value)
{
	lint->work += count / TEXTS_OF_WORK;
	for (size_t i = 0; i < count; i++) {
		if (str_eq(list[i], value))
			return true;
	}
	return false;
}

static bool
lists_cover(struct lint *lint, const struct str *outer, size_t outer_count,
    const struct str *inner, size_t inner_count)
{
	for (size_t i = 0; i < inner_count; i++) {
		if (!list_has(lint, outer, outer_count, inner[i]))
			return false;
	}
	return true;
}

/* True if everybody that `inner` applies to, `outer` applies to. */
static bool
subjects_cover(struct lint *lint, const struct access_policy *outer,
    const struct access_policy *inner)
{
	return lists_cover(lint, outer->users, outer->user_count, inner->users,
		   inner->user_count) &&
	       lists_cover(lint, outer->groups, outer->group_count, inner->groups,
		   inner->group_count);
}

/* RESOURCE[.GROUP][/SUBRESOURCE]; see access_resource_matches. */
struct resource {
	struct str name, group, sub;
	bool every;
};

static struct resource
resource_of(struct str entry)
{
	struct resource r = {.sub = entry};
	struct str head = str_split(&r.sub, '/');

	r.group = head;
	r.name = str_split(&r.group, '.');
	r.every = str_is(r.name, "*");
	return r;
}

static bool
resource_covers(struct str outer, struct resource i)
{
	struct resource o = resource_of(outer);

	if (o.every && o.sub.ptr == NULL && o.group.ptr == NULL)
		return true;
	if (o.sub.ptr != NULL && (i.sub.ptr == NULL || !str_eq(o.sub, i.sub)))
		return false;
	if (o.sub.ptr == NULL && !o.every && (i.sub.ptr != NULL || i.every))
		return false;
	if (o.group.ptr == NULL)
		return o.every || (i.group.ptr == NULL && str_eq(o.name, i.name));
	return i.group.ptr != NULL && str_eq(o.group, i.group) &&
	       (o.every || str_eq(o.name, i.name));
}

static bool
url_covers(struct str outer, struct str inner)
{
	if (!str_ends(outer, STR("*")))
		return str_eq(outer, inner);
	if (str_ends(inner, STR("*")))
		inner = str_slice(inner, 0, inner.len - 1);
	return str_starts(inner, str_slice(outer, 0, outer.len - 1));
}

/* One verb on one resource or URL of a rule. */
struct request_kind {
	struct str verb;
	struct resource resource; /* name.ptr NULL: a URL */
	struct str url;
};

static bool
rule_takes(struct lint *lint, const struct access_rule *outer,
    const struct access_rule *inner, const struct request_kind *kind)
{
	lint->work++;
	if (!list_has(lint, outer->verbs, outer->verb_count, STR("*")) &&
	    !list_has(lint, outer->verbs, outer->verb_count, kind->verb))
		return false;
	lint->work += outer->url_count / TEXTS_OF_WORK + outer->resource_count;
	for (size_t i = 0; kind->resource.name.ptr == NULL && i < outer->url_count;
	     i++) {
		if (url_covers(outer->urls[i], kind->url))
			return true;
	}
	if (kind->resource.name.ptr == NULL ||
	    (outer->name_count > 0 &&
		(inner->name_count == 0 ||
		    !lists_cover(lint, outer->names, outer->name_count, inner->names,
			inner->name_count))))
		return false;
	for (size_t i = 0; i < outer->resource_count; i++) {
		if (resource_covers(outer->resources[i], kind->resource))
			return true;
	}
	return false;
}

/* ---- what is before a rule ---- */

struct earlier {
	struct lint *lint;
	const struct access_policy *policy; /* of the rule asked about */
	const struct access_rule *rule;
	bool mandatory;
	const struct access_policy *by_policy; /* who took the last kind asked about */
	const struct access_rule *by;
};

static bool
list_takes(struct earlier *e, const struct access_policy *p,
    const struct access_rule *rules, size_t count, const struct request_kind *kind)
{
	for (size_t i = 0; i < count && &rules[i] != e->rule; i++) {
		if (!rule_takes(e->lint, &rules[i], e->rule, kind))
			continue;
		e->by = &rules[i];
		e->by_policy = p;
		return true;
	}
	return false;
}

/* Rules of one level, up to the rule itself. */
static bool
level_takes(struct earlier *e, const struct ns *level, bool mandatory,
    const struct request_kind *kind)
{
	bool own = level == e->policy->level && mandatory == e->mandatory;

	for (size_t i = 0; i < level->access_count; i++) {
		const struct access_policy *p = level->access[i];
		bool last = own && p == e->policy;

		if (subjects_cover(e->lint, p, e->policy) &&
		    list_takes(e, p, mandatory ? p->mandatory : p->defaults,
			mandatory ? p->mandatory_count : p->default_count, kind))
			return true;
		if (last)
			break;
	}
	return false;
}

/* A level that passes something on does not surely decide what it has rules for. */
static bool
passes_on(struct lint *lint, const struct ns *level)
{
	for (size_t i = 0; i < level->access_count; i++) {
		lint->work += level->access[i]->mandatory_count / TEXTS_OF_WORK;
		for (size_t j = 0; j < level->access[i]->mandatory_count; j++) {
			if (level->access[i]->mandatory[j].action == ACTION_PASS)
				return true;
		}
	}
	return false;
}

static bool
kind_is_taken(struct earlier *e, const struct request_kind *kind)
{
	const struct ns *own = e->policy->level;

	for (const struct ns *s = own; s != NULL; s = s->parent) {
		if (s == own && e->mandatory) {
			if (level_takes(e, s, true, kind))
				return true;
		} else if (!passes_on(e->lint, s) && level_takes(e, s, true, kind)) {
			return true;
		}
	}
	return !e->mandatory && level_takes(e, own, false, kind);
}

/* True if each verb on each object of the rule is decided before. */
static bool
rule_is_taken(struct earlier *e)
{
	const struct access_rule *r = e->rule;
	size_t objects = r->resource_count + r->url_count;

	for (size_t i = 0; i < r->verb_count * objects; i++) {
		size_t object = i % objects;
		struct request_kind kind = {.verb = r->verbs[i / objects]};

		if (object < r->resource_count)
			kind.resource = resource_of(r->resources[object]);
		else
			kind.url = r->urls[object - r->resource_count];
		if (e->lint->work > LINT_WORK) {
			e->lint->given_up++;
			return false;
		}
		if (!kind_is_taken(e, &kind))
			return false;
	}
	return e->by != NULL;
}

static void
lint_access_rules(struct lint *lint, const struct access_policy *p, bool mandatory)
{
	const struct access_rule *rules = mandatory ? p->mandatory : p->defaults;
	size_t count = mandatory ? p->mandatory_count : p->default_count;

	for (size_t i = 0; i < count; i++) {
		struct earlier e = {
		    .lint = lint,
		    .policy = p,
		    .rule = &rules[i],
		    .mandatory = mandatory,
		};
		struct diag *d;

		if (!rule_is_taken(&e))
			continue;
		d = lint_say(lint, CODE_ACCESS_SHADOWED, rules[i].loc,
		    "rule %u of Access \"%.*s\" can never match: others decide all of "
		    "it before",
		    rules[i].index + 1, STR_ARG(p->name));
		lint_note(lint, d, e.by->loc, "this one of Access \"%.*s\"",
		    STR_ARG(e.by_policy->name));
	}
}

/* ---- owners ---- */

static const struct ns *
declared_below(const struct model *m, const struct ns *top)
{
	for (size_t i = top->index; i < m->ns_count; i++) {
		const struct ns *ns = m->namespaces[i];

		if (!str_starts(ns->path, top->path))
			return NULL;
		if (ns->loc.source != NULL && ns_within(ns, top))
			return ns;
	}
	return NULL;
}

static void
lint_owners(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->ns_count; i++) {
		const struct ns *ns = lint->m->namespaces[i];
		const struct ns *declared;

		if (ns->depth != 1 || ns->owner_count > 0)
			continue;
		declared = declared_below(lint->m, ns);
		if (declared != NULL)
			lint_say(lint, CODE_NO_OWNER, declared->loc,
			    "nobody owns %.*s: only who owns / may change what is "
			    "written there",
			    STR_ARG(ns->path));
	}
}

void
lint_access(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->ns_count; i++) {
		const struct ns *ns = lint->m->namespaces[i];

		for (size_t j = 0; j < ns->access_count; j++) {
			lint_access_rules(lint, ns->access[j], true);
			lint_access_rules(lint, ns->access[j], false);
		}
	}
	lint_owners(lint);
}
