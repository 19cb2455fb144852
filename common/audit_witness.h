/*
 * What vouches for the past of an audit log: for so many lines, the root over them. Signed
 * checkpoints do, one by one or many in a file, and the lines of a copy. Private to
 * audit_verify.c.
 */
#ifndef COMMON_AUDIT_WITNESS_H
#define COMMON_AUDIT_WITNESS_H

#include "common/audit_note.h"

struct audit_witness {
	uint64_t size;
	uint8_t root[32];
	const char *name; /* for messages; borrowed */
};

struct audit_witnesses {
	struct audit_witness *all;
	size_t count, cap;
};

void audit_witnesses_fini(struct audit_witnesses *w);
/* By size. */
void audit_witnesses_sort(struct audit_witnesses *w);

/* Reads one note, which must be a checkpoint signed by the key. ERR_INVALID, ERR_DENIED. */
MUST_CHECK int audit_witness_note(struct audit_witnesses *w, struct str note,
    const struct audit_key *key, const char *name, struct err *err);

/* Adds every checkpoint of the key's log that is in a text: as a note of five lines, or as a
 * JSON string member "checkpoint". Those of other logs are passed over; ERR_DENIED for one of
 * this log's name that the key did not sign. */
MUST_CHECK int audit_witness_text(struct audit_witnesses *w, struct str text,
    const struct audit_key *key, const char *name, struct err *err);

/* Adds what a copy has: see struct audit_evidence. ERR_NOT_FOUND if there is nothing of
 * the key's log in it. */
MUST_CHECK int audit_witness_copy(struct audit_witnesses *w, const char *path,
    const struct audit_key *key, struct err *err);

#endif
