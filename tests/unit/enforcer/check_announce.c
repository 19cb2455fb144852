/*
 * Announcements, byte for byte as RFC 826, 5227 and 4861 have them; checksums over the
 * whole as RFC 1071 says a receiver checks them.
 */
#include "enforcer/steer/announce.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct announce_link link_of_test = {
    .interface = 7, .has_mac = true, .mac = {2, 0, 0, 0xaa, 0xbb, 0xcc}};

static struct ip_addr
address(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

START_TEST(ipv4_is_a_request_of_everyone_for_itself)
{
	static const uint8_t expected[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0xaa,
	    0xbb, 0xcc, 203, 0, 113, 7, 0, 0, 0, 0, 0, 0, 203, 0, 113, 7};
	struct ip_addr addr = address("203.0.113.7");
	uint8_t out[ANNOUNCE_BYTES_MAX];

	ck_assert_uint_eq(announce_packet(&link_of_test, &addr, out), sizeof(expected));
	ck_assert_mem_eq(out, expected, sizeof(expected));
}
END_TEST

START_TEST(ipv6_is_an_advertisement_that_overrides)
{
	struct ip_addr addr = address("2001:db8::7");
	uint8_t out[ANNOUNCE_BYTES_MAX];
	uint32_t sum = 32 + 58; /* the pseudo-header's length and protocol */

	ck_assert_uint_eq(announce_packet(&link_of_test, &addr, out), 72);
	ck_assert_uint_eq(out[0] >> 4, 6);
	ck_assert_uint_eq((unsigned)out[4] << 8 | out[5], 32);
	ck_assert_uint_eq(out[6], 58);
	ck_assert_uint_eq(out[7], 255);
	ck_assert_mem_eq(out + 8, addr.bytes, 16);
	ck_assert_uint_eq(out[40], 136);
	ck_assert_uint_eq(out[44], 0x20);
	ck_assert_mem_eq(out + 48, addr.bytes, 16);
	ck_assert_uint_eq(out[64], 2);
	ck_assert_mem_eq(out + 66, link_of_test.mac, 6);
	for (size_t i = 8; i < 72; i += 2)
		sum += (uint32_t)(out[i] << 8 | out[i + 1]);
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	ck_assert_uint_eq(sum, UINT16_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("announce");
	TCase *tc = tcase_create("packets");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, ipv4_is_a_request_of_everyone_for_itself);
	tcase_add_test(tc, ipv6_is_an_advertisement_that_overrides);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
