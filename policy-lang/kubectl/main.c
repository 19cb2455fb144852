/*
 * The command line of `kubectl ringfence`.
 */
#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ip.h"
#include "policy-lang/kubectl/plugin.h"

#define ENFORCER_NAMESPACE "ringfence"

int
plugin_fail(const char *fmt, ...)
{
	va_list ap;

	(void)fputs(PLUGIN_NAME ": ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return PLUGIN_ERROR;
}

/* ---- the directory ---- */

bool
plugin_directory(struct plugin *p)
{
	char template[] = "/tmp/" PLUGIN_NAME ".XXXXXX";

	if (p->directory != NULL)
		return true;
	if (mkdtemp(template) == NULL)
		return plugin_fail("%s: %s", template, strerror(errno)) == 0;
	p->directory = arena_printf(p->arena, "%s", template);
	return true;
}

static int
on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
plugin_forget(struct plugin *p)
{
	server_stop(p);
	if (p->directory != NULL &&
	    nftw(p->directory, on_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		(void)plugin_fail("%s: cannot be removed", p->directory);
	p->directory = NULL;
}

/* ---- words ---- */

static void
drop_words(struct plugin *p, int at, int count)
{
	for (int i = at; i + count <= p->word_count; i++)
		p->words[i] = p->words[i + count];
	p->word_count -= count;
}

const char *
plugin_take_option(struct plugin *p, const char *option, bool *out_bad)
{
	const size_t len = strlen(option);
	const char *value = NULL;

	for (int i = 0; i < p->word_count; i++) {
		const char *word = p->words[i];

		if (strcmp(word, option) == 0) {
			value = i + 1 < p->word_count ? p->words[i + 1] : NULL;
			*out_bad |= value == NULL;
			drop_words(p, i, value != NULL ? 2 : 1);
			return value;
		}
		if (strncmp(word, option, len) == 0 && word[len] == '=' &&
		    word[1] == '-') {
			value = word + len + 1;
			drop_words(p, i, 1);
			return value;
		}
	}
	return NULL;
}

bool
plugin_take_flag(struct plugin *p, const char *option)
{
	for (int i = 0; i < p->word_count; i++) {
		if (strcmp(p->words[i], option) == 0) {
			drop_words(p, i, 1);
			return true;
		}
	}
	return false;
}

/* What the user's context says, as kubectl itself goes by. */
static const char *
context_namespace(const struct plugin *p)
{
	static const char *const words[] = {
	    "config", "view", "--minify", "-o", "jsonpath={..namespace}", NULL};
	struct buf out = {0}, problem = {0};
	const char *name = "default";

	if (call_kubectl(p, words, &out, &problem) == 0 && out.len != 0)
		name = str_dup(p->arena, str_trim(buf_str(&out))).ptr;
	buf_free(&out);
	buf_free(&problem);
	return name;
}

const char *
plugin_namespace(struct plugin *p)
{
	if (p->namespace == NULL)
		p->namespace = context_namespace(p);
	return p->namespace;
}

static bool
is_address(const char *word)
{
	struct ip_addr addr;

	return ip_parse(str_from(word), &addr);
}

const char *
plugin_end(struct plugin *p, const char *word)
{
	static const char *const prefixes[] = {"pod/", "pods/", "po/"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const size_t len = strlen(prefixes[i]);

		if (strncmp(word, prefixes[i], len) == 0)
			return arena_printf(
			    p->arena, "%s/%s", plugin_namespace(p), word + len);
	}
	if (strchr(word, '/') != NULL || is_address(word))
		return word;
	return arena_printf(p->arena, "%s/%s", plugin_namespace(p), word);
}

/* ---- commands that `ringfence` answers ---- */

/* COMMAND live OPTIONS... [-- SRC DST PORT] */
static int
ask(struct plugin *p, const char *command, const char *const *ends)
{
	const char **words =
	    ARENA_ARRAY(p->arena, (size_t)p->word_count + 8, const char *);
	size_t n = 0;

	words[n++] = command;
	for (int i = 0; i < p->word_count; i++)
		words[n++] = p->words[i];
	words[n++] = "live";
	if (ends != NULL) {
		words[n++] = "--";
		for (size_t i = 0; i < 3; i++)
			words[n++] = ends[i];
	}
	words[n] = NULL;
	return fetch_cluster(p) ? call_ringfence(p, words) : PLUGIN_ERROR;
}

static const char *
port_of(const struct plugin *p, const char *word)
{
	uint64_t port;

	return str_to_u64(str_from(word), 65535, &port)
		   ? arena_printf(p->arena, "%s/tcp", word)
		   : word;
}

/* The last three words are the ends and the port; what is before them is for `ringfence`. */
static int
ask_of_ends(struct plugin *p, const char *command)
{
	const char *ends[3];

	if (p->word_count < 3)
		return plugin_fail(
		    "%s needs a source, a destination and a port", command);
	p->word_count -= 3;
	ends[0] = plugin_end(p, p->words[p->word_count]);
	ends[1] = plugin_end(p, p->words[p->word_count + 1]);
	ends[2] = port_of(p, p->words[p->word_count + 2]);
	return ask(p, command, ends);
}

static int
run_can(struct plugin *p)
{
	return ask_of_ends(p, "can");
}

static int
run_explain(struct plugin *p)
{
	bool bad = false;
	const char *pod = plugin_take_option(p, "--denied", &bad);
	const char *ends[3];

	if (bad)
		return plugin_fail("--denied needs the name of a pod");
	if (pod == NULL)
		return ask_of_ends(p, "explain");
	if (!flows_last_denied(p, pod, &ends[0], &ends[1], &ends[2]))
		return PLUGIN_ERROR;
	return ask(p, "explain", ends);
}

static int
run_list(struct plugin *p)
{
	return ask(p, "list", NULL);
}

static int
run_check(struct plugin *p)
{
	return ask(p, "check", NULL);
}

const struct plugin_command plugin_commands[] = {
    {"explain", "[options] SRC DST PORT[/PROTO] | [options] --denied POD",
	"why a connection is allowed or denied", run_explain},
    {"can", "[options] SRC DST PORT[/PROTO]", "allow (0) or deny (1)", run_can},
    {"list", "[options]", "every connection that policy allows", run_list},
    {"check", "[options]", "mistakes and lints of what is there", run_check},
    {"diff", "-f PATH... [options]", "what applying these files would open and close",
	plugin_diff},
    {"flows", "[POD] [--follow] [--count N]", "connections that nodes denied",
	plugin_flows},
    {"status", "[-o json]", "what became of each document", plugin_status},
};

const size_t plugin_command_count = ARRAY_LEN(plugin_commands);

/* ---- options ---- */

/* kubectl's own, that say where and as whom. */
static const char *const kubectl_options[] = {"--kubeconfig", "--context", "--cluster",
    "--user", "--server", "-s", "--token", "--as", "--as-group", "--as-uid",
    "--certificate-authority", "--client-certificate", "--client-key",
    "--tls-server-name", "--request-timeout"};
static const char *const kubectl_flags[] = {"--insecure-skip-tls-verify"};

static void
pass_on(struct plugin *p, const char *word)
{
	p->kubectl[p->kubectl_count++] = word;
}

static bool
take_kubectl_options(struct plugin *p)
{
	bool bad = false;

	p->kubectl = ARENA_ARRAY(p->arena, (size_t)p->word_count + 1, const char *);
	for (size_t i = 0; i < ARRAY_LEN(kubectl_options); i++) {
		const char *value;

		while (
		    (value = plugin_take_option(p, kubectl_options[i], &bad)) != NULL) {
			pass_on(p, kubectl_options[i]);
			pass_on(p, value);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(kubectl_flags); i++) {
		if (plugin_take_flag(p, kubectl_flags[i]))
			pass_on(p, kubectl_flags[i]);
	}
	if (bad)
		(void)plugin_fail("an option has no value");
	return !bad;
}

static bool
take_namespaces(struct plugin *p)
{
	bool bad = false;
	const char *short_one = plugin_take_option(p, "-n", &bad);
	const char *long_one = plugin_take_option(p, "--namespace", &bad);

	p->enforcers = plugin_take_option(p, "--enforcer-namespace", &bad);
	if (bad)
		return plugin_fail("an option has no value") == 0;
	if (p->enforcers == NULL)
		p->enforcers = ENFORCER_NAMESPACE;
	p->named = short_one != NULL || long_one != NULL;
	p->namespace = long_one != NULL ? long_one : short_one;
	return true;
}

static int
help(FILE *out)
{
	(void)fputs("usage: kubectl ringfence COMMAND\n\n", out);
	for (size_t i = 0; i < plugin_command_count; i++)
		(void)fprintf(out, "  %-8s %-52s %s\n", plugin_commands[i].name,
		    plugin_commands[i].usage, plugin_commands[i].summary);
	(void)fputs(
	    "\nSRC, DST: the name of a pod, NAMESPACE/NAME, /PATH/NAME, node/NAME, or "
	    "an "
	    "address.\n"
	    "Options of `ringfence COMMAND` are passed on to it, and these to "
	    "kubectl:\n-n, --namespace",
	    out);
	for (size_t i = 0; i < ARRAY_LEN(kubectl_options); i++)
		(void)fprintf(
		    out, ",%s%s", i % 5 == 4 ? "\n" : " ", kubectl_options[i]);
	for (size_t i = 0; i < ARRAY_LEN(kubectl_flags); i++)
		(void)fprintf(out, ", %s", kubectl_flags[i]);
	(void)fputs("\n--enforcer-namespace NAME   where the enforcers "
		    "run (" ENFORCER_NAMESPACE ")\n",
	    out);
	return out == stdout ? 0 : PLUGIN_ERROR;
}

static const struct plugin_command *
find_command(const char *name)
{
	for (size_t i = 0; i < plugin_command_count; i++) {
		if (strcmp(plugin_commands[i].name, name) == 0)
			return &plugin_commands[i];
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	struct plugin p = {.arena = NULL};
	const struct plugin_command *command;
	int status = PLUGIN_ERROR;

	if (argc < 2)
		return help(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return help(stdout);
	command = find_command(argv[1]);
	if (command == NULL)
		return plugin_fail(
		    "no command \"%s\"; see kubectl ringfence --help", argv[1]);
	p.arena = arena_new();
	p.words = argv + 2;
	p.word_count = argc - 2;
	if (plugin_take_flag(&p, "--help") || plugin_take_flag(&p, "-h")) {
		status = help(stdout);
	} else if (take_kubectl_options(&p) && take_namespaces(&p)) {
		status = command->run(&p);
		plugin_forget(&p);
	}
	arena_free(p.arena);
	return status;
}
