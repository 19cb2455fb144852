/*
 * One case of prop_connectivity: two models, what is listed of each, and the difference.
 */
#ifndef TESTS_PROPERTY_CONN_TRIAL_H
#define TESTS_PROPERTY_CONN_TRIAL_H

#include "policy-lang/connectivity/connectivity_exposure.h"
#include "policy-lang/connectivity/connectivity_group.h"
#include "policy-lang/diff/diff.h"
#include "tests/property/cluster.h"

#define PROBES    12 /* services that a pair is asked about */
#define ADDRESSES 40 /* of the outside, in a case */

struct probe {
	uint8_t proto;
	uint16_t port;
};

/* One of the two models, as listed: all of it, whatever a difference looks at. */
struct half {
	const struct model *model;
	struct conn_pool pool;
	struct conn_world *world;
	struct conn_relation *relation;
	const struct conn_set **pairs; /* by source * parties + destination */
	struct connection *outside;
	size_t outside_count, outside_cap;
};

struct trial {
	uint64_t seed;
	struct dice dice;
	struct arena *arena;
	struct cluster_texts texts[2];
	struct model *models[2];
	struct half halves[2];
	struct diff *diff;
	unsigned long asked, allowed, changed, grouped, exposed, exposed_to_some;
};

/* Tells what is wrong, with the seed and both inputs; false. */
bool trial_fail(const struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A service to ask about; an address of the outside. Mostly at the edges of what policies
 * say. */
MUST_CHECK struct probe trial_roll_probe(struct dice *dice);
MUST_CHECK struct ip_addr trial_roll_address(struct trial *t);
/* `set` NULL: nothing. */
MUST_CHECK bool set_has_probe(const struct conn_set *set, const struct probe *s);
/* What is listed of an end and an address of the outside; NULL: nothing. */
MUST_CHECK const struct conn_set *half_outside_set(const struct half *h,
    const struct conn_end *end, const struct ip_addr *addr, enum direction dir);

/* conn_listing.c: what is listed is what the walk says. Fills pairs and outside. */
MUST_CHECK bool check_listing(struct trial *t, unsigned which);
/* prop_connectivity.c: groups, by their names, are the sets that they stand for. */
MUST_CHECK bool check_groups(struct trial *t, const struct conn_groups *g);
/* conn_diff.c: the difference is what tells one listing from the other; and its report. */
MUST_CHECK bool check_diff(struct trial *t);
MUST_CHECK bool check_report(struct trial *t);
/* conn_future.c: workloads that may come are exposed as the walk says. */
MUST_CHECK bool check_exposure(struct trial *t, struct half *h);

#endif
