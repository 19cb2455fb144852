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

#include "enforcer/kernel/nft_build.h"
#include "enforcer/kernel/nft_expr.h"
#include "policy-lang/model/interface.h"

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

/* One field of a look-up's key. Of a connection's mark only the bits of `steer_mask` are ours. */
static void
load_field(struct nftnl_rule *rule, enum table_load load, enum table_set_id set,
    enum table_field field, uint32_t steer_mask, uint32_t reg)
{
	static const uint32_t metas[] = {
	    [LOAD_PRIORITY] = NFT_META_PRIORITY,
	    [LOAD_NFPROTO] = NFT_META_NFPROTO,
	    [LOAD_IIFNAME] = NFT_META_IIFNAME,
	    [LOAD_OIFNAME] = NFT_META_OIFNAME,
	    [LOAD_L4PROTO] = NFT_META_L4PROTO,
	};
	const uint32_t slots = table_sets[set].slots;

	switch (load) {
	case LOAD_NONE:
		break;
	case LOAD_PRIORITY:
	case LOAD_NFPROTO:
	case LOAD_IIFNAME:
	case LOAD_OIFNAME:
	case LOAD_L4PROTO:
		nft_expr_meta(rule, metas[load], reg);
		if (load == LOAD_PRIORITY && table_set_swaps(set))
			nft_expr_network_order(rule, reg);
		break;
	case LOAD_SADDR:
	case LOAD_DADDR:
		load_address(rule, field, load == LOAD_SADDR, reg);
		break;
	case LOAD_SPORT:
	case LOAD_DPORT:
		nft_expr_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER,
		    load == LOAD_SPORT ? SPORT_OFFSET : DPORT_OFFSET, 2, reg);
		break;
	case LOAD_CT_SADDR:
	case LOAD_CT_DADDR:
		ct_address(rule, field, load == LOAD_CT_SADDR, reg);
		break;
	case LOAD_CT_MARK: /* the first, if any */
		nft_expr_ct(rule, NFT_CT_MARK, NFT_REG_1);
		nft_expr_mask(rule, &steer_mask, sizeof(steer_mask));
		break;
	case LOAD_ENDS4:
	case LOAD_ENDS6:
	case LOAD_ENDS4_BACK:
	case LOAD_ENDS6_BACK:
		load_ends(rule, load, slots, reg);
		break;
	case LOAD_HASH4:
	case LOAD_HASH6:
		load_hash(
		    rule, load == LOAD_HASH4 ? FIELD_IPV4 : FIELD_IPV6, slots, reg);
		break;
	case LOAD_RANDOM:
		nft_expr_random(rule, slots, reg);
		break;
	}
}

/* The key of a look-up, field by field; each takes whole registers. */
static void
load_key(struct nftnl_rule *rule, const struct table_stmt *s, uint32_t steer_mask)
{
	const struct table_set *set = &table_sets[s->set];
	size_t offset = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->load) && s->load[i] != LOAD_NONE; i++) {
		load_field(rule, s->load[i], s->set, set->key[i], steer_mask,
		    nft_reg_at(offset));
		offset += set->key[i] == FIELD_IPV6 ? 16 : 4; /* others are alone */
	}
}

/* ---- statements ---- */

/* The rule that is being written, and what its statements need to know of the whole. */
struct writer {
	struct nftnl_rule *rule;
	const struct table_settings *settings;
	const struct nft_copies *copies;
	const struct nft_counter *counted;
};

typedef void (*stmt_fn)(const struct writer *w, const struct table_stmt *s);

