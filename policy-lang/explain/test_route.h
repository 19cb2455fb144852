/*
 * Whether a connection goes as a Test expects of Routes.
 */
#ifndef POLICY_LANG_TEST_ROUTE_H
#define POLICY_LANG_TEST_ROUTE_H

#include "policy-lang/evaluate/route.h"

/* Workloads that an expectation names. */
struct test_named {
	const struct workload **items;
	size_t count;
};

/* True if the story is as the expectation says; else says in words what it is instead. */
MUST_CHECK bool test_route_holds(const struct test_route *want,
    const struct test_named *leads_to, const struct test_named *through,
    const struct route_story *story, struct buf *problem);

#endif
