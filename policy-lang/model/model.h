/*
 * The model: what all documents together say, in one normal form. The loader
 * writes it; everything else only reads it. Kubernetes and native documents
 * meet here: a NetworkPolicy is an `allow` block of its namespace, an
 * AdminNetworkPolicy is `mandatory` at /, a BaselineAdminNetworkPolicy `default`
 * at /. All of it lives in one arena and is immutable once loaded. What it is made of:
 *
 *     selector.h      labels and selectors
 *     model_policy.h  policies, their rules and peers
 *     model_route.h   routes
 *     model_access.h  access and quotas
 *     (here)          the tree, what connects, tests, and all of it
 */
#ifndef POLICY_LANG_MODEL_H
#define POLICY_LANG_MODEL_H

#include "common/arena.h"
#include "common/diag.h"
#include "common/ip.h"
#include "common/map.h"
#include "common/str.h"
#include "policy-lang/model/address_map.h"
#include "policy-lang/model/model_access.h"
#include "policy-lang/model/model_policy.h"
#include "policy-lang/model/model_route.h"
#include "policy-lang/model/proto.h"
#include "policy-lang/model/selector.h"

/* ---- the tree ---- */

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
	/* By name; those of one name as they were said. */
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

/* Where workloads run: those of one node share it, as they share shapes. */
struct workload_where {
	/* Whose Kubernetes policies see them: "" with one cluster; a native workload is of
	 * the cluster that it names, of its source, or of the one that has its node. */
	struct str cluster;
	struct str node;              /* "" when not known */
	const struct node_word *told; /* of that; NULL: nothing */
};

#define WORKLOAD_IP_BITS 27 /* there are at most 1 + LIMIT_ADDRESSES */
#define WORKLOAD_IPS(n)  ((uint32_t)(n) & ((1u << WORKLOAD_IP_BITS) - 1))

/* A large cluster has some hundred thousand: what others have the same is not in it. */
struct workload {
	const struct workload_shape *shape;
	struct str name; /* the pod's or native workload's own name */
	struct ns *ns;
	const struct kube_ns *kube; /* NULL: a native workload */
	const struct workload_where *where;
	const struct ip_addr *ips;
	uint32_t ip_count : WORKLOAD_IP_BITS;
	bool host_network : 1; /* is the node, not a workload, to every policy */
	bool is_template : 1;  /* stands for the pods of an apps/batch object */
	bool not_ready : 1;    /* its status says so: nothing published leads to it */
	bool announced : 1;    /* its addresses are: see struct announced_pod */
	bool
	    generated : 1; /* its name is the beginning of those that the server makes */
	uint32_t index;    /* in model.workloads */
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

/* What an expectation says of Routes; what it does not speak of may be anyhow. */
struct test_route {
	bool direct; /* as if there were none; then nothing else is said */
	const struct ip_prefix *sources, *next_hops;
	size_t source_count, next_hop_count;
	const struct str *gateways; /* names of nodes */
	size_t gateway_count;
	const struct test_end *leads_to, *through;
	size_t leads_to_count, through_count;
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
	const struct test_route *route; /* NULL: nothing is said */
	struct loc loc;
};

/* What whoever asks for a domain name is told, as a Test has it. */
struct test_name {
	struct str name;
	const struct ip_addr *addrs;
	size_t addr_count;
};

struct test_document {
	struct str name;
	const struct ns *ns;
	const struct test_name *names;
	size_t name_count;
	struct test_expectation *items;
	size_t count;
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
	/* The node that knows what follows of itself, as model_node has it. */
	struct str here;
	/* Pods of it that its runtime told of. */
	const struct announced_pod *announced;
	size_t announced_count;
	/* Addresses that it has, whether any document says so or not; sorted, each once. */
	const struct ip_addr *own;
	size_t own_count;
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
	struct access_policy **access; /* the same */
	size_t access_count;
	struct quota **quotas; /* sorted by level path, name */
	size_t quota_count;
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
	NUMBER_SPOOFED = 13,     /* a source address that does not lead back */
	NUMBER_WAY = 256,        /* and so on: a way's number behind it */
	NUMBER_FIRST_RULE = 4096,
};

/* ---- questions that loader, evaluator and compiler share ---- */

/* True if the node is one that the peer (PEER_NODES) speaks of. */
MUST_CHECK bool peer_takes_node(const struct peer *peer, const struct node *node);
/* The name of ownerReferences[0] or of the apps/batch object, else its own. */
MUST_CHECK struct str workload_owner(const struct workload *w);
/* The ports to which it gives a name, which are neighbours; *out_count: how many. NULL: none. */
MUST_CHECK const struct named_port *workload_ports_named(
    const struct workload *w, struct str name, size_t *out_count);
/* Whether the port is the first of its name, of which each is to be asked about once. */
MUST_CHECK bool workload_port_is_first(const struct workload *w, size_t i);
/* "Deployment", "Pod", "Workload", ... */
MUST_CHECK struct str workload_owner_kind(const struct workload *w);
/* The labels that a namespaceSelector sees for this workload. */
MUST_CHECK struct label_set workload_ns_labels(const struct workload *w);
/* The first part of its path: whose it is. "" at the root. */
MUST_CHECK struct str ns_tenant(const struct ns *ns);
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
/* The node that documents, or pods, say has the address; and the one that has it: that, or else
 * options.here if it is its own. */
MUST_CHECK const struct node *model_node_said_at(
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

#endif
