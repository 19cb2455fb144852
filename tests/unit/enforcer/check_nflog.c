/*
 * Logged packets: bytes as the kernel sends them, written by hand from the headers of the
 * protocols.
 */
#include "enforcer/kernel/nflog.h"

#include <arpa/inet.h>
#include <check.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES 4096

static struct nflog_packet seen[8];
static size_t seen_count;

static void
see(void *arg, const struct nflog_packet *packet)
{
	(void)arg;
	ck_assert_uint_lt(seen_count, 8);
	seen[seen_count++] = *packet;
}

static void
setup(void)
{
	seen_count = 0;
}

/* 10.0.0.1:1234 -> 10.0.0.2:80, TCP */
static const uint8_t tcp4[] = {0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1,
    10, 0, 0, 2, 0x04, 0xd2, 0, 80, 0, 0, 0, 0};
/* fd00::1 port 53 -> fd00::2 port 5353, UDP */
static const uint8_t udp6[] = {0x60, 0, 0, 0, 0, 8, 17, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 53,
    0x14, 0xe9, 0, 8, 0, 0};

static bool
parse(const uint8_t *data, size_t len, struct nflog_packet *out)
{
	*out = (struct nflog_packet){.number = 1};
	return nflog_parse_ip(data, len, out);
}

START_TEST(ipv4_gives_addresses_protocol_and_ports)
{
	struct nflog_packet p;

	ck_assert(parse(tcp4, sizeof(tcp4), &p));
	ck_assert_int_eq(p.src.family, IP_V4);
	ck_assert_mem_eq(p.src.bytes, "\x0a\x00\x00\x01", 4);
	ck_assert_mem_eq(p.dst.bytes, "\x0a\x00\x00\x02", 4);
	ck_assert_uint_eq(p.proto, 6);
	ck_assert(p.has_ports);
	ck_assert_uint_eq(p.src_port, 1234);
	ck_assert_uint_eq(p.dst_port, 80);
}
END_TEST

START_TEST(ipv4_options_are_skipped)
{
	uint8_t data[32] = {0};
	struct nflog_packet p;

	memcpy(data, tcp4, 20);
	data[0] = 0x46;
	memcpy(data + 24, tcp4 + 20, 8);
	ck_assert(parse(data, sizeof(data), &p));
	ck_assert_uint_eq(p.dst_port, 80);
}
END_TEST

START_TEST(later_fragment_has_no_ports)
{
	uint8_t data[sizeof(tcp4)];
	struct nflog_packet p;

	memcpy(data, tcp4, sizeof(data));
	data[6] = 0x20; /* more fragments, offset 5 */
	data[7] = 5;
	ck_assert(parse(data, sizeof(data), &p));
	ck_assert_uint_eq(p.proto, 6);
	ck_assert(!p.has_ports);
}
END_TEST

START_TEST(icmp_has_no_ports)
{
	uint8_t data[sizeof(tcp4)];
	struct nflog_packet p;

	memcpy(data, tcp4, sizeof(data));
	data[9] = 1;
	ck_assert(parse(data, sizeof(data), &p));
	ck_assert_uint_eq(p.proto, 1);
	ck_assert(!p.has_ports);
}
END_TEST

START_TEST(ipv6_gives_addresses_protocol_and_ports)
{
	struct nflog_packet p;

	ck_assert(parse(udp6, sizeof(udp6), &p));
	ck_assert_int_eq(p.dst.family, IP_V6);
	ck_assert_mem_eq(p.src.bytes, udp6 + 8, 16);
	ck_assert_mem_eq(p.dst.bytes, udp6 + 24, 16);
	ck_assert_uint_eq(p.proto, 17);
	ck_assert_uint_eq(p.src_port, 53);
	ck_assert_uint_eq(p.dst_port, 5353);
}
END_TEST

/* Each is one extension header (next header: UDP) before the UDP header. */
static const struct {
	uint8_t kind;
	uint8_t bytes[24];
	size_t len;
	bool ports;
} extensions[] = {
    {0, {17, 0}, 8, true},            /* hop by hop */
    {43, {17, 2}, 24, true},          /* routing */
    {60, {17, 1}, 16, true},          /* destination options */
    {44, {17, 0, 0, 1}, 8, true},     /* first fragment */
    {44, {17, 0, 0, 0x09}, 8, false}, /* a later one */
    {51, {17, 4}, 24, true},          /* authentication */
};

START_TEST(ipv6_extensions_are_skipped)
{
	uint8_t data[sizeof(udp6) + 24] = {0};
	size_t len = extensions[_i].len;
	struct nflog_packet p;

	memcpy(data, udp6, 40);
	data[6] = extensions[_i].kind;
	memcpy(data + 40, extensions[_i].bytes, len);
	memcpy(data + 40 + len, udp6 + 40, 8);
	ck_assert(parse(data, 48 + len, &p));
	ck_assert_uint_eq(p.proto, 17);
	ck_assert_int_eq(p.has_ports, extensions[_i].ports);
	if (p.has_ports)
		ck_assert_uint_eq(p.dst_port, 5353);
}
END_TEST

