/*
 * Quotas against a naive token bucket, with a clock of their own; and many processes at once, which together never get more than the limit.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "authn/quota/quota.h"

#define UNSET QUOTA_UNSET

static struct quota_table *table;
static struct str token; /* of the requests */

static void
setup(void)
{
	table = mmap(NULL, quota_table_bytes(), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(table, MAP_FAILED);
	quota_table_init(table);
	token = STR("");
}

static void
teardown(void)
{
	ck_assert_int_eq(munmap(table, quota_table_bytes()), 0);
}

/* "/" with one child "/t", each with one Quota. */
struct tree {
	struct ns root, leaf;
	struct quota root_quota, leaf_quota;
	struct quota *root_list[1], *leaf_list[1];
};

static const struct quota_limits no_limits = {UNSET, UNSET, UNSET, UNSET, UNSET, UNSET};

static void
tree_init(struct tree *t)
{
	memset(t, 0, sizeof(*t));
	t->root.path = STR("/");
	t->leaf.path = STR("/t");
	t->leaf.parent = &t->root;
	t->root_quota = (struct quota){.name = STR("q"), .level = &t->root};
	t->leaf_quota = (struct quota){.name = STR("q"), .level = &t->leaf};
	t->root_quota.requests = t->root_quota.per_user = no_limits;
	t->leaf_quota.requests = t->leaf_quota.per_user = no_limits;
	t->root_quota.per_token = t->leaf_quota.per_token = no_limits;
	t->root_list[0] = &t->root_quota;
	t->leaf_list[0] = &t->leaf_quota;
	t->root.quotas = t->root_list;
	t->leaf.quotas = t->leaf_list;
	t->root.quota_count = t->leaf.quota_count = 1;
}

static struct quota_refusal refusal;
static struct quota_ticket ticket;

static bool
admit_at(const struct tree *t, const char *user, uint64_t ns)
{
	const struct quota_request request = {
	    .level = &t->leaf, .user = str_from(user), .token = token};

	return quota_admit(table, 0, &request, (monotime_t){ns},
	    (walltime_t){(int64_t)ns}, &ticket, &refusal);
}

/* ---- one limit at a time ---- */

START_TEST(rate_admits_the_burst_then_the_rate)
{
	struct tree t;
	uint64_t now = 1000 * NS_PER_S;
	unsigned admitted = 0;

	tree_init(&t);
	t.leaf_quota.requests.per_second_milli = 10 * 1000;
	t.leaf_quota.requests.burst = 5;
	for (int i = 0; i < 20; i++)
		admitted += admit_at(&t, "a", now);
	ck_assert_uint_eq(admitted, 5);
	ck_assert_int_eq(refusal.kind, QUOTA_RATE);
	ck_assert_uint_eq(refusal.retry_after_s, 1);
	ck_assert_ptr_eq(refusal.quota, &t.leaf_quota);
	ck_assert(refusal.whom == QUOTA_FOR_ALL);
	/* A tenth of a second makes room for one; not a nanosecond earlier. */
	ck_assert(!admit_at(&t, "a", now + NS_PER_S / 10 - 1));
	ck_assert(admit_at(&t, "a", now + NS_PER_S / 10));
	ck_assert(!admit_at(&t, "a", now + NS_PER_S / 10));
	/* A long pause fills the bucket, and no more than that. */
	now += 3600 * NS_PER_S;
	admitted = 0;
	for (int i = 0; i < 20; i++)
		admitted += admit_at(&t, "a", now);
	ck_assert_uint_eq(admitted, 5);
}
END_TEST

START_TEST(rate_of_zero_admits_nothing)
{
	struct tree t;

	tree_init(&t);
	t.leaf_quota.requests.per_second_milli = 0;
	ck_assert(!admit_at(&t, "a", 1000 * NS_PER_S));
	ck_assert(!admit_at(&t, "a", 100000000 * NS_PER_S));
}
END_TEST

START_TEST(burst_beyond_all_numbers_is_no_overflow)
{
	struct tree t;

	tree_init(&t);
	t.leaf_quota.requests.per_second_milli = 1;
	t.leaf_quota.requests.burst = UINT64_MAX - 1;
	for (int i = 0; i < 1000; i++)
		ck_assert(admit_at(&t, "a", 1000 * NS_PER_S));
}
END_TEST

START_TEST(in_flight_is_given_back)
{
	struct quota_ticket first, second;
	struct tree t;

	tree_init(&t);
	t.leaf_quota.per_user.in_flight = 2;
	ck_assert(admit_at(&t, "a", NS_PER_S));
	first = ticket;
	ck_assert(admit_at(&t, "a", NS_PER_S));
	second = ticket;
	ck_assert(!admit_at(&t, "a", NS_PER_S));
	ck_assert_int_eq(refusal.kind, QUOTA_IN_FLIGHT);
	ck_assert(refusal.whom == QUOTA_FOR_USER);
	ck_assert_uint_eq(refusal.limit, 2);
	ck_assert(admit_at(&t, "b", NS_PER_S)); /* somebody else's is his own */
	quota_release(table, 0, &first);
	quota_release(table, 0, &first); /* twice gives nothing more */
	ck_assert(admit_at(&t, "a", NS_PER_S));
	ck_assert(!admit_at(&t, "a", NS_PER_S));
	quota_release(table, 0, &second);
}
END_TEST

START_TEST(dead_worker_gives_back_what_it_held)
{
	struct quota_ticket lost;
	struct tree t;
	const struct quota_request request = {.level = &t.leaf, .user = STR("a")};

	tree_init(&t);
	t.leaf_quota.requests.in_flight = 2;
	ck_assert(quota_admit(
	    table, 3, &request, (monotime_t){1}, (walltime_t){1}, &lost, &refusal));
	ck_assert(admit_at(&t, "a", 1));
	ck_assert(!admit_at(&t, "a", 1));
	quota_table_worker_reset(table, 3);
	ck_assert(admit_at(&t, "a", 1));
	ck_assert(!admit_at(&t, "a", 1));
}
END_TEST

START_TEST(day_is_utc_and_starts_anew)
{
	const uint64_t day = 86400 * NS_PER_S;
	struct tree t;

	tree_init(&t);
	t.root_quota.requests.per_day = 3;
	for (int i = 0; i < 3; i++)
		ck_assert(admit_at(&t, "a", 20000 * day + day / 2));
	ck_assert(!admit_at(&t, "a", 20001 * day - 1));
	ck_assert_int_eq(refusal.kind, QUOTA_PER_DAY);
	ck_assert_uint_eq(refusal.retry_after_s, 1);
	ck_assert(!admit_at(&t, "a", 20000 * day + day / 2));
	ck_assert_uint_eq(refusal.retry_after_s, 43200);
	ck_assert(admit_at(&t, "a", 20001 * day));
}
END_TEST

START_TEST(refused_request_is_charged_nowhere)
{
	struct tree t;
	unsigned admitted = 0;

	tree_init(&t);
	t.leaf_quota.requests.per_day = 10; /* charged first, from the leaf up */
	t.leaf_quota.requests.in_flight = 8;
	t.root_quota.requests.per_day = 4;
	for (int i = 0; i < 100; i++)
		admitted += admit_at(&t, "a", NS_PER_S);
	ck_assert_uint_eq(admitted, 4);
	ck_assert_ptr_eq(refusal.quota, &t.root_quota);
	/* The leaf has room for six more, once the root has. */
	t.root_quota.requests.per_day = UNSET;
	t.leaf_quota.requests.in_flight = UNSET;
	for (int i = 0; i < 100; i++)
		admitted += admit_at(&t, "a", NS_PER_S);
	ck_assert_uint_eq(admitted, 10);
}
END_TEST

START_TEST(body_limit_is_the_smallest_on_the_path)
{
	struct tree t;

	tree_init(&t);
	t.root_quota.requests.body_bytes = 500;
	t.leaf_quota.per_user.body_bytes = 900;
	ck_assert(admit_at(&t, "a", 1));
	ck_assert_uint_eq(ticket.body_bytes, 500);
	t.root_quota.requests.body_bytes = UNSET;
	ck_assert(admit_at(&t, "a", 1));
	ck_assert_uint_eq(ticket.body_bytes, 900);
}
END_TEST

START_TEST(token_has_a_share_of_its_own)
{
	struct tree t;

	tree_init(&t);
	t.leaf_quota.per_token.per_day = 2;
	token = STR("one");
	ck_assert(admit_at(&t, "a", 1) && admit_at(&t, "a", 1));
	ck_assert(!admit_at(&t, "a", 1));
	ck_assert(refusal.whom == QUOTA_FOR_TOKEN);
	/* Another of the same user; and who comes by certificate has none. */
	token = STR("two");
	ck_assert(admit_at(&t, "a", 1) && admit_at(&t, "a", 1));
	token = STR("");
	for (int i = 0; i < 5; i++)
		ck_assert(admit_at(&t, "a", 1));
	/* A user of a token's name is somebody else. */
	t.leaf_quota.per_user.per_day = 1;
	ck_assert(admit_at(&t, "one", 1));
}
END_TEST

START_TEST(use_is_counted_for_each_document)
{
	struct quota_ticket held;
	struct quota_use use;
	struct tree t;

	tree_init(&t);
	t.root_quota.requests.in_flight = 10;
	t.root_quota.requests.per_day = 10;
	t.leaf_quota.requests.in_flight = 2;
	ck_assert(admit_at(&t, "a", 1) && admit_at(&t, "b", 1));
	held = ticket;
	ck_assert(!admit_at(&t, "a", 1) && !admit_at(&t, "a", 1));
	quota_use(table, &t.leaf_quota, (walltime_t){1}, &use);
	ck_assert_uint_eq(use.admitted, 2);
	ck_assert_uint_eq(use.refused, 2);
	ck_assert_uint_eq(use.in_flight, 2);
	quota_use(table, &t.root_quota, (walltime_t){1}, &use);
	ck_assert_uint_eq(use.admitted, 2);
	ck_assert_uint_eq(use.refused, 0); /* it was not its limit */
	ck_assert_uint_eq(use.today, 2);
	quota_release(table, 0, &held);
	quota_use(table, &t.root_quota, (walltime_t){1}, &use);
	ck_assert_uint_eq(use.in_flight, 1);
}
END_TEST

START_TEST(day_survives_and_damage_is_noticed)
{
	const int64_t day = 86400ll * (int64_t)NS_PER_S;
	const walltime_t today = {20000 * day + 5};
	struct buf bytes = {NULL, 0, 0};
	struct tree t;

	tree_init(&t);
	t.leaf_quota.requests.per_day = 3;
	t.leaf_quota.per_user.per_day = 2;
	ck_assert(admit_at(&t, "a", (uint64_t)today.ns));
	ck_assert(admit_at(&t, "a", (uint64_t)today.ns));
	quota_days_encode(table, today, &bytes);
	quota_table_init(table);
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.data[i] ^= 1;
		ck_assert(
		    !quota_days_decode(table, buf_str(&bytes), (monotime_t){1}, today));
		bytes.data[i] ^= 1;
		ck_assert(!quota_days_decode(
		    table, str_slice(buf_str(&bytes), 0, i), (monotime_t){1}, today));
	}
	/* Tomorrow it is nothing, today it is what it was. */
	ck_assert(quota_days_decode(
	    table, buf_str(&bytes), (monotime_t){1}, (walltime_t){today.ns + day}));
	ck_assert(quota_days_decode(table, buf_str(&bytes), (monotime_t){1}, today));
	ck_assert(!admit_at(&t, "a", (uint64_t)today.ns));
	ck_assert(admit_at(&t, "b", (uint64_t)today.ns));
	ck_assert(!admit_at(&t, "b", (uint64_t)today.ns));
	buf_free(&bytes);
}
END_TEST

