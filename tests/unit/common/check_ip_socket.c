#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/ip_socket.h"

static struct ip_addr
addr_of(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

static const char *const texts[] = {"192.0.2.7", "0.0.0.0", "2001:db8::7", "::"};

START_TEST(address_and_port_come_back)
{
	struct ip_addr addr = addr_of(texts[_i]), back;
	union ip_socket place;
	socklen_t len = ip_to_socket(&addr, 0x1234, &place);
	uint16_t port = 0;

	ck_assert_int_eq(place.any.sa_family, ip_socket_family(addr.family));
	ck_assert_uint_eq(len, addr.family == IP_V6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in));
	ck_assert(ip_from_socket(&place.any, &back, &port));
	ck_assert(ip_eq(&addr, &back));
	ck_assert_uint_eq(port, 0x1234);
	ck_assert(ip_from_socket(&place.any, &back, NULL));
}
END_TEST

/* As the kernel's own functions write them. */
START_TEST(bytes_are_where_sockets_have_them)
{
	struct ip_addr four = addr_of("192.0.2.7"), six = addr_of("2001:db8::7");
	union ip_socket place;
	struct in6_addr in6;
	struct in_addr in;

	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.7", &in), 1);
	ck_assert_int_eq(inet_pton(AF_INET6, "2001:db8::7", &in6), 1);
	ck_assert_uint_eq(ip_to_socket(&four, 443, &place), sizeof(place.v4));
	ck_assert_mem_eq(&place.v4.sin_addr, &in, sizeof(in));
	ck_assert_uint_eq(place.v4.sin_port, htons(443));
	ck_assert_uint_eq(ip_to_socket(&six, 443, &place), sizeof(place.v6));
	ck_assert_mem_eq(&place.v6.sin6_addr, &in6, sizeof(in6));
	ck_assert_uint_eq(place.v6.sin6_port, htons(443));
}
END_TEST

START_TEST(mapped_address_is_ipv4)
{
	union ip_socket place = {.v6 = {.sin6_family = AF_INET6}};
	struct ip_addr addr, four = addr_of("192.0.2.7");

	ck_assert_int_eq(
	    inet_pton(AF_INET6, "::ffff:192.0.2.7", &place.v6.sin6_addr), 1);
	ck_assert(ip_from_socket(&place.any, &addr, NULL));
	ck_assert(ip_eq(&addr, &four));
}
END_TEST

START_TEST(other_families_are_no_address)
{
	const union ip_socket place = {.any = {.sa_family = AF_UNIX}};
	struct ip_addr addr;

	ck_assert(!ip_from_socket(&place.any, &addr, NULL));
	ck_assert(!ip_from_socket(NULL, &addr, NULL));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ip_socket");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, address_and_port_come_back, 0, sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(tc, bytes_are_where_sockets_have_them);
	tcase_add_test(tc, mapped_address_is_ipv4);
	tcase_add_test(tc, other_families_are_no_address);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
