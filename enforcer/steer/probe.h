/*
 * Which gateways are up: in the kernel role. Nodes ask each other by UDP, a few times a
 * second, and whoever is asked says whether a program of policy is in force on it. An
 * answer bears the number that was asked with, which nobody else can know who does not see
 * the question.
 *
 * A gateway is taken for one that is up until it has missed PROBE_MISSES questions in a
 * row, and again once it has answered PROBE_GOODS in a row: so it is down within a second,
 * and up again after three.
 */
#ifndef ENFORCER_PROBE_H
#define ENFORCER_PROBE_H

#include "common/clock.h"
#include "common/err.h"
#include "common/ip.h"
#include "common/str.h"

#define PROBE_INTERVAL_MS 200u
#define PROBE_MISSES      3u
#define PROBE_GOODS       15u
#define PROBE_BYTES       20u
/* Gateways that a node asks; more are taken for down. */
#define PROBE_TARGETS_MAX 256u

struct probe;

/* Opens sockets at the port; 0: none, and nobody is up. */
MUST_CHECK int probe_open(struct probe **out_probe, uint16_t port, struct err *err);
/* NULL is fine. */
void probe_close(struct probe *p);
/* To be polled for reading; then probe_read. -1: never. */
MUST_CHECK int probe_fd(const struct probe *p, enum ip_family family);
/* Takes what has come: questions are answered. */
void probe_read(struct probe *p);
/* What is answered. */
void probe_set_in_force(struct probe *p, bool in_force);
/* Whom to ask; what is known of those that stay is kept. Distinct. */
void probe_want(struct probe *p, const struct ip_addr *addrs, size_t count);
/* Asks who is due; to be called after probe_read. True: somebody's state has changed. */
MUST_CHECK bool probe_tick(struct probe *p, monotime_t now);
/* Milliseconds until there is something to do, at most `most`. */
MUST_CHECK int probe_wait_ms(const struct probe *p, monotime_t now, int most);
/* `otherwise`: what one is that is not asked. */
MUST_CHECK bool probe_is_up(
    const struct probe *p, const struct ip_addr *addr, bool otherwise);
/* Appends u32 count; each: u8 family, bytes[16], u8 up. */
void probe_put(const struct probe *p, struct buf *out);

/* ---- what is sent, for tests ---- */

enum probe_kind {
	PROBE_ASK = 1,
	PROBE_ANSWER,
};

struct probe_packet {
	enum probe_kind kind;
	bool in_force;
	uint64_t secret;
	uint32_t number;
};

void probe_encode(const struct probe_packet *packet, uint8_t out[PROBE_BYTES]);
MUST_CHECK bool probe_decode(const uint8_t *data, size_t len, struct probe_packet *out);

#endif
