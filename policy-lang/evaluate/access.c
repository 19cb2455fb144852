/*
 * Access decisions: RBAC's matching, the language's two laws. It must not know how
 * a request arrived, who signed in, or which paths are open to everyone: that is
 * decided before.
 */
#include "policy-lang/evaluate/access.h"

#include "common/limits.h"
#include "common/map.h"

/* ---- does a rule match? ---- */

static bool
list_has(const struct str *list, size_t count, struct str value)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(list[i], value))
			return true;
	}
	return false;
}

static bool
list_has_or_star(const struct str *list, size_t count, struct str value)
{
	return list_has(list, count, STR("*")) || list_has(list, count, value);
}

/*
 * One entry of `resources`: RESOURCE[.GROUP][/SUBRESOURCE]. `*` alone is everything;
 * `*` with a group is all of that group, subresources included; `*` before a slash is
 * that subresource of every resource.
 */
bool
access_resource_matches(struct str entry, const struct access_request *request)
{
	struct str sub = entry;
	struct str head = str_split(&sub, '/');
	struct str group = head;
	struct str resource = str_split(&group, '.');
	bool every = str_is(resource, "*");

	if (every && sub.ptr == NULL && group.ptr == NULL)
		return true;
	if (sub.ptr != NULL && !str_eq(sub, request->subresource))
		return false;
	if (sub.ptr == NULL && !every && request->subresource.len > 0)
		return false;
	if (group.ptr == NULL)
		return every || (request->api_group.len == 0 &&
				    str_eq(resource, request->resource));
	return str_eq(group, request->api_group) &&
	       (every || str_eq(resource, request->resource));
}

static bool
url_matches(struct str entry, struct str path)
{
	if (str_ends(entry, STR("*")))
		return str_starts(path, str_slice(entry, 0, entry.len - 1));
	return str_eq(entry, path);
}

static bool
object_matches(const struct access_rule *rule, const struct access_request *request)
{
	if (!request->is_resource) {
		for (size_t i = 0; i < rule->url_count; i++) {
			if (url_matches(rule->urls[i], request->path))
				return true;
		}
		return false;
	}
	if (rule->name_count > 0 &&
	    !list_has(rule->names, rule->name_count, request->name))
		return false;
	for (size_t i = 0; i < rule->resource_count; i++) {
		if (access_resource_matches(rule->resources[i], request))
			return true;
	}
	return false;
}

bool
access_applies(const struct access_policy *policy, const struct access_subject *subject)
{
	if (list_has(policy->users, policy->user_count, subject->user))
		return true;
	for (size_t i = 0; i < subject->group_count; i++) {
		if (list_has(policy->groups, policy->group_count, subject->groups[i]))
			return true;
	}
	return false;
}

/* ---- the walk ---- */

struct access_walk {
	const struct access_subject *subject;
	const struct access_request *request;
	struct access_verdict verdict;
};

static const struct access_rule *
rules_of(const struct access_policy *policy, enum phase phase, size_t *out_count)
{
	bool mandatory = phase == PHASE_MANDATORY;

	*out_count = mandatory ? policy->mandatory_count : policy->default_count;
	return mandatory ? policy->mandatory : policy->defaults;
}

static bool
rule_matches(const struct access_rule *rule, const struct access_request *request)
{
	return list_has_or_star(rule->verbs, rule->verb_count, request->verb) &&
	       object_matches(rule, request);
}

static const struct access_rule *
first_match(const struct access_walk *walk, const struct access_policy *policy,
    enum phase phase)
{
	size_t count;
	const struct access_rule *rules = rules_of(policy, phase, &count);

	for (size_t i = 0; i < count; i++) {
		if (rule_matches(&rules[i], walk->request))
			return &rules[i];
	}
	return NULL;
}

/* True if the level decided: first match in order of priority and name; `pass` leaves
 * the whole level. */
