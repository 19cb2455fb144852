/*
 * What the parent tells each role in MSG_SETTINGS, and how it is written down.
 */
#ifndef ENFORCER_SETTINGS_H
#define ENFORCER_SETTINGS_H

#include "common/ip.h"
#include "common/log.h"
#include "common/proc.h"
#include "enforcer/config/config.h"

/* For every role. */
struct role_settings {
	uint32_t uid, gid; /* 0: stay */
	enum log_level log_level;
	enum log_format log_format;
};

struct kernel_settings {
	struct role_settings role;
	uint16_t flow_group;
	uint16_t names_group; /* 0: none */
	bool own_table;
	const struct address_place *address_places;
	size_t address_place_count;
	struct steering steering;
};

struct audit_settings {
	struct role_settings role;
	struct str directory; /* exists and belongs to the role's user */
	struct str origin;
};

struct kube_settings {
	struct role_settings role;
	uint32_t index;     /* of the source */
	struct str cluster; /* what names of its objects begin with */
	unsigned silent_s;
	unsigned report_s; /* at least that long between reports; 0: there are none */
	struct str node;
};

/* Of the role that forwards what workloads ask. */
struct dns_settings {
	struct role_settings role;
	const struct ip_addr *resolvers; /* that it asks */
	size_t resolver_count;
	const struct ip_prefix *networks; /* that it answers */
	size_t network_count;
};

struct settings_source {
	struct str directory; /* or what names of a cluster's objects begin with */
	struct str cluster;
	bool kubernetes;
};

#define UPLINKS_MAX 64
#define OWN_MAX     2048 /* addresses of the node itself */

struct engine_settings {
	struct role_settings role;
	struct str node;
	bool default_deny;
	bool ip_blocks_skip_pods;
	bool boot_closed;
	bool reject;
	struct established established;
	bool host_protection;
	struct fail_safe fail_safe;
	uint16_t flow_group;
	struct allowed allowed;
	bool audit, audit_required;
	struct settings_source *sources;
	size_t source_count;
	struct ip_prefix *workload_networks; /* none unless boot is closed */
	size_t workload_network_count;
	struct interface_pattern *workload_interfaces; /* the same */
	size_t workload_interface_count;
	bool validate_sources;                /* where there are such */
	struct route_network *route_networks; /* none: Routes have no addresses */
	size_t route_network_count;
	struct steering steering;
	uint16_t names_group;            /* 0: no names are learnt */
	const struct ip_addr *resolvers; /* as workloads ask them */
	size_t resolver_count;
	bool names_held; /* ... which is the node's own, and no copies are read */
	/* The engine's own: what tenants know by name; NULL if none is learnt. */
	const struct learnt *learnt;
	bool
	    no_nat; /* the kernel translates nothing: of Routes' addresses none is ours */
	bool
	    no_fib; /* nor can it tell where an address leads: sources are not validated */
	/* Interfaces by which others than workloads of this node come; normalised. */
	struct interface_pattern uplinks[UPLINKS_MAX];
	size_t uplink_count;
	/* And what it was told of pods before they run. */
	const struct announced_pod *announced;
	size_t announced_count;
	/* And of the addresses of this node itself; sorted. */
	const struct ip_addr *own;
	size_t own_count;
};

/* Whether a program that follows them validates source addresses. */
MUST_CHECK bool engine_settings_validate(const struct engine_settings *s);

/* Decoders copy what they need into the arena; false: malformed. */
void kernel_settings_encode(struct buf *out, const struct kernel_settings *s);
MUST_CHECK bool kernel_settings_decode(
    struct arena *arena, struct proc_reader *r, struct kernel_settings *out_settings);
void audit_settings_encode(struct buf *out, const struct audit_settings *s);
MUST_CHECK bool audit_settings_decode(
    struct arena *arena, struct proc_reader *r, struct audit_settings *out_settings);
void kube_settings_encode(struct buf *out, const struct kube_settings *s);
MUST_CHECK bool kube_settings_decode(
    struct arena *arena, struct proc_reader *r, struct kube_settings *out_settings);
void dns_settings_encode(
    struct buf *out, const struct role_settings *role, const struct enforcer_config *c);
MUST_CHECK bool dns_settings_decode(
    struct arena *arena, struct proc_reader *r, struct dns_settings *out_settings);
void engine_settings_encode(
    struct buf *out, const struct role_settings *role, const struct enforcer_config *c);
MUST_CHECK bool engine_settings_decode(
    struct arena *arena, struct proc_reader *r, struct engine_settings *out_settings);

/* Waits up to `timeout_ms` for the first message, which must be MSG_SETTINGS. */
MUST_CHECK int settings_receive(struct proc_channel *parent, unsigned timeout_ms,
    struct proc_msg *out_msg, struct err *err);

#endif
