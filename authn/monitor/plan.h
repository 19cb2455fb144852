/*
 * What one configuration file comes to: the settings of every role, with the contents of
 * all files that it names. Made by the monitor, which may read files; judged by a role that may
 * not (gate_check).
 */
#ifndef AUTHN_PLAN_H
#define AUTHN_PLAN_H

#include "authn/audit/audit_role.h"
#include "authn/auth/auth_role.h"
#include "authn/budget/budget_role.h"
#include "authn/config/config.h"
#include "authn/proxy/worker_settings.h"

struct gate_plan {
	struct arena *arena;
	const struct gate_config *config;
	struct worker_settings worker; /* `index` and `list_seed` are the monitor's */
	struct auth_role_settings auth;
	struct audit_role_settings audit;
	struct worker_settings admission; /* of the budget role, if has_admission */
	struct budget_role_settings budget;
	int policy_fd; /* a sealed bundle */
	int keys_fd;   /* all private keys (key_bundle.h); nobody here reads them */
};

/*
 * Reads the configuration and everything that it names. NULL if anything is missing; what is
 * wrong is appended to `problem`, as diagnostics. Warnings are appended in any case.
 */
MUST_CHECK struct gate_plan *gate_plan_load(const char *path, struct buf *problem);
/* Wipes passwords. NULL is fine. */
void gate_plan_free(struct gate_plan *plan);

/* True if workers and the auth role will be able to use these settings: certificates
 * and keys match, authorities parse, policy has no error. Else appends why. `admission`
 * is NULL without one. */
MUST_CHECK bool gate_check(const struct worker_settings *worker,
    const struct worker_settings *admission, int policy_fd, int keys_fd,
    struct buf *problem);

/* A proc_role's run: gate_check without privileges. MSG_CONFIG brings u32 uid, u32 gid and
 * the descriptors of settings, policy, keys and, if there are any, of the budget role's settings; the
 * answer is MSG_READY or MSG_RELOAD_FAILED. */
int check_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
