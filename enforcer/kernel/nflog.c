/*
 * The kernel role's part: socket, group.
 */
#include "enforcer/kernel/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#define RECEIVE_BYTES (8 * 1024 * 1024)
#define KERNEL_BYTES  (64 * 1024) /* that the kernel collects before it sends */
#define DELAY_10MS    2           /* and how long, in hundredths of a second */
#define ACK_MS        1000
#define SEQUENCE      1

int
nflog_open(int *out_fd, struct err *err)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	int fd = socket(
	    AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
	int size = RECEIVE_BYTES, one = 1;

	if (fd < 0)
		return err_sys(err, "cannot open an NFLOG socket");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		(void)err_sys(err, "cannot bind an NFLOG socket");
		(void)close(fd); /* nothing in it */
		return err->code;
	}
	/* Both make losses rarer; gaps in the numbers show those that are left. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	*out_fd = fd;
	return 0;
}

static void
build_request(struct nlmsghdr *header, uint16_t group, uint32_t copy_bytes)
{
	const struct nfulnl_msg_config_cmd command = {.command = NFULNL_CFG_CMD_BIND};
	const struct nfulnl_msg_config_mode mode = {
	    .copy_mode = NFULNL_COPY_PACKET,
	    .copy_range = htonl(copy_bytes),
	};
	struct nfgenmsg *nfg;

	header->nlmsg_type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	header->nlmsg_seq = SEQUENCE;
	nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(group);
	mnl_attr_put(header, NFULA_CFG_CMD, sizeof(command), &command);
	mnl_attr_put(header, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(header, NFULA_CFG_NLBUFSIZ, htonl(KERNEL_BYTES));
	mnl_attr_put_u32(header, NFULA_CFG_TIMEOUT, htonl(DELAY_10MS));
	mnl_attr_put_u16(header, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
}

/* Waits for the answer to the request; packets that come before it are of no use yet.
 * Returns 0, a positive errno, or -1 if none came. */
static int
wait_answer(int fd)
{
	_Alignas(struct nlmsghdr) static char data[KERNEL_BYTES + 4096];
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	while (poll(&wait, 1, ACK_MS) > 0) {
		ssize_t n = recv(fd, data, sizeof(data), 0);
		const struct nlmsghdr *header = (const void *)data;
		const struct nlmsgerr *answer;

		if (n < (ssize_t)sizeof(*header) || header->nlmsg_seq != SEQUENCE ||
		    header->nlmsg_type != NLMSG_ERROR ||
		    n < (ssize_t)mnl_nlmsg_size(sizeof(*answer)))
			continue;
		answer = mnl_nlmsg_get_payload(header);
		return -answer->error;
	}
	return -1;
}

int
nflog_bind(int fd, uint16_t group, uint32_t copy_bytes, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	int answer;

	build_request(header, group, copy_bytes);
	if (send(fd, header, header->nlmsg_len, 0) < 0)
		return err_sys(err, "cannot ask for NFLOG group %u", (unsigned)group);
	answer = wait_answer(fd);
	if (answer == EBUSY)
		return err_set(err, ERR_EXISTS, "NFLOG group %u is taken by another",
		    (unsigned)group);
	if (answer != 0) {
		errno = answer > 0 ? answer : ETIMEDOUT;
		return err_sys(err, "cannot bind NFLOG group %u", (unsigned)group);
	}
	return 0;
}
