#include "enforcer/kernel/nft_expr.h"

#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

uint32_t
nft_reg_at(size_t offset)
{
	return offset == 0 ? NFT_REG_1 : NFT_REG32_00 + (uint32_t)(offset / 4);
}

struct nftnl_expr *
nft_expr_new(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	if (e == NULL)
		base_die("out of memory");
	nftnl_rule_add_expr(rule, e);
	return e;
}

void
nft_expr_meta(struct nftnl_rule *rule, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

void
nft_expr_meta_store(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *e = nft_expr_new(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

void
nft_expr_payload(
    struct nftnl_rule *rule, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void
nft_expr_compare(struct nftnl_rule *rule, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = nft_expr_new(rule, "cmp");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

void
nft_expr_compare_u8(struct nftnl_rule *rule, uint32_t op, uint8_t value)
{
	nft_expr_compare(rule, op, &value, sizeof(value));
}

void
nft_expr_verdict(struct nftnl_rule *rule, uint32_t code, const char *chain)
{
	struct nftnl_expr *e = nft_expr_new(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, code);
	if (chain != NULL)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

void
nft_expr_network_order(struct nftnl_rule *rule, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "byteorder");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, 4);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, 4);
}

struct nftnl_expr *
nft_expr_ct(struct nftnl_rule *rule, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
	return e;
}

void
nft_expr_ct_first(struct nftnl_rule *rule, uint32_t key, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_ct(rule, key, reg);

	nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, IP_CT_DIR_ORIGINAL);
}

void
nft_expr_hash(
    struct nftnl_rule *rule, uint32_t from, uint32_t len, uint32_t slots, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "hash");

	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_SREG, from);
	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_MODULUS, slots);
	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_SEED, TABLE_HASH_SEED);
	nftnl_expr_set_u32(e, NFTNL_EXPR_HASH_TYPE, NFT_HASH_JENKINS);
}

void
nft_expr_random(struct nftnl_rule *rule, uint32_t slots, uint32_t reg)
{
	struct nftnl_expr *e = nft_expr_new(rule, "numgen");

	nftnl_expr_set_u32(e, NFTNL_EXPR_NG_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NG_MODULUS, slots);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NG_TYPE, NFT_NG_RANDOM);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NG_OFFSET, 0);
}

void
nft_expr_mask_and_flip(
    struct nftnl_rule *rule, const void *mask, const void *flip, uint32_t len)
{
	struct nftnl_expr *e = nft_expr_new(rule, "bitwise");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, flip, len);
}

void
nft_expr_mask(struct nftnl_rule *rule, const void *mask, uint32_t len)
{
	static const uint32_t zero = 0;

	nft_expr_mask_and_flip(rule, mask, &zero, len);
}

void
nft_expr_nat(struct nftnl_rule *rule, uint32_t type, enum table_field to)
{
	enum ip_family family = table_value_family(to);
	struct nftnl_expr *e = nft_expr_new(rule, "nat");

	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_TYPE, type);
	nftnl_expr_set_u32(
	    e, NFTNL_EXPR_NAT_FAMILY, family == IP_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, NFT_REG_1);
	if (table_value_has_port(to))
		nftnl_expr_set_u32(
		    e, NFTNL_EXPR_NAT_REG_PROTO_MIN, nft_reg_at(ip_bytes(family)));
}

void
nft_expr_counter(struct nftnl_rule *rule, const struct nft_counter *counted)
{
	struct nftnl_expr *e = nft_expr_new(rule, "counter");

	if (counted == NULL)
		return;
	nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_PACKETS, counted->packets);
	nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_BYTES, counted->bytes);
}

void
nft_expr_log(struct nftnl_rule *rule, uint16_t group, uint32_t number)
{
	struct nftnl_expr *e = nft_expr_new(rule, "log");
	char prefix[16];

	(void)snprintf(prefix, sizeof(prefix), "%u", number); /* fits */
	nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, prefix);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
}

void
nft_expr_reject(struct nftnl_rule *rule, uint32_t type, uint8_t code)
{
	struct nftnl_expr *e = nft_expr_new(rule, "reject");

	nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, type);
	nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, code);
}

void
nft_expr_came_by(struct nftnl_rule *rule, uint32_t flags)
{
	struct nftnl_expr *e = nft_expr_new(rule, "fib");

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_OIF);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS,
	    flags | NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT);
}

void
nft_expr_priority(struct nftnl_rule *rule, uint32_t value)
{
	struct nftnl_expr *e = nft_expr_new(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &value, sizeof(value));
	nft_expr_meta_store(rule, NFT_META_PRIORITY);
}
