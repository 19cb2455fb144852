/*
 * Signed notes and checkpoints: C2SP signed-note with Ed25519 keys, and
 * tlog-checkpoint. Text in, text out; no files.
 *
 *     gate.example/audit                 the origin, also the name of the key
 *     42                                 lines
 *     base64 of the 32 bytes of the root
 *                                        an empty line
 *     — gate.example/audit base64 of the key's id and the signature
 */
#ifndef COMMON_AUDIT_NOTE_H
#define COMMON_AUDIT_NOTE_H

#include "common/audit.h"

#define AUDIT_NAME_BYTES      255
#define AUDIT_SIGNATURE_BYTES 64
#define AUDIT_MAX_SIGNATURES  100 /* of one note */

/* A key that verifies. */
struct audit_key {
	char name[AUDIT_NAME_BYTES + 1];
	uint8_t id[4]; /* of name and public key */
	uint8_t public_key[32];
};

/* Makes a key of its parts. ERR_INVALID for a name that is empty, too long, no UTF-8, or
 * contains a space, a control character or "+". */
MUST_CHECK int audit_key_init(struct audit_key *key, struct str name,
    const uint8_t public_key[32], struct err *err);
/* Reads "name+id+key", one newline at the end allowed. ERR_INVALID. */
MUST_CHECK int audit_key_parse(struct audit_key *key, struct str text, struct err *err);
/* Appends "name+id+key", without a newline. */
void audit_key_format(struct buf *out, const struct audit_key *key);
MUST_CHECK bool audit_key_eq(const struct audit_key *a, const struct audit_key *b);

/* Appends the text (which ends in a newline), an empty line and the signature of
 * `signer` under the name and id of `key`. ERR_INVALID if the text is no note's. */
MUST_CHECK int audit_note_sign(struct buf *out, struct str text,
    const struct audit_key *key, const struct audit_signer *signer, struct err *err);
/* Checks a note and sets *out_text to its text (a view). Signatures of others are
 * ignored. ERR_INVALID: malformed; ERR_DENIED: not signed by the key, or wrongly. */
MUST_CHECK int audit_note_open(struct str note, const struct audit_key *key,
    struct str *out_text, struct err *err);

struct audit_checkpoint {
	struct str origin; /* parsed: a view */
	uint64_t size;
	uint8_t root[32];
};

/* Appends the three lines. */
void audit_checkpoint_format(
    struct buf *out, const struct audit_checkpoint *checkpoint);
/* Reads the text of a note; lines after the third are extensions, and ignored.
 * ERR_INVALID. */
MUST_CHECK int audit_checkpoint_parse(
    struct audit_checkpoint *checkpoint, struct str text, struct err *err);
/* Reads a note that must be a checkpoint of the key's own log; its texts are views of the
 * note. As audit_note_open; ERR_INVALID also for one of another origin. */
MUST_CHECK int audit_checkpoint_open(struct audit_checkpoint *checkpoint,
    struct str note, const struct audit_key *key, struct err *err);

#endif
