/*
 * The socket behind struct nft, and dumps through it. Private to the nft_*.c files.
 */
#ifndef ENFORCER_NFT_SOCKET_H
#define ENFORCER_NFT_SOCKET_H

#include <libmnl/libmnl.h>
#include <openssl/evp.h>

#include "enforcer/kernel/nft.h"
#include "enforcer/kernel/nft_build.h"

struct nft {
	int fd;
	uint32_t seq;
	int send_room;  /* what SO_SNDBUF was set for */
	bool owned;     /* tables are */
	unsigned lacks; /* enum op_lack */
	bool copies_known;
	struct nft_copies copies; /* that the rules refer to */
	struct nft_counter
	    *counted; /* before the transaction, for what it makes anew */
	size_t counted_count;
};

/* ERR_DENIED: what a process without CAP_NET_ADMIN is told, whatever it wants. */
int nft_err_unprivileged(struct err *err);

/*
 * Sends one request and hands every message of the answer to `each` (MNL_CB_*). A dump that
 * the kernel interrupted because the ruleset changed meanwhile is ERR_STALE: begin again.
 * ERR_NOT_FOUND for ENOENT.
 */
MUST_CHECK int nft_request(struct nft *n, struct nlmsghdr *request,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err);

/* A request for objects of our table: type NFT_MSG_GET*, its header in `data` of
 * `size` bytes (MNL_SOCKET_BUFFER_SIZE). */
struct nlmsghdr *nft_request_header(
    struct nft *n, void *data, uint16_t type, bool dump);

/* A transaction: begun, then whatever is built (nft_build.h), then committed, with the
 * generation as in nft_apply. The build is used up. */
void nft_begin(struct nft *n, struct nft_build *b, struct table_settings settings,
    const struct nft_copies *copies, uint32_t generation);
MUST_CHECK int nft_commit(struct nft *n, struct nft_build *build, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err);
/* A transaction of what `fill` builds, whatever the generation. */
MUST_CHECK int nft_run_small(struct nft *n, void (*fill)(struct nft_build *b),
    struct nft_refusal *out_refusal, struct err *err);
/* Messages for one operation of a batch. */
void nft_build_op(struct nft_build *b, const struct op_batch *batch, size_t index);

/* What is being swapped. */
struct nft_swap {
	const struct op_batch *batch;
	bool sets[SET_COUNT];
	struct nft_copies next;
};

/* nft_swap.c: every set but those that the kernel fills. The batch begins with OP_TABLE. */
void nft_swap_all(
    const struct nft *n, const struct op_batch *batch, struct nft_swap *out);
/* Makes the copies, with the batch's elements. */
MUST_CHECK int nft_make_copies(struct nft *n, const struct nft_swap *s,
    uint32_t generation, struct nft_refusal *out_refusal, struct err *err);

/* nft_restore.c: as nft_apply, for a batch that makes the table anew (OP_TABLE), in the
 * table that is there; `hooks`: base chains may be there that are not as ours are. Any
 * error: what was in force still is. */
MUST_CHECK int nft_restore(struct nft *n, const struct op_batch *batch, bool hooks,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err);

/* nft_limits.c: chains of the batch (OP_CHAIN_ADD) whose rules hold what was used of a limit,
 * and are there already as the batch has them. */
struct nft_kept {
	uint32_t *numbers; /* on the heap */
	size_t count;
};
MUST_CHECK int nft_find_kept(
    struct nft *n, const struct op_batch *batch, struct nft_kept *out, struct err *err);

/* nft_swap.c: true if a batch replaces interval sets; as nft_apply, for such a one. */
MUST_CHECK bool nft_swaps(const struct op_batch *batch);
/* The generation after so many commits of ours; 0 stays 0. */
MUST_CHECK uint32_t nft_later(uint32_t generation, unsigned commits);
MUST_CHECK int nft_apply_swap(struct nft *n, const struct op_batch *batch,
    uint32_t generation, uint32_t *out_generation, struct nft_refusal *out_refusal,
    struct err *err);

/* nft_there.c: finds out which copies of sets there are. ERR_STALE: of some both, or none. */
MUST_CHECK int nft_find_copies(struct nft *n, struct err *err);
/* Hands each rule of our table to `each`. */
MUST_CHECK int nft_each_rule(struct nft *n,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err);
/* The number of a rule chain; false: it is none. */
MUST_CHECK bool nft_chain_number(const char *chain, uint32_t *out_number);
/* The table's flags. ERR_NOT_FOUND if it is not there. */
MUST_CHECK int nft_table_flags(struct nft *n, uint32_t *out_flags, struct err *err);
/* Adds to a digest what holds the rules: the table's flags, the chains' hooks, priorities
 * and policies. ERR_NOT_FOUND if the table is not there. */
MUST_CHECK int nft_digest_frame(struct nft *n, EVP_MD_CTX *digest, struct err *err);

#endif
