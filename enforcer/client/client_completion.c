#include "enforcer/client/client_completion.h"

#include <stdio.h>
#include <string.h>

#include "enforcer/client/client_options.h"

/* Of the daemon itself. */
#define DAEMON_OPTIONS "--config --check --boot --remove --ready-fd --version --help"

static bool
has(size_t row, size_t command)
{
	return (client_options_all[row].commands & CLIENT_OF(command)) != 0;
}

static void
add_commands(struct buf *out)
{
	for (size_t i = 0; i < CLIENT_COMMANDS; i++)
		buf_printf(out, "%s%s", i > 0 ? " " : "", client_commands[i].name);
}

/* ---- bash ---- */

/* "flows --verdict" | ...: what a command's option takes need not be another's. */
static void
add_bash_pattern(struct buf *out, size_t row)
{
	const struct client_option *o = &client_options_all[row];
	const char *between = "\t";

	for (size_t c = 0; c < CLIENT_COMMANDS; c++) {
		if (!has(row, c))
			continue;
		buf_printf(
		    out, "%s'%s --%s'", between, client_commands[c].name, o->name);
		between = "|";
		if (o->letter != '\0')
			buf_printf(
			    out, "|'%s -%c'", client_commands[c].name, o->letter);
	}
}

static void
add_bash_values(struct buf *out, size_t row)
{
	const struct client_option *o = &client_options_all[row];

	add_bash_pattern(out, row);
	buf_add_cstr(out, ")");
	if (o->values != NULL && o->values[0] == '\0')
		buf_add_cstr(out, " mapfile -t COMPREPLY < <(compgen -f -- \"$cur\");");
	else if (o->values != NULL)
		buf_printf(out,
		    " mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\");",
		    o->values);
	buf_add_cstr(out, " return ;;\n");
}

static void
add_bash(struct buf *out)
{
	buf_add_cstr(out,
	    "# Completion of ringfence-enforcer for bash.\n"
	    "_ringfence_enforcer() {\n"
	    "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} "
	    "words=''\n"
	    "\tCOMPREPLY=()\n"
	    "\tcase \"${COMP_WORDS[1]} $prev\" in\n"
	    "\t-*' --config') mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); "
	    "return ;;\n");
	for (size_t i = 0; i < client_options_count; i++) {
		if (client_options_all[i].arg != NULL)
			add_bash_values(out, i);
	}
	buf_add_cstr(out, "\tesac\n"
			  "\t[ \"$COMP_CWORD\" -gt 1 ] || words='");
	add_commands(out);
	buf_add_cstr(out, " " DAEMON_OPTIONS "'\n"
			  "\tcase ${COMP_WORDS[1]} in\n");
	for (size_t c = 0; c < CLIENT_COMMANDS; c++) {
		buf_printf(out, "\t%s) words='--help", client_commands[c].name);
		for (size_t i = 0; i < client_options_count; i++) {
			if (has(i, c))
				buf_printf(out, " --%s", client_options_all[i].name);
		}
		buf_add_cstr(out, "' ;;\n");
	}
	buf_add_cstr(out,
	    "\t-*) words='" DAEMON_OPTIONS "' ;;\n"
	    "\tesac\n"
	    "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	    "}\n"
	    "complete -F _ringfence_enforcer ringfence-enforcer\n");
}

/* ---- zsh, fish ---- */

/* Texts of the table have no quotes; what zsh takes for its own is escaped. */
static void
add_text(struct buf *out, const char *text, const char *special)
{
	for (; *text != '\0'; text++) {
		if (strchr(special, *text) != NULL)
			buf_add_char(out, '\\');
		if (*text == '\'') /* ends what is quoted, and begins it again */
			buf_add_cstr(out, "'\\''");
		else
			buf_add_char(out, *text);
	}
}

static void
add_zsh_spec(struct buf *out, const struct client_option *o, bool letter)
{
	if (letter)
		buf_printf(out, "\t\t\t'*-%c[", o->letter);
	else
		buf_printf(out, "\t\t\t'*--%s%s[", o->name, o->arg != NULL ? "=" : "");
	add_text(out, o->help, "[]:\\");
	buf_add_char(out, ']');
	if (o->arg != NULL && o->values != NULL && o->values[0] == '\0')
		buf_add_cstr(out, ":file:_files");
	else if (o->arg != NULL && o->values != NULL)
		buf_printf(out, ":value:(%s)", o->values);
	else if (o->arg != NULL)
		buf_add_cstr(out, ":value: ");
	buf_add_cstr(out, "' \\\n");
}

