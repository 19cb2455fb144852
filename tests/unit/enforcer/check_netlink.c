/*
 * Lengths of netlink messages, before anybody follows them.
 */
#include "enforcer/kernel/netlink.h"

#include <check.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

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

int
main(void)
{
	Suite *suite = suite_create("netlink");
	TCase *tc = tcase_create("netlink");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, messages_that_are_there_hold);
	tcase_add_loop_test(tc, message_longer_than_what_is_there_does_not_hold, 0, 3);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
