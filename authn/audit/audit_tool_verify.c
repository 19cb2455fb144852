/*
 * Whether the log is whole; and records that prove by themselves that they are in it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/audit/audit_copy_etcd.h"
#include "authn/audit/audit_tool.h"
#include "common/audit.h"
#include "common/audit_key.h"
#include "common/audit_proof.h"
#include "common/audit_store.h"
#include "common/limits.h"

#define PROOF_SUFFIX  ".tlog-proof"
#define RECORD_SUFFIX ".json"
#define FILE_MODE     0640

/* ---- verify ---- */

int
audit_tool_evidence(
    const struct audit_tool *t, struct audit_evidence *out, struct err *err)
{
	struct buf notes = {NULL, 0, 0};
	struct audit_etcd etcd;
	int rc;

	*out = (struct audit_evidence){
	    .key_path = t->key,
	    .checkpoint_paths = t->checkpoints,
	    .checkpoint_count = t->checkpoint_count,
	    .copy_path = t->against,
	};
	rc = audit_etcd_parse(t, str_from(t->against), &etcd, err);
	if (rc != 1)
		return rc;
	rc = audit_etcd_fetch(&etcd, &notes, err);
	out->copy_text = str_dup(t->arena, buf_str(&notes));
	out->copy_in_text = true;
	buf_free(&notes);
	return rc;
}

int
audit_tool_verify(struct audit_tool *t)
{
	struct audit_evidence evidence;
	struct audit_report report = {0};
	struct err err = ERR_INIT;
	enum audit_verdict verdict;

	if (audit_tool_evidence(t, &evidence, &err) != 0)
		return audit_tool_fail(err.msg);
	verdict = audit_verify_against(t->arena, t->directory, &evidence, &report);

	switch (verdict) {
	case AUDIT_INTACT:
		printf("intact: %llu lines, %llu of them signed\n",
		    (unsigned long long)report.lines,
		    (unsigned long long)report.covered);
		break;
	case AUDIT_BROKEN:
		printf("broken: %s\n", report.problem);
		break;
	case AUDIT_CANNOT_TELL:
		return audit_tool_fail(report.problem);
	}
	return audit_tool_flush() != 0 ? AUDIT_EXIT_CANNOT_TELL : (int)verdict;
}

/* ---- export with proofs ---- */

struct proving {
	struct audit_tool *tool;
	int out; /* the directory */
	struct audit_proof *proofs;
	size_t count, cap;
	struct audit_prover prover;
	struct audit_checkpoint checkpoint;
	struct str note;
	uint64_t unreadable; /* lines that may be records that were wanted */
	struct err err;
};

static int
write_file(
    int dirfd, uint64_t index, const char *suffix, struct str data, struct err *err)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%llu%s", (unsigned long long)index, suffix);
	return audit_store_write(dirfd, name, FILE_MODE, true, data, err);
}

/* Beyond the checkpoint nothing is proved yet. */
static bool
note_record(void *arg, const struct audit_record *record)
{
	struct proving *p = arg;

	if (record->index >= p->checkpoint.size)
		return false;
	if (p->count == LIMIT_AUDIT_PROOFS) {
		(void)err_set(&p->err, ERR_LIMIT,
		    "more than %u records: choose fewer, by --limit or a filter",
		    LIMIT_AUDIT_PROOFS);
		return false;
	}
	if (p->count == p->cap) {
		p->cap = p->cap != 0 ? 2 * p->cap : 64;
		p->proofs = xreallocarray(p->proofs, p->cap, sizeof(*p->proofs));
	}
	p->proofs[p->count++].index = record->index;
	/* The line as it was hashed: without a newline. */
	return write_file(
		   p->out, record->index, RECORD_SUFFIX, record->line, &p->err) == 0 &&
	       p->count != p->tool->limit;
}

static bool
hash_line(void *arg, uint64_t index, struct str line)
{
	struct proving *p = arg;
	uint8_t leaf[AUDIT_HASH_BYTES];

	if (index >= p->checkpoint.size)
		return false;
	audit_leaf_hash(line, leaf);
	audit_prover_add(&p->prover, leaf);
	return true;
}

