/*
 * What a subject may do, as patterns instead of single requests: is all of it allowed? Used
 * to intersect somebody else's rules with Access. Sound, not complete: where an exception
 * overlaps a pattern it is not covered.
 */
#ifndef POLICY_LANG_ACCESS_PATTERN_H
#define POLICY_LANG_ACCESS_PATTERN_H

#include "policy-lang/evaluate/access.h"

/* "*" stands for everything. */
struct access_pattern {
	bool is_resource;
	struct str verb;
	struct str api_group;
	struct str
	    resource; /* RBAC's: pods, pods/exec, star/scale, or a star: all of it */
	struct str subresource; /* "" none; a star: none or any */
	struct str name;        /* "": every name */
	struct str path;        /* not a resource; may end in a star */
};

/* RBAC's `resources` entry cut into resource and subresource. */
void access_pattern_resource(struct access_pattern *p, struct str entry);

/* True if every request within the pattern is allowed when judged from `level`. */
MUST_CHECK bool access_covers(const struct ns *level,
    const struct access_subject *subject, const struct access_pattern *pattern);

/* Calls fn for every part that an allow rule of the subject's and the pattern share. */
void access_parts(const struct ns *level, const struct access_subject *subject,
    const struct access_pattern *pattern,
    void (*fn)(void *arg, const struct access_pattern *part), void *arg);

#endif
