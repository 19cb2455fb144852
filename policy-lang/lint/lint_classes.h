/*
 * Between lint*.c only: workloads to which the same policies apply, as classes; and the
 * evaluator asked about one of each. Workloads of different top-level namespaces, and pods
 * and native workloads, are never one class.
 */
#ifndef POLICY_LANG_LINT_CLASSES_H
#define POLICY_LANG_LINT_CLASSES_H

#include "common/limits.h"
#include "policy-lang/evaluate/evaluate_walk.h"
#include "policy-lang/lint/lint_internal.h"

struct lint_class {
	uint32_t first; /* a slot that stands for it */
	uint32_t size;
	struct policy **policies; /* that apply, in evaluation order of each level */
	size_t policy_count, policy_cap;
};

struct lint_classes {
	struct lint *lint;
	struct lint_class *items;
	size_t count, cap;
	uint32_t *of_slot;
	struct roaring_bitmap_s *firsts; /* the slots that stand for classes */
};

/* False, with nothing to free, if there is more to do than a lint may. */
MUST_CHECK bool lint_classes_init(struct lint_classes *c, struct lint *lint);
void lint_classes_fini(struct lint_classes *c);

/*
 * Judges a connection of a workload (by its slot) to an end, in whatever family lets it
 * through. False: *out_verdict is why, in *out_dir. The other end's ingress is judged if
 * it is a workload with a slot.
 */
MUST_CHECK bool lint_classes_allowed(const struct lint_classes *c, uint32_t src,
    const struct endpoint *dst, uint8_t proto, uint16_t port,
    struct verdict *out_verdict, enum direction *out_dir);

#endif
