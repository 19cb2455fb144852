/*
 * Reads any bytes as what the engine tells the kernel role of ways and of addresses. What is
 * malformed changes nothing; whatever comes, the role can say afterwards what has become of
 * it, and asks no more gateways than it may.
 */
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "enforcer/steer/address.h"
#include "enforcer/steer/steer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

static const struct route_tables tables = {.first = 100, .last = 199};
static const struct steering config = {.mask = 0x0ff00000,
    .priority = 10000,
    .first_table = 10000,
    .way_count = 100,
    .tables = &tables,
    .table_count = 1};
static const struct address_place place = {.interface = "eth0"};

static unsigned told; /* so that somebody wants to know */

struct role {
	struct steer *steer;
	struct probe *probe;
	struct address_book *book;
};

/* Sockets that nothing is ever sent by. */
static struct role
role_open(void)
{
	struct err err = ERR_INIT;
	struct role role = {.steer = NULL};
	struct steering unsteered = config;

	CHECK(probe_open(&role.probe, 0, &err) == 0);
	unsteered.mask = 0;
	CHECK(steer_open(&role.steer, &unsteered, role.probe, &err) == 0);
	steer_close(role.steer);
	CHECK(steer_open(&role.steer, &config, role.probe, &err) == 0);
	CHECK(address_open(&role.book, &place, 0, &err) == 0);
	return role;
}

static size_t
said(const struct role *role)
{
	struct buf ways = {0}, gateways = {0};
	size_t len;

	steer_put(role->steer, &ways);
	probe_put(role->probe, &gateways);
	CHECK(gateways.len >= 4 && (gateways.len - 4) % 18 == 0);
	CHECK((gateways.len - 4) / 18 <= PROBE_TARGETS_MAX);
	len = ways.len;
	buf_free(&ways);
	buf_free(&gateways);
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct role role = role_open();
	/* A copy of its own, with an end that shows. */
	uint8_t *copy = malloc(size != 0 ? size : 1);
	struct arena *arena = arena_new();
	const struct proc_msg message = {.data = copy, .len = size};
	size_t before = said(&role);

	CHECK(copy != NULL);
	if (size != 0)
		memcpy(copy, data, size);
	if (!steer_told(role.steer, &message))
		CHECK(said(&role) == before);
	(void)said(&role);
	told += address_told(role.book, arena, &message);
	address_close(role.book);
	steer_close(role.steer);
	probe_close(role.probe);
	arena_free(arena);
	free(copy);
	return 0;
}
