#include "enforcer/client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/diag.h"
#include "enforcer/client_flows.h"
#include "enforcer/client_print.h"
#include "enforcer/config.h"

#define DEFAULT_CONTROL "/run/ringfence/enforcer.sock"
#define EXIT_MISTAKE    2
#define MOST_FLOWS      1000
#define MOST_INTERVAL_S 3600
#define MOST_WAIT_S     300
#define WAIT_S          30
#define TOP_RULES       20

struct client {
	const struct client_command *command;
	const char *control;
	const char *config;
	bool json;
	bool text; /* asked for; flows are JSON where it is not, but on a terminal */
	bool follow;
	const char *count;
	unsigned interval_s, wait_s;
	char **words;
	int word_count;
};

struct client_command {
	const char *name;
	const char *usage;
	const char *summary;
	int words;
	/* Text of a JSON answer; NULL: the answer is passed on as it comes. Returns the exit
	 * status. */
	int (*print)(struct str answer);
};

static const struct client_command commands[] = {
    {"status", "", "what is in force, since when, from where", 0, client_print_status},
    {"rules", "", "the rules in force, with their counters", 0, client_print_rules},
    {"flows", "[--follow] [--count N]", "denied connections", 0, NULL},
    {"top", "[--count N] [--interval S] [--follow]", "the rules that count most", 0,
	NULL},
    {"names", "", "what tenants know by name", 0, NULL},
    {"diff", "", "how the kernel's table differs from what it should be", 0,
	client_print_diff},
    {"trace", "[--wait S] SRC DST PORT/PROTO", "one live packet, rule by rule", 3,
	client_print_trace},
    {"explain", "SRC DST PORT/PROTO", "why a connection is allowed or denied", 3, NULL},
};

static const struct client_command *
find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

bool
client_knows(const char *name)
{
	return find_command(name) != NULL;
}

void
client_help(void)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		struct buf text = {0};

		buf_printf(&text, "%s %s", commands[i].name, commands[i].usage);
		(void)printf("  %-48s %s\n", text.data, commands[i].summary);
		buf_free(&text);
	}
	(void)printf(
	    "\nand know these options:\n"
	    "  --control SOCKET  the daemon's socket; else that of --config FILE\n"
	    "  -o text|json      how answers are printed\n");
}

static int
mistake(const struct client *c, const char *fmt, const char *what)
{
	(void)fprintf(stderr, "ringfence-enforcer %s: ", c->command->name);
	/* Formats are this file's own, each with one %s. */
	if (strcmp(fmt, "%s") == 0)
		(void)fprintf(stderr, "%s\n", what);
	else
		(void)fprintf(stderr, "%s: %s\n", fmt, what);
	return EXIT_MISTAKE;
}

/* ---- options ---- */

static void
print_usage(const struct client_command *command)
{
	(void)printf("usage: ringfence-enforcer %s%s%s\n\n"
		     "Asks the daemon that runs: %s.\n\n"
		     "  --control SOCKET  where it listens (" DEFAULT_CONTROL ")\n"
		     "  --config FILE     the configuration that says where\n"
		     "  -o text|json      how it is told\n",
	    command->name, command->usage[0] != '\0' ? " " : "", command->usage,
	    command->summary);
}

static int
parse(struct client *c, int argc, char **argv)
{
	static const struct option options[] = {
	    {"control", required_argument, NULL, 'c'},
	    {"config", required_argument, NULL, 'f'},
	    {"output", required_argument, NULL, 'o'},
	    {"follow", no_argument, NULL, 'F'},
	    {"count", required_argument, NULL, 'n'},
	    {"interval", required_argument, NULL, 'i'},
	    {"wait", required_argument, NULL, 'w'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	uint64_t count;
	int option;

	optind = 1;
	opterr = 0; /* its own words leave out whose command it is */
	while ((option = getopt_long(argc, argv, "o:n:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			c->control = optarg;
			break;
		case 'f':
			c->config = optarg;
			break;
		case 'o':
			if (strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0)
				return mistake(
				    c, "no such output format (text, json)", optarg);
			c->json = strcmp(optarg, "json") == 0;
			c->text = !c->json;
			break;
		case 'F':
			c->follow = true;
			break;
		case 'n':
			if (!str_to_u64(str_from(optarg), MOST_FLOWS, &count))
				return mistake(c, "no number up to 1000", optarg);
			c->count = optarg;
			break;
		case 'w':
			if (!str_to_u64(str_from(optarg), MOST_WAIT_S, &count) ||
			    count == 0)
				return mistake(c, "no number of seconds", optarg);
			c->wait_s = (unsigned)count;
			break;
		case 'i':
			if (!str_to_u64(str_from(optarg), MOST_INTERVAL_S, &count) ||
			    count == 0)
				return mistake(c, "no number of seconds", optarg);
			c->interval_s = (unsigned)count;
			break;
		case 'h':
			print_usage(c->command);
			return -1;
		default:
			return mistake(
			    c, "no such option, or it lacks a value", argv[optind - 1]);
		}
	}
	c->words = argv + optind;
	c->word_count = argc - optind;
	if (c->word_count != c->command->words)
		return mistake(c, "usage",
		    c->command->words != 0 ? c->command->usage
					   : "it takes options alone (try --help)");
	return 0;
}

/* ---- asking ---- */

/* What may be amiss, for who has just been called out of bed. */
static const char *
hint(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "; is it running? (--control or --config tell of another "
		       "socket)";
	case EACCES:
	case EPERM:
		return "; it answers root alone";
	default:
		return "";
	}
}

static int
connect_daemon(const struct client *c)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(c->control) >= sizeof(address.sun_path)) {
		(void)mistake(c, "the socket's path is too long", c->control);
		return -1;
	}
	memcpy(address.sun_path, c->control, strlen(c->control) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	(void)fprintf(stderr,
	    "ringfence-enforcer %s: cannot reach the daemon at %s: %s%s\n",
	    c->command->name, c->control, strerror(errno), hint(errno));
	if (fd >= 0)
		(void)close(fd); /* not connected */
	return -1;
}

static void
make_question(const struct client *c, const char *name, struct buf *out)
{
	buf_add_cstr(out, name);
	if (strcmp(name, "flows") == 0 && c->follow)
		buf_add_cstr(out, "-follow");
	if (strcmp(name, "explain") == 0 && !c->json)
		buf_add_cstr(out, "-text");
	if (strcmp(name, "names") == 0 && c->json)
		buf_add_cstr(out, "-json");
	if (c->count != NULL && strcmp(name, "flows") == 0)
		buf_printf(out, " %s", c->count);
	for (int i = 0; i < c->word_count; i++)
		buf_printf(out, " %s", c->words[i]);
	if (strcmp(name, "trace") == 0)
		buf_printf(out, " %u", c->wait_s);
	buf_add_char(out, '\n');
}

static bool
write_all(int fd, struct str data)
{
	while (data.len != 0) {
		ssize_t n = send(fd, data.ptr, data.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data = str_slice(data, (size_t)n, data.len);
	}
	return true;
}

/* How an answer that goes on is passed on as it comes; NULL: as it is. */
static bool
pass_on_some(struct client_flows *lines, const char *data, size_t len)
{
	if (lines != NULL)
		return client_flows_print(lines, (struct str){data, len});
	return fwrite(data, 1, len, stdout) == len && fflush(stdout) == 0;
}

/* Reads to the end; with `pass_on`, what comes is printed at once. */
static bool
read_answer(int fd, bool pass_on, struct client_flows *lines, struct buf *out)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (!pass_on)
			buf_add(out, chunk, (size_t)n);
		else if (!pass_on_some(lines, chunk, (size_t)n))
			return false;
	}
	return true;
}

