/*
 * `ringfence recommend`: least-privilege policy from recorded flows.
 */
#include <stdio.h>
#include <string.h>

#include "policy-lang/cli/flows_in.h"
#include "policy-lang/flows/recommend.h"

struct recommend_args {
	const char *flows;
	enum flowlog_format format;
	struct recommend_options options;
	bool widened;
};

static void
add_record(void *arg, const struct flowlog_record *record, unsigned long line UNUSED)
{
	recommend_add(arg, record);
}

/* False if some flow that was allowed is not allowed by what was written. */
static bool
report(const struct cli *cli, const struct recommend_counts *counts)
{
	static const char *const reasons[] = {
	    "an end is not known here",
	    "this kind of policy has no words for them",
	    "they are more kinds than are taken in; see --widen",
	};
	uint64_t left[] = {counts->unknown, counts->inexpressible, counts->beyond};
	bool all = true;

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (left[i] == 0)
			continue;
		(void)cli_fail(cli, "%llu flows are left out: %s",
		    (unsigned long long)left[i], reasons[i]);
		all = false;
	}
	return all;
}

static int
run(struct cli *cli)
{
	struct recommend_args *args = cli->args;
	struct recommend_counts counts;
	struct recommend *r;
	struct buf text = {0};
	bool ok;

	if (args->flows == NULL)
		return cli_fail(cli, "--flows FILE is missing");
	if (!args->widened) {
		args->options.widen4 = 32;
		args->options.widen6 = 128;
	}
	if (!cli_load(cli))
		return CLI_ERROR;
	r = recommend_new(cli->arena, cli->model, &args->options);
	ok = flows_in_read(cli, args->flows, args->format, add_record, r);
	if (ok) {
		recommend_print(r, &text, &counts);
		ok = cli_write(cli, &text);
	}
	buf_free(&text);
	recommend_free(r);
	if (!ok)
		return CLI_ERROR;
	return report(cli, &counts) ? CLI_OK : CLI_NO;
}

static bool
set_flows(struct cli *cli, const char *arg)
{
	struct recommend_args *args = cli->args;

	args->flows = arg;
	return true;
}

static bool
set_format(struct cli *cli, const char *arg)
{
	struct recommend_args *args = cli->args;

	args->format = flows_in_format(arg);
	return true;
}

static bool
set_kind(struct cli *cli, const char *arg)
{
	struct recommend_args *args = cli->args;

	args->options.kind = strcmp(arg, "networkpolicy") == 0
				 ? RECOMMEND_NETWORK_POLICY
				 : RECOMMEND_POLICY;
	return true;
}

static bool
set_widen(struct cli *cli, const char *arg)
{
	struct recommend_args *args = cli->args;
	struct str six = str_from(arg);
	struct str four = str_split(&six, ',');
	uint64_t len4, len6;

	if (!str_to_u64(four, 32, &len4) || !str_to_u64(six, 128, &len6)) {
		(void)cli_fail(cli,
		    "--widen takes LENGTH4,LENGTH6, such as 24,64, not "
		    "\"%s\"",
		    arg);
		return false;
	}
	args->options.widen4 = (uint8_t)len4;
	args->options.widen6 = (uint8_t)len6;
	args->widened = true;
	return true;
}

static const struct cli_option options[] = {
    {"flows", "FILE", "recorded flows, one a line; - is standard input", set_flows},
    {"format", FLOWS_IN_FORMATS, "what they are (auto)", set_format},
    {"kind", "policy|networkpolicy", "what to write (policy)", set_kind},
    {"widen", "LEN4,LEN6", "widen the outside to prefixes so long (32,128)", set_widen},
    {0},
};

const struct cli_command cmd_recommend = {
    .name = "recommend",
    .summary = "write least-privilege policy from recorded flows",
    .usage = "[options] PATH... --flows FILE|-",
    .details =
	"What was seen is allowed, by owner of the workloads, and nothing else is.\n"
	"Exit status: 0 every flow that was allowed is, 1 some are left out, 2 "
	"error.\n",
    .options = {cli_model_options, options},
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct recommend_args),
    .run = run,
};
