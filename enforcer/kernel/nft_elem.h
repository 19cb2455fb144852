/*
 * Reading set elements, of the kernel and of messages that go to it. Private to the nft_*.c
 * files.
 */
#ifndef ENFORCER_NFT_ELEM_H
#define ENFORCER_NFT_ELEM_H

#include <libmnl/libmnl.h>

#include "policy-lang/table/table.h"

enum nft_elem_kind {
	NFT_ELEM_FOREIGN, /* not of a form that we write */
	NFT_ELEM_WHOLE,
	NFT_ELEM_END, /* of an interval: `addr` is the first address behind it */
};

/* One NFTA_LIST_ELEM. Single-field intervals come as a beginning (its addr_end is its addr) and
 * an end apart. */
MUST_CHECK enum nft_elem_kind nft_elem_read(
    const struct nlattr *nest, enum table_set_id set, struct table_element *out);

/* Of a message that we have written: how many of its elements come before the one that the
 * byte at `offset` belongs to; 0 if it belongs to none. */
MUST_CHECK size_t nft_elem_index(const struct nlmsghdr *message, size_t offset);

#endif
