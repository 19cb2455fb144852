/*
 * Reads the files of a bundle, with whatever privilege the caller has. It looks at
 * names, types and sizes only, never at what is in a file.
 */
#include "common/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/limits.h"

#define CODE_READ    SOURCE_CODE_READ
#define CODE_LIMIT   SOURCE_CODE_LIMIT
#define CODE_SKIPPED "file-skipped"
#define CODE_NONE    "file-none"

struct reading {
	bool owned;     /* files must be ours alone to write */
	bool lenient;   /* what is wrong with a file is its text */
	bool directory; /* the path is to be one */
	struct arena *arena;
	struct diag_list *diags;
	struct source *sources; /* on the heap until all is read */
	size_t count, cap;
	uint64_t bytes;
	bool stdin_read;
	bool failed;
	bool over; /* over a limit of the whole bundle, reported */
	const struct bundle_place *places;
};

static struct loc
path_loc(struct reading *r, struct str path)
{
	struct source *source = ARENA_NEW(r->arena, struct source);

	source->name = str_dup(r->arena, path);
	return (struct loc){.source = source};
}

static void
fail(struct reading *r, struct str path, const char *code, const char *msg)
{
	diag_error(r->diags, code, path_loc(r, path), "%s", msg);
	r->failed = true;
}

static const char *
system_reason(struct reading *r, int error)
{
	char reason[128];

	return arena_printf(
	    r->arena, "cannot be read: %s", strerror_r(error, reason, sizeof(reason)));
}

static void
fail_sys(struct reading *r, struct str path, int error)
{
	fail(r, path, CODE_READ, system_reason(r, error));
}

static void
add_source(struct reading *r, struct str path, struct str text)
{
	r->bytes += text.len;
	if (r->count == LIMIT_BUNDLE_FILES || r->bytes > LIMIT_BUNDLE_BYTES) {
		fail(r, path, CODE_LIMIT,
		    r->count == LIMIT_BUNDLE_FILES
			? "too many files"
			: "all files together are too large");
		r->over = true;
		return;
	}
	if (r->count == r->cap) {
		r->cap = r->cap != 0 ? r->cap * 2 : 16;
		r->sources = xreallocarray(r->sources, r->cap, sizeof(*r->sources));
	}
	r->sources[r->count++] = (struct source){str_dup(r->arena, path), text};
}

/* ---- one file ---- */

/* It is the file's fault alone. */
static void
fail_file(struct reading *r, struct str path, const char *code, const char *msg)
{
	struct buf text = {0};

	if (!r->lenient) {
		fail(r, path, code, msg);
		return;
	}
	buf_add_str(&text, STR(SOURCE_NOT_READ));
	buf_printf(&text, "%s: %s", code, msg);
	add_source(r, path, str_dup(r->arena, buf_str(&text)));
	buf_free(&text);
}

/* What a file says. It does not pass for what is said of one that cannot be read: the NUL alone
 * makes it bad. */
static void
add_text(struct reading *r, struct str path, struct str text)
{
	if (str_starts(text, STR(SOURCE_NOT_READ)))
		text = str_slice(text, 0, 1);
	add_source(r, path, text);
}

