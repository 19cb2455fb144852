/*
 * What a table consists of: its sets and chains, ours and those of others, or of another
 * version of us. Private to the nft_*.c files.
 */
#ifndef ENFORCER_NFT_THERE_H
#define ENFORCER_NFT_THERE_H

#include "enforcer/kernel/nft_socket.h"

struct nft_names {
	char **names; /* on the heap, as each of them */
	size_t count, cap;
};

struct nft_there {
	bool sets[SET_COUNT][2]; /* each copy */
	uint32_t *numbers;       /* of rule chains, sorted; on the heap */
	size_t count, cap;
	struct nft_names other_sets, other_chains; /* that we would not make */
};

/* With what `settings` leave out among what is of others. ERR_NOT_FOUND if there is no
 * table; to be freed in any case. */
MUST_CHECK int nft_there_find(struct nft *n, const struct table_settings *settings,
    struct nft_there *out, struct err *err);
void nft_there_free(struct nft_there *t);
/* Which of the rule chains there are. */
MUST_CHECK bool nft_there_has(const struct nft_there *t, uint32_t number);
/* Of sets that are there twice, as when a process ended amid a swap, deletes the copy that
 * no rule refers to. */
MUST_CHECK int nft_there_drop_spare(
    struct nft *n, struct nft_there *t, struct err *err);

#endif
