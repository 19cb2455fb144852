/*
 * Any bytes as a DNS answer: what is read of them is what the header says of it, and is
 * the same whatever follows.
 */
#include <stdlib.h>
#include <string.h>

#include "common/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                    \
	do {                                                                           \
		if (!(cond))                                                           \
			abort();                                                       \
	} while (0)

static void
check_answer(const struct dns_answer *a)
{
	size_t len = strlen(a->name);

	CHECK(dns_type_teaches(a->type));
	CHECK(len > 0 && len < DNS_NAME_BYTES);
	for (size_t i = 0; i < len; i++)
		CHECK(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", a->name[i]) !=
		      NULL);
	CHECK(a->address_count <= LIMIT_DNS_ADDRESSES);
	for (size_t i = 0; i < a->address_count; i++) {
		CHECK(a->type != DNS_A || a->addresses[i].addr.family == IP_V4);
		CHECK(a->type != DNS_AAAA || a->addresses[i].addr.family == IP_V6);
		CHECK(a->addresses[i].ttl_s <= INT32_MAX);
		for (size_t j = 0; j < i; j++)
			CHECK(!ip_eq(&a->addresses[i].addr, &a->addresses[j].addr));
	}
}

/* What is forwarded: a refusal of any query answers it, and nothing else. */
static void
check_head(const uint8_t *data, size_t size)
{
	uint8_t out[DNS_REFUSAL_BYTES], little[DNS_LITTLE_BYTES];
	struct dns_answer a;
	enum dns_result result;
	struct dns_head head, refusal;
	size_t len;

	if (!dns_read_head(data, size, &head))
		return;
	CHECK(head.question_end <= size && head.question_end <= DNS_REFUSAL_BYTES);
	CHECK(head.question_end == 0 || head.question_end >= DNS_HEADER_BYTES + 5);
	len = dns_refuse(data, &head, DNS_SERVFAIL, out);
	CHECK(len <= DNS_REFUSAL_BYTES && dns_read_head(out, len, &refusal));
	CHECK(refusal.answer && refusal.id == head.id &&
	      refusal.rcode == DNS_SERVFAIL && refusal.opcode == head.opcode &&
	      refusal.question_end == head.question_end);
	if (head.question_end == 0)
		return;
	CHECK(dns_same_question(data, out, head.question_end));
	len = dns_say_little(data, &head, little);
	CHECK(len <= DNS_LITTLE_BYTES && dns_read_head(little, len, &refusal));
	CHECK(refusal.answer && refusal.rcode == 0 && refusal.type == head.type &&
	      refusal.question_end == head.question_end);
	/* Well-formed, and without an address. */
	result = dns_read(little, len, &a);
	CHECK(head.opcode != DNS_OPCODE_QUERY || result == DNS_NOTHING ||
	      (result == DNS_ANSWERED && a.address_count == 0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_answer a, b;
	uint8_t *longer;

	struct dns_question q;
	bool asks = dns_read_question(data, size, &q) == DNS_ANSWERED;

	check_head(data, size);
	CHECK(!asks || strlen(q.name) < DNS_NAME_BYTES);
	if (dns_read(data, size, &a) != DNS_ANSWERED)
		return 0;
	check_answer(&a);
	CHECK(asks && q.answer && q.id == a.id && q.type == a.type &&
	      strcmp(q.name, a.name) == 0);
	longer = malloc(size + 1);
	CHECK(longer != NULL);
	memcpy(longer, data, size);
	longer[size] = 0xff;
	/* But where it was said to be truncated and ends early. */
	CHECK(dns_read(longer, size + 1, &b) == DNS_ANSWERED || a.truncated);
	free(longer);
	return 0;
}
