/*
 * Judges settings before anybody relies on them. Parses what people wrote, so the monitor
 * has it done by a role that can do nothing else.
 */
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "authn/budget/budget_plan.h"
#include "authn/monitor/plan.h"
#include "authn/proxy/worker_state.h"
#include "authn/tls/key_bundle.h"
#include "authn/tls/tls.h"
#include "authn/wire/messages.h"
#include "authn/wire/monitor_link.h"
#include "common/limits.h"
#include "common/log.h"

static bool
check_tls(const struct worker_settings *s, const struct key_bundle *keys,
    enum key_name listener, const char *what, struct buf *problem)
{
	const struct tls_server_options server = {.certificate = s->tls_certificate,
	    .key = key_bundle_find(keys, listener),
	    .client_ca = s->client_ca,
	    .client_crl = s->client_crl};
	const struct tls_client_options upstream = {.ca = s->upstream_ca,
	    .certificate = s->upstream_certificate,
	    .key = key_bundle_find(keys, KEY_UPSTREAM)};
	struct err err = ERR_INIT;
	SSL_CTX *ctx = tls_server_new(&server, &err);
	bool ok = ctx != NULL;

	if (!ok)
		buf_printf(problem, "%s: error: %s [config-tls]\n", what, err.msg);
	SSL_CTX_free(ctx);
	ctx = tls_client_new(&upstream, &err);
	if (ctx == NULL)
		buf_printf(problem, "upstream: error: %s [config-tls]\n", err.msg);
	ok = ok && ctx != NULL;
	SSL_CTX_free(ctx);
	return ok;
}

/* The keys are here until they are judged. */
static bool
check_keys(const struct worker_settings *worker,
    const struct worker_settings *admission, int keys_fd, struct buf *problem)
{
	struct key_bundle keys;
	struct err err = ERR_INIT;
	bool ok = key_bundle_open(keys_fd, &keys, &err) == 0;

	if (!ok)
		buf_printf(problem, "tls: error: %s [config-tls]\n", err.msg);
	else
		ok = check_tls(worker, &keys, KEY_LISTENER, "tls", problem);
	if (ok && admission != NULL && admission->tls_certificate.len != 0)
		ok = check_tls(admission, &keys, KEY_ADMISSION, "admission", problem);
	key_bundle_free(&keys);
	return ok;
}

bool
gate_check(const struct worker_settings *worker,
    const struct worker_settings *admission, int policy_fd, int keys_fd,
    struct buf *problem)
{
	bool ok = check_keys(worker, admission, keys_fd, problem);
	struct worker_policy *policy = worker_policy_load(policy_fd, problem);
	struct budget_plan plan;

	if (admission != NULL && policy != NULL)
		ok = budget_plan_make(policy->arena, policy->model, problem, &plan) &&
		     ok;
	ok = ok && policy != NULL;
	worker_policy_free(policy);
	return ok;
}

static int
receive(struct proc_channel *monitor, struct proc_msg *out_msg,
    struct proc_sandbox *out_sandbox, struct err *err)
{
	struct proc_reader r;
	int rc = monitor_link_config(monitor, out_msg, err);

	if (rc != 0)
		return rc;
	if (out_msg->fd_count < 3)
		return err_set(err, ERR_PROTOCOL, "the monitor sent no configuration");
	proc_reader_init(&r, out_msg);
	out_sandbox->uid = proc_get_u32(&r);
	out_sandbox->gid = proc_get_u32(&r);
	return proc_reader_done(&r) ? 0 : err_set(err, ERR_PROTOCOL, "malformed");
}

int
check_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct proc_sandbox sandbox = {
	    .empty_root = true, .syscalls = proc_syscalls_basic};
	struct arena *arena = arena_new();
	struct buf problem = {NULL, 0, 0};
	struct err err = ERR_INIT;
	struct worker_settings settings, admission;
	struct proc_msg msg;
	struct proc_msg answer = {.type = MSG_RELOAD_FAILED};
	bool ok = false;

	(void)fds;
	(void)fd_count;
	/* OpenSSL reads its own configuration before there is no file to be seen. */
	(void)OPENSSL_init_ssl(0, NULL);
	if (receive(monitor, &msg, &sandbox, &err) != 0 ||
	    proc_confine(&sandbox, &err) != 0 ||
	    worker_settings_open(arena, msg.fds[0], &settings, &err) != 0 ||
	    (msg.fd_count > 3 &&
		worker_settings_open(arena, msg.fds[3], &admission, &err) != 0))
		buf_printf(&problem, "%s\n", err.msg);
	else
		ok = gate_check(&settings, msg.fd_count > 3 ? &admission : NULL,
		    msg.fds[1], msg.fds[2], &problem);
	if (ok)
		answer.type = MSG_READY;
	answer.data = (const uint8_t *)problem.data;
	answer.len = problem.len < LIMIT_MESSAGE_BYTES / 2 ? problem.len
							   : LIMIT_MESSAGE_BYTES / 2;
	if (proc_send(monitor, &answer, &err) != 0)
		log_error("check-answer", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&problem);
	arena_free(arena);
	return ok ? 0 : 1;
}
