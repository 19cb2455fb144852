/*
 * Policy directories: what one says now, read as a whole or some files of it.
 */
#include "enforcer/parent/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/log.h"

#define MOST_TEXT (LIMIT_MESSAGE_BYTES / 2)

/* Of a file's text, to tell whether it is another. */
struct files_hash {
	uint64_t parts[2];
	bool unread; /* it is why there is none */
	char name[]; /* with a NUL */
};

static void
hash_text(struct str text, uint64_t out[2])
{
	out[0] = map_siphash(1, 2, text);
	out[1] = map_siphash(3, 4, text);
}

/* True if it is another text than before. */
static bool
note_text(struct files_source *s, const struct source *file)
{
	struct files_hash *h = map_get(&s->hashes, file->name);
	uint64_t parts[2];

	hash_text(file->text, parts);
	if (h == NULL) {
		h = xcalloc(1, sizeof(*h) + file->name.len + 1);
		memcpy(h->name, file->name.ptr, file->name.len);
		(void)map_set(&s->hashes, (struct str){h->name, file->name.len}, h);
	} else if (memcmp(h->parts, parts, sizeof(parts)) == 0) {
		return false;
	}
	memcpy(h->parts, parts, sizeof(parts));
	s->unread -= h->unread;
	h->unread = str_starts(file->text, STR(SOURCE_NOT_READ));
	s->unread += h->unread;
	return true;
}

static bool
forget_text(struct files_source *s, struct str name)
{
	struct files_hash *h = map_remove(&s->hashes, name);
	const bool known = h != NULL;

	s->unread -= known && h->unread;
	free(h);
	return known;
}

const char **
files_unread(const struct files_source *s, struct arena *arena, size_t *out_count)
{
	const char **names = ARENA_ARRAY(arena, s->unread, const char *);
	size_t count = 0;

	for (size_t i = 0; i < s->hashes.len && count < s->unread; i++) {
		const struct files_hash *h = s->hashes.entries[i].value;

		if (h->unread)
			names[count++] = arena_strndup(arena, h->name, strlen(h->name));
	}
	*out_count = count;
	return names;
}

static void
forget_texts(struct files_source *s)
{
	for (size_t i = 0; i < s->hashes.len; i++)
		free(s->hashes.entries[i].value);
	map_fini(&s->hashes);
}

/* ---- places ---- */

static bool
is_below(struct str name, const struct files_place *p)
{
	const struct str path = str_from(p->path);

	return str_starts(name, path) &&
	       (str_ends(path, STR("/")) ||
		   (name.len > path.len && name.ptr[path.len] == '/'));
}

static bool
has_files(const struct bundle *bundle, const struct files_place *p)
{
	for (size_t i = 0; i < bundle->count; i++) {
		if (is_below(bundle->sources[i].name, p))
			return true;
	}
	return false;
}

static void
add_place(struct files_places *to, struct files_place place)
{
	to->list = xreallocarray(to->list, to->count + 1, sizeof(*to->list));
	to->list[to->count++] = place;
}

static void
forget_places(struct files_places *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->list[i].path);
	free(places->list);
	*places = (struct files_places){.list = NULL};
}

static void
note_places(struct files_places *out, const struct bundle_place *places,
    const struct bundle *bundle)
{
	forget_places(out);
	for (const struct bundle_place *p = places; p != NULL; p = p->next) {
		struct files_place place = {.device = p->device, .inode = p->inode};

		place.path = xcalloc(1, p->path.len + 1);
		memcpy(place.path, p->path.ptr, p->path.len);
		place.had_files = has_files(bundle, &place);
		add_place(out, place);
	}
}

/* It had files, and neither is it there nor are there files at its path. */
static bool
is_lost(const struct files_place *was, const struct bundle_place *places,
    const struct bundle *bundle)
{
	if (!was->had_files || has_files(bundle, was))
		return false;
	for (const struct bundle_place *p = places; p != NULL; p = p->next) {
		if (str_is(p->path, was->path) && p->device == was->device &&
		    p->inode == was->inode)
			return false;
	}
	return true;
}

static const struct files_place *
find_lost(const struct files_places *were, const struct bundle_place *places,
    const struct bundle *bundle)
{
	for (size_t i = 0; i < were->count; i++) {
		if (is_lost(&were->list[i], places, bundle))
			return &were->list[i];
	}
	return NULL;
}

void
files_source_init(struct files_source *s)
{
	*s = (struct files_source){.bundle_fd = -1};
}

void
files_source_fini(struct files_source *s)
{
	if (s->bundle_fd >= 0)
		(void)close(s->bundle_fd); /* only read from */
	forget_texts(s);
	forget_places(&s->places);
	buf_free(&s->why);
	files_source_init(s);
}

void
files_source_follow(struct files_source *s, const struct files_source *was)
{
	for (size_t i = 0; i < was->places.count; i++) {
		struct files_place place = was->places.list[i];

		place.path = xstrdup(place.path);
		add_place(&s->places, place);
	}
}

static bool
note_failure(struct files_source *s, struct buf *why)
{
	bool news = !s->known || !str_eq(buf_str(&s->why), buf_str(why));

	s->known = true;
	buf_free(&s->why);
	s->why = *why;
	return news;
}

static void
add_errors(struct buf *out, struct arena *arena, const struct diag_list *diags)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR && out->len < MOST_TEXT)
			buf_printf(out, "%s%s: error: %s [%s]",
			    out->len != 0 ? "\n" : "", loc_text(arena, d->loc), d->msg,
			    d->code);
	}
}

/* What is left out, and why. */
static void
log_warnings(struct arena *arena, const struct diag_list *diags)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING)
			log_warn("source-warning", "at=%s message=%s",
			    log_quote(str_from(loc_text(arena, d->loc))),
			    log_quote(str_from(d->msg)));
	}
}

