/*
 * Replacing interval sets. A transaction is atomic for rules and for hash sets: at one
 * instant all of them are new. An interval set goes on answering with what it had until
 * the kernel is done with all the rest, some tenths of a millisecond later: packets in
 * between would be judged by half of each program, and what both forbid could pass. So an
 * interval set is never changed. A copy is made that no rule refers to; then, at one instant with
 * everything else, the rules come to refer to the copy; then the former one goes.
 */
#include <endian.h>
#include <stdlib.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "enforcer/kernel/nft_socket.h"

#define RULES_MOST 64 /* of a chain that is changed in place */

/* True if the operation is part of replacing an interval set. */
static bool
replaces(const struct op *op)
{
	return (op->kind == OP_FLUSH || op->kind == OP_ADD) &&
	       table_sets[op->set].interval;
}

bool
nft_swaps(const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (replaces(&batch->ops[i]))
			return true;
	}
	return false;
}

static void
make_swap(const struct nft *n, const struct op_batch *batch, struct nft_swap *out)
{
	*out = (struct nft_swap){.batch = batch, .next = n->copies};
	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		if (!replaces(op))
			continue;
		out->sets[op->set] = true;
		out->next.second[op->set] = !n->copies.second[op->set];
	}
}

void
nft_swap_all(const struct nft *n, const struct op_batch *batch, struct nft_swap *out)
{
	*out = (struct nft_swap){.batch = batch, .next = n->copies};
	for (int set = 0; set < SET_COUNT; set++) {
		out->sets[set] = !table_set_is_kernels((enum table_set_id)set);
		if (out->sets[set])
			out->next.second[set] = !n->copies.second[set];
	}
}

static void
build_sets(struct nft_build *b, const struct nft_swap *s, bool add)
{
	for (int set = 0; set < SET_COUNT; set++) {
		if (s->sets[set])
			nft_build_set(b, (enum table_set_id)set, add);
	}
}

int
nft_make_copies(struct nft *n, const struct nft_swap *s, uint32_t generation,
    struct nft_refusal *out_refusal, struct err *err)
{
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, s->batch->settings, &s->next, generation);
	build.room = s->batch->ops[0].room;
	build_sets(&build, s, true);
	for (size_t i = 0; i < s->batch->count; i++) {
		if (s->batch->ops[i].kind == OP_ADD && s->sets[s->batch->ops[i].set])
			nft_build_op(&build, s->batch, i);
	}
	return nft_commit(n, &build, generation, &now, out_refusal, err);
}

static bool
refers(const struct table_rule *rule, const bool *sets)
{
	for (size_t i = 0; i < rule->count; i++) {
		const struct table_stmt *stmt = &rule->stmts[i];

		if (stmt->load[0] != LOAD_NONE && sets[stmt->set])
			return true;
	}
	return false;
}

static bool
some_refer(const struct table_chain *chain, const bool *sets)
{
	for (size_t i = 0; i < chain->rule_count; i++) {
		if (refers(&chain->rules[i], sets))
			return true;
	}
	return false;
}

/* ---- rules in place ---- */

/* Handles of a chain's rules, in their order. */
struct handles {
	uint64_t items[RULES_MOST];
	size_t count;
};

static int
handle_attr(const struct nlattr *attr, void *arg)
{
	struct handles *h = arg;

	if (mnl_attr_get_type(attr) == NFTA_RULE_HANDLE &&
	    mnl_attr_validate(attr, MNL_TYPE_U64) >= 0) {
		if (h->count < ARRAY_LEN(h->items))
			h->items[h->count] = be64toh(mnl_attr_get_u64(attr));
		h->count++;
	}
	return MNL_CB_OK;
}

static int
handle_seen(const struct nlmsghdr *header, void *arg)
{
	return mnl_attr_parse(header, sizeof(struct nfgenmsg), handle_attr, arg);
}

static int
find_handles(struct nft *n, const struct table_chain *chain, struct handles *out,
    struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETRULE, true);

	out->count = 0;
	mnl_attr_put_strz(request, NFTA_RULE_TABLE, TABLE_NAME);
	mnl_attr_put_strz(request, NFTA_RULE_CHAIN, chain->name);
	return nft_request(n, request, handle_seen, out, err);
}

