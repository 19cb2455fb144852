/*
 * The model: what all documents together say, in one normal form. The loader
 * writes it; everything else only reads it. Kubernetes and native documents
 * meet here: a NetworkPolicy is an `allow` block of its namespace, an
 * AdminNetworkPolicy is `mandatory` at /, a BaselineAdminNetworkPolicy `default`
 * at /. All of it lives in one arena and is immutable once loaded.
 */
#ifndef POLICY_LANG_MODEL_H
#define POLICY_LANG_MODEL_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/ip.h"
#include "common/map.h"
#include "common/str.h"
#include "policy-lang/address_map.h"

/* ---- labels and selectors (apimachinery meta/v1 LabelSelector) ---- */

struct label {
	struct str key;
	struct str value;
};

struct label_set {
	const struct label *items; /* sorted by key, keys unique */
	size_t count;
};

enum requirement_op {
	REQ_IN,
	REQ_NOT_IN,
	REQ_EXISTS,
	REQ_NOT_EXISTS
};

struct requirement {
	struct str key;
	enum requirement_op op;
	const struct str *values; /* sorted; REQ_IN and REQ_NOT_IN only */
	size_t value_count;
};

/* All requirements must hold; none: everything matches. matchLabels become
 * REQ_IN with one value. Requirements are sorted (key, op, values), so that equal
 * selectors compare equal. */
struct selector {
	const struct requirement *reqs;
	size_t count;
	struct loc loc;
};

/* ---- the tree ---- */

struct policy;
struct peer;
struct port_match;
struct access_policy;
struct quota;
struct route_policy;
struct learnt;

/* A namespace of the tree. */
struct ns {
	struct str path;          /* "/", "/acme/shop" */
	uint32_t index;           /* in model.namespaces */
	uint32_t depth;           /* 0: the root */
	struct ns *parent;        /* NULL: the root */
	struct label_set labels;  /* of its own Namespace document */
	const struct str *owners; /* LDAP groups; own document only */
	size_t owner_count;
	struct loc loc; /* its document; nowhere if only implied */
	/* Policies written here, in evaluation order: priority, name, kind. */
	struct policy **policies;
	size_t policy_count;
	struct access_policy **access; /* the same for Access */
	size_t access_count;
	struct quota **quotas;
	size_t quota_count;
	struct route_policy **routes; /* priority, name, namespace_text */
	size_t route_count;
};

/* A Kubernetes namespace, placed at a tree node. */
struct kube_ns {
	struct str cluster; /* "" with one cluster */
	struct str name;
	struct label_set labels; /* kubernetes.io/metadata.name always among them */
	struct ns *ns;
	struct loc loc; /* its v1 Namespace; nowhere if only implied */
};

/* ---- what connects ---- */

/* IP protocol numbers; PROTO_ANY is "whatever protocol". */
enum proto {
	PROTO_ANY = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_ICMPV6 = 58,
	PROTO_SCTP = 132,
};

struct named_port {
	struct str name;
	uint8_t proto;
	uint16_t port;
};

/* What the pods of one owner have in common: of a large cluster most is this, and it is held
 * once. Equal shapes are one, except that a source that was read by itself has its own. */
struct workload_shape {
	struct label_set labels;
	struct str
	    service_account; /* Kubernetes: "default" when absent; native: may be "" */
	const struct named_port *ports;
	size_t port_count;
	struct str display; /* "ns/OWNER[Kind]" as `list` prints it; OWNER is: */
	uint32_t owner_at, owner_len;
};

/* Addresses of its node that a pod tells of, distinct. */
struct node_word {
	uint32_t count;
	struct ip_addr ips[];
};

struct workload {
	const struct workload_shape *shape;
	struct str name; /* the pod's or native workload's own name */
	struct ns *ns;
	const struct kube_ns *kube; /* NULL: a native workload */
	/* Whose Kubernetes policies see it: "" with one cluster; a native workload is of
	 * the cluster that it names, of its source, or of the one that has its node. */
	struct str cluster;
	struct str node;              /* "" when not known */
	const struct node_word *told; /* of that; NULL: nothing */
	const struct ip_addr *ips;
	uint32_t ip_count;
	uint32_t index;    /* in model.workloads */
	bool host_network; /* is the node, not a workload, to every policy */
	bool is_template;  /* stands for the pods of an apps/batch object */
	bool not_ready;    /* its status says so: nothing published leads to it */
	bool announced;    /* its addresses are: see struct announced_pod */
	bool generated; /* its name is the beginning of those that the server makes */
	struct loc loc;
};

