/*
 * Whether what a bridge switches passes netfilter's hooks for routed packets. For the plugin, and
 * for the daemon's parent.
 */
#ifndef ENFORCER_CNI_BRIDGE_H
#define ENFORCER_CNI_BRIDGE_H

#include "common/ip.h"
#include "enforcer/cni/link.h"

/* Reads br_netfilter's settings in the present network namespace. */
MUST_CHECK bool bridge_filters(const struct cni_link *bridge, enum ip_family family);
/* The name of the setting that would make it so: "bridge-nf-call-iptables". */
MUST_CHECK const char *bridge_setting(enum ip_family family);

#endif
