/*
 * The API server, through `kubectl proxy` on a socket in our own directory: one process signs in, by
 * whatever means the user's kubeconfig names, and all requests go through it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "policy-lang/kubectl/plugin.h"

#define START_TRIES                                                                    \
	400 /* to begin, which takes a while on a machine that has much to do */
#define START_WAIT_NS 50000000L
#define ANSWER_BYTES  (256u * 1024 * 1024)

struct server {
	pid_t pid;
	const char *socket;
	CURL *curl;
	struct buf answer;
};

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct buf *answer = arg;

	if (answer->len + size * count > ANSWER_BYTES)
		return 0;
	buf_add(answer, data, size * count);
	return size * count;
}

/* ---- kubectl ---- */

static bool
has_ended(struct server *s)
{
	if (waitpid(s->pid, NULL, WNOHANG) == 0)
		return false;
	s->pid = -1;
	return true;
}

/* Its standard output is not ours; what it complains of is. */
static _Noreturn void
become_proxy(char *const *argv)
{
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    freopen("/dev/null", "w", stdout) == NULL)
		_exit(127);
	(void)execvp(argv[0], argv); /* returns only when it fails */
	_exit(127);
}

/* Its file is there a little before anybody listens. */
static bool
listens(const struct server *s)
{
	CURL *curl = curl_easy_duphandle(s->curl);
	const bool ok =
	    curl != NULL &&
	    curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/") == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
	    curl_easy_perform(curl) == CURLE_OK;

	curl_easy_cleanup(curl);
	return ok;
}

static bool
wait_for_socket(struct server *s)
{
	const struct timespec wait = {0, START_WAIT_NS};

	for (int i = 0; i < START_TRIES; i++) {
		if (listens(s))
			return true;
		if (has_ended(s))
			return plugin_fail("kubectl cannot be used") == 0;
		(void)nanosleep(&wait, NULL); /* cut short is fine */
	}
	return plugin_fail("kubectl proxy does not begin") == 0;
}

static bool
start(struct plugin *p, struct server *s)
{
	const char *words[] = {"proxy", "--unix-socket", s->socket, NULL};
	char *const *argv = call_kubectl_words(p, words);
	const bool ready =
	    (s->curl = curl_easy_init()) != NULL &&
	    curl_easy_setopt(s->curl, CURLOPT_UNIX_SOCKET_PATH, s->socket) ==
		CURLE_OK &&
	    curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	    curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, &s->answer) == CURLE_OK &&
	    curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(s->curl, CURLOPT_NOPROXY, "*") == CURLE_OK;

	if (!ready)
		return plugin_fail("curl cannot be set up") == 0;
	(void)fflush(NULL); /* what is not written is lost by whoever reads */
	s->pid = fork();
	if (s->pid == 0)
		become_proxy(argv);
	return s->pid > 0 && wait_for_socket(s);
}

static struct server *
server_of(struct plugin *p)
{
	if (p->server == NULL && plugin_directory(p)) {
		p->server = xcalloc(1, sizeof(*p->server));
		p->server->socket = arena_printf(p->arena, "%s/proxy", p->directory);
		p->server_works = start(p, p->server);
	}
	return p->server_works ? p->server : NULL;
}

void
server_stop(struct plugin *p)
{
	struct server *s = p->server;

	if (s == NULL)
		return;
	if (s->pid > 0 && kill(s->pid, SIGTERM) == 0)
		(void)waitpid(s->pid, NULL, 0); /* it ends, or has ended */
	curl_easy_cleanup(s->curl);
	buf_free(&s->answer);
	free(s);
	p->server = NULL;
	p->server_works = false;
}

/* ---- requests ---- */

/* "(Forbidden) policies.ringfence.dev is forbidden: ..." of a Status. */
static const char *
refusal(const struct plugin *p, long status, const json_t *said)
{
	const char *reason = json_string_value(json_object_get(said, "reason"));
	const char *message = json_string_value(json_object_get(said, "message"));

	if (reason == NULL && status == 404)
		reason = "NotFound"; /* a path that is not served is told in text */
	if (reason == NULL)
		reason = "no Status";
	return arena_printf(p->arena, "(%s) %s", reason,
	    message != NULL ? message : arena_printf(p->arena, "status %ld", status));
}

json_t *
server_get(struct plugin *p, const char *path, const char **out_why)
{
	const char *url = arena_printf(p->arena, "http://localhost%s", path);
	struct server *s = server_of(p);
	json_t *json;
	long status = 0;
	CURLcode rc;

	*out_why = "there is no way to the API server";
	if (s == NULL)
		return NULL;
	buf_clear(&s->answer);
	rc = curl_easy_setopt(s->curl, CURLOPT_URL, url);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(s->curl);
	if (rc == CURLE_OK)
		rc = curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc != CURLE_OK) {
		*out_why = curl_easy_strerror(rc);
		return NULL;
	}
	json = json_loadb(
	    s->answer.data != NULL ? s->answer.data : "", s->answer.len, 0, NULL);
	*out_why = "what came is not JSON";
	if (status == 200)
		return json;
	*out_why = refusal(p, status, json);
	json_decref(json);
	return NULL;
}
