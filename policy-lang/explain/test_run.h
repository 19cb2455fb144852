/*
 * Test documents, run: every expectation asked of the model, and what decided instead
 * where one does not hold.
 */
#ifndef POLICY_LANG_TEST_RUN_H
#define POLICY_LANG_TEST_RUN_H

#include "policy-lang/explain/explain.h"

/* Of one expectation, so many failures are kept; the rest is counted. */
#define TEST_FAILURES_KEPT 10

/* One pair of ends, at one entry of `ports`, that is not as expected. */
struct test_failure {
	struct str from, to; /* as endpoint_print has them, or as written */
	struct str service;  /* "443/tcp", "80-90/tcp", "other protocols"; may be "" */
	const char *problem; /* "expected deny, found allow" */
	bool has_found;      /* false: the question could not be asked */
	struct explain_interval found;
	struct flow flow; /* of `found`: whom its decisions judge */
};

struct test_result {
	const struct test_document *document;
	const struct test_expectation *item;
	const char *title;       /* "/acme/shop/consent: web reaches db" */
	uint64_t checks, failed; /* pairs of ends, each at each entry of `ports` */
	struct test_failure failures[TEST_FAILURES_KEPT];
	size_t failure_count;
};

struct test_report {
	struct test_result *results; /* in the order of documents, then as written */
	size_t count;
	size_t failed;
	size_t left_out; /* by the filter */
	uint64_t checks, checks_failed;
};

/* Runs every expectation whose title contains `filter` ("": all). An end that does not
 * exist is a failure. Lives in the arena. */
void test_run(struct arena *a, const struct model *m, struct str filter,
    struct test_report *out_report);

enum test_format {
	TEST_TEXT,
	TEST_JSON,
	TEST_JUNIT,
};

void test_print(struct arena *a, struct buf *out, const struct test_report *report,
    enum test_format format);

#endif