static size_t
count_on(const struct table_chain *chain, const struct table_settings *settings)
{
	size_t count = 0;

	for (size_t i = 0; i < chain->rule_count; i++)
		count += table_rule_is_on(&chain->rules[i], settings);
	return count;
}

/* Only rules that refer to what is swapped: for each that refers to a map the kernel goes
 * through all elements of the map. If the chain is not as it should be, it is made anew. */
static void
refer_in_chain(struct nft_build *b, const struct nft_swap *s,
    const struct table_chain *chain, const struct handles *handles)
{
	size_t at = 0;

	if (handles->count > RULES_MOST ||
	    handles->count != count_on(chain, &b->settings)) {
		nft_build_chain_rules(b, chain);
		return;
	}
	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct table_rule *rule = &chain->rules[i];

		if (!table_rule_is_on(rule, &b->settings))
			continue;
		if (refers(rule, s->sets))
			nft_build_rule(b, chain, rule, handles->items[at]);
		at++;
	}
}

static bool
changes(const struct nft_swap *s, const struct table_chain *chain)
{
	return table_chain_is_on(chain, &s->batch->settings) &&
	       some_refer(chain, s->sets);
}

static int
refer_to_copies(struct nft *n, const struct nft_swap *s, uint32_t generation,
    struct nft_refusal *out_refusal, struct err *err)
{
	struct handles *all = xcalloc(table_chain_count, sizeof(*all));
	const bool anew = s->batch->ops[0].kind == OP_RULES; /* all rules are built */
	struct nft_build build;
	uint32_t now;
	int rc = 0;

	for (size_t i = 0; i < table_chain_count && rc == 0; i++) {
		if (!anew && changes(s, &table_chains[i]))
			rc = find_handles(n, &table_chains[i], &all[i], err);
	}
	if (rc != 0)
		goto out;
	nft_begin(n, &build, s->batch->settings, &s->next, generation);
	build.chains_there = true;
	for (size_t i = 0; i < table_chain_count; i++) {
		if (!anew && changes(s, &table_chains[i]))
			refer_in_chain(&build, s, &table_chains[i], &all[i]);
	}
	for (size_t i = 0; i < s->batch->count; i++) {
		if (!replaces(&s->batch->ops[i]))
			nft_build_op(&build, s->batch, i);
	}
	rc = nft_commit(n, &build, generation, &now, out_refusal, err);
out:
	free(all);
	return rc;
}

static int
delete_copies(struct nft *n, const struct nft_swap *s, const struct nft_copies *copies,
    struct err *err)
{
	struct nft_refusal refusal;
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, s->batch->settings, copies, 0);
	build_sets(&build, s, false);
	return nft_commit(n, &build, 0, &now, &refusal, err);
}

uint32_t
nft_later(uint32_t generation, unsigned commits)
{
	for (; generation != 0 && commits > 0; commits--)
		generation +=
		    generation == UINT32_MAX ? 2 : 1; /* as the kernel counts */
	return generation;
}

int
nft_apply_swap(struct nft *n, const struct op_batch *batch, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	const struct nft_copies former = n->copies;
	struct nft_swap s;
	int rc;

	make_swap(n, batch, &s);
	rc = nft_make_copies(n, &s, generation, out_refusal, err);
	if (rc != 0) {
		n->copies_known = false; /* an answer may have been lost */
		return rc;
	}
	rc = refer_to_copies(n, &s, nft_later(generation, 1), out_refusal, err);
	if (rc != 0) {
		struct err other = ERR_INIT;
		int left = delete_copies(n, &s, &s.next, &other);

		(void)left; /* then both are found, and the table is made anew */
		n->copies_known = false;
		return rc;
	}
	n->copies = s.next;
	rc = delete_copies(n, &s, &former, err);
	if (rc != 0) {
		n->copies_known = false;
		return rc;
	}
	/* If others were in between, the real one tells whoever compares. */
	*out_generation = nft_later(generation, 3);
	return generation != 0 ? 0 : nft_generation(n, out_generation, err);
}
