/*
 * Access and Quota.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"groups", "users", "mandatory", "default", "allow",
    "deny", "pass", "verbs", "resources", "pods/exec", "deployments.apps", "*",
    "*/scale", "nonResourceURLs", "/metrics*", "names", "requests", "perSecond",
    "burst", "inFlight", "watches", "perDay", "bodyBytes", "3Mi", "1e9", "-1", "0.5",
    "perUser", "objects", "requests.cpu", "\"64\"", "256Gi", "18446744073709551616",
    "[]", "{}", "null"};

LOAD_TARGET(LOAD_CONTEXT, words)
