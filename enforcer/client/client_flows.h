/*
 * Records of flows, which come a JSON object a line: those that are wanted, as they are or
 * for people.
 */
#ifndef ENFORCER_CLIENT_FLOWS_H
#define ENFORCER_CLIENT_FLOWS_H

#include "enforcer/client/client_filter.h"
#include "enforcer/client/client_options.h"

/* Where in the records of which engine something is. */
struct client_flows_place {
	bool known;
	uint64_t engine;  /* one that started at another time is another */
	uint64_t records; /* of it, up to here */
	uint64_t lost; /* logged packets that it did not get to see, up to the mark */
};

struct client_flows {
	enum client_format format;          /* CLIENT_FORMAT_DEFAULT: as they come */
	const struct client_filter *filter; /* borrowed */
	/* The last records that are wanted of those that there were: held until all of
	 * these have come. NULL: every one is printed at once. */
	struct buf *held;
	size_t most, count, next;
	struct buf rest;                 /* a line whose end has not come yet */
	bool marked;                     /* what comes is new, not what there was */
	struct client_flows_place place; /* of the last line */
	uint64_t told_before;            /* lines before the mark */
	char error[1024];                /* there is no answer, and why; "": there is */
};

/* Holds back all but the last `most` of what comes before a mark, or the end. */
void client_flows_hold(struct client_flows *f, size_t most);
/* Prints the lines that end in what has come. False if they cannot be printed, or there is
 * an error. */
MUST_CHECK bool client_flows_take(struct client_flows *f, struct str data);
/* For another connection: what has come of a line is given up. */
void client_flows_restart(struct client_flows *f);
/* Prints what is held. */
MUST_CHECK bool client_flows_end(struct client_flows *f);
void client_flows_fini(struct client_flows *f);

#endif
