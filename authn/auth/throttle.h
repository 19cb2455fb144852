/*
 * Failed logins: bounds how often a password can be guessed, and keeps a client with an old
 * password from locking its owner out of the directory. Two memories of bounded size:
 * failures per user and per source (exponential delay), and wrong (user, password) pairs, so that the
 * same wrong password is refused without asking the directory again. Pure: the
 * caller brings the clock and the key.
 */
#ifndef AUTHN_THROTTLE_H
#define AUTHN_THROTTLE_H

#include "common/clock.h"
#include "common/str.h"

struct throttle;

/* `key`: 32 random bytes of this process; passwords are remembered as HMAC-SHA-256 under it. */
MUST_CHECK struct throttle *throttle_new(const uint8_t key[32]);
void throttle_free(struct throttle *t);

/* The directory locks an account after `attempts` failures within `window_s` seconds (since
 * the last one): nobody's failures here come to that number. 0: no such limit is known. */
void throttle_limit(struct throttle *t, uint32_t attempts, uint64_t window_s);

enum throttle_verdict {
	THROTTLE_GO,
	THROTTLE_WAIT,
	THROTTLE_KNOWN_WRONG
};

/* Users are told apart as directories do it: case and spaces do not count (of ASCII; what a
 * directory folds beyond that stays another name here). Equal for spellings of one user. */
MUST_CHECK uint64_t throttle_user(const struct throttle *t, struct str user);

/* What to do with an attempt from `source`, an address (an IPv6 network of 64 bits counts as
 * one source), while `running` others of that user have not told their result;
 * THROTTLE_WAIT: after *out_wait_s seconds (at least 1). */
MUST_CHECK enum throttle_verdict throttle_check(struct throttle *t, struct str user,
    uint32_t running, struct str password, struct str source, monotime_t now,
    uint32_t *out_wait_s);
/* The directory said no (not: it was unavailable). */
void throttle_failed(struct throttle *t, struct str user, struct str password,
    struct str source, monotime_t now);
void throttle_succeeded(struct throttle *t, struct str user, struct str source);

#endif
