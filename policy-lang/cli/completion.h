/*
 * Shell completion, made from the tables of the commands.
 */
#ifndef POLICY_LANG_CLI_COMPLETION_H
#define POLICY_LANG_CLI_COMPLETION_H

#include "policy-lang/cli/cli.h"

/* What an option's argument, or a command's, is completed with. */
enum completion_kind {
	COMPLETE_WORDS, /* these */
	COMPLETE_FILES,
	COMPLETE_NOTHING, /* names that no shell knows */
};

/* An option of a command, -o and --help among them. */
struct completion_option {
	char letter;      /* '\0': none */
	const char *name; /* without dashes */
	const char *help;
	enum completion_kind kind; /* of its argument, if it takes one */
	bool takes_arg;
	const char *words; /* "allow deny" */
};

/* The number of options of a command, and one of them; texts live in the arena. */
MUST_CHECK size_t completion_count(const struct cli_command *command);
MUST_CHECK struct completion_option completion_get(
    struct arena *arena, const struct cli_command *command, size_t i);

/* Words that a command takes instead of files, as "a b c"; NULL: it takes files. */
MUST_CHECK const char *completion_words(
    struct arena *arena, const struct cli_command *command);

void completion_print_bash(struct arena *arena, struct buf *out);
void completion_print_zsh(struct arena *arena, struct buf *out);
void completion_print_fish(struct arena *arena, struct buf *out);

#endif
