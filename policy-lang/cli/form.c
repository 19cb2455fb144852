#include "policy-lang/cli/form.h"

static bool
set_nodes(struct cli *cli, const char *arg UNUSED)
{
	((struct form *)cli->args)->nodes = true;
	return true;
}

static bool
set_group(struct cli *cli, const char *arg UNUSED)
{
	((struct form *)cli->args)->ends = FORM_GROUPS;
	return true;
}

static bool
set_pairs(struct cli *cli, const char *arg UNUSED)
{
	((struct form *)cli->args)->ends = FORM_PAIRS;
	return true;
}

const struct cli_option form_options[] = {
    {"nodes", NULL, "nodes as ends, too", set_nodes},
    {"group", NULL, "tell groups of ends that are alike, not pairs", set_group},
    {"pairs", NULL, "tell each pair, however many there are", set_pairs},
    {0},
};

const char *const form_outputs[] = {
    [CONNECTIVITY_TXT] = "txt",
    [CONNECTIVITY_JSON] = "json",
    [CONNECTIVITY_CSV] = "csv",
    [CONNECTIVITY_MD] = "md",
    [CONNECTIVITY_DOT] = "dot",
    NULL,
};

enum connectivity_format
form_format(const struct cli *cli)
{
	return (enum connectivity_format)cli->output;
}
