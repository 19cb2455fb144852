/*
 * Access, who may do what through the API server, and Quota, how much of it and of the
 * network.
 */
#ifndef POLICY_LANG_MODEL_ACCESS_H
#define POLICY_LANG_MODEL_ACCESS_H

#include "policy-lang/model/model_policy.h"

struct access_rule {
	enum action action;
	const struct str *verbs; /* "*": every verb */
	size_t verb_count;
	const struct str
	    *resources; /* RBAC's grammar: pods, pods/exec, deployments.apps,
					"*", "*\/scale" */
	size_t resource_count;
	const struct str *names; /* none: every object */
	size_t name_count;
	const struct str *urls; /* nonResourceURLs; a trailing * is a prefix */
	size_t url_count;
	uint32_t index;
	struct loc loc;
};

struct access_policy {
	struct str name;
	struct str namespace_text; /* as policy's */
	struct ns *level;
	int32_t priority;
	const struct str *users;
	size_t user_count;
	const struct str *groups;
	size_t group_count;
	const struct access_rule *mandatory;
	size_t mandatory_count;
	const struct access_rule *defaults;
	size_t default_count;
	struct loc loc;
};

#define QUOTA_UNSET UINT64_MAX

/* Limits of request flow; QUOTA_UNSET where not given. */
struct quota_limits {
	uint64_t per_second_milli; /* requests per 1,000 seconds */
	uint64_t burst;            /* unset: 2 s worth, at least 1 */
	uint64_t in_flight;
	uint64_t watches;
	uint64_t per_day;
	uint64_t body_bytes;
};

/* Limits of the network, each with a bucket or a count of its own; see net_limit.h. */
enum net_limit {
	NETLIM_RATE,  /* connectionsPerSecond */
	NETLIM_COUNT, /* connections */
	NETLIM_OUT,   /* egressBytesPerSecond */
	NETLIM_IN,    /* ingressBytesPerSecond */
	NETLIM_KINDS,
};

/* The chains of one limit (table.h), each with a number. */
enum net_limit_chain {
	NETLIM_DENY,  /* what a connection or packet beyond the limit ends in */
	NETLIM_ALL,   /* the limit itself */
	NETLIM_FIRST, /* what of it is first come, first served */
	NETLIM_OWN,   /* what each workload has to itself */
	NETLIM_CHAINS,
};

/* What the workloads of a subtree may do on the network, together, at each node. */
struct quota_network {
	uint64_t per_second_milli; /* new connections per 1,000 seconds */
	uint64_t burst;            /* unset: 2 s worth, at least 1 */
	uint64_t connections;      /* at a time */
	uint64_t egress_bytes_per_second;
	uint64_t ingress_bytes_per_second;
	uint64_t guaranteed_percent; /* in equal parts; unset: 25 */
	struct loc loc[NETLIM_KINDS];
	uint32_t number[NETLIM_KINDS][NETLIM_CHAINS];
};

struct quota_object {
	struct str resource;   /* "pods", "requests.cpu" */
	uint64_t amount_milli; /* canonical quantity times 1,000 */
};

struct quota {
	struct str name;
	struct ns *level;
	struct quota_limits requests;
	struct quota_limits per_user;
	struct quota_limits per_token; /* of requests that bear one */
	struct quota_network network;
	const struct quota_object *objects;
	size_t object_count;
	struct loc loc;
};

#endif
