#include "policy-lang/cli/flows_in.h"

#include <string.h>

#include "policy-lang/cli/lines.h"

#define BAD_LINES_TOLD 10

enum flowlog_format
flows_in_format(const char *name)
{
	static const struct {
		const char *name;
		enum flowlog_format format;
	} known[] = {
	    {"ringfence", FLOWLOG_RINGFENCE},
	    {"hubble", FLOWLOG_HUBBLE},
	    {"conntrack", FLOWLOG_CONNTRACK},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(name, known[i].name) == 0)
			return known[i].format;
	}
	return FLOWLOG_AUTO;
}

struct reading {
	const struct cli *cli;
	struct lines lines;
	struct arena *scratch;
	enum flowlog_format format;
	flows_in_fn fn;
	void *arg;
	unsigned long good, bad;
	unsigned long long crowds;
};

static void
bad_line(struct reading *r, const char *why)
{
	if (r->bad++ < BAD_LINES_TOLD)
		(void)cli_fail(
		    r->cli, "%s:%lu: %s", r->lines.name, r->lines.number, why);
}

static void
read_line(struct reading *r, struct str line)
{
	struct flowlog_record record;
	const char *why;

	switch (flowlog_read(r->scratch, r->format, line, &record, &why)) {
	case FLOWLOG_RECORD:
		r->good++;
		r->fn(r->arg, &record, r->lines.number);
		break;
	case FLOWLOG_SKIPPED:
		break;
	case FLOWLOG_CROWD:
		r->crowds += record.count;
		break;
	case FLOWLOG_BAD:
		bad_line(r, why);
		break;
	}
	arena_reset(r->scratch);
}

static bool
read_lines(struct reading *r)
{
	for (;;) {
		struct str line;

		switch (lines_next(&r->lines, &line)) {
		case LINES_LINE:
			read_line(r, line);
			break;
		case LINES_TOO_LONG:
			bad_line(r, "the line is too long");
			break;
		case LINES_END:
			return true;
		case LINES_FAILED:
			return false;
		}
	}
}

bool
flows_in_read(const struct cli *cli, const char *file, enum flowlog_format format,
    flows_in_fn fn, void *arg)
{
	struct reading r = {.cli = cli, .format = format, .fn = fn, .arg = arg};
	bool ok;

	if (strcmp(file, "-") == 0 && cli_reads_standard_input(cli)) {
		(void)cli_fail(cli, "standard input cannot be policy and flows");
		return false;
	}
	if (!lines_open(&r.lines, cli, file))
		return false;
	r.scratch = arena_new();
	ok = read_lines(&r);
	arena_free(r.scratch);
	lines_close(&r.lines);
	if (r.bad > 0)
		(void)cli_fail(cli, "%s: %lu of %lu lines are no flows", file, r.bad,
		    r.lines.number);
	if (r.crowds > 0)
		(void)cli_fail(cli,
		    "%s: %llu flows were too many to be told apart when they were "
		    "recorded",
		    file, r.crowds);
	if (ok && r.good == 0) {
		(void)cli_fail(cli, "%s: there is no flow in it", file);
		ok = false;
	}
	return ok;
}
