/*
 * `ringfence explain`: both walks of a connection, level by level.
 */
#include "policy-lang/cli/cli.h"
#include "policy-lang/cli/explain.h"

const char *
explain_policy_title(struct arena *a, const struct policy *p)
{
	const char *slash =
	    p->namespace_text.len > 0 && !str_is(p->namespace_text, "/") ? "/" : "";

	return arena_printf(a, "%s %.*s%s%.*s", policy_kind_name(p->kind),
	    STR_ARG(p->namespace_text), slash, STR_ARG(p->name));
}

struct loc
explain_step_loc(const struct step *step, enum direction dir)
{
	if (step->rule != NULL)
		return step->rule->loc;
	if (step->isolation && step->policy->isolate_loc[dir].source != NULL)
		return step->policy->isolate_loc[dir];
	return step->policy != NULL ? step->policy->loc : (struct loc){0};
}

const struct step *
explain_otherwise(const struct walk *walk)
{
	for (size_t i = 0; i < walk->step_count; i++) {
		const struct step *step = &walk->steps[i];
		bool pass = step->rule != NULL && step->rule->action == ACTION_PASS;

		if (step->kind == STEP_UNREACHED && !pass)
			return step;
	}
	return NULL;
}

const struct endpoint *
explain_self(const struct flow *flow, enum direction dir)
{
	return dir == DIR_EGRESS ? &flow->src : &flow->dst;
}

static void
add_family(struct cli *cli, struct explanations *all, unsigned family)
{
	const struct query *q = &all->query;
	struct explanation *one = &all->items[all->count];
	bool comparable;

	*one = (struct explanation){.family = family};
	one->allow = evaluate_connection_flow(cli->model, &q->src, &q->dst, q->proto,
	    q->port, family, &comparable, &one->flow);
	if (!comparable)
		return;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		evaluate_trace(cli->arena, cli->model, &one->flow, (enum direction)d,
		    &one->walks[d]);
	all->allow = all->allow || one->allow;
	all->count++;
}

static bool
has_some_addr(const struct endpoint *end)
{
	size_t count;

	return endpoint_addrs(end, &count) != NULL && count > 0;
}

static void
explain(struct cli *cli, struct explanations *all)
{
	if (cli->family != 0) {
		add_family(cli, all, cli->family);
	} else if (!has_some_addr(&all->query.src) && !has_some_addr(&all->query.dst)) {
		add_family(cli, all, 0);
	} else {
		add_family(cli, all, IP_V4);
		add_family(cli, all, IP_V6);
	}
}

int
cmd_explain(struct cli *cli)
{
	static void (*const printers[])(struct arena *, struct buf *,
	    const struct explanations *) = {explain_print_text, explain_print_json};
	struct explanations all = {0};
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
	all.model = cli->model;
	resolver = resolver_new(cli->arena, cli->model);
	if (!query_read(resolver, words, &all.query, &text)) {
		(void)cli_fail(cli, "%s", text.data);
		goto out;
	}
	explain(cli, &all);
	if (all.count == 0) {
		query_explain_incomparable(&all.query, cli->family, &text);
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
