#include "authn/audit/audit_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "authn/audit/audit_copy_etcd.h"
#include "authn/audit/audit_tool.h"
#include "common/audit_key.h"
#include "common/limits.h"
#include "common/log.h"

#define LOOK_MS       1000 /* the longest between looks, were inotify not to work */
#define RETRY_MIN_MS  500
#define RETRY_MAX_MS  30000
#define CHECKPOINT_NS UINT64_C(10000000000) /* of a log that grows all the time */
#define SETTLE_LINES  4096

struct copying {
	const struct audit_tool *tool;
	struct audit_sink *sink;
	int source, watch;
	struct audit_key key;
	struct audit_etcd etcd; /* of a sink there */
	struct audit_reader reader;
	bool reading;
	uint64_t have; /* lines that the sink has */
	uint64_t settled;
	struct buf note; /* the checkpoint as it is now */
	struct audit_checkpoint checkpoint;
	struct buf sent; /* the checkpoint that was sent last */
	monotime_t sent_at;
};

/* ---- the log ---- */

static int
load_checkpoint(struct copying *c, struct err *err)
{
	int rc;

	buf_clear(&c->note);
	rc = audit_store_read(
	    c->source, AUDIT_CHECKPOINT_FILE, LIMIT_AUDIT_NOTE_BYTES, &c->note, err);
	if (rc == 0)
		rc = audit_checkpoint_open(
		    &c->checkpoint, buf_str(&c->note), &c->key, err);
	return rc;
}

/* There may be more segments than there were. */
static int
refresh_reader(struct copying *c, struct err *err)
{
	int rc = 0;

	if (c->reading)
		return audit_store_segments(c->source, &c->reader.segment_count, err);
	rc = audit_reader_init(&c->reader, c->source, err);
	c->reading = true;
	return rc;
}

/* ---- copying ---- */

static int
settle(struct copying *c, struct err *err)
{
	int rc = c->sink->ops->settle(c->sink, c->have, err);

	if (rc == 0)
		c->settled = c->have;
	return rc;
}

/* Every line that is signed and that the sink has not got. */
static int
copy_lines(struct copying *c, struct err *err)
{
	struct str line;
	int rc;

	if (c->sink->ops->line == NULL) {
		c->have = c->checkpoint.size;
		return 0;
	}
	rc = refresh_reader(c, err);
	while (rc == 0 && c->reader.lines < c->checkpoint.size) {
		rc = audit_reader_next(&c->reader, &line, err);
		if (rc == 0)
			return err_set(err, ERR_INVALID,
			    "lines that were signed are gone: see verify");
		if (rc < 0)
			return rc;
		rc = 0;
		if (c->reader.lines <= c->have)
			continue;
		rc = c->sink->ops->line(c->sink, &c->reader, line, err);
		if (rc != 0)
			return rc;
		c->have = c->reader.lines;
		if (c->have - c->settled >= SETTLE_LINES)
			rc = settle(c, err);
	}
	return rc;
}

static int
copy_checkpoint(struct copying *c, bool grew, struct err *err)
{
	int rc;

	if (str_eq(buf_str(&c->note), buf_str(&c->sent)) ||
	    (grew && !c->tool->once && c->sent.len != 0 &&
		monotime_since(c->sent_at, monotime_now()) < CHECKPOINT_NS))
		return 0;
	rc = c->sink->ops->checkpoint(c->sink, buf_str(&c->note), err);
	if (rc != 0)
		return rc;
	buf_clear(&c->sent);
	buf_add_str(&c->sent, buf_str(&c->note));
	c->sent_at = monotime_now();
	return settle(c, err);
}

static int
copy_once(struct copying *c, struct err *err)
{
	uint64_t before = c->have;
	int rc = load_checkpoint(c, err);

	if (rc == 0 && c->checkpoint.size < c->have)
		return err_set(err, ERR_INVALID,
		    "the log signs %llu lines and the copy has %llu: see verify "
		    "--against",
		    (unsigned long long)c->checkpoint.size,
		    (unsigned long long)c->have);
	if (rc == 0)
		rc = copy_lines(c, err);
	if (rc == 0)
		rc = settle(c, err);
	return rc == 0 ? copy_checkpoint(c, c->have != before, err) : rc;
}

