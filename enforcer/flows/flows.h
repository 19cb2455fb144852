/*
 * Flows: logged packets that say the same are one record. The first of its kind is told
 * at once; those that follow within a second are counted and told when it is over, so that
 * the counts of all records add up to what was logged. Pure: time is an argument.
 */
#ifndef ENFORCER_FLOWS_H
#define ENFORCER_FLOWS_H

#include "common/clock.h"
#include "enforcer/kernel/nflog.h"

#define FLOWS_MAX    16384 /* kinds told apart within one second */
#define FLOWS_SECOND 1000000000u

struct flows;

struct flows_record {
	struct nflog_packet packet; /* the first; its source port stands for all */
	uint64_t count;
	walltime_t time; /* of the first */
	/* Too many kinds at once: this counts what a rule logged beyond FLOWS_MAX; the
	 * packet says nothing but the rule's number. */
	bool crowd;
};

typedef void (*flows_record_fn)(void *arg, const struct flows_record *record);

MUST_CHECK struct flows *flows_new(flows_record_fn tell, void *arg);
/* Tells what is left and not told yet. */
void flows_flush(struct flows *f);
void flows_free(struct flows *f);

void flows_add(struct flows *f, const struct nflog_packet *packet, monotime_t now,
    walltime_t wall);
/* While they are held, records are made and none is told but by flows_flush: it is not known
 * yet what to say of them. */
void flows_hold(struct flows *f, bool held);
/* Tells what a second is over for. Returns true while there is anything to wait for. */
bool flows_tick(struct flows *f, monotime_t now);

#endif
