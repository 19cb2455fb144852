/* DNS answers: messages are made here byte by byte. */
#include "common/dns.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct message {
	uint8_t bytes[4096];
	size_t size;
};

static void
put16(struct message *m, unsigned value)
{
	m->bytes[m->size++] = (uint8_t)(value >> 8);
	m->bytes[m->size++] = (uint8_t)value;
}

/* "www.example.org" as labels; "@N" at its end: a pointer to offset N. */
static void
put_name(struct message *m, const char *text)
{
	while (*text != '\0' && *text != '@') {
		size_t len = strcspn(text, ".@");

		m->bytes[m->size++] = (uint8_t)len;
		memcpy(m->bytes + m->size, text, len);
		m->size += len;
		text += len + (text[len] == '.');
	}
	if (*text == '@')
		put16(m, 0xc000u | (unsigned)strtoul(text + 1, NULL, 10));
	else
		m->bytes[m->size++] = 0;
}

static struct message
answer_to(const char *name, unsigned type, unsigned flags, unsigned answers)
{
	struct message m = {.size = 0};

	put16(&m, 0x1234);
	put16(&m, flags);
	put16(&m, 1);
	put16(&m, answers);
	put16(&m, 0);
	put16(&m, 0);
	put_name(&m, name);
	put16(&m, type);
	put16(&m, 1);
	return m;
}

static void
put_head(struct message *m, const char *owner, unsigned type, unsigned ttl, size_t len)
{
	put_name(m, owner);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, (unsigned)len);
}

static void
put_address(struct message *m, const char *owner, unsigned ttl, const char *text)
{
	struct ip_addr addr;
	size_t len;

	ck_assert(ip_parse(str_from(text), &addr));
	len = ip_bytes(addr.family);
	put_head(m, owner, addr.family == IP_V4 ? DNS_A : DNS_AAAA, ttl, len);
	memcpy(m->bytes + m->size, addr.bytes, len);
	m->size += len;
}

static void
put_alias(struct message *m, const char *owner, unsigned ttl, const char *target)
{
	struct message name = {.size = 0};

	put_name(&name, target);
	put_head(m, owner, DNS_CNAME, ttl, name.size);
	memcpy(m->bytes + m->size, name.bytes, name.size);
	m->size += name.size;
}

/* In memory of its own size, for the sanitizer to guard. */
static enum dns_result
read_message(const struct message *m, size_t size, struct dns_answer *out)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);
	enum dns_result result;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, m->bytes, size);
	memset(out, 0xa5, sizeof(*out));
	result = dns_read(copy, size, out);
	free(copy);
	return result;
}

static struct dns_answer
read_ok(const struct message *m)
{
	struct dns_answer out;

	ck_assert_int_eq(read_message(m, m->size, &out), DNS_ANSWERED);
	return out;
}

static void
assert_address(const struct dns_answer *a, size_t i, const char *text, unsigned ttl_s)
{
	char got[IP_TEXT_BYTES];

	ck_assert_uint_lt(i, a->address_count);
	ck_assert_str_eq(ip_format(&a->addresses[i].addr, got), text);
	ck_assert_uint_eq(a->addresses[i].ttl_s, ttl_s);
}

#define QUESTION "@12" /* where the name asked for stands */

START_TEST(addresses_are_read)
{
	struct message m = answer_to("WWW.Example.org", DNS_A, 0x8180, 3);
	struct dns_answer a;

	put_address(&m, QUESTION, 300, "192.0.2.1");
	put_address(&m, "www.example.ORG", 200, "192.0.2.2");
	put_address(&m, QUESTION, 100, "192.0.2.1"); /* again */
	a = read_ok(&m);
	ck_assert_uint_eq(a.id, 0x1234);
	ck_assert_str_eq(a.name, "www.example.org");
	ck_assert_uint_eq(a.address_count, 2);
	assert_address(&a, 0, "192.0.2.1", 300);
	assert_address(&a, 1, "192.0.2.2", 200);
	m = answer_to("v6.example", DNS_AAAA, 0x8180, 1);
	put_address(&m, QUESTION, 5, "2001:db8::7");
	a = read_ok(&m);
	assert_address(&a, 0, "2001:db8::7", 5);
}
END_TEST

