/*
 * The Merkle tree of RFC 6962 over the lines of an audit log, kept as its compact
 * range: one root for each perfect subtree, the largest first. It grows by a leaf at
 * a time and never looks back. A plain value: copy it to remember a state.
 */
#ifndef COMMON_AUDIT_TREE_H
#define COMMON_AUDIT_TREE_H

#include "common/base.h"

#define AUDIT_HASH_BYTES 32

struct audit_tree {
	uint64_t size; /* leaves; each bit that is set is one subtree */
	uint8_t roots[64][AUDIT_HASH_BYTES];
};

/* {0} is the empty tree. */
void audit_tree_add(struct audit_tree *tree, const uint8_t leaf[AUDIT_HASH_BYTES]);
/* As audit_tree_add, and tells of each perfect subtree that it completes, from the leaf up:
 * the `number`th of those of 2^level leaves. `made` may be NULL. */
typedef void (*audit_tree_made_fn)(
    void *arg, unsigned level, uint64_t number, const uint8_t hash[AUDIT_HASH_BYTES]);
void audit_tree_grow(struct audit_tree *tree, const uint8_t leaf[AUDIT_HASH_BYTES],
    audit_tree_made_fn made, void *arg);
/* The root; of the empty tree it is the hash of nothing. */
void audit_tree_root(const struct audit_tree *tree, uint8_t out_root[AUDIT_HASH_BYTES]);

#endif
