/*
 * `ringfence compile`: the whole program of one node, as the enforcer would load it.
 */
#include <stdio.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/compile/compile.h"

#define DEFAULT_LOG_GROUP 100

struct interfaces {
	struct interface_pattern *patterns;
	size_t count;
};

struct compile_args {
	const char *node;
	struct ip_prefix *workload_networks;
	size_t workload_network_count;
	struct interfaces workload_interfaces, uplinks;
	struct route_network *route_networks;
	size_t route_network_count;
	uint16_t log_group;
	bool log_group_given;
	bool reject;
	uint32_t steer_mask;
	bool trust_sources;
};

static void (*const printers[])(
    struct buf *out, const struct table_content *content) = {
    table_print_nft,
    table_print_json,
};

/* A node that runs nothing yet has a program, too; more often its name is misspelt. */
static void
warn_of_unknown_node(const struct cli *cli)
{
	const struct compile_args *args = cli->args;
	struct buf known = {0};

	for (size_t i = 0; i < cli->model->node_count; i++)
		buf_printf(&known, "%s%.*s%s%.*s", i > 0 ? ", " : "",
		    STR_ARG(cli->model->nodes[i]->cluster),
		    cli->model->nodes[i]->cluster.len > 0 ? "/" : "",
		    STR_ARG(cli->model->nodes[i]->name));
	(void)fprintf(stderr,
	    "ringfence compile: warning: nothing is said of one node \"%s\"; there is "
	    "%s\n",
	    args->node, known.len > 0 ? known.data : "none");
	buf_free(&known);
}

