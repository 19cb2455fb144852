#include "enforcer/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/diag.h"
#include "enforcer/client/client_follow.h"
#include "enforcer/client/client_link.h"
#include "enforcer/client/client_print.h"
#include "enforcer/config/config.h"

static bool
find_command(const char *name, enum client_command_id *out_id)
{
	for (size_t i = 0; i < CLIENT_COMMANDS; i++) {
		if (strcmp(client_commands[i].name, name) != 0)
			continue;
		*out_id = (enum client_command_id)i;
		return true;
	}
	return false;
}

bool
client_knows(const char *name)
{
	enum client_command_id id;

	return find_command(name, &id);
}

void
client_help(void)
{
	client_options_help();
}

/* ---- answers that come at once ---- */

static bool
is_value(const struct client_options *c)
{
	return c->format == CLIENT_FORMAT_JSON || c->format == CLIENT_FORMAT_YAML;
}

static void
make_question(const struct client_options *c, struct buf *out)
{
	buf_add_cstr(
	    out, c->command == CLIENT_TOP ? "rules" : client_commands[c->command].name);
	if (c->command == CLIENT_EXPLAIN && !is_value(c))
		buf_add_cstr(out, "-text");
	if (c->command == CLIENT_NAMES && is_value(c))
		buf_add_cstr(out, "-json");
	for (int i = 0; i < client_commands[c->command].word_count; i++)
		buf_printf(out, " %s", c->words[i]);
	if (c->command == CLIENT_TRACE)
		buf_printf(out, " %u", c->wait_s);
	buf_add_char(out, '\n');
}

/* The whole answer; false, and told why, if there is none. */
static bool
fetch(const struct client_options *c, struct buf *answer)
{
	struct buf question = {0};
	char chunk[65536];
	ssize_t n = -1;
	int fd;

	make_question(c, &question);
	fd = client_ask(c, &question);
	buf_free(&question);
	if (fd < 0)
		return false;
	while ((n = client_read(c, fd, chunk, sizeof(chunk))) > 0)
		buf_add(answer, chunk, (size_t)n);
	(void)close(fd); /* only read from */
	if (n == 0 && answer->len == 0)
		(void)client_mistake(c, "the daemon gave no answer", NULL);
	return n == 0 && answer->len != 0;
}

/* The answer as a value; NULL, and told why, if there is none, or it says that it is none. */
static json_t *
load(const struct client_options *c, const struct buf *answer)
{
	json_error_t error;
	json_t *root = json_loadb(answer->data, answer->len, 0, &error);
	const char *why = client_error_of(root);

	if (root == NULL)
		(void)client_mistake(c, "the answer cannot be read", error.text);
	else if (why != NULL)
		(void)client_mistake(c, why, NULL);
	if (why == NULL && !is_value(c))
		client_make_plain(root);
	if (why == NULL)
		return root;
	json_decref(root);
	return NULL;
}

/* Texts of JSON answers; those of others are passed on as they come. */
static void (*const prints[CLIENT_COMMANDS])(const json_t *root) = {
    [CLIENT_STATUS] = client_print_status,
    [CLIENT_RULES] = client_print_rules,
    [CLIENT_DIFF] = client_print_diff,
    [CLIENT_TRACE] = client_print_trace,
};

/* What `diff` and `status` found is their exit status in any format. */
static int
exit_status(const struct client_options *c, const json_t *root)
{
	if (c->command == CLIENT_DIFF)
		return client_diff_found(root) ? 1 : 0;
	if (c->command == CLIENT_STATUS)
		return client_status_in_force(root) ? 0 : 1;
	return 0;
}

/* Of lines for people. */
static void
print_text(const struct buf *answer)
{
	struct str rest = buf_str(answer);
	struct buf out = {0};

	while (rest.len != 0) {
		diag_add_plain(&out, str_split(&rest, '\n'));
		buf_add_char(&out, '\n');
	}
	(void)fwrite(out.data, 1, out.len, stdout); /* it is asked at the end */
	buf_free(&out);
}

