#include <stdlib.h>

#include "enforcer/kernel/kernel_state.h"
#include "enforcer/wire/blob.h"

#define OBSERVE_TRIES 5 /* while others change the ruleset */

void
kernel_apply(struct kernel *k, const struct proc_msg *msg)
{
	struct nft_refusal refusal = NFT_NO_REFUSAL;
	struct op_batch batch = {0};
	struct err err = ERR_INIT;
	struct proc_reader r;
	struct blob blob = {0};
	struct buf body = {0};
	uint32_t planned, generation = 0;
	int rc;

	proc_reader_init(&r, msg);
	planned = proc_get_u32(&r);
	rc = blob_get(&r, msg, OP_MAX_BATCH_BYTES, &blob, &err);
	if (rc == 0)
		rc = op_decode(k->arena, (const uint8_t *)blob.data.ptr, blob.data.len,
		    &batch, &err);
	if (rc == 0 && batch.settings.steer_mask != k->settings.steering.mask)
		rc = err_set(&err, ERR_INVALID, "marks outside the configured mask");
	if (rc == 0 && batch.settings.no_nat != ((k->lacks & OP_LACKS_NAT) != 0))
		rc = err_set(
		    &err, ERR_INVALID, "translation is not what the kernel has");
	if (rc == 0)
		rc = nft_apply(k->nft, &batch, planned, &generation, &refusal, &err);
	blob_free(&blob);
	if (rc == 0)
		k->generation = generation;
	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u32(&body, generation);
	proc_put_u32(&body, (uint32_t)refusal.op);
	proc_put_u32(&body, (uint32_t)refusal.element);
	proc_put_u32(&body, (uint32_t)refusal.sys);
	kernel_put_outcome(&body, rc, &err);
	kernel_answer(k, MSG_APPLIED, msg->id, &body, -1);
	buf_free(&body);
}

/* Reads the table at rest: the generation is the same before and after. */
static int
observe_at_rest(struct kernel *k, bool elements, struct nft_observed *out,
    uint32_t *out_generation, struct err *err)
{
	uint32_t before = 0, after = 0;
	int rc = ERR_STALE;

	for (unsigned i = 0; i < OBSERVE_TRIES && rc == ERR_STALE; i++) {
		arena_reset(k->arena);
		rc = nft_generation(k->nft, &before, err);
		if (rc == 0)
			rc = elements ? nft_observe(k->nft, k->arena, out, err)
				      : nft_observe_rules(k->nft, k->arena, out, err);
		if (rc == 0)
			rc = nft_generation(k->nft, &after, err);
		if (rc == 0 && before != after)
			rc = err_set(
			    err, ERR_STALE, "the ruleset changed while it was read");
	}
	*out_generation = before;
	return rc;
}

/* The observed table in the form of a batch that would add it all. */
static void
encode_observed(struct kernel *k, const struct nft_observed *observed, struct buf *out)
{
	size_t chains = observed->rule_chain_count;
	struct op_batch batch = {0};
	struct table_rule_chain *all =
	    ARENA_ARRAY(k->arena, chains, struct table_rule_chain);

	batch.ops = ARENA_ARRAY(k->arena, SET_COUNT + chains, struct op);
	for (size_t i = 0; i < SET_COUNT; i++) {
		if (observed->element_count[i] != 0)
			batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
			    .set = (enum table_set_id)i,
			    .elements = observed->elements[i],
			    .element_count = observed->element_count[i]};
	}
	for (size_t i = 0; i < chains; i++) {
		all[i].number = observed->rule_chains[i];
		all[i].comment = "";
		batch.ops[batch.count++] =
		    (struct op){.kind = OP_CHAIN_DELETE, .chain = &all[i]};
	}
	op_encode(out, &batch);
}

void
kernel_observe(struct kernel *k, const struct proc_msg *msg)
{
	const bool elements = msg->type != MSG_OBSERVE_RULES;
	struct nft_observed observed = {0};
	struct err err = ERR_INIT;
	struct buf head = {0}, data = {0};
	uint32_t generation = 0;
	int rc = observe_at_rest(k, elements, &observed, &generation, &err);

	if (rc == 0 || rc == ERR_STALE)
		encode_observed(k, &observed, &data);
	proc_put_u32(&head, generation);
	buf_add(&head, observed.rules_digest, sizeof(observed.rules_digest));
	kernel_answer_blob(k, MSG_OBSERVED, msg->id, rc, &head, &data, &err);
}

void
kernel_count(struct kernel *k, const struct proc_msg *msg)
{
	struct nft_counter *counters = NULL;
	struct err err = ERR_INIT;
	struct buf head = {0}, data = {0};
	size_t n = 0;
	int rc = nft_counters(k->nft, &counters, &n, &err);

	for (size_t i = 0; i < n; i++) {
		proc_put_u32(&data, counters[i].number);
		proc_put_u64(&data, counters[i].packets);
		proc_put_u64(&data, counters[i].bytes);
	}
	free(counters);
	kernel_answer_blob(k, MSG_COUNTED, msg->id, rc, &head, &data, &err);
}

void
kernel_watch_generation(struct kernel *k)
{
	struct err err = ERR_INIT;
	struct buf body = {0};
	uint32_t generation;

	if (k->engine.fd < 0 || nft_generation(k->nft, &generation, &err) != 0 ||
	    generation == k->generation)
		return;
	k->generation = generation;
	proc_put_u32(&body, generation);
	kernel_answer(k, MSG_GENERATION, 0, &body, -1);
	buf_free(&body);
}
