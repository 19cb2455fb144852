/*
 * `ringfence explain`: both walks of a connection, level by level.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/explain.h"

static int
run(struct cli *cli)
{
	static void (*const printers[])(struct arena *, struct buf *,
	    const struct explanations *) = {explain_print_text, explain_print_json};
	struct explanations all;
	struct query query;
	struct resolver *resolver;
	struct str words[3];
	struct buf text = {0};
	int status = CLI_ERROR;

	if (cli->word_count != 3)
		return cli_fail(
		    cli, "the question is missing: PATH... -- SRC DST PORT/PROTO");
	if (!cli_load(cli))
		return CLI_ERROR;
	for (size_t i = 0; i < 3; i++)
		words[i] = str_from(cli->words[i]);
	resolver = resolver_new(cli->arena, cli->model);
	if (!query_read(resolver, words, &query, &text)) {
		(void)cli_fail(cli, "%s", text.data);
		goto out;
	}
	if (!explain_query(cli->arena, cli->model, &query, cli->family, &all)) {
		query_explain_incomparable(&query, cli->family, &text);
		(void)cli_fail(cli, "%s", text.data);
		goto out;
	}
	printers[cli->output](cli->arena, &text, &all);
	if (cli_write(cli, &text))
		status = CLI_OK;
out:
	buf_free(&text);
	resolver_free(resolver);
	return status;
}

static const char *const outputs[] = {"text", "json", NULL};

const struct cli_command cmd_explain = {
    .name = "explain",
    .summary = "tell who decides a connection, and where",
    .usage = "[options] PATH... -- SRC DST PORT/PROTO",
    .details = QUERY_HELP "Exit status: 0 explained (whatever the verdict), 2 error.\n",
    .options = {cli_model_options, cli_family_options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .words_max = 3,
    .run = run,
};
