#include "policy-lang/cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"

#define READ_BYTES (64u * 1024)

bool
lines_open(struct lines *lines, const struct cli *cli, const char *file)
{
	bool standard = strcmp(file, "-") == 0;

	*lines = (struct lines){.cli = cli, .name = file};
	lines->fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	if (lines->fd < 0)
		(void)cli_fail(cli, "%s: %s", file, strerror(errno));
	return lines->fd >= 0;
}

void
lines_close(struct lines *lines)
{
	if (lines->fd > STDIN_FILENO)
		(void)close(lines->fd); /* it was only read */
	buf_free(&lines->in);
	lines->fd = -1;
}

/* Finds the newline of what is not given yet; lines->newline is in.len without one. */
static bool
find_newline(struct lines *lines)
{
	const char *start, *end;

	if (lines->newline > lines->from && lines->newline < lines->in.len)
		return true;
	lines->newline = lines->in.len;
	if (lines->from == lines->in.len)
		return false;
	start = lines->in.data + lines->from;
	end = memchr(start, '\n', lines->in.len - lines->from);
	if (end != NULL)
		lines->newline = lines->from + (size_t)(end - start);
	return end != NULL;
}

bool
lines_must_read(struct lines *lines)
{
	return !find_newline(lines) && !lines->at_end;
}

static bool
read_more(struct lines *lines)
{
	ssize_t got;

	if (lines->from > 0) {
		lines->in.len -= lines->from;
		memmove(lines->in.data, lines->in.data + lines->from, lines->in.len);
		lines->from = 0;
	}
	lines->newline = 0; /* not looked for in what comes */
	buf_reserve(&lines->in, READ_BYTES);
	do {
		got = read(lines->fd, lines->in.data + lines->in.len, READ_BYTES);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		(void)cli_fail(lines->cli, "%s: %s", lines->name, strerror(errno));
		return false;
	}
	lines->in.len += (size_t)got;
	lines->at_end = got == 0;
	return true;
}

/* Takes what is there up to the newline, or all of it. */
static struct str
take(struct lines *lines)
{
	struct str line = {lines->in.data + lines->from, lines->newline - lines->from};

	lines->from = lines->newline + (lines->newline < lines->in.len);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

enum lines_result
lines_next(struct lines *lines, struct str *out_line)
{
	bool too_long = false;

	for (;;) {
		bool whole = find_newline(lines);

		if (!whole && lines->at_end && lines->from == lines->in.len) {
			lines->number += too_long;
			return too_long ? LINES_TOO_LONG : LINES_END;
		}
		too_long |= lines->newline - lines->from > LIMIT_LINE_BYTES;
		if (whole || lines->at_end) {
			*out_line = take(lines);
			lines->number++;
			return too_long ? LINES_TOO_LONG : LINES_LINE;
		}
		if (too_long)
			lines->from = lines->in.len; /* it is not kept */
		if (!read_more(lines))
			return LINES_FAILED;
	}
}

bool
cli_reads_standard_input(const struct cli *cli)
{
	for (size_t i = 0; i < cli->path_count; i++) {
		if (strcmp(cli->paths[i], "-") == 0)
			return true;
	}
	return false;
}
