/*
 * `ringfence check`: every mistake in the input. Text goes to standard error, what
 * machines read to standard output; the summary goes to standard error.
 */
#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/load.h"

static const enum diag_format formats[] = {DIAG_TEXT, DIAG_JSON, DIAG_SARIF};

int
cmd_check(struct cli *cli)
{
	enum diag_format format = formats[cli->output];
	struct diag_list *diags = &cli->diags;
	struct buf text = {0};
	bool ok, written = true;

	if (cli->word_count > 0)
		return cli_fail(cli, "check takes paths alone");
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
	return cli->strict && diags->warnings > 0 ? CLI_NO : CLI_OK;
}
