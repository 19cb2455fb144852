#include "enforcer/kernel/nft_build.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define MS_PER_S            UINT64_C(1000)
#define NFT_SET_CONCAT_FLAG 0x80u /* NFT_SET_CONCAT, newer than Debian's headers */

/* What nft(8) calls these types in its own registry (its include/datatype.h); the kernel
 * only stores them, so that a listing is readable. A concatenation has six bits a field. */
static const struct {
	uint32_t type;
	uint8_t len;
} fields[] = {
    [FIELD_CLASSID] = {23, 4},
    [FIELD_IPV4] = {7, 4},
    [FIELD_IPV6] = {8, 16},
    [FIELD_IFNAME] = {41, 16},
    [FIELD_NFPROTO] = {2, 1},
    [FIELD_PROTO] = {12, 1},
    [FIELD_SERVICE] = {13, 2},
    [FIELD_SLOT] = {4, 4},
    [FIELD_MARK] = {19, 4},
    /* As concatenations: see value_type. */
    [FIELD_IPV4_PORT] = {7 << 6 | 13, 8},
    [FIELD_IPV6_PORT] = {8 << 6 | 13, 20},
};
#define CONCAT_TYPE_BITS 6
#define BYTEORDER_HOST   1u
#define BYTEORDER_BIG    2u

void
nft_build_init(struct nft_build *b, uint32_t first_seq, struct table_settings settings)
{
	memset(b, 0, sizeof(*b));
	b->first_seq = first_seq;
	b->settings = settings;
	b->now.op = NFT_NO_OP;
}

void
nft_build_fini(struct nft_build *b)
{
	buf_free(&b->bytes);
	free(b->origins);
	b->origins = NULL;
}

static struct nlmsghdr *
begin(
    struct nft_build *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
	struct nlmsghdr *header;
	struct nfgenmsg *nfg;

	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		b->origins = xreallocarray(b->origins, b->cap, sizeof(*b->origins));
	}
	b->origins[b->count] = b->now;
	buf_reserve(&b->bytes, NFT_MESSAGE_BYTES + 4096);
	b->last_at = b->bytes.len;
	header = mnl_nlmsg_put_header(b->bytes.data + b->bytes.len);
	header->nlmsg_type = type;
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	header->nlmsg_seq = b->first_seq + (uint32_t)b->count;
	b->count++;
	nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return header;
}

struct nlmsghdr *
nft_build_begin(struct nft_build *b, uint16_t type, uint16_t flags)
{
	return begin(
	    b, (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | type), flags, NFPROTO_INET, 0);
}

void
nft_build_end(struct nft_build *b, struct nlmsghdr *header)
{
	b->bytes.len += (header->nlmsg_len + 3u) & ~3u; /* as netlink aligns */
}

void
nft_build_batch(struct nft_build *b, bool is_begin, uint32_t generation)
{
	struct nlmsghdr *header;

	b->now = (struct nft_origin){.op = NFT_NO_OP};
	header = begin(b, is_begin ? NFNL_MSG_BATCH_BEGIN : NFNL_MSG_BATCH_END, 0,
	    AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (is_begin && generation != 0)
		mnl_attr_put_u32(header, NFNL_BATCH_GENID, htonl(generation));
	nft_build_end(b, header);
}

const char *
nft_chain_name(uint32_t number, char *out)
{
	(void)snprintf(out, NFT_CHAIN_NAME_BYTES, "rule_%u", number); /* fits */
	return out;
}

static void *
must(void *p)
{
	if (p == NULL)
		base_die("out of memory");
	return p;
}

/* ---- table ---- */

void
nft_build_named_table(struct nft_build *b, uint16_t type, uint16_t flags,
    const char *name, uint32_t table_flags)
{
	struct nlmsghdr *header = nft_build_begin(b, type, flags);

	mnl_attr_put_strz(header, NFTA_TABLE_NAME, name);
	if (table_flags != 0)
		mnl_attr_put_u32(header, NFTA_TABLE_FLAGS, htonl(table_flags));
	nft_build_end(b, header);
}

uint32_t
nft_build_table_flags(bool owned)
{
	return owned ? NFT_OWNER | NFT_PERSIST : 0;
}

/* ---- sets ---- */

const char *
nft_set_name(const struct nft_copies *copies, enum table_set_id set, char *out)
{
	(void)snprintf(out, NFT_SET_NAME_BYTES, "%s%s", table_sets[set].name,
	    copies->second[set] ? NFT_COPY_SUFFIX : ""); /* fits */
	return out;
}

static uint32_t
key_type(const struct table_set *s)
{
	uint32_t type = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->key) && s->key[i] != FIELD_NONE; i++)
		type = (type << CONCAT_TYPE_BITS) | fields[s->key[i]].type;
	return type;
}

