/*
 * Private to the loader: its state, and what its parts offer each other. One
 * load goes through the stages of `enum load_stage`, so that whatever a document refers
 * to has been read before it, in whatever file it stands.
 */
#ifndef POLICY_LANG_LOAD_INTERNAL_H
#define POLICY_LANG_LOAD_INTERNAL_H

#include "common/limits.h"
#include "policy-lang/load/load.h"
#include "policy-lang/load/load_names.h"
#include "policy-lang/load/schema.h"
#include "policy-lang/model/codes.h"
#include "policy-lang/model/nearest.h"
#include "policy-lang/model/quantity.h"

/* A suggestion for an unknown name looks at all that there are; a flood of unknown names
 * must not make loading quadratic. */
#define LOAD_SUGGESTIONS_MAX 50

/* ---- state ---- */

struct ptr_vec {
	void **items;
	size_t count, cap;
};

void ptr_vec_push(struct ptr_vec *v, void *item);
void ptr_vec_fini(struct ptr_vec *v);
/* A copy in the arena; NULL when empty. */
MUST_CHECK void *ptr_vec_copy(struct arena *a, const struct ptr_vec *v);

#define LOAD_SEEN_LABELS_MAX 16

/* A map of labels without mistakes that has been read: what the model has for it, and
 * where in that each label is, in the order in which they were written. */
struct load_seen_labels {
	struct label_set labels; /* none: nothing has been seen */
	uint8_t order[LOAD_SEEN_LABELS_MAX];
};

/* What has been looked up lately, each in the place that its hash gives it: most of a
 * cluster is the same few texts and sets of labels, and they do without the maps. */
struct load_recent {
	struct str *texts; /* private to load_text */
	struct load_seen_labels *labels;
	size_t count; /* of each of them */
};

/* The place of what has this hash. */
MUST_CHECK static inline size_t
load_recent_place(const struct load_recent *r, uint64_t hash)
{
	return (size_t)((hash >> 32) * r->count >> 32);
}

/* Kinds of which a cluster has few objects: neither workloads nor nodes, and no policies. */
enum load_other {
	OTHER_ACCESS,
	OTHER_EXTERNAL,
	OTHER_QUOTA,
	OTHER_ROUTE,
	OTHER_SERVICE,
	OTHER_TEST,
	OTHER_KINDS,
};

/* That a source speaks of an ExternalNetwork. */
struct load_named {
	struct str name;
	const struct ns *from; /* looked up from there upwards */
	const struct source *source;
};

/* External networks that a model comes to have, or not, by the edit under way. */
struct load_externals {
	const struct external_network **gone, **come;
	size_t gone_count, come_count;
};

#define LOAD_RECENT_WHOLE 8192 /* for everything that there is */
#define LOAD_RECENT_PART  64   /* for one source */

/* Namespaces that one source speaks of, and the model that it is read against does not
 * have: made apart, for who puts them into it. */
struct load_fresh {
	struct arena *arena;                 /* NULL: there are none */
	struct map ns_by_path, kube_by_name; /* as the model's */
};

/* What a load notes for who keeps the model up afterwards, source by source (live.h). */
struct load_note {
	bool
	    part; /* one source is read against l->m, which is there and must not change */
	bool beyond; /* and says what only loading all anew can tell the effect of */
	struct {
		uint64_t hash; /* of the identity */
		const struct source *source;
	} * claims;
	size_t claim_count, claim_cap;
	/* What is said of namespaces, in the loader's arena: struct load_placed, and of a part
	 * struct load_space and those that are new. */
	struct ptr_vec spaces, placed;
	struct load_named *named; /* on the heap */
	size_t named_count, named_cap;
	struct load_externals externals; /* of a part: beside the model's */
	struct load_fresh *fresh;
	struct load_reading reading;
	struct ptr_vec audit; /* struct policy: those that the model leaves out */
	/* With a number that is not its hash, because another's was, or with one before such
	 * a number. Now and then one is there twice. */
	const struct source **collided; /* on the heap */
	size_t collided_count;
};

enum load_stage {
	/* Pods, templates, Nodes, Services, which make up most of what there is: loaded as they are
	 * read, so that no more than one of their documents is in memory. They must not
	 * ask where a Kubernetes namespace is placed. */
	STAGE_PODS,
	STAGE_TREE,     /* native Namespaces: the tree, and who is placed where */
	STAGE_KUBE,     /* Kubernetes Namespaces */
	STAGE_NATIVE,   /* Workloads, ExternalNetworks */
	STAGE_POLICIES, /* Policies of every kind, Access, Quota */
	STAGE_COUNT,
};

