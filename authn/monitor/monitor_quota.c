/*
 * The counts of the day, kept over restarts: written every few seconds and at the end, read at
 * the start. The directory is the roles' own, so nothing in it is followed or trusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/monitor/monitor.h"
#include "common/log.h"

#define SAVE_MS    2000
#define FILE_NAME  "quota.days"
#define FILE_BYTES (1024u * 1024)

static int
open_directory(const struct monitor *m)
{
	return open(m->plan->config->state_directory,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool
read_all(int fd, struct buf *out)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_BYTES)
		return false;
	buf_reserve(out, (size_t)st.st_size + 1);
	while (out->len < (size_t)st.st_size && n > 0) {
		n = read(fd, out->data + out->len, (size_t)st.st_size - out->len);
		out->len += n > 0 ? (size_t)n : 0;
	}
	return n >= 0;
}

static bool
write_all(int fd, const struct buf *bytes)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < bytes->len && n > 0) {
		n = write(fd, bytes->data + done, bytes->len - done);
		done += n > 0 ? (size_t)n : 0;
	}
	return done == bytes->len;
}

void
monitor_quota_load(struct monitor *m)
{
	struct buf bytes = {NULL, 0, 0};
	int directory = open_directory(m);
	int fd = directory < 0 ? -1
			       : openat(directory, FILE_NAME,
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		log_warn(
		    "quota-days", "detail=%s", log_quote(str_from(strerror(errno))));
	if (fd >= 0 &&
	    (!read_all(fd, &bytes) || !quota_days_decode(m->quota, buf_str(&bytes),
					  monotime_now(), walltime_now())))
		log_warn("quota-days", "detail=\"damaged: the day is counted from 0\"");
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	if (directory >= 0)
		(void)close(directory); /* the same */
	buf_free(&bytes);
}

static bool
replace_file(int directory, const struct buf *bytes)
{
	bool ok = false;
	int fd;

	(void)unlinkat(directory, FILE_NAME ".new", 0); /* left over, if it is there */
	fd = openat(directory, FILE_NAME ".new",
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		ok = write_all(fd, bytes);
		ok = close(fd) == 0 && ok;
	}
	/* Not synced: a process's death loses nothing, and the machine's little. */
	return ok && renameat(directory, FILE_NAME ".new", directory, FILE_NAME) == 0;
}

void
monitor_quota_save(struct monitor *m)
{
	struct buf bytes = {NULL, 0, 0};
	int directory = open_directory(m);
	bool ok;

	if (directory < 0)
		return; /* somebody took it away; who needs it says so */
	quota_days_encode(m->quota, walltime_now(), &bytes);
	ok = str_eq(buf_str(&bytes), buf_str(&m->quota_saved)) ||
	     replace_file(directory, &bytes);
	if (!ok && !m->quota_save_failed)
		log_warn(
		    "quota-days", "detail=%s", log_quote(str_from(strerror(errno))));
	m->quota_save_failed = !ok;
	(void)close(directory); /* nothing was written to it */
	if (ok) {
		buf_free(&m->quota_saved);
		m->quota_saved = bytes;
	} else {
		buf_free(&bytes); /* the next turn tries again */
	}
}

static void
on_save(uv_timer_t *timer)
{
	monitor_quota_save(timer->data);
}

int
monitor_quota_start(struct monitor *m, struct err *err)
{
	m->quota_timer.data = m;
	if (uv_timer_init(&m->loop, &m->quota_timer) != 0 ||
	    uv_timer_start(&m->quota_timer, on_save, SAVE_MS, SAVE_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	return 0;
}