/* In whatever order; the least TTL on the way counts. */
START_TEST(aliases_are_followed)
{
	struct message m = answer_to("a.example", DNS_A, 0x8180, 4);
	struct dns_answer a;

	put_address(&m, "c.example", 300, "192.0.2.1");
	put_alias(&m, "b.example", 50, "c.example");
	put_alias(&m, QUESTION, 100, "b.example");
	put_address(&m, "c.example", 20, "192.0.2.2");
	a = read_ok(&m);
	ck_assert_str_eq(a.name, "a.example");
	assert_address(&a, 0, "192.0.2.1", 50);
	assert_address(&a, 1, "192.0.2.2", 20);
	ck_assert_uint_eq(a.address_count, 2);
}
END_TEST

/* What nobody asked about is not believed, wherever it stands. */
START_TEST(other_names_are_not_believed)
{
	struct message m = answer_to("a.example", DNS_A, 0x8180, 2);
	struct dns_answer a;

	put_address(&m, "bank.example", 300, "192.0.2.66");
	put_address(&m, QUESTION, 300, "192.0.2.1");
	m.bytes[11] = 1; /* and an additional record */
	put_address(&m, QUESTION, 300, "192.0.2.67");
	a = read_ok(&m);
	ck_assert_uint_eq(a.address_count, 1);
	assert_address(&a, 0, "192.0.2.1", 300);
	/* An address of the other family answers another question. */
	m = answer_to("a.example", DNS_A, 0x8180, 1);
	put_address(&m, QUESTION, 300, "2001:db8::1");
	ck_assert_uint_eq(read_ok(&m).address_count, 0);
}
END_TEST

START_TEST(ttl_with_its_highest_bit_is_zero)
{
	struct message m = answer_to("a.example", DNS_A, 0x8180, 2);
	struct dns_answer a;

	put_address(&m, QUESTION, 0x80000000u, "192.0.2.1");
	put_address(&m, QUESTION, 0x7fffffffu, "192.0.2.2");
	a = read_ok(&m);
	assert_address(&a, 0, "192.0.2.1", 0);
	assert_address(&a, 1, "192.0.2.2", 0x7fffffffu);
}
END_TEST

START_TEST(nothing_is_learnt_of_other_messages)
{
	static const struct {
		const char *name;
		unsigned type, flags;
	} rows[] = {{"a.example", DNS_A, 0x0100}, /* a query */
	    {"a.example", DNS_A, 0x8183},         /* NXDOMAIN */
	    {"a.example", DNS_A, 0xa980},         /* an update */
	    {"a.example", 15, 0x8180},            /* MX */
	    {"", DNS_A, 0x8180},                  /* the root */
	    {"a b.example", DNS_A, 0x8180}, {"a\x01.example", DNS_A, 0x8180},
	    {"b\xc3\xbc.example", DNS_A, 0x8180}, {"*.example", DNS_A, 0x8180}};
	struct dns_answer out;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct message m =
		    answer_to(rows[i].name, rows[i].type, rows[i].flags, 0);

		ck_assert_msg(
		    read_message(&m, m.size, &out) == DNS_NOTHING, "row %zu", i);
	}
}
END_TEST

/* A label that has a dot in it is not two labels. */
START_TEST(dot_in_a_label_is_no_separator)
{
	struct message m = answer_to("xbank.example", DNS_A, 0x8180, 0);
	struct dns_answer out;

	m.bytes[13] = '.';
	ck_assert_int_eq(read_message(&m, m.size, &out), DNS_NOTHING);
}
END_TEST