struct node {
	uint32_t index;
	struct str cluster;
	struct str name;
	struct label_set labels;
	const struct ip_addr *ips;
	size_t ip_count;
	/* Nowhere if known only through a workload's `node`: then its addresses are what
	 * pods tell of it, sorted. */
	struct loc loc;
};

struct external_network {
	struct str name;
	struct ns *ns;
	const struct ip_prefix *prefixes;
	size_t prefix_count;
	const struct str *fqdns;
	size_t fqdn_count;
	struct loc loc;
};

/* A port of a Service: what clients dial, and what it leads to at the pods. */
struct service_port {
	struct str name; /* "" when it has none */
	uint8_t proto;
	uint16_t port;
	uint16_t target;        /* 0: by name */
	struct str target_name; /* a port's name at the pods */
	struct loc loc;
};

/* A Kubernetes Service. No policy names one: it is there for lints and listings. */
struct service {
	struct str name;
	const struct kube_ns *kube;
	/* NULL: none; its ends are somebody else's, or (ExternalName) elsewhere. */
	const struct selector *selector;
	const struct ip_addr *ips; /* clusterIPs; none when headless */
	size_t ip_count;
	/* externalIPs, and the addresses that its load balancer got. */
	const struct ip_prefix *external_ips;
	size_t external_ip_count;
	const struct service_port *ports;
	size_t port_count;
	struct str type; /* "ClusterIP", "NodePort", "LoadBalancer", "ExternalName" */
	struct loc loc;
};

/* ---- tests ---- */

/* One side of an expectation: a text as `can` takes it, looked up when the test is run, or
 * every workload that a peer (PEER_WORKLOADS) takes in. */
struct test_end {
	struct str text;
	const struct peer *selection; /* NULL: `text` */
	struct loc loc;
};

/* One expectation of a Test document: every end of `from` to every end of `to`, at every
 * port, has this verdict. */
struct test_expectation {
	struct str name; /* "" when it has none */
	const struct test_end *from;
	size_t from_count;
	const struct test_end *to;
	size_t to_count;
	const struct port_match *ports; /* none: every protocol and port */
	size_t port_count;
	bool allow;
	struct str by;   /* "" or the name of the policy or rule that must decide */
	unsigned family; /* 4 or 6; 0: as `can` without --family */
	struct loc loc;
};

struct test_document {
	struct str name;
	const struct ns *ns;
	struct test_expectation *items;
	size_t count;
	struct loc loc;
};

/* ---- policies ---- */

enum direction {
	DIR_INGRESS,
	DIR_EGRESS
};
#define DIRECTION_COUNT 2

enum phase {
	PHASE_MANDATORY,
	PHASE_ALLOW,
	PHASE_DEFAULT
};

enum action {
	ACTION_ALLOW,
	ACTION_DENY,
	ACTION_PASS
};

enum port_match_kind {
	PORT_NUMBERS, /* `proto` and lo..hi; 0..65535 is the whole protocol */
	PORT_NAMED,   /* `name` at the destination; proto PROTO_ANY: in any protocol */
};

struct port_match {
	enum port_match_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
	struct str name;
	struct loc loc;
};

/* A set of workloads: subject of a policy, or part of a peer. Every part that is
 * set must hold. hostNetwork workloads are never in one. */
struct workload_match {
	/* The subject of a policy for nodes: these (PEER_NODES), and no workload at all.
	 * NULL: workloads. */
	const struct peer *nodes;
	struct str cluster;         /* of this cluster; ptr NULL: of any */
	const struct ns *subtree;   /* at or below; NULL: anywhere */
	const struct kube_ns *kube; /* exactly this Kubernetes namespace; NULL */
	const struct selector
	    *ns_selector; /* over the labels of the workload's own namespace
					       (kube ? kube->labels : ns->labels); NULL: any */
	const struct selector *selector; /* over the workload's labels; NULL: any */
	struct str service_account;      /* ptr NULL: any */
};

enum peer_kind {
	PEER_WORKLOADS,
	PEER_NETWORK, /* addresses, and workloads by their addresses unless !by_address */
	PEER_NODES,   /* the addresses of nodes, and their hostNetwork workloads */
	PEER_FQDN,    /* outside addresses that the tenant knows by such a name */
};

