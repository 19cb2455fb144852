/*
 * What a node says in the cluster of what it holds in force: one small object of its own (NodeReport),
 * written when something has changed, but not often, and now and then all the same: one that is
 * old is of a node that is gone. Whoever reads all of them knows on how many nodes a document
 * is in force, without any node writing to any document. Pure.
 */
#ifndef ENFORCER_NODE_REPORT_H
#define ENFORCER_NODE_REPORT_H

#include "common/clock.h"
#include "common/proc.h"
#include "enforcer/kube/kube_kinds.h"

#define NODE_REPORT_PATH    "/apis/ringfence.dev/v1alpha1/nodereports/"
#define NODE_REPORT_REFUSED 50 /* told of; more are counted */
#define NODE_REPORT_BEATS   10 /* of `every`: when it is written without a change */

/* ---- what the engine says (MSG_KUBE_IN_FORCE) ---- */

struct node_refused {
	struct str name; /* of the source: CLUSTER/RESOURCE/NAMESPACE/NAME */
	struct str why;
};

struct node_held {
	uint64_t bundles; /* of those that the role has sent, so many are in force */
	struct node_refused refused[NODE_REPORT_REFUSED];
	uint32_t count, total; /* given, and all */
};

void node_held_encode(struct buf *out, const struct node_held *held);
/* Texts are borrowed from the message; false: malformed. */
MUST_CHECK bool node_held_decode(struct proc_reader *r, struct node_held *out);

/* ---- what the role keeps ---- */

#define NODE_SENT_KEPT 64

/* How far all kinds are known, by kube_kinds. */
struct node_versions {
	uint64_t of
	    [KUBE_KIND_COUNT]; /* resourceVersions: also of what says nothing new here */
	uint64_t edits[KUBE_KIND_COUNT]; /* of what is kept of objects, counted */
};

struct node_report {
	uint64_t sent; /* bundles */
	struct {
		uint64_t number; /* 0: unused */
		struct node_versions versions;
	} kept[NODE_SENT_KEPT];        /* what a bundle brought the engine up to */
	struct node_versions in_force; /* 0: nothing yet */
	uint64_t held;                 /* bundles that are in force */
	struct buf refused;            /* as JSON, for the next one */
	uint64_t written_hash;         /* of the last one, without its versions */
	struct node_versions written;
	bool news;
	monotime_t written_at; /* or tried; 0: never */
	bool failed;
	uint64_t writes, failures;
};

/* The engine is another one: it has nothing. What was in force is no news until it says so. */
void node_report_begin(struct node_report *r);
/* A bundle has been sent; `versions` NULL: more of what is known waits. */
void node_report_sent(struct node_report *r, const struct node_versions *versions);
/* What the engine says. */
void node_report_held(
    struct node_report *r, const struct node_held *held, struct str cluster);
/* Nothing waits to be sent: if all that was is in force, so is what is known now. */
void node_report_known(struct node_report *r, const struct node_versions *known);
/* True if it is to be written now: there is news and the last one is `every_s` old, or it is as
 * old as it may become. Nodes differ by up to half of it. */
MUST_CHECK bool node_report_due(
    const struct node_report *r, struct str node, unsigned every_s, monotime_t now);
/* The object, to be applied; notes that it is written at `now`. */
void node_report_print(struct node_report *r, struct str node, unsigned every_s,
    monotime_t now, walltime_t wall, struct buf *out);
void node_report_answered(struct node_report *r, bool taken);
void node_report_fini(struct node_report *r);

#endif
