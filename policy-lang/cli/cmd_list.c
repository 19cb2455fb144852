/*
 * `ringfence list`: every allowed connection.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/connectivity.h"

static const enum connectivity_format formats[] = {
    CONNECTIVITY_TXT,
    CONNECTIVITY_JSON,
    CONNECTIVITY_CSV,
    CONNECTIVITY_MD,
    CONNECTIVITY_DOT,
};

int
cmd_list(struct cli *cli)
{
	struct connectivity_options options = {
	    .family = cli->family,
	    .nodes = cli->nodes,
	};
	struct connectivity found;
	struct buf text = {0};
	bool ok;

	if (cli->word_count > 0)
		return cli_fail(cli, "list takes paths alone");
	if (!cli_load(cli))
		return CLI_ERROR;
	connectivity_find(cli->arena, cli->model, &options, &found);
	connectivity_print(&text, &found, formats[cli->output]);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}
