/*
 * `kubectl ringfence`: the questions of `ringfence`, about a live cluster. What is in it is asked
 * through kubectl itself (`kubectl proxy`), so that whatever signs the user in there does so
 * here; then `ringfence` answers.
 */
#ifndef POLICY_LANG_KUBECTL_PLUGIN_H
#define POLICY_LANG_KUBECTL_PLUGIN_H

#include <jansson.h>

#include "common/arena.h"
#include "common/str.h"

#define PLUGIN_NAME  "kubectl-ringfence"
#define PLUGIN_ERROR 2

struct server;

struct plugin {
	struct arena *arena;
	const char **kubectl; /* flags that kubectl takes, with their values */
	size_t kubectl_count;
	const char *namespace; /* see plugin_namespace; NULL: not asked for yet */
	const char *enforcers; /* the namespace that the enforcers' pods are in */
	bool named;            /* -n was given */
	const char *directory; /* our own, with all in it; NULL: there is none yet */
	struct server *server; /* NULL: nobody has asked it yet */
	bool server_works;
	char **words; /* what is left of the command line */
	int word_count;
};

struct plugin_command {
	const char *name, *usage, *summary;
	/* The exit status. */
	int (*run)(struct plugin *p);
};

extern const struct plugin_command plugin_commands[];
extern const size_t plugin_command_count;

/* Says what is wrong; returns PLUGIN_ERROR. */
int plugin_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Takes the word after an option, or behind its `=`, off the words that are left: "-f", "--filename".
 * NULL if it is not among them. *out_bad: it has no value. */
MUST_CHECK const char *plugin_take_option(
    struct plugin *p, const char *option, bool *out_bad);
/* Takes an option without a value off them; false if it is not among them. */
MUST_CHECK bool plugin_take_flag(struct plugin *p, const char *option);

/* "web" -> "shop/web", "pod/web" -> "shop/web"; addresses and names with a namespace as they are. In
 * the arena. */
MUST_CHECK const char *plugin_end(struct plugin *p, const char *word);
/* That of -n, or of the user's context: where pods are that are named without one. */
MUST_CHECK const char *plugin_namespace(struct plugin *p);

/* Makes the directory, which plugin_forget removes. False: it has been said why. */
MUST_CHECK bool plugin_directory(struct plugin *p);

/* ---- call.c ---- */

/* Runs a program with its output taken into `out` and `problem` (each may be NULL: it goes where ours
 * goes). The exit status, or -1 if it could not be run. `directory` NULL: here. */
MUST_CHECK int call_program(
    char *const *argv, const char *directory, struct buf *out, struct buf *problem);
/* The same for kubectl with the user's flags; `words` ends with NULL. */
MUST_CHECK int call_kubectl(const struct plugin *p, const char *const *words,
    struct buf *out, struct buf *problem);
/* What call_kubectl runs; in the arena. */
MUST_CHECK char *const *call_kubectl_words(
    const struct plugin *p, const char *const *words);
/* Runs `ringfence` with these words in the directory of what was fetched. */
MUST_CHECK int call_ringfence(const struct plugin *p, const char *const *words);

/* ---- server.c ---- */

/* GET; NULL, and *out_why in the arena ("(Forbidden) ..."), unless there is an object. */
MUST_CHECK json_t *server_get(struct plugin *p, const char *path, const char **out_why);
void server_stop(struct plugin *p);

/* ---- fetch.c ---- */

/* Fetches what policy depends on to DIRECTORY/live, and says what the user may not read. False, and it
 * has been said why, if it cannot be told what there is. */
MUST_CHECK bool fetch_cluster(struct plugin *p);
/* All objects at a path of lists, page by page, each to `each`; false (and *out_why, in the arena) if
 * the server does not give them. */
typedef bool fetch_each(void *arg, json_t *object);
MUST_CHECK bool fetch_list(struct plugin *p, const char *path, const char *query,
    fetch_each *each, void *arg, const char **out_why);
/* Writes a file, and the directories above it. */
MUST_CHECK bool fetch_write(const char *path, struct str text);

/* ---- commands ---- */

int plugin_diff(struct plugin *p);
int plugin_flows(struct plugin *p);
int plugin_status(struct plugin *p);
/* The last connection of a pod that its node denied, as words for `explain`; false, and it has been
 * said why. */
MUST_CHECK bool flows_last_denied(struct plugin *p, const char *pod,
    const char **out_src, const char **out_dst, const char **out_port);

#endif
