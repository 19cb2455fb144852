/*
 * What the built-in commands of `ringfence` share: options, loading, printing. A command
 * is a file that defines its `struct cli_command`, with its options, and a line in
 * commands.c; everything that can go wrong in input has been reported before its function
 * runs. Help, shell completion and the tests of the manual page read the same tables.
 */
#ifndef POLICY_LANG_CLI_CLI_H
#define POLICY_LANG_CLI_CLI_H

#include "common/bundle.h"
#include "policy-lang/model/model.h"
#include "policy-lang/model/nearest.h"

/* Exit codes; commands that answer yes or no use the first two. */
enum {
	CLI_OK = 0,
	CLI_NO = 1,
	CLI_ERROR = 2,
};

struct cli;

/* A long option. */
struct cli_option {
	const char *name; /* without dashes */
	/* What it takes, as help shows it: "FILE", "allow|deny"; NULL: nothing. Words
	 * joined by | are all that it takes: they are checked, and completed. */
	const char *arg;
	const char *help; /* one line */
	/* `arg` is NULL for options that take nothing. False: wrong, and reported. */
	bool (*set)(struct cli *cli, const char *arg);
};

/* Options that several commands take; tables end with an empty option. */
extern const struct cli_option cli_model_options[]; /* --cluster-default and so on */
extern const struct cli_option cli_family_options[];
extern const struct cli_option cli_learnt_options[]; /* --learnt */

#define CLI_OPTION_GROUPS 4
#define CLI_PATHS_ANY     SIZE_MAX

struct cli_command {
	const char *name;
	const char *summary; /* one line, for the list of commands */
	const char *usage;   /* what follows "ringfence NAME" */
	const char *details; /* further lines of its help, or NULL */
	const struct cli_option *options[CLI_OPTION_GROUPS];
	/* Names that -o takes, NULL-terminated; the first is the default. */
	const char *const *outputs;
	size_t paths_min, paths_max; /* how many PATHs; CLI_PATHS_ANY: no limit */
	/* For a command that takes words where others take PATHs: appends them, each
	 * followed by a space; for completion. */
	void (*add_words)(struct buf *out);
	/* How many words behind "--" it takes at most. */
	size_t words_max;
	size_t args_size; /* of the command's own struct, zeroed at cli->args */
	int (*run)(struct cli *cli);
};

/* Each in the file of its name. */
extern const struct cli_command cmd_can;
extern const struct cli_command cmd_check;
extern const struct cli_command cmd_compile;
extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_diff;
extern const struct cli_command cmd_explain;
extern const struct cli_command cmd_fmt;
extern const struct cli_command cmd_graph;
extern const struct cli_command cmd_list;
extern const struct cli_command cmd_schema;
extern const struct cli_command cmd_recommend;
extern const struct cli_command cmd_replay;
extern const struct cli_command cmd_test;

/* Commands that are programs of their own, ringfence-NAME: as much of them as help and
 * completion tell. */
struct cli_program {
	const char *name, *summary;
	const char *options; /* "--server --ca" */
	const char *words;   /* what may come first, as "create list"; NULL: nothing */
	bool takes_files;
};

extern const struct cli_program cli_programs[];
extern const size_t cli_program_count;

extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;

/* One run of one command. */
struct cli {
	const struct cli_command *command;
	struct arena *arena;
	const char **paths;
	size_t path_count;
	const char **words; /* behind "--" */
	size_t word_count;
	void *args; /* the command's own */

	struct model_options model_options;
	size_t output;   /* index in command->outputs */
	unsigned family; /* 4 or 6; 0: both */

	const char *learnt_file; /* --learnt; NULL */
	struct learnt *learnt;   /* what it says, in model_options, too */

	struct bundle bundle;
	struct diag_list diags;
	struct model *model;
};

/* "ringfence CMD: message" on standard error; returns CLI_ERROR. */
int cli_fail(const struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Reads options and paths of cli->command from its own argv (argv[0] is its name).
 * Returns true to go on; otherwise *out_exit is how to end (help, or a mistake). */
MUST_CHECK bool cli_parse(struct cli *cli, int argc, char **argv, int *out_exit);

/* Loads the paths into cli->model. False: there were errors, and they have been printed;
 * a model with errors is not answered from. */
MUST_CHECK bool cli_load(struct cli *cli);

/* Reads what --learnt names; for a command that may learn more there is a table without
 * it, too. False: reported. */
MUST_CHECK bool cli_read_learnt(struct cli *cli, bool always);

/* The same for some paths alone, into a model of their own; for commands that compare.
 * The bundle must live as long as the model. */
MUST_CHECK bool cli_load_paths(struct cli *cli, const char *const *paths, size_t count,
    struct bundle *out_bundle, struct model **out_model);

/* Writes to standard output and empties the buffer. False, with a message, when it
 * cannot be written. */
MUST_CHECK bool cli_write(const struct cli *cli, struct buf *text);

/* The command of that name, or NULL. */
MUST_CHECK const struct cli_command *cli_command_find(struct str name);
void cli_print_usage(struct buf *out);
void cli_print_help(struct buf *out, const struct cli_command *command);

/* What `ringfence help codes` and `ringfence help CODE` print; false: no such code. */
void cli_print_codes(struct buf *out);
MUST_CHECK bool cli_print_code(struct buf *out, const char *code);
/* Tells a search of all codes. */
void cli_consider_codes(struct nearest *n);
/* Appends every code, each followed by a space; for completion. */
void cli_add_codes(struct buf *out);

#endif
