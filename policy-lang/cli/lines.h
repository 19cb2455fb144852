/*
 * A text read line by line, however long it is: what commands do with a stream of
 * questions or flows. A line that is too long is told as that, and skipped.
 */
#ifndef POLICY_LANG_CLI_LINES_H
#define POLICY_LANG_CLI_LINES_H

#include "policy-lang/cli/cli.h"

struct lines {
	const struct cli *cli;
	const char *name;     /* as printed; "-" is standard input */
	unsigned long number; /* of the line that was given last, from 1 */
	/* private */
	int fd;
	struct buf in;
	size_t from, newline; /* what is not given yet; its first newline */
	bool at_end;
};

enum lines_result {
	LINES_LINE,
	LINES_TOO_LONG, /* longer than LIMIT_LINE_BYTES; the next one follows */
	LINES_END,
	LINES_FAILED, /* reported */
};

/* Opens a file, or standard input for "-"; the name is borrowed. False: reported. */
MUST_CHECK bool lines_open(
    struct lines *lines, const struct cli *cli, const char *file);
void lines_close(struct lines *lines);
/* The next line, without its newline and a carriage return before it; borrowed until the
 * next call. The last line may lack its newline. */
MUST_CHECK enum lines_result lines_next(struct lines *lines, struct str *out_line);
/* True if lines_next would have to read, and perhaps to wait: whoever answers line by line
 * writes its answers first. */
MUST_CHECK bool lines_must_read(struct lines *lines);

/* True if "-" is among the paths: then standard input is taken. */
MUST_CHECK bool cli_reads_standard_input(const struct cli *cli);

#endif
