/*
 * Between compile*.c only. The steps of one compilation, each in a file of its own:
 *
 *     compile_universe.c   the model's workloads and addresses in a handy order
 *     compile_subjects.c   local workloads, and the policies that each is the subject of
 *     compile_profiles.c   those -> ordered rule lists; equal lists: a profile
 *     compile_peers.c      rules -> the distinct sets of peers that they speak of
 *     compile_classes.c    peer sets -> classes of addresses that no rule tells apart
 *     compile_cells.c      profile and class -> the walk over port space -> elements
 *     compile_budget.c     ... and what each tenant has of them
 *     compile_chains.c     rule numbers in use -> rule chains
 *     compile_limits.c     Quotas' network limits -> chains of limits, and whom they limit
 *     compile_route.h      what a node needs of Routes, in the same sets
 *     compile_place.c      who has one address, and which sets it is in
 *     compile_incremental.c   what a change makes of the result of all these
 *     compile_own.c        the same of what changes the node's own workloads
 *     compile_local.c      ... or the rules that they are held to
 *     compile_passage.c    ... and of addresses, when rules speak of other peers
 *     compile_content.c    the result, and questions to it
 *     compile_told.c       warnings that are new, or are told again
 *     compile_held.c       the addresses that are kept to tell
 *     compile_leave_known.c   the same of routes by name
 */
#ifndef POLICY_LANG_COMPILE_INTERNAL_H
#define POLICY_LANG_COMPILE_INTERNAL_H

#include "policy-lang/compile/compile.h"
#include "policy-lang/model/addrset.h"
#include "policy-lang/model/codes.h"
#include "policy-lang/model/label_index.h"
#include "policy-lang/model/portset.h"

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
	uint32_t slot;  /* of its workload; NONE: not a workload's */
	uint32_t ip;    /* which of that workload's it is */
	uint32_t node;  /* index of its node; NONE */
	uint8_t family; /* an enum ip_family; a byte, because points are many */
	bool outside;   /* nobody's: it is here because somebody knows it by a name */
	bool leaving;   /* from its profile, which has no elements of it any more */
};

/*
 * A slot is a workload that owns an address. Slots are numbered so that the workloads of
 * a scope, and of a subtree, are a range.
 */
struct universe {
	struct arena *arena; /* of all of it */
	const struct model *model;
	bool shared; /* some workload names an address that is another's */
	struct scope *scopes;
	uint32_t scope_count;
	struct kube_scope *kube_scopes; /* private: by pointer */
	uint32_t *ns_first, *ns_end;    /* slots of a subtree, by namespace index */
	const struct workload **slots;
	uint32_t slot_count;
	struct point *points; /* by family and address */
	uint32_t point_count;
	uint32_t family_first[FAMILY_COUNT + 1]; /* where a family's points begin */
	uint32_t *outside;                       /* points that are */
	uint32_t outside_count;
	uint32_t *slot_points_first; /* slot -> its part of slot_points */
	uint32_t *slot_points;
	uint32_t *node_points_first; /* the same for nodes */
	uint32_t *node_points;
	struct label_index *labels; /* of slots */
	struct label_index
	    *scope_labels;   /* of scopes, as a namespaceSelector sees them */
	struct map clusters; /* name -> bitmap of slots; empty with one cluster */
	struct roaring_bitmap_s *no_slots; /* of a cluster that has none */
};

/* `whole`: all that have addresses are among the model's workloads. */
void universe_init(struct universe *u, const struct model *m, bool whole);
/* {0} is fine. */
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
	uint32_t *peers; /* of the rules with it: sets, or PEERS_EVERYONE */
	size_t peer_count, peer_cap;
	struct loc loc;         /* of the first rule's port */
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
	const struct rule *rule; /* one that has these peers; NULL: a port name's */
	struct roaring_bitmap_s *slots;    /* workloads; NULL: peers_forget_slots */
	struct addrset nets[FAMILY_COUNT]; /* addresses that are no workload's */
	struct addrset pods[FAMILY_COUNT]; /* workloads that have such an address */
	struct str home; /* nets take in workloads of other clusters; ptr NULL: no */
	bool named;      /* some peers are names, to be known by ... */
	struct str tenant;
	bool
	    nameless; /* and outside addresses of which nothing explains what they are */
	uint32_t *nodes;
	size_t node_count;
	const struct port_name *name; /* NULL: peers of a rule */
	const struct resolved_port *ports;
	size_t port_count;
};