struct peer {
	enum peer_kind kind;
	struct workload_match workloads; /* PEER_WORKLOADS ... */
	/* ... but for these; NULL: none. Only compilers make such peers. */
	const struct workload_match *but;
	const struct ip_prefix *prefixes; /* PEER_NETWORK: in one of these ... */
	size_t prefix_count;
	const struct ip_prefix *excepts; /* ... and in none of these */
	size_t except_count;
	bool by_address; /* also matches workloads that have such an address */
	/* ptr NULL: none. PEER_NODES: only nodes of it. PEER_NETWORK: workloads of other
	 * clusters are the outside here; they match whatever by_address says. */
	struct str cluster;
	struct str node_name; /* PEER_NODES: ptr NULL: by selector */
	const struct selector *node_selector;
	const struct str
	    *fqdns; /* PEER_FQDN, or beside prefixes of an ExternalNetwork */
	size_t fqdn_count;
	struct loc loc;
};

struct rule {
	struct str name; /* "" when it has none */
	uint32_t index;  /* in its list, from 0 */
	enum phase phase;
	enum direction dir;
	enum action action; /* PHASE_ALLOW: always ACTION_ALLOW */
	bool any_peer;      /* no from/to: everyone; else one of peers (none: nobody) */
	const struct peer *peers;
	size_t peer_count;
	bool any_port; /* no ports: everything; else one of ports (none: nothing) */
	const struct port_match *ports;
	size_t port_count;
	const struct policy *policy;
	uint32_t
	    number; /* identifies the rule in kernel and logs: see model_rule_number */
	struct loc loc;
};

struct rule_list {
	struct rule *rules;
	size_t count;
};

enum policy_kind {
	POLICY_NATIVE,
	POLICY_NETWORK_POLICY,
	POLICY_ADMIN,    /* AdminNetworkPolicy */
	POLICY_BASELINE, /* BaselineAdminNetworkPolicy */
	POLICY_CLUSTER,  /* ClusterNetworkPolicy, either tier */
};

struct policy {
	enum policy_kind kind;
	struct str name;
	struct str
	    namespace_text; /* as written: a path or a Kubernetes namespace; "" at / */
	struct str cluster; /* of its source, or its Kubernetes namespace; mostly "" */
	struct ns *level;   /* where its rules stand in the walk */
	int32_t priority;   /* lower is first */
	bool audit;         /* enforcement: audit: what it would do is told, not done */
	struct workload_match subject; /* subtree is always at or below level */
	struct rule_list mandatory[DIRECTION_COUNT];
	struct rule_list allow[DIRECTION_COUNT];
	bool isolates[DIRECTION_COUNT]; /* has an allow block in this direction */
	struct rule_list defaults[DIRECTION_COUNT];
	struct loc loc;
	struct loc isolate_loc[DIRECTION_COUNT];  /* what isolates: for messages */
	uint32_t isolate_number[DIRECTION_COUNT]; /* number of "denied by isolation" */
};

/* ---- routes ---- */

/* What a route rule speaks of. */
enum route_kind {
	ROUTE_EGRESS,  /* how traffic to the outside leaves */
	ROUTE_INGRESS, /* what is published to the outside */
	ROUTE_VIA,     /* what traffic between workloads is sent through */
};
#define ROUTE_KIND_COUNT 3

enum route_action {
	ROUTE_APPLY, /* egress "route", ingress "publish", via "through": as the rule says */
	ROUTE_DIRECT, /* egress, via: as if there were no rule */
	ROUTE_DENY,   /* not at all */
	ROUTE_PASS,   /* the next level decides */
};

enum route_balance {
	BALANCE_RANDOM, /* each connection anywhere */
	BALANCE_HASH, /* by the client's address: the same client, the same workload */
};

struct route_backend {
	struct workload_match workloads; /* within the route's level */
	uint32_t weight;                 /* 1 unless given; 0: no new connections */
};

