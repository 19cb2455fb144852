/*
 * `ringfence can`: allow or deny, for one question or for many.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/query.h"

#define LINE_BYTES_MAX (64u * 1024)
#define READ_BYTES     (64u * 1024)

struct can_args {
	const char *batch; /* NULL: one question, behind "--" */
};

static const char *
batch_file(const struct cli *cli)
{
	const struct can_args *args = cli->args;

	return args->batch;
}

/* ---- one question ---- */

/* 1 allow, 0 deny, -1 no answer (why is appended). */
static int
answer(const struct cli *cli, struct resolver *resolver, struct judge *judge,
    const struct str words[3], struct buf *why)
{
	struct query query;
	bool allow, comparable;

	if (!query_read(resolver, words, &query, why))
		return -1;
	allow = judge_connection(judge, &query.src, &query.dst, query.proto, query.port,
	    cli->family, &comparable);
	if (!comparable) {
		query_explain_incomparable(&query, cli->family, why);
		return -1;
	}
	return allow;
}

static int
can_one(struct cli *cli, struct resolver *resolver, struct judge *judge)
{
	struct str words[3];
	struct buf text = {0};
	int verdict;

	for (size_t i = 0; i < 3; i++)
		words[i] = str_from(cli->words[i]);
	verdict = answer(cli, resolver, judge, words, &text);
	if (verdict < 0) {
		verdict = cli_fail(cli, "%s", text.data);
		buf_free(&text);
		return verdict;
	}
	buf_add_cstr(&text, verdict > 0 ? "allow\n" : "deny\n");
	if (!cli_write(cli, &text))
		verdict = -1;
	buf_free(&text);
	return verdict < 0 ? CLI_ERROR : verdict > 0 ? CLI_OK : CLI_NO;
}

/* ---- many ---- */

struct batch {
	struct cli *cli;
	struct resolver *resolver;
	struct judge *judge;
	const char *name;
	unsigned long line;
	bool failed;
	struct buf in, out;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts a line into words; returns how many there are (4: more than three). */
static size_t
split_words(struct str line, struct str words[3])
{
	size_t count = 0, i = 0;

	while (i < line.len) {
		size_t from;

		while (i < line.len && is_space(line.ptr[i]))
			i++;
		from = i;
		while (i < line.len && !is_space(line.ptr[i]))
			i++;
		if (i == from)
			break;
		if (count == 3)
			return 4;
		words[count++] = str_slice(line, from, i);
	}
	return count;
}

static void
batch_line(struct batch *b, struct str line)
{
	struct str words[3];
	struct buf why = {0};
	int verdict = -1;
	size_t count = split_words(line, words);

	b->line++;
	if (count == 0 || words[0].ptr[0] == '#')
		return;
	if (count == 3)
		verdict = answer(b->cli, b->resolver, b->judge, words, &why);
	else
		buf_add_cstr(&why, "a line is SRC DST PORT/PROTO");
	if (verdict < 0) {
		b->failed = true;
		(void)cli_fail(b->cli, "%s:%lu: %s", b->name, b->line, why.data);
	}
	buf_add_cstr(&b->out, verdict < 0   ? "error\n"
			      : verdict > 0 ? "allow\n"
					    : "deny\n");
	buf_free(&why);
}

/* Answers every whole line that has been read; at the end also one without newline. */
static bool
batch_lines(struct batch *b, bool at_end)
{
	size_t from = 0;

	while (from < b->in.len) {
		const char *start = b->in.data + from;
		const char *end = memchr(start, '\n', b->in.len - from);
		size_t len = end != NULL ? (size_t)(end - start) : b->in.len - from;

		if (end == NULL && !at_end)
			break;
		batch_line(b, (struct str){start, len});
		from += len + (end != NULL);
	}
	b->in.len -= from;
	if (b->in.len > 0)
		memmove(b->in.data, b->in.data + from, b->in.len);
	if (b->in.len > LINE_BYTES_MAX) {
		(void)cli_fail(
		    b->cli, "%s:%lu: the line is too long", b->name, b->line + 1);
		return false;
	}
	return cli_write(b->cli, &b->out);
}

/* Answers as questions come: whoever writes a line and waits gets its answer. */
static bool
batch_read(struct batch *b, int fd)
{
	for (;;) {
		ssize_t got;

		buf_reserve(&b->in, READ_BYTES);
		got = read(fd, b->in.data + b->in.len, READ_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			(void)cli_fail(b->cli, "%s: %s", b->name, strerror(errno));
			return false;
		}
		b->in.len += (size_t)got;
		if (!batch_lines(b, got == 0))
			return false;
		if (got == 0)
			return true;
	}
}

static int
can_batch(
    struct cli *cli, const char *file, struct resolver *resolver, struct judge *judge)
{
	bool standard = strcmp(file, "-") == 0;
	struct batch b = {
	    .cli = cli,
	    .resolver = resolver,
	    .judge = judge,
	    .name = file,
	};
	int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return cli_fail(cli, "%s: %s", file, strerror(errno));
	ok = batch_read(&b, fd);
	if (!standard)
		(void)close(fd); /* it was only read */
	buf_free(&b.in);
	buf_free(&b.out);
	return ok && !b.failed ? CLI_OK : CLI_ERROR;
}

static bool
reads_standard_input(const struct cli *cli)
{
	for (size_t i = 0; i < cli->path_count; i++) {
		if (strcmp(cli->paths[i], "-") == 0)
			return true;
	}
	return false;
}

static int
run(struct cli *cli)
{
	const char *questions = batch_file(cli);
	struct resolver *resolver;
	struct judge *judge;
	int status;

	if (questions == NULL && cli->word_count != 3)
		return cli_fail(
		    cli, "the question is missing: PATH... -- SRC DST PORT/PROTO");
	if (questions != NULL && cli->word_count > 0)
		return cli_fail(cli, "--batch takes its questions from a file");
	if (questions != NULL && strcmp(questions, "-") == 0 &&
	    reads_standard_input(cli))
		return cli_fail(cli, "standard input cannot be policy and questions");
	if (!cli_load(cli))
		return CLI_ERROR;
	resolver = resolver_new(cli->arena, cli->model);
	judge = judge_new(cli->model);
	status = questions != NULL ? can_batch(cli, questions, resolver, judge)
				   : can_one(cli, resolver, judge);
	judge_free(judge);
	resolver_free(resolver);
	return status;
}

static bool
set_batch(struct cli *cli, const char *arg)
{
	struct can_args *args = cli->args;

	args->batch = arg;
	return true;
}

static const struct cli_option options[] = {
    {"batch", "FILE", "a question a line; - is standard input", set_batch},
    {0},
};

const struct cli_command cmd_can = {
    .name = "can",
    .summary = "tell whether a connection is allowed",
    .usage = "[options] PATH... -- SRC DST PORT/PROTO\n"
	     "       ringfence can [options] PATH... --batch FILE|-",
    .details = QUERY_HELP
    "Prints allow or deny. Exit status: 0 allow, 1 deny, 2 error. With --batch: a\n"
    "line for each line; `error` and exit status 2 for what cannot be answered.\n",
    .options = {cli_model_options, cli_family_options, options},
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .words_max = 3,
    .args_size = sizeof(struct can_args),
    .run = run,
};
