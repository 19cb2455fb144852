/*
 * Between compile_subjects.c and compile_profiles.c: local workloads, and the policies that
 * each is the subject of.
 */
#ifndef POLICY_LANG_COMPILE_SUBJECTS_H
#define POLICY_LANG_COMPILE_SUBJECTS_H

#include "policy-lang/compile/compile_route.h"

/* A policy that some local workload is the subject of. */
struct used_policy {
	const struct policy *policy; /* one with names: of some tenant */
	/* Where its lists begin in side->rules: by direction and phase. */
	uint32_t first[DIRECTION_COUNT][3];
};

struct local {
	const struct workload *workload;
	uint32_t slot;
	uint32_t *policies; /* numbers of used policies, root first */
	size_t count, cap;
};

struct subjects {
	struct compiler *c;
	struct local host;    /* the node itself; its policies, if it has any */
	struct local *locals; /* by slot */
	uint32_t local_count;
	const struct ns **namespaces; /* of a local or above one; parents first */
	size_t ns_count;
	struct label_index *labels;    /* of locals */
	struct label_index *ns_labels; /* of their namespaces */
	struct used_policy *used;
	size_t used_count, used_cap;
};

/* Finds them; c->locals, the sides' rules and the numbers of verdicts are filled in. */
void subjects_find(struct subjects *b, struct compiler *c);
void subjects_fini(struct subjects *b);

#endif
