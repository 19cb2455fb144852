#include "enforcer/cni/link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 65536

/* ---- reading ---- */

/* The next attribute of a run of them; false: there is none. */
static bool
next_attribute(struct str *rest, unsigned *out_type, struct str *out_value)
{
	struct rtattr head;
	size_t whole;

	if (rest->len < sizeof(head))
		return false;
	memcpy(&head, rest->ptr, sizeof(head));
	if (head.rta_len < sizeof(head) || head.rta_len > rest->len)
		return false;
	*out_type = head.rta_type & (unsigned)NLA_TYPE_MASK;
	*out_value = str_slice(*rest, sizeof(head), head.rta_len);
	whole = ((size_t)head.rta_len + 3) & ~(size_t)3;
	*rest = str_slice(*rest, whole, rest->len);
	return true;
}

static uint32_t
number_of(struct str value)
{
	uint32_t number = 0;

	if (value.len == sizeof(number))
		memcpy(&number, value.ptr, sizeof(number));
	return number;
}

static bool
is_set(struct str value)
{
	return value.len != 0 && value.ptr[0] != 0;
}

/* The kernel's texts end in NUL. */
static void
copy_text(struct str value, char *out, size_t size)
{
	size_t len = value.len < size ? value.len : size - 1;

	memcpy(out, value.ptr, len);
	out[len] = '\0';
}

static void
read_bridge(struct str rest, struct cni_link *out)
{
	struct str value;
	unsigned type;

	while (next_attribute(&rest, &type, &value)) {
		if (type == IFLA_BR_NF_CALL_IPTABLES)
			out->filters4 = is_set(value);
		else if (type == IFLA_BR_NF_CALL_IP6TABLES)
			out->filters6 = is_set(value);
	}
}

static void
read_kind(struct str rest, struct cni_link *out)
{
	struct str value, data = {0};
	unsigned type;

	while (next_attribute(&rest, &type, &value)) {
		if (type == IFLA_INFO_KIND)
			copy_text(value, out->kind, sizeof(out->kind));
		else if (type == IFLA_INFO_DATA)
			data = value;
	}
	if (strcmp(out->kind, "bridge") == 0)
		read_bridge(data, out);
}

bool
cni_link_parse(struct str message, struct cni_link *out_link)
{
	struct nlmsghdr head;
	struct str rest, value;
	unsigned type;

	*out_link = (struct cni_link){.peer = 0};
	if (message.len < sizeof(head) + sizeof(struct ifinfomsg))
		return false;
	memcpy(&head, message.ptr, sizeof(head));
	if (head.nlmsg_type != RTM_NEWLINK || head.nlmsg_len > message.len)
		return false;
	rest =
	    str_slice(message, sizeof(head) + sizeof(struct ifinfomsg), head.nlmsg_len);
	while (next_attribute(&rest, &type, &value)) {
		if (type == IFLA_IFNAME)
			copy_text(value, out_link->name, sizeof(out_link->name));
		else if (type == IFLA_LINK)
			out_link->peer = number_of(value);
		else if (type == IFLA_LINK_NETNSID)
			out_link->peer_away = true;
		else if (type == IFLA_MASTER)
			out_link->master = number_of(value);
		else if (type == IFLA_LINKINFO)
			read_kind(value, out_link);
	}
	return true;
}

/* ---- asking ---- */

struct question {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct rtattr attribute;
	char name[IF_NAMESIZE];
};

static bool
send_question(int fd, const char *name, uint32_t number)
{
	struct question q = {
	    .head = {.nlmsg_len = offsetof(struct question, attribute),
		.nlmsg_type = RTM_GETLINK,
		.nlmsg_flags = NLM_F_REQUEST,
		.nlmsg_seq = 1},
	    .info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)number},
	    .attribute = {.rta_type = IFLA_IFNAME},
	};

	if (name != NULL) {
		size_t len = strlen(name) + 1;

		if (len > sizeof(q.name)) {
			errno = ENODEV;
			return false;
		}
		memcpy(q.name, name, len);
		q.attribute.rta_len = (unsigned short)(sizeof(q.attribute) + len);
		q.head.nlmsg_len = (uint32_t)(offsetof(struct question, name) + len);
	}
	return send(fd, &q, q.head.nlmsg_len, 0) == (ssize_t)q.head.nlmsg_len;
}

/* The kernel answers before send(2) returns. */
static bool
receive_answer(int fd, struct cni_link *out)
{
	static char answer[ANSWER_BYTES];
	struct nlmsghdr head = {0};
	struct nlmsgerr error;
	ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

	if (n < (ssize_t)sizeof(head))
		return false;
	memcpy(&head, answer, sizeof(head));
	if (head.nlmsg_type == NLMSG_ERROR &&
	    (size_t)n >= sizeof(head) + sizeof(error)) {
		memcpy(&error, answer + sizeof(head), sizeof(error));
		errno = -error.error;
		return false;
	}
	errno = EPROTO;
	return cni_link_parse((struct str){answer, (size_t)n}, out);
}

bool
cni_link_look(const char *name, uint32_t number, struct cni_link *out_link)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool ok;
	int error;

	if (fd < 0)
		return false;
	ok = send_question(fd, name, number) && receive_answer(fd, out_link);
	error = errno;
	(void)close(fd); /* nothing is buffered in it */
	errno = error;
	return ok;
}
