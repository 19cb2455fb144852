/*
 * Workloads and networks of the native kinds.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"/acme/shop", "shop", "10.1.0.2", "fd00::2",
    "10.1.0.0/16", "::/0", "0.0.0.0/0", "10.1.0.7/8", "tcp", "udp", "sctp", "65536",
    "-1", "n1", "*.example.org", "fqdns", "cidrs", "ips", "ports", "{}", "[]", "null"};

LOAD_TARGET(LOAD_CONTEXT, words)