START_TEST(names_in_a_circle_are_malformed)
{
	static const char *const owners[] = {
	    "@29", "@27", "@4095", "@0", "b@27", "@12b"};
	struct dns_answer out;

	/* The question takes 12..26; the record's name is at 27. */
	for (size_t i = 0; i < 5; i++) {
		struct message m = answer_to("a.example", DNS_A, 0x8180, 1);

		put_address(&m, owners[i], 300, "192.0.2.1");
		ck_assert_msg(
		    read_message(&m, m.size, &out) == DNS_MALFORMED, "%s", owners[i]);
	}
}
END_TEST

/* Pointers to pointers all lead back, and cost something all the same. */
START_TEST(pointers_to_pointers_have_an_end)
{
	for (unsigned jumps = 127; jumps <= 128; jumps++) {
		struct message m = answer_to("a.example", DNS_A, 0x8180, 2);
		struct dns_answer out;
		unsigned at;

		put_head(&m, "@12", 16, 100, 2 * (size_t)(jumps - 1));
		at = (unsigned)m.size;
		for (unsigned i = 0; i < jumps - 1; i++)
			put16(&m, 0xc000u | (i == 0 ? 12 : at + 2 * (i - 1)));
		put16(&m, 0xc000u | (at + 2 * (jumps - 2)));
		put16(&m, DNS_A);
		put16(&m, 1);
		put16(&m, 0);
		put16(&m, 100);
		put16(&m, 4);
		put16(&m, 0xc000);
		put16(&m, 0x0201);
		ck_assert_int_eq(read_message(&m, m.size, &out),
		    jumps > 127 ? DNS_MALFORMED : DNS_ANSWERED);
	}
}
END_TEST

START_TEST(aliases_in_a_circle_are_malformed)
{
	struct message m = answer_to("a.example", DNS_A, 0x8180, 2);
	struct dns_answer out;

	put_alias(&m, QUESTION, 100, "b.example");
	put_alias(&m, "b.example", 100, "a.example");
	ck_assert_int_eq(read_message(&m, m.size, &out), DNS_MALFORMED);
	/* An alias that has an address as well, and one that does not fill its data. */
	m = answer_to("a.example", DNS_A, 0x8180, 2);
	put_address(&m, QUESTION, 100, "192.0.2.1");
	put_alias(&m, QUESTION, 100, "b.example");
	ck_assert_int_eq(read_message(&m, m.size, &out), DNS_MALFORMED);
	m = answer_to("a.example", DNS_A, 0x8180, 1);
	put_alias(&m, QUESTION, 100, "b.example");
	m.bytes[m.size - 12] = (uint8_t)(m.bytes[m.size - 12] + 1);
	m.bytes[m.size++] = 0;
	ck_assert_int_eq(read_message(&m, m.size, &out), DNS_MALFORMED);
}
END_TEST

START_TEST(chain_has_an_end)
{
	for (unsigned length = LIMIT_DNS_CHAIN; length <= LIMIT_DNS_CHAIN + 1;
	     length++) {
		struct message m = answer_to("x0.example", DNS_A, 0x8180, length + 1);
		char from[32], to[32];
		struct dns_answer out;
		enum dns_result result;

		for (unsigned i = 0; i < length; i++) {
			(void)snprintf(from, sizeof(from), "x%u.example", i);
			(void)snprintf(to, sizeof(to), "x%u.example", i + 1);
			put_alias(&m, from, 100, to);
		}
		put_address(&m, to, 100, "192.0.2.1");
		result = read_message(&m, m.size, &out);
		ck_assert_int_eq(
		    result, length > LIMIT_DNS_CHAIN ? DNS_MALFORMED : DNS_ANSWERED);
	}
}
END_TEST

