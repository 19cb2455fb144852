/* How much of the node's resolver each tenant may have. */
#include "enforcer/dns_share.h"

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

static struct dns_tenant *
tenant(struct dns_share *s, unsigned client, const char *name)
{
	struct ip_addr addr = client_of(client);
	bool ask;

	dns_share_tell(s, &addr, str_from(name), start);
	return dns_share_tenant(s, &addr, start, &ask);
}

static size_t
take_all(struct dns_share *s, struct dns_tenant *t)
{
	size_t count = 0;

	while (dns_share_take(s, t, SHARE_QUERIES, start))
		count++;
	return count;
}

START_TEST(one_that_floods_leaves_as_much_for_others)
{
	struct dns_share *s = share_of(90, 1000000);

	ck_assert_uint_eq(take_all(s, tenant(s, 1, "/a")), 45);
	/* So does the next, of what is left; by whichever of its addresses. */
	ck_assert_uint_eq(take_all(s, tenant(s, 2, "/b")), 23);
	ck_assert_uint_eq(take_all(s, tenant(s, 3, "/b")), 0);
	ck_assert_uint_eq(take_all(s, tenant(s, 4, "/c")), 11);
	ck_assert_uint_eq(dns_share_taken(s, SHARE_QUERIES), 79);
	dns_share_free(s);
}
END_TEST

START_TEST(what_is_given_back_is_free)
{
	struct dns_share *s = share_of(8, 1000000);
	struct dns_tenant *t = tenant(s, 1, "/a");

	ck_assert_uint_eq(take_all(s, t), 4);
	dns_share_give(s, t, SHARE_QUERIES);
	ck_assert_uint_eq(take_all(s, t), 1);
	/* Of another kind there are others. */
	ck_assert(dns_share_take(s, t, SHARE_CONNECTIONS, start));
	ck_assert(dns_share_take(s, t, SHARE_CONNECTIONS, start));
	ck_assert(!dns_share_take(s, t, SHARE_CONNECTIONS, start));
	dns_share_free(s);
}
END_TEST

static size_t
take_and_give(struct dns_share *s, struct dns_tenant *t, monotime_t now)
{
	size_t count = 0;

	for (; dns_share_take(s, t, SHARE_QUERIES, now); count++)
		dns_share_give(s, t, SHARE_QUERIES);
	return count;
}

START_TEST(so_many_in_a_second)
{
	struct dns_share *s = share_of(90, 10);
	struct dns_tenant *t = tenant(s, 1, "/a");
	const monotime_t half = {start.ns + SECOND_NS / 2};
	const monotime_t much = {start.ns + 100 * SECOND_NS};

	ck_assert_uint_eq(take_and_give(s, t, start), 10);
	ck_assert_uint_eq(take_and_give(s, t, half), 5);
	ck_assert_uint_eq(take_and_give(s, tenant(s, 2, "/b"), half), 10);
	ck_assert_uint_eq(take_and_give(s, t, much), 10);
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
	struct dns_tenant *strangers;
	bool ask;

	strangers = dns_share_tenant(s, &addr, start, &ask);
	ck_assert(ask);
	ck_assert_ptr_eq(dns_share_tenant(s, &addr, soon, &ask), strangers);
	ck_assert(!ask);
	ck_assert_ptr_eq(dns_share_tenant(s, &other, soon, &ask), strangers);
	ck_assert(ask);
	ck_assert_ptr_eq(dns_share_tenant(s, &addr, later, &ask), strangers);
	ck_assert(ask);
	dns_share_tell(s, &addr, STR("/a"), later);
	ck_assert_ptr_ne(dns_share_tenant(s, &addr, later, &ask), strangers);
	ck_assert(!ask);
	ck_assert_ptr_ne(dns_share_tenant(s, &addr, last, &ask), strangers);
	ck_assert(ask);
	dns_share_free(s);
}
END_TEST

/* More addresses than are kept: what is taken stays so. */
START_TEST(many_addresses_are_forgotten)
{
	struct dns_share *s = share_of(8, 1000000);
	struct dns_tenant *t = tenant(s, 1, "/a");
	bool ask;

	ck_assert_uint_eq(take_all(s, t), 4);
	for (unsigned i = 0; i < 10000; i++) {
		struct ip_addr addr = client_of(i);

		ck_assert_ptr_nonnull(dns_share_tenant(s, &addr, start, &ask));
	}
	ck_assert_ptr_eq(tenant(s, 1, "/a"), t);
	ck_assert_uint_eq(take_all(s, t), 0);
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

	tcase_add_test(tcase, one_that_floods_leaves_as_much_for_others);
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
