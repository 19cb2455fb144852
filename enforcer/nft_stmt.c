/*
 * Statements -> expressions of the nf_tables virtual machine: the same that nft(8) emits for
 * the printed form, so that a listing of the table reads like it.
 */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h> /* libnftnl's headers need it */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#include "enforcer/nft_build.h"
#include "enforcer/nft_expr.h"

/* State bits of nft_ct (NF_CT_STATE_BIT): 1 << (ctinfo % IP_CT_IS_REPLY + 1). */
#define CT_ESTABLISHED_RELATED                                                         \
	(1u << (IP_CT_ESTABLISHED + 1) | 1u << (IP_CT_RELATED + 1))
#define CT_NEW           (1u << (IP_CT_NEW + 1))
#define CT_STRAY         (NF_CT_STATE_INVALID_BIT | NF_CT_STATE_UNTRACKED_BIT)
#define SPORT_OFFSET     0
#define DPORT_OFFSET     2  /* in the TCP, UDP and SCTP headers alike */
#define TCP_FLAGS_OFFSET 13 /* in the TCP header (RFC 9293) */

static void
load_address(struct nftnl_rule *rule, enum table_field field, bool source, uint32_t reg)
{
	uint32_t offset;

	if (field == FIELD_IPV4)
		offset = source ? offsetof(struct iphdr, saddr)
				: offsetof(struct iphdr, daddr);
	else
		offset = source ? offsetof(struct ip6_hdr, ip6_src)
				: offsetof(struct ip6_hdr, ip6_dst);
	nft_expr_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, offset,
	    field == FIELD_IPV4 ? 4 : 16, reg);
}

static void
ct_address(struct nftnl_rule *rule, enum table_field field, bool source, uint32_t reg)
{
	if (field == FIELD_IPV4)
		nft_expr_ct_first(rule, source ? NFT_CT_SRC_IP : NFT_CT_DST_IP, reg);
	else
		nft_expr_ct_first(rule, source ? NFT_CT_SRC_IP6 : NFT_CT_DST_IP6, reg);
}

/* What is hashed lies in registers where no key can be. */
#define HASHED NFT_REG32_06

/* A slot: the client's address hashed. */
static void
load_hash(struct nftnl_rule *rule, enum table_field field, uint32_t slots, uint32_t reg)
{
	load_address(rule, field, true, HASHED);
	nft_expr_hash(rule, HASHED, field == FIELD_IPV4 ? 4 : 16, slots, reg);
}

/* The same of both ends: the client's first. */
static void
load_ends(struct nftnl_rule *rule, enum table_load load, uint32_t slots, uint32_t reg)
{
	bool four = load == LOAD_ENDS4 || load == LOAD_ENDS4_BACK;
	bool back = load == LOAD_ENDS4_BACK || load == LOAD_ENDS6_BACK;
	enum table_field field = four ? FIELD_IPV4 : FIELD_IPV6;
	uint32_t len = four ? 4 : 16;

	load_address(rule, field, !back, HASHED);
	load_address(rule, field, back, HASHED + len / 4);
	nft_expr_hash(rule, HASHED, 2 * len, slots, reg);
}

/* Loads the key of a look-up, field by field; each takes whole registers. Of a connection's
 * mark, which is the first if any, only the bits of `steer_mask` are ours. */
static void
load_key(struct nftnl_rule *rule, const struct table_stmt *s, uint32_t steer_mask)
{
	const struct table_set *set = &table_sets[s->set];
	size_t offset = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->load) && s->load[i] != LOAD_NONE; i++) {
		uint32_t reg = nft_reg_at(offset);

		switch (s->load[i]) {
		case LOAD_NONE:
			break;
		case LOAD_PRIORITY:
			nft_expr_meta(rule, NFT_META_PRIORITY, reg);
			if (table_set_swaps(s->set))
				nft_expr_network_order(rule, reg);
			break;
		case LOAD_IIFNAME:
			nft_expr_meta(rule, NFT_META_IIFNAME, reg);
			break;
		case LOAD_OIFNAME:
			nft_expr_meta(rule, NFT_META_OIFNAME, reg);
			break;
		case LOAD_NFPROTO:
			nft_expr_meta(rule, NFT_META_NFPROTO, reg);
			break;
		case LOAD_SADDR:
		case LOAD_DADDR:
			load_address(rule, set->key[i], s->load[i] == LOAD_SADDR, reg);
			break;
		case LOAD_L4PROTO:
			nft_expr_meta(rule, NFT_META_L4PROTO, reg);
			break;
		case LOAD_DPORT:
			nft_expr_payload(
			    rule, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, 2, reg);
			break;
		case LOAD_CT_SADDR:
		case LOAD_CT_DADDR:
			ct_address(rule, set->key[i], s->load[i] == LOAD_CT_SADDR, reg);
			break;
		case LOAD_SPORT:
			nft_expr_payload(
			    rule, NFT_PAYLOAD_TRANSPORT_HEADER, SPORT_OFFSET, 2, reg);
			break;
		case LOAD_CT_MARK:
			nft_expr_ct(rule, NFT_CT_MARK, NFT_REG_1);
			nft_expr_mask(rule, &steer_mask, sizeof(steer_mask));
			break;
		case LOAD_ENDS4:
		case LOAD_ENDS6:
		case LOAD_ENDS4_BACK:
		case LOAD_ENDS6_BACK:
			load_ends(rule, s->load[i], set->slots, reg);
			break;
		case LOAD_HASH4:
			load_hash(rule, FIELD_IPV4, set->slots, reg);
			break;
		case LOAD_HASH6:
			load_hash(rule, FIELD_IPV6, set->slots, reg);
			break;
		case LOAD_RANDOM:
			nft_expr_random(rule, set->slots, reg);
			break;
		}
		offset += set->key[i] == FIELD_IPV6 ? 16 : 4; /* others are alone */
	}
}

