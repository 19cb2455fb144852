/* How much of the node's resolver each tenant may have, and each client. */
#include "enforcer/dns/dns_share.h"

#include <check.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)

static const monotime_t start = {SECOND_NS};

static struct ip_addr
client_of(unsigned number)
{
	return (struct ip_addr){
	    IP_V4, {10, 1, (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct dns_share *
share_of(size_t queries, uint32_t rate)
{
	const size_t most[SHARE_COUNT] = {queries, 4};

	return dns_share_new(most, rate);
}

static struct dns_client *
client(struct dns_share *s, unsigned number, const char *name)
{
	struct ip_addr addr = client_of(number);
	bool ask;

	dns_share_tell(s, &addr, str_from(name), start);
	return dns_share_client(s, &addr, start, &ask);
}

static size_t
take_all(struct dns_share *s, struct dns_client *t)
{
	size_t count = 0;

	while (dns_share_take(s, t, SHARE_QUERIES, start))
		count++;
	return count;
}

START_TEST(a_client_that_floods_leaves_as_much_for_its_tenant)
{
	struct dns_share *s = share_of(90, 1000000);

	/* x of 90, where 90 - x are free and as many as x of these are its tenant's still. */
	ck_assert_uint_eq(take_all(s, client(s, 1, "/a")), 30);
	ck_assert_uint_eq(take_all(s, client(s, 2, "/a")), 10);
	ck_assert_uint_eq(take_all(s, client(s, 3, "/b")), 17);
	ck_assert_uint_eq(dns_share_taken(s, SHARE_QUERIES), 57);
	dns_share_free(s);
}
END_TEST

/* However many it has: half is others'. */
START_TEST(a_tenant_that_floods_leaves_as_much_for_others)
{
	struct dns_share *s = share_of(90, 1000000);
	size_t taken = 0;

	for (unsigned i = 0; i < 100; i++)
		taken += take_all(s, client(s, i, "/a"));
	ck_assert_uint_eq(taken, 45);
	for (unsigned i = 100; i < 200; i++)
		taken += take_all(s, client(s, i, "/b"));
	ck_assert_uint_eq(taken, 45 + 23);
	ck_assert_uint_gt(take_all(s, client(s, 200, "/c")), 0);
	dns_share_free(s);
}
END_TEST

/* What was taken before anybody knew whose it is counts for who it turns out to be. */
START_TEST(who_becomes_known_has_what_it_took)
{
	struct dns_share *s = share_of(90, 1000000);
	struct dns_client *one = client(s, 1, ""), *other = client(s, 2, "");

	ck_assert_uint_eq(take_all(s, one), 30);
	ck_assert_ptr_eq(client(s, 1, "/a"), one);
	ck_assert_uint_eq(take_all(s, one), 0);
	ck_assert_uint_eq(take_all(s, other), 20); /* strangers have none now */
	ck_assert_ptr_eq(client(s, 2, "/a"), other);
	ck_assert_uint_eq(take_all(s, client(s, 3, "/a")), 0);
	/* And gives it back as such. */
	for (unsigned i = 0; i < 30; i++)
		dns_share_give(s, one, SHARE_QUERIES);
	for (unsigned i = 0; i < 20; i++)
		dns_share_give(s, other, SHARE_QUERIES);
	ck_assert_uint_eq(dns_share_taken(s, SHARE_QUERIES), 0);
	ck_assert_uint_eq(take_all(s, client(s, 3, "/a")), 30);
	dns_share_free(s);
}
END_TEST

START_TEST(what_is_given_back_is_free)
{
	struct dns_share *s = share_of(9, 1000000);
	struct dns_client *c = client(s, 1, "/a");

	ck_assert_uint_eq(take_all(s, c), 3);
	dns_share_give(s, c, SHARE_QUERIES);
	ck_assert_uint_eq(take_all(s, c), 1);
	/* Of another kind there are others. */
	ck_assert(dns_share_take(s, c, SHARE_CONNECTIONS, start));
	ck_assert(dns_share_take(s, c, SHARE_CONNECTIONS, start));
	ck_assert(!dns_share_take(s, c, SHARE_CONNECTIONS, start));
	dns_share_free(s);
}
END_TEST

static size_t
take_and_give(struct dns_share *s, struct dns_client *t, monotime_t now)
{
	size_t count = 0;

	for (; dns_share_take(s, t, SHARE_QUERIES, now); count++)
		dns_share_give(s, t, SHARE_QUERIES);
	return count;
}

START_TEST(so_many_in_a_second)
{
	struct dns_share *s = share_of(90, 10);
	struct dns_client *c = client(s, 1, "/a"), *d = client(s, 2, "/a");
	const monotime_t half = {start.ns + SECOND_NS / 2};
	const monotime_t much = {start.ns + 100 * SECOND_NS};

	/* A client half of what its tenant may. */
	ck_assert_uint_eq(take_and_give(s, c, start), 5);
	ck_assert_uint_eq(take_and_give(s, d, start), 5);
	ck_assert_uint_eq(take_and_give(s, client(s, 3, "/a"), start), 0);
	ck_assert_uint_eq(take_and_give(s, c, half), 2);
	ck_assert_uint_eq(take_and_give(s, client(s, 4, "/b"), half), 5);
	ck_assert_uint_eq(take_and_give(s, c, much), 5);
	dns_share_free(s);
}
END_TEST

START_TEST(whose_an_address_is_is_asked_now_and_then)
{
	struct dns_share *s = share_of(90, 10);
	struct ip_addr addr = client_of(1), other = client_of(2);
	const monotime_t soon = {start.ns + SECOND_NS - 1};
	const monotime_t later = {start.ns + SECOND_NS};
	const monotime_t last = {start.ns + 11 * SECOND_NS};
	struct dns_client *c;
	bool ask;

	c = dns_share_client(s, &addr, start, &ask);
	ck_assert(ask);
	ck_assert_ptr_eq(dns_share_client(s, &addr, soon, &ask), c);
	ck_assert(!ask);
	ck_assert_ptr_ne(dns_share_client(s, &other, soon, &ask), c);
	ck_assert(ask);
	ck_assert_ptr_eq(dns_share_client(s, &addr, later, &ask), c);
	ck_assert(ask);
	dns_share_tell(s, &addr, STR("/a"), later);
	ck_assert_ptr_eq(dns_share_client(s, &addr, later, &ask), c);
	ck_assert(!ask);
	ck_assert_ptr_eq(dns_share_client(s, &addr, last, &ask), c);
	ck_assert(ask);
	dns_share_free(s);
}
END_TEST

/* More addresses than are kept: what is taken stays so, and so does what was asked of late. */
START_TEST(many_addresses_are_forgotten)
{
	struct dns_share *s = share_of(9, 10);
	struct dns_client *c = client(s, 1, "/a");
	bool ask;

	ck_assert_uint_eq(take_all(s, c), 3);
	ck_assert_uint_eq(take_and_give(s, client(s, 2, "/b"), start), 5);
	ck_assert_uint_eq(take_and_give(s, client(s, 3, "/b"), start), 5);
	for (unsigned i = 4; i < 10000; i++) {
		struct ip_addr addr = client_of(i);

		ck_assert_ptr_nonnull(dns_share_client(s, &addr, start, &ask));
	}
	ck_assert_ptr_eq(client(s, 1, "/a"), c);
	ck_assert_uint_eq(take_all(s, c), 0);
	ck_assert_uint_eq(take_and_give(s, client(s, 2, "/b"), start), 0);
	dns_share_free(s);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("dns_share");
	TCase *tcase = tcase_create("dns_share");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, a_client_that_floods_leaves_as_much_for_its_tenant);
	tcase_add_test(tcase, a_tenant_that_floods_leaves_as_much_for_others);
	tcase_add_test(tcase, who_becomes_known_has_what_it_took);
	tcase_add_test(tcase, what_is_given_back_is_free);
	tcase_add_test(tcase, so_many_in_a_second);
	tcase_add_test(tcase, whose_an_address_is_is_asked_now_and_then);
	tcase_add_test(tcase, many_addresses_are_forgotten);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