/* Which fields are set follows from kind and action; see load_route.c. */
struct route_rule {
	struct str name;  /* "" when it has none */
	uint32_t index;   /* in its list, from 0 */
	enum phase phase; /* PHASE_MANDATORY or PHASE_DEFAULT */
	enum route_kind kind;
	enum route_action action;
	const struct peer *from; /* via; none: the workloads of the route */
	size_t from_count;
	const struct peer
	    *to;         /* egress: networks and names, none: everywhere outside */
	size_t to_count; /* via: workloads, none: everyone */
	const struct port_match *ports; /* none: everything */
	size_t port_count;
	/* Egress, ROUTE_APPLY: at least one of these. */
	const struct ip_prefix *sources; /* the source address, or a pool of them */
	size_t source_count;
	const struct str *gateways; /* names of nodes, the first that is up is used */
	size_t gateway_count;
	const struct selector *gateway_selector; /* instead of names; else NULL */
	const struct ip_addr *next_hops;         /* at most one of each family */
	size_t next_hop_count;
	uint32_t table; /* a routing table of the node; 0: none */
	/* Ingress. */
	const struct ip_prefix *addresses; /* published; deny, pass: any of these */
	size_t address_count;
	const struct route_backend *backends;
	size_t backend_count;
	uint16_t target_port;       /* of the first port; 0: as published, or by name */
	struct str target_name;     /* "" unless by name */
	enum route_balance balance; /* ingress and via */
	/* Via, ROUTE_APPLY: both directions of a connection go through one of these. */
	struct workload_match through;
	bool direct_on_failure; /* when none of them is there; else nothing passes */
	/* Identifies the rule in kernel and logs, as a policy's; and where it is the rule
	 * that decides, but a node cannot do as it says (ROUTE_APPLY, but not ingress). */
	uint32_t number, refuse_number;
	struct loc loc;
};

struct route_list {
	struct route_rule *rules;
	size_t count;
};

/* A Route: the same tree, the same two laws. For a workload and a kind the first match
 * going down through `mandatory` decides, else the first going up through `defaults`. */
struct route_policy {
	struct str name;
	struct str namespace_text; /* as policy's */
	struct ns *level;
	int32_t priority;              /* lower is first */
	struct workload_match subject; /* subtree is `level` */
	struct route_list mandatory[ROUTE_KIND_COUNT];
	struct route_list defaults[ROUTE_KIND_COUNT];
	struct loc loc;
};

/* ---- access and quotas ---- */

struct access_rule {
	enum action action;
	const struct str *verbs; /* "*": every verb */
	size_t verb_count;
	const struct str
	    *resources; /* RBAC's grammar: pods, pods/exec, deployments.apps,
					"*", "*\/scale" */
	size_t resource_count;
	const struct str *names; /* none: every object */
	size_t name_count;
	const struct str *urls; /* nonResourceURLs; a trailing * is a prefix */
	size_t url_count;
	uint32_t index;
	struct loc loc;
};

struct access_policy {
	struct str name;
	struct str namespace_text; /* as policy's */
	struct ns *level;
	int32_t priority;
	const struct str *users;
	size_t user_count;
	const struct str *groups;
	size_t group_count;
	const struct access_rule *mandatory;
	size_t mandatory_count;
	const struct access_rule *defaults;
	size_t default_count;
	struct loc loc;
};

#define QUOTA_UNSET UINT64_MAX

/* Limits of request flow; QUOTA_UNSET where not given. */
struct quota_limits {
	uint64_t per_second_milli; /* requests per 1,000 seconds */
	uint64_t burst;            /* unset: 2 s worth, at least 1 */
	uint64_t in_flight;
	uint64_t watches;
	uint64_t per_day;
	uint64_t body_bytes;
};

/* Limits of the network, each with a bucket or a count of its own; see net_limit.h. */
enum net_limit {
	NETLIM_RATE,  /* connectionsPerSecond */
	NETLIM_COUNT, /* connections */
	NETLIM_OUT,   /* egressBytesPerSecond */
	NETLIM_IN,    /* ingressBytesPerSecond */
	NETLIM_KINDS,
};

/* The chains of one limit (table.h), each with a number. */
enum net_limit_chain {
	NETLIM_DENY,  /* what a connection or packet beyond the limit ends in */
	NETLIM_ALL,   /* the limit itself */
	NETLIM_FIRST, /* what of it is first come, first served */
	NETLIM_OWN,   /* what each workload has to itself */
	NETLIM_CHAINS,
};

/* What the workloads of a subtree may do on the network, together, at each node. */
struct quota_network {
	uint64_t per_second_milli; /* new connections per 1,000 seconds */
	uint64_t burst;            /* unset: 2 s worth, at least 1 */
	uint64_t connections;      /* at a time */
	uint64_t egress_bytes_per_second;
	uint64_t ingress_bytes_per_second;
	uint64_t guaranteed_percent; /* in equal parts; unset: 25 */
	struct loc loc[NETLIM_KINDS];
	uint32_t number[NETLIM_KINDS][NETLIM_CHAINS];
};

