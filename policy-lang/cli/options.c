/*
 * Options: those that several commands share, and the parser of every command's.
 */
#include "policy-lang/cli/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

/* ---- options that several commands take ---- */

static bool
set_cluster_default(struct cli *cli, const char *arg)
{
	cli->model_options.default_deny = strcmp(arg, "deny") == 0;
	return true;
}

static bool
set_ip_blocks(struct cli *cli, const char *arg)
{
	cli->model_options.ip_blocks_skip_pods = strcmp(arg, "never") == 0;
	return true;
}

/* Names are written as in east/shop/web, and in kernel comments. */
static bool
is_cluster_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
			return false;
	}
	return name.len != 0;
}

static bool
set_cluster(struct cli *cli, const char *arg)
{
	struct str path = str_from(arg);
	struct str name = str_split(&path, '=');
	size_t count = cli->model_options.cluster_count;
	struct cluster *list = ARENA_ARRAY(cli->arena, count + 1, struct cluster);

	if (path.ptr == NULL || path.len == 0 || !is_cluster_name(name)) {
		(void)cli_fail(cli,
		    "--cluster takes NAME=PATH, NAME of a-z, A-Z, 0-9, '-', '_' and "
		    "'.', not \"%s\"",
		    arg);
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
set_host_protection(struct cli *cli, const char *arg)
{
	cli->model_options.nodes_unprotected = strcmp(arg, "off") == 0;
	return true;
}

const struct cli_option cli_model_options[] = {
    {"host-protection", "on|off", "whether policies for nodes are in force (on)",
	set_host_protection},
    {"cluster-default", "allow|deny", "what holds where nothing decides (allow)",
	set_cluster_default},
    {"ip-blocks-match-pods", "always|never", "NetworkPolicy ipBlock and pods (always)",
	set_ip_blocks},
    {"cluster", "NAME=PATH", "documents below PATH are of cluster NAME", set_cluster},
    {0},
};

static bool
set_family(struct cli *cli, const char *arg)
{
	cli->family = arg[0] == '6' ? IP_V6 : IP_V4;
	return true;
}

const struct cli_option cli_family_options[] = {
    {"family", "4|6", "one address family only", set_family},
    {0},
};

static bool
set_learnt(struct cli *cli, const char *arg)
{
	cli->learnt_file = arg;
	return true;
}

const struct cli_option cli_learnt_options[] = {
    {"learnt", "FILE", "addresses that tenants know by name: TENANT NAME ADDRESS",
	set_learnt},
    {0},
};

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

/* ---- the parser ---- */

/* getopt_long's numbers of long options are above all characters. */
#define LONG_BASE   256
#define OPTIONS_MAX 40

struct parser {
	const struct cli_option *known[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 3]; /* and --output, --help, the end */
	size_t count;
};

static void
make_parser(const struct cli_command *command, struct parser *p)
{
	size_t n = 0;

	for (size_t i = 0; i < CLI_OPTION_GROUPS; i++) {
		const struct cli_option *o = command->options[i];

		for (; o != NULL && o->name != NULL; o++) {
			if (n == OPTIONS_MAX)
				base_die("a command has too many options");
			p->known[n] = o;
			p->longs[n] = (struct option){
			    .name = o->name,
			    .has_arg = o->arg != NULL ? required_argument : no_argument,
			    .val = LONG_BASE + (int)n,
			};
			n++;
		}
	}
	p->count = n;
	if (command->outputs != NULL)
		p->longs[n++] = (struct option){
		    .name = "output",
		    .has_arg = required_argument,
		    .val = 'o',
		};
	p->longs[n++] = (struct option){.name = "help", .val = 'h'};
	p->longs[n] = (struct option){0};
}

/* "allow|deny" takes one of its words; "FILE" takes anything. */
static bool
arg_fits(const struct cli *cli, const struct cli_option *o, const char *arg)
{
	struct str rest = str_from(o->arg);
	struct buf known = {0};

	if (str_find(rest, '|', 0) == rest.len)
		return true;
	while (rest.ptr != NULL) {
		if (str_is(str_split(&rest, '|'), arg))
			return true;
	}
	rest = str_from(o->arg);
	for (size_t i = 0; rest.ptr != NULL; i++) {
		struct str word = str_split(&rest, '|');

		buf_printf(&known, "%s%.*s", i > 0 ? " or " : "", STR_ARG(word));
	}
	(void)cli_fail(cli, "--%s takes %s, not \"%s\"", o->name, known.data, arg);
	buf_free(&known);
	return false;
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
apply_option(struct cli *cli, const struct parser *parser, int option, char **argv)
{
	const struct cli_option *o;

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
	o = parser->known[option - LONG_BASE];
	if (o->arg != NULL && !arg_fits(cli, o, optarg))
		return false;
	return o->set(cli, optarg);
}

/* What is left of argv: paths, then words behind "--". */
static void
take_arguments(struct cli *cli, int argc, char **argv, size_t words)
{
	cli->path_count = (size_t)(argc - optind) - words;
	cli->word_count = words;
	cli->paths = ARENA_ARRAY(cli->arena, cli->path_count, const char *);
	cli->words = ARENA_ARRAY(cli->arena, words, const char *);
	for (size_t i = 0; i < cli->path_count; i++)
		cli->paths[i] = argv[(size_t)optind + i];
	for (size_t i = 0; i < words; i++)
		cli->words[i] = argv[(size_t)optind + cli->path_count + i];
}

static bool
counts_fit(const struct cli *cli)
{
	const struct cli_command *c = cli->command;

	if (cli->path_count < c->paths_min)
		(void)cli_fail(cli, "%s PATH; see ringfence %s --help",
		    cli->path_count == 0 ? "no" : "one more", c->name);
	else if (cli->path_count > c->paths_max)
		(void)cli_fail(cli, "\"%s\" is one too many; see ringfence %s --help",
		    cli->paths[c->paths_max], c->name);
	else if (cli->word_count > c->words_max)
		(void)cli_fail(cli,
		    c->words_max == 0
			? "nothing is taken behind --; see ringfence %s --help"
			: "too many words behind --; see ringfence %s --help",
		    c->name);
	else
		return true;
	return false;
}

bool
cli_parse(struct cli *cli, int argc, char **argv, int *out_exit)
{
	const char *short_options = cli->command->outputs != NULL ? ":ho:" : ":h";
	size_t words = words_behind_dashes(argc, argv);
	struct parser parser;
	int option;

	if (cli->command->args_size > 0)
		cli->args = arena_alloc(cli->arena, cli->command->args_size);
	*out_exit = CLI_ERROR;
	make_parser(cli->command, &parser);
	opterr = 0;
	while ((option = getopt_long(argc, argv, short_options, parser.longs, NULL)) !=
	       -1) {
		if (option == 'h') {
			if (print_help(cli))
				*out_exit = CLI_OK;
			return false;
		}
		if (!apply_option(cli, &parser, option, argv))
			return false;
	}
	take_arguments(cli, argc, argv, words);
	return counts_fit(cli);
}