/* What a statement needs to know of the whole. */
struct context {
	const struct table_settings *settings;
	const struct nft_copies *copies;
	const struct nft_counter *counted;
};

static void
lookup(struct nftnl_rule *rule, const struct table_stmt *s, const struct context *c,
    const uint32_t *dreg)
{
	char name[NFT_SET_NAME_BYTES];
	struct nftnl_expr *e;

	load_key(rule, s, c->settings->steer_mask);
	e = nft_expr_new(rule, "lookup");
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(
	    e, NFTNL_EXPR_LOOKUP_SET, nft_set_name(c->copies, s->set, name));
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, (uint32_t)s->set + 1);
	if (dreg != NULL)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, *dreg);
	if (s->invert)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
}

/* Bits of a word of conntrack's: NFT_CMP_NEQ, one of them is set; NFT_CMP_EQ, none is. */
static void
ct_bits(struct nftnl_rule *rule, uint32_t key, uint32_t bits, uint32_t compare)
{
	const uint32_t zero = 0;

	nft_expr_ct(rule, key, NFT_REG_1);
	nft_expr_mask(rule, &bits, sizeof(bits));
	nft_expr_compare(rule, compare, &zero, sizeof(zero));
}

static void
ct_direction(struct nftnl_rule *rule, uint8_t direction)
{
	nft_expr_ct(rule, NFT_CT_DIRECTION, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, direction);
}

static void
marked(struct nftnl_rule *rule, uint32_t mask)
{
	const uint32_t zero = 0;

	nft_expr_meta(rule, NFT_META_MARK, NFT_REG_1);
	nft_expr_mask(rule, &mask, sizeof(mask));
	nft_expr_compare(rule, NFT_CMP_NEQ, &zero, sizeof(zero));
}

/* The other bits are whose they are. */
static void
set_mark(struct nftnl_rule *rule, uint32_t mask, uint32_t value)
{
	const uint32_t others = ~mask;

	nft_expr_meta(rule, NFT_META_MARK, NFT_REG_1);
	nft_expr_mask_and_flip(rule, &others, &value, sizeof(others));
	nft_expr_meta_store(rule, NFT_META_MARK);
}

