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

#endif
