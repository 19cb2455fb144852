/*
 * Other programs, run without a shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policy-lang/kubectl/plugin.h"

#define WORDS_MAX 256u

/* One end that the child writes to; -1: it writes where we do. */
struct channel {
	struct buf *out;
	int read, write;
};

static bool
open_channel(struct channel *c)
{
	int fds[2];

	c->read = c->write = -1;
	if (c->out == NULL)
		return true;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	c->read = fds[0];
	c->write = fds[1];
	return true;
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing to lose */
	*fd = -1;
}

static _Noreturn void
become(char *const *argv, const char *directory, const struct channel channels[2])
{
	if ((channels[0].write >= 0 && dup2(channels[0].write, STDOUT_FILENO) < 0) ||
	    (channels[1].write >= 0 && dup2(channels[1].write, STDERR_FILENO) < 0) ||
	    (directory != NULL && chdir(directory) != 0))
		_exit(127);
	(void)execvp(argv[0], argv); /* returns only when it fails */
	_exit(127);
}

/* Reads both until both have ended. */
static void
read_all(struct channel channels[2])
{
	char chunk[65536];

	while (channels[0].read >= 0 || channels[1].read >= 0) {
		struct pollfd polled[2] = {
		    {channels[0].read, POLLIN, 0}, {channels[1].read, POLLIN, 0}};

		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (channels[i].read < 0 || polled[i].revents == 0)
				continue;
			n = read(channels[i].read, chunk, sizeof(chunk));
			if (n > 0)
				buf_add(channels[i].out, chunk, (size_t)n);
			else if (n == 0 || errno != EINTR)
				close_end(&channels[i].read);
		}
	}
}

int
call_program(
    char *const *argv, const char *directory, struct buf *out, struct buf *problem)
{
	struct channel channels[2] = {{.out = out}, {.out = problem}};
	int status = -1, rc;
	pid_t child = -1;

	if (open_channel(&channels[0]) && open_channel(&channels[1])) {
		(void)fflush(NULL); /* what is not written is lost by whoever reads */
		child = fork();
	}
	if (child == 0)
		become(argv, directory, channels);
	close_end(&channels[0].write);
	close_end(&channels[1].write);
	if (child > 0) {
		read_all(channels);
		do
			rc = waitpid(child, &status, 0);
		while (rc < 0 && errno == EINTR);
		status = rc == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	}
	close_end(&channels[0].read);
	close_end(&channels[1].read);
	if (status == 127)
		(void)plugin_fail("%s cannot be run", argv[0]);
	return status;
}

struct words {
	char *argv[WORDS_MAX];
	size_t count;
};

static void
add_words(struct words *w, struct arena *arena, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count && words[i] != NULL; i++) {
		if (w->count == WORDS_MAX - 1)
			base_die("too many words");
		w->argv[w->count++] = arena_strndup(arena, words[i], strlen(words[i]));
	}
	w->argv[w->count] = NULL;
}

char *const *
call_kubectl_words(const struct plugin *p, const char *const *words)
{
	static const char *const kubectl[] = {"kubectl", NULL};
	struct words *w = ARENA_NEW(p->arena, struct words);

	add_words(w, p->arena, kubectl, 1);
	add_words(w, p->arena, p->kubectl, p->kubectl_count);
	add_words(w, p->arena, words, SIZE_MAX);
	return w->argv;
}

int
call_kubectl(const struct plugin *p, const char *const *words, struct buf *out,
    struct buf *problem)
{
	return call_program(call_kubectl_words(p, words), NULL, out, problem);
}

/* The one that lies beside this program, or that of PATH. */
static const char *
ringfence_program(struct arena *arena)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path));
	const char *beside;

	if (len <= 0 || (size_t)len == sizeof(path))
		return "ringfence";
	while (len > 0 && path[len - 1] != '/')
		len--;
	beside = arena_printf(arena, "%.*sringfence", (int)len, path);
	return access(beside, X_OK) == 0 ? beside : "ringfence";
}

int
call_ringfence(const struct plugin *p, const char *const *words)
{
	const char *program[] = {ringfence_program(p->arena), NULL};
	struct words w = {.count = 0};
	int status;

	add_words(&w, p->arena, program, 1);
	add_words(&w, p->arena, words, SIZE_MAX);
	status = call_program(w.argv, p->directory, NULL, NULL);
	return status < 0 ? PLUGIN_ERROR : status;
}