START_TEST(old_users_make_room_for_new_ones)
{
	struct tree t;
	char user[32];
	uint64_t now = NS_PER_S;

	tree_init(&t);
	t.leaf_quota.per_user.per_day = 5;
	for (unsigned day = 0; day < 6; day++) {
		unsigned admitted = 0;

		for (unsigned i = 0; i < 10000; i++) {
			(void)snprintf(user, sizeof(user), "u%u-%u", day, i);
			admitted += admit_at(&t, user, now);
		}
		ck_assert_uint_ge(admitted, 9990);
		now += 86400 * NS_PER_S;
	}
}
END_TEST

/* ---- against the model ---- */

/* A token bucket with exact fractions. */
struct model_bucket {
	uint64_t rate_milli, burst;
	uint64_t level_units; /* tokens, in units of 1e-12 */
	uint64_t last_ns;
};

static void
bucket_fill(struct model_bucket *b, uint64_t now)
{
	/* rate_milli tokens in 1000 s = rate_milli / 1e12 a nanosecond */
	const uint64_t full = b->burst * 1000000000000ull;
	const uint64_t level = b->level_units + (now - b->last_ns) * b->rate_milli;

	b->level_units = level < full ? level : full;
	b->last_ns = now;
}

START_TEST(rates_agree_with_a_token_bucket)
{
	/* Rates whose interval is whole nanoseconds, so that both are exact. */
	static const uint64_t rates[] = {1000, 2000, 5000, 500, 100, 8000};
	struct model_bucket buckets[2];
	uint64_t now = 1000 * NS_PER_S;
	struct tree t;

	srand((unsigned)_i + 1);
	tree_init(&t);
	for (int i = 0; i < 2; i++) {
		buckets[i].rate_milli = rates[rand() % 6];
		buckets[i].burst = (uint64_t)(rand() % 6) + 1;
		buckets[i].level_units = buckets[i].burst * 1000000000000ull;
		buckets[i].last_ns = now;
	}
	t.leaf_quota.requests.per_second_milli = buckets[0].rate_milli;
	t.leaf_quota.requests.burst = buckets[0].burst;
	t.root_quota.per_user.per_second_milli = buckets[1].rate_milli;
	t.root_quota.per_user.burst = buckets[1].burst;
	for (int step = 0; step < 3000; step++) {
		bool expected;

		/* sixteenths of a second */
		now += (uint64_t)(rand() & 7) * UINT64_C(62500000);
		bucket_fill(&buckets[0], now);
		bucket_fill(&buckets[1], now);
		expected = buckets[0].level_units >= 1000000000000ull &&
			   buckets[1].level_units >= 1000000000000ull;
		ck_assert_msg(admit_at(&t, "a", now) == expected, "seed %d step %d",
		    _i + 1, step);
		if (expected) {
			buckets[0].level_units -= 1000000000000ull;
			buckets[1].level_units -= 1000000000000ull;
		}
	}
}
END_TEST

