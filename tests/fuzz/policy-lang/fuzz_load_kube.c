/*
 * Pods, what makes pods, nodes, Services.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"10.1.0.2", "fd00::2", "10.9.0.1", "Running",
    "Succeeded", "hostNetwork", "true", "podIPs", "podIP", "hostIP", "nodeName", "n1",
    "containerPort", "65535", "0", "SCTP", "http", "clusterIPs", "None", "targetPort",
    "selector", "{}", "[]", "null", "template", "jobTemplate", "ownerReferences"};

LOAD_TARGET(LOAD_CONTEXT, words)
