#include "enforcer/steer/rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "enforcer/kernel/netlink.h"

#define ANSWER_S 5
#define LOOKS    5

int
rtnl_open(struct rtnl *r, struct err *err)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval wait = {.tv_sec = ANSWER_S};

	r->seq = 1;
	r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (r->fd < 0 ||
	    connect(r->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return err_sys(err, "rtnetlink socket");
	return 0;
}

void
rtnl_close(struct rtnl *r)
{
	if (r->fd >= 0)
		(void)close(r->fd); /* nothing is buffered */
	r->fd = -1;
}

struct nlmsghdr *
rtnl_begin(void *data, uint16_t type, uint16_t flags, size_t bytes)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);

	header->nlmsg_type = type;
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	(void)mnl_nlmsg_put_extra_header(header, bytes); /* the caller finds it */
	return header;
}

int
rtnl_ask(struct rtnl *r, struct nlmsghdr *header, mnl_cb_t each, void *arg)
{
	bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int run = MNL_CB_OK;

	header->nlmsg_seq = r->seq++;
	if (send(r->fd, header, header->nlmsg_len, 0) < 0)
		return -1;
	while (run > MNL_CB_STOP) {
		ssize_t n = recv(r->fd, r->data, sizeof(r->data), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0 && !netlink_lengths_hold(r->data, (size_t)n)) {
			errno = EBADMSG;
			return -1;
		}
		if (n < 0)
			return -1;
		run = mnl_cb_run(r->data, (size_t)n, header->nlmsg_seq, 0, each, arg);
		if (run < 0 && errno == EPROTO)
			run = MNL_CB_OK; /* left over from an earlier question */
		else if (run < 0 && errno == EINTR &&
			 netlink_end_dump(r->fd, r->data, sizeof(r->data), (size_t)n,
			     header->nlmsg_seq) == 0)
			errno = EINTR; /* for who asks again */
		else if (!dump && run == MNL_CB_OK && each != NULL)
			break; /* one object, without an end */
	}
	return run < 0 ? -1 : 0;
}

bool
rtnl_look(int (*ask)(struct rtnl *r, void *arg), void *arg)
{
	struct err err = ERR_INIT;
	bool ok = false, again = true;

	for (int i = 0; i < LOOKS && !ok && again; i++) {
		struct rtnl r = {.fd = -1};

		ok = rtnl_open(&r, &err) == 0 && ask(&r, arg) == 0;
		again = errno == EINTR;
		rtnl_close(&r);
	}
	return ok;
}

static int
collect(const struct nlattr *attr, void *arg)
{
	struct rtnl_attrs *out = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= IFLA_MAX)
		out->of[type] = attr;
	return MNL_CB_OK;
}

bool
rtnl_parse(const struct nlmsghdr *header, size_t bytes, struct rtnl_attrs *out)
{
	*out = (struct rtnl_attrs){{NULL}};
	return mnl_nlmsg_get_payload_len(header) >= bytes &&
	       mnl_attr_parse(header, (unsigned)bytes, collect, out) >= 0;
}

bool
rtnl_parse_nested(const struct nlattr *in, struct rtnl_attrs *out)
{
	*out = (struct rtnl_attrs){{NULL}};
	return mnl_attr_parse_nested(in, collect, out) >= 0;
}

uint32_t
rtnl_u32(const struct rtnl_attrs *a, uint16_t type)
{
	const struct nlattr *attr = a->of[type];

	return attr != NULL && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
		   ? mnl_attr_get_u32(attr)
		   : 0;
}

uint8_t
rtnl_u8(const struct rtnl_attrs *a, uint16_t type)
{
	const struct nlattr *attr = a->of[type];

	return attr != NULL && mnl_attr_get_payload_len(attr) == 1
		   ? mnl_attr_get_u8(attr)
		   : 0;
}

bool
rtnl_name(const struct rtnl_attrs *a, uint16_t type, char out[IF_NAMESIZE])
{
	const struct nlattr *attr = a->of[type];
	size_t len = attr != NULL ? mnl_attr_get_payload_len(attr) : 0;

	if (len == 0 || len > IF_NAMESIZE || mnl_attr_get_str(attr)[len - 1] != '\0')
		return false;
	memcpy(out, mnl_attr_get_str(attr), len);
	return true;
}
