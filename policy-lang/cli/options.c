/*
 * Options of all commands, parsed in one place by one table.
 */
#include "policy-lang/cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_LOG_GROUP 100

/* What struct model_options.clusters points to. */
struct cluster {
	struct str name, path;
};

int
cli_fail(const struct cli *cli, const char *fmt, ...)
{
	struct buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "ringfence %s: %s\n", cli->command->name, text.data);
	buf_free(&text);
	return CLI_ERROR;
}

/* ---- one function for each option that has an argument ---- */

static bool
choose(const struct cli *cli, const char *option, const char *arg, const char *first,
    const char *second, bool *out_second)
{
	*out_second = strcmp(arg, second) == 0;
	if (*out_second || strcmp(arg, first) == 0)
		return true;
	(void)cli_fail(
	    cli, "%s takes %s or %s, not \"%s\"", option, first, second, arg);
	return false;
}

static bool
set_cluster_default(struct cli *cli, const char *arg)
{
	return choose(cli, "--cluster-default", arg, "allow", "deny",
	    &cli->model_options.default_deny);
}

static bool
set_ip_blocks(struct cli *cli, const char *arg)
{
	return choose(cli, "--ip-blocks-match-pods", arg, "always", "never",
	    &cli->model_options.ip_blocks_skip_pods);
}

static bool
set_cluster(struct cli *cli, const char *arg)
{
	struct str path = str_from(arg);
	struct str name = str_split(&path, '=');
	size_t count = cli->model_options.cluster_count;
	struct cluster *list = ARENA_ARRAY(cli->arena, count + 1, struct cluster);

	if (path.ptr == NULL || path.len == 0 || name.len == 0) {
		(void)cli_fail(cli, "--cluster takes NAME=PATH, not \"%s\"", arg);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		list[i].name = cli->model_options.clusters[i].name;
		list[i].path = cli->model_options.clusters[i].path;
	}
	list[count] = (struct cluster){name, path};
	cli->model_options.clusters = (const void *)list;
	cli->model_options.cluster_count = count + 1;
	return true;
}

static bool
set_output(struct cli *cli, const char *arg)
{
	const char *const *outputs = cli->command->outputs;
	struct buf known = {0};

	for (size_t i = 0; outputs != NULL && outputs[i] != NULL; i++) {
		if (strcmp(arg, outputs[i]) == 0) {
			cli->output = i;
			buf_free(&known);
			return true;
		}
		buf_printf(&known, "%s%s", i == 0 ? "" : ", ", outputs[i]);
	}
	(void)cli_fail(cli, "no output format \"%s\"; there is %s", arg, known.data);
	buf_free(&known);
	return false;
}

static bool
set_family(struct cli *cli, const char *arg)
{
	bool six;

	if (!choose(cli, "--family", arg, "4", "6", &six))
		return false;
	cli->family = six ? IP_V6 : IP_V4;
	return true;
}

static bool
set_batch(struct cli *cli, const char *arg)
{
	cli->batch = arg;
	return true;
}

static bool
set_strict(struct cli *cli, const char *arg UNUSED)
{
	cli->strict = true;
	return true;
}

static bool
set_nodes(struct cli *cli, const char *arg UNUSED)
{
	cli->nodes = true;
	return true;
}

static bool
set_node(struct cli *cli, const char *arg)
{
	cli->node = arg;
	return true;
}

static bool
set_networks(struct cli *cli, const char *arg)
{
	struct str rest = str_from(arg);

	while (rest.ptr != NULL) {
		struct str item = str_trim(str_split(&rest, ','));
		size_t count = cli->workload_network_count;
		struct ip_prefix *list =
		    ARENA_ARRAY(cli->arena, count + 1, struct ip_prefix);

		for (size_t i = 0; i < count; i++)
			list[i] = cli->workload_networks[i];
		if (!ip_prefix_parse(item, &list[count], NULL)) {
			(void)cli_fail(cli,
			    "\"%.*s\" is not a CIDR, such as 10.1.0.0/16",
			    STR_ARG(item));
			return false;
		}
		cli->workload_networks = list;
		cli->workload_network_count = count + 1;
	}
	return true;
}

