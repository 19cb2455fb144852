/*
 * Records of flows, which come a JSON object a line, as lines for people.
 */
#ifndef ENFORCER_CLIENT_FLOWS_H
#define ENFORCER_CLIENT_FLOWS_H

#include "common/str.h"

struct client_flows {
	struct buf rest; /* a line whose end has not come yet */
};

/* Prints the lines that end in what has come. False if they cannot be printed. */
MUST_CHECK bool client_flows_print(struct client_flows *f, struct str data);
void client_flows_fini(struct client_flows *f);

#endif
