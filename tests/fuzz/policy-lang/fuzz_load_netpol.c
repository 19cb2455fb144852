/*
 * networking.k8s.io/v1 NetworkPolicy.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"podSelector", "namespaceSelector", "ipBlock",
    "cidr", "except", "0.0.0.0/0", "10.0.0.0/8", "::/0", "policyTypes", "Ingress",
    "Egress", "ingress", "egress", "from", "to", "ports", "port", "endPort", "protocol",
    "TCP", "SCTP", "http", "65535", "0", "matchLabels", "matchExpressions", "key",
    "operator", "In", "DoesNotExist", "values", "{}", "[]", "null"};

LOAD_TARGET(LOAD_CONTEXT, words)
