/*
 * Places in the tree of namespaces, as paths.
 */
#ifndef ENFORCER_SUBTREE_H
#define ENFORCER_SUBTREE_H

#include "common/str.h"

/* True if `path` is `top`, or below it. Both begin with a slash, and end without one. */
MUST_CHECK static inline bool
subtree_has(struct str top, struct str path)
{
	return str_is(top, "/") ||
	       (str_starts(path, top) &&
		   (path.len == top.len || path.ptr[top.len] == '/'));
}

#endif
