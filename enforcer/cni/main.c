/*
 * ringfence-cni: a plugin at the end of a chain, which holds a workload's start until policy
 * for it is in force on this node.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "enforcer/cni/ask.h"
#include "enforcer/cni/filtered.h"
#include "enforcer/cni/install.h"

#define SLICE_MS 2000 /* the longest that one question waits; */
#define GRACE_MS 1000 /* and for its answer, if the daemon is busy */
#define AGAIN_MS 100  /* between two */
#define CHECK_S  5
#define SHORT_MS 3000 /* for what need not wait */

/* ---- questions ---- */

static void
add_key(struct buf *out, struct str container, struct str interface)
{
	buf_add_str(out, container);
	buf_add_char(out, '/');
	buf_add_str(out, interface);
}

static void
make_attach(const struct cni_request *r, uint64_t wait_ms, struct buf *out)
{
	char text[IP_TEXT_BYTES];

	buf_clear(out);
	buf_add_cstr(out, "attach ");
	add_key(out, r->container, r->interface);
	buf_printf(out, " %s %s ", r->namespace[0] != '\0' ? r->namespace : "-",
	    r->pod[0] != '\0' ? r->pod : "-");
	for (size_t i = 0; i < r->addr_count; i++)
		buf_printf(
		    out, "%s%s", i != 0 ? "," : "", ip_format(&r->addrs[i], text));
	buf_printf(out, " %llu", (unsigned long long)wait_ms);
}

static void
pause_ms(uint64_t ms)
{
	const struct timespec rest = {
	    .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&rest, NULL); /* shorter is fine */
}

/* Asks until it is in force or patience ends: the daemon may be starting, or be busy, and
 * others wait, too. `why` says what was missing last. */
static bool
wait_until_in_force(const struct cni_request *r, unsigned seconds, char *why)
{
	struct cni_patience patience = cni_patience_of(seconds * UINT64_C(1000));
	uint64_t left = cni_patience_left(&patience);
	struct buf question = {0};
	bool in_force = false;

	for (;;) {
		uint64_t wait_ms = left < SLICE_MS ? left : SLICE_MS;
		struct cni_patience slice = cni_patience_of(wait_ms + GRACE_MS);
		json_t *answer;
		const char *error;

		make_attach(r, wait_ms, &question);
		answer = cni_ask(r->socket, &slice, buf_str(&question), why);
		error = json_string_value(json_object_get(answer, "error"));
		if (error != NULL)
			(void)snprintf(why, CNI_TEXT_BYTES, "%s", error);
		in_force = json_is_true(json_object_get(answer, "inForce"));
		json_decref(answer);
		left = cni_patience_left(&patience);
		if (in_force || left == 0)
			break;
		pause_ms(left < AGAIN_MS ? left : AGAIN_MS);
	}
	buf_free(&question);
	return in_force;
}

/* ---- commands ---- */

/* Prints a value in one line; it is ours no more. */
static bool
print_json(json_t *value)
{
	int rc = json_dumpf(value, stdout, JSON_ENCODE_ANY);

	json_decref(value);
	return rc == 0 && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
}

/* What plugins before this one made is passed on as it is. */
static bool
print_previous(const struct cni_request *r, struct cni_error *error)
{
	json_t *result = json_copy(r->previous);

	if (json_object_set_new(result, "cniVersion", json_string(r->version)) != 0 ||
	    !print_json(result)) {
		cni_fail(
		    error, CNI_IO, strerror(errno), "the result cannot be written");
		return false;
	}
	return true;
}

/* What policy does not reach must not seem to be fenced. */
static bool
is_filtered(const struct cni_request *r, struct cni_error *error)
{
	char why[CNI_TEXT_BYTES] = "";

	if (r->allow_unfiltered || cni_is_filtered(r, getenv("CNI_NETNS"), why))
		return true;
	cni_fail(error, CNI_UNFILTERED, why,
	    "policy cannot be enforced for the container (\"unfiltered\": \"allow\" "
	    "in the configuration of ringfence-cni starts it all the same)");
	return false;
}

static bool
run_add(const struct cni_request *r, struct cni_error *error)
{
	char why[CNI_TEXT_BYTES] = "";

	if (!is_filtered(r, error))
		return false;
	if (!wait_until_in_force(r, r->timeout_s, why)) {
		cni_fail(error, CNI_TRY_LATER, why,
		    "policy for the container is not in force after %u s",
		    r->timeout_s);
		return false;
	}
	return print_previous(r, error);
}

/* What is gone is gone: there is nothing here that could fail. */
static bool
run_del(const struct cni_request *r, struct cni_error *error)
{
	struct cni_patience patience = cni_patience_of(SHORT_MS);
	struct buf question = {0};
	char why[CNI_TEXT_BYTES];

	(void)error;
	buf_add_cstr(&question, "detach ");
	add_key(&question, r->container, r->interface);
	json_decref(cni_ask(r->socket, &patience, buf_str(&question), why));
	buf_free(&question);
	return true;
}

static bool
run_check(const struct cni_request *r, struct cni_error *error)
{
	char why[CNI_TEXT_BYTES] = "";

	if (!is_filtered(r, error))
		return false;
	if (wait_until_in_force(r, CHECK_S, why))
		return true;
	cni_fail(
	    error, CNI_NOT_IN_FORCE, why, "policy for the container is not in force");
	return false;
}

/* {"containerID": ..., "ifname": ...}; what is none is left out: it was never attached. */
static void
add_valid(struct buf *out, json_t *item, bool *some)
{
	const char *container = json_string_value(json_object_get(item, "containerID"));
	const char *interface = json_string_value(json_object_get(item, "ifname"));

	if (container == NULL || interface == NULL ||
	    strpbrk(container, " ,\n") != NULL || strpbrk(interface, " ,\n") != NULL)
		return;
	if (*some)
		buf_add_char(out, ',');
	add_key(out, str_from(container), str_from(interface));
	*some = true;
}

