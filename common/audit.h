/*
 * The audit log: an append-only directory of JSON lines with an RFC 6962 Merkle
 * tree over the lines and checkpoints signed with Ed25519 (C2SP tlog-checkpoint, a
 * signed note). Files: log-N.jsonl (bare events, N counts from 0), checkpoint, key.pub
 * (note verifier key), and the writer's own key file `key` (mode 0600). One writer;
 * a lock on the directory keeps a second one out. A leaf of the tree is a line without its
 * newline. None of this is thread-safe; each log belongs to one thread.
 */
#ifndef COMMON_AUDIT_H
#define COMMON_AUDIT_H

#include "common/err.h"
#include "common/str.h"

struct audit_log;

/* Signs checkpoints when the key is not a file, e.g. by asking another process. */
struct audit_signer {
	uint8_t public_key[32]; /* Ed25519 */
	int (*sign)(
	    void *arg, struct str text, uint8_t out_signature[64], struct err *err);
	void *arg;
};

struct audit_options {
	const char *directory;
	const char *origin; /* first line of checkpoints, e.g. "gate.example/audit" */
	uint64_t segment_bytes; /* a new log-N.jsonl beyond this; 0: 64 MiB */
	const char *key_path;   /* NULL: "<directory>/key"; made when absent */
	const struct audit_signer
	    *signer; /* borrowed until audit_close; NULL: the key file */
	/*
	 * The checkpoint is renewed at most this often; 0: by every audit_sync. A renewal
	 * costs two more flushes of the disk. With an interval, lines of the last
	 * interval are on disk but not signed yet: when the process or the machine stops there,
	 * audit_verify counts them as present and not covered, nobody could tell if somebody
	 * changed them in the meantime, and the next audit_open keeps and signs them.
	 */
	unsigned checkpoint_interval_ms;
};

/*
 * Opens or creates the log (the directory, not its parents). After a crash a torn last
 * line is cut off (it was never acknowledged) and the tree is rebuilt from the segments;
 * complete lines beyond the last checkpoint are kept and signed. Refuses with
 * ERR_INVALID, and changes nothing, when lines that the checkpoint covers are gone or
 * changed, when a segment or the checkpoint of a log with lines is missing, or when the
 * key is not the one of key.pub; with ERR_EXISTS when another writer has it open.
 *
 * Everything is opened relative to the directory, so that a role may be confined in an
 * empty root afterwards; audit_syscalls is what the writer calls beyond
 * proc_syscalls_basic. The role's user must be able to create files in the directory.
 */
MUST_CHECK int audit_open(
    const struct audit_options *options, struct audit_log **out_log, struct err *err);
/* Signs what is not covered yet, as well as it can, and frees the log. Lines that were
 * appended and never synced are lost. NULL is fine. */
void audit_close(struct audit_log *log);
extern const int audit_syscalls[]; /* libseccomp numbers, -1-terminated */

/*
 * Appends one event: one JSON object, no newline inside, at most LIMIT_AUDIT_LINE_BYTES.
 * Buffered until audit_sync. ERR_INVALID for a line that is not one object on one line
 * (brackets, strings and control bytes are checked, not the grammar in between);
 * ERR_LIMIT for one that is too long, or when LIMIT_AUDIT_PENDING_BYTES wait for a sync.
 * On failure the log is as before.
 */
MUST_CHECK int audit_append(struct audit_log *log, struct str line, struct err *err);
/*
 * Writes and fdatasyncs what was appended, then renews the checkpoint. 0: everything
 * appended before is on disk. On failure (disk full) nothing that failed counts as
 * appended: the file is cut back to the last synced length, and a later call may succeed.
 * Without anything appended it renews a checkpoint that is due.
 */
MUST_CHECK int audit_sync(struct audit_log *log, struct err *err);

/* Lines that are synced, and the root over them. */
MUST_CHECK uint64_t audit_size(const struct audit_log *log);
void audit_root(const struct audit_log *log, uint8_t out_root[32]);

/* ---- reading and verifying (no lock, no write) ---- */

enum audit_verdict {
	AUDIT_INTACT = 0,
	AUDIT_BROKEN = 1,
	AUDIT_CANNOT_TELL = 2
};

struct audit_report {
	uint64_t lines;      /* lines present, as far as they were read */
	uint64_t covered;    /* lines that checkpoints and copies vouch for */
	const char *problem; /* in the arena; NULL when intact */
	/* The log's own checkpoint, as far as there is one and it is signed. */
	uint64_t signed_size;
	uint8_t signed_root[32];
	struct str note; /* the whole of it, in the arena; "" without */
	struct str key;  /* name+id+key, in the arena; "" without */
	uint64_t
	    witnesses; /* checkpoints and copies that the lines were compared with */
};

/* What was kept elsewhere. {0}: nothing. */
struct audit_evidence {
	const char *key_path; /* NULL: the log's own key.pub */
	const char *const *checkpoint_paths;
	size_t checkpoint_count;
	/* NULL, or a copy: a directory with lines and checkpoints as `ringfence audit copy`
	 * makes it, or a file with checkpoints, as notes or as such a copy's syslog lines have
	 * them, among anything else. */
	const char *copy_path;
	/* The copy's checkpoints as such a file has them; copy_path is then only its name. */
	bool copy_in_text;
	struct str copy_text;
};

/*
 * Verifies a directory against its checkpoint and, if `checkpoint_path` is not NULL,
 * against one kept elsewhere too, with its key.pub or the key kept elsewhere
 * (`key_path`). The writer may be at work meanwhile. Only what is kept elsewhere shows
 * that the tail was cut off together with the checkpoint, or that everything was
 * signed anew with another key.
 *
 * AUDIT_INTACT: the lines covered are those that were signed; more may follow them.
 * AUDIT_BROKEN: they are not, or a checkpoint is malformed or not signed by the key.
 * AUDIT_CANNOT_TELL: the directory, the key or every checkpoint is missing or unreadable.
 */
MUST_CHECK enum audit_verdict audit_verify(struct arena *arena, const char *directory,
    const char *key_path, const char *checkpoint_path, struct audit_report *out_report);

/* As audit_verify, with all that was kept elsewhere. Each checkpoint of the copy must be one
 * of this log's past: the same lines up to its size, and no fewer. AUDIT_CANNOT_TELL if the
 * copy has nothing of this log. */
MUST_CHECK enum audit_verdict audit_verify_against(struct arena *arena,
    const char *directory, const struct audit_evidence *evidence,
    struct audit_report *out_report);

/* Calls `each` for every complete line in order, without its newline (borrowed for the
 * call); stops when it returns false. Verifies nothing but that no segment is missing and
 * no line is longer than LIMIT_AUDIT_LINE_BYTES. */
MUST_CHECK int audit_read(const char *directory,
    bool (*each)(void *arg, uint64_t index, struct str line), void *arg,
    struct err *err);

/* RFC 6962 hashing, exposed for tests and proofs. */
void audit_leaf_hash(struct str line, uint8_t out_hash[32]);
void audit_node_hash(
    const uint8_t left[32], const uint8_t right[32], uint8_t out_hash[32]);

#endif
