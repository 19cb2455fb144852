/*
 * For fish: one line for each command and each option.
 */
#include "policy-lang/cli/completion.h"

#include <string.h>

/* In single quotes fish knows two escapes. */
static void
add_quoted(struct buf *out, const char *text)
{
	buf_add_char(out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
	buf_add_char(out, '\'');
}

static void
print_name(struct buf *out, const char *name, const char *summary)
{
	buf_printf(
	    out, "complete -c ringfence -n __fish_use_subcommand -a %s -d ", name);
	add_quoted(out, summary);
	buf_add_cstr(out, "\n"
			  "complete -c ringfence -n '__fish_seen_subcommand_from help' "
			  "-a ");
	buf_printf(out, "%s -d ", name);
	add_quoted(out, summary);
	buf_add_char(out, '\n');
}

static void
print_option(struct buf *out, const struct cli_command *command,
    const struct completion_option *o)
{
	buf_printf(out, "complete -c ringfence -n '__ringfence_is %s' -l %s",
	    command->name, o->name);
	if (o->letter != '\0')
		buf_printf(out, " -s %c", o->letter);
	if (o->takes_arg && o->kind == COMPLETE_WORDS)
		buf_printf(out, " -x -a '%s'", o->words);
	else if (o->takes_arg)
		buf_add_cstr(out, o->kind == COMPLETE_FILES ? " -r -F" : " -x");
	buf_add_cstr(out, " -d ");
	add_quoted(out, o->help);
	buf_add_char(out, '\n');
}

static void
print_command(struct arena *arena, struct buf *out, const struct cli_command *command)
{
	const char *words = completion_words(arena, command);

	for (size_t i = 0; i < completion_count(command); i++) {
		struct completion_option o = completion_get(arena, command, i);

		print_option(out, command, &o);
	}
	buf_printf(out, "complete -c ringfence -n '__ringfence_is %s' ", command->name);
	if (words != NULL)
		buf_printf(out, "-a '%s'\n", words);
	else
		buf_add_cstr(out, "-F\n");
}

static void
print_program(struct buf *out, const struct cli_program *p)
{
	struct str rest = str_from(p->options);

	while (rest.len > 0) {
		struct str option = str_split(&rest, ' ');

		option = str_slice(option, strlen("--"), option.len);
		buf_printf(out,
		    "complete -c ringfence -n '__ringfence_is %s' -l %.*s\n", p->name,
		    STR_ARG(option));
	}
	if (p->words != NULL)
		buf_printf(out,
		    "complete -c ringfence -n '__ringfence_is %s' -a '%s'\n", p->name,
		    p->words);
	if (p->takes_files)
		buf_printf(
		    out, "complete -c ringfence -n '__ringfence_is %s' -F\n", p->name);
}

void
completion_print_fish(struct arena *arena, struct buf *out)
{
	buf_add_cstr(out,
	    "# Completion of ringfence for fish: ringfence completion fish | source\n"
	    "\n"
	    "# The first word is the command, and nothing after \"--\" is its "
	    "business.\n"
	    "function __ringfence_is\n"
	    "\tset -l words (commandline -opc)\n"
	    "\ttest (count $words) -gt 1; and test $words[2] = $argv[1]\n"
	    "\tand not contains -- -- $words\n"
	    "end\n"
	    "\n");
	buf_add_cstr(out, "complete -c ringfence -f\n");
	print_name(out, "help", "explain a command");
	print_name(out, "version", "print the version");
	for (size_t i = 0; i < cli_command_count; i++)
		print_name(out, cli_commands[i]->name, cli_commands[i]->summary);
	for (size_t i = 0; i < cli_program_count; i++)
		print_name(out, cli_programs[i].name, cli_programs[i].summary);
	for (size_t i = 0; i < cli_command_count; i++)
		print_command(arena, out, cli_commands[i]);
	for (size_t i = 0; i < cli_program_count; i++)
		print_program(out, &cli_programs[i]);
}