/* ---- many processes ---- */

#define PROCESSES 8
#define TURNS     40000

static void
race_child(unsigned worker, const struct tree *t, _Atomic uint64_t *counts)
{
	const struct quota_request request = {.level = &t->leaf, .user = STR("a")};
	const bool holds = t->leaf_quota.requests.in_flight != UNSET;
	uint64_t admitted = 0;

	while (counts[3] == 0) /* all at once */
		;
	for (int i = 0; i < TURNS; i++) {
		uint64_t now;

		if (!quota_admit(table, worker, &request, (monotime_t){5 * NS_PER_S},
			(walltime_t){5}, &ticket, &refusal))
			continue;
		admitted++;
		if (!holds)
			continue;
		now = ++counts[1]; /* in flight now */
		if (now > counts[2])
			counts[2] = now;
		counts[1]--;
		quota_release(table, worker, &ticket);
	}
	counts[0] += admitted;
	_exit(0);
}

static void
race(const struct tree *t, _Atomic uint64_t *counts)
{
	pid_t pids[PROCESSES];

	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			race_child(i, t, counts);
	}
	counts[3] = 1;
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(status, 0);
	}
}

/* Nothing but the counter: as many at once as there can be. */
START_TEST(one_counter_is_exact)
{
	void *memory =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_Atomic uint64_t *counts = memory;
	struct tree t;

	tree_init(&t);
	if (_i == 0)
		t.root_quota.requests.per_day = 100000;
	else {
		t.root_quota.requests.per_second_milli = 1;
		t.root_quota.requests.burst = 100000;
	}
	race(&t, counts);
	ck_assert_uint_eq(counts[0], 100000);
	ck_assert_int_eq(munmap(memory, 4096), 0);
}
END_TEST

