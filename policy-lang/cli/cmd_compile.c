/*
 * `ringfence compile`: the whole program of one node, as the enforcer would load it.
 */
#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/compile.h"

static void (*const printers[])(
    struct buf *out, const struct table_content *content) = {
    table_print_nft,
    table_print_json,
};

/* A node that runs nothing yet has a program, too; more often its name is misspelt. */
static void
warn_of_unknown_node(const struct cli *cli)
{
	struct buf known = {0};

	for (size_t i = 0; i < cli->model->node_count; i++)
		buf_printf(&known, "%s%.*s", i > 0 ? ", " : "",
		    STR_ARG(cli->model->nodes[i]->name));
	(void)fprintf(stderr,
	    "ringfence compile: warning: nothing is said of a node \"%s\"; there is "
	    "%s\n",
	    cli->node, known.len > 0 ? known.data : "none");
	buf_free(&known);
}

/* Limits that the program exceeds are told like any other mistake in the input. */
static void
print_limits(const struct cli *cli)
{
	struct buf text = {0};

	diag_render(&text, &cli->diags, DIAG_TEXT);
	(void)fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
}

int
cmd_compile(struct cli *cli)
{
	struct compile_options options = {
	    .node = str_from(cli->node),
	    .settings = {.log_group = cli->log_group, .reject = cli->reject},
	    .workload_networks = cli->workload_networks,
	    .workload_network_count = cli->workload_network_count,
	};
	struct table_content content = {0};
	struct buf text = {0};
	bool ok;

	if (cli->word_count > 0)
		return cli_fail(cli, "compile takes paths alone");
	if (cli->node == NULL)
		return cli_fail(cli, "--node NAME is missing");
	if (!cli_load(cli))
		return CLI_ERROR;
	if (model_node(cli->model, options.node) == NULL)
		warn_of_unknown_node(cli);
	diag_list_init(&cli->diags, cli->arena);
	if (!compile_node(cli->arena, cli->model, &options, &cli->diags, &content)) {
		print_limits(cli);
		return CLI_ERROR;
	}
	printers[cli->output](&text, &content);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}