static bool
level_decides(struct access_walk *walk, const struct ns *level, enum phase phase)
{
	for (size_t i = 0; i < level->access_count; i++) {
		const struct access_policy *policy = level->access[i];
		const struct access_rule *rule;

		if (!access_applies(policy, walk->subject))
			continue;
		rule = first_match(walk, policy, phase);
		if (rule == NULL)
			continue;
		if (rule->action == ACTION_PASS)
			return false;
		walk->verdict.allow = rule->action == ACTION_ALLOW;
		walk->verdict.policy = policy;
		walk->verdict.rule = rule;
		return true;
	}
	return false;
}

static const struct ns *
ancestor_at(const struct ns *ns, uint32_t depth)
{
	while (ns->depth > depth)
		ns = ns->parent;
	return ns;
}

const struct ns *
access_level(
    const struct model *m, const struct access_request *request, struct str cluster)
{
	const struct kube_ns *kube;
	const struct ns *ns;
	char path[1 + LIMIT_NAME_BYTES];
	size_t len = 0;

	if (!request->is_resource || request->namespace.len == 0)
		return m->root;
	if (request->namespace.len > LIMIT_NAME_BYTES ||
	    str_find(request->namespace, '/', 0) < request->namespace.len)
		return NULL;
	kube = model_kube_ns(m, cluster, request->namespace);
	if (kube != NULL)
		return kube->ns;
	path[len++] = '/';
	for (size_t i = 0; i < request->namespace.len; i++)
		path[len++] = request->namespace.ptr[i];
	ns = model_ns(m, (struct str){path, len});
	return ns != NULL ? ns : m->root;
}

static void
decide_at(struct access_walk *walk, const struct ns *leaf)
{
	walk->verdict.level = leaf;
	for (uint32_t depth = 0; depth <= leaf->depth; depth++) {
		if (level_decides(walk, ancestor_at(leaf, depth), PHASE_MANDATORY))
			return;
	}
	for (const struct ns *s = leaf; s != NULL; s = s->parent) {
		if (level_decides(walk, s, PHASE_DEFAULT))
			return;
	}
}

struct access_verdict
access_decide(const struct model *m, const struct access_subject *subject,
    const struct access_request *request, struct str cluster)
{
	struct access_walk walk = {.subject = subject, .request = request};
	const struct ns *leaf = access_level(m, request, cluster);

	if (leaf != NULL)
		decide_at(&walk, leaf);
	return walk.verdict;
}

/* ---- every rule that matches ---- */

struct trace {
	const struct access_subject *subject;
	const struct access_request *request;
	void (*fn)(void *arg, const struct access_match *match);
	void *arg;
};

static void
trace_level(const struct trace *t, const struct ns *level, enum phase phase)
{
	for (size_t i = 0; i < level->access_count; i++) {
		const struct access_policy *policy = level->access[i];
		size_t count;
		const struct access_rule *rules = rules_of(policy, phase, &count);

		for (size_t n = 0; n < count && access_applies(policy, t->subject);
		     n++) {
			const struct access_match match = {
			    phase, level, policy, &rules[n]};

			if (rule_matches(&rules[n], t->request))
				t->fn(t->arg, &match);
		}
	}
}

void
access_trace(const struct ns *level, const struct access_subject *subject,
    const struct access_request *request,
    void (*fn)(void *arg, const struct access_match *match), void *arg)
{
	const struct trace t = {subject, request, fn, arg};

	for (uint32_t depth = 0; depth <= level->depth; depth++)
		trace_level(&t, ancestor_at(level, depth), PHASE_MANDATORY);
	for (const struct ns *s = level; s != NULL; s = s->parent)
		trace_level(&t, s, PHASE_DEFAULT);
}

/* ---- all namespaces at once ---- */

