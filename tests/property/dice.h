/*
 * Dice for random tests, from a seed that can be told or from a fuzzer's bytes; and what such
 * a run can be asked.
 */
#ifndef TESTS_PROPERTY_DICE_H
#define TESTS_PROPERTY_DICE_H

#include "common/str.h"

/* How many cases a run has when nobody says: fewer where each costs several times as much. */
#ifdef RINGFENCE_SANITIZED
#define DICE_CASES(count) ((count) / 4)
#else
#define DICE_CASES(count) (count)
#endif

/* xorshift64*; never 0. While there are `bytes`, they are the dice: so a fuzzer that
 * changes one changes one decision. */
struct dice {
	uint64_t state;
	const uint8_t *bytes;
	size_t left;
};

void dice_init(struct dice *dice, uint64_t seed);
/* Borrows the bytes. */
void dice_init_bytes(struct dice *dice, const uint8_t *bytes, size_t count);
/* Another one each time; short enough to type. */
MUST_CHECK uint64_t dice_random_seed(void);
/* 0 .. below-1 */
MUST_CHECK unsigned dice_roll(struct dice *dice, unsigned below);

/* A number that a run can be given, as by "--cases 100". */
struct run_option {
	const char *name; /* "--cases" */
	uint64_t *value;
};
/* Reads them; false if there is anything else, which is told. */
MUST_CHECK bool run_options_read(
    int argc, char **argv, const struct run_option *options, size_t count);

#endif