struct quota_object {
	struct str resource;   /* "pods", "requests.cpu" */
	uint64_t amount_milli; /* canonical quantity times 1,000 */
};

struct quota {
	struct str name;
	struct ns *level;
	struct quota_limits requests;
	struct quota_limits per_user;
	struct quota_limits per_token; /* of requests that bear one */
	struct quota_network network;
	const struct quota_object *objects;
	size_t object_count;
	struct loc loc;
};

/* ---- all of it ---- */

/* Ports that are open at a node whatever policy says of it; see fail_safe.h. */
struct fail_safe_port {
	uint8_t proto;
	uint16_t lo, hi;
};

struct fail_safe {
	const struct fail_safe_port *ports[DIRECTION_COUNT];
	size_t count[DIRECTION_COUNT];
};

/* A pod whose addresses are known before its status says them. */
struct announced_pod {
	struct str namespace, name;
	const struct ip_addr *ips;
	size_t ip_count;
};

struct model_options {
	/* Pods of one node that its runtime told of. */
	struct str announced_node;
	const struct announced_pod *announced;
	size_t announced_count;
	/* What tenants know by name: learnt.h. NULL: nothing. Borrowed; it may change while
	 * nothing reads the model. */
	const struct learnt *learnt;
	bool nodes_unprotected; /* policies for nodes judge nothing */
	struct fail_safe fail_safe;
	bool default_deny;        /* --cluster-default deny */
	bool ip_blocks_skip_pods; /* --ip-blocks-match-pods=never */
	bool audit_enforced; /* policies with `enforcement: audit` are like others */
	bool as_the_server;  /* what an API server refuses is an error: --strict */
	/* --cluster NAME=PATH: documents of sources below PATH belong to NAME. With one
	 * cluster the others do, too; with several they are of a cluster without name. A
	 * Kubernetes policy sees the workloads, namespaces and nodes of its own cluster
	 * only; native documents see the whole tree. */
	const struct {
		struct str name, path;
	} * clusters;
	size_t cluster_count;
};

struct model {
	struct arena *arena; /* borrowed */
	struct model_options options;
	struct ns *root;
	struct ns **namespaces; /* sorted by path; the root is first */
	size_t ns_count;
	struct kube_ns **kube_namespaces; /* sorted by cluster, name */
	size_t kube_count;
	struct workload **workloads; /* sorted by display, then name */
	size_t workload_count;
	struct node **nodes; /* sorted by cluster, name */
	size_t node_count;
	struct external_network **externals; /* sorted by path, name */
	size_t external_count;
	struct service **services; /* sorted by cluster, namespace, name */
	size_t service_count;
	struct test_document **tests; /* sorted by path, name */
	size_t test_count;
	struct route_policy **routes; /* sorted by level path, then as ns.routes */
	size_t route_count;
	struct policy **policies; /* sorted by level path, then as ns.policies */
	size_t policy_count;
	/* Policies with `enforcement: audit`. They are not among the policies unless the
	 * options say so: they were read and checked, and nothing follows from them. */
	size_t audit_count;
	/* Workloads that share an address keep the first by display; the loader warns. */
	struct address_map by_address;
	struct map
	    node_by_address; /* key: family byte + address bytes -> struct node */
	struct map ns_by_path;
	struct map kube_by_name; /* "name" or "cluster/name" */
};

/* Verdict numbers that are no rule's. Rules' own numbers start at 4096. */
enum {
	NUMBER_NONE = 0,
	NUMBER_CLUSTER_ALLOW = 1, /* nothing decided; cluster default allow */
	NUMBER_CLUSTER_DENY = 2,  /* nothing decided; cluster default deny */
	NUMBER_GATE = 3,          /* a workload that is not programmed yet */
	NUMBER_MIDSTREAM = 4,     /* TCP of a connection that is not known */
	NUMBER_FAIL_SAFE = 5,     /* a port of a node that no policy can close */
	NUMBER_NODE_ALLOW = 6,    /* no policy for the node decided */
	NUMBER_UNREADY = 7,       /* published for workloads of which none is ready */
	NUMBER_VIA_TRANSLATED =
	    8,                   /* goes through what cannot take what was translated */
	NUMBER_VIA_POSED = 9,    /* what others go through poses as one of them */
	NUMBER_STRAY = 10,       /* of no connection, where one would be routed */
	NUMBER_UNPUBLISHED = 12, /* an address taken for Routes, where nothing is */
	NUMBER_WAY = 256,        /* and so on: a way's number behind it */
	NUMBER_FIRST_RULE = 4096,
};

