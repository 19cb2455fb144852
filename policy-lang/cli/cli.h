/*
 * What the built-in commands of `ringfence` share: options, loading, printing. A command
 * is a line in commands.c's table and a function; everything that can go wrong in input
 * has been reported before its function runs.
 */
#ifndef POLICY_LANG_CLI_CLI_H
#define POLICY_LANG_CLI_CLI_H

#include "common/bundle.h"
#include "policy-lang/model.h"

/* Exit codes; `can` answers with the first two, `check --strict` with the second. */
enum {
	CLI_OK = 0,
	CLI_NO = 1,
	CLI_ERROR = 2,
};

/* Options that a command takes, besides --help. */
enum cli_option {
	CLI_OPT_MODEL =
	    1 << 0, /* --cluster-default, --ip-blocks-match-pods, --cluster */
	CLI_OPT_OUTPUT = 1 << 1,
	CLI_OPT_FAMILY = 1 << 2,
	CLI_OPT_BATCH = 1 << 3,
	CLI_OPT_STRICT = 1 << 4,
	CLI_OPT_NODES = 1 << 5,
	CLI_OPT_COMPILE =
	    1 << 6, /* --node, --workload-networks, --log-group, --reject */
};

struct cli;

struct cli_command {
	const char *name;
	const char *summary; /* one line, for the list of commands */
	const char *usage;   /* what follows "ringfence NAME" */
	const char *details; /* further lines of its help, or NULL */
	unsigned options;    /* enum cli_option */
	/* Names that -o takes, NULL-terminated; the first is the default. */
	const char *const *outputs;
	int (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* One run of one command. */
struct cli {
	const struct cli_command *command;
	struct arena *arena;
	const char **paths;
	size_t path_count;
	const char **words; /* behind "--" */
	size_t word_count;

	struct model_options model_options;
	size_t output; /* index in command->outputs */
	unsigned family;
	const char *batch;
	bool strict;
	bool nodes;
	const char *node;
	struct ip_prefix *workload_networks;
	size_t workload_network_count;
	uint16_t log_group;
	bool reject;

	struct bundle bundle;
	struct diag_list diags;
	struct model *model;
};

/* "ringfence CMD: message" on standard error; returns CLI_ERROR. */
int cli_fail(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Reads options and paths of cli->command from its own argv (argv[0] is its name).
 * Returns CLI_OK to go on; otherwise *out_exit is how to end (help, or a mistake). */
MUST_CHECK bool cli_parse(struct cli *cli, int argc, char **argv, int *out_exit);

/* Loads the paths into cli->model. False: there were errors, and they have been printed;
 * a model with errors is not answered from. */
MUST_CHECK bool cli_load(struct cli *cli);

/* Writes to standard output and empties the buffer. False, with a message, when it
 * cannot be written. */
MUST_CHECK bool cli_write(const struct cli *cli, struct buf *text);

/* The command of that name, or NULL. */
MUST_CHECK const struct cli_command *cli_command_find(struct str name);
void cli_print_usage(struct buf *out);
void cli_print_help(struct buf *out, const struct cli_command *command);

int cmd_check(struct cli *cli);
int cmd_can(struct cli *cli);
int cmd_explain(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_compile(struct cli *cli);

#endif