static bool
set_log_group(struct cli *cli, const char *arg)
{
	uint64_t group;

	if (!str_to_u64(str_from(arg), UINT16_MAX, &group)) {
		(void)cli_fail(cli, "--log-group takes 0 to 65535, not \"%s\"", arg);
		return false;
	}
	cli->log_group = (uint16_t)group;
	return true;
}

static bool
set_reject(struct cli *cli, const char *arg UNUSED)
{
	cli->reject = true;
	return true;
}

static const struct {
	const char *name;
	enum cli_option option;
	int has_arg;
	bool (*set)(struct cli *cli, const char *arg);
} options[] = {
    {"cluster-default", CLI_OPT_MODEL, required_argument, set_cluster_default},
    {"ip-blocks-match-pods", CLI_OPT_MODEL, required_argument, set_ip_blocks},
    {"cluster", CLI_OPT_MODEL, required_argument, set_cluster},
    {"output", CLI_OPT_OUTPUT, required_argument, set_output},
    {"family", CLI_OPT_FAMILY, required_argument, set_family},
    {"batch", CLI_OPT_BATCH, required_argument, set_batch},
    {"strict", CLI_OPT_STRICT, no_argument, set_strict},
    {"nodes", CLI_OPT_NODES, no_argument, set_nodes},
    {"node", CLI_OPT_COMPILE, required_argument, set_node},
    {"workload-networks", CLI_OPT_COMPILE, required_argument, set_networks},
    {"log-group", CLI_OPT_COMPILE, required_argument, set_log_group},
    {"reject", CLI_OPT_COMPILE, no_argument, set_reject},
};

/* getopt_long's numbers of long options; above all characters. */
#define LONG_BASE 256

/* ---- the parser ---- */

/* Long options of this command, --help, and the end. */
static void
make_long_options(const struct cli *cli, struct option out[ARRAY_LEN(options) + 2])
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if ((cli->command->options & options[i].option) == 0)
			continue;
		out[count++] = (struct option){
		    .name = options[i].name,
		    .has_arg = options[i].has_arg,
		    .val = LONG_BASE + (int)i,
		};
	}
	out[count++] = (struct option){.name = "help", .val = 'h'};
	out[count] = (struct option){0};
}

static bool
print_help(const struct cli *cli)
{
	struct buf text = {0};
	bool ok;

	cli_print_help(&text, cli->command);
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok;
}

static size_t
words_behind_dashes(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return (size_t)(argc - i - 1);
	}
	return 0;
}

static bool
apply_option(struct cli *cli, int option, char **argv)
{
	size_t i = (size_t)option - LONG_BASE;

	if (option == 'o')
		return set_output(cli, optarg);
	if (option == ':') {
		(void)cli_fail(cli, "%s needs an argument", argv[optind - 1]);
		return false;
	}
	if (option < LONG_BASE) {
		(void)cli_fail(cli, "no option %s; see ringfence %s --help",
		    argv[optind - 1], cli->command->name);
		return false;
	}
	return options[i].set(cli, optarg);
}

bool
cli_parse(struct cli *cli, int argc, char **argv, int *out_exit)
{
	struct option long_options[ARRAY_LEN(options) + 2];
	const char *short_options = cli->command->outputs != NULL ? ":ho:" : ":h";
	size_t words = words_behind_dashes(argc, argv);
	int option;

	cli->log_group = DEFAULT_LOG_GROUP;
	*out_exit = CLI_ERROR;
	make_long_options(cli, long_options);
	opterr = 0;
	while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			if (print_help(cli))
				*out_exit = CLI_OK;
			return false;
		}
		if (!apply_option(cli, option, argv))
			return false;
	}
	cli->path_count = (size_t)(argc - optind) - words;
	cli->word_count = words;
	cli->paths = ARENA_ARRAY(cli->arena, cli->path_count, const char *);
	cli->words = ARENA_ARRAY(cli->arena, words, const char *);
	for (size_t i = 0; i < cli->path_count; i++)
		cli->paths[i] = argv[(size_t)optind + i];
	for (size_t i = 0; i < words; i++)
		cli->words[i] = argv[(size_t)optind + cli->path_count + i];
	if (cli->path_count == 0) {
		(void)cli_fail(
		    cli, "no PATH; see ringfence %s --help", cli->command->name);
		return false;
	}
	return true;
}
