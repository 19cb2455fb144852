/*
 * Reading an audit log for some of its lines: blocks that an index says have none of them
 * are passed over, everything else is read, in bounded memory. The writer may be at work.
 */
#ifndef COMMON_AUDIT_SCAN_H
#define COMMON_AUDIT_SCAN_H

#include "common/audit_index.h"

struct audit_scan {
	const char *directory;
	struct audit_probe probe; /* {0}: every line */
	bool no_index;            /* reads everything all the same */
	/* Called for lines that may be wanted, in order, without their newlines (borrowed for
	 * the call); false: enough. `index` counts from 0 over the whole log. */
	bool (*each)(void *arg, uint64_t index, struct str line);
	/* An index that is damaged or is not of its segment: it is not used. May be NULL. */
	void (*complain)(void *arg, const char *what);
	void *arg;
	uint64_t bytes_read, bytes_passed; /* filled in */
};

/* Returns as audit_read. */
MUST_CHECK int audit_scan(struct audit_scan *scan, struct err *err);

#endif
