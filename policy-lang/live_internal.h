/*
 * Between live.c (sources: read, replaced) and live_model.c (the arrays and maps of the
 * model that they are put into) only.
 */
#ifndef POLICY_LANG_LIVE_INTERNAL_H
#define POLICY_LANG_LIVE_INTERNAL_H

#include "policy-lang/live.h"
#include "policy-lang/load_internal.h"

/* What a source says. */
struct live_file {
	const struct source *source;
	struct arena
	    *arena; /* of all of it; NULL: the base's, which was loaded whole */
	bool other; /* has objects that no edit can take away */
	struct workload **workloads;
	size_t workload_count;
	struct policy *
	    *policies; /* audit policies of a base that leaves them out are not */
	size_t policy_count;
	size_t left_out;  /* of the base: how many */
	uint64_t *claims; /* of its objects' names; on the heap */
	size_t claim_count;
	uint32_t *numbers; /* of its rules, when they are put in; on the heap */
	size_t number_count;
};

/* Workloads that have the same address, but for the one that keeps it. */
struct live_sharers {
	char key[MODEL_ADDRESS_KEY_BYTES];
	size_t count, cap;
	struct workload **items;
};

struct live {
	struct arena *arena; /* borrowed: of the base */
	struct model *model;
	struct map files;  /* by name */
	struct map claims; /* hash of kind, namespace and name -> live_file */
	struct roaring_bitmap_s *numbers;
	bool collided;
	struct map shared; /* key of an address -> live_sharers */
	struct ptr_vec
	    free_keys[2]; /* of addresses that nobody has any more, by family */
	size_t workload_cap, policy_cap; /* of the model's arrays, on the heap */
	struct live_file **garbage;
	size_t garbage_count, garbage_cap;
	size_t edited_bytes;
};

MUST_CHECK struct live_file *live_file_of(
    const struct live *l, const struct source *source);

/* False for an audit policy that the model leaves out. */
MUST_CHECK bool live_in_force(const struct live *l, const struct policy *p);

/* ---- live_model.c ---- */

void live_hold_arrays(struct live *l);
void live_free_arrays(struct live *l);
void live_index_shared(struct live *l);
void live_free_shared(struct live *l);
/* Objects out of the model and into it; true: policies were among them, and
 * load_link_policies is to be called. An address that another has is warned of. */
MUST_CHECK bool live_take_out(struct live *l, const struct live_file *f);
MUST_CHECK bool live_put_in(
    struct live *l, const struct live_file *f, struct diag_list *diags);

#endif
