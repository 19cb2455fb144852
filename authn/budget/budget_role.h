/*
 * The budget role: the validating admission webhook that keeps object budgets. One listener,
 * on which an API server with a certificate of its own asks about every creation and change; and
 * for each kind of object that budgets count a thread that lists and watches it at the API servers.
 */
#ifndef AUTHN_BUDGET_ROLE_H
#define AUTHN_BUDGET_ROLE_H

#include "authn/budget/budget_share.h"
#include "authn/policy/status_writer.h"
#include "authn/proxy/worker_settings.h"
#include "common/proc.h"

/* What the monitor tells it beside a worker's settings, of which it uses: the certificate,
 * key and client CA of the listener, the upstream's, identity, user and group, and `lists_as`: the
 * user in whose name it lists. MSG_CONFIG: fds[0] settings, fds[1] a policy bundle, fds[2] and fds[3]
 * the files of its journal. */
struct budget_role_settings {
	const struct str
	    *callers; /* common names that may ask; none: whom the CA signed */
	size_t caller_count;
	uint32_t hold_s; /* how long what was admitted may take to be seen */
	bool policy;     /* judges policy, too; */
	struct status_writer_settings status; /* and writes what became of it */
	struct str writes_as; /* writes ResourceQuotas in that name; "": does not */
	struct budget_share_settings share;
};

void budget_role_settings_encode(struct buf *out, const struct budget_role_settings *s);

/* A proc_role's run: fds[0] is the listener, if anybody is to ask. MSG_POLICY replaces the policy: answered by
 * MSG_READY, or by the end of the role if other kinds are to be watched (it starts anew). */
int budget_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
