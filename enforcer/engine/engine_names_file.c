/*
 * What tenants know, kept in a file beside the control socket for whoever comes after us: so
 * that connections to addresses that are known by name outlive the daemon. It is as it was a
 * moment ago at worst; a line that was cut off while it was written is passed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

#define FILE_MOST   (64 * 1024 * 1024)
#define WRITE_MS    1000 /* at most so often ... */
#define WRITE_SHARE 20   /* ... and at most a part of the time */

/* ---- reading ---- */

static void
take_text(struct engine *e, struct str text)
{
	struct engine_names *n = &e->names;
	uint64_t now = monotime_now().ns / 1000000;
	size_t before = learnt_count(n->learnt), odd = 0;
	struct buf why = {0};

	while (text.ptr != NULL) {
		struct str line = str_split(&text, '\n');

		/* Where answers come from is for the configuration to say. */
		if (!str_starts(line, STR("resolver ")) &&
		    !learnt_read_line(n->learnt, line, now, &why))
			odd++;
		buf_clear(&why);
	}
	buf_free(&why);
	log_info(
	    "names-kept", "known=%zu odd=%zu", learnt_count(n->learnt) - before, odd);
}

static void
read_file(struct engine *e, int fd)
{
	struct stat st;
	char *text = NULL;
	size_t size = 0;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MOST) {
		log_error("names-file", "detail=\"it is no file, or too large\"");
		return;
	}
	text = xcalloc(1, (size_t)st.st_size + 1);
	while (size < (size_t)st.st_size) {
		ssize_t got =
		    pread(fd, text + size, (size_t)st.st_size - size, (off_t)size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break; /* what there is will do */
		size += (size_t)got;
	}
	if (size > 0)
		take_text(e, (struct str){text, size});
	free(text);
}

/* ---- writing ---- */

static bool
write_text(int fd, struct str text)
{
	size_t done = 0;

	while (done < text.len) {
		ssize_t n = pwrite(fd, text.ptr + done, text.len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return ftruncate(fd, (off_t)text.len) == 0;
}

static void
write_file(struct engine *e)
{
	struct engine_names *n = &e->names;
	monotime_t began = monotime_now(), now;
	struct buf text = {0};
	char reason[128];

	engine_names_print(e, false, &text);
	if (!write_text(n->file, buf_str(&text)) && !n->file_failed) {
		n->file_failed = true;
		log_error("names-file", "detail=%s",
		    log_quote(str_from(strerror_r(errno, reason, sizeof(reason)))));
	}
	buf_free(&text);
	n->file_old = false;
	now = monotime_now();
	n->write_after.ns = now.ns + WRITE_MS * INT64_C(1000000) +
			    (now.ns - began.ns) * (WRITE_SHARE - 1);
}

void
engine_names_file_tick(struct engine *e)
{
	struct engine_names *n = &e->names;

	if (n->file >= 0 && n->file_old && monotime_now().ns >= n->write_after.ns)
		write_file(e);
}

void
engine_names_file(struct engine *e, int fd)
{
	struct engine_names *n = &e->names;

	engine_names_file_close(e);
	n->file = fd;
	n->file_failed = false;
	/* The first that comes is from before our time. */
	if (fd >= 0 && !n->file_read && !e->load.running)
		read_file(e, fd);
	n->file_read = true;
	n->file_old = true;
}

void
engine_names_file_close(struct engine *e)
{
	struct engine_names *n = &e->names;

	if (n->file < 0)
		return;
	if (n->file_old)
		write_file(e);
	(void)close(n->file); /* written to as far as it can be */
	n->file = -1;
}