static void
add_zsh_option(struct buf *out, const struct client_option *o)
{
	add_zsh_spec(out, o, false);
	if (o->letter != '\0')
		add_zsh_spec(out, o, true);
}

static void
add_zsh(struct buf *out)
{
	buf_add_cstr(out, "#compdef ringfence-enforcer\n"
			  "_ringfence_enforcer() {\n"
			  "\tlocal context state state_descr line\n"
			  "\tlocal -A opt_args\n"
			  "\t_arguments -C '1:command:(");
	add_commands(out);
	buf_add_cstr(out, " " DAEMON_OPTIONS ")' '*::argument:->rest'\n"
			  "\t[ \"$state\" = rest ] || return 0\n"
			  "\tcase $words[1] in\n");
	for (size_t c = 0; c < CLIENT_COMMANDS; c++) {
		buf_printf(out, "\t%s)\n\t\t_arguments \\\n", client_commands[c].name);
		for (size_t i = 0; i < client_options_count; i++) {
			if (has(i, c))
				add_zsh_option(out, &client_options_all[i]);
		}
		buf_add_cstr(out, "\t\t\t'*:end: ' ;;\n");
	}
	buf_add_cstr(out, "\tesac\n"
			  "}\n"
			  "if [ \"$funcstack[1]\" = _ringfence_enforcer ]; then\n"
			  "\t_ringfence_enforcer \"$@\"\n"
			  "else\n"
			  "\tcompdef _ringfence_enforcer ringfence-enforcer\n"
			  "fi\n");
}

static void
add_fish_option(struct buf *out, const struct client_option *o)
{
	buf_add_cstr(out, "complete -c ringfence-enforcer -n "
			  "'__fish_seen_subcommand_from");
	for (size_t c = 0; c < CLIENT_COMMANDS; c++) {
		if ((o->commands & CLIENT_OF(c)) != 0)
			buf_printf(out, " %s", client_commands[c].name);
	}
	buf_printf(out, "' -l %s", o->name);
	if (o->letter != '\0')
		buf_printf(out, " -s %c", o->letter);
	if (o->arg != NULL && o->values != NULL && o->values[0] == '\0')
		buf_add_cstr(out, " -r -F");
	else if (o->arg != NULL && o->values != NULL)
		buf_printf(out, " -x -a '%s'", o->values);
	else if (o->arg != NULL)
		buf_add_cstr(out, " -x");
	buf_add_cstr(out, " -d '");
	add_text(out, o->help, "\\");
	buf_add_cstr(out, "'\n");
}

static void
add_fish(struct buf *out)
{
	buf_add_cstr(out, "complete -c ringfence-enforcer -f\n");
	for (size_t c = 0; c < CLIENT_COMMANDS; c++) {
		buf_printf(out,
		    "complete -c ringfence-enforcer -n __fish_use_subcommand -a %s "
		    "-d '",
		    client_commands[c].name);
		add_text(out, client_commands[c].summary, "\\");
		buf_add_cstr(out, "'\n");
	}
	for (size_t i = 0; i < client_options_count; i++)
		add_fish_option(out, &client_options_all[i]);
}

int
client_completion_run(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*add)(struct buf *out);
	} shells[] = {{"bash", add_bash}, {"zsh", add_zsh}, {"fish", add_fish}};
	struct buf out = {0};
	bool ok;

	for (size_t i = 0; i < ARRAY_LEN(shells) && argc == 2; i++) {
		if (strcmp(shells[i].shell, argv[1]) != 0)
			continue;
		shells[i].add(&out);
		ok = fwrite(out.data, 1, out.len, stdout) == out.len &&
		     fflush(stdout) == 0;
		buf_free(&out);
		return ok ? 0 : EXIT_MISTAKE;
	}
	(void)fprintf(stderr, "ringfence-enforcer completion: for bash, zsh or fish\n");
	return EXIT_MISTAKE;
}