/* What a rule says of peers, beside the number of a set. */
#define PEERS_EVERYONE (UINT32_MAX - 1)
#define PEERS_NOBODY   (UINT32_MAX - 2)

/* A rule of some local workload. Who it is for matters where it speaks of names: then there
 * is one for each tenant. */
struct used_rule {
	const struct rule *rule;
	struct str tenant;
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
	struct partition *partition;
	struct profile **profiles;
	size_t profile_count, profile_cap;
	struct map profile_by_key;
};

/* Announces the selectors of the side's rules to the universe's indexes; once they are
 * filled, peers_collect fills side->rules[].peers and side->sets. */
void peers_announce(struct side *s);
void peers_collect(struct side *s);
void peers_fini(struct side *s);
/* Frees what refers to the universe, once all is compiled. */
void peers_forget_slots(struct side *s);
/* The set of the workloads that give the name the same meaning as this one does, made if
 * it is new; NULL: no meaning that could be enforced. */
MUST_CHECK struct peer_set *peers_meaning(
    struct side *s, struct port_name *n, const struct workload *w);
/* The same of a set that another compilation made; its name is known here, too. */
MUST_CHECK const struct peer_set *peers_adopt_meaning(
    struct side *s, const struct peer_set *of);
/* Numbers the sets as another compilation does whose rules speak of the same ones; what
 * only that one knows of names of ports is known here, too, and what only this one knows
 * comes behind. To be called once all names are known to be the same (peers_same_name), and
 * before classes are made. */
void peers_align(struct side *s, const struct side *with);
/* The name that the rules of another side speak of as this one's do of theirs, for the same
 * peers; NULL: none. */
MUST_CHECK struct port_name *peers_same_name(
    const struct side *s, const struct side *of, const struct port_name *name);
/* What is known of a port's name that egress rules speak of; NULL if nothing. */
MUST_CHECK struct port_name *peers_port_name(
    const struct side *s, const struct port_match *match);
/* Whether the set takes in an outside address for what its tenant knows of it. */
MUST_CHECK bool peers_take_known(
    const struct peer_set *set, const struct model *m, const struct ip_addr *addr);
/* Calls `each` for every point of the set; some may be called for more than once. */
void peers_each_point(const struct universe *u, const struct peer_set *set,
    void (*each)(void *ctx, uint32_t point), void *ctx);

/* ---- classes ---- */

struct class_info {
	uint32_t id;    /* in the kernel; never 0 */
	uint32_t node;  /* of the tree of classes */
	uint32_t *sets; /* that contain it, rising */
	size_t set_count;
	/* How many addresses of the model and intervals are in it. */
	uint32_t uses[FAMILY_COUNT];
	uint64_t hash;
	struct loc loc;
};

struct classes {
	struct class_info *items; /* without class 0 */
	size_t count, cap;
	bool collided; /* some number is not its hash, because another class's was */
	uint32_t *set_first;   /* set -> its part of set_classes */
	uint32_t *set_classes; /* indices of the classes that it contains */
	size_t indexed;        /* how many classes these two know */
};

/* Cuts the addresses into classes and emits the peer elements. */
void classes_build(struct side *s);
void classes_fini(struct side *s);
/* The same for addresses that the caller knows the sets of: classes_node and classes_use
 * are called for all of them in between; no element is emitted of those. */
void classes_begin(struct side *s);
void classes_use(struct side *s, uint32_t node, unsigned family, uint32_t count);
void classes_end(struct side *s);
/* The same as another compilation has them, whose sets have the same numbers: instead of
 * classes_begin. Uses are as they are there, and may be changed (classes_of_node) until
 * classes_carried, which is instead of classes_end. */
