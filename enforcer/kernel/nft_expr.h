/*
 * Expressions of the nf_tables virtual machine, each appended to a libnftnl rule. Keys,
 * operators and codes are the kernel's (linux/netfilter/nf_tables.h); what has no register
 * of its own works on register 1. Private to the nft_*.c files.
 */
#ifndef ENFORCER_NFT_EXPR_H
#define ENFORCER_NFT_EXPR_H

#include "enforcer/kernel/nft.h"

struct nftnl_expr;
struct nftnl_rule;

/* The register of a key's byte at `offset`: the first is addressed as nft(8) does it. */
MUST_CHECK uint32_t nft_reg_at(size_t offset);

/* A new one of that name, the rule's; of the rest, attributes are still to be set. */
struct nftnl_expr *nft_expr_new(struct nftnl_rule *rule, const char *name);

/* Loads into a register: NFT_META_*; bytes of a header; NFT_CT_*, and the same of the
 * direction in which the connection began, before any translation. */
void nft_expr_meta(struct nftnl_rule *rule, uint32_t key, uint32_t reg);
void nft_expr_payload(struct nftnl_rule *rule, uint32_t base, uint32_t offset,
    uint32_t len, uint32_t reg);
struct nftnl_expr *nft_expr_ct(struct nftnl_rule *rule, uint32_t key, uint32_t reg);
void nft_expr_ct_first(struct nftnl_rule *rule, uint32_t key, uint32_t reg);
/* Register 1 is 1 if the way back to where the packet is from is the one that it came by, else
 * 0. `flags`: NFTA_FIB_F_MARK, or 0. */
void nft_expr_came_by(struct nftnl_rule *rule, uint32_t flags);
/* A slot, from 0 to slots - 1: by what lies in registers, `len` bytes of it from register
 * `from` on; by chance. */
void nft_expr_hash(
    struct nftnl_rule *rule, uint32_t from, uint32_t len, uint32_t slots, uint32_t reg);
void nft_expr_random(struct nftnl_rule *rule, uint32_t slots, uint32_t reg);

/* Four bytes from host to network order. */
void nft_expr_network_order(struct nftnl_rule *rule, uint32_t reg);
/* Keeps those bits of the first `len` bytes, and turns those of `flip`; or none. A mask
 * without `flip` has at most four bytes. */
void nft_expr_mask_and_flip(
    struct nftnl_rule *rule, const void *mask, const void *flip, uint32_t len);
void nft_expr_mask(struct nftnl_rule *rule, const void *mask, uint32_t len);

/* The rule goes on if it compares so (NFT_CMP_*). */
void nft_expr_compare(
    struct nftnl_rule *rule, uint32_t op, const void *data, uint32_t len);
void nft_expr_compare_u8(struct nftnl_rule *rule, uint32_t op, uint8_t value);

/* Stores register 1; stores a constant in the priority. */
void nft_expr_meta_store(struct nftnl_rule *rule, uint32_t key);
void nft_expr_priority(struct nftnl_rule *rule, uint32_t value);
/* To what lies in register 1: an address, and then a port if `to` has one. */
void nft_expr_nat(struct nftnl_rule *rule, uint32_t type, enum table_field to);

/* `counted`: what it begins with, or NULL. */
void nft_expr_counter(struct nftnl_rule *rule, const struct nft_counter *counted);
/* To an NFLOG group, with the number as prefix. */
void nft_expr_log(struct nftnl_rule *rule, uint16_t group, uint32_t number);
void nft_expr_reject(struct nftnl_rule *rule, uint32_t type, uint8_t code);
/* `chain`: of NFT_JUMP and NFT_GOTO; else NULL. */
void nft_expr_verdict(struct nftnl_rule *rule, uint32_t code, const char *chain);

#endif
