/*
 * For bash, without the help of the package bash-completion. Bash splits words at "=",
 * so that --option=value comes as three.
 */
#include "policy-lang/cli/completion.h"

static void
print_commands(struct buf *out)
{
	buf_add_cstr(out, "help version");
	for (size_t i = 0; i < cli_command_count; i++)
		buf_printf(out, " %s", cli_commands[i]->name);
	for (size_t i = 0; i < cli_program_count; i++)
		buf_printf(out, " %s", cli_programs[i].name);
}

/* The line of a case: after this option of this command, that. */
static void
print_argument(struct buf *out, const struct cli_command *command,
    const struct completion_option *o)
{
	buf_printf(out, "\t'%s --%s'", command->name, o->name);
	if (o->letter != '\0')
		buf_printf(out, "|'%s -%c'", command->name, o->letter);
	buf_add_char(out, ')');
	if (o->kind == COMPLETE_WORDS)
		buf_printf(out, " _ringfence_words '%s';", o->words);
	else if (o->kind == COMPLETE_FILES)
		buf_add_cstr(out, " _ringfence_files;");
	buf_add_cstr(out, " return ;;\n");
}

static void
print_arguments(struct arena *arena, struct buf *out, const struct cli_command *command)
{
	for (size_t i = 0; i < completion_count(command); i++) {
		struct completion_option o = completion_get(arena, command, i);

		if (o.takes_arg)
			print_argument(out, command, &o);
	}
}

static void
print_options(struct arena *arena, struct buf *out, const struct cli_command *command)
{
	const char *words = completion_words(arena, command);

	buf_printf(out, "\t%s)\n\t\toptions='", command->name);
	for (size_t i = 0; i < completion_count(command); i++) {
		struct completion_option o = completion_get(arena, command, i);

		buf_printf(out, "%s--%s", i > 0 ? " " : "", o.name);
		if (o.letter != '\0')
			buf_printf(out, " -%c", o.letter);
	}
	buf_add_cstr(out, "'\n");
	if (words != NULL)
		buf_printf(out, "\t\twords='%s' ;;\n", words);
	else
		buf_add_cstr(out, "\t\tfiles=1 ;;\n");
}

static void
print_program(struct buf *out, const struct cli_program *p)
{
	buf_printf(out, "\t%s)\n\t\toptions='%s'\n", p->name, p->options);
	if (p->takes_files)
		buf_add_cstr(out, "\t\tfiles=1\n");
	if (p->words != NULL)
		buf_printf(out, "\t\t[ $COMP_CWORD -gt 2 ] || words='%s'\n", p->words);
	buf_add_cstr(out, "\t\t;;\n");
}

static const char start[] =
    "# Completion of ringfence for bash: source <(ringfence completion bash)\n"
    "\n"
    "_ringfence_words() {\n"
    "\tmapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
    "}\n"
    "\n"
    "_ringfence_files() {\n"
    "\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "\tcompopt -o filenames 2>/dev/null\n"
    "}\n"
    "\n"
    "_ringfence() {\n"
    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "\tlocal command='' options='' words='' files='' i\n"
    "\n"
    "\tCOMPREPLY=()\n"
    "\tif [ \"$cur\" = = ]; then\n"
    "\t\tcur=''\n"
    "\telif [ \"$prev\" = = ]; then\n"
    "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "\tfi\n"
    "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
    "\t\t[ \"${COMP_WORDS[i]}\" != -- ] || return 0\n"
    "\t\t[ -n \"$command\" ] || command=${COMP_WORDS[i]}\n"
    "\tdone\n"
    "\tcase \"$command $prev\" in\n";

static const char end[] = "\tesac\n"
			  "\tcase $cur in\n"
			  "\t-*) _ringfence_words \"$options\" ;;\n"
			  "\t*) [ -z \"$files\" ] || _ringfence_files\n"
			  "\t\t[ -z \"$words\" ] || _ringfence_words \"$words\" ;;\n"
			  "\tesac\n"
			  "}\n"
			  "\n"
			  "complete -F _ringfence ringfence\n";

void
completion_print_bash(struct arena *arena, struct buf *out)
{
	buf_add_cstr(out, start);
	for (size_t i = 0; i < cli_command_count; i++)
		print_arguments(arena, out, cli_commands[i]);
	buf_add_cstr(out, "\tesac\n\tcase $command in\n\t'') words='");
	print_commands(out);
	buf_add_cstr(out, "' ;;\n\thelp) words='");
	print_commands(out);
	buf_add_cstr(out, "' ;;\n");
	for (size_t i = 0; i < cli_command_count; i++)
		print_options(arena, out, cli_commands[i]);
	for (size_t i = 0; i < cli_program_count; i++)
		print_program(out, &cli_programs[i]);
	buf_add_cstr(out, end);
}
