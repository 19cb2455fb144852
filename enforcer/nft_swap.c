/*
 * Replacing interval sets. A transaction is atomic for rules and for hash sets: at one
 * instant all of them are new. An interval set goes on answering with what it had until
 * the kernel is done with all the rest, some tenths of a millisecond later: packets in
 * between would be judged by half of each program, and what both forbid could pass. So an
 * interval set is never changed. A copy is made that no rule refers to; then, at one instant with
 * everything else, the rules come to refer to the copy; then the former one goes.
 */
#include "enforcer/nft_socket.h"

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
refers(const struct table_chain *chain, const bool *sets)
{
	for (size_t r = 0; r < chain->rule_count; r++) {
		for (size_t s = 0; s < chain->rules[r].count; s++) {
			const struct table_stmt *stmt = &chain->rules[r].stmts[s];

			if (stmt->load[0] != LOAD_NONE && sets[stmt->set])
				return true;
		}
	}
	return false;
}

static int
refer_to_copies(struct nft *n, const struct nft_swap *s, uint32_t generation,
    struct nft_refusal *out_refusal, struct err *err)
{
	const bool all = s->batch->ops[0].kind == OP_RULES; /* are built anyway */
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, s->batch->settings, &s->next, generation);
	build.chains_there = true;
	for (size_t i = 0; i < table_chain_count; i++) {
		if (!all && refers(&table_chains[i], s->sets))
			nft_build_chain_rules(&build, &table_chains[i]);
	}
	for (size_t i = 0; i < s->batch->count; i++) {
		if (!replaces(&s->batch->ops[i]))
			nft_build_op(&build, s->batch, i);
	}
	return nft_commit(n, &build, generation, &now, out_refusal, err);
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