START_TEST(limits_cut_and_say_so)
{
	struct message m =
	    answer_to("a.example", DNS_A, 0x8180, LIMIT_DNS_ADDRESSES + 1);
	struct dns_answer a;
	char text[IP_TEXT_BYTES];

	for (unsigned i = 0; i <= LIMIT_DNS_ADDRESSES; i++) {
		(void)snprintf(text, sizeof(text), "192.0.2.%u", i);
		put_address(&m, QUESTION, 100, text);
	}
	a = read_ok(&m);
	ck_assert_uint_eq(a.address_count, LIMIT_DNS_ADDRESSES);
	ck_assert(a.truncated);
}
END_TEST

/* A service's record: priority, target, and parameters as they are. */
static void
put_service(struct message *m, unsigned type, unsigned priority, const char *target,
    const char *params, size_t size)
{
	struct message name = {.size = 0};

	put_name(&name, target);
	put_head(m, QUESTION, type, 300, 2 + name.size + size);
	put16(m, priority);
	memcpy(m->bytes + m->size, name.bytes, name.size);
	m->size += name.size;
	if (size > 0)
		memcpy(m->bytes + m->size, params, size);
	m->size += size;
}

#define BYTES(text) (text), sizeof(text) - 1
#define ALPN        "\0\1\0\3\2h2"
#define HINTS4      "\0\4\0\10\300\0\2\1\300\0\2\2"
#define HINT6       "\0\6\0\20\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\7"

START_TEST(hints_of_services_are_addresses)
{
	static const unsigned types[] = {DNS_HTTPS, DNS_SVCB};
	struct message m =
	    answer_to("a.example", (unsigned)types[_i], 0x8180, 3 + (unsigned)_i);
	struct dns_answer a;

	put_service(&m, types[_i], 1, "", BYTES(ALPN HINTS4 HINT6));
	put_service(&m, types[_i], 2, "cdn.example", BYTES("\0\4\0\4\300\0\2\3"));
	/* An alias has no parameters that count (RFC 9460 2.4.2). */
	put_service(&m, types[_i], 0, "pool.example", BYTES("\0\4\0\4\300\0\2\4"));
	if (_i == 1)
		put_address(&m, QUESTION, 300, "192.0.2.5");
	a = read_ok(&m);
	ck_assert_int_eq(a.type, (int)types[_i]);
	ck_assert_uint_eq(a.address_count, 4);
	assert_address(&a, 0, "192.0.2.1", 300);
	assert_address(&a, 1, "192.0.2.2", 300);
	assert_address(&a, 2, "2001:db8::7", 300);
	assert_address(&a, 3, "192.0.2.3", 300);
}
END_TEST

/* Each would make a client drop all of it (RFC 9460 2.2). */
static const struct {
	const char *params;
	size_t size;
} odd_params[] = {
    {BYTES("\0\4\0\0")},                  /* no address */
    {BYTES("\0\4\0\5\300\0\2\1\1")},      /* one and a half */
    {BYTES("\0\6\0\4\300\0\2\1")},        /* of the other family */
    {BYTES("\0\4\0\10\300\0\2\1")},       /* longer than the record */
    {BYTES("\0\4\0")},                    /* cut */
    {BYTES(HINT6 "\0\4\0\4\300\0\2\1")},  /* keys out of order */
    {BYTES("\0\4\0\4\300\0\2\1" HINTS4)}, /* a key twice */
};

START_TEST(odd_services_are_malformed)
{
	struct message m = answer_to("a.example", DNS_HTTPS, 0x8180, 1);
	struct dns_answer a;

	put_service(&m, DNS_HTTPS, 1, "", odd_params[_i].params, odd_params[_i].size);
	ck_assert_int_eq(read_message(&m, m.size, &a), DNS_MALFORMED);
}
END_TEST

