/*
 * Reading and verifying an audit log: for reviewers, beside a writer that goes on. The
 * checkpoint is read first and the lines then, so that the lines are never older.
 */
#include "common/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/audit_note.h"
#include "common/audit_store.h"
#include "common/audit_tree.h"
#include "common/limits.h"

#define MAX_CHECKPOINTS 2 /* the log's own, and one kept elsewhere */

struct verification {
	struct arena *arena;
	int dirfd;
	struct audit_key key;
	struct audit_checkpoint checkpoints[MAX_CHECKPOINTS];
	const char *names[MAX_CHECKPOINTS];
	size_t count;
	struct audit_tree tree;
	struct audit_report *report;
};

static enum audit_verdict
conclude(struct verification *v, enum audit_verdict verdict, const struct err *err)
{
	v->report->problem = arena_strdup(v->arena, err->msg);
	return verdict;
}

/* The bytes of a file, in the arena; `path` NULL: `name` in the directory. */
static int
read_small(struct verification *v, const char *path, const char *name, struct str *out,
    struct err *err)
{
	struct buf text = {0};
	int rc =
	    path != NULL
		? audit_store_read(AT_FDCWD, path, LIMIT_AUDIT_NOTE_BYTES, &text, err)
		: audit_store_read(v->dirfd, name, LIMIT_AUDIT_NOTE_BYTES, &text, err);

	if (rc == 0)
		*out = str_dup(v->arena, buf_str(&text));
	buf_free(&text);
	return rc;
}

static enum audit_verdict
load_key(struct verification *v, const char *key_path)
{
	struct err err = ERR_INIT;
	struct str text;

	if (read_small(v, key_path, AUDIT_PUBLIC_KEY_FILE, &text, &err) == 0 &&
	    audit_key_parse(&v->key, text, &err) == 0)
		return AUDIT_INTACT;
	(void)err_wrap(&err, "cannot read the key"); /* the verdict is the result */
	return conclude(v, AUDIT_CANNOT_TELL, &err);
}

/* A checkpoint that is missing is no verdict yet; one that nobody signed is. */
static enum audit_verdict
load_checkpoint(struct verification *v, const char *path)
{
	struct audit_checkpoint *checkpoint = &v->checkpoints[v->count];
	const char *name = path != NULL ? path : AUDIT_CHECKPOINT_FILE;
	struct err err = ERR_INIT;
	struct str note, text;
	int rc = read_small(v, path, name, &note, &err);

	if (rc == ERR_NOT_FOUND && path == NULL)
		return AUDIT_INTACT;
	if (rc != 0)
		return conclude(v, AUDIT_CANNOT_TELL, &err);
	rc = audit_note_open(note, &v->key, &text, &err);
	if (rc == 0)
		rc = audit_checkpoint_parse(checkpoint, text, &err);
	if (rc == 0 && !str_is(checkpoint->origin, v->key.name))
		rc = err_set(&err, ERR_INVALID, "the checkpoint of another log");
	if (rc != 0) {
		(void)err_wrap(&err, "%s", name); /* the verdict is the result */
		return conclude(v, AUDIT_BROKEN, &err);
	}
	v->names[v->count++] = name;
	if (checkpoint->size > v->report->covered)
		v->report->covered = checkpoint->size;
	return AUDIT_INTACT;
}

static int
compare_roots(struct verification *v, struct err *err)
{
	uint8_t root[AUDIT_HASH_BYTES];

	for (size_t i = 0; i < v->count; i++) {
		if (v->checkpoints[i].size != v->tree.size)
			continue;
		audit_tree_root(&v->tree, root);
		if (memcmp(root, v->checkpoints[i].root, sizeof(root)) != 0)
			return err_set(err, ERR_INVALID,
			    "the first %llu lines are not those that %s signs: "
			    "a line was changed, removed, added or moved",
			    (unsigned long long)v->tree.size, v->names[i]);
	}
	return 0;
}

static int
hash_lines(struct verification *v, struct audit_reader *r, struct err *err)
{
	uint8_t leaf[AUDIT_HASH_BYTES];
	struct str line;
	int rc = compare_roots(v, err);

	while (rc == 0 && (rc = audit_reader_next(r, &line, err)) == 1) {
		audit_leaf_hash(line, leaf);
		audit_tree_add(&v->tree, leaf);
		rc = compare_roots(v, err);
	}
	v->report->lines = v->tree.size;
	/* What a crash of the machine leaves behind the last flush may be anything; it was
	 * never acknowledged, and the writer cuts it off when it starts. */
	if (rc == ERR_LIMIT && r->segment + 1 == r->segment_count &&
	    v->tree.size >= v->report->covered)
		rc = 0;
	if (rc == 0 && v->tree.size < v->report->covered)
		rc = err_set(err, ERR_INVALID,
		    "%llu lines were signed and %llu are there: the end was cut off",
		    (unsigned long long)v->report->covered,
		    (unsigned long long)v->tree.size);
	return rc;
}

static enum audit_verdict
verify_lines(struct verification *v)
{
	struct err err = ERR_INIT;
	struct audit_reader r;
	int rc = audit_reader_init(&r, v->dirfd, &err);

	if (rc == 0)
		rc = hash_lines(v, &r, &err);
	audit_reader_fini(&r);
	if (rc == 0)
		return AUDIT_INTACT;
	return conclude(v, rc == ERR_SYSTEM ? AUDIT_CANNOT_TELL : AUDIT_BROKEN, &err);
}

static enum audit_verdict
verify_directory(
    struct verification *v, const char *key_path, const char *checkpoint_path)
{
	enum audit_verdict verdict = load_key(v, key_path);

	if (verdict == AUDIT_INTACT)
		verdict = load_checkpoint(v, NULL);
	if (verdict == AUDIT_INTACT && checkpoint_path != NULL)
		verdict = load_checkpoint(v, checkpoint_path);
	if (verdict != AUDIT_INTACT)
		return verdict;
	if (v->count == 0) {
		v->report->problem = "there is no checkpoint";
		return AUDIT_CANNOT_TELL;
	}
	return verify_lines(v);
}

enum audit_verdict
audit_verify(struct arena *arena, const char *directory, const char *key_path,
    const char *checkpoint_path, struct audit_report *out_report)
{
	struct verification v = {.arena = arena, .report = out_report};
	struct err err = ERR_INIT;
	enum audit_verdict verdict;

	memset(out_report, 0, sizeof(*out_report));
	v.dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v.dirfd < 0) {
		(void)err_sys(&err, "%s", directory); /* the verdict is the result */
		return conclude(&v, AUDIT_CANNOT_TELL, &err);
	}
	verdict = verify_directory(&v, key_path, checkpoint_path);
	(void)close(v.dirfd); /* read only */
	return verdict;
}

int
audit_read(const char *directory,
    bool (*each)(void *arg, uint64_t index, struct str line), void *arg,
    struct err *err)
{
	int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct audit_reader r;
	struct str line;
	int rc;

	if (dirfd < 0)
		return err_sys(err, "%s", directory);
	rc = audit_reader_init(&r, dirfd, err);
	while (rc == 0 && (rc = audit_reader_next(&r, &line, err)) == 1)
		rc = each(arg, r.lines - 1, line) ? 0 : 2;
	audit_reader_fini(&r);
	(void)close(dirfd); /* read only */
	if (rc == 2)
		return 0;
	if (rc != 0)
		(void)err_wrap(err, "%s", directory); /* rc is the code */
	return rc;
}
