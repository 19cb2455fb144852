/*
 * The status role: answers on the control socket and the metrics listener. It owns
 * nothing; it asks the monitor, who asks everybody.
 */
#ifndef AUTHN_STATUS_ROLE_H
#define AUTHN_STATUS_ROLE_H

#include "common/proc.h"

enum status_fd {
	STATUS_FD_CONTROL,
	STATUS_FD_METRICS, /* may be absent */
	STATUS_FD_COUNT
};

/* A proc_role's run. MSG_CONFIG brings u32 uid, u32 gid. MSG_STATUS without a body asks the
 * monitor; it answers with messages of the same id: str "monitor", u32 how many others follow,
 * then for each slot str role, u32 pid, u8 ready, u64 restarts; and from each of the others
 * str role, str its status as JSON. */
int status_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
