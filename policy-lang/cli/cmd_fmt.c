/*
 * `ringfence fmt`: files in canonical form.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy-lang/cli/cli.h"
#include "policy-lang/format/fmt.h"

struct fmt_args {
	bool check; /* name the files that would change */
	bool write; /* change them */
};

/* ---- writing a file ---- */

static bool
write_all(int fd, const struct buf *text)
{
	size_t done = 0;

	while (done < text->len) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return fsync(fd) == 0;
}

/* The new text gets the old file's mode and, where we may, its owner. */
static bool
fill(int fd, const struct stat *old, const struct buf *text)
{
	if (fchown(fd, old->st_uid, old->st_gid) != 0 && errno != EPERM)
		return false;
	return fchmod(fd, old->st_mode & 07777) == 0 && write_all(fd, text);
}

/* The file is the old one or the new one at any instant; a symbolic link stays one. */
static bool
replace_file(struct cli *cli, const char *name, const struct buf *text)
{
	char *path = realpath(name, NULL);
	char *temporary = NULL;
	struct stat old;
	bool ok = false;
	int fd = -1;

	if (path == NULL || stat(path, &old) != 0)
		goto out;
	temporary = arena_printf(cli->arena, "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		goto out;
	ok = fill(fd, &old, text);
	ok = close(fd) == 0 && ok;
	ok = ok && rename(temporary, path) == 0;
	if (!ok) {
		int reason = errno;

		(void)unlink(temporary); /* it may be gone already */
		errno = reason;
	}
out:
	if (!ok)
		(void)cli_fail(cli, "%s: cannot be written: %s", name, strerror(errno));
	free(path);
	return ok;
}

/* ---- one file after the other ---- */

struct outcome {
	bool failed;
	bool changes;
};

static bool
handle(struct cli *cli, const struct source *source, const struct buf *text,
    struct outcome *outcome)
{
	const struct fmt_args *args = cli->args;
	bool same = str_eq(source->text, buf_str(text));
	struct buf line = {0};
	bool ok = true;

	if (!args->check && !args->write) {
		buf_add_str(&line, buf_str(text));
	} else if (!same) {
		outcome->changes = true;
		buf_printf(&line, "%.*s\n", STR_ARG(source->name));
		if (args->write)
			ok = replace_file(
			    cli, str_dup(cli->arena, source->name).ptr, text);
	}
	ok = ok && cli_write(cli, &line);
	buf_free(&line);
	return ok;
}

/* A list of paths takes every *.json below a directory along; they have one form only
 * as far as anybody cares. One that is named is a mistake. */
static bool
is_json(const struct cli *cli, const struct source *source, struct outcome *outcome)
{
	if (!str_ends(source->name, STR(".json")))
		return false;
	for (size_t i = 0; i < cli->path_count; i++) {
		if (str_is(source->name, cli->paths[i])) {
			outcome->failed = true;
			(void)cli_fail(
			    cli, "%s: JSON is not formatted here", cli->paths[i]);
		}
	}
	return true;
}

static void
print_diags(const struct diag_list *diags)
{
	struct buf text = {0};

	diag_render(&text, diags, DIAG_TEXT);
	if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stderr);
	buf_free(&text);
}

static void
format_one(struct cli *cli, const struct source *source, struct outcome *outcome)
{
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct buf text = {0};

	diag_list_init(&diags, arena);
	if (!fmt_source(arena, source, &diags, &text) ||
	    !handle(cli, source, &text, outcome))
		outcome->failed = true;
	print_diags(&diags);
	buf_free(&text);
	arena_free(arena);
}

static bool
arguments_fit(const struct cli *cli)
{
	const struct fmt_args *args = cli->args;

	if (args->check && args->write) {
		(void)cli_fail(cli, "--check and --write exclude each other");
		return false;
	}
	for (size_t i = 0; args->write && i < cli->path_count; i++) {
		if (strcmp(cli->paths[i], "-") == 0) {
			(void)cli_fail(cli, "standard input cannot be written");
			return false;
		}
	}
	if (!args->check && !args->write && cli->bundle.count > 1) {
		(void)cli_fail(cli, "several files: say --check or --write");
		return false;
	}
	return true;
}

static int
run(struct cli *cli)
{
	const struct fmt_args *args = cli->args;
	struct outcome outcome = {0};

	if (!bundle_read(
		cli->arena, cli->paths, cli->path_count, &cli->diags, &cli->bundle))
		outcome.failed = true;
	print_diags(&cli->diags);
	if (!arguments_fit(cli))
		return CLI_ERROR;
	for (size_t i = 0; i < cli->bundle.count; i++) {
		if (!is_json(cli, &cli->bundle.sources[i], &outcome))
			format_one(cli, &cli->bundle.sources[i], &outcome);
	}
	if (outcome.failed)
		return CLI_ERROR;
	return args->check && outcome.changes ? CLI_NO : CLI_OK;
}

static bool
set_check(struct cli *cli, const char *arg UNUSED)
{
	struct fmt_args *args = cli->args;

	args->check = true;
	return true;
}

static bool
set_write(struct cli *cli, const char *arg UNUSED)
{
	struct fmt_args *args = cli->args;

	args->write = true;
	return true;
}

static const struct cli_option options[] = {
    {"check", NULL, "name the files that are not in canonical form", set_check},
    {"write", NULL, "rewrite the files, and name those that changed", set_write},
    {0},
};

const struct cli_command cmd_fmt = {
    .name = "fmt",
    .summary = "rewrite files in canonical form, with their comments",
    .usage = "[--check | --write] PATH...",
    .details = "Without an option, one file's canonical form is printed.\n"
	       "Exit status: 0 done, or nothing to do; 1 something would change "
	       "(with --check);\n"
	       "2 errors, or a file that cannot be rewritten without loss.\n",
    .options = {options},
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct fmt_args),
    .run = run,
};
