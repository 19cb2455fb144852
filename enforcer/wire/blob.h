/*
 * What is too large for a message travels beside it: a blob is inline when it fits, and
 * else a memfd that its sender has sealed, so that it cannot change while it is read.
 */
#ifndef ENFORCER_BLOB_H
#define ENFORCER_BLOB_H

#include "common/proc.h"

/* memfd_create; libseccomp number, -1-terminated: what blob_put calls beyond
 * proc_syscalls_basic. */
extern const int blob_syscalls[];

/*
 * Appends a blob to a message's body; *out_fd is the descriptor that must travel with
 * the message, or -1. The caller closes it once the message is sent. At most one blob
 * to a message, and the last thing but short fields.
 */
MUST_CHECK int blob_put(
    struct buf *body, struct str data, int *out_fd, struct err *err);

struct blob {
	struct str data; /* borrows the message when it came inline */
	void *map;       /* private */
};

/* Reads one; at most `limit` bytes. ERR_PROTOCOL for one that is malformed or not
 * sealed, ERR_LIMIT. The descriptor stays the message's. */
MUST_CHECK int blob_get(struct proc_reader *r, const struct proc_msg *msg, size_t limit,
    struct blob *out_blob, struct err *err);
void blob_free(struct blob *blob);

#endif
