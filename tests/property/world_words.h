/*
 * Between world.c and world_print.c: the words that a world is made of. It holds their
 * numbers; in what language one is written is a matter of printing.
 */
#ifndef TESTS_PROPERTY_WORLD_WORDS_H
#define TESTS_PROPERTY_WORLD_WORDS_H

#include <stddef.h>

static const char *const label_keys[] = {"app", "app", "tier"};
static const char *const label_values[] = {"a", "b", "web"};
static const char *const cidrs[][2] = {
    {"10.0.0.0/29", NULL},
    {"10.0.0.0/24", "10.0.0.2/31"},
    {"0.0.0.0/0", "10.0.0.0/8"},
    {"192.0.2.0/24", "192.0.2.128/25"},
    {"fd00::/64", NULL},
    {"::/0", "fd00::/16"},
};
/* As a native policy writes a port, and as a NetworkPolicy does (NULL: it cannot). */
static const char *const ports[][2] = {
    {"80/tcp", "{port: 80}"},
    {"80-90/tcp", "{port: 80, endPort: 90}"},
    {"tcp", "{}"},
    {"udp", "{protocol: UDP}"},
    {"53/udp", "{protocol: UDP, port: 53}"},
    {"web", NULL},
    {"icmp", NULL},
    {"85-443/tcp", "{port: 85, endPort: 443}"},
    {"icmpv6", NULL},
};
/* The same as the admin kinds write them: v1alpha1, v1alpha2. */
static const char *const admin_ports[][2] = {
    {"{portNumber: {protocol: TCP, port: 80}}",
	"{tcp: {destinationPort: {number: 80}}}"},
    {"{portNumber: {protocol: UDP, port: 53}}",
	"{udp: {destinationPort: {number: 53}}}"},
    {"{portRange: {protocol: TCP, start: 80, end: 90}}",
	"{tcp: {destinationPort: {range: {start: 80, end: 90}}}}"},
    {"{portRange: {protocol: TCP, start: 85, end: 443}}",
	"{tcp: {destinationPort: {range: {start: 85, end: 443}}}}"},
    {"{namedPort: web}", "{destinationNamedPort: web}"},
};
#define ADMIN_NUMBERS 4 /* those that any peer may stand beside */

/* What a workload's port name "web" means: a number and a protocol each. */
#define WEB_MEANINGS 3
static const struct {
	unsigned port;
	const char *kube, *native;
} web_ports[WEB_MEANINGS][2] = {
    {{80, "TCP", "tcp"}, {53, "UDP", "udp"}},
    {{443, "TCP", "tcp"}, {80, "SCTP", "sctp"}},
    {{90, "TCP", "tcp"}, {54, "UDP", "udp"}},
};

static const char *const cluster_names[] = {"east", "west"};

#endif
