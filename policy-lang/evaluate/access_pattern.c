#include "policy-lang/evaluate/access_pattern.h"

/* How much of a pattern a rule matches. */
enum share {
	SHARE_NONE,
	SHARE_SOME,
	SHARE_ALL,
};

static enum share
less(enum share a, enum share b)
{
	return a < b ? a : b;
}

static enum share
more(enum share a, enum share b)
{
	return a > b ? a : b;
}

static bool
is_star(struct str s)
{
	return str_is(s, "*");
}

/* One dimension: does what the rule says there take in what the pattern says? */
static enum share
share_of(struct str rule, struct str pattern)
{
	if (is_star(rule) || str_eq(rule, pattern))
		return SHARE_ALL;
	return is_star(pattern) ? SHARE_SOME : SHARE_NONE;
}

void
access_pattern_resource(struct access_pattern *p, struct str entry)
{
	struct str sub = entry;

	p->resource = str_split(&sub, '/');
	p->subresource = sub.ptr != NULL ? sub : STR("");
	if (is_star(p->resource) && sub.ptr == NULL)
		p->subresource = STR("*");
}

/* An entry of a rule's `resources`, as access_resource_matches reads it. */
static struct access_pattern
pattern_of_entry(struct str entry)
{
	struct access_pattern p = {.is_resource = true};
	struct str sub = entry, group;
	bool every;

	group = str_split(&sub, '/');
	p.resource = str_split(&group, '.');
	every = is_star(p.resource);
	p.subresource = sub.ptr != NULL ? sub : every ? STR("*") : STR("");
	p.api_group = group.ptr != NULL ? group : every ? STR("*") : STR("");
	return p;
}

static enum share
share_of_entry(struct str entry, const struct access_pattern *pattern)
{
	struct access_pattern p = pattern_of_entry(entry);

	return less(share_of(p.resource, pattern->resource),
	    less(share_of(p.subresource, pattern->subresource),
		share_of(p.api_group, pattern->api_group)));
}

static bool
cut_star(struct str *path)
{
	if (!str_ends(*path, STR("*")))
		return false;
	*path = str_slice(*path, 0, path->len - 1);
	return true;
}

static enum share
share_of_path(struct str rule, struct str pattern)
{
	bool rule_open = cut_star(&rule), pattern_open = cut_star(&pattern);

	if (rule_open ? str_starts(pattern, rule)
		      : !pattern_open && str_eq(pattern, rule))
		return SHARE_ALL;
	return pattern_open && str_starts(rule, pattern) ? SHARE_SOME : SHARE_NONE;
}

static enum share
share_of_object(const struct access_rule *rule, const struct access_pattern *pattern)
{
	enum share best = SHARE_NONE;

	if (!pattern->is_resource) {
		for (size_t i = 0; i < rule->url_count; i++)
			best = more(best, share_of_path(rule->urls[i], pattern->path));
		return best;
	}
	for (size_t i = 0; i < rule->resource_count; i++)
		best = more(best, share_of_entry(rule->resources[i], pattern));
	if (rule->name_count == 0)
		return best;
	for (size_t i = 0; i < rule->name_count; i++) {
		if (pattern->name.len != 0 && str_eq(rule->names[i], pattern->name))
			return best;
	}
	return pattern->name.len == 0 ? less(best, SHARE_SOME) : SHARE_NONE;
}

static enum share
share_of_rule(const struct access_rule *rule, const struct access_pattern *pattern)
{
	enum share verbs = SHARE_NONE;

	for (size_t i = 0; i < rule->verb_count; i++)
		verbs = more(verbs, share_of(rule->verbs[i], pattern->verb));
	return verbs == SHARE_NONE ? SHARE_NONE
				   : less(verbs, share_of_object(rule, pattern));
}

/* ---- the walk, for all requests of the pattern at once ---- */

enum outcome {
	GO_ON, /* what is left of the pattern is judged further on */
	COVERED,
	NOT_COVERED,
};