/* A source that is to be read again, and in which stages, as bits. */
struct load_waiting {
	const struct source *source;
	unsigned stages;
};

struct loader {
	struct load_note *note; /* NULL: nobody does */
	struct arena *arena;    /* the model's */
	struct arena *scratch;  /* freed when loading is over */
	struct arena *pages;    /* the same: documents, of which most are not kept */
	struct diag_list *diags;
	struct model *m;   /* its maps of namespaces are in use while loading */
	struct map texts;  /* the texts of the model once: key -> its bytes */
	struct map arrays; /* the same for arrays that load_shared was given */
	struct load_recent recent;
	struct map objects;   /* identity -> struct loc, for duplicates */
	struct map nodes;     /* "cluster/name" -> struct node_draft */
	struct map externals; /* "path\nname" -> struct external_network */
	struct map placings;  /* of a part: cluster and name -> struct load_placed */
	struct map skipped;   /* "apiVersion kind" -> struct skipped_kind */
	struct map warned; /* "source\npath" of undeclared namespaces, each told once */
	enum load_stage stage; /* that is gone through */
	struct ptr_vec items;  /* struct load_object, in the order read */
	/* Where sources are read again for each stage, instead of keeping their documents. */
	bool reads_again;
	struct diag_list *told;       /* diags, but while a source is read again */
	struct load_waiting *waiting; /* with objects of later stages; on the heap */
	size_t waiting_count, waiting_cap;
	unsigned stages; /* of the source that is read, as bits */
	struct ptr_vec workloads, policies;
	struct ptr_vec others[OTHER_KINDS];
	bool failed;          /* some source could not be read to its end */
	bool placed;          /* it is known which Kubernetes namespace is where */
	unsigned suggestions; /* made so far */
};

struct load_object;

struct load_kind {
	const char *api_version;
	const char *kind;
	enum load_stage stage;
	void (*load)(struct loader *l, const struct load_object *o);
};

/* One document, or item of a list. */
struct load_object {
	const struct load_kind *kind;
	const struct doc_node *doc;
	struct str cluster; /* of the source */
};

/* How an API treats what is odd. */
enum api_style {
	API_NATIVE, /* ours: null is absent; items are never null */
	API_CORE,   /* Go structures: null is the zero value, in lists too */
	API_CRD,    /* checked by schema: null is absent; labels are not checked */
};

/* ---- "did you mean" (load_nearest.c) ---- */

/* Whether another search for the nearest name may be made; it counts. */
MUST_CHECK bool load_may_suggest(struct loader *l);
/* Adds what was found to a diagnostic, if something is near. */
void load_suggest(struct loader *l, struct diag *d, const struct nearest *n);

/* ---- kinds (load_apis.c) ---- */

/* NULL: none that is read. */
MUST_CHECK const struct load_kind *load_kind_find(
    struct str api_version, struct str kind);
/* Of what load_kind_find does not know: a mistake (reported) if it must have meant one that
 * is read. */
void load_refuse_or_skip(
    struct loader *l, const struct doc_node *api, const struct doc_node *kind);
/* Counts a document that is nothing to policy, by what it is; then tells of all of them. */
void load_skip(struct loader *l, struct str what, struct loc loc);
void load_report_skipped(struct loader *l);

/* ---- documents (load_documents.c) ---- */

/* Reads a source: objects of STAGE_PODS are loaded, others wait in l->items, or l->waiting. */
void load_source(struct loader *l, const struct source *source);
/* Reads it once more, for its objects of l->stage. */
void load_source_again(struct loader *l, const struct source *source);

/* ---- texts, objects (load_object.c) ---- */

/* The one copy of a text in the model; followed by a NUL. */
MUST_CHECK struct str load_text(struct loader *l, struct str s);

/* What a tenant calls a rule, or an expectation, in at most so many bytes: it is shown to others.
 * "" of NULL; false if it cannot be (reported). */
MUST_CHECK bool load_title(
    struct loader *l, const struct doc_node *node, uint32_t most, struct str *out);

/* The one copy of an array in the model: pods of one template have the same labels and
 * ports. Texts in it are load_text's. NULL when empty. */
MUST_CHECK const void *load_shared(struct loader *l, const void *items, size_t bytes);

