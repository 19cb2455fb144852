/*
 * Paths to a model, and its diagnostics to whoever reads them.
 */
#include <stdio.h>

#include "common/limits.h"
#include "policy-lang/cli/lines.h"
#include "policy-lang/load/learnt_text.h"
#include "policy-lang/load/load.h"

/* A note (this document was skipped) is for `check`; beside an answer it is noise. */
static bool
is_note(void *ctx UNUSED, const struct diag *d)
{
	return d->severity == DIAG_NOTE;
}

static void
print_diags(struct diag_list *diags)
{
	struct buf text = {0};

	diag_remove(diags, is_note, NULL);
	diags->notes = 0; /* those beyond the limit, too */
	diag_sort(diags);
	diag_render(&text, diags, DIAG_TEXT);
	if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_clear(&text);
	diag_summary(&text, diags);
	if (diags->errors > 0)
		(void)fprintf(stderr, "%s; no answer is given\n", text.data);
	buf_free(&text);
}

bool
cli_load_paths(struct cli *cli, const char *const *paths, size_t count,
    struct bundle *out_bundle, struct model **out_model)
{
	bool ok;

	diag_list_init(&cli->diags, cli->arena);
	ok = bundle_read(cli->arena, paths, count, &cli->diags, out_bundle);
	ok = model_load(
		 cli->arena, out_bundle, &cli->model_options, &cli->diags, out_model) &&
	     ok;
	print_diags(&cli->diags);
	return ok;
}

/* Every line is looked at; what is wrong with them is all told. */
static bool
read_learnt(struct cli *cli, struct lines *lines)
{
	struct buf why = {0};
	bool ok = true;

	for (;;) {
		struct str line;
		enum lines_result result = lines_next(lines, &line);

		if (result == LINES_END || result == LINES_FAILED) {
			buf_free(&why);
			return ok && result == LINES_END;
		}
		buf_clear(&why);
		if (result == LINES_LINE &&
		    learnt_read_line(cli->learnt, line, 0, &why))
			continue;
		ok = false;
		(void)cli_fail(cli, "%s:%lu: %s", lines->name, lines->number,
		    result == LINES_LINE ? why.data : "the line is too long");
	}
}

bool
cli_read_learnt(struct cli *cli, bool always)
{
	struct lines lines;
	bool ok = true;

	if (cli->learnt_file == NULL && !always)
		return true;
	cli->learnt = learnt_new(LIMIT_DNS_LEARNT);
	cli->model_options.learnt = cli->learnt;
	if (cli->learnt_file != NULL && lines_open(&lines, cli, cli->learnt_file)) {
		ok = read_learnt(cli, &lines);
		lines_close(&lines);
	} else if (cli->learnt_file != NULL) {
		ok = false;
	}
	return ok;
}

bool
cli_load(struct cli *cli)
{
	return cli_load_paths(
	    cli, cli->paths, cli->path_count, &cli->bundle, &cli->model);
}

bool
cli_write(const struct cli *cli, struct buf *text)
{
	bool ok =
	    text->len == 0 || fwrite(text->data, 1, text->len, stdout) == text->len;

	if (fflush(stdout) != 0 || !ok) {
		(void)cli_fail(cli, "standard output: cannot be written");
		return false;
	}
	buf_clear(text);
	return true;
}
