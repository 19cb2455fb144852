/*
 * nf_tables through netlink: the narrow waist between the enforcer and the kernel. Runs
 * in the kernel role. libnftnl builds tables, chains, sets and rules; elements are written with
 * libmnl alone, because there are many.
 */
#ifndef ENFORCER_NFT_H
#define ENFORCER_NFT_H

#include "enforcer/wire/ops.h"

struct nft;

/* Makes a netlink socket of the present network namespace. ERR_DENIED without
 * CAP_NET_ADMIN. A table that is owned (nft_own) is the socket's: whoever holds it keeps
 * the table from others. */
MUST_CHECK int nft_socket(int *out_fd, struct err *err);
/* Uses one, perhaps after another process that has ended; takes it. */
MUST_CHECK struct nft *nft_new(int fd);
void nft_close(struct nft *n);

/*
 * Finds out whether the kernel has tables that belong to a socket and outlive it (Linux
 * 6.9); if so, *out_owned is true, the table becomes ours if it is there and nobody's, and
 * tables made anew (OP_TABLE) will be.
 */
MUST_CHECK int nft_own(struct nft *n, bool *out_owned, struct err *err);

/*
 * Keeps other daemons from a table that is not owned, as long as the socket is open: none is
 * to undo what another does. ERR_EXISTS if there is one already, ERR_DENIED
 * without CAP_NET_ADMIN. A kernel without tables that belong to a socket (before Linux
 * 5.12) keeps nobody out.
 */
MUST_CHECK int nft_claim(struct nft *n, struct err *err);

/*
 * Finds out what it lacks (enum op_lack; 0: nothing). A limit that it lacks is left out of
 * chains from then on: it is about sharing, and a table that the kernel refuses for it would
 * be worse. Without translation tables have no_nat (struct table_settings).
 */
MUST_CHECK int nft_find_lacks(struct nft *n, unsigned *out_lacks, struct err *err);

/* Where the kernel refused. */
struct nft_refusal {
	size_t op;      /* index in the batch; NFT_NO_OP: of all of it */
	size_t element; /* for OP_ADD, OP_DELETE: which; its message's first, of a
			 * kernel that does not say */
	int sys;        /* errno */
};

#define NFT_NO_OP      UINT32_MAX
#define NFT_NO_REFUSAL ((struct nft_refusal){.op = NFT_NO_OP})

/*
 * Applies a batch as one transaction: all of it or nothing. `generation` is the ruleset
 * generation that the batch was planned against (0: whatever it is); ERR_STALE if it
 * has moved on. A batch that begins with OP_TABLE replaces whatever there is: in place if
 * that can be, in several transactions of which one changes what is in force. On success
 * *out_generation is the new one. ERR_SYSTEM with *out_refusal when the kernel refuses an
 * operation; ERR_LIMIT when the batch does not fit into the socket, or its elements not into
 * their sets, which only a table made anew has more room for.
 */
MUST_CHECK int nft_apply(struct nft *n, const struct op_batch *batch,
    uint32_t generation, uint32_t *out_generation, struct nft_refusal *out_refusal,
    struct err *err);

/* The present ruleset generation (about 1 us). */
MUST_CHECK int nft_generation(struct nft *n, uint32_t *out_generation, struct err *err);

/* A counter of a chain rule_N. */
struct nft_counter {
	uint32_t number; /* the first: by it they are sorted and found */
	uint64_t packets;
	uint64_t bytes;
};

/* The one of a number, in a sorted list; NULL. */
MUST_CHECK const struct nft_counter *nft_counter_of(
    const struct nft_counter *counters, size_t count, uint32_t number);
/* Reads all rule chains' counters, sorted by number; the caller frees *out_counters. */
MUST_CHECK int nft_counters(struct nft *n, struct nft_counter **out_counters,
    size_t *out_count, struct err *err);

/*
 * Reads the table back as far as it can differ: every element of every set, the numbers of the rule
 * chains, and a digest of all rules. In the arena; sorted as table_content is.
 * ERR_NOT_FOUND if the table is not there. ERR_STALE if it has changed meanwhile, or is not
 * made as this version makes it: then SET_OWN4 and SET_OWN6 are read if they can be.
 */
struct nft_observed {
	struct table_element *elements[SET_COUNT];
	size_t element_count[SET_COUNT];
	uint32_t *rule_chains;
	size_t rule_chain_count;
	uint8_t rules_digest
	    [32]; /* SHA-256 over table flags, hooks, chains, rules; no counters */
};
MUST_CHECK int nft_observe(struct nft *n, struct arena *arena,
    struct nft_observed *out_observed, struct err *err);
/* The same, but no elements: those take the kernel longer than all else, and the more the
 * longer each. */
MUST_CHECK int nft_observe_rules(struct nft *n, struct arena *arena,
    struct nft_observed *out_observed, struct err *err);

/* Deletes the table, if it is there. */
MUST_CHECK int nft_delete_table(struct nft *n, struct err *err);

#endif
