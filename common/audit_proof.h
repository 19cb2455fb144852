/*
 * Proofs that lines are in an audit log (RFC 6962 2.1.1), and their text, C2SP tlog-proof.
 * Whoever has a line, its proof and the log's key needs neither the log nor us.
 */
#ifndef COMMON_AUDIT_PROOF_H
#define COMMON_AUDIT_PROOF_H

#include "common/audit_note.h"
#include "common/audit_tree.h"

#define AUDIT_PROOF_MAX_HASHES 63 /* as tlog-proof has it */

struct audit_proof {
	uint64_t index; /* of the line, from 0 */
	uint8_t path[AUDIT_PROOF_MAX_HASHES][AUDIT_HASH_BYTES]; /* from the leaf up */
	uint32_t count;
};

/* Proofs of some lines, made in one pass over all of them. */
struct audit_prover {
	struct audit_tree tree;     /* of the lines so far */
	struct audit_proof *proofs; /* borrowed; by index, none twice */
	size_t count;
};

/* Takes proofs whose index is set, in increasing order. */
void audit_prover_init(
    struct audit_prover *prover, struct audit_proof *proofs, size_t count);
/* The hash of the next line. */
void audit_prover_add(
    struct audit_prover *prover, const uint8_t leaf[AUDIT_HASH_BYTES]);
/* All lines have come: completes the proofs. False if one is of a line beyond the last. */
MUST_CHECK bool audit_prover_finish(struct audit_prover *prover);

/* True if the proof leads from the leaf to the root of a log of `size` lines
 * (RFC 9162 2.1.3.2). */
MUST_CHECK bool audit_proof_verify(const struct audit_proof *proof,
    const uint8_t leaf[AUDIT_HASH_BYTES], uint64_t size,
    const uint8_t root[AUDIT_HASH_BYTES]);

/* Appends the text; `note`: the signed checkpoint. */
void audit_proof_format(
    struct buf *out, const struct audit_proof *proof, struct str note);
/* Reads it; *out_note is a view of its end. Extra data is passed over. ERR_INVALID. */
MUST_CHECK int audit_proof_parse(
    struct audit_proof *proof, struct str text, struct str *out_note, struct err *err);
/* All of it: text and signature are right, and `line` is where the proof says. */
MUST_CHECK int audit_proof_check(
    struct str text, struct str line, const struct audit_key *key, struct err *err);

#endif
