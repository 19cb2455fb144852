/*
 * Compiling again after a change: only what the change touches is computed, and what comes
 * of it is told as a difference. At every moment the whole content equals, byte for byte,
 * what compile_node makes of the same model; or, where rules are kept that no workload of
 * the node is held to (compile_state_keeps), it tells more peers apart than that would, and
 * does the same to every packet.
 *
 * A change of somebody else's workload, or of the labels of its namespace, changes the
 * classes of a few addresses: each is looked at anew, against the peer sets that the node's
 * own rules speak of. A class that gets its first address, or loses its last, brings or
 * takes the cells of that class. That costs some microseconds per address and set, however
 * many workloads and policies there are. A policy whose subject is no workload of this node
 * costs a look at its subject. An address that a tenant learns by a name, or forgets, is one
 * address like those of workloads. A workload of this node that comes or goes costs what the
 * program has of it, where another here is held to the same rules or was the last that was,
 * and no Route and no Quota asks who is here. What else touches a workload of this node or
 * its rules costs what the node's own program does, not the cluster: its workloads' rules
 * are found out again, and every address keeps its place among them; only sets of peers that
 * nobody spoke of before are looked for. A node costs its addresses. What Routes say for the node is found
 * out again as well, for its own workloads and for those that Routes may be about: those at
 * or below Routes that publish, or that leave by this node; the first Route that leads out, and
 * the last, cost an element for each address. What connections go through
 * (`via`) stays as it was, unless the change is of a client, a server, or what is between
 * them: then it is found out again for all of these. With a program that is very large, or
 * Routes about very many, such changes compile anew, which is told, too.
 *
 * What this asks of the model: an object that changed is another object, and one that did
 * not stays where it is, with all that it refers to, for as long as the state lives. So does
 * the source that its place refers to. What was replaced is let go of by the update that is
 * told of it. live.h keeps such a model.
 */
#ifndef POLICY_LANG_COMPILE_INCREMENTAL_H
#define POLICY_LANG_COMPILE_INCREMENTAL_H

#include "policy-lang/compile/compile.h"

/* One change of the model. What it was and what it is; NULL: was not, is no more. */
struct compile_change {
	enum {
		CHANGE_WORKLOAD,
		CHANGE_KUBE_LABELS, /* of a Kubernetes namespace, and nothing else of it */
		CHANGE_KUBE_PLACE, /* the same of where it is in the tree, its workloads with it */
		CHANGE_NS_LABELS, /* of a namespace of the tree */
		CHANGE_POLICY,    /* or only its place */
		CHANGE_NODE,      /* its labels or addresses */
		CHANGE_OWN,       /* an address of options.own came or went */
		CHANGE_ROUTE,     /* or only its place */
		CHANGE_LIMITS,    /* of a Quota with limits of the network */
		CHANGE_LEARNT,    /* of what is known by name of an address */
		CHANGE_OTHER, /* of anything else that policy depends on: compiles anew */
	} kind;
	const struct workload *workload_before, *workload_after;
	const struct kube_ns *kube; /* as it is in the new model */
	const struct ns *ns;        /* the same */
	const struct policy *policy_before, *policy_after;
	const struct node *node_before, *node_after;
	const struct route_policy *route_before, *route_after;
	struct ip_addr addr;
};

struct compile_delta {
	/* All of the content may be another; the rest is then empty, but for lists of elements:
	 * of what has been taken out and put in by then. */
	bool anew;
	/* Elements by set, sorted: what is no more, then what is new. An element with another
	 * value is in both. */
	struct table_element *removed[SET_COUNT], *added[SET_COUNT];
	size_t removed_count[SET_COUNT], added_count[SET_COUNT];
	bool local; /* workloads of the node, or their rules, are not what they were */
	bool ways;  /* ways or standbys may be others */
	/* What stays where it is may be judged otherwise. Else, and unless it is local or anew,
	 * addresses of workloads elsewhere came and went, and that is all. */
	bool moves;
	bool own; /* ... of which only those that are others were looked at */
	bool via; /* what connections go through was compiled again */
	/* Chains of rules that are in use now, those that are as before but read otherwise,
	 * and numbers of those that are no more. */
	struct table_rule_chain *chains_added, *chains_changed;
	size_t chain_added_count, chain_changed_count;
	uint32_t *chains_removed;
	size_t chain_removed_count;
};

/* Whether it tells of elements that came or went. */
MUST_CHECK bool compile_delta_has_elements(const struct compile_delta *delta);
/* Makes it `anew`. */
void compile_delta_make_anew(struct compile_delta *delta);

struct compile_state;

/* Compiles a node as compile_node does, and keeps what later changes need. Borrows the
 * model (see above); copies the options. NULL if a limit is exceeded (reported). */
MUST_CHECK struct compile_state *compile_state_new(const struct model *model,
    const struct compile_options *options, struct diag_list *diags);
/* NULL is fine. */
void compile_state_free(struct compile_state *state);

/*
 * Takes the state from one model to the next, which differs from it by `changes` (in any
 * order; naming more than changed is fine). *out_delta lies in the arena, as do its texts.
 * Of what compiling warns of only that is told which was not so before, unless it is anew.
 * False: a limit is exceeded, which is reported; the state can then only be freed.
 */
MUST_CHECK bool compile_state_update(struct compile_state *state, struct arena *arena,
    const struct model *model, const struct compile_change *changes, size_t count,
    struct diag_list *diags, struct compile_delta *out_delta);
/* The same, for whom compiling anew would take too long here: then out_delta->anew is set,
 * nothing has been compiled, and the state can only be freed. Never fails otherwise. */
void compile_state_advance(struct compile_state *state, struct arena *arena,
    const struct model *model, const struct compile_change *changes, size_t count,
    struct diag_list *diags, struct compile_delta *out_delta);

/* Whether there are rules that only workloads of the node were held to which have gone: they
 * are kept for others like these until the rules of the node change. There are never more
 * than the last compilation of those had. */
MUST_CHECK bool compile_state_keeps(const struct compile_state *state);

/* Elements of each set. */
void compile_state_counts(const struct compile_state *state, size_t out[SET_COUNT]);
/* One set, in the arena. */
void compile_state_set(const struct compile_state *state, enum table_set_id set,
    struct arena *arena, struct table_element **out_elements, size_t *out_count);
/* The element of a set that has the key, or in whose interval it is, in *out; false if
 * there is none. As table_find does. */
MUST_CHECK bool compile_state_find(const struct compile_state *state,
    enum table_set_id set, const struct table_element *key, struct table_element *out);
/* The chains of rules in use, in the arena. */
void compile_state_chains(const struct compile_state *state, struct arena *arena,
    struct table_rule_chain **out_chains, size_t *out_count);
/* The whole content but of the sets that have a line for each of all addresses: there
 * `elements` is NULL, and only how many there are is told. In the arena. */
void compile_state_rest(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content);
/* Of such a set the next elements, at most `most`, in no order: from *at on, which is 0 at
 * first. Returns how many; fewer than `most` are the last. */
MUST_CHECK size_t compile_state_some(const struct compile_state *state,
    enum table_set_id set, uint32_t *at, struct table_element *out, size_t most);
/* The whole content, in the arena: what compile_node would have made (but see
 * compile_state_keeps). Costs as much as it is long. */
void compile_state_content(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content);

/* Its ways and standbys, and nothing else, in the arena. */
void compile_state_ways(const struct compile_state *state, struct arena *arena,
    struct table_content *out_content);

#endif
