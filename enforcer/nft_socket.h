/*
 * The socket behind struct nft, and dumps through it. Private to the nft_*.c files.
 */
#ifndef ENFORCER_NFT_SOCKET_H
#define ENFORCER_NFT_SOCKET_H

#include <libmnl/libmnl.h>
#include <openssl/evp.h>

#include "enforcer/nft.h"

struct nft {
	int fd;
	uint32_t seq;
	int send_room; /* what SO_SNDBUF was set for */
	bool owned;    /* tables are */
};

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

/* The table's flags. ERR_NOT_FOUND if it is not there. */
MUST_CHECK int nft_table_flags(struct nft *n, uint32_t *out_flags, struct err *err);
/* Adds to a digest what holds the rules: the table's flags, the chains' hooks, priorities
 * and policies. ERR_NOT_FOUND if the table is not there. */
MUST_CHECK int nft_digest_frame(struct nft *n, EVP_MD_CTX *digest, struct err *err);

#endif
