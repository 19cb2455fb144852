/*
 * `ringfence check`: every mistake in the input. Text goes to standard error, what
 * machines read to standard output; the summary goes to standard error.
 */
#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/codes.h"
#include "policy-lang/lint.h"
#include "policy-lang/load.h"

struct check_args {
	bool strict; /* warnings are a no */
};

static const enum diag_format formats[] = {DIAG_TEXT, DIAG_JSON, DIAG_SARIF};

static int
status_of(const struct check_args *args, const struct diag_list *diags, bool ok)
{
	if (!ok || diags->errors > 0)
		return CLI_ERROR;
	return args->strict && diags->warnings > 0 ? CLI_NO : CLI_OK;
}

static int
run(struct cli *cli)
{
	const struct check_args *args = cli->args;
	enum diag_format format = formats[cli->output];
	struct diag_list *diags = &cli->diags;
	struct buf text = {0};
	bool ok, written = true;
	int status;

	ok = bundle_read(cli->arena, cli->paths, cli->path_count, diags, &cli->bundle);
	ok = model_load(
		 cli->arena, &cli->bundle, &cli->model_options, diags, &cli->model) &&
	     ok;
	if (ok)
		model_lint(cli->model, diags);
	lint_ignore(&cli->bundle, ok, diags);
	diag_sort(diags);
	status = status_of(args, diags, ok);
	if (format == DIAG_SARIF)
		diag_render_sarif(
		    &text, diags, &(struct diag_sarif){diag_code_describe, status});
	else
		diag_render(&text, diags, format);
	if (format != DIAG_TEXT)
		written = cli_write(cli, &text);
	else if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_clear(&text);
	diag_summary(&text, diags);
	(void)fprintf(stderr, "%s\n", text.data);
	buf_free(&text);
	return written ? status : CLI_ERROR;
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
    .details =
	"Exit status: 0 clean, 1 warnings (with --strict), 2 errors. `ringfence help "
	"CODE`\n"
	"explains what is in brackets; `ringfence help codes` lists all. A warning or "
	"note\n"
	"that is meant is silenced where it is, by a comment on its line or above it:\n"
	"\n"
	"    # ringfence:ignore CODE[,CODE] REASON\n"
	"\n"
	"Errors cannot be silenced.\n",
    .options = {cli_model_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct check_args),
    .run = run,
};
