#include "enforcer/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/map.h"

#define QUIET_MS   50   /* without an event: what was written is whole */
#define MOST_MS    500  /* however much goes on */
#define LOOK_MS    1000 /* the safety net ... */
#define LOOK_SHARE 50   /* ... takes at most 1/50 of the time */
#define EVENTS                                                                         \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |        \
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

struct directory {
	struct sources *sources;
	const char *path;
	size_t index;
	uint64_t signature; /* of what was there when it was last told */
	uv_timer_t settle;
	monotime_t first_event; /* 0: none since it was told */
};

struct watch {
	int id;
	size_t directory;
};

struct sources {
	uv_loop_t *loop;
	int inotify;
	uv_poll_t poll;
	uv_timer_t look;
	struct directory *directories;
	size_t count;
	struct watch *watches; /* unsorted; few */
	size_t watch_count, watch_cap;
	sources_changed_fn changed;
	void *arg;
	unsigned open_handles;
};

/* ---- watches ---- */

static void
remember_watch(struct sources *s, int id, size_t directory)
{
	for (size_t i = 0; i < s->watch_count; i++) {
		if (s->watches[i].id == id && s->watches[i].directory == directory)
			return;
	}
	if (s->watch_count == s->watch_cap) {
		s->watch_cap = s->watch_cap != 0 ? s->watch_cap * 2 : 16;
		s->watches =
		    xreallocarray(s->watches, s->watch_cap, sizeof(*s->watches));
	}
	s->watches[s->watch_count++] = (struct watch){id, directory};
}

static void
forget_watch(struct sources *s, int id)
{
	for (size_t i = 0; i < s->watch_count;) {
		if (s->watches[i].id == id)
			s->watches[i] = s->watches[--s->watch_count];
		else
			i++;
	}
}

/* ---- looking ---- */

/* One look at a tree: sums up what is there, and watches each directory on the way. */
struct look {
	struct sources *sources;
	size_t directory;
	uint64_t sum;
	size_t entries;
};

