/*
 * Who has which address. A large cluster has some hundred thousand of them: an entry says no
 * more than which address of which workload it is.
 */
#ifndef POLICY_LANG_ADDRESS_MAP_H
#define POLICY_LANG_ADDRESS_MAP_H

#include "common/arena.h"
#include "common/ip.h"

struct workload;

struct address_entry {
	struct workload *workload; /* NULL: the slot is empty */
	uint32_t ip;               /* in workload->ips */
	uint32_t hash;
};

struct address_map {
	struct address_entry
	    *slots; /* in no order; private but for who counts memory */
	size_t slot_count, len;
};

/* {0} is an empty map. */
void address_map_fini(struct address_map *m);
/* Moves what the map owns into the arena: from then on it is only read, and needs no
 * address_map_fini. */
void address_map_freeze(struct address_map *m, struct arena *a);
/* Makes room for so many in all: for who knows how many there will be. */
void address_map_reserve(struct address_map *m, size_t count);
/* NULL: nobody has it. */
MUST_CHECK struct workload *address_map_get(
    const struct address_map *m, const struct ip_addr *addr);
/* The same, with which of its addresses it is; NULL: nobody has it. */
MUST_CHECK const struct address_entry *address_map_find(
    const struct address_map *m, const struct ip_addr *addr);
/* The workload, whose addresses stay as they are and where they are, has this one of them
 * from now on, whoever had it before. */
void address_map_set(struct address_map *m, struct workload *w, size_t ip);
/* Nobody has it. */
void address_map_remove(struct address_map *m, const struct ip_addr *addr);

#endif