static void
family(const struct writer *w, const struct table_stmt *s)
{
	nft_expr_meta(w->rule, NFT_META_NFPROTO, NFT_REG_1);
	nft_expr_compare_u8(
	    w->rule, NFT_CMP_EQ, s->value == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
}

static void
l4proto(const struct writer *w, const struct table_stmt *s)
{
	nft_expr_meta(w->rule, NFT_META_L4PROTO, NFT_REG_1);
	nft_expr_compare_u8(w->rule, NFT_CMP_EQ, (uint8_t)s->value);
}

static void
loopback(const struct writer *w, const struct table_stmt *s)
{
	const uint32_t lo = 1; /* the loopback interface of every network namespace */

	nft_expr_meta(
	    w->rule, s->kind == STMT_LOOPBACK ? NFT_META_IIF : NFT_META_OIF, NFT_REG_1);
	nft_expr_compare(w->rule, NFT_CMP_EQ, &lo, sizeof(lo));
}

/* The type is the first byte of either's header. */
static void
icmp_type(const struct writer *w, const struct table_stmt *s)
{
	const uint8_t first = (uint8_t)(s->value >> 8), last = (uint8_t)s->value;
	const bool six = s->kind == STMT_ICMPV6_TYPE;
	struct nftnl_rule *rule = w->rule;

	if (six) {
		nft_expr_meta(rule, NFT_META_NFPROTO, NFT_REG_1);
		nft_expr_compare_u8(rule, NFT_CMP_EQ, NFPROTO_IPV6);
	}
	nft_expr_meta(rule, NFT_META_L4PROTO, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	nft_expr_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_REG_1);
	if (first == last) {
		nft_expr_compare_u8(rule, NFT_CMP_EQ, first);
		return;
	}
	nft_expr_compare_u8(rule, NFT_CMP_GTE, first);
	nft_expr_compare_u8(rule, NFT_CMP_LTE, last);
}

static void
on_link(const struct writer *w, const struct table_stmt *s)
{
	(void)s; /* nothing to choose */
	nft_expr_payload(w->rule, NFT_PAYLOAD_NETWORK_HEADER,
	    offsetof(struct ip6_hdr, ip6_hlim), 1, NFT_REG_1);
	nft_expr_compare_u8(w->rule, NFT_CMP_EQ, UINT8_MAX);
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
ct_word(const struct writer *w, const struct table_stmt *s)
{
	static const struct {
		uint32_t key, bits, compare;
	} words[] = {
	    [STMT_CT_ESTABLISHED] = {NFT_CT_STATE, CT_ESTABLISHED_RELATED, NFT_CMP_NEQ},
	    [STMT_CT_STRAY] = {NFT_CT_STATE, CT_STRAY, NFT_CMP_NEQ},
	    [STMT_CT_DNAT] = {NFT_CT_STATUS, IPS_DST_NAT, NFT_CMP_NEQ},
	    [STMT_CT_UNCONFIRMED] = {NFT_CT_STATUS, IPS_CONFIRMED, NFT_CMP_EQ},
	    [STMT_CT_CONFIRMED] = {NFT_CT_STATUS, IPS_CONFIRMED, NFT_CMP_NEQ},
	};

	ct_bits(
	    w->rule, words[s->kind].key, words[s->kind].bits, words[s->kind].compare);
}

static void
ct_marked(const struct writer *w, const struct table_stmt *s)
{
	(void)s; /* it says nothing more */
	ct_bits(w->rule, NFT_CT_MARK, w->settings->steer_mask, NFT_CMP_NEQ);
}

static void
ct_direction(const struct writer *w, const struct table_stmt *s)
{
	nft_expr_ct(w->rule, NFT_CT_DIRECTION, NFT_REG_1);
	nft_expr_compare_u8(w->rule, NFT_CMP_EQ,
	    s->kind == STMT_CT_ORIGINAL ? IP_CT_DIR_ORIGINAL : IP_CT_DIR_REPLY);
}

static void
ct_asked(const struct writer *w, const struct table_stmt *s)
{
	const uint16_t wire = htons((uint16_t)s->value);

	nft_expr_ct_first(w->rule, NFT_CT_PROTO_DST, NFT_REG_1);
	nft_expr_compare(w->rule, NFT_CMP_EQ, &wire, sizeof(wire));
}

static void
tcp_midstream(const struct writer *w, const struct table_stmt *s)
{
	const uint8_t flags = TH_FIN | TH_SYN | TH_RST | TH_ACK;
	struct nftnl_rule *rule = w->rule;

	(void)s; /* it says nothing more */
	nft_expr_meta(rule, NFT_META_L4PROTO, NFT_REG_1);
	nft_expr_compare_u8(rule, NFT_CMP_EQ, IPPROTO_TCP);
	nft_expr_payload(
	    rule, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, 1, NFT_REG_1);
	nft_expr_mask(rule, &flags, sizeof(flags));
	nft_expr_compare_u8(rule, NFT_CMP_NEQ, TH_SYN);
	ct_bits(rule, NFT_CT_STATE, CT_NEW, NFT_CMP_NEQ);
}

static void
came_by(const struct writer *w, const struct table_stmt *s)
{
	const uint32_t back = s->kind == STMT_CAME_BACK;

	nft_expr_came_by(w->rule, back ? NFTA_FIB_F_MARK : 0);
	nft_expr_compare(w->rule, NFT_CMP_EQ, &back, sizeof(back));
}

static void
iif_kind(const struct writer *w, const struct table_stmt *s)
{
	char name[INTERFACE_NAME_BYTES] = {0};

	(void)snprintf(name, sizeof(name), "%s", s->iif_kind); /* fits */
	nft_expr_meta(w->rule, NFT_META_IIFKIND, NFT_REG_1);
	nft_expr_compare(w->rule, NFT_CMP_EQ, name, sizeof(name));
}

static void
marked(const struct writer *w, const struct table_stmt *s)
{
	const uint32_t mask = w->settings->steer_mask, zero = 0;

	(void)s; /* it says nothing more */
	nft_expr_meta(w->rule, NFT_META_MARK, NFT_REG_1);
	nft_expr_mask(w->rule, &mask, sizeof(mask));
	nft_expr_compare(w->rule, NFT_CMP_NEQ, &zero, sizeof(zero));
}

/* The other bits are whose they are. */
static void
set_mark(const struct writer *w, const struct table_stmt *s)
{
	const uint32_t others = ~w->settings->steer_mask;

	nft_expr_meta(w->rule, NFT_META_MARK, NFT_REG_1);
	nft_expr_mask_and_flip(w->rule, &others, &s->value, sizeof(others));
	nft_expr_meta_store(w->rule, NFT_META_MARK);
}

static void
set_ct_mark(const struct writer *w, const struct table_stmt *s)
{
	const uint32_t others = ~w->settings->steer_mask;
	struct nftnl_expr *e;

	nft_expr_ct(w->rule, NFT_CT_MARK, NFT_REG_1);
	nft_expr_mask_and_flip(w->rule, &others, &s->value, sizeof(others));
	e = nft_expr_new(w->rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, NFT_REG_1);
}

static struct nftnl_expr *
lookup(const struct writer *w, const struct table_stmt *s)
{
	char name[NFT_SET_NAME_BYTES];
	struct nftnl_expr *e;

	load_key(w->rule, s, w->settings->steer_mask);
	e = nft_expr_new(w->rule, "lookup");
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(
	    e, NFTNL_EXPR_LOOKUP_SET, nft_set_name(w->copies, s->set, name));
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, (uint32_t)s->set + 1);
	if (s->invert)
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	return e;
}

static void
in_set(const struct writer *w, const struct table_stmt *s)
{
	(void)lookup(w, s); /* goes on if it is there: that is all */
}

static void
verdict_map(const struct writer *w, const struct table_stmt *s)
{
	nftnl_expr_set_u32(lookup(w, s), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
}

static void
priority_map(const struct writer *w, const struct table_stmt *s)
{
	nftnl_expr_set_u32(lookup(w, s), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	nft_expr_meta_store(w->rule, NFT_META_PRIORITY);
}

static void
priority_const(const struct writer *w, const struct table_stmt *s)
{
	nft_expr_priority(w->rule, s->value);
}

static void
translate(const struct writer *w, const struct table_stmt *s)
{
	nftnl_expr_set_u32(lookup(w, s), NFTNL_EXPR_LOOKUP_DREG, NFT_REG_1);
	nft_expr_nat(w->rule, s->kind == STMT_SNAT ? NFT_NAT_SNAT : NFT_NAT_DNAT,
	    table_sets[s->set].value);
}

static void
masquerade(const struct writer *w, const struct table_stmt *s)
{
	(void)s;
	(void)nft_expr_new(w->rule, "masq"); /* has nothing to be set */
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

static void
limit(const struct writer *w, const struct table_stmt *s)
{
	set_limit(nft_expr_new(w->rule, limit_name(s)), s);
}

/* The element that is added has the limit; the rule goes on while it has room. */
static void
own(const struct writer *w, const struct table_stmt *s)
{
	struct nftnl_expr *part = nftnl_expr_alloc(limit_name(s)), *e;
	char name[NFT_SET_NAME_BYTES];

	if (part == NULL)
		base_die("out of memory");
	set_limit(part, s);
	load_key(w->rule, s, w->settings->steer_mask);
	e = nft_expr_new(w->rule, "dynset");
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
	nftnl_expr_set_str(
	    e, NFTNL_EXPR_DYNSET_SET_NAME, nft_set_name(w->copies, s->set, name));
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SET_ID, (uint32_t)s->set + 1);
	nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, part, 0); /* takes it */
}

static void
counter(const struct writer *w, const struct table_stmt *s)
{
	(void)s; /* what it begins with is another's to say */
	nft_expr_counter(w->rule, w->counted);
}

static void
log_packet(const struct writer *w, const struct table_stmt *s)
{
	nft_expr_log(w->rule, w->settings->log_group, s->value);
}

static void
log_names(const struct writer *w, const struct table_stmt *s)
{
	(void)s; /* it says nothing more */
	nft_expr_log(w->rule, w->settings->names_group, 0);
}

static void
reject(const struct writer *w, const struct table_stmt *s)
{
	if (s->kind == STMT_REJECT_RESET)
		nft_expr_reject(w->rule, NFT_REJECT_TCP_RST, 0);
	else
		nft_expr_reject(w->rule, NFT_REJECT_ICMPX_UNREACH,
		    NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
}

static void
verdict(const struct writer *w, const struct table_stmt *s)
{
	static const int32_t codes[] = {
	    [STMT_DROP] = NF_DROP,
	    [STMT_ACCEPT] = NF_ACCEPT,
	    [STMT_RETURN] = NFT_RETURN,
	    [STMT_JUMP] = NFT_JUMP,
	    [STMT_GOTO] = NFT_GOTO,
	};

	nft_expr_verdict(w->rule, (uint32_t)codes[s->kind], s->chain);
}

static void
to_number(const struct writer *w, const struct table_stmt *s)
{
	char name[NFT_CHAIN_NAME_BYTES];

	nft_expr_verdict(w->rule,
	    (uint32_t)(s->kind == STMT_JUMP_NUMBER ? NFT_JUMP : NFT_GOTO),
	    nft_chain_name(s->value, name));
}

static const stmt_fn writers[] = {
    [STMT_CT_ESTABLISHED] = ct_word,
    [STMT_FAMILY] = family,
    [STMT_ICMP_TYPE] = icmp_type,
    [STMT_ICMPV6_TYPE] = icmp_type,
    [STMT_ON_LINK] = on_link,
    [STMT_LOOPBACK] = loopback,
    [STMT_LOOPBACK_OUT] = loopback,
    [STMT_TCP_MIDSTREAM] = tcp_midstream,
    [STMT_L4PROTO] = l4proto,
    [STMT_LOOKUP] = in_set,
    [STMT_PRIORITY_MAP] = priority_map,
    [STMT_PRIORITY_CONST] = priority_const,
    [STMT_PRIORITY_VMAP] = verdict_map,
    [STMT_CT_DNAT] = ct_word,
    [STMT_CT_ASKED] = ct_asked,
    [STMT_CT_ORIGINAL] = ct_direction,
    [STMT_MARKED] = marked,
    [STMT_MARK] = set_mark,
    [STMT_CT_MARKED] = ct_marked,
    [STMT_CT_MARK] = set_ct_mark,
    [STMT_CT_REPLY] = ct_direction,
    [STMT_CT_STRAY] = ct_word,
    [STMT_CAME_ELSEWHERE] = came_by,
    [STMT_CAME_BACK] = came_by,
    [STMT_IIF_KIND] = iif_kind,
    [STMT_SNAT] = translate,
    [STMT_DNAT] = translate,
    [STMT_MASQUERADE] = masquerade,
    [STMT_CT_UNCONFIRMED] = ct_word,
    [STMT_CT_CONFIRMED] = ct_word,
    [STMT_VMAP] = verdict_map,
    [STMT_LIMIT] = limit,
    [STMT_CT_COUNT] = limit,
    [STMT_OWN] = own,
    [STMT_COUNTER] = counter,
    [STMT_LOG] = log_packet,
    [STMT_LOG_NAMES] = log_names,
    [STMT_DROP] = verdict,
    [STMT_REJECT_RESET] = reject,
    [STMT_REJECT_ADMIN] = reject,
    [STMT_ACCEPT] = verdict,
    [STMT_RETURN] = verdict,
    [STMT_JUMP] = verdict,
    [STMT_GOTO] = verdict,
    [STMT_JUMP_NUMBER] = to_number,
    [STMT_GOTO_NUMBER] = to_number,
};

/* ---- rules ---- */

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
	const struct writer w = {rule, &build->settings, &build->copies, counted};

	for (size_t i = 0; i < source->count; i++)
		writers[source->stmts[i].kind](&w, &source->stmts[i]);
}
