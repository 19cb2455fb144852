/*
 * What every reader of netlink messages has to look at before libmnl does.
 */
#ifndef ENFORCER_NETLINK_H
#define ENFORCER_NETLINK_H

#include <stddef.h>

#include "common/base.h"

/* False if some message says that it is longer than what is there: libmnl compares lengths as
 * signed numbers, and takes those from 2 GiB on for small ones. `data` is aligned as
 * struct nlmsghdr is. */
MUST_CHECK bool netlink_lengths_hold(const void *data, size_t len);
/* Where libmnl says EINTR of a dump: the kernel marks what comes after a change (NLM_F_DUMP_INTR),
 * and nothing that came is whole. Reads it to its end, which the next has to wait for; `len` bytes
 * are in `data`, of `size`, already. Returns -1 with errno on failure. */
MUST_CHECK int netlink_end_dump(
    int fd, void *data, size_t size, size_t len, uint32_t seq);

#endif