/* ---- waiting ---- */

static void
wait_for_change(struct copying *c, int timeout_ms)
{
	struct pollfd wait = {.fd = c->watch, .events = POLLIN};
	char events[4096];

	if (poll(&wait, c->watch >= 0 ? 1 : 0, timeout_ms) <= 0)
		return;
	while (read(c->watch, events, sizeof(events)) > 0)
		; /* that something did is all there is to know */
}

static int
connect_sink(struct copying *c, struct err *err)
{
	int rc = c->sink->ops->open(c->sink, &c->have, err);

	c->settled = c->have;
	buf_clear(&c->sent); /* nobody knows whether it arrived */
	if (c->reading)
		audit_reader_fini(&c->reader);
	c->reading = false;
	return rc;
}

/* A sink that is away is tried again for ever, unless --once: everything is on disk here. A log
 * that is not as it was is told, and ends it. */
static int
run(struct copying *c, struct err *err)
{
	int retry_ms = RETRY_MIN_MS;
	bool connected = false;

	for (;;) {
		int rc = connected ? 0 : connect_sink(c, err);

		connected = rc == 0;
		if (rc == 0)
			rc = copy_once(c, err);
		if (rc == 0 && c->tool->once)
			return c->sink->ops->finish == NULL
				   ? 0
				   : c->sink->ops->finish(c->sink, c->have, err);
		if (rc == 0) {
			retry_ms = RETRY_MIN_MS;
			wait_for_change(c, LOOK_MS);
			continue;
		}
		c->sink->ops->close(c->sink);
		connected = false;
		if (c->tool->once || rc != ERR_UNAVAILABLE)
			return rc;
		log_warn("audit-copy", "detail=%s", log_quote(str_from(err->msg)));
		(void)poll(NULL, 0, retry_ms); /* only to wait */
		retry_ms = retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS;
	}
}

static int
make_sink(struct copying *c, struct err *err)
{
	struct audit_syslog_options syslog = {.ca = c->tool->ca,
	    .certificate = c->tool->tls_certificate,
	    .key = c->tool->tls_key,
	    .state = c->tool->state};
	const struct str target = str_from(c->tool->target);
	int rc = audit_etcd_parse(c->tool, target, &c->etcd, err);

	if (rc == 1)
		c->sink = audit_sink_etcd(&c->etcd, &c->key);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = audit_syslog_parse(target, &syslog, err);
	if (rc < 0)
		return rc;
	if ((syslog.certificate == NULL) != (syslog.key == NULL) ||
	    (syslog.certificate != NULL && (rc == 0 || !syslog.tls)))
		return err_set(err, ERR_INVALID,
		    "--tls-certificate and --tls-key go together, to syslog+tls://");
	c->sink = rc == 1 ? audit_sink_syslog(&syslog)
			  : audit_sink_directory(c->tool->target, c->source);
	return 0;
}

int
audit_tool_copy(struct audit_tool *t)
{
	struct copying c = {.tool = t, .watch = -1};
	struct err err = ERR_INIT;
	int rc;

	log_setup("audit-copy", LOG_INFO, LOG_FORMAT_TEXT);
	c.source = open(t->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.source < 0)
		rc = err_sys(&err, "%s", t->directory);
	else
		rc = audit_key_read_public(
		    c.source, AUDIT_PUBLIC_KEY_FILE, &c.key, &err);
	if (rc == 0)
		rc = make_sink(&c, &err);
	if (rc == 0) {
		c.watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (c.watch >= 0)
			(void)inotify_add_watch(c.watch, t->directory,
			    IN_MOVED_TO); /* the checkpoint; without it, by time */
		rc = run(&c, &err);
	}
	if (c.sink != NULL)
		c.sink->ops->free(c.sink);
	if (c.reading)
		audit_reader_fini(&c.reader);
	if (c.watch >= 0)
		(void)close(c.watch); /* nothing to lose */
	if (c.source >= 0)
		(void)close(c.source); /* read only */
	buf_free(&c.note);
	buf_free(&c.sent);
	return rc == 0 ? 0 : audit_tool_fail(err.msg);
}
