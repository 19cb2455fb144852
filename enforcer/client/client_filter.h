/*
 * Which flows, and which rules, are wanted: what the options of the client's commands say.
 */
#ifndef ENFORCER_CLIENT_FILTER_H
#define ENFORCER_CLIENT_FILTER_H

#include <jansson.h>

#include "common/clock.h"
#include "common/ip.h"

/* An end of a connection: a network, a path of the tree, a node, or a name. */
struct client_end {
	const char *text; /* as it was given; NULL: any */
	bool is_network;
	struct ip_prefix network;
};

/* NULL, "" and false stand for any. Texts are borrowed. */
struct client_filter {
	const char *verdict, *direction;
	const char *space;  /* this namespace and below: an end's, or the rule's */
	const char *policy; /* its name, or its path with its name */
	struct client_end from, to;
	char protocol[8]; /* "" */
	bool has_port;
	uint16_t port;
	char since[WALLTIME_TEXT_BYTES]; /* "" */
	bool used, unused;               /* rules that counted something; or nothing */
	bool any;                        /* something of all this is set */
};

/* Read what an option was given; false if it is none. `set` is the field it is for. */
MUST_CHECK bool client_filter_end(struct client_end *set, const char *text);
/* "443/tcp", "443", "tcp" */
MUST_CHECK bool client_filter_port(struct client_filter *f, const char *text);
/* "90s", "2h30m", or a time of RFC 3339. */
MUST_CHECK bool client_filter_since(
    struct client_filter *f, const char *text, walltime_t now);

/* A record of the flow log; an object of the answer to `rules`. */
MUST_CHECK bool client_filter_flow(const struct client_filter *f, const json_t *record);
MUST_CHECK bool client_filter_rule(const struct client_filter *f, const json_t *rule);
/* What is wanted of an answer to `rules`: a new reference. */
MUST_CHECK json_t *client_filter_rules(const struct client_filter *f, json_t *rules);

#endif
