/*
 * Between live*.c only:
 *
 *     live.c            sources: read, replaced
 *     live_base.c       those that were loaded whole
 *     live_model.c      the arrays and maps of the model that they are put into
 *     live_other.c      Routes, ExternalNetworks, Quotas and others of which there are few
 *     live_named.c      who speaks of ExternalNetworks
 *     live_space.c      what sources say of namespaces
 *     live_move.c       Kubernetes namespaces that are placed elsewhere
 *     live_node.c       what they say of nodes
 *     live_host.c       nodes that only pods speak of
 *     live_announce.c   pods whose addresses are known before their sources say them
 *     live_keep.c       what a source said, for another load
 *     live_compact.c    pods that came by edits, in little memory
 *     live_claims.c     a set of hashes
 *     live_files.c      files by name
 *     live_number.c     names and numbers that some source has
 */
#ifndef POLICY_LANG_LIVE_INTERNAL_H
#define POLICY_LANG_LIVE_INTERNAL_H

#include "policy-lang/live/live.h"
#include "policy-lang/load/load_internal.h"

/* A workload in the place of the one that the source made. */
struct live_stand_in {
	struct live_stand_in *next;
	struct arena *arena; /* in which it is itself */
	struct workload *workload;
};

/* What few sources say; in the arena of what they say. */
struct live_others {
	struct live_file *file;
	size_t place; /* among those of the live model */
	void **items[OTHER_KINDS];
	size_t count[OTHER_KINDS];
	struct load_named *named; /* external networks that it speaks of */
	size_t named_count;
};

/* What few sources say but pods; in the arena of what they say. No more of anything than a
 * source has bytes. */
struct live_said {
	bool other; /* what no edit can take away */
	uint32_t policy_count, number_count, node_count, space_count, placed_count;
	uint32_t left_out; /* policies of a base that leaves them out */
	struct str text;   /* ptr NULL: not kept */
	struct policy *
	    *policies;       /* audit policies of a base that leaves them out are not */
	uint32_t *numbers;   /* of its rules, when they are put in; on the heap */
	struct node **nodes; /* of Node objects */
	struct load_space **spaces;      /* namespaces that it declares */
	struct load_placed **placed;     /* and places */
	struct live_stand_in *stand_ins; /* of some of its workloads */
	struct live_others *others;      /* NULL: mostly */
};

/* What a source says. Of a cluster that is watched each object is one, there are very many, and
 * nearly all are a pod: one item is in the place of the array. */
struct live_file {
	const struct source *source;
	struct arena
	    *arena; /* of all of it; NULL: the base's, which was loaded whole */
	union {
		uint64_t one, *many;
	} claims; /* of its objects' names */
	union {
		struct workload *one, **many;
	} workloads;
	uint32_t claim_count, workload_count;
	struct live_said *said; /* NULL: nothing */
};

/* Workloads that have the same address, but for the one that keeps it. */
struct live_sharers {
	char key[MODEL_ADDRESS_KEY_BYTES];
	size_t count, cap;
	struct workload **items;
};

/* What pods tell of a node. */
struct live_host {
	struct str key; /* cluster/name */
	struct str cluster, name;
	size_t pods;                        /* that name it */
	const struct workload_where *where; /* of some of the base's; NULL: of none */
	struct live_told {
		struct ip_addr addr;
		size_t count; /* how many tell it */
	} * told;             /* sorted */
	size_t told_count, told_cap;
	struct arena *arena; /* of the node that follows from it; NULL: the base's */
	bool touched;
};

/* What there was of a source when live_sweep was called last. */
struct live_former {
	const struct live_file *file; /* NULL: nothing */
	char name[];
};

/* By the name of their sources. */
struct live_files {
	struct live_file **items; /* by slot; NULL: it is empty */
	uint32_t *hashes;         /* of the names */
	size_t slot_count, used;
};

struct live_claims {
	uint64_t *slots;
	size_t slot_count, used;
};

struct live {
	struct arena *arena; /* borrowed: of the base */
	struct model *model;
	struct live_files files;
	struct live_file *base; /* as many as it has sources; in the order of these */
	size_t base_count;
	struct live_claims claims;    /* hashes of kind, namespace and name */
	struct live_claims numbers;   /* of rules, which are hashes, too */
	struct map shared;            /* key of an address -> live_sharers */
	struct map hosts;             /* key -> live_host */
	struct ptr_vec touched_hosts; /* by the edit under way */
	struct buf host_key;
	/* Of the model's arrays, on the heap. */
	size_t workload_cap, policy_cap, ns_cap, kube_cap, node_cap;
	size_t other_caps[OTHER_KINDS];
	struct ptr_vec others;  /* struct live_others of all files that have some */
	struct ptr_vec garbage; /* struct arena, of what was replaced */
	struct map former;      /* name -> live_former, of the same */
	struct ptr_vec grown;   /* the same, of namespaces that came, and stay */
	size_t edited_bytes;
	struct arena *announced_arena; /* of options.announced, once it was changed */
	struct ip_addr *own;           /* options.own, once that was changed */
	bool keeps_texts;
};

