#include "enforcer/kernel/conntrack_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "enforcer/kernel/netlink.h"

#define ANSWER_S 5 /* the kernel answers while we ask; this is never needed */

const struct conntrack_icmp conntrack_icmps[CONNTRACK_ICMPS] = {
    {IPPROTO_ICMP, CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE},
    {IPPROTO_ICMPV6, CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE},
};

static int
open_socket(int protocol, int *out_fd, struct err *err)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval wait = {.tv_sec = ANSWER_S};
	int size = 1024 * 1024;

	*out_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	if (*out_fd < 0 ||
	    connect(*out_fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    setsockopt(*out_fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return err_sys(err, "netlink socket");
	/* For the answers to COMMANDS; the default has room for them too. */
	(void)setsockopt(*out_fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return 0;
}

int
conntrack_open(struct conntrack **out_conntrack, struct err *err)
{
	struct conntrack *c = xcalloc(1, sizeof(*c));
	int rc;

	*out_conntrack = NULL;
	c->list_fd = c->command_fd = c->route_fd = -1;
	c->seq = 1;
	rc = open_socket(NETLINK_NETFILTER, &c->list_fd, err);
	if (rc == 0)
		rc = open_socket(NETLINK_NETFILTER, &c->command_fd, err);
	if (rc == 0)
		rc = open_socket(NETLINK_ROUTE, &c->route_fd, err);
	if (rc != 0) {
		conntrack_close(c);
		return rc;
	}
	*out_conntrack = c;
	return 0;
}

void
conntrack_close(struct conntrack *c)
{
	const int fds[] = {
	    c != NULL ? c->list_fd : -1,
	    c != NULL ? c->command_fd : -1,
	    c != NULL ? c->route_fd : -1,
	};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]); /* nothing is buffered in them */
	}
	if (c != NULL)
		free(c->own);
	free(c);
}

struct nlmsghdr *
conntrack_begin(
    struct conntrack *c, void *data, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	struct nfgenmsg *nfg;

	header->nlmsg_type = (uint16_t)((NFNL_SUBSYS_CTNETLINK << 8) | type);
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header->nlmsg_seq = c->seq++;
	nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return header;
}

int
conntrack_receive_part(struct conntrack *c, int fd, uint32_t seq,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err)
{
	for (;;) {
		ssize_t n = recv(fd, c->data, sizeof(c->data), 0);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read a list from the kernel");
		if (!netlink_lengths_hold(c->data, (size_t)n))
			return err_set(err, ERR_PROTOCOL, "a list without an end");
		rc = mnl_cb_run(c->data, (size_t)n, seq, 0, each, arg);
		if (rc < 0 && errno == EPROTO)
			continue; /* left over from an earlier question */
		if (rc < 0 && errno == EINTR) {
			if (netlink_end_dump(
				fd, c->data, sizeof(c->data), (size_t)n, seq) != 0)
				return err_sys(err, "read a list from the kernel");
			return err_set(
			    err, ERR_STALE, "what the kernel lists changed meanwhile");
		}
		if (rc < 0)
			return err_sys(err, "a list from the kernel");
		return rc > MNL_CB_STOP;
	}
}
