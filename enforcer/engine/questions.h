/*
 * DNS questions that wait for their answers. Only an answer to one of them says anything:
 * whoever sends answers without having seen the question would have to guess its id and
 * port, as for the workload itself. The first that fits is the answer. Bounded for each
 * workload, so that nobody's questions cost others theirs. Pure; not thread-safe.
 */
#ifndef ENFORCER_QUESTIONS_H
#define ENFORCER_QUESTIONS_H

#include "common/dns.h"

#define QUESTIONS_OF_ONE  1024u /* that wait, of one address; the oldest gives way */
#define QUESTIONS_WAIT_MS 10000u

struct questions;

MUST_CHECK struct questions *questions_new(void);
/* NULL is fine. */
void questions_free(struct questions *q);
/* A workload's address and port ask. Asking again is asking once. */
void questions_ask(struct questions *q, const struct ip_addr *client, uint16_t port,
    const struct dns_question *question, uint64_t now_ms);
/* True if this is an answer to one that waits, which it then no longer does. */
MUST_CHECK bool questions_answer(struct questions *q, const struct ip_addr *client,
    uint16_t port, const struct dns_question *answer, uint64_t now_ms);
/* How many wait. */
MUST_CHECK size_t questions_count(const struct questions *q);

#endif