/* Limits that the program exceeds are told like any other mistake in the input. */
static void
print_limits(const struct cli *cli)
{
	struct buf text = {0};

	diag_render(&text, &cli->diags, DIAG_TEXT);
	if (text.len != 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
}

static int
run(struct cli *cli)
{
	static const struct route_tables any_table = {1, UINT32_MAX, {"/", 1}};
	const struct compile_args *args = cli->args;
	struct compile_options options = {
	    .node = str_from(args->node),
	    .settings = {.log_group = args->log_group_given ? args->log_group
							    : DEFAULT_LOG_GROUP,
		.reject = args->reject,
		.steer_mask = args->steer_mask,
		.validate_sources = !args->trust_sources},
	    .route_networks = args->route_networks,
	    .route_network_count = args->route_network_count,
	    .way_count = table_way_room(args->steer_mask),
	    .route_tables = &any_table,
	    .route_table_count = 1,
	    .workload_networks = args->workload_networks,
	    .workload_network_count = args->workload_network_count,
	    .workload_interfaces = args->workload_interfaces.patterns,
	    .workload_interface_count = interface_patterns_normalise(
		args->workload_interfaces.patterns, args->workload_interfaces.count),
	    .uplinks = args->uplinks.patterns,
	    .uplink_count = interface_patterns_normalise(
		args->uplinks.patterns, args->uplinks.count),
	};
	struct table_content content = {0};
	struct buf text = {0};
	bool ok;

	if (args->node == NULL)
		return cli_fail(cli, "--node NAME is missing");
	if (!cli_read_learnt(cli, false) || !cli_load(cli))
		return CLI_ERROR;
	if (model_node(cli->model, options.node) == NULL)
		warn_of_unknown_node(cli);
	diag_list_init(&cli->diags, cli->arena);
	if (!compile_node(cli->arena, cli->model, &options, &cli->diags, &content)) {
		print_limits(cli);
		return CLI_ERROR;
	}
	print_limits(cli); /* or warnings */
	printers[cli->output](&text, &content);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}

/* ---- options ---- */

static bool
set_node(struct cli *cli, const char *arg)
{
	struct compile_args *args = cli->args;
	args->node = arg;
	return true;
}

static bool
add_interface(struct cli *cli, struct interfaces *to, struct str text)
{
	struct interface_pattern *list =
	    ARENA_ARRAY(cli->arena, to->count + 1, struct interface_pattern);
	struct ip_addr addr;

	if (ip_parse(text, &addr) || !interface_pattern_parse(text, &list[to->count]))
		return false;
	for (size_t i = 0; i < to->count; i++)
		list[i] = to->patterns[i];
	to->patterns = list;
	to->count++;
	return true;
}

static bool
add_network(struct cli *cli, struct str item)
{
	struct compile_args *args = cli->args;
	size_t count = args->workload_network_count;
	struct ip_prefix *list = ARENA_ARRAY(cli->arena, count + 1, struct ip_prefix);

	if (!ip_prefix_parse(item, &list[count], NULL)) {
		if (add_interface(cli, &args->workload_interfaces, item))
			return true;
		(void)cli_fail(cli,
		    "\"%.*s\" is neither a CIDR, such as 10.1.0.0/16, nor an "
		    "interface, such as cali*",
		    STR_ARG(item));
		return false;
	}
	for (size_t i = 0; i < count; i++)
		list[i] = args->workload_networks[i];
	args->workload_networks = list;
	args->workload_network_count = count + 1;
	return true;
}

static bool
add_uplink(struct cli *cli, struct str item)
{
	struct compile_args *args = cli->args;

	if (add_interface(cli, &args->uplinks, item))
		return true;
	(void)cli_fail(cli, "--uplinks takes interfaces, such as eth0, not \"%.*s\"",
	    STR_ARG(item));
	return false;
}

static bool
add_route_address(struct cli *cli, struct str item)
{
	struct compile_args *args = cli->args;
	size_t count = args->route_network_count;
	struct route_network *list =
	    ARENA_ARRAY(cli->arena, count + 1, struct route_network);

	list[count] = (struct route_network){.subtree = STR("/"), .taken = true};
	if (!ip_prefix_parse(item, &list[count].network, NULL)) {
		(void)cli_fail(cli,
		    "--route-addresses takes CIDRs, such as 198.51.100.0/24, not "
		    "\"%.*s\"",
		    STR_ARG(item));
		return false;
	}
	for (size_t i = 0; i < count; i++)
		list[i] = args->route_networks[i];
	args->route_networks = list;
	args->route_network_count = count + 1;
	return true;
}

static bool
add_each(
    struct cli *cli, const char *arg, bool (*add)(struct cli *cli, struct str item))
{
	struct str rest = str_from(arg);
	bool ok = true;

	while (ok && rest.ptr != NULL)
		ok = add(cli, str_trim(str_split(&rest, ',')));
	return ok;
}

static bool
set_uplinks(struct cli *cli, const char *arg)
{
	return add_each(cli, arg, add_uplink);
}

static bool
set_networks(struct cli *cli, const char *arg)
{
	return add_each(cli, arg, add_network);
}

static bool
set_route_addresses(struct cli *cli, const char *arg)
{
	return add_each(cli, arg, add_route_address);
}

static bool
set_log_group(struct cli *cli, const char *arg)
{
	struct compile_args *args = cli->args;
	uint64_t group;

	if (!str_to_u64(str_from(arg), UINT16_MAX, &group)) {
		(void)cli_fail(cli, "--log-group takes 0 to 65535, not \"%s\"", arg);
		return false;
	}
	args->log_group = (uint16_t)group;
	args->log_group_given = true;
	return true;
}

static bool
set_reject(struct cli *cli, const char *arg UNUSED)
{
	struct compile_args *args = cli->args;
	args->reject = true;
	return true;
}

static bool
set_trust_sources(struct cli *cli, const char *arg UNUSED)
{
	struct compile_args *args = cli->args;

	args->trust_sources = true;
	return true;
}

static bool
set_steering(struct cli *cli, const char *arg)
{
	struct compile_args *args = cli->args;

	if (table_mask_parse(str_from(arg), &args->steer_mask))
		return true;
	(void)cli_fail(cli,
	    "--steering takes bits side by side, such as 0x0ff00000, not \"%s\"", arg);
	return false;
}

static const struct cli_option options_of_compile[] = {
    {"node", "NAME", "the node whose program it is", set_node},
    {"workload-networks", "CIDR[,...]", "addresses, or interfaces, that are workloads'",
	set_networks},
    {"route-addresses", "CIDR[,...]", "addresses that the node takes for Routes alone",
	set_route_addresses},
    {"log-group", "N", "NFLOG group of denied packets (100)", set_log_group},
    {"reject", NULL, "reject denied packets, do not drop them", set_reject},
    {"trust-sources", NULL, "do not validate source addresses", set_trust_sources},
    {"uplinks", "NAME[,...]", "interfaces by which other nodes and the outside come",
	set_uplinks},
    {"steering", "MASK", "bits of marks for what leaves another way", set_steering},
    {0},
};

static const char *const outputs[] = {"nft", "json", NULL};

const struct cli_command cmd_compile = {
    .name = "compile",
    .summary = "print a node's whole program for the kernel",
    .usage = "[options] PATH... --node NAME",
    .details = "The text is what `nft -f` loads; it replaces a table of that name.\n",
    .options = {cli_model_options, cli_learnt_options, options_of_compile},
    .outputs = outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct compile_args),
    .run = run,
};
