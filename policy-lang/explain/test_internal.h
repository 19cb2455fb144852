/*
 * Between test_run.c and test_ends.c only: an expectation under way, and whom it is about.
 */
#ifndef POLICY_LANG_TEST_INTERNAL_H
#define POLICY_LANG_TEST_INTERNAL_H

#include "common/map.h"
#include "policy-lang/explain/test_route.h"
#include "policy-lang/explain/test_run.h"

/* An end that was found; `selected`: one of many, of which some may have nothing to ask. */
struct found_end {
	struct endpoint end;
	struct str text;
	bool selected;
	bool is_domain; /* whom that is, each source knows for itself: no `end` yet */
};

struct found_ends {
	struct found_end *items;
	size_t count, cap;
};

struct runner {
	struct arena *arena;
	struct arena *scratch;     /* emptied after each pair */
	struct model with_names;   /* the model, and what its tenants know by name: */
	struct learnt *learnt;     /* in the document under way; NULL: nothing */
	struct map taught;         /* tenants that know it -> the runner */
	struct map led;            /* where names lead tenants, as far as was asked */
	const struct model *model; /* `with_names` */
	struct resolver *resolver;
	struct judge *judge;
	unsigned suggestions;
};

/* One expectation under way. */
struct trial {
	struct runner *r;
	struct test_result *result;
	const struct test_expectation *item;
	const struct found_end *from, *to;   /* the pair that is asked about */
	struct test_named leads_to, through; /* whom it expects of Routes */
};

/* ---- test_run.c ---- */

/* Counts a failure of the pair under way; `found` may be NULL, and so may `flow` then. */
void test_fail(struct trial *t, struct str service,
    const struct explain_interval *found, const struct flow *flow, const char *problem);

/* ---- test_ends.c ---- */

/* Finds all that these ends stand for; what is nobody is a failure. */
void test_find_ends(
    struct trial *t, const struct test_end *ends, size_t count, struct found_ends *out);
/* Whom a domain name is to the source of the pair; *out lives in the arena. False: to
 * nobody, which is a failure. */
MUST_CHECK bool test_find_domain(
    struct trial *t, const struct found_end *domain, struct found_end *out);
/* What a document says of names begins to hold, for whoever is asked about, and ends. */
void test_names_begin(struct runner *r);
void test_names_end(struct runner *r);
/* The tenant of the source is told the document's names. */
void test_names_teach(
    struct runner *r, const struct test_document *d, const struct endpoint *src);

#endif
