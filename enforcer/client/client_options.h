/*
 * The client's commands and their options: one table, from which they are read, told by
 * --help, and completed.
 */
#ifndef ENFORCER_CLIENT_OPTIONS_H
#define ENFORCER_CLIENT_OPTIONS_H

#include "enforcer/client/client_filter.h"

#define EXIT_MISTAKE 2 /* of the client: there is no answer */

enum client_format {
	CLIENT_FORMAT_DEFAULT, /* text; of flows JSON, but on a terminal */
	CLIENT_FORMAT_TEXT,
	CLIENT_FORMAT_JSON,
	CLIENT_FORMAT_YAML,
};

/* In the order of client_commands. */
enum client_command_id {
	CLIENT_STATUS,
	CLIENT_RULES,
	CLIENT_FLOWS,
	CLIENT_TOP,
	CLIENT_NAMES,
	CLIENT_DIFF,
	CLIENT_TRACE,
	CLIENT_EXPLAIN,
	CLIENT_COMMANDS,
};

struct client_command {
	const char *name;
	const char *words; /* what it takes beside options, for people */
	const char *summary;
	int word_count;
};

extern const struct client_command client_commands[CLIENT_COMMANDS];

struct client_options {
	enum client_command_id command;
	const char *control, *config;
	enum client_format format;
	bool follow;
	bool has_count;
	uint64_t count;
	unsigned interval_s, wait_s, timeout_s;
	struct client_filter filter;
	char **words;
};

#define CLIENT_OF(command) (1u << (command))

struct client_option {
	const char *name;
	char letter;     /* '\0': none */
	const char *arg; /* NULL: it takes none */
	const char *help;
	unsigned commands; /* CLIENT_OF each that has it */
	/* NULL, or what is wrong with the value. */
	const char *(*take)(struct client_options *c, const char *value);
	bool filters;
	const char *values; /* "text json"; "": files; NULL: what no shell knows */
};

extern const struct client_option client_options_all[];
extern const size_t client_options_count;

/* Reads what follows the command's name, argv[0]. 0; -1: --help, which has been printed; 2:
 * a mistake, which has been told. */
MUST_CHECK int client_options_parse(
    struct client_options *out, enum client_command_id command, int argc, char **argv);
/* Tells a mistake, or why there is no answer: "ringfence-enforcer COMMAND: `what`: `text`",
 * without the last if `text` is NULL. Returns the exit status for it, 2. */
int client_mistake(const struct client_options *c, const char *what, const char *text);
/* All commands, and all options. */
void client_options_help(void);

#endif
