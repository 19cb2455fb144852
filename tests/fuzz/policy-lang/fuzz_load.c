/*
 * Any bytes as a policy file, of any kind.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"kind", "v1", "Pod", "Namespace", "Workload",
    "Policy", "NetworkPolicy", "AdminNetworkPolicy", "ClusterNetworkPolicy", "Access",
    "Quota", "Route", "Test", "ExternalNetwork", "BaselineAdminNetworkPolicy",
    "Service", "Node", "List", "items", "ringfence.dev/v1alpha1",
    "networking.k8s.io/v1", "policy.networking.k8s.io/v1alpha1",
    "policy.networking.k8s.io/v1alpha2", "null", "[]", "{}", "/a", "a", "0"};

LOAD_TARGET(NULL, words)