/* Registers an object; false if there is one of that identity (reported). Parts may
 * be empty. */
MUST_CHECK bool load_claim(struct loader *l, const char *kind, struct str cluster,
    struct str ns, struct str name, struct loc loc);

/* The one copy of a shape, whose texts and arrays are of these. */
MUST_CHECK const struct workload_shape *load_shape(
    struct loader *l, const struct workload_shape *shape);

/* The one copy of where workloads are, in the model. */
MUST_CHECK const struct workload_where *load_where(struct loader *l, struct str cluster,
    struct str node, const struct node_word *told);

struct meta;
/* The same for a native object, by the namespace as written: two Kubernetes namespaces
 * that share a place may each have one of a name. */
MUST_CHECK bool load_claim_native(
    struct loader *l, const struct load_object *o, const struct meta *meta);

enum meta_scope {
	META_CLUSTER,    /* has no namespace */
	META_NAMESPACED, /* Kubernetes: "default" when absent */
	META_PLACED,     /* native: a path or a Kubernetes namespace; required */
	META_TREE,       /* native Namespace: its name may be a path */
};

struct meta {
	struct str name; /* "" if it is missing or wrong (reported) */
	bool generated;  /* by the server, from this beginning: never a duplicate */
	struct str ns;
	struct str cluster; /* of `ns`, when that is a Kubernetes namespace; else "" */
	struct label_set labels;
	const struct doc_node *owners; /* ownerReferences, or NULL */
	/* ENFORCEMENT_ANNOTATION, or NULL. */
	const struct doc_node *enforcement;
	struct loc loc; /* of the name; else of the object */
	struct loc ns_loc;
};

/* Reads metadata. `open` leaves fields that we do not know alone. False if anything
 * is wrong (reported); *out is usable even then. */
MUST_CHECK bool load_meta(struct loader *l, const struct load_object *o,
    enum meta_scope scope, bool open, struct meta *out);

/* Checks the top of an object (apiVersion, kind, metadata, spec, status) and gives its
 * spec, NULL if absent. */
MUST_CHECK bool load_top(
    struct loader *l, const struct load_object *o, const struct doc_node **out_spec);

/* ---- labels and selectors (load_selector.c) ---- */

MUST_CHECK bool load_labels(
    struct loader *l, const struct doc_node *map, struct label_set *out);
/* A copy of `labels` with one key set. */
MUST_CHECK struct label_set load_label_set(
    struct loader *l, struct label_set labels, struct str key, struct str value);
/* Reads a LabelSelector; *out is never NULL (matching everything after errors). */
MUST_CHECK bool load_selector(struct loader *l, const struct doc_node *node,
    enum api_style style, const struct selector **out);
/* The selector that matches everything. */
MUST_CHECK const struct selector *load_selector_all(struct loader *l, struct loc loc);

/* A list item: for API_CORE a null one stands for an empty map, written to *empty. */
MUST_CHECK const struct doc_node *load_item(
    enum api_style style, const struct doc_node *item, struct doc_node *empty);

/* A list of strings, each of which `check` (may be NULL) accepts; `rule` is what it
 * "must be". Copies them. */
MUST_CHECK bool load_strings(struct loader *l, const struct doc_node *list,
    const char *what, bool (*check)(struct str), const char *rule,
    const struct str **out, size_t *out_count);

/* ---- the tree (load_tree.c) ---- */

struct tree_node {
	struct ns ns;
	bool known; /* declared, or above one that is, or a Kubernetes namespace's */
};

struct kube_node {
	struct kube_ns kube;
	bool known;             /* declared, placed, or a pod is in it */
	struct loc placed;      /* where a Namespace document says so */
	struct label_set bare;  /* its labels while no document declares it */
	unsigned placers;       /* live_move.c: how often it is placed, ... */
	struct live_move *move; /* ... and the move of the edit under way, or NULL */
};

/* The namespace at a well-formed path, made with all above it if it is new. */
MUST_CHECK struct ns *load_ns(struct loader *l, struct str path);
MUST_CHECK struct kube_node *load_kube_ns(
    struct loader *l, struct str cluster, struct str name);
/* After STAGE_TREE: namespaces that nobody placed are at / and their name. */
void load_settle_kube(struct loader *l);
/* Where that is of a name, for a model that may not have such a namespace yet. */
MUST_CHECK struct ns *load_default_place(
    const struct model *m, struct load_fresh *fresh, struct str name);
/* Notes that something is known to be in it. */
void kube_node_known(struct kube_node *node);

