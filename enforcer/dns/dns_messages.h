/*
 * What the role that forwards DNS and the engine tell each other, beyond a number or an
 * address.
 */
#ifndef ENFORCER_DNS_MESSAGES_H
#define ENFORCER_DNS_MESSAGES_H

#include "common/dns.h"
#include "common/proc.h"

/* An answer that waits until the kernel knows what it says. */
struct dns_lesson {
	uint32_t ticket;
	struct ip_addr client;    /* who asked */
	struct dns_answer answer; /* its id and `truncated` are not sent */
};

/* What the role counts. */
enum dns_count {
	DNS_COUNT_QUERIES,  /* that came, and could be read */
	DNS_COUNT_ANSWERED, /* by a resolver */
	DNS_COUNT_HELD,     /* of these: the engine was asked first */
	DNS_COUNT_LATE,     /* of these: it did not say in time */
	DNS_COUNT_UNHEARD, /* of those with addresses: the engine says nothing at all */
	DNS_COUNT_FAILED,  /* no resolver answered */
	DNS_COUNT_OVER,    /* more than the tenant's share, or the client's rate */
	DNS_COUNT_STRANGERS, /* from no workload network */
	DNS_COUNT_MALFORMED, /* that could not be read */
	DNS_COUNT_FORGED,    /* answers that do not fit what was asked */
	DNS_COUNT_WAITING,   /* queries under way now */
	DNS_COUNTS
};

/* How each is called where it is told of, and what it is. */
struct dns_count_words {
	const char *name, *help;
};
extern const struct dns_count_words dns_count_words[DNS_COUNTS];

void dns_lesson_encode(struct buf *out, uint32_t ticket, const struct ip_addr *client,
    const struct dns_answer *answer);
/* Copies; false: malformed. */
MUST_CHECK bool dns_lesson_decode(struct proc_reader *r, struct dns_lesson *out);
void dns_counts_encode(struct buf *out, const uint64_t counts[DNS_COUNTS]);
MUST_CHECK bool dns_counts_decode(struct proc_reader *r, uint64_t out[DNS_COUNTS]);

#endif
