/*
 * Private to audit.c and audit_open.c: the log, and what opening it needs of writing it.
 */
#ifndef COMMON_AUDIT_INTERNAL_H
#define COMMON_AUDIT_INTERNAL_H

#include "common/audit.h"
#include "common/audit_index.h"
#include "common/audit_note.h"
#include "common/audit_store.h"
#include "common/audit_tree.h"

#define AUDIT_SEGMENT_MODE 0640
#define AUDIT_PUBLIC_MODE  0644

struct audit_log {
	int dirfd; /* holds the lock */
	int fd;    /* the last segment */
	uint64_t segment;
	uint64_t segment_bytes;
	uint64_t synced; /* bytes of the last segment that are on disk */
	struct buf pending;
	struct audit_tree tree; /* with what is pending */
	struct audit_tree synced_tree;
	struct audit_index_builder
	    index;             /* of the last segment, as far as it is synced */
	uint64_t covered;      /* lines that the checkpoint signs */
	bool tail_unsure;      /* bytes beyond `synced` could not be cut off */
	bool directory_unsure; /* a name in it could not be flushed */
	unsigned interval_ms;
	monotime_t checkpoint_time;
	struct audit_key key;
	struct audit_signer signer;
	bool owns_signer;
};

/* True if s is one JSON object as far as brackets and strings tell: cheap enough for
 * every request, and enough to keep an event from swallowing the next one. */
MUST_CHECK bool audit_log_is_object_line(struct str s);
/* Signs the tree. On failure the old checkpoint is in place. Once the new one has its
 * name, lines that it covers may no longer be cut: a failure to flush the name is
 * therefore kept for the next call and is none of this one. */
MUST_CHECK int audit_log_write_checkpoint(
    struct audit_log *log, const struct audit_tree *tree, struct err *err);
/* A failure is kept for the next call of audit_sync too. */
int audit_log_flush_directory(struct audit_log *log, struct err *err);
/* Makes it the one that is written; `flags` beside O_WRONLY. */
MUST_CHECK int audit_log_open_segment(
    struct audit_log *log, uint64_t number, int flags, struct err *err);
/* For searches only: without one they read the segment, so a failure is logged. */
void audit_log_write_index(
    const struct audit_log *log, uint64_t segment, struct str data);

#endif
