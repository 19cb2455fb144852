#include "enforcer/client/client_follow.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "enforcer/client/client_flows.h"
#include "enforcer/client/client_link.h"

#define ALL_FLOWS 1000      /* that the daemon keeps */
#define RETRY_NS  200000000 /* between looks whether there is a daemon */

struct follower {
	const struct client_options *c;
	struct client_flows lines;
	struct client_flows_place place; /* up to which everything was told */
	bool waiting;                    /* for another daemon, since: */
	monotime_t since;
};

/* With a filter all that the daemon keeps; to follow, a mark where that ends. */
static void
ask_first(const struct client_options *c, struct buf *out)
{
	buf_printf(out, "%s %llu%s\n", c->follow ? "flows-follow" : "flows",
	    c->filter.any ? ALL_FLOWS : (unsigned long long)c->count,
	    c->follow ? " mark" : "");
}

/* What came since. Of a daemon that tells no places, what comes from now on. */
static void
ask_again(const struct client_flows_place *from, struct buf *out)
{
	if (from->known)
		buf_printf(out, "flows-follow %d mark %llu %llu\n", ALL_FLOWS,
		    (unsigned long long)from->engine,
		    (unsigned long long)from->records);
	else
		buf_add_cstr(out, "flows-follow 0 mark\n");
}

/* How much there was between two places that was not told: what the daemon counted alone. */
static void
tell_missed(const struct follower *f)
{
	const struct client_flows_place *was = &f->place, *now = &f->lines.place;
	const bool same = was->engine == now->engine;
	const uint64_t came = now->records - (same ? was->records : 0);
	const uint64_t lost = now->lost - (same ? was->lost : 0);

	(void)fprintf(stderr, "ringfence-enforcer flows: it goes on; missed: ");
	if (!was->known || !now->known)
		(void)fprintf(stderr, "it is not known how many");
	else
		(void)fprintf(stderr, "%llu records%s",
		    (unsigned long long)(came - f->lines.told_before),
		    same ? "" : ", and what had not been told when it ended");
	if (was->known && now->known && lost != 0)
		(void)fprintf(
		    stderr, ", %llu logged packets", (unsigned long long)lost);
	(void)fputc('\n', stderr);
}

/* What has come is printed. False if it cannot be, or is an error. */
static bool
take(struct follower *f, struct str data)
{
	if (!client_flows_take(&f->lines, data))
		return false;
	if (f->waiting && f->lines.marked) {
		tell_missed(f);
		f->waiting = false;
	}
	return true;
}

/* As read: 0 where the daemon ends, -1 where the connection breaks; 1 if it is no use to go
 * on. */
static ssize_t
take_all(struct follower *f, int fd)
{
	char chunk[65536];
	ssize_t n;

	do {
		n = client_read(f->c, fd, chunk, sizeof(chunk));
		if (n > 0 && !take(f, (struct str){chunk, (size_t)n}))
			return 1;
	} while (n > 0);
	return n;
}

/* The next connection; -1: there is no daemon any more. */
static int
reconnect(struct follower *f)
{
	const struct timespec wait = {.tv_nsec = RETRY_NS};
	const uint64_t limit_ns = f->c->timeout_s * UINT64_C(1000000000);
	struct buf question = {0};
	int fd = -1;

	if (!f->waiting) {
		(void)client_mistake(
		    f->c, "the daemon has ended; waiting for another", NULL);
		f->place = f->lines.place;
		f->since = monotime_now();
		f->waiting = true;
	}
	client_flows_restart(&f->lines);
	ask_again(&f->place, &question);
	do {
		(void)nanosleep(&wait, NULL); /* a signal ends us */
		fd = client_try(f->c, &question);
	} while (fd < 0 && monotime_since(f->since, monotime_now()) < limit_ns);
	buf_free(&question);
	return fd;
}

/* Returns when nobody reads any more, or there is no daemon. */
static void
follow(struct follower *f, int fd)
{
	while (fd >= 0 && take_all(f, fd) != 1) {
		(void)close(fd); /* only read from */
		fd = reconnect(f);
	}
	if (fd >= 0)
		(void)close(fd); /* the same */
	else
		(void)client_mistake(f->c, "there is no daemon any more", NULL);
}

/* What there is, to its end. */
static bool
read_once(struct follower *f, int fd)
{
	bool ok = take_all(f, fd) == 0 && client_flows_end(&f->lines);

	(void)close(fd); /* only read from */
	if (ok && f->lines.rest.len != 0)
		ok = client_mistake(
			 f->c, "the answer ends in the midst of a line", NULL) == 0;
	return ok;
}

/* Scripts read flows as they read the flow log. */
int
client_follow_run(const struct client_options *c)
{
	struct follower f = {
	    .c = c, .lines = {.format = c->format, .filter = &c->filter}};
	struct buf question = {0};
	bool ok = false;
	int fd;

	if (c->format == CLIENT_FORMAT_DEFAULT && isatty(STDOUT_FILENO) == 1)
		f.lines.format = CLIENT_FORMAT_TEXT;
	if (c->filter.any)
		client_flows_hold(&f.lines, c->count);
	ask_first(c, &question);
	fd = client_ask(c, &question);
	if (fd >= 0 && c->follow)
		follow(&f, fd);
	else if (fd >= 0)
		ok = read_once(&f, fd);
	if (f.lines.error[0] != '\0')
		(void)client_mistake(c, f.lines.error, NULL);
	buf_free(&question);
	client_flows_fini(&f.lines);
	return ok ? 0 : EXIT_MISTAKE;
}