START_TEST(packet_cut_anywhere_is_no_crash_and_no_invention)
{
	struct nflog_packet p;

	for (size_t len = 0; len < sizeof(tcp4); len++) {
		uint8_t *cut = malloc(len + 1); /* so that ASan sees the end */

		ck_assert_ptr_nonnull(cut);
		memcpy(cut, tcp4, len);
		ck_assert_int_eq(parse(cut, len, &p), len >= 20);
		ck_assert(!p.has_ports || len >= 24);
		free(cut);
	}
	for (size_t len = 0; len < sizeof(udp6); len++) {
		uint8_t *cut = malloc(len + 1);

		ck_assert_ptr_nonnull(cut);
		memcpy(cut, udp6, len);
		ck_assert_int_eq(parse(cut, len, &p), len >= 40);
		ck_assert(!p.has_ports || len >= 44);
		free(cut);
	}
}
END_TEST

START_TEST(what_is_no_ip_is_refused)
{
	uint8_t data[64] = {0};
	struct nflog_packet p;

	for (unsigned version = 0; version < 16; version++) {
		data[0] = (uint8_t)(version << 4 | 5);
		ck_assert_int_eq(
		    parse(data, sizeof(data), &p), version == 4 || version == 6);
	}
	data[0] = 0x44; /* a header of 16 bytes */
	ck_assert(!parse(data, sizeof(data), &p));
}
END_TEST

/* ---- messages ---- */

static size_t
put_message(uint8_t *at, const char *prefix, const uint8_t *payload, size_t len,
    bool with_seq, uint32_t seq)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(at);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));

	header->nlmsg_type = (NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET;
	nfg->res_id = htons(100);
	mnl_attr_put_u32(header, NFULA_IFINDEX_INDEV, htonl(3));
	if (prefix != NULL)
		mnl_attr_put_strz(header, NFULA_PREFIX, prefix);
	if (with_seq)
		mnl_attr_put_u32(header, NFULA_SEQ, htonl(seq));
	if (payload != NULL)
		mnl_attr_put(header, NFULA_PAYLOAD, len, payload);
	return NLMSG_ALIGN(header->nlmsg_len);
}

START_TEST(messages_give_rule_packet_and_sequence)
{
	_Alignas(8) uint8_t data[MOST_BYTES] = {0};
	size_t len = put_message(data, "4711", tcp4, sizeof(tcp4), true, 7);

	len += put_message(data + len, "4294967295", udp6, sizeof(udp6), false, 0);
	ck_assert_uint_eq(nflog_read(data, len, see, NULL), 0);
	ck_assert_uint_eq(seen_count, 2);
	ck_assert_uint_eq(seen[0].number, 4711);
	ck_assert(seen[0].has_seq);
	ck_assert_uint_eq(seen[0].seq, 7);
	ck_assert_uint_eq(seen[0].dst_port, 80);
	ck_assert_uint_eq(seen[1].number, 4294967295u);
	ck_assert(!seen[1].has_seq);
}
END_TEST

/* Prefixes that are no number of ours: other rules may log to the group too. */
static const char *const foreign[] = {
    NULL, "", "dropped: ", "12x", "-1", "4294967296", " 5", "05"};

START_TEST(message_of_another_is_counted_and_left_alone)
{
	_Alignas(8) uint8_t data[MOST_BYTES] = {0};
	size_t len = put_message(data, foreign[_i], tcp4, sizeof(tcp4), true, 1);

	ck_assert_uint_eq(nflog_read(data, len, see, NULL), 1);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(message_without_packet_is_counted)
{
	_Alignas(8) uint8_t data[MOST_BYTES] = {0};
	size_t len = put_message(data, "5", NULL, 0, true, 1);

	ck_assert_uint_eq(nflog_read(data, len, see, NULL), 1);
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(messages_cut_anywhere_are_no_crash)
{
	_Alignas(8) uint8_t data[MOST_BYTES] = {0};
	size_t len = put_message(data, "4711", tcp4, sizeof(tcp4), true, 7);

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut + 1);

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, data, cut);
		(void)!nflog_read(copy, cut, see, NULL);
		free(copy);
	}
	ck_assert_uint_eq(seen_count, 0);
}
END_TEST

START_TEST(message_of_endless_length_is_the_end)
{
	_Alignas(8) uint8_t data[MOST_BYTES] = {0};
	size_t len = put_message(data, "5", tcp4, sizeof(tcp4), true, 1);
	const uint32_t lengths[] = {UINT32_MAX, INT32_MAX, 0x80000000u, MOST_BYTES};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(data, &lengths[i], sizeof(lengths[i]));
		ck_assert_uint_eq(nflog_read(data, len, see, NULL), 0);
		ck_assert_uint_eq(seen_count, 0);
	}
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("nflog");
	TCase *tc = tcase_create("nflog");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, ipv4_gives_addresses_protocol_and_ports);
	tcase_add_test(tc, ipv4_options_are_skipped);
	tcase_add_test(tc, later_fragment_has_no_ports);
	tcase_add_test(tc, icmp_has_no_ports);
	tcase_add_test(tc, ipv6_gives_addresses_protocol_and_ports);
	tcase_add_loop_test(tc, ipv6_extensions_are_skipped, 0,
	    (int)(sizeof(extensions) / sizeof(extensions[0])));
	tcase_add_test(tc, packet_cut_anywhere_is_no_crash_and_no_invention);
	tcase_add_test(tc, what_is_no_ip_is_refused);
	tcase_add_test(tc, messages_give_rule_packet_and_sequence);
	tcase_add_loop_test(tc, message_of_another_is_counted_and_left_alone, 0,
	    (int)(sizeof(foreign) / sizeof(foreign[0])));
	tcase_add_test(tc, message_without_packet_is_counted);
	tcase_add_test(tc, messages_cut_anywhere_are_no_crash);
	tcase_add_test(tc, message_of_endless_length_is_the_end);
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
