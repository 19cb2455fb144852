/*
 * Netlink messages of one transaction, in one buffer, each with the operation that it
 * came from. Private to the nft_*.c files.
 */
#ifndef ENFORCER_NFT_BUILD_H
#define ENFORCER_NFT_BUILD_H

#include <libmnl/libmnl.h>

#include "enforcer/kernel/nft.h"

/* Flags of tables, newer than Debian's headers. */
#define NFT_OWNER   0x2u /* NFT_TABLE_F_OWNER: others have no say in it */
#define NFT_PERSIST 0x4u /* NFT_TABLE_F_PERSIST: it outlives its owner */

struct nft_origin {
	uint32_t
	    op; /* NFT_NO_OP: of the transaction, or of what is there in any case */
	uint32_t element; /* of its elements the first */
};

/* An interval set is replaced by a copy of it (nft_apply), whose name has a suffix: which
 * copy of each set is meant. */
struct nft_copies {
	bool second[SET_COUNT];
};

#define NFT_COPY_SUFFIX    "_b"
#define NFT_SET_NAME_BYTES 32
/* The name of a set's copy; out has NFT_SET_NAME_BYTES. */
const char *nft_set_name(
    const struct nft_copies *copies, enum table_set_id set, char *out);

struct nft_build {
	struct buf bytes; /* messages, each aligned to 4 bytes */
	struct nft_origin
	    *origins; /* of message n, whose sequence number is first_seq + n */
	size_t count, cap;
	uint32_t first_seq;
	size_t last_at; /* offset of the last message's header */
	struct table_settings settings;
	bool owned;     /* a table is the socket's, and outlives it */
	unsigned lacks; /* enum op_lack: rules that need it are left out */
	struct nft_copies copies;
	const uint32_t *room; /* of sets that are made (struct op); NULL */
	bool
	    chains_there; /* those that the batch adds: an earlier transaction made them */
	/* What chains that are made anew have counted so far; sorted by number. */
	const struct nft_counter *counted;
	size_t counted_count;
	struct nft_origin now; /* what the next message comes from; first NFT_NO_OP */
};

void nft_build_init(
    struct nft_build *b, uint32_t first_seq, struct table_settings settings);
void nft_build_fini(struct nft_build *b);

/* The largest message that fits without reserving again (an element list is bounded by the
 * 16 bits of nla_len). */
#define NFT_MESSAGE_BYTES 65536u

/* Begins a message with room for NFT_MESSAGE_BYTES; write attributes, then end it. */
struct nlmsghdr *nft_build_begin(struct nft_build *b, uint16_t type, uint16_t flags);
void nft_build_end(struct nft_build *b, struct nlmsghdr *header);
/* NFNL_MSG_BATCH_BEGIN (with the generation, unless 0) and _END. */
void nft_build_batch(struct nft_build *b, bool begin, uint32_t generation);

/* NFT_OWNER and NFT_PERSIST, or none. */
MUST_CHECK uint32_t nft_build_table_flags(bool owned);
/* Of a table of any name: NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE; with such flags. */
void nft_build_named_table(struct nft_build *b, uint16_t type, uint16_t flags,
    const char *name, uint32_t table_flags);

/* Messages for one operation. */
/* Without anything in it; there must be none. */
void nft_build_bare_table(struct nft_build *b);
void nft_build_table(struct nft_build *b);
void nft_build_no_table(struct nft_build *b);
/* A scratch table that is owned, and its end. */
void nft_build_probe(struct nft_build *b);
/* A table that is there, and ours alone, for as long as our socket is. */
void nft_build_claim(struct nft_build *b);
/* The table, which is nobody's, becomes ours. */
void nft_build_adopt(struct nft_build *b);
void nft_build_elements(struct nft_build *b, bool add, enum table_set_id set,
    const struct table_element *elements, size_t count);
void nft_build_flush(struct nft_build *b, enum table_set_id set);
/* Adds an empty set, or deletes one that no rule refers to any more. */
void nft_build_set(struct nft_build *b, enum table_set_id set, bool add);
/* The table is awake, and ours if tables are. */
void nft_build_awake(struct nft_build *b);
/* No base chain of ours, be there one or not. */
void nft_build_no_base_chains(struct nft_build *b);
/* The constant chains, be they there or not. */
void nft_build_constant_chains(struct nft_build *b);
/* The rules of a constant chain, anew. */
void nft_build_chain_rules(struct nft_build *b, const struct table_chain *chain);
/* One of them, in the place of the rule that has the handle. */
void nft_build_rule(struct nft_build *b, const struct table_chain *chain,
    const struct table_rule *rule, uint64_t handle);
/* A chain rule_N, empty; its rules; without rules; and its end. Chains of limits refer to
 * each other: each of several chains comes, or loses its rules, before any gets rules, or
 * goes. */
void nft_build_chain(struct nft_build *b, uint32_t number);
void nft_build_rule_chain(struct nft_build *b, const struct table_rule_chain *chain);
void nft_build_flush_chain(struct nft_build *b, uint32_t number);
void nft_build_no_chain(struct nft_build *b, uint32_t number);
/* What is not ours, by name. */
void nft_build_flush_other_chain(struct nft_build *b, const char *name);
void nft_build_no_other_chain(struct nft_build *b, const char *name);
void nft_build_no_other_set(struct nft_build *b, const char *name);

/* "rule_N"; out has NFT_CHAIN_NAME_BYTES. */
#define NFT_CHAIN_NAME_BYTES 24
const char *nft_chain_name(uint32_t number, char *out);

/* False for a rule with something that the kernel lacks. */
MUST_CHECK bool nft_rule_is_known(const struct table_rule *rule, unsigned lacks);
/* Appends a rule's statements to a libnftnl rule as expressions. `counted`: what its
 * counter begins with, or NULL. */
struct nftnl_rule;
void nft_rule_exprs(struct nftnl_rule *rule, const struct table_rule *source,
    const struct nft_build *build, const struct nft_counter *counted);

#endif