/* As read(2), but goes on after signals. */
static ssize_t
read_some(int fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = read(fd, data, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Reads to the end what does not say its size: standard input, files of /proc. */
static void
read_stream(struct reading *r, struct str path, int fd)
{
	struct buf text = {0};
	char chunk[65536];
	ssize_t n;

	while ((n = read_some(fd, chunk, sizeof(chunk))) > 0) {
		if (text.len + (size_t)n > LIMIT_FILE_BYTES) {
			fail_file(r, path, CODE_LIMIT, "the file is too large");
			goto out;
		}
		buf_add(&text, chunk, (size_t)n);
	}
	if (n < 0)
		fail_file(r, path, CODE_READ, system_reason(r, errno));
	else
		add_text(r, path, str_dup(r->arena, buf_str(&text)));
out:
	buf_free(&text);
}

static void
read_regular(struct reading *r, struct str path, int fd, size_t size)
{
	char *text;
	size_t len = 0;
	ssize_t n;

	if (size > LIMIT_FILE_BYTES) {
		fail_file(r, path, CODE_LIMIT, "the file is too large");
		return;
	}
	if (r->bytes + size > LIMIT_BUNDLE_BYTES) {
		fail(r, path, CODE_LIMIT, "all files together are too large");
		return;
	}
	/* One byte more than it should have shows whether it grew. */
	text = arena_alloc(r->arena, size + 1);
	do {
		n = read_some(fd, text + len, size + 1 - len);
		if (n < 0) {
			fail_file(r, path, CODE_READ, system_reason(r, errno));
			return;
		}
		len += (size_t)n;
	} while (n > 0 && len <= size);
	if (len != size)
		fail_file(r, path, CODE_READ, "changed while it was read; try again");
	else
		add_text(r, path, (struct str){text, len});
}

/* Root's or this user's, and for no others to write but a group that is the process's own. */
static bool
is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (st->st_mode & S_IWOTH) == 0 &&
	       ((st->st_mode & S_IWGRP) == 0 || st->st_gid == 0 ||
		   st->st_gid == getegid());
}

/* Takes the descriptor. */
static void
read_file(struct reading *r, struct str path, int fd, const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		fail_file(r, path, CODE_READ, "is neither a file nor a directory");
	else if (r->owned && !is_ours(st))
		fail_file(r, path, CODE_READ,
		    "others may write it: it must belong to root or to who runs this "
		    "program; use chown, and chmod go-w");
	else if (st->st_size > 0)
		read_regular(r, path, fd, (size_t)st->st_size);
	else
		read_stream(r, path, fd);
	(void)close(fd); /* only read from */
}

/* ---- directories ---- */

static bool
is_leftover(struct str name)
{
	return str_starts(name, STR(".")) || str_ends(name, STR("~")) ||
	       str_ends(name, STR(".swp")) ||
	       (str_starts(name, STR("#")) && str_ends(name, STR("#")));
}

static bool
is_policy_name(struct str name)
{
	return str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) ||
	       str_ends(name, STR(".json"));
}

bool
bundle_takes_name(struct str name)
{
	return is_policy_name(name) && !is_leftover(name);
}

/* A ConfigMap's volume shows its directories as links into "..data", which is itself a
 * link that is replaced when the map changes. */
static bool
is_volume_link(int dir_fd, const char *name)
{
	static const char prefix[] = "..data/";
	char target[sizeof(prefix)];
	ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

	return n == (ssize_t)sizeof(target) &&
	       memcmp(target, prefix, strlen(prefix)) == 0;
}

/* Of the descriptor that is read from: whatever is at the path a moment later. */
static void
note_place(struct reading *r, struct str path, int fd, unsigned depth)
{
	struct bundle_place *place;
	struct statx st;

	if (!r->directory ||
	    statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) != 0 ||
	    (depth != 0 && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0))
		return;
	place = ARENA_NEW(r->arena, struct bundle_place);
	*place = (struct bundle_place){
	    .next = r->places,
	    .path = str_dup(r->arena, path),
	    .device = makedev(st.stx_dev_major, st.stx_dev_minor),
	    .inode = st.stx_ino,
	};
	r->places = place;
}

static void read_directory(struct reading *r, struct str path, int fd, unsigned depth);

static void
read_entry(
    struct reading *r, struct str dir, int dir_fd, const char *name, unsigned depth)
{
	bool wanted = is_policy_name(str_from(name));
	bool link;
	struct stat st;
	struct buf path = {0};
	int fd = -1;

	if (is_leftover(str_from(name)))
		return;
	buf_printf(
	    &path, "%.*s%s%s", STR_ARG(dir), str_ends(dir, STR("/")) ? "" : "/", name);
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		/* It has gone; or it may be anything. */
		st.st_mode = errno == ENOENT ? 0 : S_IFDIR;
		if (wanted || errno != ENOENT)
			goto unreadable;
		goto out;
	}
	link = S_ISLNK(st.st_mode);
	if (link && fstatat(dir_fd, name, &st, 0) != 0) {
		if (wanted)
			goto unreadable;
		goto out;
	}
	if (S_ISDIR(st.st_mode) && link && !is_volume_link(dir_fd, name)) {
		diag_warn(r->diags, CODE_SKIPPED, path_loc(r, buf_str(&path)),
		    "a link to a directory is not followed");
		goto out;
	}
	if (!S_ISDIR(st.st_mode) && !wanted)
		goto out;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	/* Again from the descriptor: the name may mean something else by now. */
	if (fd < 0 || fstat(fd, &st) != 0)
		goto unreadable;
	if (S_ISDIR(st.st_mode))
		read_directory(r, buf_str(&path), fd, depth + 1);
	else
		read_file(r, buf_str(&path), fd, &st);
	fd = -1;
	goto out;
