/*
 * Reads any bytes as what an NFLOG socket gives. Whatever they are: no crash, and every
 * packet that is told has a family and no ports that its protocol has not. Then the flows
 * that come of them: counts add up.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/flows/flows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

struct totals {
	struct flows *flows;
	uint64_t packets, told;
	uint64_t ns;
};

static void
on_packet(void *arg, const struct nflog_packet *p)
{
	struct totals *t = arg;

	CHECK(p->src.family == IP_V4 || p->src.family == IP_V6);
	CHECK(p->src.family == p->dst.family);
	CHECK(p->has_ports || (p->src_port == 0 && p->dst_port == 0));
	CHECK(!p->has_ports || p->proto != 1);
	t->packets++;
	t->ns += 300000000;
	flows_add(t->flows, p, (monotime_t){t->ns}, (walltime_t){1});
	(void)flows_tick(t->flows, (monotime_t){t->ns});
}

static void
on_record(void *arg, const struct flows_record *record)
{
	struct totals *t = arg;

	CHECK(record->count != 0);
	t->told += record->count;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct totals t = {.ns = 1};
	/* A copy of its own: aligned as a buffer is, and with an end that shows. */
	uint8_t *copy = malloc(size != 0 ? size : 1);
	size_t unknown;

	CHECK(copy != NULL);
	if (size != 0)
		memcpy(copy, data, size);
	t.flows = flows_new(on_record, &t);
	unknown = nflog_read(copy, size, on_packet, &t);
	CHECK(unknown <= size / 16);
	flows_free(t.flows);
	CHECK(t.told == t.packets);
	free(copy);
	return 0;
}