static uint32_t
value_order(const struct table_set *s)
{
	if (s->value == FIELD_IPV4 || s->value == FIELD_IPV6)
		return BYTEORDER_BIG;
	return s->value == FIELD_CLASSID ? BYTEORDER_HOST : 0;
}

static void
put_udata_u32(struct nftnl_udata_buf *buf, uint8_t type, uint32_t value)
{
	if (!nftnl_udata_put_u32(buf, type, value))
		base_die("no room for user data");
}

/* What nft(8) keeps of "typeof meta priority . numgen random mod N : meta priority":
 * expressions (a concatenation, meta, numgen; its include/expression.h), each with what it
 * is made of. */
enum {
	NFT_EXPR_META = 9,
	NFT_EXPR_CONCAT = 13,
	NFT_EXPR_NUMGEN = 23
};
enum {
	TYPEOF_EXPR,
	TYPEOF_DATA
};

static struct nftnl_udata *
nest(struct nftnl_udata_buf *buf, uint8_t type)
{
	return must(nftnl_udata_nest_start(buf, type));
}

static void
typeof_priority(struct nftnl_udata_buf *buf)
{
	struct nftnl_udata *data;

	put_udata_u32(buf, TYPEOF_EXPR, NFT_EXPR_META);
	data = nest(buf, TYPEOF_DATA);
	put_udata_u32(buf, 0, NFT_META_PRIORITY);
	nftnl_udata_nest_end(buf, data);
}

static void
typeof_random(struct nftnl_udata_buf *buf, uint32_t modulus)
{
	struct nftnl_udata *data;

	put_udata_u32(buf, TYPEOF_EXPR, NFT_EXPR_NUMGEN);
	data = nest(buf, TYPEOF_DATA);
	put_udata_u32(buf, 0, NFT_NG_RANDOM);
	put_udata_u32(buf, 1, modulus);
	put_udata_u32(buf, 2, 0); /* offset */
	nftnl_udata_nest_end(buf, data);
}

static void
typeof_slots(struct nftnl_udata_buf *buf, uint32_t modulus)
{
	struct nftnl_udata *key = nest(buf, NFTNL_UDATA_SET_KEY_TYPEOF), *data, *part;

	put_udata_u32(buf, TYPEOF_EXPR, NFT_EXPR_CONCAT);
	data = nest(buf, TYPEOF_DATA);
	part = nest(buf, 0);
	typeof_priority(buf);
	nftnl_udata_nest_end(buf, part);
	part = nest(buf, 1);
	typeof_random(buf, modulus);
	nftnl_udata_nest_end(buf, part);
	nftnl_udata_nest_end(buf, data);
	nftnl_udata_nest_end(buf, key);
	key = nest(buf, NFTNL_UDATA_SET_DATA_TYPEOF);
	typeof_priority(buf);
	nftnl_udata_nest_end(buf, key);
}

