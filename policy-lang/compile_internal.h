/*
 * Between compile*.c only. The steps of one compilation, each in a file of its own:
 *
 *     compile_universe.c   the model's workloads and addresses in a handy order
 *     compile_profiles.c   local workloads -> ordered rule lists; equal lists: a profile
 *     compile_peers.c      rules -> the distinct sets of peers that they speak of
 *     compile_classes.c    peer sets -> classes of addresses that no rule tells apart
 *     compile_cells.c      profile and class -> the walk over port space -> elements
 *     compile_chains.c     rule numbers in use -> rule chains
 */
#ifndef POLICY_LANG_COMPILE_INTERNAL_H
#define POLICY_LANG_COMPILE_INTERNAL_H

#include "policy-lang/addrset.h"
#include "policy-lang/codes.h"
#include "policy-lang/compile.h"
#include "policy-lang/label_index.h"
#include "policy-lang/portset.h"

#define NONE         UINT32_MAX
#define FAMILY_COUNT 2

/* 0 for IPv4, 1 for IPv6. */
MUST_CHECK unsigned family_index(enum ip_family family);
MUST_CHECK enum ip_family family_of(unsigned index);

/* ---- the universe ---- */

/* Workloads of one Kubernetes namespace, or the native ones of a tree node. */
struct scope {
	const struct ns *ns;
	const struct kube_ns *kube; /* NULL: native workloads */
	uint32_t first, end;        /* slots */
};

/* An address of the model. */
struct point {
	addr_num addr;
	enum ip_family family;
	uint32_t slot; /* of its workload; NONE: not a workload's */
	uint32_t node; /* index of its node; NONE */
};

/*
 * A slot is a workload that owns an address. Slots are numbered so that the workloads of
 * a scope, and of a subtree, are a range.
 */
struct universe {
	const struct model *model;
	struct scope *scopes;
	uint32_t scope_count;
	struct kube_scope *kube_scopes; /* private: by pointer */
	uint32_t *ns_first, *ns_end;    /* slots of a subtree, by namespace index */
	const struct workload **slots;
	uint32_t slot_count;
	struct point *points; /* by family and address */
	uint32_t point_count;
	uint32_t family_first[FAMILY_COUNT + 1]; /* where a family's points begin */
	uint32_t *slot_points_first;             /* slot -> its part of slot_points */
	uint32_t *slot_points;
	uint32_t *node_points_first; /* the same for nodes */
	uint32_t *node_points;
	struct label_index *labels; /* of slots */
	struct label_index
	    *scope_labels;   /* of scopes, as a namespaceSelector sees them */
	struct map clusters; /* name -> bitmap of slots; empty with one cluster */
	struct roaring_bitmap_s *no_slots; /* of a cluster that has none */
};

/* In the scratch arena. */
void universe_init(struct universe *u, struct arena *scratch, const struct model *m);
void universe_fini(struct universe *u);
/* The scope of a Kubernetes namespace. */
MUST_CHECK const struct scope *universe_kube_scope(
    const struct universe *u, const struct kube_ns *kube);
/* The slots of a cluster. To be asked only of a model with options.cluster_count. */
MUST_CHECK const struct roaring_bitmap_s *universe_cluster(
    const struct universe *u, struct str cluster);
/* The first point of a family at or after an address. */
MUST_CHECK uint32_t universe_find(
    const struct universe *u, unsigned family, addr_num addr);

/* ---- peer sets ---- */

/* A port name that egress rules speak of: it means what each peer gives it. */
struct port_name {
	struct str name;
	uint8_t proto;                  /* PROTO_ANY: in any protocol */
	struct roaring_bitmap_s *reach; /* slots that rules with it speak of */
	uint32_t *meanings; /* sets of the workloads that give it one meaning each */
	size_t meaning_count, meaning_cap;
	struct port_name *next; /* of the same name, another protocol */
};

struct resolved_port {
	enum port_column column;
	uint16_t port;
};

/* The peers of a rule; or the workloads that give a port name the same meaning. */
struct peer_set {
	uint32_t index; /* in side->sets */
	struct str key; /* what it is, in bytes that are the same on every node */
	uint64_t hash;  /* of the key */
	struct loc loc;
	struct roaring_bitmap_s *slots;    /* workloads; never NULL */
	struct addrset nets[FAMILY_COUNT]; /* addresses that are no workload's */
	struct addrset pods[FAMILY_COUNT]; /* workloads that have such an address */
	struct str home; /* nets take in workloads of other clusters; ptr NULL: no */
	uint32_t *nodes;
	size_t node_count;
	const struct port_name *name; /* NULL: peers of a rule */
	const struct resolved_port *ports;
	size_t port_count;
};

