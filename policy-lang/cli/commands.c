/*
 * The built-in commands, and their help.
 */
#include "policy-lang/cli/cli.h"

/* In the order in which help shows them. */
const struct cli_command *const cli_commands[] = {
    &cmd_check,
    &cmd_can,
    &cmd_explain,
    &cmd_list,
    &cmd_test,
    &cmd_replay,
    &cmd_recommend,
    &cmd_diff,
    &cmd_compile,
    &cmd_graph,
    &cmd_schema,
    &cmd_fmt,
    &cmd_completion,
};

const size_t cli_command_count = ARRAY_LEN(cli_commands);

#define GATE_OPTIONS "--server --ca --output --help "

const struct cli_program cli_programs[] = {
    {"login", "sign in to a gate",
	GATE_OPTIONS "--user --password-file --ttl --kubeconfig --context --token-file",
	NULL, false},
    {"logout", "revoke the token of the login", GATE_OPTIONS, NULL, false},
    {"whoami", "say who the gate takes one for", GATE_OPTIONS "--token-file", NULL,
	false},
    {"token", "make, list, rotate and revoke tokens",
	GATE_OPTIONS "--user --password-file --name --ttl --scope --overlap "
		     "--service-account --token-file",
	"create list rotate revoke", false},
    {"service-account", "declare, list and remove identities of machines", GATE_OPTIONS,
	"create list remove", false},
    {"can-i", "may someone do something through the API server, and why",
	"--as --as-group --namespace --explain --help", NULL, true},
    {"audit", "verify, search and report the audit log",
	"--key --checkpoint --against --since --until --user --tenant --verb "
	"--resource "
	"--namespace --name --code --source --kind --stage --id --token --text --limit "
	"--no-index --output --proofs --ca --state --once --etcd-certificate "
	"--etcd-key --etcd-user --etcd-password --tls-certificate --tls-key --keep "
	"--help",
	"verify search show export check report copy", true},
};

const size_t cli_program_count = ARRAY_LEN(cli_programs);

const struct cli_command *
cli_command_find(struct str name)
{
	for (size_t i = 0; i < cli_command_count; i++) {
		if (str_is(name, cli_commands[i]->name))
			return cli_commands[i];
	}
	return NULL;
}

/* ---- help ---- */

#define HELP_COLUMN 39

/* "  --name ARG     what it does", the text in one column. */
static void
print_option(struct buf *out, const char *names, const char *arg, const char *help)
{
	size_t from = out->len;

	buf_printf(
	    out, "  %s%s%s", names, arg != NULL ? " " : "", arg != NULL ? arg : "");
	if (out->len - from >= HELP_COLUMN)
		buf_printf(out, "\n%*s", HELP_COLUMN, "");
	while (out->len - from < HELP_COLUMN)
		buf_add_char(out, ' ');
	buf_printf(out, "%s\n", help);
}

static void
print_outputs(struct buf *out, const char *const *outputs)
{
	struct buf list = {0};

	for (size_t i = 0; outputs[i] != NULL; i++)
		buf_printf(&list, "%s%s", i == 0 ? "" : ", ", outputs[i]);
	print_option(out, "-o, --output", "FORMAT", list.data);
	buf_free(&list);
}

void
cli_print_usage(struct buf *out)
{
	buf_add_cstr(out, "usage: ringfence COMMAND [options] PATH...\n\n");
	for (size_t i = 0; i < cli_command_count; i++)
		buf_printf(out, "  %-10s %s\n", cli_commands[i]->name,
		    cli_commands[i]->summary);
	buf_printf(
	    out, "  %-10s %s\n", "help", "explain a command, or a diagnostic's code");
	buf_printf(out, "  %-10s %s\n", "version", "print the version");
	buf_add_cstr(out, "\nFor the gate and its log:\n");
	for (size_t i = 0; i < cli_program_count; i++)
		buf_printf(
		    out, "  %-10s %s\n", cli_programs[i].name, cli_programs[i].summary);
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
	if (command->outputs != NULL)
		print_outputs(out, command->outputs);
	for (size_t i = 0; i < CLI_OPTION_GROUPS; i++) {
		const struct cli_option *o = command->options[i];

		for (; o != NULL && o->name != NULL; o++) {
			struct buf name = {0};

			buf_printf(&name, "--%s", o->name);
			print_option(out, name.data, o->arg, o->help);
			buf_free(&name);
		}
	}
	print_option(out, "-h, --help", NULL, "this text");
}
