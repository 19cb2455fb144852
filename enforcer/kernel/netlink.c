#include "enforcer/kernel/netlink.h"

#include <libmnl/libmnl.h>

bool
netlink_lengths_hold(const void *data, size_t len)
{
	const struct nlmsghdr *header = data;
	int left = len > INT32_MAX ? INT32_MAX : (int)len;

	while (mnl_nlmsg_ok(header, left)) {
		if (header->nlmsg_len > (uint32_t)left)
			return false;
		header = mnl_nlmsg_next(header, &left);
	}
	return true;
}
