#include "common/ip.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct ip_addr
addr(const char *text)
{
	struct ip_addr a;

	ck_assert_msg(ip_parse(str_from(text), &a), "%s", text);
	return a;
}

static struct ip_prefix
prefix(const char *text)
{
	struct ip_prefix p;

	ck_assert_msg(ip_prefix_parse(str_from(text), &p, NULL), "%s", text);
	return p;
}

static const char *
text_of(const struct ip_addr *a)
{
	static char out[IP_TEXT_BYTES];

	return ip_format(a, out);
}

/* Text and its RFC 5952 form; the IPv6 cases are those of RFC 5952 and RFC 4291 2.2. */
static const struct {
	const char *text, *canonical;
} accepted[] = {
    {"0.0.0.0", "0.0.0.0"},
    {"1.2.3.4", "1.2.3.4"},
    {"255.255.255.255", "255.255.255.255"},
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"2001:db8::1", "2001:db8::1"},
    {"2001:0db8:0:0:0:0:0:0001", "2001:db8::1"},
    {"2001:DB8::ABCD", "2001:db8::abcd"},
    {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
    {"2001:db8::0:1", "2001:db8::1"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* one zero: written */
    {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},       /* the longest run */
    {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, /* the first of equals */
    {"ABCD:EF01:2345:6789:ABCD:EF01:2345:6789",
	"abcd:ef01:2345:6789:abcd:ef01:2345:6789"},
    {"ff01::101", "ff01::101"},
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    {"1:0:0:4:5:6:0:0", "1::4:5:6:0:0"},
    {"0:0:0:4:5:6:0:0", "::4:5:6:0:0"},
    {"1:2:0:4:5:6:0:0", "1:2:0:4:5:6::"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"}, /* RFC 6052 2.4 */
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
};

START_TEST(ip_parse_accepts_and_formats_canonically)
{
	struct ip_addr a = addr(accepted[_i].text), again;
	uint8_t reference[16];
	int af = a.family == IP_V4 ? AF_INET : AF_INET6;

	ck_assert_str_eq(text_of(&a), accepted[_i].canonical);
	again = addr(text_of(&a));
	ck_assert(ip_eq(&a, &again));
	ck_assert_int_eq(inet_pton(af, accepted[_i].text, reference), 1);
	ck_assert_mem_eq(a.bytes, reference, ip_bytes(a.family));
}
END_TEST

static const char *const refused[] = {"", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.",
    ".1.2.3", "1..2.3", "1.2.3.04", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ",
    " 1.2.3.4", "1.2.3.4/24", "0x1.2.3.4", "1.2.3.4a", "1,2,3,4", ":",
    ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8",
    "12345::", "g::", "::g", "fe80::1%eth0", "[::1]", "::1/128",
    "1.2.3.4::", "1.2.3.4:1::", "::1.2.3", "::1.2.3.04", "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304",
    "0:0:0:0:0:FFFF:102:304", "::ffff:0:0", "\xd9\xa1.2.3.4"};

START_TEST(ip_parse_refuses)
{
	struct ip_addr a = {.family = IP_V4, .bytes = {9, 9, 9, 9}};

	ck_assert_msg(!ip_parse(str_from(refused[_i]), &a), "%s", refused[_i]);
	ck_assert_str_eq(text_of(&a), "9.9.9.9"); /* untouched */
}
END_TEST

START_TEST(ip_parse_refuses_when_nul_is_inside)
{
	struct ip_addr a;

	ck_assert(!ip_parse((struct str){"1.2.3.4\0", 8}, &a));
	ck_assert(!ip_parse((struct str){NULL, 0}, &a));
}
END_TEST

START_TEST(ip_format_writes_mapped_addresses_dotted)
{
	struct ip_addr a = {.family = IP_V6,
	    .bytes = {
		[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}};

	ck_assert_str_eq(text_of(&a), "::ffff:192.0.2.1"); /* RFC 5952 5 */
}
END_TEST

static const struct {
	const char *text, *canonical;
	bool masked;
} prefixes[] = {
    {"10.0.0.0/8", "10.0.0.0/8", false},
    {"10.1.2.3/8", "10.0.0.0/8", true},
    {"10.0.0.1/24", "10.0.0.0/24", true},
    {"1.2.3.4/0", "0.0.0.0/0", true},
    {"0.0.0.0/0", "0.0.0.0/0", false},
    {"1.2.3.4/32", "1.2.3.4/32", false},
    {"1.2.3.5/31", "1.2.3.4/31", true},
    {"255.255.255.255/25", "255.255.255.128/25", true},
    {"::/0", "::/0", false},
    {"2001:db8::/32", "2001:db8::/32", false},
    {"2001:db8::1/32", "2001:db8::/32", true},
    {"2001:db8:8000::/33", "2001:db8:8000::/33", false},
    {"2001:db8:c000::/33", "2001:db8:8000::/33", true},
    {"ff:ff:ff:ff:ff:ff:ff:ff/128", "ff:ff:ff:ff:ff:ff:ff:ff/128", false},
};

START_TEST(ip_prefix_parse_masks_host_bits)
{
	char out[IP_TEXT_BYTES];
	struct ip_prefix p;
	bool masked = !prefixes[_i].masked;

	ck_assert(ip_prefix_parse(str_from(prefixes[_i].text), &p, &masked));
	ck_assert(masked == prefixes[_i].masked);
	ck_assert_str_eq(ip_prefix_format(&p, out), prefixes[_i].canonical);
}
END_TEST

static const char *const refused_prefixes[] = {"10.0.0.0", "10.0.0.0/", "/8",
    "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
    "10.0.0.0/8 ", "10.0.0/8", "010.0.0.0/8", "::/129",
    "::", "::/ffff::", "::ffff:0:0/96", "10.0.0.0/255.0.0.0", "10.0.0.0/256",
    "10.0.0.0/4294967304"};

START_TEST(ip_prefix_parse_refuses)
{
	struct ip_prefix p;

	ck_assert_msg(!ip_prefix_parse(str_from(refused_prefixes[_i]), &p, NULL), "%s",
	    refused_prefixes[_i]);
}
END_TEST

START_TEST(ip_longest_texts_fit)
{
	char out[IP_TEXT_BYTES];
	struct ip_prefix p = prefix("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");

	ck_assert_uint_eq(strlen(ip_prefix_format(&p, out)), 43);
}
END_TEST

START_TEST(ip_cmp_orders_family_then_number)
{
	static const char *const ascending[] = {
	    "0.0.0.0", "1.2.3.4", "1.2.4.0", "255.0.0.0", "::", "::1", "1::", "ffff::"};

	for (size_t i = 0; i + 1 < ARRAY_LEN(ascending); i++) {
		struct ip_addr a = addr(ascending[i]), b = addr(ascending[i + 1]);

		ck_assert_int_lt(ip_cmp(&a, &b), 0);
		ck_assert_int_gt(ip_cmp(&b, &a), 0);
		ck_assert_int_eq(ip_cmp(&a, &a), 0);
	}
}
END_TEST

static const struct {
	const char *outer, *inner;
	bool covers;
} coverings[] = {
    {"10.0.0.0/8", "10.0.0.0/8", true},
    {"10.0.0.0/8", "10.255.255.255/32", true},
    {"10.0.0.0/8", "11.0.0.0/32", false},
    {"10.0.0.0/8", "10.0.0.0/7", false},
    {"0.0.0.0/0", "1.2.3.4/32", true},
    {"::/0", "1.2.3.4/32", false},
    {"0.0.0.0/0", "::1/128", false},
    {"2001:db8::/33", "2001:db8:7fff::/48", true},
    {"2001:db8::/33", "2001:db8:8000::/48", false},
};

START_TEST(ip_prefix_covers_by_length_and_bits)
{
	struct ip_prefix outer = prefix(coverings[_i].outer);
	struct ip_prefix inner = prefix(coverings[_i].inner);

	ck_assert(ip_prefix_covers(&outer, &inner) == coverings[_i].covers);
	if (coverings[_i].covers)
		ck_assert(ip_in_prefix(&inner.addr, &outer));
}
END_TEST

static const struct {
	const char *prefix, *first, *last;
} ranges[] = {
    {"10.1.2.0/23", "10.1.2.0", "10.1.3.255"},
    {"1.2.3.4/32", "1.2.3.4", "1.2.3.4"},
    {"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
    {"2001:db8::/127", "2001:db8::", "2001:db8::1"},
    {"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
};

START_TEST(ip_prefix_range_gives_both_ends)
{
	struct ip_prefix p = prefix(ranges[_i].prefix);
	struct ip_addr first, last;

	ip_prefix_range(&p, &first, &last);
	ck_assert_str_eq(text_of(&first), ranges[_i].first);
	ck_assert_str_eq(text_of(&last), ranges[_i].last);
}
END_TEST

static const struct {
	const char *before, *after; /* NULL: none */
} neighbours[] = {
    {"1.2.3.4", "1.2.3.5"},
    {"1.2.3.255", "1.2.4.0"},
    {"1.255.255.255", "2.0.0.0"},
    {"255.255.255.255", NULL},
    {NULL, "0.0.0.0"},
    {"::ffff", "::1:0"},
    {"1:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2::"},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
    {NULL, "::"},
};

START_TEST(ip_next_and_prev_step_within_family)
{
	const char *before = neighbours[_i].before, *after = neighbours[_i].after;
	struct ip_addr a, b, out;

	if (before != NULL) {
		a = addr(before);
		ck_assert(ip_next(&a, &out) == (after != NULL));
		if (after != NULL)
			ck_assert_str_eq(text_of(&out), after);
	}
	if (after != NULL) {
		b = addr(after);
		ck_assert(ip_prev(&b, &out) == (before != NULL));
		if (before != NULL)
			ck_assert_str_eq(text_of(&out), before);
	}
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("ip");
	TCase *tc = tcase_create("ip");

	tcase_add_loop_test(
	    tc, ip_parse_accepts_and_formats_canonically, 0, ARRAY_LEN(accepted));
	tcase_add_loop_test(tc, ip_parse_refuses, 0, ARRAY_LEN(refused));
	tcase_add_test(tc, ip_parse_refuses_when_nul_is_inside);
	tcase_add_test(tc, ip_format_writes_mapped_addresses_dotted);
	tcase_add_loop_test(
	    tc, ip_prefix_parse_masks_host_bits, 0, ARRAY_LEN(prefixes));
	tcase_add_loop_test(
	    tc, ip_prefix_parse_refuses, 0, ARRAY_LEN(refused_prefixes));
	tcase_add_test(tc, ip_longest_texts_fit);
	tcase_add_test(tc, ip_cmp_orders_family_then_number);
	tcase_add_loop_test(
	    tc, ip_prefix_covers_by_length_and_bits, 0, ARRAY_LEN(coverings));
	tcase_add_loop_test(tc, ip_prefix_range_gives_both_ends, 0, ARRAY_LEN(ranges));
	tcase_add_loop_test(
	    tc, ip_next_and_prev_step_within_family, 0, ARRAY_LEN(neighbours));
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
