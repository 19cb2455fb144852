/*
 * The table of quotas as the files quota*.c see it.
 */
#ifndef AUTHN_QUOTA_INTERNAL_H
#define AUTHN_QUOTA_INTERNAL_H

#include <stdatomic.h>

#include "authn/quota/quota.h"

#define SLOT_COUNT       16384u /* a power of two */
#define NO_SLOT          UINT32_MAX
#define DAY_NS           (86400 * NS_PER_S)
#define DAY_SHIFT        40 /* struct slot.day: the day's number above, its count below */
#define DAY_COUNT_MASK   ((1ull << DAY_SHIFT) - 1)
#define QUOTA_HASH_BEGIN 14695981039346656037ull

struct slot {
	_Atomic uint64_t name;    /* 0: free */
	_Atomic uint64_t tat;     /* GCRA: theoretical arrival time, monotonic ns */
	_Atomic uint64_t day;     /* UTC day number << 40 | requests of that day */
	_Atomic uint64_t granted; /* as `day`: what this replica may use of it */
	_Atomic uint64_t day_limit;
	_Atomic uint64_t used;              /* monotonic ns of the last use */
	_Atomic uint64_t admitted, refused; /* QUOTA_ACCOUNT */
	_Atomic uint32_t in_flight[QUOTA_MAX_WORKERS];
	_Atomic uint32_t total; /* of in_flight: what is compared with the limit */
};

struct quota_table {
	_Atomic uint64_t refused_full;
	_Atomic uint32_t replicas; /* 0: this one is alone, and shares nothing */
	_Atomic uint64_t contact_ns, keep_ns;
	struct slot slots[SLOT_COUNT];
};

/* The slot of that name, claimed if it has none; NO_SLOT: there is no room. */
MUST_CHECK uint32_t quota_slot_find(
    struct quota_table *t, uint64_t name, uint64_t now_ns, uint64_t day);
/* Goes on with `h` (at first QUOTA_HASH_BEGIN); the parts of a whole stay apart. */
MUST_CHECK uint64_t quota_hash(uint64_t h, const void *data, size_t len);

#endif
