/*
 * A table that is there, and holds nobody knows quite what of a former program, comes to
 * hold what a batch says, without a moment in which it holds neither. Deleting it and
 * making it anew in one transaction is not enough: a new table's interval sets answer nothing
 * until the whole commit is done, which takes long when there is much in it.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "enforcer/nft_socket.h"

/* ---- what chains there are ---- */

struct chains {
	uint32_t *numbers; /* of rule chains; sorted */
	size_t count, cap;
	bool foreign; /* others that we would not make */
};

struct chain_names {
	const char *table, *chain;
};

static int
name_attr(const struct nlattr *attr, void *arg)
{
	struct chain_names *names = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if ((type == NFTA_CHAIN_TABLE || type == NFTA_CHAIN_NAME) &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*(type == NFTA_CHAIN_TABLE ? &names->table : &names->chain) =
		    mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static bool
is_constant(const char *name)
{
	for (size_t i = 0; i < table_chain_count; i++) {
		if (strcmp(table_chains[i].name, name) == 0)
			return true;
	}
	return false;
}

static int
chain_seen(const struct nlmsghdr *header, void *arg)
{
	struct chains *c = arg;
	struct chain_names names = {NULL, NULL};
	uint32_t number;

	if (mnl_attr_parse(header, sizeof(struct nfgenmsg), name_attr, &names) < 0 ||
	    names.table == NULL || names.chain == NULL ||
	    strcmp(names.table, TABLE_NAME) != 0)
		return MNL_CB_OK;
	if (!nft_chain_number(names.chain, &number)) {
		c->foreign = c->foreign || !is_constant(names.chain);
		return MNL_CB_OK;
	}
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : c->cap * 2;
		c->numbers = xreallocarray(c->numbers, c->cap, sizeof(*c->numbers));
	}
	c->numbers[c->count++] = number;
	return MNL_CB_OK;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int
find_chains(struct nft *n, struct chains *out, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETCHAIN, true);
	int rc = nft_request(n, request, chain_seen, out, err);

	if (rc == 0 && out->foreign)
		rc = err_set(err, ERR_STALE, "the table has chains of others");
	if (rc == 0 && out->count != 0)
		qsort(out->numbers, out->count, sizeof(*out->numbers), compare_numbers);
	return rc;
}

static bool
is_there(const struct chains *c, uint32_t number)
{
	return c->count != 0 && bsearch(&number, c->numbers, c->count,
				    sizeof(*c->numbers), compare_numbers) != NULL;
}

/* ---- the transaction ---- */

static bool
wants(const struct op_batch *batch, uint32_t number)
{
	size_t lo = 1, hi = 1; /* the chains follow the first operation, sorted */

	while (hi < batch->count && batch->ops[hi].kind == OP_CHAIN_ADD)
		hi++;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint32_t here = batch->ops[mid].chain->number;

		if (here == number)
			return true;
		if (here < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool
is_kept(const struct nft_kept *kept, uint32_t number)
{
	for (size_t i = 0; i < kept->count; i++) {
		if (kept->numbers[i] == number)
			return true;
	}
	return false;
}

/* Chains first, then rules: those of limits refer to each other. */
static void
build_chains(struct nft_build *b, const struct op_batch *batch, const struct chains *c,
    const struct nft_kept *kept)
{
	nft_build_constant_chains(b);
	for (size_t i = 0; i < c->count; i++) {
		if (!is_kept(kept, c->numbers[i]))
			nft_build_flush_chain(b, c->numbers[i]);
	}
	for (size_t i = 1; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		b->now.op = (uint32_t)i;
		if (op->kind == OP_CHAIN_ADD && !is_there(c, op->chain->number))
			nft_build_chain(b, op->chain->number);
	}
	for (size_t i = 1; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		b->now.op = (uint32_t)i;
		if (op->kind == OP_CHAIN_ADD && !is_kept(kept, op->chain->number))
			nft_build_rule_chain(b, op->chain);
	}
	for (size_t i = 0; i < table_chain_count; i++)
		nft_build_chain_rules(b, &table_chains[i]);
}

/* Everything but sets whose copies are there already, and what only the kernel knows of
 * limits. */
static int
refill(struct nft *n, const struct nft_swap *s, const struct chains *c,
    const struct nft_kept *kept, struct nft_refusal *out_refusal, struct err *err)
{
	const struct op_batch *batch = s->batch;
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, batch->settings, &s->next, 0);
	nft_build_awake(&build);
	build_chains(&build, batch, c, kept);
	for (int set = 0; set < SET_COUNT; set++) {
		if (!s->sets[set] && !table_set_is_kernels((enum table_set_id)set))
			nft_build_flush(&build, (enum table_set_id)set);
	}
	for (size_t i = 1; i < batch->count; i++) {
		if (batch->ops[i].kind == OP_ADD && !s->sets[batch->ops[i].set])
			nft_build_op(&build, batch, i);
	}
	for (size_t i = 0; i < c->count; i++) {
		if (!wants(batch, c->numbers[i]))
			nft_build_no_chain(&build, c->numbers[i]);
	}
	return nft_commit(n, &build, 0, &now, out_refusal, err);
}

int
nft_restore(struct nft *n, const struct op_batch *batch, uint32_t *out_generation,
    struct nft_refusal *out_refusal, struct err *err)
{
	struct chains chains = {.numbers = NULL};
	struct nft_kept kept = {.numbers = NULL};
	struct nft_copies former;
	struct nft_swap swap;
	int rc = nft_find_copies(n, err);

	if (rc == 0)
		rc = find_chains(n, &chains, err);
	if (rc == 0)
		rc = nft_find_kept(n, batch, &kept, err);
	if (rc == 0) {
		former = n->copies;
		nft_swap_all(n, batch, &swap);
		rc = nft_make_copies(n, &swap, 0, out_refusal, err);
	}
	if (rc == 0) {
		rc = refill(n, &swap, &chains, &kept, out_refusal, err);
		if (rc == 0) {
			n->copies = swap.next;
			rc = nft_delete_copies(n, &swap, &former, err);
		}
	}
	free(chains.numbers);
	free(kept.numbers);
	n->copies_known = rc == 0;
	return rc == 0 ? nft_generation(n, out_generation, err) : rc;
}
