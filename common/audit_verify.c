/*
 * Reading and verifying an audit log: for reviewers, beside a writer that goes on. The
 * checkpoint is read first and the lines then, so that the lines are never older.
 */
#include "common/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/audit_index.h"
#include "common/audit_key.h"
#include "common/audit_store.h"
#include "common/audit_tree.h"
#include "common/audit_witness.h"
#include "common/limits.h"

struct verification {
	struct arena *arena;
	int dirfd;
	struct audit_key key;
	struct audit_witnesses witnesses;
	size_t next_witness; /* the first that is not compared yet */
	struct audit_tree tree;
	struct audit_report *report;
	/* The index of the segment being read, if it has one. */
	struct buf index_data;
	struct audit_index index; /* count 0: none */
	uint64_t index_segment;
	uint32_t block;
	uint64_t block_first; /* lines of the log before that block */
	struct err index_err; /* told if nothing is wrong with the log itself */
};

static enum audit_verdict
conclude(struct verification *v, enum audit_verdict verdict, const struct err *err)
{
	v->report->problem = arena_strdup(v->arena, err->msg);
	return verdict;
}

static enum audit_verdict
load_key(struct verification *v, const char *key_path)
{
	struct err err = ERR_INIT;
	struct buf key = {0};
	int rc =
	    key_path != NULL
		? audit_key_read_public(AT_FDCWD, key_path, &v->key, &err)
		: audit_key_read_public(v->dirfd, AUDIT_PUBLIC_KEY_FILE, &v->key, &err);

	if (rc == 0) {
		audit_key_format(&key, &v->key);
		v->report->key = str_dup(v->arena, buf_str(&key));
		buf_free(&key);
		return AUDIT_INTACT;
	}
	(void)err_wrap(&err, "cannot read the key"); /* the verdict is the result */
	return conclude(v, AUDIT_CANNOT_TELL, &err);
}

/* A checkpoint that is missing is no verdict yet; one that nobody signed is. */
static enum audit_verdict
load_checkpoint(struct verification *v, const char *path)
{
	const char *name = path != NULL ? path : AUDIT_CHECKPOINT_FILE;
	const struct audit_witness *last;
	struct err err = ERR_INIT;
	struct buf text = {0};
	struct str note;
	int rc = audit_store_read(path != NULL ? AT_FDCWD : v->dirfd, name,
	    LIMIT_AUDIT_NOTE_BYTES, &text, &err);

	note = str_dup(v->arena, buf_str(&text));
	buf_free(&text);
	if (rc == ERR_NOT_FOUND && path == NULL)
		return AUDIT_INTACT;
	if (rc != 0)
		return conclude(v, AUDIT_CANNOT_TELL, &err);
	rc = audit_witness_note(&v->witnesses, note, &v->key, name, &err);
	if (rc != 0) {
		(void)err_wrap(&err, "%s", name); /* the verdict is the result */
		return conclude(v, AUDIT_BROKEN, &err);
	}
	if (path == NULL) {
		last = &v->witnesses.all[v->witnesses.count - 1];
		v->report->note = note;
		v->report->signed_size = last->size;
		memcpy(v->report->signed_root, last->root, AUDIT_HASH_BYTES);
	}
	return AUDIT_INTACT;
}

static enum audit_verdict
load_copy(struct verification *v, const struct audit_evidence *e)
{
	struct err err = ERR_INIT;
	const size_t before = v->witnesses.count;
	int rc = e->copy_in_text
		     ? audit_witness_text(
			   &v->witnesses, e->copy_text, &v->key, e->copy_path, &err)
		     : audit_witness_copy(&v->witnesses, e->copy_path, &v->key, &err);

	if (rc == 0 && v->witnesses.count == before)
		rc = err_set(
		    &err, ERR_NOT_FOUND, "%s has nothing of this log", e->copy_path);

	if (rc == 0)
		return AUDIT_INTACT;
	return conclude(v, rc == ERR_DENIED ? AUDIT_BROKEN : AUDIT_CANNOT_TELL, &err);
}

/* ---- lines ---- */

static int
compare_roots(struct verification *v, struct err *err)
{
	const struct audit_witnesses *w = &v->witnesses;
	uint8_t root[AUDIT_HASH_BYTES];

	for (;
	     v->next_witness < w->count && w->all[v->next_witness].size == v->tree.size;
	     v->next_witness++) {
		const struct audit_witness *witness = &w->all[v->next_witness];

		audit_tree_root(&v->tree, root);
		v->report->witnesses++;
		if (memcmp(root, witness->root, sizeof(root)) != 0)
			return err_set(err, ERR_INVALID,
			    "the first %llu lines are not those that %s vouches for: "
			    "a line was changed, removed, added or moved",
			    (unsigned long long)v->tree.size, witness->name);
	}
	return 0;
}

/* ---- indexes ---- */