START_TEST(cut_services_are_malformed)
{
	struct message whole = answer_to("a.example", DNS_HTTPS, 0x8180, 1), m;
	struct dns_answer a;
	size_t head;

	head = whole.size;
	put_service(&whole, DNS_HTTPS, 1, "cdn.example", BYTES(HINTS4));
	for (size_t size = head; size < whole.size; size++)
		ck_assert_int_eq(read_message(&whole, size, &a), DNS_MALFORMED);
	/* A target that goes on behind its record. */
	m = answer_to("a.example", DNS_HTTPS, 0x8180, 1);
	put_head(&m, QUESTION, DNS_HTTPS, 300, 5);
	put16(&m, 1);
	put_name(&m, "cdn.example");
	ck_assert_int_eq(read_message(&m, m.size, &a), DNS_MALFORMED);
}
END_TEST

START_TEST(little_is_said_of_whatever_there_is)
{
	static const uint8_t record[] = "\300\14\0\15\0\1\0\0\16\20\0\11\7RFC8482";
	struct message m = answer_to("a.example", DNS_ANY, 0x0100, 0);
	uint8_t out[DNS_LITTLE_BYTES];
	struct dns_head head;
	size_t size;

	ck_assert(dns_read_head(m.bytes, m.size, &head));
	ck_assert_uint_eq(head.type, DNS_ANY);
	size = dns_say_little(m.bytes, &head, out);
	ck_assert_uint_eq(size, m.size + sizeof(record));
	ck_assert_mem_eq(out, "\x12\x34\x81\x80\0\1\0\1\0\0\0\0", 12);
	ck_assert_mem_eq(out + 12, m.bytes + 12, m.size - 12);
	ck_assert_mem_eq(out + m.size, record, sizeof(record));
}
END_TEST

/* Every prefix of a good message is refused, or was said to be truncated. */
START_TEST(short_messages_are_malformed)
{
	struct message m = answer_to("a.example", DNS_A, 0x8180, 2);
	struct dns_answer out;

	put_alias(&m, QUESTION, 100, "b@14");
	put_address(&m, "b.example", 100, "192.0.2.1");
	for (size_t size = 0; size < m.size; size++)
		ck_assert_msg(read_message(&m, size, &out) == DNS_MALFORMED,
		    "%zu of %zu bytes", size, m.size);
	m = answer_to("a.example", DNS_A, 0x8380, 9);
	put_address(&m, QUESTION, 100, "192.0.2.1");
	ck_assert(read_ok(&m).truncated);
	ck_assert_uint_eq(read_ok(&m).address_count, 1);
}
END_TEST

/* Names of 255 bytes on the wire are the longest. */
START_TEST(long_names_have_an_end)
{
	char name[300];
	struct message m;
	struct dns_answer out;

	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < 255; i += 64)
		name[i] = '.';
	name[253] = '\0'; /* 63.63.63.61 */
	m = answer_to(name, DNS_A, 0x8180, 0);
	ck_assert_str_eq(read_ok(&m).name, name);
	name[253] = 'a';
	name[254] = '\0';
	m = answer_to(name, DNS_A, 0x8180, 0);
	ck_assert_int_eq(read_message(&m, m.size, &out), DNS_MALFORMED);
}
END_TEST

/* ---- what is forwarded ---- */

START_TEST(head_says_what_any_message_is)
{
	struct message m = answer_to("a.example", 15, 0x8583, 0);
	struct dns_head head;

	ck_assert(dns_read_head(m.bytes, m.size, &head));
	ck_assert_uint_eq(head.id, 0x1234);
	ck_assert(head.answer && !head.truncated);
	ck_assert_uint_eq(head.opcode, DNS_OPCODE_QUERY);
	ck_assert_uint_eq(head.rcode, 3);
	ck_assert_uint_eq(head.question_end, m.size);
	ck_assert(!dns_read_head(m.bytes, m.size - 1, &head));
	ck_assert(!dns_read_head(m.bytes, 11, &head));
	m = answer_to("a.example", DNS_A, 0x2a00, 0);
	m.bytes[5] = 2; /* questions */
	ck_assert(dns_read_head(m.bytes, m.size, &head));
	ck_assert(!head.answer && head.truncated);
	ck_assert_uint_eq(head.opcode, 5);
	ck_assert_uint_eq(head.question_end, 0);
}
END_TEST