/* Sums do not depend on the order. */
static uint64_t
placement_digest(const struct model *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->kube_count; i++) {
		const struct kube_ns *kube = m->kube_namespaces[i];
		struct buf text = {NULL, 0, 0};

		buf_add_str(&text, kube->cluster);
		buf_add_char(&text, '\0');
		buf_add_str(&text, kube->name);
		buf_add_char(&text, '\0');
		buf_add_str(&text, kube->ns->path);
		sum += map_hash(buf_str(&text));
		buf_free(&text);
	}
	return sum;
}

void
access_levels_find(
    struct arena *arena, const struct model *m, struct access_levels *out_levels)
{
	uint32_t *place = ARENA_ARRAY(arena, m->ns_count, uint32_t);

	*out_levels = (struct access_levels){
	    .levels = ARENA_ARRAY(arena, m->ns_count, const struct ns *),
	    .above = ARENA_ARRAY(arena, m->ns_count, uint32_t),
	    .placement = placement_digest(m),
	};
	/* Sorted by path: parents come first. */
	for (size_t i = 0; i < m->ns_count; i++) {
		const struct ns *ns = m->namespaces[i];
		uint32_t above = ns->parent != NULL ? place[ns->parent->index] : 0;

		place[ns->index] = above;
		if (ns->access_count == 0 && ns->parent != NULL)
			continue;
		place[ns->index] = (uint32_t)out_levels->count;
		out_levels->levels[out_levels->count] = ns;
		out_levels->above[out_levels->count++] = above;
	}
}

struct access_extent
access_extent(const struct access_levels *levels, const struct access_subject *subject,
    const struct access_request *request, uint8_t *scratch)
{
	struct access_extent extent = {.everywhere = true};

	for (size_t i = 0; i < levels->count; i++) {
		struct access_walk walk = {.subject = subject, .request = request};

		decide_at(&walk, levels->levels[i]);
		scratch[i] = walk.verdict.allow;
		extent.somewhere = extent.somewhere || walk.verdict.allow;
		extent.everywhere = extent.everywhere && walk.verdict.allow;
		/* Where nothing changes, a further level changes nothing. */
		if (i == 0 || scratch[i] != scratch[levels->above[i]])
			extent.digest += map_hash(levels->levels[i]->path) + scratch[i];
	}
	/* Who sees all or nothing sees it wherever namespaces stand. */
	if (extent.somewhere && !extent.everywhere)
		extent.digest += levels->placement;
	return extent;
}

/* ---- quotas ---- */

static void
lower(uint64_t *limit, uint64_t value)
{
	if (value < *limit)
		*limit = value;
}

/* A rate without a burst has one of 2 seconds' worth, at least 1. */
static uint64_t
burst_of(const struct quota_limits *limits)
{
	uint64_t worth;

	if (limits->burst != QUOTA_UNSET || limits->per_second_milli == QUOTA_UNSET)
		return limits->burst;
	worth = limits->per_second_milli / 500;
	return worth > 0 ? worth : 1;
}

static void
combine(struct quota_limits *all, const struct quota_limits *one)
{
	lower(&all->per_second_milli, one->per_second_milli);
	lower(&all->burst, burst_of(one));
	lower(&all->in_flight, one->in_flight);
	lower(&all->watches, one->watches);
	lower(&all->per_day, one->per_day);
	lower(&all->body_bytes, one->body_bytes);
}

void
quota_effective(const struct ns *level, struct quota_limits *out_requests,
    struct quota_limits *out_per_user)
{
	static const struct quota_limits unset = {
	    .per_second_milli = QUOTA_UNSET,
	    .burst = QUOTA_UNSET,
	    .in_flight = QUOTA_UNSET,
	    .watches = QUOTA_UNSET,
	    .per_day = QUOTA_UNSET,
	    .body_bytes = QUOTA_UNSET,
	};

	*out_requests = unset;
	*out_per_user = unset;
	for (const struct ns *s = level; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->quota_count; i++) {
			combine(out_requests, &s->quotas[i]->requests);
			combine(out_per_user, &s->quotas[i]->per_user);
		}
	}
}
