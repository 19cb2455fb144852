/*
 * Lengths of netlink messages, before anybody follows them; and a list that changes while it is
 * read.
 */
#include "enforcer/kernel/netlink.h"

#include <check.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/kernel/conntrack_internal.h"

static _Alignas(struct nlmsghdr) uint8_t data[64];

/* Two messages, of 20 bytes and of `last`. */
static void
put(uint32_t last)
{
	const struct nlmsghdr first = {.nlmsg_len = 20};
	const struct nlmsghdr second = {.nlmsg_len = last};

	memset(data, 0, sizeof(data));
	memcpy(data, &first, sizeof(first));
	memcpy(data + 20, &second, sizeof(second));
}

START_TEST(messages_that_are_there_hold)
{
	put(24);
	ck_assert(netlink_lengths_hold(data, 44));
	ck_assert(netlink_lengths_hold(data, 64)); /* what follows is none */
	ck_assert(netlink_lengths_hold(data, 0));
	ck_assert(netlink_lengths_hold(data, 7));
	put(0);
	ck_assert(netlink_lengths_hold(data, 44));
}
END_TEST

START_TEST(message_longer_than_what_is_there_does_not_hold)
{
	static const uint32_t lengths[] = {0x80000000u, 0xffffffffu, 0x80000010u};

	put(lengths[_i]);
	ck_assert(!netlink_lengths_hold(data, 44));
}
END_TEST

/* A part of the answer to question `seq`, with an address, or (NULL) its end. */
static void
say(int fd, uint32_t seq, uint16_t flags, const char *address)
{
	_Alignas(struct nlmsghdr) char part[128];
	struct nlmsghdr *header = mnl_nlmsg_put_header(part);
	struct ifaddrmsg *message =
	    mnl_nlmsg_put_extra_header(header, sizeof(*message));
	struct ip_addr addr;

	header->nlmsg_type = address != NULL ? RTM_NEWADDR : NLMSG_DONE;
	header->nlmsg_flags = NLM_F_MULTI | flags;
	header->nlmsg_seq = seq;
	message->ifa_family = AF_INET;
	if (address != NULL) {
		ck_assert(ip_parse(str_from(address), &addr));
		mnl_attr_put(header, IFA_LOCAL, ip_bytes(IP_V4), addr.bytes);
	}
	ck_assert_int_eq(send(fd, part, header->nlmsg_len, 0), header->nlmsg_len);
}

static bool
is_own(const struct conntrack *c, const char *address)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(address), &addr));
	return conntrack_is_own(c, &addr);
}

/* Once, or (_i) whenever they are asked for. */
START_TEST(addresses_that_change_while_they_are_listed_are_listed_again)
{
	struct conntrack *c = xcalloc(1, sizeof(*c));
	struct err err = ERR_INIT;
	int fds[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	c->route_fd = fds[0];
	c->seq = 1;
	for (uint32_t seq = 1; seq < (_i == 0 ? 2 : 8); seq++) {
		say(fds[1], seq, 0, "10.0.0.1");
		say(fds[1], seq, NLM_F_DUMP_INTR, "10.0.0.2");
		say(fds[1], seq, NLM_F_DUMP_INTR, NULL);
	}
	say(fds[1], 2, 0, "10.0.0.2");
	say(fds[1], 2, 0, NULL);
	ck_assert_int_eq(conntrack_read_own(c, &err), _i == 0 ? 0 : ERR_STALE);
	ck_assert(is_own(c, "10.0.0.2") == (_i == 0));
	ck_assert(_i != 0 || !is_own(c, "10.0.0.1"));
	(void)close(fds[0]);
	(void)close(fds[1]);
	free(c->own);
	free(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("netlink");
	TCase *tc = tcase_create("netlink");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, messages_that_are_there_hold);
	tcase_add_loop_test(tc, message_longer_than_what_is_there_does_not_hold, 0, 3);
	tcase_add_loop_test(
	    tc, addresses_that_change_while_they_are_listed_are_listed_again, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
