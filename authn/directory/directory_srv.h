/*
 * Servers by DNS: SRV records (RFC 2782). Blocking; thread-safe.
 */
#ifndef AUTHN_DIRECTORY_SRV_H
#define AUTHN_DIRECTORY_SRV_H

#include "common/err.h"
#include "common/str.h"

#define SRV_TARGETS_MAX 16

struct srv_target {
	char host[256]; /* without the last dot */
	uint16_t port, priority, weight;
};

struct srv_answer {
	struct srv_target targets[SRV_TARGETS_MAX]; /* in the order to try them */
	size_t count;
	uint32_t ttl_s; /* the smallest */
};

/*
 * Reads a DNS message. Targets outside `domain` are left out: who can forge an answer
 * should not be able to send us where another certificate of the same authority holds. By
 * priority; within one in random order by weight, `random` giving the dice (one u32 for
 * each target). ERR_INVALID: malformed; ERR_NOT_FOUND: no target.
 */
MUST_CHECK int srv_parse(const uint8_t *message, size_t len, struct str domain,
    const uint32_t random[SRV_TARGETS_MAX], struct srv_answer *out, struct err *err);

/* Asks the system's resolver for `_ldap._tcp.DOMAIN`. ERR_UNAVAILABLE: no answer. */
MUST_CHECK int srv_lookup(struct str domain, struct srv_answer *out, struct err *err);

/* For tests: asks 127.0.0.1 at that port instead of the system's servers; 0: no more. */
void srv_use_resolver(uint16_t port);

#endif
