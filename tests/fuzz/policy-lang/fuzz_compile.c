/*
 * The bytes are the dice of a small random cluster and of packets: what the compiler made
 * of it must judge them as the evaluator does.
 */
#include <stdlib.h>

#include "tests/property/packets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKETS 40

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_tally tally = {0};
	struct dice dice;

	dice_init_bytes(&dice, data, size);
	if (!packets_agree(&dice, size, PACKETS, &tally))
		abort();
	return 0;
}
