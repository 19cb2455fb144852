/*
 * `ringfence graph`: every allowed connection as a picture.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/connectivity/graph.h"

/* More than this nobody sees anything in, and a browser shows it badly. */
#define PAIRS_MAX 250000
/* From here on, workloads that connect alike share a card. */
#define GROUP_FROM 40

enum {
	OUTPUT_HTML,
	OUTPUT_SVG,
	OUTPUT_DOT
};

struct graph_args {
	bool nodes;
	const char *group; /* NULL: when there are many */
};

static bool
wants_groups(const struct cli *cli)
{
	const struct graph_args *args = cli->args;

	if (args->group == NULL || args->group[0] == 'a')
		return cli->model->workload_count > GROUP_FROM;
	return args->group[0] == 'y';
}

static int
print(struct cli *cli, const struct connectivity *found)
{
	struct buf text = {0};
	struct graph graph;
	bool ok;

	if (cli->output == OUTPUT_DOT) {
		connectivity_print(&text, found, CONNECTIVITY_DOT);
	} else {
		graph_build(cli->arena, cli->model, found, wants_groups(cli), &graph);
		if (cli->output == OUTPUT_SVG)
			graph_print_svg(&text, &graph);
		else
			graph_print_html(cli->arena, &text, cli->model, &graph);
	}
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}

static int
run(struct cli *cli)
{
	const struct graph_args *args = cli->args;
	struct connectivity_options options = {
	    .family = cli->family,
	    .nodes = args->nodes,
	};
	struct connectivity found;

	if (!cli_load(cli))
		return CLI_ERROR;
	connectivity_find(cli->arena, cli->model, &options, &found);
	if (found.count > PAIRS_MAX && cli->output != OUTPUT_DOT)
		return cli_fail(cli,
		    "%zu connections are too many for a picture (%d at most): give "
		    "fewer PATHs, or use ringfence list",
		    found.count, PAIRS_MAX);
	return print(cli, &found);
}

static bool
set_nodes(struct cli *cli, const char *arg UNUSED)
{
	struct graph_args *args = cli->args;

	args->nodes = true;
	return true;
}

static bool
set_group(struct cli *cli, const char *arg)
{
	struct graph_args *args = cli->args;

	args->group = arg;
	return true;
}

static const struct cli_option options[] = {
    {"nodes", NULL, "nodes as ends, too", set_nodes},
    {"group", "auto|yes|no", "one card for workloads that connect alike (auto)",
	set_group},
    {0},
};

static const char *const outputs[] = {"html", "svg", "dot", NULL};

const struct cli_command cmd_graph = {
    .name = "graph",
    .summary = "draw every allowed connection",
    .usage = "[options] PATH...",
    .details =
	"html: a page to explore offline, with the rules behind each connection.\n"
	"svg: a picture. dot: for Graphviz, as `list -o dot`.\n",
    .options = {cli_model_options, cli_family_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct graph_args),
    .run = run,
};
