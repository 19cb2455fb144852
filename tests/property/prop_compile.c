/*
 * The compiler against the evaluator, over random models and packets (packets.h).
 * Options: --cases N --seed S (by default another each time) --packets N (of a case and
 * node). What fails is printed with seed and YAML.
 */
#include <stdio.h>
#include <string.h>

#include "tests/property/packets.h"

#define CASES_DEFAULT   DICE_CASES(300)
#define PACKETS_DEFAULT 250

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
	for (; done < cases && ok; done++) {
		struct dice dice;

		dice_init(&dice, seed + done);
		ok = packets_agree(&dice, seed + done, packets, &tally);
	}
	(void)printf("%llu cases from seed %llu: %lu packets compared, %lu denied, %lu "
		     "decided by rules\n",
	    (unsigned long long)done, (unsigned long long)seed, tally.compared,
	    tally.denied, tally.ruled);
	/* A run that hardly asks anything is no test. */
	return ok && tally.denied > tally.compared / 20 &&
		       tally.ruled > tally.compared / 25
		   ? 0
		   : 1;
}