static void
set_ct_mark(struct nftnl_rule *rule, uint32_t mask, uint32_t value)
{
	const uint32_t others = ~mask;
	struct nftnl_expr *e;

	nft_expr_ct(rule, NFT_CT_MARK, NFT_REG_1);
	nft_expr_mask_and_flip(rule, &others, &value, sizeof(others));
	e = nft_expr_new(rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static void
ct_asked(struct nftnl_rule *rule, uint16_t port)
{
	const uint16_t wire = htons(port);

	nft_expr_ct_first(rule, NFT_CT_PROTO_DST, NFT_REG_1);
	nft_expr_compare(rule, NFT_CMP_EQ, &wire, sizeof(wire));
}

static void
tcp_midstream(struct nftnl_rule *rule)
{
	const uint8_t flags = TH_FIN | TH_SYN | TH_RST | TH_ACK;

	nft_expr_meta(rule, NFT_META_L4PROTO, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, IPPROTO_TCP);
	nft_expr_payload(
	    rule, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1, NFT_REG_1);
	nft_expr_mask(rule, &flags, sizeof(flags));
	nft_expr_compare_u8(rule, NFT_CMP_NEQ, TH_SYN);
	ct_bits(rule, NFT_CT_STATE, CT_NEW, NFT_CMP_NEQ);
}

/* The type is the first byte of either's header. */
static void
icmp_type(struct nftnl_rule *rule, uint8_t proto, uint32_t types)
{
	uint8_t first = (uint8_t)(types >> 8), last = (uint8_t)types;

	if (proto == IPPROTO_ICMPV6) {
		nft_expr_meta(rule, NFT_META_NFPROTO, NFT_REG_1);
		nft_expr_compare_u8(rule, NFT_CMP_EQ, NFPROTO_IPV6);
	}
	nft_expr_meta(rule, NFT_META_L4PROTO, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, proto);
	nft_expr_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	if (first == last) {
		nft_expr_compare_u8(rule, NFT_CMP_EQ, first);
		return;
	}
	nft_expr_compare_u8(rule, NFT_CMP_GTE, first);
	nft_expr_compare_u8(rule, NFT_CMP_LTE, last);
}

static void
loopback(struct nftnl_rule *rule, uint32_t key)
{
	const uint32_t lo = 1; /* the loopback interface of every network namespace */

	nft_expr_meta(rule, key, NFT_REG_1);
	nft_expr_compare(rule, NFT_CMP_EQ, &lo, sizeof(lo));
}

/* The limit of a statement: a bucket, or without one a count of connections. */
static const char *
limit_name(const struct table_stmt *s)
{
	return s->bucket.rate != 0 ? "limit" : "connlimit";
}

static void
set_limit(struct nftnl_expr *e, const struct table_stmt *s)
{
	const struct table_bucket *b = &s->bucket;

	if (b->rate == 0) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_CONNLIMIT_COUNT, s->value);
		nftnl_expr_set_u32(
		    e, NFTNL_EXPR_CONNLIMIT_FLAGS, s->invert ? NFT_CONNLIMIT_F_INV : 0);
		return;
	}
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_RATE, b->rate);
	nftnl_expr_set_u64(e, NFTNL_EXPR_LIMIT_UNIT, b->unit_s);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_BURST, b->burst);
	nftnl_expr_set_u32(
	    e, NFTNL_EXPR_LIMIT_TYPE, b->bytes ? NFT_LIMIT_PKT_BYTES : NFT_LIMIT_PKTS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LIMIT_FLAGS, s->invert ? NFT_LIMIT_F_INV : 0);
}

/* The element that is added has the limit; the rule goes on while it has room. */
static void
own(struct nftnl_rule *rule, const struct table_stmt *s, const struct context *c)
{
	struct nftnl_expr *limit = nftnl_expr_alloc(limit_name(s)), *e;
	char name[NFT_SET_NAME_BYTES];

	if (limit == NULL)
		base_die("out of memory");
	set_limit(limit, s);
	load_key(rule, s, c->settings->steer_mask);
	e = nft_expr_new(rule, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_str(
	    e, NFTNL_EXPR_DYNSET_SET_NAME, nft_set_name(c->copies, s->set, name));
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SET_ID, (uint32_t)s->set + 1);
	nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, limit, 0); /* takes it */
}

static void
to_number(struct nftnl_rule *rule, uint32_t code, uint32_t number)
{
	char name[NFT_CHAIN_NAME_BYTES];

	nft_expr_verdict(rule, code, nft_chain_name(number, name));
}

