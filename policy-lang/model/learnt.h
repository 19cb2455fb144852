/*
 * Which addresses a tenant got to know by which names, and until when: what DNS answers
 * taught. Bounded for each tenant, so that nobody's look-ups cost others what they learnt.
 * Times are given, in milliseconds of whatever clock the caller keeps; nothing is older
 * than the first and none goes back. Not thread-safe.
 */
#ifndef POLICY_LANG_LEARNT_H
#define POLICY_LANG_LEARNT_H

#include "common/ip.h"

struct learnt;

enum learnt_result {
	LEARNT_NEW,     /* the tenant did not know the address by this name */
	LEARNT_RENEWED, /* it did; it is known for as long as the longer of the two says */
	LEARNT_FULL,    /* the tenant knows as much as it may: nothing was learnt */
};

/* One address by one name. The texts are the table's. */
struct learnt_entry {
	struct str tenant;
	struct str name; /* as fqdn_canonical has it */
	struct ip_addr addr;
	uint64_t until_ms;
};

/* `per_tenant`: how many entries a tenant may have; LIMIT_DNS_LEARNT, unless for tests. */
MUST_CHECK struct learnt *learnt_new(size_t per_tenant);
void learnt_free(struct learnt *table);

/* The TTL that is kept to: neither shorter nor longer than the limits say. */
MUST_CHECK uint32_t learnt_ttl_s(uint32_t ttl_s);

/* Learns an address. The name is brought into its canonical spelling; one that is none, or
 * empty, is LEARNT_FULL. */
MUST_CHECK enum learnt_result learnt_add(struct learnt *table, struct str tenant,
    struct str name, const struct ip_addr *addr, uint32_t ttl_s, uint64_t now_ms);

/* True while a connection of the tenant to the address lives. */
typedef bool learnt_used_fn(void *ctx, const struct learnt_entry *entry);
/* Told of an entry; of one that goes, before it does. */
typedef void learnt_tell_fn(void *ctx, const struct learnt_entry *entry);

/*
 * Forgets what is past its time, unless it is in use: that is asked about again when the
 * shortest TTL is over. `used` and `gone` may be NULL; neither may call back. Returns how
 * many are gone. Takes time for what is past alone.
 */
size_t learnt_expire(struct learnt *table, uint64_t now_ms, learnt_used_fn *used,
    learnt_tell_fn *gone, void *ctx);
/* When learnt_expire has something to do; UINT64_MAX: never. */
MUST_CHECK uint64_t learnt_next_ms(const struct learnt *table);

/* Calls `each` for every name under which the tenant knows the address. */
void learnt_names(const struct learnt *table, struct str tenant,
    const struct ip_addr *addr, learnt_tell_fn *each, void *ctx);
/* Calls `each` for everything, in no order. */
void learnt_each(const struct learnt *table, learnt_tell_fn *each, void *ctx);
MUST_CHECK size_t learnt_count(const struct learnt *table);
/* The same for what one tenant knows. */
void learnt_each_of(
    const struct learnt *table, struct str tenant, learnt_tell_fn *each, void *ctx);
MUST_CHECK size_t learnt_count_of(const struct learnt *table, struct str tenant);

/*
 * Where answers come from. That is an address like others, but no name is missing for it:
 * what is denied by name does not take it in. Replaces those before. Copies.
 */
void learnt_set_resolvers(
    struct learnt *table, const struct ip_addr *resolvers, size_t count);
/* Whether copies of their answers are read; else what they say comes by another way. True
 * unless set. */
void learnt_set_copied(struct learnt *table, bool copied);
MUST_CHECK bool learnt_copied(const struct learnt *table);
MUST_CHECK const struct ip_addr *learnt_resolvers(
    const struct learnt *table, size_t *out_count);

/* What policy asks; a table that is NULL knows nothing. */

/* True if the tenant knows the address by a name that one of the patterns takes in. */
MUST_CHECK bool learnt_matches(const struct learnt *table, struct str tenant,
    const struct ip_addr *addr, const struct str *patterns, size_t count);
/* True if it knows it by some name, or the address is a resolver's. */
MUST_CHECK bool learnt_explains(
    const struct learnt *table, struct str tenant, const struct ip_addr *addr);
/* True if that is so of some tenant. */
MUST_CHECK bool learnt_has(const struct learnt *table, const struct ip_addr *addr);
/* Calls `each` for every such address once, in no order. */
void learnt_each_address(const struct learnt *table,
    void (*each)(void *ctx, const struct ip_addr *addr), void *ctx);

#endif