void classes_carry(struct side *s, const struct side *from);
void classes_carried(struct side *s);
/* Of each node that is a class, how many addresses of the model are in it; of the others 0. */
void classes_count(const struct side *s, uint32_t (*out_counts)[FAMILY_COUNT]);
/* Nodes are numbered from 0; node 0 is in no set. */
MUST_CHECK uint32_t classes_node_count(const struct side *s);
/* The node of the tree of classes that is in exactly these sets (rising); 0: in none. */
MUST_CHECK uint32_t classes_node(struct side *s, const uint32_t *sets, size_t count);
/* The node of an address of the model when classes were built, by its point. */
MUST_CHECK uint32_t classes_node_of_point(const struct side *s, uint32_t point);
/* Once that has been asked for all of them. */
void classes_forget_points(struct side *s);
/* The node that holds for what surrounds an address: 0 where no network is named. */
MUST_CHECK uint32_t classes_around(
    const struct side *s, unsigned family, addr_num addr);
/* The class of a node; made, without uses, if it had no address before. NULL: node 0. */
MUST_CHECK struct class_info *classes_of_node(struct side *s, uint32_t node);
/* What an address of the model that is in the node is listed as. */
MUST_CHECK struct table_element classes_element(const struct side *s, uint32_t node);

/* ---- one address (compile_place.c) ---- */

struct place {
	unsigned family;
	addr_num addr;
	const struct workload *workload; /* that has it; NULL */
	uint32_t ip;                     /* which of its addresses it is */
	const struct node *node;         /* of an address that is no workload's */
	bool outside;                    /* as of a point */
	bool exists;
};

MUST_CHECK struct place place_of(const struct model *m, const struct ip_addr *addr);
struct set_list {
	uint32_t *items; /* on the heap */
	size_t count, cap;
};

/* What was found of the workload whose address was the last: its other addresses follow. Good as
 * long as its side gets no more rules. Empty in the beginning. */
struct placed {
	const struct side *side;
	const struct model *model;
	const struct workload *workload;
	struct set_list takers; /* sets that take it, whichever address is meant */
};

void placed_fini(struct placed *p);
/* Its node in the tree of classes, made if it is new. `last` is for addresses of workloads;
 * others may give NULL. */
MUST_CHECK uint32_t place_node(struct side *side, const struct model *m,
    const struct place *p, struct placed *last);
/* Whether it is in a set of peers of a rule. */
MUST_CHECK bool place_in_set(
    const struct peer_set *set, const struct model *m, const struct place *p);
/* The two reasons for which a workload's address is: what the workload is, and where; the
 * latter can be only where place_set_asks_where says so. */
MUST_CHECK bool place_set_takes_workload(
    const struct peer_set *set, const struct workload *w);
/* False: by what they are it takes no workloads of a Kubernetes namespace; or, that being
 * NULL, no native ones of a namespace of the tree. */
MUST_CHECK bool place_set_may_be_at(
    const struct peer_set *set, const struct ns *ns, const struct kube_ns *kube);
/* The set that a workload is in for what it means by a port's name; NULL: no rule with the
 * name may reach it, or it means nothing by it that could be enforced. */
MUST_CHECK struct peer_set *place_meaning(struct side *side, const struct model *m,
    struct port_name *n, const struct workload *w);
/* False: by what they are it takes no workloads of the same namespace and cluster. */
MUST_CHECK bool place_set_is_there(
    const struct peer_set *set, const struct workload *w);
MUST_CHECK bool place_set_takes_pod_addr(
    const struct peer_set *set, const struct place *p);
MUST_CHECK bool place_set_asks_where(
    const struct peer_set *set, const struct workload *w);
/* By path, by cluster and name: the models before and after may each have their own. */
MUST_CHECK bool place_path_within(const struct ns *ns, const struct ns *top);
MUST_CHECK bool place_same_kube(const struct kube_ns *a, const struct kube_ns *b);
MUST_CHECK bool place_match_takes(
    const struct workload_match *match, const struct workload *w);

/* ---- profiles ---- */

