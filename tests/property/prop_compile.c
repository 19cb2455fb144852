/*
 * The compiler against the evaluator, over random models and packets (packets.h).
 * Options: --cases N --seed S (by default another each time) --packets N (of a case and
 * node). What fails is printed with seed and YAML.
 */
#include <stdio.h>
#include <string.h>

#include "tests/property/packets.h"

#define CASES_DEFAULT   DICE_CASES(300)
#define CASES_MORE      200
#define PACKETS_DEFAULT 250

/* A run that hardly asks anything is no test. Few cases may do so by chance: then there are
 * more. */
static bool
is_test(const struct packet_tally *t)
{
	return t->denied > t->compared / 20 && t->ruled > t->compared / 25;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t packets = PACKETS_DEFAULT, done = 0;
	struct packet_tally tally = {0};
	const struct run_option options[] = {
	    {"--cases", &cases}, {"--seed", &seed}, {"--packets", &packets}};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (; ok && (done < cases || (!is_test(&tally) && done < cases + CASES_MORE));
	     done++) {
		struct dice dice;

		dice_init(&dice, seed + done);
		ok = packets_agree(&dice, seed + done, packets, &tally);
	}
	(void)printf("%llu cases from seed %llu: %lu packets compared, %lu denied, %lu "
		     "decided by rules\n",
	    (unsigned long long)done, (unsigned long long)seed, tally.compared,
	    tally.denied, tally.ruled);
	return ok && is_test(&tally) ? 0 : 1;
}
