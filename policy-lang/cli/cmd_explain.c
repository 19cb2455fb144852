/*
 * `ringfence explain`: who decides a connection, or what applies to a workload.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/explain/explain.h"
#include "policy-lang/load/load.h"

typedef void (*explanations_printer)(
    struct arena *, struct buf *, const struct explanations *);
typedef void (*workload_printer)(
    struct arena *, struct buf *, const struct model *, const struct endpoint *);

static const explanations_printer print_explanations[] = {
    explain_print_text, explain_print_json};
static const workload_printer print_workload[] = {
    explain_workload_text, explain_workload_json};

/* Each appends the answer, or, returning false, why there is none. */
static bool
tell_workload(struct cli *cli, struct resolver *resolver, const struct str *words,
    struct buf *text)
{
	struct endpoint end;

	if (!resolver_find(resolver, words[0], &end, text))
		return false;
	print_workload[cli->output](cli->arena, text, cli->model, &end);
	return true;
}

/* The same question, were what is only watched enforced; false: it cannot be asked. */
static bool
ask_watched(struct cli *cli, const struct str *words, struct explanations *out)
{
	struct model_options options = cli->model_options;
	struct arena *a = cli->arena;
	struct resolver *resolver;
	struct diag_list diags; /* which have been told */
	struct buf why = {0};
	struct query query;
	struct model *m;
	bool ok;

	options.audit_enforced = true;
	diag_list_init(&diags, a);
	if (cli->model->audit_count == 0 ||
	    !model_load(a, &cli->bundle, &options, &diags, &m))
		return false;
	resolver = resolver_new(a, m);
	resolver_learns(resolver, cli->learnt);
	ok = query_read_wide(resolver, words, cli->word_count, &query, &why) &&
	     explain_query(a, m, &query, cli->family, out);
	resolver_free(resolver);
	buf_free(&why);
	return ok;
}

static bool
tell_connection(struct cli *cli, struct resolver *resolver, const struct str *words,
    struct buf *text)
{
	struct explanations all, watched;
	struct query query;

	if (!query_read_wide(resolver, words, cli->word_count, &query, text))
		return false;
	if (!explain_query(cli->arena, cli->model, &query, cli->family, &all)) {
		query_explain_incomparable(&query, cli->family, text);
		return false;
	}
	if (ask_watched(cli, words, &watched))
		all.watched = &watched;
	print_explanations[cli->output](cli->arena, text, &all);
	return true;
}

static int
run(struct cli *cli)
{
	struct resolver *resolver;
	struct str words[3];
	struct buf text = {0};
	int status = CLI_ERROR;
	bool told;

	if (cli->word_count == 0)
		return cli_fail(cli, "the question is missing: PATH... -- SRC DST "
				     "[PORT/PROTO], or PATH... -- WORKLOAD");
	if (!cli_read_learnt(cli, true) || !cli_load(cli))
		return CLI_ERROR;
	for (size_t i = 0; i < cli->word_count; i++)
		words[i] = str_from(cli->words[i]);
	resolver = resolver_new(cli->arena, cli->model);
	resolver_learns(resolver, cli->learnt);
	told = cli->word_count == 1 ? tell_workload(cli, resolver, words, &text)
				    : tell_connection(cli, resolver, words, &text);
	if (!told)
		(void)cli_fail(cli, "%s", text.data);
	else if (cli_write(cli, &text))
		status = CLI_OK;
	buf_free(&text);
	resolver_free(resolver);
	return status;
}

static const char *const outputs[] = {"text", "json", NULL};

const struct cli_command cmd_explain = {
    .name = "explain",
    .summary = "tell who decides a connection, and where",
    .usage = "[options] PATH... -- SRC DST [PORT/PROTO]\n"
	     "       ringfence explain [options] PATH... -- WORKLOAD",
    .details = QUERY_HELP
    "Without it, or with tcp, udp or sctp alone, every port is explained. With one\n"
    "WORKLOAD, whatever applies to it is listed.\n"
    "Exit status: 0 explained (whatever the verdict), 2 error.\n",
    .options = {cli_model_options, cli_family_options, cli_learnt_options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .words_max = 3,
    .run = run,
};