static int
print_answer(const struct client_options *c, const struct buf *answer)
{
	json_t *root, *wanted;
	int status;

	/* Texts are passed on; what is wrong is JSON all the same. */
	if (!is_value(c) && prints[c->command] == NULL && answer->data[0] != '{') {
		print_text(answer);
		return 0;
	}
	root = load(c, answer);
	if (root == NULL)
		return EXIT_MISTAKE;
	if (c->filter.any && c->command == CLIENT_RULES) {
		wanted = client_filter_rules(&c->filter, root);
		json_decref(root);
		root = wanted;
	}
	status = exit_status(c, root);
	if (is_value(c) || prints[c->command] == NULL)
		client_print_value(root, c->format);
	else
		prints[c->command](root);
	json_decref(root);
	return status;
}

static int
ask(const struct client_options *c)
{
	struct buf answer = {0};
	int status = EXIT_MISTAKE;

	if (fetch(c, &answer))
		status = print_answer(c, &answer);
	buf_free(&answer);
	return status;
}

/* ---- top ---- */

/* False if nobody answers; *out is NULL, too, if the answer is that there is none. */
static bool
fetch_value(const struct client_options *c, json_t **out)
{
	struct buf answer = {0};
	bool answered = fetch(c, &answer);

	*out = answered ? load(c, &answer) : NULL;
	buf_free(&answer);
	return answered;
}

/* One screen after the other, where there is one. */
static void
clear_screen(const struct client_options *c)
{
	const char *terminal = getenv("TERM");

	if (c->follow && !is_value(c) && isatty(STDOUT_FILENO) == 1 &&
	    terminal != NULL && strcmp(terminal, "dumb") != 0)
		(void)fputs("\033[H\033[2J", stdout);
}

/* Two readings, and what is between them; again and again with --follow, also past one
 * that there is not, as while the kernel role starts. */
static int
top(const struct client_options *c)
{
	const struct timespec wait = {.tv_sec = c->interval_s};
	json_t *before, *after;
	bool on = fetch_value(c, &before) && before != NULL, ok;

	while (on) {
		(void)nanosleep(&wait, NULL); /* a signal ends us */
		on = fetch_value(c, &after);
		if (before != NULL && after != NULL) {
			clear_screen(c);
			client_print_top(before, after, c->interval_s, c->count, c);
		}
		json_decref(before);
		before = after;
		on = on && c->follow && fflush(stdout) == 0;
	}
	ok = before != NULL;
	json_decref(before);
	return ok ? 0 : EXIT_MISTAKE;
}

/* ---- all of it ---- */

/* An answer that did not get where it was to go is none. */
static int
run(const struct client_options *c)
{
	int status = c->command == CLIENT_TOP     ? top(c)
		     : c->command == CLIENT_FLOWS ? client_follow_run(c)
						  : ask(c);

	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return client_mistake(c, "the answer cannot be written", NULL);
	return status;
}

/* The socket that a configuration names. */
static int
run_by_config(struct client_options *c)
{
	struct arena *arena = arena_new();
	struct diag_list diags;
	const struct enforcer_config *config;
	struct buf text = {0};
	int status = EXIT_MISTAKE;

	diag_list_init(&diags, arena);
	config = enforcer_config_load(arena, c->config, &diags);
	if (config != NULL) {
		c->control = config->control_socket;
		status = run(c);
	} else {
		diag_render_text(&text, &diags);
		(void)fputs(text.data, stderr);
	}
	buf_free(&text);
	arena_free(arena);
	return status;
}

int
client_run(int argc, char **argv)
{
	struct client_options c;
	enum client_command_id id;
	int rc;

	if (!find_command(argv[0], &id))
		return EXIT_MISTAKE; /* client_knows says so */
	rc = client_options_parse(&c, id, argc, argv);
	if (rc != 0)
		return rc < 0 ? 0 : rc;
	return c.config != NULL ? run_by_config(&c) : run(&c);
}
