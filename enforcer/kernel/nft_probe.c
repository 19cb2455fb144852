/*
 * What the kernel knows: each question is a transaction with a scratch table, which is gone
 * at its end; what is not known is refused as not found, or not supported.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "enforcer/kernel/nft_expr.h"
#include "enforcer/kernel/nft_socket.h"

#define CHAIN "probe"

struct scratch {
	struct nft_build *b;
	char name[sizeof(TABLE_NAME) + 24];
};

static struct scratch
begin(struct nft_build *b, bool owned)
{
	struct scratch s = {.b = b};

	(void)snprintf(
	    s.name, sizeof(s.name), TABLE_NAME "-probe-%ld", (long)getpid()); /* fits */
	nft_build_named_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, s.name,
	    nft_build_table_flags(owned));
	return s;
}

static void
end(struct scratch *s)
{
	nft_build_named_table(s->b, NFT_MSG_DELTABLE, 0, s->name, 0);
}

enum scratch_chain {
	REGULAR,
	TRANSLATES, /* where sources are put on */
	FORWARDS
};

static const struct {
	const char *type;
	uint32_t hook;
	int32_t priority;
} scratch_chains[] = {
    [TRANSLATES] = {"nat", NF_INET_POST_ROUTING, TABLE_PRIORITY_SNAT},
    [FORWARDS] = {"filter", NF_INET_FORWARD, TABLE_PRIORITY},
};

static void
add_chain(struct scratch *s, enum scratch_chain kind)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *header =
	    nft_build_begin(s->b, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);

	if (c == NULL || nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, s->name) != 0 ||
	    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, CHAIN) != 0)
		base_die("out of memory");
	if (kind != REGULAR) {
		nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, scratch_chains[kind].hook);
		nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, scratch_chains[kind].priority);
		if (nftnl_chain_set_str(
			c, NFTNL_CHAIN_TYPE, scratch_chains[kind].type) != 0)
			base_die("out of memory");
	}
	nftnl_chain_nlmsg_build_payload(header, c);
	nft_build_end(s->b, header);
	nftnl_chain_free(c);
}

static struct nftnl_rule *
new_rule(const struct scratch *s)
{
	struct nftnl_rule *r = nftnl_rule_alloc();

	if (r == NULL || nftnl_rule_set_str(r, NFTNL_RULE_TABLE, s->name) != 0 ||
	    nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, CHAIN) != 0)
		base_die("out of memory");
	return r;
}

static void
add_rule(struct scratch *s, struct nftnl_rule *r)
{
	struct nlmsghdr *header =
	    nft_build_begin(s->b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

	nftnl_rule_nlmsg_build_payload(header, r);
	nft_build_end(s->b, header);
	nftnl_rule_free(r);
}

static void
add_limit(struct scratch *s, bool rate)
{
	const struct table_rule rule = {.count = 1,
	    .stmts = {{.kind = rate ? STMT_LIMIT : STMT_CT_COUNT,
		.value = 1,
		.bucket = {.rate = rate, .unit_s = 1, .burst = 1}}}};
	struct nftnl_rule *r = new_rule(s);

	nft_rule_exprs(r, &rule, s->b, NULL);
	add_rule(s, r);
}

/* Any number becomes a slot by hash, and by chance, and is put on as an address. */
static void
add_nat(struct scratch *s)
{
	struct nftnl_rule *r = new_rule(s);

	nft_expr_meta(r, NFT_META_PRIORITY, NFT_REG_1);
	nft_expr_hash(r, NFT_REG_1, sizeof(uint32_t), TABLE_SLOTS, NFT_REG_1);
	nft_expr_random(r, TABLE_SLOTS, NFT_REG_1);
	nft_expr_nat(r, NFT_NAT_SNAT, FIELD_IPV4);
	add_rule(s, r);
	r = new_rule(s);
	(void)nft_expr_new(r, "masq"); /* has nothing to be set */
	add_rule(s, r);
}

void
nft_build_probe(struct nft_build *b)
{
	struct scratch s = begin(b, true);

	end(&s);
}

static void
probe_rates(struct nft_build *b)
{
	struct scratch s = begin(b, false);

	add_chain(&s, REGULAR);
	add_limit(&s, true);
	end(&s);
}

static void
probe_counts(struct nft_build *b)
{
	struct scratch s = begin(b, false);

	add_chain(&s, REGULAR);
	add_limit(&s, false);
	end(&s);
}

static void
probe_nat(struct nft_build *b)
{
	struct scratch s = begin(b, false);

	add_chain(&s, TRANSLATES);
	add_nat(&s);
	end(&s);
}

/* Where the table asks for it: older kernels know it in other hooks alone. */
static void
probe_fib(struct nft_build *b)
{
	struct scratch s = begin(b, false);
	struct nftnl_rule *r = new_rule(&s);

	add_chain(&s, FORWARDS);
	nft_expr_came_by(r, NFTA_FIB_F_MARK);
	add_rule(&s, r);
	end(&s);
}

int
nft_find_lacks(struct nft *n, unsigned *out_lacks, struct err *err)
{
	static const struct {
		enum op_lack lack;
		void (*fill)(struct nft_build *b);
	} probes[] = {
	    {OP_LACKS_RATES, probe_rates},
	    {OP_LACKS_COUNTS, probe_counts},
	    {OP_LACKS_NAT, probe_nat},
	    {OP_LACKS_FIB, probe_fib},
	};
	int rc = 0;

	n->lacks = 0;
	for (size_t i = 0; i < ARRAY_LEN(probes) && rc == 0; i++) {
		struct nft_refusal refusal = {0};

		rc = nft_run_small(n, probes[i].fill, &refusal, err);
		if (refusal.sys != ENOENT && refusal.sys != EOPNOTSUPP)
			continue;
		n->lacks |= probes[i].lack;
		rc = 0;
	}
	*out_lacks = n->lacks;
	return rc;
}
