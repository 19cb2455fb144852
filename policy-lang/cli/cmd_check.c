/*
 * `ringfence check`: every mistake in the input. Text goes to standard error, what
 * machines read to standard output; the summary goes to standard error.
 */
#include <stdio.h>
#include <string.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/lint/lint.h"
#include "policy-lang/load/load.h"
#include "policy-lang/model/codes.h"

/* In the arena. */
struct code_list {
	const char *code;
	const struct code_list *next;
};

struct check_args {
	bool strict; /* warnings are a no */
	/* Of warnings and notes: only these (none: all), and not those. */
	const struct code_list *select, *ignore;
	enum diag_severity least; /* what is below is not told */
	bool has_least;
};

static const enum diag_format formats[] = {DIAG_TEXT, DIAG_JSON, DIAG_SARIF};

static int
status_of(const struct check_args *args, const struct diag_list *diags, bool ok)
{
	if (!ok || diags->errors > 0)
		return CLI_ERROR;
	return args->strict && diags->warnings > 0 ? CLI_NO : CLI_OK;
}

/* ---- what is told ---- */

static bool
is_in(const struct code_list *list, const char *code)
{
	while (list != NULL && strcmp(list->code, code) != 0)
		list = list->next;
	return list != NULL;
}

/* Errors always are; and what was left out, unless that itself is not wanted. */
static bool
is_unwanted(void *ctx, const struct diag *d)
{
	const struct check_args *args = ctx;

	if (d->severity == DIAG_ERROR)
		return false;
	if (args->has_least && d->severity > args->least)
		return true;
	if (is_in(args->ignore, d->code))
		return true;
	return args->select != NULL && !is_in(args->select, d->code) &&
	       strcmp(d->code, diag_code_table[CODE_LINT_LIMIT].code) != 0;
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
	diag_remove(diags, is_unwanted, cli->args);
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

/* ---- options ---- */

static bool
fail_code(const struct cli *cli, struct str name)
{
	struct nearest n = nearest_to(name);
	const char *nearest;

	cli_consider_codes(&n);
	nearest = n.best.ptr;
	(void)cli_fail(cli, "there is no code \"%.*s\"%s%s%s; see ringfence help codes",
	    STR_ARG(name), nearest != NULL ? " (did you mean " : "",
	    nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
	return false;
}

/* Codes with commas between them. */
static bool
add_codes(
    struct cli *cli, const struct code_list **codes, const char *arg, bool errors_too)
{
	struct str rest = str_from(arg);
	struct code_list *item;

	while (rest.ptr != NULL) {
		struct str name = str_trim(str_split(&rest, ','));
		const struct diag_code_info *info =
		    diag_code_find(str_dup(cli->arena, name).ptr);

		if (info == NULL)
			return fail_code(cli, name);
		if (info->severity == DIAG_ERROR && !errors_too) {
			(void)cli_fail(cli,
			    "%s is an error's code: errors cannot be silenced",
			    info->code);
			return false;
		}
		item = ARENA_NEW(cli->arena, struct code_list);
		*item = (struct code_list){.code = info->code, .next = *codes};
		*codes = item;
	}
	return true;
}

static bool
set_select(struct cli *cli, const char *arg)
{
	struct check_args *args = cli->args;

	return add_codes(cli, &args->select, arg, true);
}

static bool
set_ignore(struct cli *cli, const char *arg)
{
	struct check_args *args = cli->args;

	return add_codes(cli, &args->ignore, arg, false);
}

static bool
set_severity(struct cli *cli, const char *arg)
{
	struct check_args *args = cli->args;

	args->has_least = true;
	args->least = DIAG_ERROR;
	while (strcmp(arg, diag_severity_name(args->least)) != 0)
		args->least++;
	return true;
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
    {"select", "CODE[,CODE]",
	"tell only these warnings and notes; errors are told anyway", set_select},
    {"ignore", "CODE[,CODE]", "do not tell these warnings and notes", set_ignore},
    {"severity", "error|warning|note", "tell what is at least as bad as this",
	set_severity},
    {0},
};

static const char *const outputs[] = {"text", "json", "sarif", NULL};

const struct cli_command cmd_check = {
    .name = "check",
    .summary = "read policy and report every mistake",
    .usage = "[options] PATH...",
    .details =
	"Exit status: 0 clean, 1 warnings that are told (with --strict), 2 errors. "
	"`ringfence help "
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
