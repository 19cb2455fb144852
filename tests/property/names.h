/*
 * What random tenants know by name: names, patterns that take some of them in, and
 * addresses, of which some are workloads' and nodes'.
 */
#ifndef TESTS_PROPERTY_NAMES_H
#define TESTS_PROPERTY_NAMES_H

#include "policy-lang/model/learnt.h"
#include "tests/property/world.h"

#define NAMES_ADDRESSES 14

extern const char *const names_addresses[NAMES_ADDRESSES];

/* A name or pattern, as policy has it. */
MUST_CHECK const char *names_pattern(struct dice *dice);
/* A tenant of a random cluster is told of an address by a name; true if it learnt it. */
MUST_CHECK bool names_learn(
    struct learnt *table, struct dice *dice, uint64_t now_ms, struct ip_addr *out_addr);
/* Many of these, and perhaps a resolver. */
void names_fill(struct learnt *table, struct dice *dice);

#endif
