/*
 * Answers of DNS (RFC 1035), as much of them as it takes to learn which addresses a name
 * has. The bytes are whatever the network brought: nothing in them is believed beyond
 * what they are. Whether the sender may be believed is for the caller to know.
 */
#ifndef COMMON_DNS_H
#define COMMON_DNS_H

#include "common/ip.h"
#include "common/limits.h"

#define DNS_NAME_BYTES                                                                 \
	254 /* the longest name as text, without its last dot, and a NUL */

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_AAAA = 28,
	DNS_SVCB = 64, /* RFC 9460: with hints of addresses, of both families */
	DNS_HTTPS = 65,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255
};

enum dns_result {
	DNS_ANSWERED, /* the name exists, and these are its addresses (perhaps none) */
	DNS_NOTHING, /* well-formed, and nothing to learn from: a query, an error, another
			 type or class, a name that policy cannot write */
	DNS_MALFORMED,
};

struct dns_address {
	struct ip_addr addr;
	uint32_t ttl_s; /* the least on the way from the name to the address */
};

/* A question, as the header of its message and that of an answer to it have it. */
struct dns_question {
	uint16_t id;
	bool answer; /* the message is one */
	enum dns_type type;
	char name[DNS_NAME_BYTES]; /* as of struct dns_answer */
};

struct dns_answer {
	uint16_t id;
	enum dns_type type; /* that was asked for: one of which dns_type_teaches */
	/* The name that was asked for: lower case, no dot at the end, labels of letters,
	 * digits, - and _. */
	char name[DNS_NAME_BYTES];
	bool
	    truncated; /* there is more than this: the sender says so, or a limit cut it */
	struct dns_address
	    addresses[LIMIT_DNS_ADDRESSES]; /* in their order; each once */
	size_t address_count;
};

/* What any message says of itself. */
struct dns_head {
	uint16_t id;
	bool answer, truncated;
	uint8_t opcode, rcode;
	/* One past its question, and the type that it asks for; 0: it has none, or more than
	 * one. */
	size_t question_end;
	uint16_t type;
};

#define DNS_OPCODE_QUERY 0u

enum dns_rcode {
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5
};

#define DNS_HEADER_BYTES  12u
#define DNS_MESSAGE_BYTES 65535u
#define DNS_REFUSAL_BYTES (DNS_HEADER_BYTES + 255 + 4)
#define DNS_LITTLE_BYTES  (DNS_REFUSAL_BYTES + 21)

/* False: it is no message: shorter than a header, or its only question cannot be read. */
MUST_CHECK bool dns_read_head(
    const uint8_t *message, size_t size, struct dns_head *out);
/* Whether two messages, whose questions end at the same place, ask the same: names in
 * whatever case (RFC 4343). */
MUST_CHECK bool dns_same_question(const uint8_t *a, const uint8_t *b, size_t end);
/* An answer to a query, whose head this is, that has its question, if it has one, and says
 * that there is none. Returns its size, DNS_REFUSAL_BYTES at most. */
MUST_CHECK size_t dns_refuse(const uint8_t *query, const struct dns_head *head,
    enum dns_rcode rcode, uint8_t out[DNS_REFUSAL_BYTES]);
/* An answer to a query for whatever there is, which is not said (RFC 8482 4.2). The query has
 * a question. Returns its size. */
MUST_CHECK size_t dns_say_little(
    const uint8_t *query, const struct dns_head *head, uint8_t out[DNS_LITTLE_BYTES]);
/* Whether answers to questions of this type may have addresses of the name: A, AAAA, SVCB,
 * HTTPS. */
MUST_CHECK bool dns_type_teaches(unsigned type);
/* Whose message it is, everywhere else the same. */
void dns_set_id(uint8_t *message, uint16_t id);

/*
 * Reads one message. Addresses are those of the name asked for, over aliases in the answer
 * section in whatever order they come; of SVCB and HTTPS, the hints of services, whoever
 * provides them: that is where the name leads, as with an alias. What the message says of other names, and what
 * stands in other sections, is not looked at. Anything but DNS_ANSWERED leaves *out
 * undefined. Takes time linear in the message, times LIMIT_DNS_CHAIN.
 */
MUST_CHECK enum dns_result dns_read(
    const uint8_t *message, size_t size, struct dns_answer *out);

/* Reads what a message asks, or answers. DNS_ANSWERED: a question that dns_read could read
 * an answer to; else as that, but whatever the answer's code is. */
MUST_CHECK enum dns_result dns_read_question(
    const uint8_t *message, size_t size, struct dns_question *out);

#endif
