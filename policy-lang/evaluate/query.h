/*
 * Questions in words: SRC DST PORT/PROTO, and the ends that names stand for.
 */
#ifndef POLICY_LANG_QUERY_H
#define POLICY_LANG_QUERY_H

#include "policy-lang/evaluate/evaluate.h"

/* What the three words may be, for the help of commands that take them. */
#define QUERY_HELP                                                                     \
	"SRC and DST are NAMESPACE/NAME (a pod's own name or its owner's), "           \
	"/PATH/NAME\n"                                                                 \
	"in the tree, either with [Kind] behind it as `list` prints it, node/NAME, "   \
	"or an\n"                                                                      \
	"address; DST may be a domain name that SRC asked for. PORT/PROTO is "         \
	"443/tcp,\n"                                                                   \
	"53/udp, 9000/sctp, icmp, icmpv6, or proto/47, by number.\n"

/* How much of port space a question is about. */
enum query_span {
	QUERY_SERVICE,    /* one port of one protocol; a protocol without ports */
	QUERY_PROTOCOL,   /* every port of a protocol */
	QUERY_EVERYTHING, /* every protocol */
};

struct query {
	struct str src_text, dst_text, service_text;
	struct endpoint src, dst;
	enum query_span span;
	uint8_t proto;
	uint16_t port;
};

/* Knows every name of a model; lives in the arena, borrows the model. */
struct resolver;

MUST_CHECK struct resolver *resolver_new(struct arena *arena, const struct model *m);
/* Names that nobody knows an address of may be asked about, too: one is learnt for them,
 * into the table that is the model's. */
void resolver_learns(struct resolver *resolver, struct learnt *learnt);
void resolver_free(struct resolver *resolver);

/*
 * Finds the end that a text names: an address, node/NAME, NAMESPACE/NAME or /PATH/NAME,
 * with [Kind] behind or without. A pod's own name comes before its owner's; the first
 * pod of an owner stands for it. False: why is appended to `why`.
 */
MUST_CHECK bool resolver_find(struct resolver *resolver, struct str text,
    struct endpoint *out_end, struct buf *why);

/* True if a text is a domain name, which may be a destination: no address, and nobody's. */
MUST_CHECK bool resolver_is_domain(struct resolver *resolver, struct str text);

/* As resolver_find, for whom `src` connects to: that may be a domain name. */
MUST_CHECK bool resolver_find_destination(struct resolver *resolver,
    const struct endpoint *src, struct str text, struct endpoint *out_end,
    struct buf *why);

/* As resolver_find for a name alone, and silently: no address, no suggestion. */
MUST_CHECK bool resolver_knows(
    struct resolver *resolver, struct str name, struct endpoint *out_end);

/* Reads the three words of a question; texts are borrowed. False: why is appended. */
MUST_CHECK bool query_read(struct resolver *resolver, const struct str words[3],
    struct query *out_query, struct buf *why);

/* As query_read with two words or three; the third may be tcp, udp or sctp alone. */
MUST_CHECK bool query_read_wide(struct resolver *resolver, const struct str *words,
    size_t count, struct query *out_query, struct buf *why);
/* Reads "443/tcp" or "icmp". False: why is appended. */
MUST_CHECK bool query_read_service(
    struct str text, uint8_t *out_proto, uint16_t *out_port, struct buf *why);

/* Says why nothing can be asked about two ends (evaluate_connection: not comparable). */
void query_explain_incomparable(
    const struct query *query, unsigned family, struct buf *why);

/* "shop/web[Deployment]", "node/worker-1", "192.0.2.1". */
void endpoint_print(struct buf *out, const struct endpoint *end);

#endif