bool
files_read_source(struct files_source *s, const char *directory)
{
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct err err = ERR_INIT;
	struct buf why = {0};
	const struct bundle_place *places;
	const struct files_place *lost;
	struct bundle bundle;
	uint8_t digest[32];
	int fd = -1;
	bool news = false;

	diag_list_init(&diags, arena);
	if (!bundle_read_below(arena, directory, &diags, &bundle, &places)) {
		add_errors(&why, arena, &diags);
		news = note_failure(s, &why);
		goto out;
	}
	lost = find_lost(&s->places, places, &bundle);
	if (lost != NULL) {
		buf_printf(&why,
		    "%s: error: is another directory, which has no policy file: what "
		    "was there goes on until it has one, which may say nothing "
		    "[file-read]",
		    lost->path);
		news = note_failure(s, &why);
		goto out;
	}
	bundle_digest(&bundle, digest);
	if (s->known && !s->edited && s->why.len == 0 && s->bundle_fd >= 0 &&
	    memcmp(digest, s->digest, sizeof(digest)) == 0) {
		note_places(&s->places, places, &bundle);
		goto out;
	}
	if (bundle_seal(&bundle, &fd, &err) != 0) {
		buf_printf(&why, "%s: error: %s", directory, err.msg);
		news = note_failure(s, &why);
		goto out;
	}
	files_source_fini(s);
	s->known = true;
	note_places(&s->places, places, &bundle);
	s->bundle_fd = fd;
	memcpy(s->digest, digest, sizeof(digest));
	for (size_t i = 0; i < bundle.count; i++)
		(void)note_text(s, &bundle.sources[i]); /* all are new */
	news = true;
	log_warnings(arena, &diags);
out:
	arena_free(arena);
	return news;
}

/* ---- some files of a source ---- */

/* Larger edits are not worth doing otherwise than as a whole, or would take too long where
 * they are put in. */
#define EDIT_MOST_BYTES (256 * 1024)
#define EDIT_MOST_GONE  (LIMIT_MESSAGE_BYTES / 4)

static bool
read_names(struct files_edit *e, const char *const *names, size_t count,
    struct diag_list *diags)
{
	const char **there = ARENA_ARRAY(e->arena, count, const char *);
	size_t there_count = 0, gone_bytes = 0, bytes = 0;
	struct stat st;

	e->gone = ARENA_ARRAY(e->arena, count, struct str);
	for (size_t i = 0; i < count; i++) {
		if (stat(names[i], &st) == 0 && S_ISDIR(st.st_mode))
			return false;
		if (lstat(names[i], &st) == 0) {
			there[there_count++] = names[i];
		} else if (errno == ENOENT) {
			e->gone[e->gone_count++] = str_from(names[i]);
			gone_bytes += strlen(names[i]) + sizeof(uint32_t);
		} else {
			return false;
		}
	}
	if (gone_bytes > EDIT_MOST_GONE ||
	    !bundle_read_files(e->arena, there, there_count, diags, &e->changed))
		return false;
	for (size_t i = 0; i < e->changed.count; i++)
		bytes += e->changed.sources[i].text.len;
	return bytes <= EDIT_MOST_BYTES;
}

static bool
is_there(const struct files_place *p)
{
	struct stat st;

	return stat(p->path, &st) == 0 && st.st_dev == p->device &&
	       st.st_ino == p->inode;
}

/* Files that are gone because something is not mounted, or after which the place has none. */
static bool
takes_place(const struct files_source *s, const struct files_edit *e,
    const struct files_place *p)
{
	size_t gone = 0, known = 0;

	for (size_t i = 0; i < e->gone_count; i++)
		gone +=
		    is_below(e->gone[i], p) && map_get(&s->hashes, e->gone[i]) != NULL;
	if (gone == 0)
		return false;
	for (size_t i = 0; i < s->hashes.len && known <= gone; i++)
		known += is_below(s->hashes.entries[i].key, p);
	return known == gone || !is_there(p);
}

static bool
takes_some_place(const struct files_source *s, const struct files_edit *e)
{
	for (size_t i = 0; i < s->places.count; i++) {
		if (takes_place(s, e, &s->places.list[i]))
			return true;
	}
	return false;
}

/* Leaves out what is the same as before. */
static void
note_edit(struct files_source *s, struct files_edit *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->changed.count; i++) {
		if (note_text(s, &e->changed.sources[i]))
			e->changed.sources[kept++] = e->changed.sources[i];
	}
	e->changed.count = kept;
	kept = 0;
	for (size_t i = 0; i < e->gone_count; i++) {
		if (forget_text(s, e->gone[i]))
			e->gone[kept++] = str_dup(e->arena, e->gone[i]);
	}
	e->gone_count = kept;
	for (size_t i = 0; i < s->places.count; i++)
		s->places.list[i].had_files |=
		    has_files(&e->changed, &s->places.list[i]);
}

enum files_answer
files_read_edit(struct files_source *s, const char *const *names, size_t count,
    struct files_edit *out)
{
	enum files_answer answer = FILES_WHOLE;
	struct diag_list diags;

	*out = (struct files_edit){.arena = arena_new()};
	diag_list_init(&diags, out->arena);
	if (s->known && s->why.len == 0 && read_names(out, names, count, &diags) &&
	    !takes_some_place(s, out)) {
		note_edit(s, out);
		answer = out->changed.count + out->gone_count != 0 ? FILES_EDITED
								   : FILES_SAME;
	}
	if (answer == FILES_EDITED) {
		s->edited = true;
		return answer;
	}
	arena_free(out->arena);
	*out = (struct files_edit){.arena = NULL};
	return answer;
}