/* Scripts read flows as they read the flow log. */
static bool
shows_lines(const struct client *c)
{
	return strcmp(c->command->name, "flows") == 0 && !c->json &&
	       (c->text || isatty(STDOUT_FILENO) == 1);
}

static int
print_answer(const struct client *c, const struct buf *answer)
{
	const char *why = client_error_of(buf_str(answer));

	if (why != NULL)
		return mistake(c, "%s", why);
	if (shows_lines(c)) {
		struct client_flows lines = {{0}};
		bool ok = client_flows_print(&lines, buf_str(answer));

		client_flows_fini(&lines);
		return ok ? 0 : EXIT_MISTAKE;
	}
	if (c->json || c->command->print == NULL) {
		if (answer->len != 0)
			(void)fwrite(answer->data, 1, answer->len, stdout);
		return 0;
	}
	return c->command->print(buf_str(answer));
}

/* Asks one question; false, and told why, if there is no answer. With `pass_on` it is
 * printed as it comes. */
static bool
fetch(const struct client *c, const char *name, bool pass_on, struct buf *answer)
{
	struct client_flows lines = {{0}};
	struct buf question = {0};
	int fd = connect_daemon(c);
	bool ok = false;

	if (fd < 0)
		return false;
	make_question(c, name, &question);
	if (!write_all(fd, buf_str(&question)) ||
	    !read_answer(fd, pass_on, shows_lines(c) ? &lines : NULL, answer))
		(void)mistake(c, "the connection broke", strerror(errno));
	else if (answer->len == 0 && strcmp(name, "flows") != 0)
		(void)mistake(c, "%s", "the daemon gave no answer");
	else
		ok = true;
	(void)close(fd); /* only read from */
	buf_free(&question);
	client_flows_fini(&lines);
	return ok;
}

/* Two readings, and what is between them; again and again with --follow. */
static int
top(const struct client *c)
{
	const struct timespec wait = {.tv_sec = c->interval_s};
	struct buf before = {0}, after = {0};
	uint64_t most = TOP_RULES;
	int status = EXIT_MISTAKE;

	if (c->count != NULL && !str_to_u64(str_from(c->count), MOST_FLOWS, &most))
		return EXIT_MISTAKE; /* it was read before */
	if (fetch(c, "rules", false, &before)) {
		do {
			struct buf swap = before;

			(void)nanosleep(&wait, NULL); /* a signal ends us */
			buf_clear(&after);
			if (!fetch(c, "rules", false, &after)) {
				status = EXIT_MISTAKE;
				break;
			}
			status = client_print_top(buf_str(&before), buf_str(&after),
			    c->interval_s, most, c->json);
			before = after;
			after = swap;
		} while (c->follow && status == 0 && fflush(stdout) == 0);
	}
	buf_free(&before);
	buf_free(&after);
	return status;
}

static int
ask(const struct client *c)
{
	struct buf answer = {0};
	int status = EXIT_MISTAKE;

	if (strcmp(c->command->name, "top") == 0)
		return top(c);
	if (fetch(c, c->command->name, c->follow, &answer))
		status = print_answer(c, &answer);
	buf_free(&answer);
	return status;
}

/* The socket that a configuration names. */
static int
ask_by_config(struct client *c)
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
		status = ask(c);
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
	struct client c = {.command = find_command(argv[0]),
	    .control = DEFAULT_CONTROL,
	    .interval_s = 1,
	    .wait_s = WAIT_S};
	int rc = parse(&c, argc, argv);

	if (rc != 0)
		return rc < 0 ? 0 : rc;
	return c.config != NULL ? ask_by_config(&c) : ask(&c);
}