/* ---- places as documents name them (load_path.c) ---- */

/* The cluster that a Kubernetes policy sees; ptr NULL: there is only one. */
MUST_CHECK struct str load_sight(struct loader *l, const struct load_object *o);
/* The cluster that a native document names; warns if nobody gave it. */
MUST_CHECK struct str load_cluster(struct loader *l, struct loc loc, struct str name);
/* The namespace that a native document is in: a path, or a Kubernetes namespace.
 * NULL if it cannot be told (reported). Warns if nobody declared it. */
MUST_CHECK struct ns *load_home(
    struct loader *l, const struct load_object *o, struct meta *meta);
/* The namespace that a peer names, relative to `base`. */
MUST_CHECK struct ns *load_relative(
    struct loader *l, const struct doc_node *node, const struct ns *base);

/* ---- what Namespace documents say (load_namespace.c) ---- */

/* What a document says of a namespace: of the tree, or (kube not NULL) of Kubernetes. */
struct load_space {
	struct ns *ns;
	struct kube_node *kube;
	struct label_set labels;
	const struct str *owners;
	size_t owner_count;
	struct loc loc;
};

/* That it places a Kubernetes namespace. */
struct load_placed {
	struct kube_node *kube;
	struct ns *ns;
	struct loc loc;
};

/* Gives a namespace what a document says of it. */
void load_declare(const struct load_space *said);
void load_native_namespace(struct loader *l, const struct load_object *o);
void load_kube_namespace(struct loader *l, const struct load_object *o);

/* ---- workloads and nodes (load_pod.c, load_kept.c, load_node.c, load_native.c) ---- */

struct node_draft {
	struct node node;
	bool declared; /* by its own Node: then its addresses are what that says */
	struct ptr_vec addresses;      /* struct ip_addr, in the arena */
	const struct node_word *heard; /* last */
};

MUST_CHECK struct node_draft *load_node_draft(
    struct loader *l, struct str cluster, struct str name);
/* True if something is known of such a node. */
MUST_CHECK bool load_node_known(
    const struct loader *l, struct str cluster, struct str name);
/* Gives the node its addresses, in the arena. */
void load_finish_node(struct arena *a, struct node_draft *d);

/* Whether it is the pod, and its status has no addresses. */
MUST_CHECK bool load_is_announced(
    const struct model *m, const struct workload *w, const struct announced_pod *pod);
/* Gives it the announced addresses, in the arena; NULL: none. */
void load_announce(
    struct arena *a, struct workload *w, const struct announced_pod *pod);
void load_pod(struct loader *l, const struct load_object *o);
/* A pod as it was in another model. */
void load_kept_pod(
    struct loader *l, const struct source *source, const struct workload *pod);
void load_template(struct loader *l, const struct load_object *o);
void load_node(struct loader *l, const struct load_object *o);
void load_service(struct loader *l, const struct load_object *o);
void load_test(struct loader *l, const struct load_object *o);
void load_native_workload(struct loader *l, const struct load_object *o);
void load_external(struct loader *l, const struct load_object *o);

/* ---- addresses and ports (load_net.c) ---- */

/* How they are written, for who wrote something that is no text at all: YAML reads 10 and
 * 10.1 as numbers. */
#define LOAD_ADVICE_IP   "an address is written 10.1.0.7 or fd00::7"
#define LOAD_ADVICE_CIDR "a CIDR is written 10.1.0.0/16 or fd00::/64"

/* A workload's ports as its shape has them: by name. */
MUST_CHECK const struct named_port *load_named_ports(
    struct loader *l, const struct named_port *ports, size_t count);
/* Whether a list is longer than LIMIT_ADDRESSES (reported). */
MUST_CHECK bool load_too_many_addresses(struct loader *l, const struct doc_node *list);
/* An address. An empty text is none: false, and not reported. */
MUST_CHECK bool load_address(
    struct loader *l, const struct doc_node *node, struct ip_addr *out);
/* A prefix. `loose` reads what the API server's old parser reads (leading zeros,
 * IPv4-mapped), with a warning. *out_mapped: it was IPv4-mapped (may be NULL). */
MUST_CHECK bool load_cidr(struct loader *l, const struct doc_node *node, bool loose,
    struct ip_prefix *out, bool *out_mapped);
/* cidr and except, as in an ipBlock. `except` may be NULL. */
MUST_CHECK bool load_block(struct loader *l, const struct doc_node *cidr,
    const struct doc_node *except, enum api_style style, struct peer *peer);
