/*
 * A table that is there comes to hold what a batch says, without a moment in which it holds
 * neither: what is there may be a former program, what another version made, what others
 * have changed, or what was left when a process ended amid a swap. Copies of all sets are made
 * first; then, at one instant, the rules become others, which refer to the copies; then what was
 * goes. Less is not enough:
 * - A new table's interval sets answer nothing until the whole commit is done.
 * - Of an element that is deleted and added again in one transaction, the kernel takes the
 *   former away at once: a look-up that began before may have passed the new one when it was
 *   not in force yet, and finds neither.
 * - A packet goes on with the rules that were there when it came, and with elements as they
 *   are now: it must find those that its rules are about.
 */
#include <stdlib.h>

#include "common/sorted.h"
#include "enforcer/kernel/nft_there.h"

static bool
is_kept(const struct nft_kept *kept, uint32_t number)
{
	return u32_find(number, kept->numbers, kept->count, sizeof(*kept->numbers)) !=
	       NULL;
}

/* Chains first, then rules: those of limits refer to each other. */
static void
build_chains(struct nft_build *b, const struct op_batch *batch,
    const struct nft_there *there, const struct nft_kept *kept)
{
	nft_build_constant_chains(b);
	for (size_t i = 0; i < there->other_chains.count; i++)
		nft_build_flush_other_chain(b, there->other_chains.names[i]);
	for (size_t i = 0; i < there->count; i++) {
		if (!is_kept(kept, there->numbers[i]))
			nft_build_flush_chain(b, there->numbers[i]);
	}
	for (size_t i = 1; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		b->now.op = (uint32_t)i;
		if (op->kind == OP_CHAIN_ADD &&
		    !nft_there_has(there, op->chain->number))
			nft_build_chain(b, op->chain->number);
	}
	for (size_t i = 1; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		b->now.op = (uint32_t)i;
		if (op->kind == OP_CHAIN_ADD && !is_kept(kept, op->chain->number))
			nft_build_rule_chain(b, op->chain);
	}
	b->now.op = NFT_NO_OP;
	for (size_t i = 0; i < table_chain_count; i++)
		nft_build_chain_rules(b, &table_chains[i]);
}

/* Maps of verdicts refer to chains, which come with them. */
static bool
comes_late(enum table_set_id set)
{
	return table_sets[set].value == FIELD_VERDICT;
}

static void
build_late_maps(struct nft_build *b, const struct nft_swap *s)
{
	for (int set = 0; set < SET_COUNT; set++) {
		if (s->sets[set] && comes_late((enum table_set_id)set))
			nft_build_set(b, (enum table_set_id)set, true);
	}
}

static void
build_late_elements(struct nft_build *b, const struct op_batch *batch)
{
	for (size_t i = 1; i < batch->count; i++) {
		if (batch->ops[i].kind == OP_ADD && comes_late(batch->ops[i].set))
			nft_build_op(b, batch, i);
	}
}

/* What is in force becomes another: the rules refer to copies that are there. */
static int
refer(struct nft *n, const struct nft_swap *s, const struct nft_there *there,
    const struct nft_kept *kept, bool hooks, struct nft_refusal *out_refusal,
    struct err *err)
{
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, s->batch->settings, &s->next, 0);
	build.room = s->batch->ops[0].room;
	nft_build_awake(&build);
	build_late_maps(&build, s);
	if (hooks)
		nft_build_no_base_chains(&build);
	build_chains(&build, s->batch, there, kept);
	build_late_elements(&build, s->batch);
	return nft_commit(n, &build, 0, &now, out_refusal, err);
}

/* Chains that the batch has not; its own follow the first operation, sorted as those are. */
static void
build_no_chains(
    struct nft_build *b, const struct op_batch *batch, const struct nft_there *there)
{
	size_t at = 1;

	for (size_t i = 0; i < there->count; i++) {
		while (at < batch->count && batch->ops[at].kind == OP_CHAIN_ADD &&
		       batch->ops[at].chain->number < there->numbers[i])
			at++;
		if (at == batch->count || batch->ops[at].kind != OP_CHAIN_ADD ||
		    batch->ops[at].chain->number != there->numbers[i])
			nft_build_no_chain(b, there->numbers[i]);
	}
}

/* What nothing refers to any more goes. Sets may refer to chains. */
static int
sweep(struct nft *n, const struct nft_swap *former, const struct nft_there *there,
    struct err *err)
{
	const struct op_batch *batch = former->batch;
	struct nft_refusal refusal;
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, batch->settings, &former->next, 0);
	for (int set = 0; set < SET_COUNT; set++) {
		if (former->sets[set])
			nft_build_set(&build, (enum table_set_id)set, false);
	}
	for (size_t i = 0; i < there->other_sets.count; i++)
		nft_build_no_other_set(&build, there->other_sets.names[i]);
	build_no_chains(&build, batch, there);
	for (size_t i = 0; i < there->other_chains.count; i++)
		nft_build_no_other_chain(&build, there->other_chains.names[i]);
	return nft_commit(n, &build, 0, &now, &refusal, err);
}

/* What is missing is made with the copies; *out_former are those that there are. */
static void
make_swap(struct nft *n, const struct op_batch *batch, const struct nft_there *there,
    struct nft_swap *out, struct nft_swap *out_former)
{
	for (size_t set = 0; set < SET_COUNT; set++)
		n->copies.second[set] = there->sets[set][1];
	nft_swap_all(n, batch, out);
	*out_former = *out;
	out_former->next = n->copies;
	for (size_t set = 0; set < SET_COUNT; set++) {
		if (there->sets[set][0] || there->sets[set][1])
			continue;
		out->sets[set] = true;
		out->next.second[set] = false;
		out_former->sets[set] = false;
	}
}

/* `there` is without spare copies. */
static int
restore(struct nft *n, const struct op_batch *batch, const struct nft_there *there,
    const struct nft_kept *kept, bool hooks, struct nft_refusal *out_refusal,
    struct err *err)
{
	struct nft_swap swap, former, early;
	int rc;

	make_swap(n, batch, there, &swap, &former);
	early = swap;
	for (int set = 0; set < SET_COUNT; set++)
		early.sets[set] &= !comes_late((enum table_set_id)set);
	rc = nft_make_copies(n, &early, 0, out_refusal, err);
	if (rc == 0)
		rc = refer(n, &swap, there, kept, hooks, out_refusal, err);
	if (rc != 0)
		return rc;
	n->copies = swap.next;
	return sweep(n, &former, there, err);
}

int
nft_restore(struct nft *n, const struct op_batch *batch, bool hooks,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	struct nft_there there;
	struct nft_kept kept = {.numbers = NULL};
	int rc = nft_there_find(n, &batch->settings, &there, err);

	if (rc == 0)
		rc = nft_there_drop_spare(n, &there, err);
	if (rc == 0)
		rc = nft_find_kept(n, batch, &kept, err);
	if (rc == 0)
		rc = restore(n, batch, &there, &kept, hooks, out_refusal, err);
	nft_there_free(&there);
	free(kept.numbers);
	n->copies_known = rc == 0;
	return rc == 0 ? nft_generation(n, out_generation, err) : rc;
}
