#include "enforcer/kube/kube_kinds.h"

#include "policy-lang/load/load.h"

/* As load_pod reads it. */
static const struct kube_path pod_fields[] = {
    {.steps = {"metadata", "name"}, .of = KUBE_OF_ITSELF},
    {.steps = {"metadata", "namespace"}},
    {.steps = {"metadata", "labels"}},
    {.steps = {"metadata", "ownerReferences", "kind"}},
    {.steps = {"metadata", "ownerReferences", "name"}},
    {.steps = {"spec", "nodeName"}, .of = KUBE_OF_NODE},
    {.steps = {"spec", "hostNetwork"}},
    {.steps = {"spec", "serviceAccountName"}},
    {.steps = {"spec", "containers", "ports"}},
    {.steps = {"spec", "initContainers", "ports"}},
    {.steps = {"status", "podIP"}, .of = KUBE_OF_ITSELF},
    {.steps = {"status", "podIPs"}, .of = KUBE_OF_ITSELF},
    {.steps = {"status", "hostIP"}, .of = KUBE_OF_NODE},
    {.steps = {"status", "hostIPs"}, .of = KUBE_OF_NODE},
    {.steps = {"status", "conditions", "type"}, .only = "\"type\":\"Ready\""},
    {.steps = {"status", "conditions", "status"}},
};
static const struct kube_path node_fields[] = {
    {.steps = {"metadata", "name"}},
    {.steps = {"metadata", "labels"}},
    {.steps = {"status", "addresses"}},
};
static const struct kube_path namespace_fields[] = {
    {.steps = {"metadata", "name"}},
    {.steps = {"metadata", "labels"}},
};
/* What is written by people is read as they wrote it. */
static const struct kube_path document_fields[] = {
    {.steps = {"metadata", "name"}},
    {.steps = {"metadata", "namespace"}},
    {.steps = {"metadata", "labels"}},
    {.steps = {"metadata", "annotations", ENFORCEMENT_ANNOTATION}},
    {.steps = {"spec"}},
};

#define FIELDS(table) .keep = (table), .keep_count = ARRAY_LEN(table)
#define CORE(resource, kind_, ...)                                                     \
	{                                                                              \
		.name = (resource), .url = "/api/v1/" resource,                        \
		.head = "{\"apiVersion\":\"v1\",\"kind\":\"" kind_ "\"", __VA_ARGS__   \
	}
#define OTHER(name_, version, resource, kind_, ...)                                    \
	{                                                                              \
		.name = (name_), .url = "/apis/" version "/" resource,                 \
		.head = "{\"apiVersion\":\"" version "\",\"kind\":\"" kind_ "\"",      \
		FIELDS(document_fields), __VA_ARGS__                                   \
	}
#define NETWORKING     "networking.k8s.io/v1"
#define ADMIN_V1ALPHA1 "policy.networking.k8s.io/v1alpha1"
#define ADMIN_V1ALPHA2 "policy.networking.k8s.io/v1alpha2"
#define NATIVE         "ringfence.dev/v1alpha1"
#define NATIVE_KIND(resource, kind_, ...)                                              \
	OTHER(resource ".ringfence.dev", NATIVE, resource, kind_, __VA_ARGS__)

const struct kube_kind kube_kinds[KUBE_KIND_COUNT] = {
    CORE("namespaces", "Namespace", FIELDS(namespace_fields)),
    CORE("nodes", "Node", FIELDS(node_fields)),
    CORE("pods", "Pod", FIELDS(pod_fields), .namespaced = true, .ends = true),
    OTHER("networkpolicies", NETWORKING, "networkpolicies", "NetworkPolicy",
	.namespaced = true),
    OTHER("adminnetworkpolicies", ADMIN_V1ALPHA1, "adminnetworkpolicies",
	"AdminNetworkPolicy", .namespaced = false),
    OTHER("baselineadminnetworkpolicies", ADMIN_V1ALPHA1,
	"baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy",
	.namespaced = false),
    OTHER("clusternetworkpolicies", ADMIN_V1ALPHA2, "clusternetworkpolicies",
	"ClusterNetworkPolicy", .namespaced = false),
    NATIVE_KIND("namespaces", "Namespace", .namespaced = false),
    NATIVE_KIND("workloads", "Workload", .namespaced = true),
    NATIVE_KIND("externalnetworks", "ExternalNetwork", .namespaced = true),
    NATIVE_KIND("policies", "Policy", .namespaced = true),
    NATIVE_KIND("routes", "Route", .namespaced = true),
};
