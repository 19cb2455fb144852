/*
 * `ringfence can`: allow or deny, for one question or for many.
 */
#include <string.h>

#include "policy-lang/cli/lines.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_route.h"

struct can_args {
	const char *batch; /* NULL: one question, behind "--" */
};

enum can_output {
	CAN_TEXT,
	CAN_JSON,
};

/* What every question is asked of. */
struct asking {
	struct cli *cli;
	struct resolver *resolver;
	struct judge *judge;
	struct arena *scratch; /* emptied after each answer */
};

/* ---- one answer ---- */

/* Who decided, at both ends. */
static void
add_deciders(const struct asking *ask, struct buf *out, const struct route_story *story)
{
	const struct flow *flow = &story->flow;

	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];
		struct verdict verdict = judge_direction(ask->judge, flow, dir);

		buf_printf(out, ", \"%s\": ", direction_name(dir));
		explain_json_verdict(ask->scratch, out, &verdict, dir);
	}
}

static void
add_answer(const struct asking *ask, struct buf *out, const struct query *query,
    const struct route_story *story)
{
	const char *verdict = action_name(story->allow ? ACTION_ALLOW : ACTION_DENY);

	if (ask->cli->output == CAN_TEXT) {
		buf_printf(out, "%s\n", verdict);
		return;
	}
	buf_add_char(out, '{');
	explain_json_end(out, "src", &query->src);
	buf_add_cstr(out, ", ");
	explain_json_end(out, "dst", &query->dst);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "service", query->service_text);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "verdict", str_from(verdict));
	add_deciders(ask, out, story);
	if (ask->cli->model->route_count > 0) {
		buf_add_cstr(out, ", \"routes\": ");
		explain_route_json(ask->scratch, out, ask->cli->model, story);
	}
	buf_add_cstr(out, "}\n");
}

/* Appends the answer: 1 allow, 0 deny; or returns -1 and appends why there is none. */
static int
answer(const struct asking *ask, const struct str words[3], struct buf *out,
    struct buf *why)
{
	struct route_story story;
	struct query query;

	if (!query_read(ask->resolver, words, &query, why))
		return -1;
	if (!route_connection(ask->scratch, ask->cli->model, ask->judge, &query.src,
		&query.dst, query.proto, query.port, ask->cli->family, &story)) {
		query_explain_incomparable(&query, ask->cli->family, why);
		return -1;
	}
	add_answer(ask, out, &query, &story);
	arena_reset(ask->scratch);
	return story.allow;
}

static int
can_one(const struct asking *ask)
{
	struct str words[3];
	struct buf text = {0}, why = {0};
	int verdict;

	for (size_t i = 0; i < 3; i++)
		words[i] = str_from(ask->cli->words[i]);
	verdict = answer(ask, words, &text, &why);
	if (verdict < 0)
		(void)cli_fail(ask->cli, "%s", why.data);
	else if (!cli_write(ask->cli, &text))
		verdict = -1;
	buf_free(&text);
	buf_free(&why);
	return verdict < 0 ? CLI_ERROR : verdict > 0 ? CLI_OK : CLI_NO;
}

/* ---- many ---- */

#define WRITE_BYTES (64u * 1024)

struct batch {
	const struct asking *ask;
	struct lines lines;
	bool failed;
	struct buf out, why;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t';
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

/* A line that has no answer has one line of output all the same. */
static void
batch_error(struct batch *b, const char *why)
{
	const struct cli *cli = b->ask->cli;

	b->failed = true;
	(void)cli_fail(cli, "%s:%lu: %s", b->lines.name, b->lines.number, why);
	if (cli->output == CAN_TEXT) {
		buf_add_cstr(&b->out, "error\n");
		return;
	}
	buf_printf(&b->out, "{\"line\": %lu, ", b->lines.number);
	explain_json_member(&b->out, "error", str_from(why));
	buf_add_cstr(&b->out, "}\n");
}

static void
batch_line(struct batch *b, struct str line)
{
	struct str words[3];
	size_t count = split_words(line, words);

	if (count == 0 || words[0].ptr[0] == '#')
		return;
	buf_clear(&b->why);
	if (count != 3)
		batch_error(b, "a line is SRC DST PORT/PROTO");
	else if (answer(b->ask, words, &b->out, &b->why) < 0)
		batch_error(b, b->why.data);
}

/* Answers as questions come: whoever writes a line and waits gets its answer. */
static bool
batch_lines(struct batch *b)
{
	for (;;) {
		struct str line;

		if ((b->out.len >= WRITE_BYTES || lines_must_read(&b->lines)) &&
		    !cli_write(b->ask->cli, &b->out))
			return false;
		switch (lines_next(&b->lines, &line)) {
		case LINES_LINE:
			batch_line(b, line);
			break;
		case LINES_TOO_LONG:
			batch_error(b, "the line is too long");
			break;
		case LINES_END:
			return cli_write(b->ask->cli, &b->out);
		case LINES_FAILED:
			return false;
		}
	}
}

static int
can_batch(const struct asking *ask, const char *file)
{
	struct batch b = {.ask = ask};
	bool ok;

	if (!lines_open(&b.lines, ask->cli, file))
		return CLI_ERROR;
	ok = batch_lines(&b);
	lines_close(&b.lines);
	buf_free(&b.out);
	buf_free(&b.why);
	return ok && !b.failed ? CLI_OK : CLI_ERROR;
}

static int
run(struct cli *cli)
{
	const struct can_args *args = cli->args;
	struct asking ask = {.cli = cli};
	int status;

	if (args->batch == NULL && cli->word_count != 3)
		return cli_fail(
		    cli, "the question is missing: PATH... -- SRC DST PORT/PROTO");
	if (args->batch != NULL && cli->word_count > 0)
		return cli_fail(cli, "--batch takes its questions from a file");
	if (args->batch != NULL && strcmp(args->batch, "-") == 0 &&
	    cli_reads_standard_input(cli))
		return cli_fail(cli, "standard input cannot be policy and questions");
	if (!cli_read_learnt(cli, true) || !cli_load(cli))
		return CLI_ERROR;
	ask.resolver = resolver_new(cli->arena, cli->model);
	resolver_learns(ask.resolver, cli->learnt);
	ask.judge = judge_new(cli->model);
	ask.scratch = arena_new();
	status = args->batch != NULL ? can_batch(&ask, args->batch) : can_one(&ask);
	arena_free(ask.scratch);
	judge_free(ask.judge);
	resolver_free(ask.resolver);
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

static const char *const outputs[] = {[CAN_TEXT] = "text", [CAN_JSON] = "json", NULL};

const struct cli_command cmd_can = {
    .name = "can",
    .summary = "tell whether a connection is allowed",
    .usage = "[options] PATH... -- SRC DST PORT/PROTO\n"
	     "       ringfence can [options] PATH... --batch FILE|-",
    .details = QUERY_HELP
    "Prints allow or deny. Exit status: 0 allow, 1 deny, 2 error. With --batch: a\n"
    "line for each line; `error` and exit status 2 for what cannot be answered.\n",
    .options = {cli_model_options, cli_family_options, cli_learnt_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .words_max = 3,
    .args_size = sizeof(struct can_args),
    .run = run,
};