static enum outcome
walk_level(const struct ns *level, enum phase phase,
    const struct access_subject *subject, const struct access_pattern *pattern)
{
	for (size_t i = 0; i < level->access_count; i++) {
		const struct access_policy *policy = level->access[i];
		bool mandatory = phase == PHASE_MANDATORY;
		const struct access_rule *rules =
		    mandatory ? policy->mandatory : policy->defaults;
		size_t count =
		    mandatory ? policy->mandatory_count : policy->default_count;

		if (!access_applies(policy, subject))
			continue;
		for (size_t n = 0; n < count; n++) {
			enum share share = share_of_rule(&rules[n], pattern);

			if (share == SHARE_NONE)
				continue;
			if (share == SHARE_ALL && rules[n].action == ACTION_PASS)
				return GO_ON;
			if (rules[n].action != ACTION_ALLOW)
				return NOT_COVERED;
			if (share == SHARE_ALL)
				return COVERED;
			/* Some of it is allowed here, the rest maybe further on. */
		}
	}
	return GO_ON;
}

bool
access_covers(const struct ns *level, const struct access_subject *subject,
    const struct access_pattern *pattern)
{
	enum outcome outcome = GO_ON;

	for (uint32_t depth = 0; depth <= level->depth && outcome == GO_ON; depth++) {
		const struct ns *s = level;

		while (s->depth > depth)
			s = s->parent;
		outcome = walk_level(s, PHASE_MANDATORY, subject, pattern);
	}
	for (const struct ns *s = level; s != NULL && outcome == GO_ON; s = s->parent)
		outcome = walk_level(s, PHASE_DEFAULT, subject, pattern);
	return outcome == COVERED;
}

/* ---- parts ---- */

/* The narrower of two that share something. */
static struct str
narrower(struct str a, struct str b)
{
	return is_star(a) ? b : a;
}

struct parts {
	const struct access_pattern *pattern;
	void (*fn)(void *arg, const struct access_pattern *part);
	void *arg;
};

static void
part_of_entry(
    const struct parts *parts, struct str verb, struct str entry, struct str name)
{
	struct access_pattern part = *parts->pattern;
	struct access_pattern p = pattern_of_entry(entry);

	if (share_of_entry(entry, parts->pattern) == SHARE_NONE)
		return;
	part.verb = narrower(verb, part.verb);
	part.resource = narrower(p.resource, part.resource);
	part.subresource = narrower(p.subresource, part.subresource);
	part.api_group = narrower(p.api_group, part.api_group);
	if (part.name.len == 0)
		part.name = name;
	parts->fn(parts->arg, &part);
}

static void
part_of_path(const struct parts *parts, struct str verb, struct str path)
{
	struct access_pattern part = *parts->pattern;
	enum share share = share_of_path(path, parts->pattern->path);

	if (share == SHARE_NONE)
		return;
	part.verb = narrower(verb, part.verb);
	if (share == SHARE_SOME)
		part.path = path;
	parts->fn(parts->arg, &part);
}

static void
parts_of_rule(const struct parts *parts, const struct access_rule *rule)
{
	if (rule->action != ACTION_ALLOW ||
	    share_of_rule(rule, parts->pattern) == SHARE_NONE)
		return;
	for (size_t v = 0; v < rule->verb_count; v++) {
		if (share_of(rule->verbs[v], parts->pattern->verb) == SHARE_NONE)
			continue;
		for (size_t i = 0; !parts->pattern->is_resource && i < rule->url_count;
		     i++)
			part_of_path(parts, rule->verbs[v], rule->urls[i]);
		for (size_t i = 0;
		     parts->pattern->is_resource && i < rule->resource_count; i++) {
			if (rule->name_count == 0)
				part_of_entry(
				    parts, rule->verbs[v], rule->resources[i], STR(""));
			for (size_t n = 0; n < rule->name_count; n++)
				part_of_entry(parts, rule->verbs[v], rule->resources[i],
				    rule->names[n]);
		}
	}
}

void
access_parts(const struct ns *level, const struct access_subject *subject,
    const struct access_pattern *pattern,
    void (*fn)(void *arg, const struct access_pattern *part), void *arg)
{
	const struct parts parts = {.pattern = pattern, .fn = fn, .arg = arg};

	for (const struct ns *s = level; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->access_count; i++) {
			const struct access_policy *policy = s->access[i];

			if (!access_applies(policy, subject))
				continue;
			for (size_t n = 0; n < policy->mandatory_count; n++)
				parts_of_rule(&parts, &policy->mandatory[n]);
			for (size_t n = 0; n < policy->default_count; n++)
				parts_of_rule(&parts, &policy->defaults[n]);
		}
	}
}