/* What nft needs to print the set as it was meant: byte orders and the comment. */
static void
set_userdata(struct nftnl_set *set, const struct table_set *s)
{
	struct nftnl_udata_buf *buf = must(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
	bool host = s->key[0] == FIELD_CLASSID || s->key[0] == FIELD_NFPROTO ||
		    s->key[0] == FIELD_IFNAME;
	uint32_t order = table_key_fields(s) > 1 ? 0
			 : host                  ? BYTEORDER_HOST
						 : BYTEORDER_BIG;

	put_udata_u32(buf, NFTNL_UDATA_SET_KEYBYTEORDER, order);
	if (s->value != FIELD_NONE)
		put_udata_u32(buf, NFTNL_UDATA_SET_DATABYTEORDER, value_order(s));
	if (s->slots != 0)
		typeof_slots(buf, s->slots);
	if (!nftnl_udata_put_strz(buf, NFTNL_UDATA_SET_COMMENT, s->comment))
		base_die("no room for user data");
	if (nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(buf),
		nftnl_udata_buf_len(buf)) != 0)
		base_die("out of memory");
	nftnl_udata_buf_free(buf);
}

static void
set_concat(struct nftnl_set *set, const struct table_set *s)
{
	uint8_t lens[ARRAY_LEN(s->key)];
	size_t n = table_key_fields(s);

	for (size_t i = 0; i < n; i++)
		lens[i] = fields[s->key[i]].len;
	if (nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, lens, (uint32_t)n) != 0)
		base_die("out of memory");
}

static void
add_set_message(struct nft_build *b, enum table_set_id id)
{
	const struct table_set *s = &table_sets[id];
	struct nftnl_set *set = must(nftnl_set_alloc());
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	char name[NFT_SET_NAME_BYTES];
	uint32_t flags = 0;

	if (s->interval)
		flags |= NFT_SET_INTERVAL;
	if (table_set_swaps(id))
		flags |= NFT_SET_CONCAT_FLAG;
	if (s->value != FIELD_NONE)
		flags |= NFT_SET_MAP;
	if (s->room != 0) {
		flags |= NFT_SET_EVAL;
		nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, s->room);
	}
	if (s->timeout_s != 0) {
		flags |= NFT_SET_TIMEOUT;
		nftnl_set_set_u64(set, NFTNL_SET_TIMEOUT, s->timeout_s * MS_PER_S);
	}
	if (nftnl_set_set_str(set, NFTNL_SET_TABLE, TABLE_NAME) != 0 ||
	    nftnl_set_set_str(
		set, NFTNL_SET_NAME, nft_set_name(&b->copies, id, name)) != 0)
		base_die("out of memory");
	nftnl_set_set_u32(set, NFTNL_SET_ID, (uint32_t)id + 1);
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS, flags);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, key_type(s));
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, (uint32_t)table_key_bytes(id));
	if (s->value == FIELD_VERDICT) {
		nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, NFT_DATA_VERDICT);
		nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, 0);
	} else if (s->value != FIELD_NONE) {
		nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, fields[s->value].type);
		nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, fields[s->value].len);
	}
	if ((flags & NFT_SET_CONCAT_FLAG) != 0)
		set_concat(set, s);
	if (b->room != NULL && b->room[id] != 0)
		nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, b->room[id]);
	set_userdata(set, s);
	nftnl_set_nlmsg_build_payload(header, set);
	nft_build_end(b, header);
	nftnl_set_free(set);
}

void
nft_build_set(struct nft_build *b, enum table_set_id set, bool add)
{
	char name[NFT_SET_NAME_BYTES];

	if (add)
		add_set_message(b, set);
	else
		nft_build_no_other_set(b, nft_set_name(&b->copies, set, name));
}

void
nft_build_no_other_set(struct nft_build *b, const char *name)
{
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_DELSET, 0);

	mnl_attr_put_strz(header, NFTA_SET_TABLE, TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_SET_NAME, name);
	nft_build_end(b, header);
}

void
nft_build_flush(struct nft_build *b, enum table_set_id set)
{
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_DELSETELEM, 0);
	char name[NFT_SET_NAME_BYTES];

	mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
	mnl_attr_put_strz(
	    header, NFTA_SET_ELEM_LIST_SET, nft_set_name(&b->copies, set, name));
	nft_build_end(b, header);
}

