/*
 * The audit role: the one writer of the gate's audit log. Collects records from all
 * workers, writes them in groups, and answers when they are on disk.
 */
#ifndef AUTHN_AUDIT_ROLE_H
#define AUTHN_AUDIT_ROLE_H

#include "common/proc.h"

/* What the monitor tells it, in MSG_CONFIG. */
struct audit_role_settings {
	struct str directory; /* exists and belongs to the role's user */
	struct str origin;
	bool required;
	uint32_t uid, gid; /* of the role's user; 0: stay */
};

void audit_role_settings_encode(struct buf *out, const struct audit_role_settings *s);
MUST_CHECK bool audit_role_settings_decode(
    struct proc_reader *r, struct audit_role_settings *out_settings);

struct audit_log;
struct audit_recent;

/*
 * Confines the process to the directory and the user of the settings, opens the log, and tells
 * `recent` what is in its last segment; *out_log: for audit_close.
 */
MUST_CHECK int audit_role_prepare(const struct audit_role_settings *settings,
    struct audit_recent *recent, struct audit_log **out_log, struct err *err);

/* A proc_role's run: fds are sockets to the workers; more come by MSG_PEER_WORKER. */
int audit_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
