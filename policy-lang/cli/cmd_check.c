/*
 * `ringfence check`: every mistake in the input. Text goes to standard error, what
 * machines read to standard output; the summary goes to standard error.
 */
#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/load.h"

struct check_args {
	bool strict; /* warnings are a no */
};

static const enum diag_format formats[] = {DIAG_TEXT, DIAG_JSON, DIAG_SARIF};

static int
run(struct cli *cli)
{
	const struct check_args *args = cli->args;
	enum diag_format format = formats[cli->output];
	struct diag_list *diags = &cli->diags;
	struct buf text = {0};
	bool ok, written = true;

	ok = bundle_read(cli->arena, cli->paths, cli->path_count, diags, &cli->bundle);
	ok = model_load(
		 cli->arena, &cli->bundle, &cli->model_options, diags, &cli->model) &&
	     ok;
	if (ok)
		model_lint(cli->model, diags);
	diag_sort(diags);
	diag_render(&text, diags, format);
	if (format != DIAG_TEXT)
		written = cli_write(cli, &text);
	else if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_clear(&text);
	diag_summary(&text, diags);
	(void)fprintf(stderr, "%s\n", text.data);
	buf_free(&text);
	if (!ok || diags->errors > 0 || !written)
		return CLI_ERROR;
	return args->strict && diags->warnings > 0 ? CLI_NO : CLI_OK;
}

static bool
set_strict(struct cli *cli, const char *arg UNUSED)
{
	struct check_args *args = cli->args;

	args->strict = true;
	cli->model_options.as_the_server = true;
	return true;
}

static const struct cli_option options[] = {
    {"strict", NULL, "exit status 1 when there are warnings; errors as an API server",
	set_strict},
    {0},
};

static const char *const outputs[] = {"text", "json", "sarif", NULL};

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "read policy and report every mistake",
    .usage = "[options] PATH...",
    .details = "Exit status: 0 clean, 1 warnings (with --strict), 2 errors.\n",
    .options = {cli_model_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct check_args),
    .run = run,
};
