#include "policy-lang/load/load_kinds.h"

#include "policy-lang/load/load_internal.h"

const struct native_kind native_kinds[] = {
    {
	.kind = "Namespace",
	.plural = "namespaces",
	.singular = "namespace",
	.short_name = "rfns",
	.about = "A node of the tree of namespaces, and the Kubernetes namespaces that "
		 "are placed there.",
	.meta = &load_meta_tree_schema,
	.spec = &load_namespace_schema,
	.tree = true,
	.columns = {{"Path", ".spec.path", "string"},
	    {"Kubernetes", ".spec.kubernetes.namespaces", "string"}},
    },
    {
	.kind = "Workload",
	.plural = "workloads",
	.singular = "workload",
	.short_name = "rfw",
	.about = "A workload on a host without Kubernetes.",
	.meta = &load_meta_schema,
	.spec = &load_workload_schema,
	.columns = {{"Node", ".spec.node", "string"}, {"IPs", ".spec.ips", "string"}},
    },
    {
	.kind = "ExternalNetwork",
	.plural = "externalnetworks",
	.singular = "externalnetwork",
	.short_name = "rfext",
	.about = "A name for a part of the outside.",
	.meta = &load_meta_schema,
	.spec = &load_external_schema,
	.spec_required = true,
	.columns = {{"CIDRs", ".spec.cidrs", "string"},
	    {"FQDNs", ".spec.fqdns", "string"}},
    },
    {
	.kind = "Policy",
	.plural = "policies",
	.singular = "policy",
	.short_name = "rfp",
	.about = "Which workloads may connect.",
	.meta = &load_meta_schema,
	.spec = &load_policy_schema,
	.spec_required = true,
	.on_nodes = true,
	.columns = {{"Priority", ".spec.priority", "integer"}},
    },
    {
	.kind = "Access",
	.plural = "accesses",
	.singular = "access",
	.short_name = "rfa",
	.about = "Who may do what through the API server.",
	.meta = &load_meta_schema,
	.spec = &load_access_schema,
	.spec_required = true,
	.columns = {{"Groups", ".spec.groups", "string"},
	    {"Users", ".spec.users", "string"},
	    {"Priority", ".spec.priority", "integer"}},
    },
    {
	.kind = "Quota",
	.plural = "quotas",
	.singular = "quota",
	.short_name = "rfq",
	.about = "How much of the API server and of its objects a subtree may use.",
	.meta = &load_meta_schema,
	.spec = &load_quota_schema,
	.spec_required = true,
	.columns = {{"Per second", ".spec.requests.perSecond", "number"},
	    {"In flight", ".spec.requests.inFlight", "integer"}},
    },
    {
	.kind = "Route",
	.plural = "routes",
	.singular = "route",
	.short_name = "rfr",
	.about =
	    "How traffic leaves, what is published, and what traffic goes through.",
	.meta = &load_meta_schema,
	.spec = &load_route_schema,
	.spec_required = true,
	.on_nodes = true,
	.columns = {{"Priority", ".spec.priority", "integer"}},
    },
    {
	.kind = "Test",
	.plural = "tests",
	.singular = "test",
	.short_name = "rft",
	.about = "What must hold, asked by `ringfence test`.",
	.meta = &load_meta_schema,
	.spec = &load_test_schema,
	.spec_required = true,
    },
};

const size_t native_kind_count = ARRAY_LEN(native_kinds);

const struct native_kind *
native_kind_find(struct str kind)
{
	for (size_t i = 0; i < native_kind_count; i++) {
		if (str_is(kind, native_kinds[i].kind))
			return &native_kinds[i];
	}
	return NULL;
}

const struct schema *const native_meta = &load_meta_schema;
