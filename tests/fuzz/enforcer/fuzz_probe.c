/*
 * Reads any bytes as what another node, or whoever reaches the port, sends to ask whether
 * this one is up. Only what a node would send is read, and it says what it is made of.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/steer/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct probe_packet packet, again;
	uint8_t bytes[PROBE_BYTES];

	if (!probe_decode(data, size, &packet))
		return 0;
	CHECK(size == PROBE_BYTES);
	CHECK(packet.kind == PROBE_ASK || packet.kind == PROBE_ANSWER);
	probe_encode(&packet, bytes);
	/* All but what nothing is in yet. */
	CHECK(memcmp(bytes, data, 6) == 0 && memcmp(bytes + 8, data + 8, 12) == 0);
	CHECK(probe_decode(bytes, sizeof(bytes), &again));
	CHECK(again.kind == packet.kind && again.in_force == packet.in_force &&
	      again.secret == packet.secret && again.number == packet.number);
	return 0;
}
