/*
 * Access: who may do what through the API server. The walk is the language's own:
 * mandatory from the root down, default from the leaf up; nothing matches: deny.
 */
#ifndef POLICY_LANG_ACCESS_H
#define POLICY_LANG_ACCESS_H

#include "policy-lang/model/model.h"

struct access_subject {
	struct str user;
	const struct str *groups;
	size_t group_count;
};

/* A request as the API server classifies it (apiserver request.RequestInfo). */
struct access_request {
	bool is_resource;
	struct str verb;
	struct str api_group; /* "" is the core group */
	struct str resource;
	struct str subresource; /* "" without */
	struct str name;
	struct str namespace; /* "" at the cluster scope or for all namespaces */
	struct str path;      /* not a resource: the URL path */
};

struct access_verdict {
	bool allow;
	const struct access_policy *policy; /* NULL: nothing matched */
	const struct access_rule *rule;
	const struct ns *level; /* where the request was judged from */
};

/* Where a request is judged from; NULL if the namespace's name cannot be one. A namespace
 * that nobody placed or mentioned has no node: nothing is written at /NAME, so / is
 * all there is of its path. */
MUST_CHECK const struct ns *access_level(
    const struct model *m, const struct access_request *request, struct str cluster);
/* True if the document names the subject or one of its groups. */
MUST_CHECK bool access_applies(
    const struct access_policy *policy, const struct access_subject *subject);

/* Judges one request. A namespace that nobody placed is at /<its name>. */
MUST_CHECK struct access_verdict access_decide(const struct model *m,
    const struct access_subject *subject, const struct access_request *request,
    struct str cluster);

/* One rule that matches a request, in the order in which rules are asked. */
struct access_match {
	enum phase phase;
	const struct ns *level;
	const struct access_policy *policy;
	const struct access_rule *rule;
};

/* Calls fn for every rule of the subject's that matches when judged from `level`, whether or not
 * an earlier one decides. */
void access_trace(const struct ns *level, const struct access_subject *subject,
    const struct access_request *request,
    void (*fn)(void *arg, const struct access_match *match), void *arg);

/* The levels at which verdicts can change: the root, and where Access is written. */
struct access_levels {
	const struct ns **levels; /* the root first, ancestors before descendants */
	uint32_t *above; /* index of the nearest one above; the root's own: 0 */
	size_t count;
	uint64_t placement; /* digest of where the Kubernetes namespaces stand */
};

/* Finds them; everything lives in the arena, and borrows from the model. */
void access_levels_find(
    struct arena *arena, const struct model *m, struct access_levels *out_levels);

/* What a request without a namespace comes to that is meant for each namespace in turn, as
 * lists and watches across namespaces are. */
struct access_extent {
	bool somewhere;  /* allowed at some level */
	bool everywhere; /* allowed at every level, / among them */
	uint64_t
	    digest; /* two of one process are equal if the same namespaces are allowed */
};

/* `scratch` has room for levels->count bytes. The request's namespace does not count. */
MUST_CHECK struct access_extent access_extent(const struct access_levels *levels,
    const struct access_subject *subject, const struct access_request *request,
    uint8_t *scratch);

/* True if one entry of `resources` (RESOURCE[.GROUP][/SUBRESOURCE], RBAC's grammar) covers
 * the resource of the request; tokens are limited by the same grammar. */
MUST_CHECK bool access_resource_matches(
    struct str entry, const struct access_request *request);

/* The limits that hold for a request charged at `level` by one user: the minimum along
 * the path, field by field (quota.h's runtime charges each level on its own; this is for
 * whoami and explain). */
void quota_effective(const struct ns *level, struct quota_limits *out_requests,
    struct quota_limits *out_per_user);

#endif