START_TEST(question_is_the_same_in_any_case)
{
	struct message a = answer_to("www.Example", DNS_A, 0x0100, 0);
	struct message b = answer_to("WWW.example", DNS_A, 0x8180, 0);
	struct message other = answer_to("wwx.example", DNS_A, 0x8180, 0);
	struct message type = answer_to("www.example", DNS_AAAA, 0x8180, 0);

	ck_assert(dns_same_question(a.bytes, b.bytes, a.size));
	ck_assert(!dns_same_question(a.bytes, other.bytes, a.size));
	ck_assert(!dns_same_question(a.bytes, type.bytes, a.size));
	/* 'A' and 'a' are lengths and types as well: 65 is no label's, and 97 is a type. */
	a = answer_to("x", 65, 0x0100, 0);
	b = answer_to("x", 97, 0x8180, 0);
	ck_assert(!dns_same_question(a.bytes, b.bytes, a.size));
}
END_TEST

START_TEST(refusal_is_an_answer_to_its_query)
{
	struct message m = answer_to("a.example", 15, 0x0110, 0);
	uint8_t out[DNS_REFUSAL_BYTES];
	struct dns_head head, refusal;
	size_t size;

	put16(&m, 0xffff); /* whatever is behind the question */
	ck_assert(dns_read_head(m.bytes, m.size, &head));
	size = dns_refuse(m.bytes, &head, DNS_SERVFAIL, out);
	ck_assert_uint_eq(size, m.size - 2);
	ck_assert(dns_read_head(out, size, &refusal));
	ck_assert(refusal.answer && !refusal.truncated);
	ck_assert_uint_eq(refusal.id, 0x1234);
	ck_assert_uint_eq(refusal.rcode, DNS_SERVFAIL);
	ck_assert_uint_eq(out[2], 0x81); /* recursion was desired, */
	ck_assert_uint_eq(out[3], 0x82); /* and is available */
	ck_assert(dns_same_question(m.bytes, out, refusal.question_end));
	dns_set_id(out, 0xabcd);
	ck_assert(dns_read_head(out, size, &refusal));
	ck_assert_uint_eq(refusal.id, 0xabcd);
	m.bytes[5] = 0; /* no question */
	ck_assert(dns_read_head(m.bytes, m.size, &head));
	ck_assert_uint_eq(dns_refuse(m.bytes, &head, DNS_FORMERR, out), 12);
	ck_assert_uint_eq(out[5], 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("dns");
	TCase *tc = tcase_create("dns");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, addresses_are_read);
	tcase_add_test(tc, aliases_are_followed);
	tcase_add_test(tc, other_names_are_not_believed);
	tcase_add_test(tc, ttl_with_its_highest_bit_is_zero);
	tcase_add_test(tc, nothing_is_learnt_of_other_messages);
	tcase_add_test(tc, dot_in_a_label_is_no_separator);
	tcase_add_test(tc, names_in_a_circle_are_malformed);
	tcase_add_test(tc, pointers_to_pointers_have_an_end);
	tcase_add_test(tc, aliases_in_a_circle_are_malformed);
	tcase_add_test(tc, chain_has_an_end);
	tcase_add_test(tc, limits_cut_and_say_so);
	tcase_add_loop_test(tc, hints_of_services_are_addresses, 0, 2);
	tcase_add_loop_test(
	    tc, odd_services_are_malformed, 0, (int)ARRAY_LEN(odd_params));
	tcase_add_test(tc, cut_services_are_malformed);
	tcase_add_test(tc, little_is_said_of_whatever_there_is);
	tcase_add_test(tc, short_messages_are_malformed);
	tcase_add_test(tc, long_names_have_an_end);
	tcase_add_test(tc, head_says_what_any_message_is);
	tcase_add_test(tc, question_is_the_same_in_any_case);
	tcase_add_test(tc, refusal_is_an_answer_to_its_query);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
