/*
 * Questions to the kernel's routing (rtnetlink), one at a time: links, addresses, routes,
 * rules. In the kernel role, and in the parent.
 */
#ifndef ENFORCER_RTNL_H
#define ENFORCER_RTNL_H

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <net/if.h>

#include "common/err.h"

/* By this number, of the range that nobody has reserved, what is ours is known: addresses
 * (Linux 5.18), routes, rules. */
#define RTNL_PROTO 0x72

struct rtnl {
	int fd; /* -1: closed */
	uint32_t seq;
	_Alignas(struct nlmsghdr) char data[32 * 1024];
};

/* Takes privileges only if they are needed by what is asked. */
MUST_CHECK int rtnl_open(struct rtnl *r, struct err *err);
/* One that is closed is fine. */
void rtnl_close(struct rtnl *r);
/* Begins a question in `data`, which is aligned as a header is: its payload begins with so
 * many bytes, all 0, then come attributes. NLM_F_REQUEST is set beside `flags`. */
MUST_CHECK struct nlmsghdr *rtnl_begin(
    void *data, uint16_t type, uint16_t flags, size_t bytes);
/* Asks, and waits for the answer: `each` object of it; NULL if there is none but an
 * acknowledgement, which is asked for. 0, or -1 and errno. */
MUST_CHECK int rtnl_ask(
    struct rtnl *r, struct nlmsghdr *header, mnl_cb_t each, void *arg);

/* Asks all that `ask` does of a socket of its own, and anew if what is listed changed while it
 * was read, a few times. False: it could not be looked at. */
MUST_CHECK bool rtnl_look(int (*ask)(struct rtnl *r, void *arg), void *arg);

/* The attributes of an object, by their types; NULL: not there. */
struct rtnl_attrs {
	const struct nlattr *of[IFLA_MAX + 1];
};

/* Those after a header of so many bytes; false: malformed. */
MUST_CHECK bool rtnl_parse(
    const struct nlmsghdr *header, size_t bytes, struct rtnl_attrs *out);
/* Those within an attribute; false: malformed. */
MUST_CHECK bool rtnl_parse_nested(const struct nlattr *in, struct rtnl_attrs *out);
/* 0 if it is not there, or of another size. */
MUST_CHECK uint32_t rtnl_u32(const struct rtnl_attrs *a, uint16_t type);
MUST_CHECK uint8_t rtnl_u8(const struct rtnl_attrs *a, uint16_t type);
/* The name of an interface. False, and `out` as it was: it is not there, or malformed. */
MUST_CHECK bool rtnl_name(
    const struct rtnl_attrs *a, uint16_t type, char out[IF_NAMESIZE]);

#endif
