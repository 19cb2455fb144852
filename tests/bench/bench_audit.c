/*
 * Audit records, written as the gate's audit role writes them, or plainly: the same bytes, the
 * same flushes, and nothing else.
 *
 *     bench-audit log|plain DIRECTORY BYTES BATCH
 *
 * prints records, bytes, and seconds of wall clock and processor as one JSON object. A
 * batch is what shares one flush of the disk.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "authn/audit/audit_client.h"
#include "common/audit.h"
#include "common/uuid.h"

#define USERS      500
#define NAMESPACES 2000
#define STEP_NS    1000000 /* between records */

static uint64_t state = 88172645463325252u;

static uint64_t
next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void
make_line(struct buf *out, uint64_t n)
{
	const struct str groups[] = {
	    STR("acme-shop-devs"), STR("acme-staff"), STR("system:authenticated")};
	char user[32], namespace[32], tenant[48], name[32], uri[128],
	    id[UUID_TEXT_BYTES];
	struct request_info info = {.is_resource = true,
	    .verb = STR("get"),
	    .api_version = STR("v1"),
	    .resource = STR("pods")};
	struct audit_event e = {.stage = AUDIT_RESPONSE_COMPLETE,
	    .info = &info,
	    .groups = groups,
	    .group_count = 3,
	    .source = STR("10.20.30.40"),
	    .user_agent = STR("kubectl/v1.31.2 (linux/amd64) kubernetes/5864a46"),
	    .decided_by = STR("Access /acme/shop/developers rule 0 access.yaml:12:7"),
	    .token_id = STR("A1b2C3d4E5"),
	    .code = n % 97 == 0 ? 403 : 200};
	uint64_t ns = next_random() % NAMESPACES;
	uint8_t random[16];

	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)(next_random() >> 24);
	uuid_format(random, id);
	(void)snprintf(user, sizeof(user), "user%llu",
	    (unsigned long long)(next_random() % USERS));
	(void)snprintf(
	    namespace, sizeof(namespace), "shop-%llu", (unsigned long long)ns);
	(void)snprintf(tenant, sizeof(tenant), "/acme/t%llu/shop-%llu",
	    (unsigned long long)(ns % 40), (unsigned long long)ns);
	(void)snprintf(name, sizeof(name), "web-%llu", (unsigned long long)n);
	(void)snprintf(
	    uri, sizeof(uri), "/api/v1/namespaces/%s/pods/%s", namespace, name);
	info.namespace = str_from(namespace);
	info.name = str_from(name);
	e.audit_id = str_from(id);
	e.user = str_from(user);
	e.request_uri = str_from(uri);
	e.tenant = str_from(tenant);
	e.received.ns = e.now.ns =
	    INT64_C(1700000000000000000) + (int64_t)(n * STEP_NS);
	buf_clear(out);
	audit_event_encode(out, &e);
}

/* ---- two writers ---- */

struct writer {
	struct audit_log *log; /* NULL: plain */
	int fd;
	struct buf pending;
};

static void
fail(const char *what)
{
	fprintf(stderr, "bench-audit: %s\n", what);
	exit(1);
}

static void
open_writer(struct writer *w, const char *directory, bool plain)
{
	const struct audit_options options = {.directory = directory,
	    .origin = "bench/audit",
	    .checkpoint_interval_ms = 1000};
	struct err err = ERR_INIT;
	char path[4096];

	if (!plain) {
		if (audit_open(&options, &w->log, &err) != 0)
			fail(err.msg);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/plain", directory);
	w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (w->fd < 0)
		fail("cannot make the file");
}

static void
add(struct writer *w, struct str line)
{
	struct err err = ERR_INIT;

	if (w->log != NULL) {
		if (audit_append(w->log, line, &err) != 0)
			fail(err.msg);
		return;
	}
	buf_add_str(&w->pending, line);
	buf_add_char(&w->pending, '\n');
}

static void
flush(struct writer *w)
{
	struct err err = ERR_INIT;

	if (w->log != NULL) {
		if (audit_sync(w->log, &err) != 0)
			fail(err.msg);
		return;
	}
	if (write(w->fd, w->pending.data, w->pending.len) != (ssize_t)w->pending.len ||
	    fdatasync(w->fd) != 0)
		fail("cannot write");
	buf_clear(&w->pending);
}

static double
cpu_seconds(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage); /* cannot fail */
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int
main(int argc, char **argv)
{
	struct writer w = {.fd = -1};
	struct buf line = {0};
	uint64_t bytes = 0, batch, n = 0, written = 0;
	double wall = 0, cpu = 0;

	if (argc != 5 || !str_to_u64(str_from(argv[3]), UINT64_MAX, &bytes) ||
	    !str_to_u64(str_from(argv[4]), UINT64_MAX, &batch) || batch == 0)
		fail("usage: bench-audit log|plain DIRECTORY BYTES BATCH");
	open_writer(&w, argv[2], strcmp(argv[1], "plain") == 0);
	while (written < bytes) {
		monotime_t began;
		double before;

		make_line(&line, n); /* the gate's workers do that: it is not counted */
		began = monotime_now();
		before = cpu_seconds();
		add(&w, buf_str(&line));
		if (++n % batch == 0)
			flush(&w);
		wall += (double)monotime_since(began, monotime_now()) / 1e9;
		cpu += cpu_seconds() - before;
		written += line.len + 1;
	}
	flush(&w);
	audit_close(w.log);
	printf("{\"records\":%llu,\"bytes\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f}\n",
	    (unsigned long long)n, (unsigned long long)written, wall, cpu);
	buf_free(&line);
	buf_free(&w.pending);
	return 0;
}
