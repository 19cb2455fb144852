/*
 * Proofs and copies of the audit log: texts that come from elsewhere. What is accepted as a
 * proof writes back to the same text, unless it has extra data.
 */
#include <stdlib.h>
#include <string.h>

#include "common/audit_proof.h"
#include "common/audit_witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A published key: nobody here can sign with it. */
	static const char vkey[] =
	    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
	struct str text = {(const char *)data, size}, note;
	struct audit_witnesses witnesses = {0};
	uint8_t leaf[AUDIT_HASH_BYTES] = {0};
	struct audit_proof proof;
	struct audit_key key;
	struct buf out = {0};

	require(audit_key_parse(&key, str_from(vkey), NULL) == 0);
	if (audit_proof_parse(&proof, text, &note, NULL) == 0) {
		audit_proof_format(&out, &proof, note);
		require(str_eq(buf_str(&out), text) ||
			memmem(text.ptr, text.len, "extra ", 6) != NULL);
		for (uint64_t n = 0; n < 70; n++)
			require(!audit_proof_verify(&proof, leaf, n, leaf));
		buf_free(&out);
	}
	if (audit_witness_text(&witnesses, text, &key, "fuzz", NULL) == 0)
		require(witnesses.count == 0);
	audit_witnesses_fini(&witnesses);
	return 0;
}
