/*
 * `ringfence COMMAND`: a built-in command, or, as git does it, the program
 * ringfence-COMMAND.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/model/fail_safe.h"
#include "policy-lang/model/learnt.h"

/* ---- commands that are programs of their own ---- */

/* Nothing that could lead out of a directory, and no option. */
static bool
is_command_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(c == '-' && i > 0)))
			return false;
	}
	return name.len > 0;
}

/* The directory of this program; NULL if it cannot be told. */
static const char *
own_directory(struct arena *arena)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path));

	if (len <= 0 || (size_t)len == sizeof(path))
		return NULL;
	while (len > 0 && path[len - 1] != '/')
		len--;
	return arena_strndup(arena, path, (size_t)len);
}

/* Becomes ringfence-NAME; returns if there is none. */
static void
become_program(struct arena *arena, char **argv)
{
	const char *directory = own_directory(arena);
	char *program = arena_printf(arena, "ringfence-%s", argv[0]);
	char *name = argv[0];

	argv[0] = program;
	if (directory != NULL)
		(void)execv(arena_printf(arena, "%s%s", directory, program), argv);
	(void)execvp(program, argv); /* both return only when they fail */
	argv[0] = name;
}

static void
consider_commands(struct nearest *n)
{
	for (size_t i = 0; i < cli_command_count; i++)
		nearest_consider(n, str_from(cli_commands[i]->name));
	for (size_t i = 0; i < cli_program_count; i++)
		nearest_consider(n, str_from(cli_programs[i].name));
	nearest_consider(n, STR("help"));
	nearest_consider(n, STR("version"));
}

/* `nearest` NULL: nothing is near; the name itself: a program that is not there. */
static int
unknown(const char *what, const char *name, const char *nearest, const char *see)
{
	(void)fprintf(stderr, "ringfence: no %s \"%s\"; ", what, name);
	if (nearest == NULL)
		(void)fprintf(stderr, "see %s\n", see);
	else if (strcmp(nearest, name) == 0)
		(void)fprintf(stderr,
		    "ringfence-%s is neither beside this program nor in PATH\n", name);
	else
		(void)fprintf(stderr, "did you mean \"%s\"?\n", nearest);
	return CLI_ERROR;
}

static int
unknown_command(const char *name)
{
	struct nearest n = nearest_to(str_from(name));

	consider_commands(&n);
	return unknown("command", name, n.best.ptr, "ringfence help");
}

/* ---- built-in ones ---- */

static int
print_text(struct buf *text)
{
	bool ok = fwrite(text->data, 1, text->len, stdout) == text->len;

	ok = fflush(stdout) == 0 && ok;
	buf_free(text);
	if (!ok)
		(void)fprintf(
		    stderr, "ringfence: standard output: cannot be written\n");
	return ok ? CLI_OK : CLI_ERROR;
}

/* `name` is neither a command nor a code. */
static int
unknown_topic(const char *name)
{
	struct nearest n = nearest_to(str_from(name));

	cli_consider_codes(&n);
	consider_commands(&n);
	return unknown("command and no code", name, n.best.ptr,
	    "ringfence help and ringfence help codes");
}

static int
run_help(struct arena *arena, int argc, char **argv)
{
	const struct cli_command *command;
	struct buf text = {0};
	char *other[] = {argc > 1 ? argv[1] : NULL, NULL, NULL};
	char help[] = "--help";

	if (argc < 2 || strcmp(argv[1], "help") == 0 ||
	    strcmp(argv[1], "version") == 0) {
		cli_print_usage(&text); /* tells all that there is to these two */
		return print_text(&text);
	}
	command = cli_command_find(str_from(argv[1]));
	if (command != NULL) {
		cli_print_help(&text, command);
	} else if (strcmp(argv[1], "codes") == 0) {
		cli_print_codes(&text);
	} else if (!cli_print_code(&text, argv[1])) {
		other[1] = help;
		if (is_command_name(str_from(argv[1])))
			become_program(arena, other);
		return unknown_topic(argv[1]);
	}
	return print_text(&text);
}

static int
run_version(struct arena *arena UNUSED, int argc UNUSED, char **argv UNUSED)
{
	struct buf text = {0};

	buf_add_cstr(&text, "ringfence " RINGFENCE_VERSION "\n");
	return print_text(&text);
}

static const struct {
	const char *name;
	int (*run)(struct arena *arena, int argc, char **argv);
} specials[] = {
    {"help", run_help},
    {"--help", run_help},
    {"-h", run_help},
    {"version", run_version},
    {"--version", run_version},
};

static int
run_command(
    struct arena *arena, const struct cli_command *command, int argc, char **argv)
{
	struct cli cli = {.command = command,
	    .arena = arena,
	    .model_options = {.fail_safe = fail_safe_default()}};
	int status;

	diag_list_init(&cli.diags, arena);
	if (!cli_parse(&cli, argc, argv, &status))
		return status;
	status = command->run(&cli);
	learnt_free(cli.learnt);
	return status;
}

static int
dispatch(struct arena *arena, int argc, char **argv)
{
	const struct cli_command *command = cli_command_find(str_from(argv[0]));

	if (command != NULL)
		return run_command(arena, command, argc, argv);
	for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
		if (strcmp(argv[0], specials[i].name) == 0)
			return specials[i].run(arena, argc, argv);
	}
	if (is_command_name(str_from(argv[0])))
		become_program(arena, argv);
	return unknown_command(argv[0]);
}

int
main(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct buf usage = {0};
	int status = CLI_ERROR;

	if (argc > 1) {
		status = dispatch(arena, argc - 1, argv + 1);
	} else {
		cli_print_usage(&usage);
		(void)fwrite(usage.data, 1, usage.len, stderr);
	}
	buf_free(&usage);
	arena_free(arena);
	return status;
}
