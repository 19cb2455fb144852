/*
 * `ringfence diff`: which connections a change opens, closes or alters.
 */
#include "policy-lang/cli/form.h"
#include "policy-lang/diff/diff_print.h"

/* Above so many pairs groups are told unless pairs are asked for. */
#define DIFF_PAIRS_MAX 1000u

static bool
print(struct cli *cli, const struct diff_report *report)
{
	struct buf text = {0};
	bool ok;

	diff_print(&text, report, form_format(cli));
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok;
}

static int
run(struct cli *cli)
{
	static const uint64_t pairs_max[] = {
	    [FORM_AUTO] = DIFF_PAIRS_MAX,
	    [FORM_PAIRS] = UINT64_MAX,
	    [FORM_GROUPS] = 0,
	};
	const struct form *form = cli->args;
	struct connectivity_options options = {
	    .family = cli->family,
	    .nodes = form->nodes,
	};
	struct bundle bundles[2];
	struct model *models[2];
	struct diff_report report;
	struct diff *diff;
	bool ok = true, same;

	/* Both are read before anything is said, so that mistakes in either are told. */
	for (size_t i = 0; i < 2; i++)
		ok = cli_load_paths(cli, &cli->paths[i], 1, &bundles[i], &models[i]) &&
		     ok;
	if (!ok)
		return CLI_ERROR;
	diff = diff_new(cli->arena, models[0], models[1], &options);
	diff_report_make(diff, pairs_max[form->ends], &report);
	same = diff_report_same(&report);
	ok = print(cli, &report);
	diff_free(diff);
	if (!ok)
		return CLI_ERROR;
	return same ? CLI_OK : CLI_NO;
}

const struct cli_command cmd_diff = {
    .name = "diff",
    .summary = "print which connections a change opens, closes or alters",
    .usage = "[options] OLD NEW",
    .details =
	"OLD and NEW are each a file, a directory or -. -o md fits a pull request.\n"
	"Exit status: 0 nothing differs, 1 something does, 2 there is an error.\n",
    .options = {cli_model_options, cli_family_options, form_options},
    .outputs = form_outputs,
    .paths_min = 2,
    .paths_max = 2,
    .args_size = sizeof(struct form),
    .run = run,
};