/* Adds what `ports` of a native rule, 443/tcp and so on, says. */
MUST_CHECK bool load_native_port(
    struct loader *l, const struct doc_node *node, struct port_match *out);

/* ---- rules (load_rule.c) ---- */

/* What parsing a rule list needs to know. */
struct rule_context {
	struct loader *l;
	struct policy *policy;
	enum phase phase;
	enum direction dir;
	struct ns *home;    /* native: where names are looked up from */
	struct str cluster; /* Kubernetes: all that it sees; ptr NULL: the whole tree */
	bool subject_ok;    /* false: no rule of the policy may allow anything */
};

/* Allocates a list with room for `count` rules, numbered and linked to the policy. */
void rule_list_init(
    const struct rule_context *c, struct rule_list *list, const struct doc_node *node);
/* Makes a rule that was not understood safe: an allow rule matches nothing; deny and
 * pass deny everything. */
void rule_fail_closed(struct rule *rule);

/* ---- policies ---- */

/* The values of "enforcement". */
enum {
	ENFORCEMENT_ENFORCE,
	ENFORCEMENT_AUDIT,
	ENFORCEMENT_COUNT
};
extern const char *const load_enforcements[ENFORCEMENT_COUNT];

/* Reads one of them, of a policy that is enforced if it is wrong (reported). */
void load_enforcement(struct loader *l, const struct doc_node *node, struct policy *p);
/* A new policy, registered unless its level is not known (NULL; already reported). Of
 * Kubernetes' policies the annotation about enforcement is read. */
MUST_CHECK struct policy *load_policy_new(struct loader *l, enum policy_kind kind,
    const struct meta *meta, struct ns *level, struct loc loc);
/* Reads a peer of a native rule; names are looked up from c->home. */
MUST_CHECK bool load_native_peer(
    const struct rule_context *c, const struct doc_node *node, struct peer *out);
/*
 * Whether a list of peers names an ExternalNetwork for the third time, or more often: it says
 * nothing new, and would be as long again in all that is made of the list. (The second is read,
 * and told to be redundant.) `named`: of the list so far; borrows its texts.
 */
MUST_CHECK bool load_named_often(struct map *named, const struct doc_node *peer);
void load_native_policy(struct loader *l, const struct load_object *o);
void load_network_policy(struct loader *l, const struct load_object *o);
void load_admin_policy(struct loader *l, const struct load_object *o);
void load_baseline_policy(struct loader *l, const struct load_object *o);
void load_cluster_policy(struct loader *l, const struct load_object *o);
void load_access(struct loader *l, const struct load_object *o);
void load_quota(struct loader *l, const struct load_object *o);
void load_route(struct loader *l, const struct load_object *o);
/* Reads a rule of a Route whose index, phase and kind are set; c->home is its level. */
MUST_CHECK bool load_route_rule(const struct rule_context *c,
    struct route_policy *route, const struct doc_node *node, struct route_rule *rule);
/* A node's name, of `cluster` (ptr NULL: of any): false (reported) if it can be none; one
 * that is not known is warned of. */
MUST_CHECK bool load_node_name(
    struct loader *l, const struct doc_node *node, struct str cluster, struct str *out);

/* ---- what native documents are made of, for load_kinds.c ---- */

/* Fields are told of by pointers, so that one table can hold another's address. */
extern const struct schema load_selector_schema;
extern const struct schema load_meta_schema, load_meta_tree_schema;
extern const struct schema load_namespace_schema, load_workload_schema,
    load_external_schema, load_policy_schema, load_access_schema, load_quota_schema,
    load_route_schema, load_test_schema;
/* A peer of any kind; one that can only be workloads. */
extern const struct schema load_peer_schema, load_selection_schema;

/* ---- what Tests expect (load_test.c, load_test_route.c) ---- */

/* An end, or several: a name, an address, or a selection of workloads. */
#define LOAD_ENDS_TYPES (TYPE_STRING | TYPE_MAP | TYPE_LIST)
extern const struct schema load_test_route_schema;
/* Each reports what is wrong and returns false. */
MUST_CHECK bool load_test_ends(const struct rule_context *c,
    const struct doc_node *node, bool source, const struct test_end **out,
    size_t *out_count);
MUST_CHECK bool load_test_route(const struct rule_context *c,
    const struct doc_node *node, bool allow, const struct test_route **out);
