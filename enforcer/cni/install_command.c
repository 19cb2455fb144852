/*
 * The commands of the plugin's program that people and a DaemonSet run: install, once or for as
 * long as it runs, and uninstall.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "enforcer/cni/install.h"

#define DEFAULT_BIN "/opt/cni/bin"
#define DEFAULT_NET "/etc/cni/net.d"
#define LOOK_MS     30000 /* whatever inotify says */
#define SETTLE_MS   200   /* a program that writes has written by then */
#define REST_FIRST  1000  /* between two changes of ours, when others undo them */
#define REST_MOST   300000
#define QUIET_MS    600000 /* after which they have stopped */

#define EXIT_FAILED  1
#define EXIT_MISTAKE 2

struct options {
	struct install_places places;
	bool undo; /* uninstall */
	bool watch, check, best_effort;
};

/* ---- for as long as it runs ---- */

struct watcher {
	const struct options *options;
	int signals, inotify;
	monotime_t changed; /* when the chain last was, by us */
	uint64_t rest_ms;
	char told[sizeof(((struct err *)0)->msg)]; /* what was wrong last */
};

static uint64_t
since_ms(monotime_t then)
{
	return (uint64_t)monotime_since(then, monotime_now()) / 1000000;
}

/* Two programs that write one file must not do so as fast as they can. */
static void
note_change(struct watcher *w)
{
	if (w->changed.ns == 0 || since_ms(w->changed) > QUIET_MS)
		w->rest_ms = REST_FIRST;
	else if (w->rest_ms < REST_MOST / 2)
		w->rest_ms *= 2;
	else
		w->rest_ms = REST_MOST;
	if (w->rest_ms > REST_FIRST)
		log_warn("cni-chain",
		    "message=\"another program takes ringfence-cni out of the chain\" "
		    "wait-ms=%llu",
		    (unsigned long long)w->rest_ms);
	w->changed = monotime_now();
}

static int
do_once(const struct options *o, struct install_result *out_result, struct err *err)
{
	*out_result = (struct install_result){.file = ""};
	return o->undo ? install_undo(&o->places, err)
		       : install_all(&o->places, out_result, err);
}

/* Does what is missing; returns how long to wait for the next look, in milliseconds. */
static uint64_t
look(struct watcher *w)
{
	struct install_result result;
	struct err err = ERR_INIT;
	uint64_t since = w->changed.ns != 0 ? since_ms(w->changed) : UINT64_MAX;

	if (since < w->rest_ms)
		return w->rest_ms - since;
	if (do_once(w->options, &result, &err) != 0) {
		if (strcmp(err.msg, w->told) != 0)
			log_error(
			    "cni-chain", "detail=%s", log_quote(str_from(err.msg)));
		(void)snprintf(w->told, sizeof(w->told), "%s", err.msg);
		return LOOK_MS;
	}
	w->told[0] = '\0';
	if (result.program_changed)
		log_info("cni-program", "directory=%s",
		    log_quote(str_from(w->options->places.bin_dir)));
	if (result.chain_changed) {
		log_info("cni-chain", "file=%s", log_quote(str_from(result.file)));
		note_change(w);
	}
	return LOOK_MS;
}

/* Reads what is there; a directory that went away is watched again when it is back. */
static void
drain(struct watcher *w)
{
	char events[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)];

	while (read(w->inotify, events, sizeof(events)) > 0) {
	}
}

static void
watch_directory(struct watcher *w)
{
	/* Without it there is still the look from time to time. */
	(void)inotify_add_watch(w->inotify, w->options->places.net_dir,
	    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR);
}

static int
watch_open(struct watcher *w)
{
	sigset_t ends;

	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0)
		return -1;
	w->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return w->signals >= 0 && w->inotify >= 0 ? 0 : -1;
}

static int
watch(const struct options *options)
{
	struct watcher w = {.options = options, .signals = -1, .inotify = -1};
	struct pollfd waits[2];
	uint64_t wait_ms;

	if (watch_open(&w) != 0) {
		log_error(
		    "cni-watch", "detail=%s", log_quote(str_from(strerror(errno))));
		return EXIT_FAILED;
	}
	for (;;) {
		watch_directory(&w);
		wait_ms = look(&w);
		waits[0] = (struct pollfd){.fd = w.signals, .events = POLLIN};
		waits[1] = (struct pollfd){.fd = w.inotify, .events = POLLIN};
		if (poll(waits, ARRAY_LEN(waits), (int)wait_ms) < 0 && errno != EINTR)
			base_die("poll");
		if (waits[0].revents != 0)
			break;
		if (waits[1].revents == 0)
			continue;
		/* Whoever writes may not be done yet. */
		if (poll(waits, 1, SETTLE_MS) > 0)
			break;
		drain(&w);
	}
	(void)close(w.signals);
	(void)close(w.inotify);
	return 0;
}

/* ---- once ---- */

static int
complain(const struct err *err, int status)
{
	(void)fprintf(stderr, "ringfence-cni: %s\n", err->msg);
	return status;
}

static int
install_once(const struct options *o)
{
	struct install_result result;
	struct err err = ERR_INIT;

	if (install_all(&o->places, &result, &err) != 0)
		return complain(&err, o->best_effort ? 0 : EXIT_FAILED);
	(void)printf("%s/%s: ringfence-cni is at the end of the chain%s\n",
	    o->places.net_dir, result.file, result.chain_changed ? "" : " already");
	return 0;
}

