/*
 * Between conntrack*.c only: the sockets, and what is asked of the kernel through them.
 *
 *     conntrack.c           sockets; questions and the parts of their answers
 *     conntrack_own.c       the node's own addresses
 *     conntrack_list.c      what connections there are
 *     conntrack_command.c   the end of connections; those that are made known
 */
#ifndef ENFORCER_CONNTRACK_INTERNAL_H
#define ENFORCER_CONNTRACK_INTERNAL_H

#include <libmnl/libmnl.h>

#include "enforcer/kernel/conntrack.h"

#define CONNTRACK_RECEIVE_BYTES 65536

struct conntrack {
	int list_fd; /* its dump may be under way */
	int command_fd;
	int route_fd;
	uint32_t seq, list_seq;
	bool listing;
	struct ip_addr *own; /* the node's own addresses, sorted */
	size_t own_count, own_cap;
	_Alignas(struct nlmsghdr) char data[CONNTRACK_RECEIVE_BYTES];
};

/* Attributes of ICMP of either family, which stand where others have ports. */
struct conntrack_icmp {
	uint8_t proto;
	uint16_t id, type, code;
};

#define CONNTRACK_ICMPS 2
extern const struct conntrack_icmp conntrack_icmps[CONNTRACK_ICMPS];

/* ---- conntrack.c ---- */

/* Begins a message of ctnetlink in `data`. */
struct nlmsghdr *conntrack_begin(
    struct conntrack *c, void *data, uint16_t type, uint16_t flags, uint8_t family);
/* Receives one part of a dump's answer. Returns 1 if more may come, 0 at the end; ERR_STALE, at
 * the end, if what it lists has changed meanwhile. */
MUST_CHECK int conntrack_receive_part(struct conntrack *c, int fd, uint32_t seq,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err);

/* ---- conntrack_command.c ---- */

/* Looks one connection up, by its ends as it began and its zone; `each` gets it. False: it is
 * not there any more, or the kernel does not say. */
MUST_CHECK bool conntrack_look_up(struct conntrack *c, const struct connection *which,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg);

/* ---- conntrack_own.c ---- */

/* Reads which addresses the node has now. */
MUST_CHECK int conntrack_read_own(struct conntrack *c, struct err *err);
/* Whether it had the address then. */
MUST_CHECK bool conntrack_is_own(const struct conntrack *c, const struct ip_addr *addr);

#endif
