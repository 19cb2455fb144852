/*
 * The compiler against the evaluator: a random model, compiled for each of its nodes;
 * random packets through the programs as the kernel would take them, and the same flows
 * judged by the walk. Verdicts and the deciding rules must agree.
 */
#ifndef TESTS_PROPERTY_PACKETS_H
#define TESTS_PROPERTY_PACKETS_H

#include "tests/property/world.h"

struct packet_tally {
	unsigned long compared, denied, ruled; /* ruled: decided by a rule */
};

/* Rolls one case, `packets` of each node; adds to the tally. False: something differs,
 * which is printed with `seed` and the YAML. */
MUST_CHECK bool packets_agree(const struct dice *dice, uint64_t seed, uint64_t packets,
    struct packet_tally *tally);

#endif
