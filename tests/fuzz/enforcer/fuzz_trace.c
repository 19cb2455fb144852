/*
 * Reads any bytes as what the kernel tells of packets that are traced: a datagram behind its
 * length (u16, little-endian), several of them. Whatever they are, there are no more steps than
 * may be, their texts have an end, and only one packet's are told.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/kernel/trace_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

static void
check(const struct trace_packet *p)
{
	CHECK(p->count < TRACE_STEPS_MOST);
	CHECK(p->followed || p->count == 0);
	for (size_t i = 0; i < p->count; i++) {
		const struct trace_step *s = &p->steps[i];

		CHECK(memchr(s->chain, '\0', sizeof(s->chain)) != NULL);
		CHECK(memchr(s->to, '\0', sizeof(s->to)) != NULL);
		CHECK(s->verdict <= TRACE_OTHER && s->verdict != TRACE_CONTINUE);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_packet packet = {.followed = false};
	bool left = false;

	while (size > 2 && !left) {
		size_t len = (size_t)data[0] | (size_t)data[1] << 8;
		const uint32_t id = packet.id;
		const bool followed = packet.followed;
		uint8_t *copy;

		data += 2;
		size -= 2;
		len = len < size ? len : size;
		copy = malloc(len != 0 ? len : 1); /* an end that shows */
		CHECK(copy != NULL);
		memcpy(copy, data, len);
		left = trace_packet_take(&packet, copy, len);
		free(copy);
		CHECK(!followed || (packet.followed && packet.id == id));
		check(&packet);
		data += len;
		size -= len;
	}
	return 0;
}
