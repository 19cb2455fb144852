/*
 * Lines to the audit role, and what it says of them.
 */
#ifndef ENFORCER_ENGINE_AUDIT_H
#define ENFORCER_ENGINE_AUDIT_H

#include "common/str.h"
#include "enforcer/wire/link.h"

struct engine;

struct audit_line {
	struct audit_line *next;
	uint64_t ticket;
	bool urgent;
	struct buf text;
};

struct engine_audit {
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	bool writable, told; /* told: that it is, or is not */
	uint64_t last_ticket;
	struct audit_line *queue; /* the socket was full */
	struct audit_line **tail;
	size_t queued;
	uint64_t lines, lost;
	uint64_t passed_over; /* questions without a record of their own */
};

void engine_audit_init(struct engine *e);
void engine_audit_fini(struct engine *e);
void engine_audit_connect(struct engine *e, int fd);
/* Sends a line; with `urgent`, engine_apply_audited tells when it is on disk. Returns its
 * ticket; 0 if there is nobody to send it to. */
uint64_t engine_audit_send(struct engine *e, struct str line, bool urgent);
void engine_audit_tick(struct engine *e);
/* A gateway that routes here use is down, or up again. */
void engine_audit_gateway(
    struct engine *e, struct str node, const char *address, bool up);

#endif