static void
family(struct nftnl_rule *rule, uint32_t value)
{
	nft_expr_meta(rule, NFT_META_NFPROTO, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, value == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static void
add_stmt(struct nftnl_rule *rule, const struct table_stmt *s, const struct context *c)
{
	static const uint32_t to_reg = NFT_REG_1, to_verdict = NFT_REG_VERDICT;

	switch (s->kind) {
	case STMT_CT_ESTABLISHED:
		ct_bits(rule, NFT_CT_STATE, CT_ESTABLISHED_RELATED, NFT_CMP_NEQ);
		break;
	case STMT_FAMILY:
		family(rule, s->value);
		break;
	case STMT_ICMP_TYPE:
		icmp_type(rule, IPPROTO_ICMP, s->value);
		break;
	case STMT_ICMPV6_TYPE:
		icmp_type(rule, IPPROTO_ICMPV6, s->value);
		break;
	case STMT_LOOPBACK:
		loopback(rule, NFT_META_IIF);
		break;
	case STMT_LOOPBACK_OUT:
		loopback(rule, NFT_META_OIF);
		break;
	case STMT_TCP_MIDSTREAM:
		tcp_midstream(rule);
		break;
	case STMT_L4PROTO:
		nft_expr_meta(rule, NFT_META_L4PROTO, NFT_REG_1);
		nft_expr_compare_u8(rule, NFT_CMP_EQ, (uint8_t)s->value);
		break;
	case STMT_LOOKUP:
		lookup(rule, s, c, NULL);
		break;
	case STMT_PRIORITY_MAP:
		lookup(rule, s, c, &to_reg);
		nft_expr_meta_store(rule, NFT_META_PRIORITY);
		break;
	case STMT_PRIORITY_CONST:
		nft_expr_priority(rule, s->value);
		break;
	case STMT_PRIORITY_VMAP:
		lookup(rule, s, c, &to_verdict);
		break;
	case STMT_CT_DNAT:
		ct_bits(rule, NFT_CT_STATUS, IPS_DST_NAT, NFT_CMP_NEQ);
		break;
	case STMT_CT_ORIGINAL:
		ct_direction(rule, IP_CT_DIR_ORIGINAL);
		break;
	case STMT_CT_REPLY:
		ct_direction(rule, IP_CT_DIR_REPLY);
		break;
	case STMT_CT_STRAY:
		ct_bits(rule, NFT_CT_STATE, CT_STRAY, NFT_CMP_NEQ);
		break;
	case STMT_CT_MARKED:
		ct_bits(rule, NFT_CT_MARK, c->settings->steer_mask, NFT_CMP_NEQ);
		break;
	case STMT_CT_MARK:
		set_ct_mark(rule, c->settings->steer_mask, s->value);
		break;
	case STMT_CAME_BACK:
		nft_expr_came_by(rule, NFTA_FIB_F_MARK);
		nft_expr_compare_u8(rule, NFT_CMP_EQ, 1);
		break;
	case STMT_CAME_ELSEWHERE:
		nft_expr_came_by(rule, 0);
		nft_expr_compare_u8(rule, NFT_CMP_EQ, 0);
		break;
	case STMT_MARKED:
		marked(rule, c->settings->steer_mask);
		break;
	case STMT_MARK:
		set_mark(rule, c->settings->steer_mask, s->value);
		break;
	case STMT_CT_ASKED:
		ct_asked(rule, (uint16_t)s->value);
		break;
	case STMT_SNAT:
	case STMT_DNAT:
		lookup(rule, s, c, &to_reg);
		nft_expr_nat(rule, s->kind == STMT_SNAT ? NFT_NAT_SNAT : NFT_NAT_DNAT,
		    table_sets[s->set].value);
		break;
	case STMT_MASQUERADE:
		(void)nft_expr_new(rule, "masq"); /* has nothing to be set */
		break;
	case STMT_CT_UNCONFIRMED:
		ct_bits(rule, NFT_CT_STATUS, IPS_CONFIRMED, NFT_CMP_EQ);
		break;
	case STMT_VMAP:
		lookup(rule, s, c, &to_verdict);
		break;
	case STMT_LIMIT:
	case STMT_CT_COUNT:
		set_limit(nft_expr_new(rule, limit_name(s)), s);
		break;
	case STMT_OWN:
		own(rule, s, c);
		break;
	case STMT_JUMP_NUMBER:
		to_number(rule, (uint32_t)NFT_JUMP, s->value);
		break;
	case STMT_GOTO_NUMBER:
		to_number(rule, (uint32_t)NFT_GOTO, s->value);
		break;
	case STMT_COUNTER:
		nft_expr_counter(rule, c->counted);
		break;
	case STMT_LOG:
		nft_expr_log(rule, c->settings->log_group, s->value);
		break;
	case STMT_LOG_NAMES:
		nft_expr_log(rule, c->settings->names_group, 0);
		break;
	case STMT_REJECT_RESET:
		nft_expr_reject(rule, NFT_REJECT_TCP_RST, 0);
		break;
	case STMT_REJECT_ADMIN:
		nft_expr_reject(
		    rule, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
		break;
	case STMT_DROP:
		nft_expr_verdict(rule, NF_DROP, NULL);
		break;
	case STMT_ACCEPT:
		nft_expr_verdict(rule, NF_ACCEPT, NULL);
		break;
	case STMT_RETURN:
		nft_expr_verdict(rule, (uint32_t)NFT_RETURN, NULL);
		break;
	case STMT_JUMP:
		nft_expr_verdict(rule, (uint32_t)NFT_JUMP, s->chain);
		break;
	case STMT_GOTO:
		nft_expr_verdict(rule, (uint32_t)NFT_GOTO, s->chain);
		break;
	}
}

bool
nft_rule_is_known(const struct table_rule *rule, unsigned lacks)
{
	for (size_t i = 0; i < rule->count; i++) {
		const struct table_stmt *s = &rule->stmts[i];
		const bool limits = s->kind == STMT_LIMIT || s->kind == STMT_CT_COUNT ||
				    s->kind == STMT_OWN;

		if (limits && (lacks & (s->bucket.rate != 0 ? OP_LACKS_RATES
							    : OP_LACKS_COUNTS)) != 0)
			return false;
	}
	return true;
}

void
nft_rule_exprs(struct nftnl_rule *rule, const struct table_rule *source,
    const struct nft_build *build, const struct nft_counter *counted)
{
	const struct context context = {&build->settings, &build->copies, counted};

	for (size_t i = 0; i < source->count; i++)
		add_stmt(rule, &source->stmts[i], &context);
}
