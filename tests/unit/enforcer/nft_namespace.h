/*
 * For tests of the netlink encoder against the real kernel: a network namespace for each test,
 * what to reach it by, and the frame that such a suite runs in.
 */
#ifndef TESTS_NFT_NAMESPACE_H
#define TESTS_NFT_NAMESPACE_H

#include <check.h>
#include <sched.h>

#include "enforcer/kernel/nft.h"

static struct arena *arena;
static struct nft *nft;
static struct err err;

/* The namespace ends with the next one, or with the process. */
static inline void
setup(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		ck_assert_int_eq(unshare(CLONE_NEWUSER | CLONE_NEWNET), 0);
	arena = arena_new();
	err = ERR_INIT;
	ck_assert_msg(nft_socket(&fd, &err) == 0, "%s", err.msg);
	nft = nft_new(fd);
}

static inline void
teardown(void)
{
	nft_close(nft);
	arena_free(arena);
}

/* Against that generation; 0: whatever there is. Returns the one that it made. */
static inline uint32_t
apply_at(const struct op_batch *batch, uint32_t generation)
{
	struct nft_refusal refusal;
	uint32_t now = 0;
	int rc = nft_apply(nft, batch, generation, &now, &refusal, &err);

	ck_assert_msg(rc == 0, "operation %zu: %s", refusal.op, err.msg);
	return now;
}

static inline uint32_t
apply(const struct op_batch *batch)
{
	return apply_at(batch, 0);
}

/* Runs one case of them; returns main's status. */
static inline int
run_suite(const char *name, TCase *tc)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

#endif
