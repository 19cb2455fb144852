/*
 * `ringfence test`: do all expectations hold?
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/explain/test_run.h"

struct test_args {
	const char *filter; /* NULL: all */
	bool allow_none;
};

static const enum test_format formats[] = {TEST_TEXT, TEST_JSON, TEST_JUNIT};

static int
run(struct cli *cli)
{
	const struct test_args *args = cli->args;
	struct test_report report;
	struct buf text = {0};
	bool ok;

	if (!cli_load(cli))
		return CLI_ERROR;
	test_run(cli->arena, cli->model, str_from(args->filter), &report);
	if (report.count == 0 && !args->allow_none)
		return cli_fail(cli,
		    report.left_out > 0
			? "no expectation's title contains \"%s\"; --allow-none "
			  "accepts that"
			: "there is no Test document%s; --allow-none accepts that",
		    report.left_out > 0 ? args->filter : "");
	test_print(cli->arena, &text, &report, formats[cli->output]);
	ok = cli_write(cli, &text);
	buf_free(&text);
	if (!ok)
		return CLI_ERROR;
	return report.failed == 0 ? CLI_OK : CLI_NO;
}

static bool
set_filter(struct cli *cli, const char *arg)
{
	struct test_args *args = cli->args;

	args->filter = arg;
	return true;
}

static bool
set_allow_none(struct cli *cli, const char *arg UNUSED)
{
	struct test_args *args = cli->args;

	args->allow_none = true;
	return true;
}

static const struct cli_option options[] = {
    {"filter", "TEXT", "expectations whose title contains TEXT only", set_filter},
    {"allow-none", NULL, "having no expectation at all is no error", set_allow_none},
    {0},
};

static const char *const outputs[] = {"text", "json", "junit", NULL};

const struct cli_command cmd_test = {
    .name = "test",
    .summary = "run Test documents: do all expectations hold?",
    .usage = "[options] PATH...",
    .details = "Exit status: 0 all hold, 1 some do not, 2 error (no test is one).\n",
    .options = {cli_model_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct test_args),
    .run = run,
};
