#include "common/audit_witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit_store.h"
#include "common/audit_tree.h"
#include "common/limits.h"
#include "common/utf8.h"

#define CHUNK_BYTES (1024u * 1024)
#define NOTE_LINES  5               /* origin, size, root, nothing, signature */
#define SIGNATURE   "\xe2\x80\x94 " /* an em dash, and a space */
#define MEMBER      "{\"checkpoint\":\""

void
audit_witnesses_fini(struct audit_witnesses *w)
{
	free(w->all);
	*w = (struct audit_witnesses){0};
}

static void
audit_witnesses_add(
    struct audit_witnesses *w, uint64_t size, const uint8_t root[32], const char *name)
{
	if (w->count == w->cap) {
		w->cap = w->cap != 0 ? 2 * w->cap : 16;
		w->all = xreallocarray(w->all, w->cap, sizeof(*w->all));
	}
	w->all[w->count] = (struct audit_witness){.size = size, .name = name};
	memcpy(w->all[w->count++].root, root, 32);
}

static int
compare(const void *a, const void *b)
{
	const struct audit_witness *x = a, *y = b;

	return x->size < y->size ? -1 : x->size > y->size;
}

void
audit_witnesses_sort(struct audit_witnesses *w)
{
	if (w->count != 0)
		qsort(w->all, w->count, sizeof(*w->all), compare);
}

int
audit_witness_note(struct audit_witnesses *w, struct str note,
    const struct audit_key *key, const char *name, struct err *err)
{
	struct audit_checkpoint checkpoint;
	int rc = audit_checkpoint_open(&checkpoint, note, key, err);

	if (rc == 0)
		audit_witnesses_add(w, checkpoint.size, checkpoint.root, name);
	return rc;
}

/* ---- among other text ---- */

/* A note that may be one of ours: by the name in its first line. */
static int
take_note(struct audit_witnesses *w, struct str note, const struct audit_key *key,
    const char *name, struct err *err)
{
	struct str rest = note;

	if (!str_is(str_split(&rest, '\n'), key->name))
		return 0;
	return audit_witness_note(w, note, key, name, err);
}

static void
add_escaped(struct buf *out, struct str text, size_t *at)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *known;
	uint32_t point = 0;
	char utf8[4];
	char c = text.ptr[(*at)++];

	if (c == 'u' && *at + 4 <= text.len) {
		for (size_t end = *at + 4; *at < end; (*at)++) {
			int v = str_hex_digit(text.ptr[*at]);

			point = point * 16 + (v > 0 ? (uint32_t)v : 0);
		}
		if (point >= 0xd800 && point < 0xe000)
			point = 0xfffd; /* in no note of ours */
		buf_add(out, utf8, utf8_put(point, utf8));
		return;
	}
	known = c != '\0' ? strchr(letters, c) : NULL;
	buf_add_char(out, known != NULL ? meant[known - letters] : c);
}

/* The JSON string that begins at `from`, behind its quote. */
static void
decode(struct buf *out, struct str line, size_t from)
{
	for (size_t at = from; at < line.len && line.ptr[at] != '"';) {
		if (line.ptr[at] != '\\')
			buf_add_char(out, line.ptr[at++]);
		else if (++at < line.len)
			add_escaped(out, line, &at);
	}
}

static int
take_members(struct audit_witnesses *w, struct str line, const struct audit_key *key,
    const char *name, struct err *err)
{
	size_t start = str_find(line, '{', 0);
	struct buf note = {0};
	int rc;

	/* Where the JSON begins and nowhere else: what is further in may be a tenant's. */
	if (!str_starts(str_slice(line, start, line.len), STR(MEMBER)))
		return 0;
	decode(&note, line, start + strlen(MEMBER));
	rc = take_note(w, buf_str(&note), key, name, err);
	buf_free(&note);
	return rc;
}

int
audit_witness_text(struct audit_witnesses *w, struct str text,
    const struct audit_key *key, const char *name, struct err *err)
{
	size_t starts[NOTE_LINES] = {0}; /* of the last lines; the present one last */
	bool blank = false;              /* the line before is empty */
	size_t at = 0;

	for (unsigned lines = 0; at < text.len; lines++) {
		size_t end = str_find(text, '\n', at);
		struct str line = str_slice(text, at, end);
		int rc = 0;

		memmove(starts, starts + 1, sizeof(starts) - sizeof(starts[0]));
		starts[NOTE_LINES - 1] = at;
		if (blank && lines + 1 >= NOTE_LINES && end < text.len &&
		    str_starts(line, STR(SIGNATURE)))
			rc = take_note(
			    w, str_slice(text, starts[0], end + 1), key, name, err);
		else
			rc = take_members(w, line, key, name, err);
		if (rc != 0)
			return rc;
		blank = line.len == 0;
		at = end + 1;
	}
	return 0;
}