/* The log's own checkpoint, which must be signed by its own key. */
static int
load_checkpoint(struct proving *p, struct err *err)
{
	int dirfd = open(p->tool->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct buf note = {0};
	struct audit_key key;
	int rc;

	if (dirfd < 0)
		return err_sys(err, "%s", p->tool->directory);
	rc = audit_key_read_public(dirfd, AUDIT_PUBLIC_KEY_FILE, &key, err);
	if (rc == 0)
		rc = audit_store_read(
		    dirfd, AUDIT_CHECKPOINT_FILE, LIMIT_AUDIT_NOTE_BYTES, &note, err);
	p->note = str_dup(p->tool->arena, buf_str(&note));
	if (rc == 0)
		rc = audit_checkpoint_open(&p->checkpoint, p->note, &key, err);
	buf_free(&note);
	(void)close(dirfd); /* read only */
	return rc;
}

static int
write_proofs(struct proving *p, struct err *err)
{
	struct buf text = {0};
	uint8_t root[AUDIT_HASH_BYTES];
	int rc = 0;

	audit_tree_root(&p->prover.tree, root);
	if (p->prover.tree.size != p->checkpoint.size ||
	    memcmp(root, p->checkpoint.root, sizeof(root)) != 0 ||
	    !audit_prover_finish(&p->prover))
		return err_set(err, ERR_INVALID,
		    "the log is not what its checkpoint signs: see verify");
	for (size_t i = 0; i < p->count && rc == 0; i++) {
		buf_clear(&text);
		audit_proof_format(&text, &p->proofs[i], p->note);
		rc = write_file(
		    p->out, p->proofs[i].index, PROOF_SUFFIX, buf_str(&text), err);
	}
	buf_free(&text);
	return rc;
}

static int
export_proofs(struct proving *p, struct err *err)
{
	struct audit_search search = {.directory = p->tool->directory,
	    .no_index = p->tool->no_index,
	    .each = note_record,
	    .complain = audit_tool_complain,
	    .arg = p};
	int rc = load_checkpoint(p, err);

	if (rc == 0)
		rc = audit_query_run(&p->tool->query, &search, err);
	p->unreadable = search.unreadable;
	if (rc == 0 && p->err.code != ERR_NONE) {
		*err = p->err;
		rc = p->err.code;
	}
	audit_prover_init(&p->prover, p->proofs, p->count);
	if (rc == 0)
		rc = audit_read(p->tool->directory, hash_line, p, err);
	return rc == 0 ? write_proofs(p, err) : rc;
}

int
audit_tool_export(struct audit_tool *t)
{
	struct proving p = {.tool = t, .err = ERR_INIT};
	struct err err = ERR_INIT;
	int rc;

	if (t->proofs == NULL)
		return audit_tool_show(t);
	if (mkdir(t->proofs, 0750) != 0 && errno != EEXIST)
		rc = err_sys(&err, "%s", t->proofs);
	else if ((p.out = open(t->proofs, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = err_sys(&err, "%s", t->proofs);
	else
		rc = export_proofs(&p, &err);
	if (p.out > 0)
		(void)close(p.out); /* what was written is flushed */
	free(p.proofs);
	if (rc != 0)
		return audit_tool_fail(err.msg);
	printf("%zu records with their proofs\n", p.count);
	rc = audit_tool_flush();
	return rc == 0 && p.unreadable != 0 ? AUDIT_EXIT_CANNOT_TELL : rc;
}

/* ---- check ---- */

/* "NAME.tlog-proof" and "NAME.json": 0, ERR_DENIED or ERR_INVALID if they are no proof. */
static int
check_pair(
    int dirfd, const char *proof_name, const struct audit_key *key, struct err *err)
{
	size_t stem = strlen(proof_name) - strlen(PROOF_SUFFIX);
	struct buf proof = {0}, record = {0}, name = {0};
	int rc;

	buf_add(&name, proof_name, stem);
	buf_add_cstr(&name, RECORD_SUFFIX);
	rc = audit_store_read(dirfd, proof_name, LIMIT_AUDIT_NOTE_BYTES, &proof, err);
	if (rc == 0)
		rc = audit_store_read(
		    dirfd, name.data, LIMIT_AUDIT_LINE_BYTES, &record, err);
	if (rc == 0)
		rc = audit_proof_check(buf_str(&proof), buf_str(&record), key, err);
	if (rc != 0)
		(void)err_wrap(err, "%s", name.data); /* rc is the code */
	buf_free(&proof);
	buf_free(&record);
	buf_free(&name);
	return rc;
}

static int
check_all(DIR *dir, const struct audit_key *key)
{
	unsigned long long good = 0, bad = 0;
	struct dirent *entry;
	bool unreadable = false;

	while ((entry = readdir(dir)) != NULL) {
		struct str name = str_from(entry->d_name);
		struct err err = ERR_INIT;
		int rc;

		if (!str_ends(name, STR(PROOF_SUFFIX)))
			continue;
		rc = check_pair(dirfd(dir), entry->d_name, key, &err);
		good += rc == 0;
		bad += rc == ERR_DENIED || rc == ERR_INVALID;
		unreadable |= rc != 0 && rc != ERR_DENIED && rc != ERR_INVALID;
		if (rc != 0)
			audit_tool_complain(NULL, err.msg);
	}
	printf("%llu proved, %llu not\n", good, bad);
	if (audit_tool_flush() != 0 || unreadable || (good == 0 && bad == 0))
		return AUDIT_EXIT_CANNOT_TELL;
	return bad != 0 ? 1 : 0;
}

int
audit_tool_check(struct audit_tool *t)
{
	struct err err = ERR_INIT;
	struct audit_key key;
	DIR *dir;
	int status;

	if (t->key == NULL)
		return audit_tool_fail("--key: which log's? give its key.pub");
	if (audit_key_read_public(AT_FDCWD, t->key, &key, &err) != 0)
		return audit_tool_fail(err.msg);
	dir = opendir(t->directory);
	if (dir == NULL) {
		(void)err_sys(&err, "%s", t->directory); /* told */
		return audit_tool_fail(err.msg);
	}
	status = check_all(dir, &key);
	(void)closedir(dir); /* read only */
	return status;
}
