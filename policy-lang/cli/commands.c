/*
 * The built-in commands and their help.
 */
#include "policy-lang/cli/cli.h"

static const char *const check_outputs[] = {"text", "json", "sarif", NULL};
static const char *const explain_outputs[] = {"text", "json", NULL};
static const char *const compile_outputs[] = {"nft", "json", NULL};
static const char *const list_outputs[] = {"txt", "json", "csv", "md", "dot", NULL};

#define QUERY                                                                          \
	"SRC and DST are NAMESPACE/NAME (a pod's own name or its owner's), "           \
	"/PATH/NAME\n"                                                                 \
	"in the tree, either with [Kind] behind it as `list` prints it, node/NAME, "   \
	"or an\n"                                                                      \
	"address. PORT/PROTO is 443/tcp, 53/udp, 9000/sctp, icmp or icmpv6.\n"

const struct cli_command cli_commands[] = {
    {
	.name = "check",
	.summary = "read policy and report every mistake",
	.usage = "[options] PATH...",
	.details = "Exit status: 0 clean, 1 warnings (with --strict), 2 errors.\n",
	.options = CLI_OPT_MODEL | CLI_OPT_OUTPUT | CLI_OPT_STRICT,
	.outputs = check_outputs,
	.run = cmd_check,
    },
    {
	.name = "can",
	.summary = "tell whether a connection is allowed",
	.usage = "[options] PATH... -- SRC DST PORT/PROTO\n"
		 "       ringfence can [options] PATH... --batch FILE|-",
	.details = QUERY
	"Prints allow or deny. Exit status: 0 allow, 1 deny, 2 error. With --batch: a\n"
	"line for each line; `error` and exit status 2 for what cannot be answered.\n",
	.options = CLI_OPT_MODEL | CLI_OPT_FAMILY | CLI_OPT_BATCH,
	.run = cmd_can,
    },
    {
	.name = "explain",
	.summary = "tell who decides a connection, and where",
	.usage = "[options] PATH... -- SRC DST PORT/PROTO",
	.details = QUERY "Exit status: 0 explained (whatever the verdict), 2 error.\n",
	.options = CLI_OPT_MODEL | CLI_OPT_OUTPUT | CLI_OPT_FAMILY,
	.outputs = explain_outputs,
	.run = cmd_explain,
    },
    {
	.name = "list",
	.summary = "print every allowed connection",
	.usage = "[options] PATH...",
	.options = CLI_OPT_MODEL | CLI_OPT_OUTPUT | CLI_OPT_FAMILY | CLI_OPT_NODES,
	.outputs = list_outputs,
	.run = cmd_list,
    },
    {
	.name = "compile",
	.summary = "print a node's whole program for the kernel",
	.usage = "[options] PATH... --node NAME",
	.details =
	    "The text is what `nft -f` loads; it replaces a table of that name.\n",
	.options = CLI_OPT_MODEL | CLI_OPT_OUTPUT | CLI_OPT_COMPILE,
	.outputs = compile_outputs,
	.run = cmd_compile,
    },
};

const size_t cli_command_count = ARRAY_LEN(cli_commands);

const struct cli_command *
cli_command_find(struct str name)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		if (str_is(name, cli_commands[i].name))
			return &cli_commands[i];
	}
	return NULL;
}

/* ---- help ---- */

static const struct {
	enum cli_option option;
	const char *text;
} option_help[] = {
    {CLI_OPT_MODEL, "  --cluster-default allow|deny         what holds where nothing "
		    "decides (allow)\n"
		    "  --ip-blocks-match-pods always|never  NetworkPolicy ipBlock and "
		    "pods (always)\n"
		    "  --cluster NAME=PATH                  documents below PATH are "
		    "of cluster NAME\n"},
    {CLI_OPT_FAMILY,
	"  --family 4|6                         one address family only\n"},
    {CLI_OPT_BATCH,
	"  --batch FILE                         a query a line; - is standard input\n"},
    {CLI_OPT_STRICT, "  --strict                             exit status 1 when there "
		     "are warnings\n"},
    {CLI_OPT_NODES, "  --nodes                              nodes as ends, too\n"},
    {CLI_OPT_COMPILE,
	"  --node NAME                          the node whose program it is\n"
	"  --workload-networks CIDR[,CIDR...]   addresses that are workloads'\n"
	"  --log-group N                        NFLOG group of denied packets (100)\n"
	"  --reject                             reject denied packets, do not drop "
	"them\n"},
};

void
cli_print_usage(struct buf *out)
{
	buf_add_cstr(out, "usage: ringfence COMMAND [options] PATH...\n\n");
	for (size_t i = 0; i < cli_command_count; i++)
		buf_printf(
		    out, "  %-10s %s\n", cli_commands[i].name, cli_commands[i].summary);
	buf_printf(out, "  %-10s %s\n", "help", "explain a command");
	buf_printf(out, "  %-10s %s\n", "version", "print the version");
	buf_add_cstr(out,
	    "\nPATH is a file, a directory (every *.yaml, *.yml and *.json below it), "
	    "or -\n"
	    "for standard input. `ringfence COMMAND --help` tells more. Any other "
	    "COMMAND\n"
	    "is the program ringfence-COMMAND beside this one or in PATH.\n");
}

void
cli_print_help(struct buf *out, const struct cli_command *command)
{
	buf_printf(out, "usage: ringfence %s %s\n\n%s\n", command->name, command->usage,
	    command->summary);
	if (command->details != NULL)
		buf_printf(out, "\n%s", command->details);
	buf_add_cstr(out, "\noptions:\n");
	if (command->outputs != NULL) {
		buf_add_cstr(out, "  -o, --output FORMAT                  ");
		for (size_t i = 0; command->outputs[i] != NULL; i++)
			buf_printf(
			    out, "%s%s", i == 0 ? "" : ", ", command->outputs[i]);
		buf_add_char(out, '\n');
	}
	for (size_t i = 0; i < ARRAY_LEN(option_help); i++) {
		if ((command->options & option_help[i].option) != 0)
			buf_add_cstr(out, option_help[i].text);
	}
	buf_add_cstr(out, "  -h, --help                           this text\n");
}