/* ---- questions that loader, evaluator and compiler share ---- */

MUST_CHECK bool selector_matches(const struct selector *s, struct label_set labels);
MUST_CHECK bool selector_equal(const struct selector *a, const struct selector *b);
/* True if the node is one that the peer (PEER_NODES) speaks of. */
MUST_CHECK bool peer_takes_node(const struct peer *peer, const struct node *node);
/* The name of ownerReferences[0] or of the apps/batch object, else its own. */
MUST_CHECK struct str workload_owner(const struct workload *w);
/* "Deployment", "Pod", "Workload", ... */
MUST_CHECK struct str workload_owner_kind(const struct workload *w);
/* The labels that a namespaceSelector sees for this workload. */
MUST_CHECK struct label_set workload_ns_labels(const struct workload *w);
/* The first part of its path: whose it is. "" at the root. */
MUST_CHECK struct str ns_tenant(const struct ns *ns);
/* True if the rule's peers include names. */
MUST_CHECK bool rule_has_names(const struct rule *rule);
/* How many of its rules that is so of. */
MUST_CHECK size_t policy_rules_by_name(const struct policy *policy);
/* True if `ns` is `top` or below it. */
MUST_CHECK bool ns_within(const struct ns *ns, const struct ns *top);
/* What the display of workloads of a Kubernetes namespace, and of native ones at or below a
 * namespace, begins with, in the arena; and the first in the order of workloads that is not
 * before a text. */
MUST_CHECK struct str model_display_of_kube(
    struct arena *a, struct str cluster, struct str name);
MUST_CHECK struct str model_display_of_ns(struct arena *a, const struct ns *ns);
MUST_CHECK size_t model_first_displayed(const struct model *m, struct str text);
MUST_CHECK const struct ns *model_ns(const struct model *m, struct str path);
MUST_CHECK const struct kube_ns *model_kube_ns(
    const struct model *m, struct str cluster, struct str name);
/* An address as a key of by_address and node_by_address. */
#define MODEL_ADDRESS_KEY_BYTES 17 /* of IPv6; others are shorter */
MUST_CHECK struct str model_address_key(
    const struct ip_addr *addr, char bytes[MODEL_ADDRESS_KEY_BYTES]);
MUST_CHECK const struct workload *model_workload_at(
    const struct model *m, const struct ip_addr *addr);
MUST_CHECK const struct node *model_node_at(
    const struct model *m, const struct ip_addr *addr);
/* "name" or "cluster/name"; NULL if there is none, or several clusters have one. */
MUST_CHECK const struct node *model_node(const struct model *m, struct str name);
MUST_CHECK struct node *model_cluster_node(
    const struct model *m, struct str cluster, struct str name);
/* The node that a workload runs on; NULL if that is not known. */
MUST_CHECK const struct node *model_node_of(
    const struct model *m, const struct workload *w);

MUST_CHECK const char *direction_name(enum direction d); /* "ingress", "egress" */
MUST_CHECK const char *phase_name(enum phase p); /* "mandatory", "allow", "default" */
MUST_CHECK const char *action_name(enum action a);
MUST_CHECK const char *policy_kind_name(enum policy_kind k); /* "NetworkPolicy", ... */
/* The rules of a policy that the walk asks in a phase and direction. */
MUST_CHECK const struct rule_list *policy_rules(
    const struct policy *p, enum phase phase, enum direction dir);
/* "tcp", "udp", "sctp", "icmp", "icmpv6", "any", else the number; `out` >= 8 bytes. */
const char *proto_name(uint8_t proto, char *out);
/* True for tcp, udp and sctp. */
MUST_CHECK bool proto_has_ports(uint8_t proto);
/* Parses tcp|udp|sctp|icmp|icmpv6 in lower or upper case. */
MUST_CHECK bool proto_parse(struct str text, uint8_t *out_proto);
/* "Policy /acme/shop/web", "NetworkPolicy east/shop/web": names a policy for people. In
 * the arena. */
MUST_CHECK const char *policy_title(struct arena *a, const struct policy *p);
/* "Policy /acme/shop/web rule 2 \"metrics\"": names a rule for people. In the arena. */
MUST_CHECK const char *rule_title(struct arena *a, const struct rule *r);

#endif