static int
load_index(struct verification *v, uint64_t segment, struct err *err)
{
	int rc;

	v->index_segment = segment;
	v->index.count = v->block = 0;
	v->block_first = v->tree.size;
	rc = audit_index_load(
	    v->dirfd, segment, v->tree.size, &v->index_data, &v->index, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	*err = ERR_INIT;
	return 0;
}

/* Searches that pass over a block number the lines behind it by what the index says. */
static int
leave_block(
    struct verification *v, const struct audit_index_block *block, struct err *err)
{
	v->block_first += block->lines;
	if (v->block_first == v->tree.size)
		return 0;
	return err_set(err, ERR_INVALID,
	    "log-%llu.idx has line %llu where it is not: remove it",
	    (unsigned long long)v->index_segment, (unsigned long long)v->tree.size + 1);
}

static int
leave_segment(struct verification *v, struct err *err)
{
	struct audit_index_block block;

	if (v->index.count == 0)
		return 0;
	audit_index_block(&v->index, v->block, &block);
	return leave_block(v, &block, err);
}

/* A search must find that line, whatever the index tells it to pass over. */
static int
check_index(struct verification *v, const struct audit_reader *r, struct str line,
    struct err *err)
{
	struct audit_index_block block;
	int rc = 0;

	if (r->segment != v->index_segment) {
		rc = leave_segment(v, err);
		if (rc == 0)
			rc = load_index(v, r->segment, err);
	}
	if (rc != 0 || v->index.count == 0)
		return rc;
	audit_index_block(&v->index, v->block, &block);
	if (r->offset > block.end && v->block + 1 < v->index.count) {
		rc = leave_block(v, &block, err);
		if (rc != 0)
			return rc;
		audit_index_block(&v->index, ++v->block, &block);
	}
	if (r->offset - line.len - 1 >= block.start && r->offset <= block.end &&
	    r->lines - v->block_first <= block.lines &&
	    audit_index_admits(&block, line))
		return 0;
	return err_set(err, ERR_INVALID,
	    "log-%llu.idx hides line %llu from searches: remove it",
	    (unsigned long long)r->segment, (unsigned long long)r->lines);
}

static int
hash_lines(struct verification *v, struct audit_reader *r, struct err *err)
{
	uint8_t leaf[AUDIT_HASH_BYTES];
	struct str line;
	int rc = compare_roots(v, err);

	while (rc == 0 && (rc = audit_reader_next(r, &line, err)) == 1) {
		if (v->index_err.code == ERR_NONE)
			(void)check_index(v, r, line, &v->index_err); /* see there */
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
		    "%llu lines were signed and %llu are there: the end was cut off, "
		    "as %s shows",
		    (unsigned long long)v->report->covered,
		    (unsigned long long)v->tree.size,
		    v->witnesses.all[v->witnesses.count - 1].name);
	if (rc == 0 && v->index_err.code != ERR_NONE) {
		*err = v->index_err;
		rc = ERR_INVALID;
	}
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
	buf_free(&v->index_data);
	if (rc == 0)
		return AUDIT_INTACT;
	return conclude(v, rc == ERR_SYSTEM ? AUDIT_CANNOT_TELL : AUDIT_BROKEN, &err);
}

static enum audit_verdict
verify_directory(struct verification *v, const struct audit_evidence *evidence)
{
	enum audit_verdict verdict = load_key(v, evidence->key_path);

	if (verdict == AUDIT_INTACT)
		verdict = load_checkpoint(v, NULL);
	for (size_t i = 0; i < evidence->checkpoint_count && verdict == AUDIT_INTACT;
	     i++)
		verdict = load_checkpoint(v, evidence->checkpoint_paths[i]);
	if (verdict == AUDIT_INTACT && evidence->copy_path != NULL)
		verdict = load_copy(v, evidence);
	if (verdict != AUDIT_INTACT)
		return verdict;
	if (v->witnesses.count == 0) {
		v->report->problem = "there is no checkpoint";
		return AUDIT_CANNOT_TELL;
	}
	audit_witnesses_sort(&v->witnesses);
	v->report->covered = v->witnesses.all[v->witnesses.count - 1].size;
	return verify_lines(v);
}

enum audit_verdict
audit_verify_against(struct arena *arena, const char *directory,
    const struct audit_evidence *evidence, struct audit_report *out_report)
{
	struct verification v = {
	    .arena = arena, .report = out_report, .index_segment = UINT64_MAX};
	struct err err = ERR_INIT;
	enum audit_verdict verdict;

	memset(out_report, 0, sizeof(*out_report));
	v.dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v.dirfd < 0) {
		(void)err_sys(&err, "%s", directory); /* the verdict is the result */
		return conclude(&v, AUDIT_CANNOT_TELL, &err);
	}
	verdict = verify_directory(&v, evidence);
	audit_witnesses_fini(&v.witnesses);
	(void)close(v.dirfd); /* read only */
	return verdict;
}

enum audit_verdict
audit_verify(struct arena *arena, const char *directory, const char *key_path,
    const char *checkpoint_path, struct audit_report *out_report)
{
	const struct audit_evidence evidence = {
	    .key_path = key_path,
	    .checkpoint_paths = &checkpoint_path,
	    .checkpoint_count = checkpoint_path != NULL,
	};

	return audit_verify_against(arena, directory, &evidence, out_report);
}
