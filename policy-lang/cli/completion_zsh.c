/*
 * For zsh, by _arguments: each option with what it does.
 */
#include "policy-lang/cli/completion.h"

/* A specification is in single quotes; brackets and colons are its own syntax. */
static void
add_spec_text(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
			buf_add_char(out, '\\');
		if (*text == '\'')
			buf_add_cstr(out, "'\\''");
		else
			buf_add_char(out, *text);
	}
}

static void
add_argument(struct buf *out, const struct completion_option *o)
{
	if (o->kind == COMPLETE_WORDS)
		buf_printf(out, ":value:(%s)", o->words);
	else if (o->kind == COMPLETE_FILES)
		buf_add_cstr(out, ":file:_files");
	else
		buf_add_cstr(out, ":value: ");
}

static void
print_option(struct buf *out, const struct completion_option *o)
{
	buf_add_cstr(out, "\t\t\t");
	if (o->letter != '\0')
		buf_printf(out, "'(-%c --%s)'{-%c,--%s%s}'[", o->letter, o->name,
		    o->letter, o->name, o->takes_arg ? "=" : "");
	else
		buf_printf(out, "'*--%s%s[", o->name, o->takes_arg ? "=" : "");
	add_spec_text(out, o->help);
	buf_add_char(out, ']');
	if (o->takes_arg)
		add_argument(out, o);
	buf_add_cstr(out, "' \\\n");
}

static void
print_command(struct arena *arena, struct buf *out, const struct cli_command *command)
{
	const char *words = completion_words(arena, command);

	buf_printf(out, "\t\t%s)\n\t\t\t_arguments \\\n", command->name);
	for (size_t i = 0; i < completion_count(command); i++) {
		struct completion_option o = completion_get(arena, command, i);

		print_option(out, &o);
	}
	if (words != NULL)
		buf_printf(out, "\t\t\t'*:word:(%s)' ;;\n", words);
	else
		buf_add_cstr(out, "\t\t\t'*:path:_ringfence_paths' ;;\n");
}

static void
print_program(struct buf *out, const struct cli_program *p)
{
	struct str rest = str_from(p->options);

	buf_printf(out, "\t\t%s)\n\t\t\t_arguments \\\n", p->name);
	while (rest.len > 0) {
		struct str option = str_split(&rest, ' ');

		buf_printf(out, "\t\t\t'*%.*s' \\\n", STR_ARG(option));
	}
	if (p->words != NULL)
		buf_printf(out, "\t\t\t'1:word:(%s)' \\\n", p->words);
	buf_printf(out, "\t\t\t'*:argument:%s' ;;\n",
	    p->takes_files ? "_ringfence_paths" : " ");
}

static void
print_summary(struct buf *out, const char *name, const char *summary)
{
	buf_printf(out, "\t\t'%s:", name);
	add_spec_text(out, summary);
	buf_add_cstr(out, "'\n");
}

void
completion_print_zsh(struct arena *arena, struct buf *out)
{
	buf_add_cstr(out,
	    "#compdef ringfence\n"
	    "# Completion of ringfence for zsh: source <(ringfence completion zsh),\n"
	    "# or as _ringfence in a directory of $fpath.\n"
	    "\n"
	    "# Behind \"--\" there are no paths.\n"
	    "_ringfence_paths() {\n"
	    "\tlocal -i at=${words[(i)--]}\n"
	    "\t(( at < CURRENT )) || _files\n"
	    "}\n"
	    "\n"
	    "_ringfence() {\n"
	    "\tlocal context state state_descr line\n"
	    "\tlocal -A opt_args\n"
	    "\tlocal -a commands\n"
	    "\n"
	    "\tcommands=(\n");
	print_summary(out, "help", "explain a command");
	print_summary(out, "version", "print the version");
	for (size_t i = 0; i < cli_command_count; i++)
		print_summary(out, cli_commands[i]->name, cli_commands[i]->summary);
	for (size_t i = 0; i < cli_program_count; i++)
		print_summary(out, cli_programs[i].name, cli_programs[i].summary);
	buf_add_cstr(out, "\t)\n"
			  "\t_arguments -C '1:command:->command' '*::argument:->rest'\n"
			  "\tcase $state in\n"
			  "\tcommand) _describe command commands ;;\n"
			  "\trest)\n"
			  "\t\tcase $words[1] in\n"
			  "\t\thelp) _describe command commands ;;\n");
	for (size_t i = 0; i < cli_command_count; i++)
		print_command(arena, out, cli_commands[i]);
	for (size_t i = 0; i < cli_program_count; i++)
		print_program(out, &cli_programs[i]);
	buf_add_cstr(out, "\t\tesac ;;\n"
			  "\tesac\n"
			  "}\n"
			  "\n"
			  "if [ \"$funcstack[1]\" = _ringfence ]; then\n"
			  "\t_ringfence \"$@\"\n"
			  "else\n"
			  "\tcompdef _ringfence ringfence\n"
			  "fi\n");
}
