/*
 * `ringfence list`: every allowed connection.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/connectivity.h"

struct list_args {
	bool nodes; /* as ends, too */
};

static const enum connectivity_format formats[] = {
    CONNECTIVITY_TXT,
    CONNECTIVITY_JSON,
    CONNECTIVITY_CSV,
    CONNECTIVITY_MD,
    CONNECTIVITY_DOT,
};

static int
run(struct cli *cli)
{
	const struct list_args *args = cli->args;
	struct connectivity_options options = {
	    .family = cli->family,
	    .nodes = args->nodes,
	};
	struct connectivity found;
	struct buf text = {0};
	bool ok;

	if (!cli_load(cli))
		return CLI_ERROR;
	connectivity_find(cli->arena, cli->model, &options, &found);
	connectivity_print(&text, &found, formats[cli->output]);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}

static bool
set_nodes(struct cli *cli, const char *arg UNUSED)
{
	struct list_args *args = cli->args;

	args->nodes = true;
	return true;
}

static const struct cli_option list_options[] = {
    {"nodes", NULL, "nodes as ends, too", set_nodes},
    {0},
};

static const char *const outputs[] = {"txt", "json", "csv", "md", "dot", NULL};

const struct cli_command cmd_list = {
    .name = "list",
    .summary = "print every allowed connection",
    .usage = "[options] PATH...",
    .options = {cli_model_options, cli_family_options, list_options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct list_args),
    .run = run,
};