enum entry_kind {
	ENTRY_RULE,
	ENTRY_ISOLATE,
	ENTRY_FAIL_SAFE
};

struct profile_entry {
	enum entry_kind kind;
	uint32_t rule;   /* index in side->rules */
	uint32_t level;  /* of the walk: each phase of each namespace is one */
	uint32_t number; /* ENTRY_ISOLATE, ENTRY_FAIL_SAFE */
	const struct resolved_port *ports; /* ingress: what its port names mean here */
	size_t port_count;
};

/* Local workloads whose walk is the same; or the node itself. */
struct profile {
	bool host; /* the node: has no slots, and elements without an address */
	struct profile_entry *entries;
	size_t count;
	struct point *points; /* that they have; on the heap */
	size_t point_count, point_cap;
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
	const struct route_policy
	    *route; /* a Route's: the rule's own number, or that */
	const struct route_rule *route_rule; /* ... for where it cannot be followed */
	const struct table_way *way;         /* that it is; NULL */
	uint32_t mark;                       /* of the way */
	enum direction dir;
	uint32_t uses; /* cells that bear it, of every profile and class */
	bool in_force; /* compile_incremental.c: when that was last told */
};

/* Policies of one namespace. */
struct policy_list {
	struct policy **items;
	size_t count;
};

struct compiler {
	struct arena *arena;   /* of the caller: what is returned */
	struct arena *scratch; /* until compile_node returns */
	const struct model *model;
	const struct compile_options *options;
	struct diag_list *diags;
	/* By namespace, instead of the model's: routes, as if they were policies
	 * (compile_leave.c). NULL: the model's. */
	const struct policy_list *policies;
	/* With `policies`: whether a workload of another node counts as local, too. */
	bool (*serves)(const struct compiler *c, const struct workload *w);
	/* The same: whether one of these policies is for a workload that it selects. */
	bool (*takes)(const struct policy *policy, const struct workload *w);
	/* The same, NULL: none of whom it takes is in none of these peers, which are of
	 * workloads. None: it may be any. */
	const struct peer *(*begins)(const struct policy *policy, size_t *out_count);
	struct universe universe;
	struct side sides[DIRECTION_COUNT];
	const struct workload **locals; /* on the heap */
	size_t local_count;
	struct verdict_number *numbers; /* by number */
	size_t number_count, number_cap;
	/* Where not all of the model is compiled: the model with those of its workloads that
	 * Routes may be about. NULL: with all. */
	const struct model *routed;
	/* The same of those that via depends on. NULL: with all. */
	const struct model *via_about;
	bool keeps_routes;   /* `leave` and `via`, for changes to come */
	bool leaves_by_name; /* some route that workloads here may leave by has names */
	struct leave_kept *leave; /* compile_leave.c; NULL: no Route has names */
	struct via_kept *via;     /* compile_via.c; NULL: no Route says via */
	bool retracting;          /* what is emitted is what was: numbers lose a use */
	bool
	    placing; /* it is of more addresses, or fewer: they keep what uses they have */
	struct element_list lists[SET_COUNT];
	/* Sets of whose elements no list is made, but that are counted; NULL: none. */
	bool (*only_counts)(enum table_set_id set);
	size_t element_count;
	struct budget
	    *budget; /* while all cells are emitted (compile_budget.c); NULL */
	struct table_rule_chain *limits; /* sorted by number; in the scratch arena */
	size_t limit_count;
	struct table_way *ways;         /* options->way_count, by number; or NULL */
	struct table_standby *standbys; /* on the heap */
	size_t standby_count, standby_cap;
	bool failed;
};

/* Adds an element; beyond the limit it is only counted. */
void emit(struct compiler *c, enum table_set_id set, const struct table_element *e);
/* Adds the addresses that are a workload's own, each once however often it names it, to a set
 * of addresses, given as its IPv4 one; `loc`: of what says so. */
void emit_addresses(struct compiler *c, const struct workload *w, struct loc loc,
    enum table_set_id first);