static bool
run_gc(const struct cni_request *r, struct cni_error *error)
{
	struct cni_patience patience = cni_patience_of(SHORT_MS);
	struct buf question = {0};
	char why[CNI_TEXT_BYTES];
	bool some = false;
	json_t *item, *answer;
	size_t i;

	/* Runtimes in Go write null for a list that has nothing in it. */
	if (!json_is_array(r->valid) && !json_is_null(r->valid)) {
		cni_fail(error, CNI_BAD_CONFIG, "cni.dev/valid-attachments",
		    "\"cni.dev/valid-attachments\" is no list");
		return false;
	}
	buf_add_cstr(&question, "keep ");
	json_array_foreach(r->valid, i, item) add_valid(&question, item, &some);
	if (!some)
		buf_add_char(&question, '-');
	answer = cni_ask(r->socket, &patience, buf_str(&question), why);
	buf_free(&question);
	if (answer == NULL)
		return true; /* a daemon that is not there keeps nothing */
	item = json_object_get(answer, "error");
	if (item != NULL)
		cni_fail(error, CNI_IO, json_string_value(item),
		    "the enforcer forgets nothing");
	json_decref(answer);
	return error->code == CNI_OK;
}

/* Ready while policy is in force, be it the last good one. */
static bool
run_status(const struct cni_request *r, struct cni_error *error)
{
	struct cni_patience patience = cni_patience_of(SHORT_MS);
	char why[CNI_TEXT_BYTES] = "";
	json_t *answer = cni_ask(r->socket, &patience, STR("status"), why);
	const char *state = json_string_value(json_object_get(answer, "state"));
	bool ready = state != NULL &&
		     (strcmp(state, "enforcing") == 0 || strcmp(state, "stale") == 0);

	if (!ready)
		cni_fail(error, CNI_UNAVAILABLE, state != NULL ? state : why,
		    "no policy is in force on this node");
	json_decref(answer);
	return ready;
}

static bool
run_version(const struct cni_request *r, struct cni_error *error)
{
	json_t *list = json_array();
	const char *newest = cni_versions[cni_version_count - 1];

	for (size_t i = 0; i < cni_version_count; i++) {
		if (json_array_append_new(list, json_string(cni_versions[i])) != 0)
			base_die("out of memory");
	}
	if (print_json(json_pack("{s:s, s:o}", "cniVersion",
		r->version != NULL ? r->version : newest, "supportedVersions", list)))
		return true;
	cni_fail(error, CNI_IO, strerror(errno), "the answer cannot be written");
	return false;
}

static bool (*const runs[])(const struct cni_request *r, struct cni_error *error) = {
    [CNI_ADD] = run_add,
    [CNI_DEL] = run_del,
    [CNI_CHECK] = run_check,
    [CNI_GC] = run_gc,
    [CNI_STATUS] = run_status,
    [CNI_VERSION] = run_version,
};

/* ---- all of it ---- */

static bool
read_input(struct buf *out)
{
	char chunk[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		buf_add(out, chunk, (size_t)n);
		if (out->len > CNI_INPUT_BYTES)
			return true; /* refused by its length */
	}
	return true;
}

static int
print_error(const struct cni_request *r, const struct cni_error *error)
{
	json_t *json = json_pack("{s:s, s:i, s:s}", "cniVersion",
	    r->version != NULL ? r->version : cni_versions[cni_version_count - 1],
	    "code", (int)error->code, "msg", error->msg);

	/* Of a text that is cut in the middle of a letter nothing is told. */
	if (error->details[0] != '\0')
		(void)json_object_set_new(json, "details", json_string(error->details));
	(void)print_json(json); /* there is nobody else to tell */
	return EXIT_FAILURE;
}

static void
print_help(void)
{
	(void)printf(
	    "ringfence-cni %s: a CNI plugin, run by container runtimes at the end "
	    "of a chain.\n`ringfence-cni install --help` and `uninstall` put it "
	    "there. See ringfence-cni(8).\n",
	    RINGFENCE_VERSION);
}

int
main(int argc, char **argv)
{
	const struct cni_environment env = {
	    .command = getenv("CNI_COMMAND"),
	    .container = getenv("CNI_CONTAINERID"),
	    .netns = getenv("CNI_NETNS"),
	    .interface = getenv("CNI_IFNAME"),
	    .args = getenv("CNI_ARGS"),
	    .path = getenv("CNI_PATH"),
	};
	struct cni_request request = {0};
	struct cni_error error = {0};
	struct buf input = {0};
	int status = EXIT_SUCCESS;

	if (argc > 1 &&
	    (strcmp(argv[1], "install") == 0 || strcmp(argv[1], "uninstall") == 0))
		return install_command(argc - 1, argv + 1);
	if (argc > 1 || env.command == NULL) {
		print_help();
		return argc == 2 && (strcmp(argv[1], "--help") == 0 ||
					strcmp(argv[1], "--version") == 0)
			   ? EXIT_SUCCESS
			   : EXIT_FAILURE;
	}
	if (!read_input(&input))
		cni_fail(
		    &error, CNI_IO, strerror(errno), "standard input cannot be read");
	else if (cni_request_read(&env, buf_str(&input), &request, &error))
		(void)runs[request.command](
		    &request, &error); /* it says so in `error` */
	if (error.code != CNI_OK)
		status = print_error(&request, &error);
	cni_request_fini(&request);
	buf_free(&input);
	return status;
}