/* ---- chains and rules ---- */

static const uint32_t hooks[] = {
    [HOOK_FORWARD] = NF_INET_FORWARD,
    [HOOK_INPUT] = NF_INET_LOCAL_IN,
    [HOOK_OUTPUT] = NF_INET_LOCAL_OUT,
    [HOOK_PREROUTING] = NF_INET_PRE_ROUTING,
    [HOOK_POSTROUTING] = NF_INET_POST_ROUTING,
};

static void
chain_message(struct nft_build *b, uint16_t type, uint16_t flags, const char *name,
    const struct table_chain *base)
{
	struct nftnl_chain *c = must(nftnl_chain_alloc());
	struct nlmsghdr *header = nft_build_begin(b, type, flags);

	if (nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, TABLE_NAME) != 0 ||
	    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name) != 0)
		base_die("out of memory");
	if (base != NULL && base->hook != HOOK_NONE) {
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hooks[base->hook]);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, base->priority);
		nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
		if (nftnl_chain_set_str(
			c, NFTNL_CHAIN_TYPE, base->nat ? "nat" : "filter") != 0)
			base_die("out of memory");
	}
	nftnl_chain_nlmsg_build_payload(header, c);
	nft_build_end(b, header);
	nftnl_chain_free(c);
}

static void
rule_comment(struct nftnl_rule *r, const char *comment)
{
	struct nftnl_udata_buf *buf;

	if (comment == NULL || comment[0] == '\0')
		return;
	buf = must(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
	if (!nftnl_udata_put_strz(buf, NFTNL_UDATA_RULE_COMMENT, comment) ||
	    nftnl_rule_set_data(r, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(buf),
		nftnl_udata_buf_len(buf)) != 0)
		base_die("no room for a comment");
	nftnl_udata_buf_free(buf);
}

/* At the end of the chain, or in the place of the one that has the handle. */
static void
rule_message(struct nft_build *b, const char *chain, const struct table_rule *source,
    const struct nft_counter *counted, uint64_t handle)
{
	struct nftnl_rule *r = must(nftnl_rule_alloc());
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_NEWRULE,
	    handle != 0 ? NLM_F_REPLACE : NLM_F_CREATE | NLM_F_APPEND);

	if (nftnl_rule_set_str(r, NFTNL_RULE_TABLE, TABLE_NAME) != 0 ||
	    nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, chain) != 0)
		base_die("out of memory");
	if (handle != 0)
		nftnl_rule_set_u64(r, NFTNL_RULE_HANDLE, handle);
	nft_rule_exprs(r, source, b, counted);
	rule_comment(r, source->comment);
	nftnl_rule_nlmsg_build_payload(header, r);
	nft_build_end(b, header);
	nftnl_rule_free(r);
}

void
nft_build_flush_other_chain(struct nft_build *b, const char *chain)
{
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_DELRULE, 0);

	mnl_attr_put_strz(header, NFTA_RULE_TABLE, TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_RULE_CHAIN, chain);
	nft_build_end(b, header);
}

void
nft_build_awake(struct nft_build *b)
{
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	mnl_attr_put_strz(header, NFTA_TABLE_NAME, TABLE_NAME);
	mnl_attr_put_u32(
	    header, NFTA_TABLE_FLAGS, htonl(nft_build_table_flags(b->owned)));
	nft_build_end(b, header);
}

/* A base chain that is there stays as it was made. */
void
nft_build_no_base_chains(struct nft_build *b)
{
	for (size_t i = 0; i < table_chain_count; i++) {
		const struct table_chain *chain = &table_chains[i];

		/* Adding what may be there already, so that deleting cannot fail. */
		if (chain->hook == HOOK_NONE || !table_chain_is_on(chain, &b->settings))
			continue;
		chain_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, chain->name, NULL);
		nft_build_no_other_chain(b, chain->name);
	}
}

