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

static bool
read_number(const char *text, uint64_t *out)
{
	return text != NULL && str_to_u64(str_from(text), UINT32_MAX, out);
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t packets = PACKETS_DEFAULT, done = 0;
	struct packet_tally tally = {0};
	bool ok = true;

	for (int i = 1; i < argc; i += 2) {
		uint64_t *number = strcmp(argv[i], "--cases") == 0     ? &cases
				   : strcmp(argv[i], "--seed") == 0    ? &seed
				   : strcmp(argv[i], "--packets") == 0 ? &packets
								       : NULL;

		if (number == NULL || !read_number(argv[i + 1], number)) {
			(void)fprintf(stderr,
			    "usage: %s [--cases N] [--seed S] [--packets N]\n",
			    argv[0]);
			return 2;
		}
	}
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