START_TEST(processes_together_never_exceed_a_limit)
{
	void *memory =
	    mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_Atomic uint64_t *counts = memory;
	struct tree t;

	tree_init(&t);
	t.leaf_quota.requests.in_flight = 3;
	t.leaf_quota.per_user.per_second_milli = 1000;
	t.leaf_quota.per_user.burst = 7000;
	t.root_quota.requests.per_day = 5000;
	race(&t, counts);
	/* With 160,000 tries for 5,000 places every place is taken, and none twice. */
	ck_assert_uint_eq(counts[0], 5000);
	ck_assert_uint_le(counts[2], 3);
	/* Nothing is held any more. */
	t.root_quota.requests.per_day = UNSET;
	t.leaf_quota.per_user.per_second_milli = UNSET;
	for (int i = 0; i < 3; i++)
		ck_assert(admit_at(&t, "a", 6 * NS_PER_S));
	ck_assert(!admit_at(&t, "a", 6 * NS_PER_S));
	ck_assert_int_eq(munmap(memory, 4096), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("quota");
	TCase *tc = tcase_create("quota");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, rate_admits_the_burst_then_the_rate);
	tcase_add_test(tc, rate_of_zero_admits_nothing);
	tcase_add_test(tc, burst_beyond_all_numbers_is_no_overflow);
	tcase_add_test(tc, in_flight_is_given_back);
	tcase_add_test(tc, dead_worker_gives_back_what_it_held);
	tcase_add_test(tc, day_is_utc_and_starts_anew);
	tcase_add_test(tc, refused_request_is_charged_nowhere);
	tcase_add_test(tc, body_limit_is_the_smallest_on_the_path);
	tcase_add_test(tc, token_has_a_share_of_its_own);
	tcase_add_test(tc, use_is_counted_for_each_document);
	tcase_add_test(tc, day_survives_and_damage_is_noticed);
	tcase_add_test(tc, old_users_make_room_for_new_ones);
	tcase_add_loop_test(tc, rates_agree_with_a_token_bucket, 0, 30);
	tcase_add_loop_test(tc, one_counter_is_exact, 0, 2);
	tcase_add_test(tc, processes_together_never_exceed_a_limit);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