MUST_CHECK struct live_file *live_file_of(
    const struct live *l, const struct source *source);

/* What a live_edit replaces. */
struct live_replacement {
	struct str name;
	struct live_file *before, *after; /* NULL: was not, is no more */
};

/* A Kubernetes namespace that comes to be elsewhere. */
struct live_move {
	struct kube_node *kube;
	struct ns *from, *to;
	unsigned others; /* words of other sources, which are for where it is */
};

struct live_edit {
	struct live *l;
	struct arena *arena; /* of names */
	struct load_fresh fresh;
	struct live_replacement *items;
	size_t count, cap;
	struct live_move *moves; /* when it is committed; in the arena */
	size_t move_count;
	struct load_externals externals; /* that go and come; on the heap */
	struct ptr_vec
	    spent; /* struct live_file: what was reported has its places there */
};

/* ---- live.c ---- */

MUST_CHECK static inline const uint64_t *
live_claims_of(const struct live_file *f)
{
	return f->claim_count == 1 ? &f->claims.one : f->claims.many;
}

MUST_CHECK static inline struct workload *const *
live_workloads_of(const struct live_file *f)
{
	return f->workload_count == 1 ? &f->workloads.one : f->workloads.many;
}

/* NULL says nothing. */
MUST_CHECK static inline const struct live_said *
live_said(const struct live_file *f)
{
	static const struct live_said nothing;

	return f != NULL && f->said != NULL ? f->said : &nothing;
}

/* The same for who has something to add. */
MUST_CHECK struct live_said *live_say(const struct live *l, struct live_file *f);

/* Reads a source of the edit again, or one that is not in it, as it says now. False: it takes
 * a whole load. */
MUST_CHECK bool live_read_again(
    struct live_edit *e, const struct live_file *f, struct diag_list *diags);

/* ---- live_base.c ---- */

/* Takes note of all that was loaded. */
void live_share_base(
    struct live *l, const struct bundle *bundle, const struct load_note *note);

/* ---- live_number.c ---- */

/* False for an audit policy that the model leaves out. */
MUST_CHECK bool live_in_force(const struct live *l, const struct policy *p);
/* The names of a file's objects, each with its kind. False: one is another's, and none is taken. */
MUST_CHECK bool live_take_claims(struct live *l, const struct live_file *f);
void live_drop_claims(struct live *l, const struct live_file *f);
/* The same of the numbers of its rules, before they are in the model; and of one that was. */
MUST_CHECK bool live_take_numbers(struct live *l, const struct live_file *f);
void live_drop_numbers(struct live *l, const struct live_file *f);
void live_retake_numbers(struct live *l, const struct live_file *f);
/* All that the base has. */
void live_index_numbers(struct live *l);

/* ---- live_space.c ---- */

/* What each source of the base says of namespaces. */
void live_share_spaces(struct live *l, const struct load_note *note);
/* Puts namespaces into the model that it did not have; they stay. */
void live_take_fresh(struct live_edit *e);
/* Gives namespaces of the model what is said of them now. Adds to the changes those whose
 * labels are others: at most as many as both have spaces. */
void live_put_spaces(
    const struct live_edit *e, struct compile_change *changes, size_t *count);

/* ---- live_other.c ---- */

/* What sources of the base say. */
void live_share_others(struct live *l, const struct load_note *note);
/* What one source says; NULL: nothing of these kinds. */
MUST_CHECK struct live_others *live_read_others(struct live_file *f,
    const struct load_objects *objects, const struct load_note *note);
/* Objects into the model and out of it; then they are to be linked. */
void live_put_others_in(struct live *l, const struct live_file *f);
void live_take_others_out(struct live *l, const struct live_file *f);
void live_link_others(struct live *l);
/* A file comes to be the model's, or is no more. */
void live_list_others(struct live *l, struct live_file *f);
void live_unlist_others(struct live *l, struct live_file *f);
/* Adds to the changes, at most so many. */
MUST_CHECK size_t live_other_changes(const struct live_file *f);
void live_tell_others(const struct live_file *f, bool after,
    struct compile_change *changes, size_t *count);
/* Whether one of its objects is there. */
MUST_CHECK bool live_others_at(const struct live_file *f, const struct ns *ns);

/* ---- live_named.c ---- */

/* Finds which external networks go and come: what is read from now on sees that. */
void live_see_externals(struct live_edit *e);
/* Reads again what speaks of external networks that come, go, or are others. False: it takes a
 * whole load. */
MUST_CHECK bool live_read_namers(struct live_edit *e, struct diag_list *diags);

/* ---- live_move.c ---- */

/* Finds which Kubernetes namespaces come to be elsewhere, puts these there, and reads again
 * what is written in them. False: it takes a whole load, and they are where they were. */
MUST_CHECK bool live_begin_moves(struct live_edit *e, struct diag_list *diags);
/* Puts them back. */
void live_undo_moves(struct live_edit *e);
/* What is in them is elsewhere, too, once the edit is in the model. Adds to the changes: one
 * for each. */
