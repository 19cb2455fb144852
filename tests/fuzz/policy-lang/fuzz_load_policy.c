/*
 * Native policies.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"mandatory", "allow", "default", "ingress",
    "egress", "from", "to", "ports", "action", "deny", "pass", "443/tcp",
    "8000-8080/tcp", "http", "tcp", "icmp", "icmpv6", "0-65535/udp", "workloads",
    "namespace", "namespaces", "..", ".", "/acme", "cidr", "except", "10.0.0.0/8",
    "external", "cards", "fqdn", "node", "n1", "serviceAccount", "matchLabels",
    "matchExpressions", "In", "NotIn", "Exists", "[]", "{}", "null", "priority",
    "-2147483648"};

LOAD_TARGET(LOAD_CONTEXT, words)