unreadable:
	if (S_ISDIR(st.st_mode)) /* of which nobody knows what was in it */
		fail_sys(r, buf_str(&path), errno);
	else
		fail_file(r, buf_str(&path), CODE_READ, system_reason(r, errno));
out:
	if (fd >= 0)
		(void)close(fd); /* only read from */
	buf_free(&path);
}

/* Takes the descriptor. */
static void
read_directory(struct reading *r, struct str path, int fd, unsigned depth)
{
	DIR *dir = NULL;
	const struct dirent *entry;

	if (depth > LIMIT_BUNDLE_DEPTH) {
		fail_file(r, path, CODE_LIMIT, "directories are nested too deeply");
		(void)close(fd); /* only read from */
		return;
	}
	note_place(r, path, fd, depth);
	dir = fdopendir(fd);
	if (dir == NULL) {
		fail_sys(r, path, errno);
		(void)close(fd); /* only read from */
		return;
	}
	errno = 0;
	while (!r->over && (entry = readdir(dir)) != NULL) {
		read_entry(r, path, fd, entry->d_name, depth);
		errno = 0;
	}
	if (!r->over && errno != 0)
		fail_sys(r, path, errno);
	(void)closedir(dir); /* only read from */
}

/* ---- the bundle ---- */

static int
compare_sources(const void *a, const void *b)
{
	const struct source *sa = a, *sb = b;

	return str_cmp(sa->name, sb->name);
}

static void
read_stdin(struct reading *r)
{
	if (r->stdin_read) {
		fail(r, STR("-"), CODE_READ, "standard input is named twice");
		return;
	}
	r->stdin_read = true;
	read_stream(r, STR("-"), STDIN_FILENO);
}

static void
read_path(struct reading *r, const char *path)
{
	struct str name = str_from(path);
	size_t first = r->count;
	struct stat st;
	bool failed_before = r->failed;
	int fd;

	if (str_is(name, "-")) {
		read_stdin(r);
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		if (r->directory)
			fail_sys(r, name, errno);
		else
			fail_file(r, name, CODE_READ, system_reason(r, errno));
		if (fd >= 0)
			(void)close(fd); /* only read from */
		return;
	}
	if (!S_ISDIR(st.st_mode) && r->directory) {
		fail_sys(r, name, ENOTDIR);
		(void)close(fd); /* only read from */
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		read_file(r, name, fd, &st);
		return;
	}
	while (name.len > 1 && str_ends(name, STR("/")))
		name.len--;
	r->failed = false;
	read_directory(r, name, fd, 0);
	if (r->count == first && !r->failed)
		diag_warn(r->diags, CODE_NONE, path_loc(r, name),
		    "has no *.yaml, *.yml or *.json file");
	r->failed |= failed_before;
	if (r->count > first)
		qsort(r->sources + first, r->count - first, sizeof(*r->sources),
		    compare_sources);
}

static bool
read_paths(struct reading *r, const char *const *paths, size_t path_count,
    struct bundle *out_bundle)
{
	for (size_t i = 0; i < path_count && !r->over; i++)
		read_path(r, paths[i]);
	out_bundle->sources = ARENA_ARRAY(r->arena, r->count, struct source);
	out_bundle->count = r->count;
	if (r->count != 0)
		memcpy(out_bundle->sources, r->sources, r->count * sizeof(*r->sources));
	free(r->sources);
	return !r->failed;
}

bool
bundle_read(struct arena *arena, const char *const *paths, size_t path_count,
    struct diag_list *diags, struct bundle *out_bundle)
{
	struct reading r = {.arena = arena, .diags = diags};

	return read_paths(&r, paths, path_count, out_bundle);
}

bool
bundle_read_below(struct arena *arena, const char *directory, struct diag_list *diags,
    struct bundle *out_bundle, const struct bundle_place **out_places)
{
	struct reading r = {
	    .arena = arena, .diags = diags, .lenient = true, .directory = true};
	const bool ok = read_paths(&r, &directory, 1, out_bundle);

	*out_places = r.places;
	return ok;
}

bool
bundle_read_files(struct arena *arena, const char *const *paths, size_t path_count,
    struct diag_list *diags, struct bundle *out_bundle)
{
	struct reading r = {.arena = arena, .diags = diags, .lenient = true};

	return read_paths(&r, paths, path_count, out_bundle);
}

bool
bundle_read_owned(struct arena *arena, const char *path, struct diag_list *diags,
    struct bundle *out_bundle)
{
	struct reading r = {.arena = arena, .diags = diags, .owned = true};

	return read_paths(&r, &path, 1, out_bundle);
}
