#include "enforcer/kernel/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <sys/socket.h>

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

static bool
has_end(const void *data, size_t len, uint32_t seq)
{
	const struct nlmsghdr *header = data;
	int left = (int)len;

	for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
		if (header->nlmsg_type == NLMSG_DONE && header->nlmsg_seq == seq)
			return true;
	}
	return false;
}

int
netlink_end_dump(int fd, void *data, size_t size, size_t len, uint32_t seq)
{
	while (!has_end(data, len, seq)) {
		ssize_t n = recv(fd, data, size, 0);

		if (n < 0 && errno != EINTR)
			return -1;
		len = n < 0 || !netlink_lengths_hold(data, (size_t)n) ? 0 : (size_t)n;
	}
	return 0;
}
