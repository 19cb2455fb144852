/*
 * The table that marks packets, in the real kernel: whose it is, and who listens.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "enforcer/kernel/trace.h"
#include "nft_namespace.h"

static const struct connection filter = {.proto = IPPROTO_TCP,
    .src = {.family = IP_V4, .bytes = {10, 1, 0, 1}},
    .dst = {.family = IP_V4, .bytes = {10, 1, 0, 2}},
    .dst_port = 80};

/* How many groups of netlink the trace's socket is in. */
static unsigned
memberships(const struct trace *t)
{
	uint32_t groups[8] = {0};
	socklen_t len = sizeof(groups);
	unsigned count = 0;

	ck_assert_int_eq(getsockopt(trace_fd(t), SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS,
			     groups, &len),
	    0);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		count += (unsigned)__builtin_popcount(groups[i]);
	return count;
}

START_TEST(trace_that_cannot_begin_listens_to_nobody)
{
	struct trace *mine, *theirs;
	size_t count;

	ck_assert_int_eq(trace_open(&mine, &err), 0);
	ck_assert_int_eq(trace_open(&theirs, &err), 0);
	ck_assert_msg(trace_begin(theirs, &filter, 1, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(memberships(theirs), 1);
	ck_assert_int_eq(trace_begin(mine, &filter, 1, &err), ERR_SYSTEM);
	ck_assert(!trace_running(mine));
	ck_assert_uint_eq(memberships(mine), 0);
	(void)trace_end(theirs, &count);
	ck_assert_uint_eq(memberships(theirs), 0);
	trace_close(theirs);
	trace_close(mine);
}
END_TEST

/* That another was in the way says nothing about the kernel. */
START_TEST(table_is_owned_after_another_was_in_the_way)
{
	struct trace *mine, *theirs;
	size_t count;

	ck_assert_int_eq(trace_open(&mine, &err), 0);
	ck_assert_int_eq(trace_open(&theirs, &err), 0);
	ck_assert_int_eq(trace_begin(theirs, &filter, 1, &err), 0);
	ck_assert_int_eq(trace_begin(mine, &filter, 1, &err), ERR_SYSTEM);
	(void)trace_end(theirs, &count);
	ck_assert_int_eq(trace_begin(mine, &filter, 1, &err), 0);
	ck_assert_int_eq(trace_begin(theirs, &filter, 1, &err), ERR_SYSTEM);
	trace_close(mine);
	trace_close(theirs);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("trace");

	tcase_add_test(tc, trace_that_cannot_begin_listens_to_nobody);
	tcase_add_test(tc, table_is_owned_after_another_was_in_the_way);
	return run_suite("trace", tc);
}
