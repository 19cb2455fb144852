#include "enforcer/parent/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/map.h"
#include "enforcer/wire/pace.h"

/* That a look sees: files that are taken, directories, and files of other names. */
#define MOST_ENTRIES (2 * (size_t)LIMIT_BUNDLE_FILES)

#define LOOK_MS    1000 /* the safety net ... */
#define LOOK_SHARE 50   /* ... takes at most 1/50 of the time */
#define EVENTS                                                                         \
	(IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |        \
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

/* Something that a directory has: a file, or a directory below it. */
struct entry {
	uint64_t signature; /* when it was last told of */
	uint32_t pass;      /* the last look that saw it */
	char path[];
};

struct directory {
	struct sources *sources;
	char *path; /* without slashes at its end; on the heap */
	size_t index;
	struct map entries; /* by path */
	uint32_t pass;
	size_t seen; /* in this pass */
	/* Since it was last told: */
	monotime_t first_event; /* 0: nothing */
	bool whole;
	struct map dirty; /* paths of files, on the heap -> themselves */
	uv_timer_t settle;
};

struct watch {
	int id;
	size_t directory;
	char *path;
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

/* ---- what has changed ---- */

static void
free_names(struct map *names)
{
	for (size_t i = 0; i < names->len; i++)
		free(names->entries[i].value);
	map_fini(names);
}

static void
forget_dirty(struct directory *d)
{
	free_names(&d->dirty);
	d->dirty = (struct map){0};
	d->whole = false;
}

static void
note_whole(struct directory *d)
{
	forget_dirty(d);
	d->whole = true;
}

static void
note_file(struct directory *d, struct str path)
{
	char *copy;

	if (d->whole || map_get(&d->dirty, path) != NULL)
		return;
	if (d->dirty.len == SOURCES_NAMES_MOST) {
		note_whole(d);
		return;
	}
	copy = xmalloc(path.len + 1);
	memcpy(copy, path.ptr, path.len);
	copy[path.len] = '\0';
	(void)map_set(&d->dirty, (struct str){copy, path.len}, copy); /* new */
}

/* ---- what there is ---- */

/* A directory is what it is, whatever comes and goes in it: that shows by itself. */
static uint64_t
signature_of(const struct stat *st)
{
	const uint64_t parts[] = {st->st_dev, st->st_ino, st->st_mode,
	    (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
	    (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
	    (uint64_t)st->st_ctim.tv_nsec};
	size_t count = S_ISDIR(st->st_mode) ? 3 : ARRAY_LEN(parts);

	return map_siphash(
	    1, 2, (struct str){(const char *)parts, count * sizeof(parts[0])});
}

/* True if it is new, or another than before. */
static bool
see(struct directory *d, struct str path, const struct stat *st)
{
	uint64_t signature = signature_of(st);
	struct entry *e = map_get(&d->entries, path);
	bool news = e == NULL || e->signature != signature;

	if (e == NULL) {
		e = xcalloc(1, sizeof(*e) + path.len + 1);
		memcpy(e->path, path.ptr, path.len);
		(void)map_set(&d->entries, (struct str){e->path, path.len}, e);
	}
	e->signature = signature;
	e->pass = d->pass;
	d->seen++;
	return news;
}

static void
unsee(struct directory *d, struct str path)
{
	free(map_remove(&d->entries, path));
}

static void
forget_entries(struct directory *d)
{
	for (size_t i = 0; i < d->entries.len; i++)
		free(d->entries.entries[i].value);
	map_fini(&d->entries);
}

/* ---- watches ---- */

static void
remember_watch(struct sources *s, int id, size_t directory, const char *path)
{
	for (size_t i = 0; i < s->watch_count; i++) {
		struct watch *w = &s->watches[i];

		if (w->id != id || w->directory != directory)
			continue;
		if (strcmp(w->path, path) != 0) { /* it was renamed */
			free(w->path);
			w->path = xstrdup(path);
		}
		return;
	}
	if (s->watch_count == s->watch_cap) {
		s->watch_cap = s->watch_cap != 0 ? s->watch_cap * 2 : 16;
		s->watches =
		    xreallocarray(s->watches, s->watch_cap, sizeof(*s->watches));
	}
	s->watches[s->watch_count++] = (struct watch){id, directory, xstrdup(path)};
}

static void
forget_watch(struct sources *s, int id)
{
	for (size_t i = 0; i < s->watch_count;) {
		if (s->watches[i].id == id) {
			free(s->watches[i].path);
			s->watches[i] = s->watches[--s->watch_count];
		} else {
			i++;
		}
	}
}

/* A link's path through /proc would not do: inotify wants a name, and a directory that was
 * renamed meanwhile is found by the next look. */
static void
watch_directory(struct directory *d, const char *path)
{
	int id = inotify_add_watch(d->sources->inotify, path, EVENTS);

	if (id >= 0)
		remember_watch(d->sources, id, d->index, path);
	else if (errno == ENOSPC)
		log_warn("source-watch",
		    "directory=%s detail=\"no more watches "
		    "(fs.inotify.max_user_watches): "
		    "changes are noticed late\"",
		    log_quote(str_from(path)));
}

/* ---- looking ---- */

/* Hidden files are no policy, but ..data is what others link to. */
static bool
is_hidden(const char *name)
{
	return name[0] == '.' && strcmp(name, "..data") != 0;
}

static void look_at(struct directory *d, struct buf *path, unsigned depth);

static void
look_at_entry(
    struct directory *d, struct buf *path, const char *name, int dir_fd, unsigned depth)
{
	size_t len = path->len;
	struct stat st;

	if (is_hidden(name) || fstatat(dir_fd, name, &st, 0) != 0)
		return;
	buf_printf(path, "/%s", name);
	if (see(d, buf_str(path), &st)) {
		if (S_ISDIR(st.st_mode))
			note_whole(d);
		else if (bundle_takes_name(str_from(name)))
			note_file(d, buf_str(path));
	}
	if (S_ISDIR(st.st_mode) && name[0] != '.' && depth < LIMIT_BUNDLE_DEPTH)
		look_at(d, path, depth + 1);
	path->len = len;
	path->data[len] = '\0';
}

static void
look_at(struct directory *d, struct buf *path, unsigned depth)
{
	const struct dirent *entry;
	DIR *dir;

	watch_directory(d, path->data); /* before it is read */
	dir = opendir(path->data);
	if (dir == NULL)
		return; /* reading it will say why */
	while ((entry = readdir(dir)) != NULL && d->seen < MOST_ENTRIES)
		look_at_entry(d, path, entry->d_name, dirfd(dir), depth);
	(void)closedir(dir); /* only read from */
}

/* What was seen before and is there no more. */
static void
miss_entries(struct directory *d)
{
	for (size_t i = 0; i < d->entries.len;) {
		struct entry *e = d->entries.entries[i].value;
		struct str path = d->entries.entries[i].key;
		const char *slash = strrchr(e->path, '/');

		if (e->pass == d->pass) {
			i++;
			continue;
		}
		if (slash != NULL && bundle_takes_name(str_from(slash + 1)))
			note_file(d, path);
		else
			note_whole(d);
		unsee(d, path); /* moves the last one here */
	}
}

/* Notes all that is another than when it was last seen. */
static void
look(struct directory *d)
{
	struct buf path = {0};
	struct stat st;

	d->pass++;
	d->seen = 0;
	buf_add_cstr(&path, d->path);
	if (stat(d->path, &st) == 0) {
		if (see(d, buf_str(&path), &st))
			note_whole(d);
		look_at(d, &path, 0);
	}
	miss_entries(d);
	buf_free(&path);
}

/* ---- telling ---- */

/* From now on the next look compares with what is told now. */
static void
see_again(struct directory *d)
{
	for (size_t i = 0; i < d->dirty.len; i++) {
		struct str path = d->dirty.entries[i].key;
		struct stat st;

		if (stat(path.ptr, &st) == 0)
			(void)see(d, path, &st); /* it is told anyway */
		else
			unsee(d, path);
	}
}

static void
tell(struct directory *d)
{
	struct sources *s = d->sources;
	struct sources_change change = {.whole = d->whole, .count = d->dirty.len};
	struct map dirty;
	const char **names;

	d->first_event.ns = 0;
	(void)uv_timer_stop(&d->settle); /* cannot fail */
	if (d->whole)
		look(d);
	else
		see_again(d);
	names = xcalloc(d->dirty.len + 1, sizeof(*names));
	for (size_t i = 0; i < d->dirty.len; i++)
		names[i] = d->dirty.entries[i].value;
	change.names = names;
	dirty = d->dirty; /* whoever is told may say that it is so again */
	d->dirty = (struct map){0};
	d->whole = false;
	s->changed(s->arg, d->index, &change);
	free(names);
	free_names(&dirty);
}

void
sources_again(struct sources *s, size_t index, const char *const *names, size_t count)
{
	struct directory *d = &s->directories[index];

	if (names == NULL)
		note_whole(d);
	for (size_t i = 0; i < count; i++)
		note_file(d, str_from(names[i]));
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
	uint64_t waited_ms;

	if (d->first_event.ns == 0)
		d->first_event = now;
	waited_ms = monotime_since(d->first_event, now) / 1000000;
	if (uv_timer_start(&d->settle, on_settled, pace_settle_ms(waited_ms), 0) != 0)
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

		if (d->first_event.ns != 0)
			continue;
		look(d);
		if (d->whole || d->dirty.len != 0)
			tell(d);
	}
	took_ms = monotime_since(start, monotime_now()) / 1000000;
	next_ms = took_ms * LOOK_SHARE > LOOK_MS ? took_ms * LOOK_SHARE : LOOK_MS;
	if (uv_timer_start(&s->look, on_look, next_ms, 0) != 0)
		base_die("cannot start a timer");
}

/* ---- events ---- */

/* Whether a name that is no policy file's may lead to some: a directory, or a link to one. */
static bool
may_lead(const struct directory *d, const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0)
		return S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode);
	return map_get(&d->entries, str_from(path)) != NULL; /* it was there */
}

/* Something happened to a name in a directory. False: nothing that matters. */
static bool
note_name(struct directory *d, const struct watch *w, const struct inotify_event *event)
{
	struct buf path = {0};
	bool matters = true;

	if (event->len == 0 || event->name[0] == '\0') {
		note_whole(d); /* of the directory itself */
		return true;
	}
	if (is_hidden(event->name))
		return false;
	buf_printf(&path, "%s/%s", w->path, event->name);
	if ((event->mask & IN_ISDIR) == 0 && bundle_takes_name(str_from(event->name)))
		note_file(d, buf_str(&path));
	else if (may_lead(d, path.data))
		note_whole(d);
	else
		matters = false;
	buf_free(&path);
	return matters;
}

static void
on_event(struct sources *s, const struct inotify_event *event)
{
	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		for (size_t i = 0; i < s->count; i++) {
			note_whole(&s->directories[i]);
			note_event(&s->directories[i]);
		}
		return;
	}
	for (size_t i = 0; i < s->watch_count; i++) {
		struct directory *d = &s->directories[s->watches[i].directory];

		if (s->watches[i].id == event->wd &&
		    note_name(d, &s->watches[i], event))
			note_event(d);
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
	if (s->inotify >= 0)
		(void)close(s->inotify); /* only read from */
	for (size_t i = 0; i < s->count; i++) {
		forget_dirty(&s->directories[i]);
		forget_entries(&s->directories[i]);
		free(s->directories[i].path);
	}
	for (size_t i = 0; i < s->watch_count; i++)
		free(s->watches[i].path);
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

/* As bundle_read begins its names. */
static char *
plain_path(const char *path)
{
	char *plain = xstrdup(path);
	size_t len = strlen(plain);

	while (len > 1 && plain[len - 1] == '/')
		plain[--len] = '\0';
	return plain;
}

void
sources_new(uv_loop_t *loop, const char *const *directories, size_t count,
    sources_changed_fn changed, void *arg, struct sources **out_sources)
{
	struct sources *s = xcalloc(1, sizeof(*s));
	struct err err = ERR_INIT;

	s->loop = loop;
	s->changed = changed;
	s->arg = arg;
	s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->inotify < 0) {
		(void)err_sys(&err, "no inotify: changes are noticed late");
		log_warn("source-watch", "detail=%s", log_quote(str_from(err.msg)));
	}
	s->directories = xcalloc(count != 0 ? count : 1, sizeof(*s->directories));
	s->poll.data = s->look.data = s;
	if (uv_timer_init(loop, &s->look) != 0 ||
	    uv_timer_start(&s->look, on_look, LOOK_MS, 0) != 0)
		base_die("cannot make handles");
	if (s->inotify >= 0 &&
	    (uv_poll_init(loop, &s->poll, s->inotify) != 0 ||
		uv_poll_start(&s->poll, UV_READABLE, on_readable) != 0))
		base_die("cannot make handles");
	s->open_handles = s->inotify >= 0 ? 2 : 1;
	for (size_t i = 0; i < count; i++) {
		struct directory *d = &s->directories[i];

		*d = (struct directory){.sources = s,
		    .path = plain_path(directories[i]),
		    .index = i,
		    .whole = true};
		if (uv_timer_init(loop, &d->settle) != 0)
			base_die("cannot make handles");
		d->settle.data = d;
		s->open_handles++;
		s->count++;
	}
	*out_sources = s; /* whoever is told may use it */
	for (size_t i = 0; i < count; i++)
		tell(&s->directories[i]);
}

void
sources_free(struct sources *s)
{
	if (s == NULL)
		return;
	if (s->inotify >= 0)
		uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->look, on_closed);
	for (size_t i = 0; i < s->count; i++)
		uv_close((uv_handle_t *)&s->directories[i].settle, on_settle_closed);
}
