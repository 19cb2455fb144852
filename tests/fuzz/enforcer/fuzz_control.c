/*
 * Asks an engine over its control socket, with any bytes for a question. What is answered is
 * JSON, but for texts; and nobody keeps others from asking.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "common/log.h"
#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)
#define TURNS 32 /* of the loop: as many as an answer that comes at once takes */

#define POLICY                                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: web, namespace: /acme}\n"                                    \
	"spec: {node: n1, ips: [\"10.1.0.1\", \"fd00::1\"]}\n"                         \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: web, namespace: /acme}\n"                                    \
	"spec: {allow: {ingress: [{name: http, ports: [80/tcp]}]}}\n"

static struct settings_source policy;

static struct engine *
engine_open(void)
{
	struct source file = {STR("/a/web.yaml"), STR(POLICY)};
	const struct bundle bundle = {&file, 1};
	struct engine *e = xcalloc(1, sizeof(*e));
	struct err err = ERR_INIT;
	int fd;

	policy.directory = STR("/a");
	log_setup("fuzz", LOG_ERROR, LOG_FORMAT_TEXT);
	e->settings = (struct engine_settings){
	    .node = STR("n1"), .sources = &policy, .source_count = 1};
	CHECK(uv_loop_init(&e->loop) == 0);
	engine_load_init(e);
	engine_kube_init(e);
	engine_kernel_init(e);
	engine_apply_init(e);
	engine_flows_init(e);
	engine_audit_init(e);
	CHECK(bundle_seal(&bundle, &fd, &err) == 0);
	e->apply.current = program_make(&e->settings, &fd, 1, NULL);
	(void)close(fd);
	CHECK(e->apply.current->ok);
	e->apply.table_known = true;
	return e;
}

static int
unix_socket(struct sockaddr_un *out, socklen_t *out_len)
{
	int n;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* A name that is no file's. */
	n = snprintf(out->sun_path + 1, sizeof(out->sun_path) - 1, "ringfence-fuzz-%ld",
	    (long)getpid());
	*out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int
connect_control(void)
{
	struct sockaddr_un address;
	socklen_t len;
	int fd = unix_socket(&address, &len);

	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&address, len) == 0);
	return fd;
}

static void
control_open(struct engine *e)
{
	struct sockaddr_un address;
	struct err err = ERR_INIT;
	socklen_t len;
	int fd = unix_socket(&address, &len);

	CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&address, len) == 0);
	CHECK(control_new(e, fd, &e->control, &err) == 0);
}

/* Sends it, and turns the loop until the answer has ended. False: it has not. */
static bool
ask(struct engine *e, int fd, const void *question, size_t size, struct buf *out)
{
	char chunk[4096];
	ssize_t n = -1;

	/* What does not fit in is more than a question may be. */
	(void)send(fd, question, size, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	for (unsigned i = 0; i < TURNS; i++) {
		(void)uv_run(&e->loop, UV_RUN_NOWAIT);
		while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
			buf_add(out, chunk, (size_t)n);
		if (n == 0 || errno == ECONNRESET)
			return true;
	}
	return false;
}

static void
check_answer(const struct buf *answer)
{
	json_t *value;

	if (answer->len == 0 || (answer->data[0] != '{' && answer->data[0] != '['))
		return;
	value = json_loadb(answer->data, answer->len, 0, NULL);
	CHECK(value != NULL);
	json_decref(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct engine *e;
	struct buf answer = {0}, status = {0};
	int client, other;

	if (e == NULL)
		e = engine_open();
	control_open(e);
	client = connect_control();
	if (ask(e, client, data, size, &answer))
		check_answer(&answer);
	other = connect_control();
	CHECK(ask(e, other, "status\n", 7, &status));
	CHECK(status.len != 0 && status.data[0] == '{');
	check_answer(&status);
	(void)close(client);
	(void)close(other);
	control_free(e->control);
	e->control = NULL;
	engine_attach_fini(e);
	e->attach = (struct engine_attach){.waiters = NULL};
	(void)uv_run(&e->loop, UV_RUN_NOWAIT); /* what is closed is freed */
	buf_free(&answer);
	buf_free(&status);
	return 0;
}
