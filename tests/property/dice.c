#include "tests/property/dice.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void
dice_init(struct dice *dice, uint64_t seed)
{
	/* Neighbouring seeds must not give neighbouring worlds. */
	*dice = (struct dice){.state = (seed + 1) * 0x9e3779b97f4a7c15u};
	if (dice->state == 0)
		dice->state = 1;
}

void
dice_init_bytes(struct dice *dice, const uint8_t *bytes, size_t count)
{
	dice_init(dice, count);
	dice->bytes = bytes;
	dice->left = count;
}

static unsigned
next_byte(struct dice *dice)
{
	dice->left--;
	return *dice->bytes++;
}

uint64_t
dice_random_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		base_die("no randomness");
	return seed % 1000000000;
}

static bool
read_option(char *const *words, const struct run_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[0], options[i].name) == 0)
			return words[1] != NULL && str_to_u64(str_from(words[1]),
						       UINT64_MAX, options[i].value);
	}
	return false;
}

bool
run_options_read(int argc, char **argv, const struct run_option *options, size_t count)
{
	for (int i = 1; i < argc; i += 2) {
		if (read_option(argv + i, options, count))
			continue;
		(void)fprintf(stderr, "usage: %s", argv[0]);
		for (size_t j = 0; j < count; j++)
			(void)fprintf(stderr, " [%s N]", options[j].name);
		(void)fprintf(stderr, "\n");
		return false;
	}
	return true;
}

unsigned
dice_roll(struct dice *dice, unsigned below)
{
	if (dice->left == 1 || (dice->left > 1 && below <= 256))
		return next_byte(dice) % below;
	if (dice->left > 1) {
		unsigned high = next_byte(dice);

		return (high << 8 | next_byte(dice)) % below;
	}
	dice->state ^= dice->state >> 12;
	dice->state ^= dice->state << 25;
	dice->state ^= dice->state >> 27;
	return (unsigned)((dice->state * 0x2545f4914f6cdd1du) >> 33) % below;
}
