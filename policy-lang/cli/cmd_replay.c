/*
 * `ringfence replay`: recorded flows, judged by a policy that is not in force yet.
 */
#include "policy-lang/cli/flows_in.h"
#include "policy-lang/flows/replay.h"

struct replay_args {
	const char *flows;
	enum flowlog_format format;
	const char *baseline;
	bool changed_only;
};

static const enum replay_format formats[] = {
    REPLAY_TXT, REPLAY_JSON, REPLAY_MD, REPLAY_CSV};

static void
add_record(void *arg, const struct flowlog_record *record, unsigned long line)
{
	replay_add(arg, record, line);
}

static bool
load_both(struct cli *cli, struct bundle *bundle, struct model **out_baseline)
{
	const struct replay_args *args = cli->args;

	*out_baseline = NULL;
	if (!cli_load(cli))
		return false;
	return args->baseline == NULL ||
	       cli_load_paths(cli, &args->baseline, 1, bundle, out_baseline);
}

static int
run(struct cli *cli)
{
	const struct replay_args *args = cli->args;
	struct replay_report report;
	struct replay *replay;
	struct bundle bundle = {0};
	struct model *baseline;
	struct buf text = {0};
	bool ok;

	if (args->flows == NULL)
		return cli_fail(cli, "--flows FILE is missing");
	if (!load_both(cli, &bundle, &baseline))
		return CLI_ERROR;
	replay = replay_new(cli->arena, cli->model, baseline);
	ok = flows_in_read(cli, args->flows, args->format, add_record, replay);
	if (ok) {
		replay_finish(replay, &report);
		replay_print(cli->arena, &text, &report, formats[cli->output],
		    args->changed_only);
		ok = cli_write(cli, &text);
	}
	buf_free(&text);
	replay_free(replay);
	if (!ok)
		return CLI_ERROR;
	return report.flows[REPLAY_CLOSED] == 0 ? CLI_OK : CLI_NO;
}

static bool
set_flows(struct cli *cli, const char *arg)
{
	struct replay_args *args = cli->args;

	args->flows = arg;
	return true;
}

static bool
set_format(struct cli *cli, const char *arg)
{
	struct replay_args *args = cli->args;

	args->format = flows_in_format(arg);
	return true;
}

static bool
set_baseline(struct cli *cli, const char *arg)
{
	struct replay_args *args = cli->args;

	args->baseline = arg;
	return true;
}

static bool
set_changed_only(struct cli *cli, const char *arg UNUSED)
{
	struct replay_args *args = cli->args;

	args->changed_only = true;
	return true;
}

static const struct cli_option options[] = {
    {"flows", "FILE", "recorded flows, one a line; - is standard input", set_flows},
    {"format", FLOWS_IN_FORMATS, "what they are (auto)", set_format},
    {"baseline", "PATH", "compare with this policy, not with what the flows say",
	set_baseline},
    {"changed-only", NULL, "leave out what stays as it is", set_changed_only},
    {0},
};

static const char *const outputs[] = {"txt", "json", "md", "csv", NULL};

const struct cli_command cmd_replay = {
    .name = "replay",
    .summary = "judge recorded flows by a policy that is not in force yet",
    .usage = "[options] PATH... --flows FILE|-",
    .details =
	"Reads Ringfence's flow log, `hubble observe -o json`, `conntrack -L` and -E.\n"
	"Exit status: 0 nothing that was allowed would be denied, 1 otherwise, 2 "
	"error.\n",
    .options = {cli_model_options, options},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct replay_args),
    .run = run,
};