void
nft_build_constant_chains(struct nft_build *b)
{
	for (size_t i = 0; i < table_chain_count; i++) {
		if (table_chain_is_on(&table_chains[i], &b->settings))
			chain_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE,
			    table_chains[i].name, &table_chains[i]);
	}
}

static void
constant_rules(struct nft_build *b, const struct table_chain *chain)
{
	for (size_t i = 0;
	     i < chain->rule_count && table_chain_is_on(chain, &b->settings); i++) {
		if (table_rule_is_on(&chain->rules[i], &b->settings))
			rule_message(b, chain->name, &chain->rules[i], NULL, 0);
	}
}

void
nft_build_chain_rules(struct nft_build *b, const struct table_chain *chain)
{
	if (!table_chain_is_on(chain, &b->settings))
		return;
	nft_build_flush_other_chain(b, chain->name);
	constant_rules(b, chain);
}

void
nft_build_rule(struct nft_build *b, const struct table_chain *chain,
    const struct table_rule *rule, uint64_t handle)
{
	rule_message(b, chain->name, rule, NULL, handle);
}

void
nft_build_chain(struct nft_build *b, uint32_t number)
{
	char name[NFT_CHAIN_NAME_BYTES];

	chain_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL,
	    nft_chain_name(number, name), NULL);
}

void
nft_build_flush_chain(struct nft_build *b, uint32_t number)
{
	char name[NFT_CHAIN_NAME_BYTES];

	nft_build_flush_other_chain(b, nft_chain_name(number, name));
}

void
nft_build_no_chain(struct nft_build *b, uint32_t number)
{
	char name[NFT_CHAIN_NAME_BYTES];

	nft_build_no_other_chain(b, nft_chain_name(number, name));
}

void
nft_build_no_other_chain(struct nft_build *b, const char *name)
{
	chain_message(b, NFT_MSG_DELCHAIN, 0, name, NULL);
}

void
nft_build_rule_chain(struct nft_build *b, const struct table_rule_chain *chain)
{
	struct table_rule rules[TABLE_RULE_CHAIN_RULES];
	const struct nft_counter *counted =
	    nft_counter_of(b->counted, b->counted_count, chain->number);
	size_t count = table_rule_chain_rules(chain, &b->settings, rules);
	char name[NFT_CHAIN_NAME_BYTES];

	(void)nft_chain_name(chain->number, name);
	for (size_t i = 0; i < count; i++) { /* one of them has a counter */
		if (nft_rule_is_known(&rules[i], b->lacks))
			rule_message(b, name, &rules[i], counted, 0);
	}
}

void
nft_build_no_table(struct nft_build *b)
{
	/* Adding what may be there already, so that deleting cannot fail. */
	nft_build_named_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, TABLE_NAME, 0);
	nft_build_named_table(b, NFT_MSG_DELTABLE, 0, TABLE_NAME, 0);
}

void
nft_build_adopt(struct nft_build *b)
{
	nft_build_named_table(
	    b, NFT_MSG_NEWTABLE, NLM_F_CREATE, TABLE_NAME, nft_build_table_flags(true));
}

void
nft_build_claim(struct nft_build *b)
{
	nft_build_named_table(
	    b, NFT_MSG_NEWTABLE, NLM_F_CREATE, TABLE_NAME "-daemon", NFT_OWNER);
}

void
nft_build_bare_table(struct nft_build *b)
{
	nft_build_named_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL,
	    TABLE_NAME, nft_build_table_flags(b->owned));
}

void
nft_build_table(struct nft_build *b)
{
	nft_build_no_table(b);
	nft_build_bare_table(b);
	for (size_t i = 0; i < SET_COUNT; i++)
		add_set_message(b, (enum table_set_id)i);
	nft_build_constant_chains(b);
	for (size_t i = 0; i < table_chain_count; i++)
		constant_rules(b, &table_chains[i]);
}