/* Workloads with a weight, for what a Route publishes. */
#define ROUTE_WEIGHT_MAX 65535
extern const struct schema load_backend_schema;
extern const struct schema load_route_rule_schemas[ROUTE_KIND_COUNT];

/* ---- the end (load_finish.c) ---- */

/* Sorts, indexes, numbers. Unless the load is noted, all of the model is in the arena; else its
 * maps and arrays are on the heap. */
void load_finish(struct loader *l);
typedef int (*load_compare_fn)(const void *a, const void *b);
/* The pointers of a vector, sorted, in the place of the model that they are for, as load_finish
 * has it. Nothing is left in the vector. */
MUST_CHECK void *load_sorted(
    struct loader *l, struct ptr_vec *v, load_compare_fn compare, size_t *out_count);
/* Orders of the model's arrays. */
MUST_CHECK int load_ns_cmp(const void *a, const void *b);
MUST_CHECK int load_kube_cmp(const void *a, const void *b);
MUST_CHECK int load_node_cmp(const void *a, const void *b);
MUST_CHECK int load_workload_cmp(const void *a, const void *b);
/* Whose an address is that both have: the lesser one's. Of pods the cluster itself says so;
 * of native workloads whoever may write them at some place in the tree. */
MUST_CHECK int load_owner_cmp(const struct workload *a, const struct workload *b);
/* Whether it may be one's at all: a node's address is no native workload's. */
MUST_CHECK bool load_may_own(
    const struct model *m, const struct workload *w, const struct ip_addr *addr);
/* Warns of an address that a workload names and may not own. */
void load_warn_nodes(struct diag_list *diags, const struct model *m,
    const struct workload *w, const struct ip_addr *addr);
MUST_CHECK int load_policy_cmp(const void *a, const void *b);
/* Tells each namespace which of the model's policies, which are sorted, stand there. */
void load_link_policies(struct model *m);
/* Warns that `w` has an address of `first`, which keeps it. */
void load_warn_shared(struct diag_list *diags, const struct workload *w,
    const struct workload *first, const struct ip_addr *addr);

/* ---- numbers (load_number.c) ---- */

/* Gives all that is told by number its own. */
void load_number(struct loader *l);
/* The same of what one source says. */
struct load_objects;
void load_number_alone(struct loader *l, struct load_objects *objects);

/* ---- other kinds (load_other.c) ---- */

/* Where objects of a kind are in the model, and what they are. */
struct load_other_kind {
	size_t items, count;     /* of struct model */
	load_compare_fn compare; /* of pointers to them; their order there */
	size_t loc;              /* of the object */
	bool has_ns;
	size_t ns; /* of the object: where it is in the tree */
	bool is_linked;
	size_t ns_items, ns_count; /* of struct ns, which has its own */
};

extern const struct load_other_kind load_other_kinds[OTHER_KINDS];

MUST_CHECK struct loc load_other_loc(enum load_other kind, const void *object);
/* NULL: it is nowhere in the tree. */
MUST_CHECK const struct ns *load_other_ns(enum load_other kind, const void *object);
/* The model's array of a kind. */
MUST_CHECK void **load_other_items(const struct model *m, enum load_other kind);
MUST_CHECK size_t load_other_count(const struct model *m, enum load_other kind);
void load_set_other_items(
    struct model *m, enum load_other kind, void **items, size_t count);
/* Puts those that were read into the model. */
void load_finish_others(struct loader *l);
/* Tells each namespace which of the model's objects of a kind stand there. */
void load_link_others(struct model *m, enum load_other kind);

/* ---- one load, or part of one (load.c) ---- */

/* model_load; `note` may be NULL. */
MUST_CHECK bool load_whole(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct load_note *note, struct model **out_model);
/* What one source says. */
struct load_objects {
	struct workload **workloads;
	size_t workload_count;
	struct policy **policies; /* of which some may be audit policies */
	size_t policy_count;
	uint32_t *numbers; /* that it takes: of policies in force; on the heap */
	size_t number_count;
	void **others[OTHER_KINDS];
	size_t other_count[OTHER_KINDS];
	struct node **nodes; /* of Node objects */
	size_t node_count;
};
/* Reads one source against a model, which stays as it is; *out, in the arena, is what it
 * says. False if anything is wrong with it. */
MUST_CHECK bool load_part(struct arena *arena, const struct source *source,
    const struct model *model, struct diag_list *diags, struct load_note *note,
    struct load_objects *out);

#endif