void live_end_moves(struct live_edit *e, struct compile_change *changes, size_t *count);

/* ---- live_host.c ---- */

/* Whether only nodes change with the nodes that the edit brings or takes away. */
MUST_CHECK bool live_nodes_stand_alone(const struct live_edit *e);
/* What a workload tells of its node, in the model or no longer. */
void live_hear(struct live *l, const struct workload *w);
void live_unhear(struct live *l, const struct workload *w);
/* An object is no longer about the node. */
void live_touch_host(struct live *l, const struct node *node);
/* Where workloads of the base are that run there, as one of them says; NULL: none does. */
MUST_CHECK const struct workload_where *live_host_where(
    struct live *l, struct str cluster, struct str name);
/* Where keys of a node that only pods speak of are. */
MUST_CHECK struct arena *live_host_home(struct live *l, const struct node *node);
/* What the base's workloads tell. */
void live_index_hosts(struct live *l);
void live_free_hosts(struct live *l);
/* Nodes without an object come to be as they are told of. Adds to the changes: at most one for
 * each workload and each node of the edit. */
void live_settle_hosts(struct live *l, struct compile_change *changes, size_t *count,
    struct diag_list *diags);

/* ---- live_node.c ---- */

/* Nodes of a file out of the model and into it. A native workload that had the address of one
 * is warned of. */
void live_take_nodes_out(struct live *l, const struct live_file *f);
void live_put_nodes_in(
    struct live *l, const struct live_file *f, struct diag_list *diags);
/* The same of one; its index in the model is not told. Keys are put into `home`. */
void live_take_node_out(struct live *l, struct node *node);
void live_put_node_in(
    struct live *l, struct node *node, struct arena *home, struct diag_list *diags);
void live_number_nodes(struct live *l);
/* Adds what is to be told of them, before any of that: one for each. */
void live_tell_nodes(const struct live *l, const struct live_file *f, bool after,
    struct compile_change *changes, size_t *count);

/* ---- live_announce.c ---- */

/* Frees what stands in for workloads of a file, at once or when nothing refers to it. */
void live_free_stand_ins(struct live_file *f);
void live_drop_stand_ins(struct live *l, struct live_file *f);

/* ---- live_keep.c ---- */

/* Whether pods are all that a file says. */
MUST_CHECK bool live_is_of_pods(const struct live_file *f);
/* Copies the text of a file, in its arena, if it is to be kept. */
void live_keep_text(struct live *l, struct live_file *f, struct str text);

/* ---- live_compact.c ---- */

/* The same file of pods, which an edit has just read, with no more of it than is kept. */
MUST_CHECK struct live_file *live_compact(struct live *l, const struct live_file *from);

/* ---- live_claims.c ---- */

/* False: it is there already. */
MUST_CHECK bool live_claims_add(struct live_claims *c, uint64_t hash);
void live_claims_remove(struct live_claims *c, uint64_t hash);
void live_claims_fini(struct live_claims *c);

/* ---- live_files.c ---- */

/* Makes room for so many in all. */
void live_files_reserve(struct live_files *t, size_t count);
/* NULL: there is none. */
MUST_CHECK struct live_file *live_files_get(
    const struct live_files *t, struct str name);
/* The one of the same name that it replaces; NULL: none. */
struct live_file *live_files_put(struct live_files *t, struct live_file *f);
void live_files_remove(struct live_files *t, struct str name);
/* {0} is fine. */
void live_files_fini(struct live_files *t);

/* ---- live_model.c ---- */

void live_hold_arrays(struct live *l);
void live_free_arrays(struct live *l);
void live_index_shared(struct live *l);
void live_free_shared(struct live *l);
/* An address has come to be a node's: a native workload has it no longer. And the other way
 * round: whoever waits for it has it. */
void live_claim_of_node(
    struct live *l, const struct ip_addr *addr, struct diag_list *diags);
void live_release_of_node(struct live *l, const struct ip_addr *addr);
/* Of the model's sorted arrays; `compare` is of pointers to items. */
typedef int (*live_compare_fn)(const void *a, const void *b);
void live_insert(
    void ***items, size_t *count, size_t *cap, void *item, live_compare_fn compare);
void live_remove(void **items, size_t *count, void *item, live_compare_fn compare);
/* Objects of files out of the model, then those that they have instead into it (`after` and
 * `before`: of the same file; NULL: none). True: policies were among them, and
 * load_link_policies is to be called. An address that another has is warned of. */
MUST_CHECK bool live_take_out(
    struct live *l, const struct live_file *f, const struct live_file *after);
MUST_CHECK bool live_put_in(struct live *l, const struct live_file *f,
    const struct live_file *before, struct diag_list *diags);
/* The same of one workload. */
void live_take_workload_out(struct live *l, struct workload *w);
void live_put_workload_in(struct live *l, struct workload *w, struct diag_list *diags);
/* Namespaces have to be numbered again afterwards. */
void live_put_ns_in(struct live *l, struct ns *ns);
/* Its key in the model's map must last: that is the caller's. */
void live_put_kube_in(struct live *l, struct kube_ns *kube);

#endif