/* ---- files ---- */

/* Cuts a text that is being read behind its last whole note: what follows is kept. */
static size_t
whole_part(struct str text)
{
	size_t lines = 0, at = text.len;

	while (at > 0 && lines <= NOTE_LINES) {
		if (text.ptr[at - 1] == '\n')
			lines++;
		at--;
	}
	return at;
}

static int
read_text(struct audit_witnesses *w, int fd, const struct audit_key *key,
    const char *name, struct err *err)
{
	struct buf text = {0};
	ssize_t n = 1;
	int rc = 0;

	while (n > 0 && rc == 0) {
		size_t whole;

		buf_reserve(&text, CHUNK_BYTES);
		n = read(fd, text.data + text.len, CHUNK_BYTES);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0)
			rc = err_sys(err, "%s", name);
		else
			text.len += (size_t)n;
		/* A note that lies across the end is read again with what follows; one that
		 * is read twice does no harm. */
		whole = n > 0 ? whole_part(buf_str(&text)) : text.len;
		if (rc == 0 && (whole != 0 || n == 0))
			rc = audit_witness_text(w, buf_str(&text), key, name, err);
		if (n > 0) {
			memmove(text.data, text.data + whole, text.len - whole);
			text.len -= whole;
			if (rc == 0 && text.len > LIMIT_AUDIT_LINE_BYTES)
				rc = err_set(
				    err, ERR_LIMIT, "%s: its lines are too long", name);
		}
	}
	buf_free(&text);
	return rc;
}

static int
read_file(struct audit_witnesses *w, int dirfd, const char *path,
    const struct audit_key *key, const char *name, struct err *err)
{
	int fd = audit_store_open(dirfd, path, O_RDONLY, 0, err);
	int rc;

	if (fd < 0)
		return fd;
	rc = read_text(w, fd, key, name, err);
	(void)close(fd); /* read only */
	return rc;
}

/* The root over the lines of a copy vouches for them, signed or not. */
static int
read_lines(struct audit_witnesses *w, int dirfd, const char *name, struct err *err)
{
	struct audit_tree tree = {0};
	uint8_t hash[AUDIT_HASH_BYTES];
	struct audit_reader r;
	struct str line;
	int rc = audit_reader_init(&r, dirfd, err);

	while (rc == 0 && (rc = audit_reader_next(&r, &line, err)) == 1) {
		audit_leaf_hash(line, hash);
		audit_tree_add(&tree, hash);
		rc = 0;
	}
	audit_reader_fini(&r);
	if (rc == 0 && tree.size != 0) {
		audit_tree_root(&tree, hash);
		audit_witnesses_add(w, tree.size, hash, name);
	}
	return rc;
}

static int
read_directory(struct audit_witnesses *w, const char *path, const struct audit_key *key,
    struct err *err)
{
	static const char *const files[] = {
	    AUDIT_CHECKPOINT_FILE, AUDIT_CHECKPOINTS_FILE};
	int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (dirfd < 0)
		return err_sys(err, "%s", path);
	for (size_t i = 0; i < ARRAY_LEN(files) && rc == 0; i++) {
		struct err missing = ERR_INIT;

		rc = read_file(w, dirfd, files[i], key, path, &missing);
		if (rc == ERR_NOT_FOUND)
			rc = 0;
		else if (rc != 0 && err != NULL)
			*err = missing;
	}
	if (rc == 0)
		rc = read_lines(w, dirfd, path, err);
	(void)close(dirfd); /* read only */
	return rc;
}

int
audit_witness_copy(struct audit_witnesses *w, const char *path,
    const struct audit_key *key, struct err *err)
{
	size_t before = w->count;
	struct stat st;
	int rc;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		rc = read_directory(w, path, key, err);
	else
		rc = read_file(w, AT_FDCWD, path, key, path, err);
	if (rc != 0)
		return rc == ERR_DENIED ? err_set(err, ERR_DENIED,
					      "%s has a checkpoint of %s that "
					      "another key signed: the log was made "
					      "anew, or two logs have one name",
					      path, key->name)
					: rc;
	if (w->count == before)
		return err_set(err, ERR_NOT_FOUND, "%s has nothing of the log %s", path,
		    key->name);
	return 0;
}