/* The set of a kind, given as its IPv4 ingress one. */
MUST_CHECK enum table_set_id set_of(
    enum table_set_id first, unsigned family, enum direction dir);
/* Where the gate has an address of its networks: somebody's, or not. */
MUST_CHECK enum table_set_id gate_set(unsigned family, bool inside);

/* Emits what holds for every profile and class. */
void cells_build(struct side *s);
/* Emits what holds for one class in some families, of every profile. */
void cells_emit_class(
    struct side *s, const struct class_info *class, const bool families[FAMILY_COUNT]);

/* Emits what a profile has for some addresses, of every class. */
void cells_emit_points(
    struct side *s, const struct profile *profile, struct point *points, size_t count);

/* The node that is compiled for; one that the model does not know has a name alone. */
MUST_CHECK const struct node *compiler_node(struct compiler *c);
/* Whether a workload is of the node that is compiled for. */
MUST_CHECK bool compiler_is_local(const struct compiler *c, const struct workload *w);
/* Whether source addresses are validated. */
MUST_CHECK bool compiler_validates(const struct compiler *c);
/* Whether SET_OWN4 and SET_OWN6 are of any use; and whether a workload is in them, `here` being
 * compiler_node. */
MUST_CHECK bool compiler_lists_own(const struct compiler *c);
MUST_CHECK bool compiler_is_own(const struct workload *w, const struct node *here);
/* Only what the workloads of a model are held to: the sides' rules and profiles. */
void compiler_find_profiles(struct compiler *c, const struct model *workloads);
/* All the steps, up to lists of elements that are not sorted yet; and their end. */
void compiler_run(struct compiler *c);
void compiler_fini(struct compiler *c);
/* The steps before classes are made, and those after that: what the node's own workloads
 * are held to follows from them alone, which `workloads` (a model) may then be. */
void compiler_gather(struct compiler *c, const struct model *workloads);
void compiler_emit(struct compiler *c);
/* Sorts, unless it was made in order. */
void element_list_sort(struct element_list *list);
/* Moves a sorted list into the arena. */
void element_list_give(struct arena *arena, struct element_list *list,
    struct table_content *out, enum table_set_id set);

/* Names what numbers stand for; then chains_seal; then chains_use may be called. */
void chains_add(struct compiler *c, const struct verdict_number *number);
void chains_seal(struct compiler *c);
/* Says which way a number is. */
void chains_set_way(struct compiler *c, uint32_t number, const struct table_way *way);
/* The policy that a number is of, and the rule; NULL: of none. */
MUST_CHECK const struct policy *chains_policy(struct compiler *c, uint32_t number);
MUST_CHECK const struct rule *chains_rule(struct compiler *c, uint32_t number);
/* The place that a number comes from; chains_use also marks it as in use. */
MUST_CHECK struct loc chains_loc(struct compiler *c, uint32_t number);
struct loc chains_use(struct compiler *c, uint32_t number);
/* The chain of a number, in the arena. */
MUST_CHECK struct table_rule_chain chains_one(
    struct arena *a, const struct verdict_number *number);
/* A chain's comment: printable, and short enough. It is the head that is cut. */
MUST_CHECK const char *chains_comment(
    struct arena *a, const char *head, const char *tail);
/* " web.yaml:12", without directories unless `with_path`; "" for nowhere. */
MUST_CHECK const char *chains_place(struct arena *a, struct loc loc, bool with_path);

/* Emits whom the network limits of Quotas limit here, and makes their chains. */
void limits_build(struct compiler *c);
/* One of those chains, its text in the arena. */
void limits_copy_chain(struct arena *a, const struct table_rule_chain *chain,
    struct table_rule_chain *out);

/* Tells what another list has (compile_told.c). */
void tell_again(struct diag_list *to, const struct diag *d);

/* The ways that have numbers, and standbys, in the arena (compile_ways.c). */
void ways_give(
    const struct compiler *c, struct arena *arena, struct table_content *out);
/* The chains of the numbers in use, and their elements, in the arena; and limits'. */
void chains_build(
    const struct compiler *c, struct arena *arena, struct table_content *content);

#endif