/* What a rule says of peers, beside the number of a set. */
#define PEERS_EVERYONE (UINT32_MAX - 1)
#define PEERS_NOBODY   (UINT32_MAX - 2)

/* A rule of some local workload. */
struct used_rule {
	const struct rule *rule;
	uint32_t peers; /* PEERS_EVERYONE, PEERS_NOBODY or a set */
	bool named;     /* speaks of a port by its name */
	bool reached;   /* by some workload's walk; else its peers do not matter */
};

struct compiler;

/* One direction. */
struct side {
	struct compiler *c;
	enum direction dir;
	struct used_rule *rules;
	size_t rule_count, rule_cap;
	struct peer_set **sets;
	size_t set_count, set_cap;
	struct map set_by_key; /* struct peer_set */
	struct map port_names; /* text -> struct port_name */
	struct classes *classes;
	struct profile **profiles;
	size_t profile_count, profile_cap;
	struct map profile_by_key;
};

/* Announces the selectors of the side's rules to the universe's indexes; once they are
 * filled, peers_collect fills side->rules[].peers and side->sets. */
void peers_announce(struct side *s);
void peers_collect(struct side *s);
void peers_fini(struct side *s);
/* What is known of a port's name that egress rules speak of; NULL if nothing. */
MUST_CHECK struct port_name *peers_port_name(
    const struct side *s, const struct port_match *match);
/* Calls `each` for every point of the set; some may be called for more than once. */
void peers_each_point(const struct universe *u, const struct peer_set *set,
    void (*each)(void *ctx, uint32_t point), void *ctx);

/* ---- classes ---- */

struct class_info {
	uint32_t id;    /* in the kernel; never 0 */
	uint32_t node;  /* private */
	uint32_t *sets; /* that contain it, rising */
	size_t set_count;
	bool families[FAMILY_COUNT]; /* in which it has an address */
	struct loc loc;
};

struct classes {
	struct class_info *items; /* without class 0 */
	size_t count;
	uint32_t *set_first;   /* set -> its part of set_classes */
	uint32_t *set_classes; /* indices of the classes that it contains */
};

/* Cuts the addresses into classes and emits the peer elements. */
void classes_build(struct side *s);

/* ---- profiles ---- */

enum entry_kind {
	ENTRY_RULE,
	ENTRY_ISOLATE
};

struct profile_entry {
	enum entry_kind kind;
	uint32_t rule;   /* index in side->rules */
	uint32_t level;  /* of the walk: each phase of each namespace is one */
	uint32_t number; /* ENTRY_ISOLATE */
	const struct resolved_port *ports; /* ingress: what its port names mean here */
	size_t port_count;
};

/* Local workloads whose walk is the same. */
struct profile {
	struct profile_entry *entries;
	size_t count;
	uint32_t *slots;
	size_t slot_count, slot_cap;
	struct loc loc; /* of what governs them first */
};

/* Finds the local workloads and their rules: side->rules and side->profiles. */
void profiles_build(struct compiler *c);
void profiles_fini(struct side *s);

/* ---- elements ---- */

struct element_list {
	struct table_element *items;
	size_t count, cap;
};

/* A number that a verdict can bear. */
struct verdict_number {
	uint32_t number;
	const struct rule *rule;     /* or NULL: isolation, or one of the fixed */
	const struct policy *policy; /* or NULL */
	enum direction dir;
	bool used;
};

struct compiler {
	struct arena *arena;   /* of the caller: what is returned */
	struct arena *scratch; /* until compile_node returns */
	const struct model *model;
	const struct compile_options *options;
	struct diag_list *diags;
	struct universe universe;
	struct side sides[DIRECTION_COUNT];
	struct verdict_number *numbers; /* by number */
	size_t number_count, number_cap;
	struct element_list lists[SET_COUNT];
	size_t element_count;
	bool failed;
};

/* Adds an element; beyond the limit it is only counted. */
void emit(struct compiler *c, enum table_set_id set, const struct table_element *e);
/* The set of a kind, given as its IPv4 ingress one. */
MUST_CHECK enum table_set_id set_of(
    enum table_set_id first, unsigned family, enum direction dir);

/* Emits what holds for every profile and class. */
void cells_build(struct side *s);

/* Names what numbers stand for; then chains_seal; then chains_use may be called. */
void chains_add(struct compiler *c, const struct verdict_number *number);
void chains_seal(struct compiler *c);
/* The place that a number comes from; chains_use also marks it as in use. */
MUST_CHECK struct loc chains_loc(struct compiler *c, uint32_t number);
MUST_CHECK struct loc chains_use(struct compiler *c, uint32_t number);
/* The chains of the numbers in use, and their elements. */
void chains_build(struct compiler *c, struct table_content *content);

#endif