static void
add_entry(struct look *l, struct str path, const struct stat *st)
{
	struct buf text = {0};

	/* Order does not matter in a sum, and readdir has none. */
	buf_add_str(&text, path);
	buf_printf(&text, "|%llu|%llu|%lld|%lld.%ld|%lld.%ld|%o",
	    (unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
	    (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
	    (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, (unsigned)st->st_mode);
	l->sum += map_siphash(1, 2, buf_str(&text));
	l->entries++;
	buf_free(&text);
}

/* A link's path through /proc would not do: inotify wants a name, and a directory that was
 * renamed meanwhile is found by the next look. */
static void
watch_directory(struct look *l, const char *path)
{
	int id = inotify_add_watch(l->sources->inotify, path, EVENTS);

	if (id >= 0)
		remember_watch(l->sources, id, l->directory);
	else if (errno == ENOSPC)
		log_warn("source-watch",
		    "directory=%s detail=\"no more watches "
		    "(fs.inotify.max_user_watches): "
		    "changes are noticed late\"",
		    log_quote(str_from(path)));
}

static void look_at(struct look *l, struct buf *path, unsigned depth);

static void
look_at_entry(
    struct look *l, struct buf *path, const char *name, int dir_fd, unsigned depth)
{
	size_t len = path->len;
	struct stat st;

	/* Hidden files are no policy, but ..data is what others link to. */
	if (name[0] == '.' && strcmp(name, "..data") != 0)
		return;
	if (fstatat(dir_fd, name, &st, 0) != 0)
		return;
	buf_printf(path, "/%s", name);
	add_entry(l, buf_str(path), &st);
	if (S_ISDIR(st.st_mode) && name[0] != '.' && depth < LIMIT_BUNDLE_DEPTH)
		look_at(l, path, depth + 1);
	path->len = len;
	path->data[len] = '\0';
}

static void
look_at(struct look *l, struct buf *path, unsigned depth)
{
	const struct dirent *entry;
	DIR *dir;

	watch_directory(l, path->data); /* before it is read */
	dir = opendir(path->data);
	if (dir == NULL)
		return; /* reading it will say why */
	while ((entry = readdir(dir)) != NULL && l->entries < LIMIT_BUNDLE_FILES)
		look_at_entry(l, path, entry->d_name, dirfd(dir), depth);
	(void)closedir(dir); /* only read from */
}

static uint64_t
take_signature(struct directory *d)
{
	struct look l = {.sources = d->sources, .directory = d->index};
	struct buf path = {0};
	struct stat st;

	buf_add_cstr(&path, d->path);
	if (stat(d->path, &st) == 0) {
		add_entry(&l, STR(""), &st);
		look_at(&l, &path, 0);
	}
	buf_free(&path);
	return l.sum;
}

/* ---- telling ---- */

static void
tell(struct directory *d)
{
	struct sources *s = d->sources;

	d->first_event.ns = 0;
	(void)uv_timer_stop(&d->settle); /* cannot fail */
	d->signature = take_signature(d);
	s->changed(s->arg, d->index);
}

static void
on_settled(uv_timer_t *timer)
{
	tell(timer->data);
}

static void
note_event(struct directory *d)
{
	monotime_t now = monotime_now();
	uint64_t waited_ms, wait_ms;

	if (d->first_event.ns == 0)
		d->first_event = now;
	waited_ms = monotime_since(d->first_event, now) / 1000000;
	wait_ms = waited_ms >= MOST_MS             ? 0
		  : waited_ms + QUIET_MS > MOST_MS ? MOST_MS - waited_ms
						   : QUIET_MS;
	if (uv_timer_start(&d->settle, on_settled, wait_ms, 0) != 0)
		base_die("cannot start a timer");
}

static void
on_look(uv_timer_t *timer)
{
	struct sources *s = timer->data;
	monotime_t start = monotime_now();
	uint64_t took_ms, next_ms;

	for (size_t i = 0; i < s->count; i++) {
		struct directory *d = &s->directories[i];

		if (d->first_event.ns == 0 && take_signature(d) != d->signature)
			tell(d);
	}
	took_ms = monotime_since(start, monotime_now()) / 1000000;
	next_ms = took_ms * LOOK_SHARE > LOOK_MS ? took_ms * LOOK_SHARE : LOOK_MS;
	if (uv_timer_start(&s->look, on_look, next_ms, 0) != 0)
		base_die("cannot start a timer");
}

/* ---- events ---- */

static void
on_event(struct sources *s, const struct inotify_event *event)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		for (size_t i = 0; i < s->count; i++)
			note_event(&s->directories[i]);
		return;
	}
	for (size_t i = 0; i < s->watch_count; i++) {
		if (s->watches[i].id == event->wd)
			note_event(&s->directories[s->watches[i].directory]);
	}
	if ((event->mask & IN_IGNORED) != 0)
		forget_watch(s, event->wd);
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	struct sources *s = poll->data;
	_Alignas(struct inotify_event) char data[16384];
	ssize_t n;

	(void)status; /* an error shows in read */
	(void)events; /* only readability is watched */
	while ((n = read(s->inotify, data, sizeof(data))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *event = (const void *)(data + at);

			on_event(s, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
}

/* ---- life ---- */

static void
handle_closed(struct sources *s)
{
	if (--s->open_handles != 0)
		return;
	(void)close(s->inotify); /* only read from */
	free(s->directories);
	free(s->watches);
	free(s);
}

static void
on_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

static void
on_settle_closed(uv_handle_t *handle)
{
	handle_closed(((struct directory *)handle->data)->sources);
}

int
sources_new(uv_loop_t *loop, const char *const *directories, size_t count,
    sources_changed_fn changed, void *arg, struct sources **out_sources,
    struct err *err)
{
	struct sources *s = xcalloc(1, sizeof(*s));

	s->loop = loop;
	s->changed = changed;
	s->arg = arg;
	s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->inotify < 0) {
		free(s);
		return err_sys(err, "cannot watch directories");
	}
	s->directories = xcalloc(count != 0 ? count : 1, sizeof(*s->directories));
	s->poll.data = s->look.data = s;
	if (uv_poll_init(loop, &s->poll, s->inotify) != 0 ||
	    uv_timer_init(loop, &s->look) != 0 ||
	    uv_poll_start(&s->poll, UV_READABLE, on_readable) != 0 ||
	    uv_timer_start(&s->look, on_look, LOOK_MS, 0) != 0)
		base_die("cannot make handles");
	s->open_handles = 2;
	for (size_t i = 0; i < count; i++) {
		struct directory *d = &s->directories[i];

		*d = (struct directory){
		    .sources = s, .path = directories[i], .index = i};
		if (uv_timer_init(loop, &d->settle) != 0)
			base_die("cannot make handles");
		d->settle.data = d;
		s->open_handles++;
		s->count++;
	}
	*out_sources = s;
	for (size_t i = 0; i < count; i++)
		tell(&s->directories[i]);
	return 0;
}

void
sources_free(struct sources *s)
{
	if (s == NULL)
		return;
	(void)uv_poll_stop(&s->poll); /* of an open handle: cannot fail */
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->look, on_closed);
	for (size_t i = 0; i < s->count; i++)
		uv_close((uv_handle_t *)&s->directories[i].settle, on_settle_closed);
}
