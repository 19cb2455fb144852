/*
 * What the parts of the budget role share.
 */
#ifndef AUTHN_BUDGET_STATE_H
#define AUTHN_BUDGET_STATE_H

#include <pthread.h>

#include "authn/budget/budget_journal.h"
#include "authn/budget/budget_role.h"
#include "authn/policy/admission.h"
#include "authn/policy/policy_watch.h"
#include "authn/proxy/stream.h"
#include "authn/proxy/worker_state.h"
#include "authn/tls/key_client.h"
#include "authn/wire/monitor_link.h"

struct caller;

struct budget_role {
	/* Set before the threads start, and then only read. */
	struct arena *arena;
	struct worker_settings settings;
	struct budget_role_settings own;
	int journal_fds[BUDGET_JOURNAL_FILES];
	struct budget_plan kinds; /* what is watched: of the first policy */
	/* Under the lock. */
	pthread_mutex_t lock;
	struct worker_policy *policy;
	struct budget_plan plan;
	struct budget_ledger *ledger;
	uint64_t relists;
	uint64_t quotas_applied, quotas_removed, quota_failures;
	struct budget_journal journal; /* without others */
	/* The loop's. */
	uv_loop_t loop;
	struct stream_hub hub;
	struct key_client *keys;
	struct monitor_link monitor;
	uv_poll_t listener;
	int listen_fd;
	SSL_CTX *tls;
	struct arena *scratch;
	size_t connections;
	struct caller *callers;
	uint64_t next_caller;
	struct budget_share *share;   /* NULL: nobody to share with */
	int files_fd;                 /* the policy's bundle, until it is taken */
	struct policy_watch *reviews; /* NULL: policy is not judged */
	uint64_t allowed, denied, unknown, malformed, strangers;
	bool ready;
};

/* ---- budget_watch.c ---- */

/* Starts a thread for each kind; they never end. */
MUST_CHECK int budget_watch_start(struct budget_role *role, struct err *err);

/* ---- budget_quotas.c ---- */

/* Starts the thread that writes ResourceQuotas; it never ends. */
MUST_CHECK int budget_quotas_start(struct budget_role *role, struct err *err);

/* ---- admission_server.c ---- */

/* What the share's thread has judged. */
void admission_server_answer(struct budget_role *role, struct budget_review *review);
MUST_CHECK int admission_server_start(struct budget_role *role, struct err *err);

#endif
