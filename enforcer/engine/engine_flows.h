/*
 * Flows: NFLOG to the log, to who asks for recent ones, and to the journal or a collector.
 */
#ifndef ENFORCER_ENGINE_FLOWS_H
#define ENFORCER_ENGINE_FLOWS_H

#include "enforcer/flows/flows.h"
#include "enforcer/flows/ipfix.h"
#include "enforcer/kernel/nflog_reader.h"
#include "enforcer/wire/messages.h"

struct engine;

#define ENGINE_RECENT_FLOWS 1000

struct engine_flows {
	struct nflog_reader log;
	struct flows *flows;
	monotime_t began;
	bool kept;        /* in a file, */
	int file;         /* this; -1: it cannot be opened */
	struct buf lines; /* not written yet */
	bool file_failed;
	bool torn;                              /* the file ends in half a line */
	struct buf recent[ENGINE_RECENT_FLOWS]; /* a ring */
	size_t recent_count, recent_next;
	uint64_t packets, records, write_failures;
	uint64_t unwritten; /* records that are not in the file, or not whole */
	uint64_t denied, allowed, cut, audited; /* by verdict */
};

/* ---- to others ---- */

struct export_message {
	struct export_message *next;
	struct buf data;
	unsigned records;
};

struct engine_export {
	int fd;             /* -1: none, now */
	uint8_t flags;      /* EXPORT_* */
	size_t begun;       /* bytes of the first message that a stream has taken */
	monotime_t again;   /* when the parent is asked to connect once more; */
	uint64_t patience;  /* nanoseconds, more each time */
	struct ipfix ipfix; /* EXPORT_IPFIX */
	struct export_message *queue, **tail;
	size_t queued;
	size_t fresh;        /* of these, since they were last tried to be sent */
	bool failing;        /* and it has been told */
	uint64_t sent, lost; /* records */
};

/* ---- engine_flows.c ---- */

/* A packet that was logged, or a connection that was cut. */
void engine_flows_add(struct engine *e, const struct nflog_packet *packet);
void engine_flows_init(struct engine *e);
void engine_flows_fini(struct engine *e);
/* Takes the NFLOG socket; -1: it is gone. */
void engine_flows_socket(struct engine *e, int fd);
/* Takes the flow log's file; -1: there is none, though it may be to be kept. */
void engine_flows_file(struct engine *e, bool kept, int fd);
void engine_flows_tick(struct engine *e);

/* ---- engine_export.c ---- */

void engine_export_init(struct engine *e);
void engine_export_fini(struct engine *e);
/* Takes a socket; -1: none. What waits for the same receiver goes on waiting. */
void engine_export_socket(struct engine *e, enum enforcer_export kind, uint8_t flags,
    uint32_t domain, uint32_t enterprise, int fd);
/* A record for all of them, which goes with engine_export_send at the latest. */
void engine_export_flow(struct engine *e, const struct flow_view *view);
void engine_export_send(struct engine *e);
MUST_CHECK const char *engine_export_name(enum enforcer_export kind);

#endif