static int
check_once(const struct options *o)
{
	struct err err = ERR_INIT;

	return install_check(&o->places, &err) == 0 ? 0 : complain(&err, EXIT_FAILED);
}

static int
uninstall_once(const struct options *o)
{
	struct err err = ERR_INIT;

	return install_undo(&o->places, &err) == 0 ? 0 : complain(&err, EXIT_FAILED);
}

/* ---- options ---- */

static void
print_help(void)
{
	(void)printf(
	    "usage: ringfence-cni install [OPTION...]\n"
	    "       ringfence-cni uninstall [--bin-dir DIR] [--net-dir DIR] "
	    "[--watch]\n\n"
	    "Puts this program where container runtimes look for plugins, and itself "
	    "at the\nend of the chain that they use; or undoes that.\n\n"
	    "  --bin-dir DIR   of plugins (" DEFAULT_BIN ")\n"
	    "  --net-dir DIR   of network configuration (" DEFAULT_NET ")\n"
	    "  --file NAME     which configuration (the first, as runtimes do)\n"
	    "  --socket PATH   the daemon's control socket on the node\n"
	    "  --timeout S     how long a container's start waits for its policy\n"
	    "  --allow-unfiltered\n"
	    "                  start containers whose traffic policy does not see, "
	    "too\n"
	    "  --best-effort   exit 0 whatever happens\n"
	    "  --watch         go on, and do it again when others undo it\n"
	    "  --check         change nothing; exit 1 if anything is missing\n");
}

static bool
take_timeout(const char *text, struct chain_plugin *plugin)
{
	uint64_t value;

	if (!str_to_u64(str_from(text), CNI_TIMEOUT_MOST, &value) || value == 0) {
		(void)fprintf(stderr,
		    "ringfence-cni: --timeout is a number from 1 to %u\n",
		    CNI_TIMEOUT_MOST);
		return false;
	}
	plugin->timeout_s = (unsigned)value;
	return true;
}

static bool
take_socket(const char *path, struct chain_plugin *plugin)
{
	plugin->socket = path;
	if (path[0] == '/' && strlen(path) <= CNI_SOCKET_MOST)
		return true;
	(void)fprintf(stderr,
	    "ringfence-cni: --socket is an absolute path of at most %d bytes\n",
	    CNI_SOCKET_MOST);
	return false;
}

static bool
take_file(const char *name, struct install_places *places)
{
	const struct str s = str_from(name);

	places->file = name;
	if (strchr(name, '/') == NULL && s.len < 200 &&
	    (str_ends(s, STR(".conf")) || str_ends(s, STR(".conflist")) ||
		str_ends(s, STR(".json"))))
		return true;
	(void)fprintf(stderr,
	    "ringfence-cni: --file is a name such as 10-net.conflist, without a "
	    "directory\n");
	return false;
}

/* Returns -1 to go on, or an exit status. */
static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
	    {"bin-dir", required_argument, NULL, 'b'},
	    {"net-dir", required_argument, NULL, 'n'},
	    {"file", required_argument, NULL, 'f'},
	    {"socket", required_argument, NULL, 's'},
	    {"timeout", required_argument, NULL, 't'},
	    {"allow-unfiltered", no_argument, NULL, 'u'},
	    {"best-effort", no_argument, NULL, 'e'},
	    {"watch", no_argument, NULL, 'w'},
	    {"check", no_argument, NULL, 'k'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	static const struct option undo_options[] = {
	    {"bin-dir", required_argument, NULL, 'b'},
	    {"net-dir", required_argument, NULL, 'n'},
	    {"watch", no_argument, NULL, 'w'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	const struct option *known = o->undo ? undo_options : options;
	bool ok = true;
	int option;

	while (ok && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		switch (option) {
		case 'b':
			o->places.bin_dir = optarg;
			break;
		case 'n':
			o->places.net_dir = optarg;
			break;
		case 'f':
			ok = take_file(optarg, &o->places);
			break;
		case 's':
			ok = take_socket(optarg, &o->places.plugin);
			break;
		case 't':
			ok = take_timeout(optarg, &o->places.plugin);
			break;
		case 'u':
			o->places.plugin.allow_unfiltered = true;
			break;
		case 'e':
			o->best_effort = true;
			break;
		case 'w':
			o->watch = true;
			break;
		case 'k':
			o->check = true;
			break;
		case 'h':
			print_help();
			return 0;
		default:
			return EXIT_MISTAKE; /* getopt has said why */
		}
	}
	if (!ok)
		return EXIT_MISTAKE;
	if (optind != argc || (o->watch && o->check)) {
		(void)fprintf(stderr, "ringfence-cni: %s (try --help)\n",
		    optind != argc ? argv[optind]
				   : "--watch and --check exclude each other");
		return EXIT_MISTAKE;
	}
	return -1;
}

int
install_command(int argc, char **argv)
{
	struct options o = {.places = {.bin_dir = DEFAULT_BIN, .net_dir = DEFAULT_NET}};
	int status;

	o.undo = strcmp(argv[0], "uninstall") == 0;
	status = read_options(argc, argv, &o);
	log_setup("cni", LOG_INFO, LOG_FORMAT_TEXT);
	if (status >= 0)
		return status;
	if (o.watch)
		return watch(&o);
	if (o.undo)
		return uninstall_once(&o);
	return o.check ? check_once(&o) : install_once(&o);
}
