/*
 * AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"subject", "namespaces", "pods",
    "namespaceSelector", "podSelector", "networks", "nodes", "domainNames",
    "*.example.org", "Admin", "Baseline", "tier", "priority", "1000", "1001", "Allow",
    "Accept", "Deny", "Pass", "portNumber", "portRange", "namedPort", "protocols",
    "tcp", "destinationPort", "number", "range", "start", "end", "destinationNamedPort",
    "http", "10.0.0.0/8", "::/0", "[]", "{}", "null"};

LOAD_TARGET(LOAD_CONTEXT, words)
