/*
 * enforcer.yaml, read and checked. Relative paths are relative to the file that names
 * them. Read by the parent; roles get what they need by message.
 */
#ifndef ENFORCER_CONFIG_H
#define ENFORCER_CONFIG_H

#include "common/diag.h"
#include "common/ip.h"
#include "common/log.h"
#include "enforcer/config/allowed.h"
#include "enforcer/config/steering.h"
#include "enforcer/kube/kube_access.h"
#include "policy-lang/model/interface.h"
#include "policy-lang/model/model.h"

/* A directory of YAML files, or a cluster. */
struct enforcer_source {
	const char *directory; /* or what names of the cluster's objects begin with */
	bool kubernetes;
	struct kube_place place; /* of the cluster */
	unsigned silent_s;       /* how long a watch may be without a word */
	unsigned report_s;       /* between two reports of the node there; 0: none */
	struct str cluster;      /* "" : of no cluster in particular */
	struct loc loc;
};

#define ENFORCER_MAX_SOURCES 16

/* What becomes of connections that policy forbids once they are there. The nearest
 * exception at or above a workload's namespace decides, else `keep` of the whole. */
struct established_exception {
	struct str path;
	bool keep;
};

struct established {
	bool keep;
	const struct established_exception *exceptions;
	size_t exception_count;
	unsigned adopt_seconds; /* after the first program ever; 0: not at all */
};

/* Addresses of Routes that the node translates, and the interface that gets them. */
#define ADDRESS_PLACES_MAX 64
struct address_place {
	struct ip_prefix network;
	struct str subtree; /* whose Routes may have them; "/": all */
	char interface[16]; /* padded with NULs, the last of which is always there; "":
			       they are routed to the node */
};

/* Where workloads ask a resolver of the node's own. */
struct dns_listener {
	struct ip_addr addr;
	uint16_t port;
};

struct enforcer_config {
	const char *path;
	struct str node;
	const struct enforcer_source *sources;
	size_t source_count;
	bool default_deny;
	bool ip_blocks_skip_pods;
	bool boot_closed;
	const struct ip_prefix *workload_networks;
	size_t workload_network_count;
	const struct interface_pattern *workload_interfaces; /* normalised */
	size_t workload_interface_count;
	bool validate_sources; /* where these are workloads' */
	struct established established;
	bool host_protection; /* policy for nodes is in force */
	struct fail_safe fail_safe;
	bool
	    allow_unfiltered; /* workloads that policy does not reach are put up with */
	bool reject;          /* denied packets are answered, not just dropped */
	const struct address_place *address_places;
	size_t address_place_count;
	struct steering steering;
	uint16_t names_group; /* NFLOG group of DNS; 0: no names are learnt */
	const struct ip_addr *resolvers; /* that are believed */
	size_t resolver_count;
	/* Answers by them wait until what they teach is in force; none: copies are read. */
	const struct dns_listener *dns_listeners;
	size_t dns_listener_count;
	const char *flow_file;      /* NULL: no flow log */
	uint16_t flow_group;        /* NFLOG group */
	const char *journal_socket; /* records go there, too; NULL: no */
	bool has_ipfix;
	struct ip_addr ipfix_addr; /* the collector */
	uint16_t ipfix_port;
	bool ipfix_tcp;
	struct allowed allowed; /* flows that are told of beside denied ones */
	uint32_t ipfix_domain, ipfix_enterprise; /* 0: no elements of our own */
	const char *audit_directory;             /* NULL: no audit log */
	bool audit_required;
	bool own_table; /* where the kernel has it */
	const char *control_socket;
	struct str control_group; /* "": root alone */
	bool has_metrics;
	struct ip_addr metrics_addr;
	uint16_t metrics_port;
	struct str
	    user; /* of the roles; "": "ringfence" if there is one, else "nobody" */
	enum log_level log_level;
	enum log_format log_format;
};

/*
 * Reads one file into the arena. Errors are diagnostics; returns NULL if there was
 * any. Warnings (something that is accepted, and is not what it may seem) do not keep it
 * from being used.
 */
MUST_CHECK struct enforcer_config *enforcer_config_load(
    struct arena *arena, const char *path, struct diag_list *diags);

#endif
