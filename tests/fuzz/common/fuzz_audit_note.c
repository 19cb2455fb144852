/*
 * Keys, notes and checkpoints of the audit log: anything is refused or means one thing
 * only. What is accepted writes back to the same text.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/audit_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
fuzz_key(struct str text)
{
	struct audit_key key;
	struct buf out = {0};

	if (audit_key_parse(&key, text, NULL) != 0)
		return;
	if (text.ptr[text.len - 1] == '\n')
		text.len--;
	audit_key_format(&out, &key);
	require(str_eq(buf_str(&out), text));
	buf_free(&out);
}

static void
fuzz_checkpoint(struct str text)
{
	struct audit_checkpoint checkpoint;
	struct buf out = {0};

	if (audit_checkpoint_parse(&checkpoint, text, NULL) != 0)
		return;
	audit_checkpoint_format(&out, &checkpoint);
	require(str_starts(text, buf_str(&out)));
	buf_free(&out);
}

/* A published key: nobody here can sign with it but for the published note. */
static void
fuzz_note(struct str note)
{
	static const char vkey[] =
	    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
	struct audit_key key;
	struct str text;

	require(audit_key_parse(&key, str_from(vkey), NULL) == 0);
	if (audit_note_open(note, &key, &text, NULL) == 0)
		require(str_is(text,
		    "If you think cryptography is the answer to your problem,\n"
		    "then you don't know what your problem is.\n"));
}

/* Signs whatever is a text, and opens it again. The key is 32 zeros: nobody's. */
static int
sign(void *arg, struct str text, uint8_t out_signature[64], struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;

	(void)err;
	require(EVP_DigestSignInit(ctx, NULL, NULL, NULL, arg) == 1 &&
		EVP_DigestSign(ctx, out_signature, &len,
		    (const unsigned char *)text.ptr, text.len) == 1);
	EVP_MD_CTX_free(ctx);
	return 0;
}

static void
fuzz_sign(struct str text)
{
	static const unsigned char zeros[32];
	EVP_PKEY *pkey =
	    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, zeros, 32);
	struct audit_signer signer = {.sign = sign, .arg = pkey};
	struct buf out = {0};
	struct audit_key key;
	struct str opened;
	size_t len = 32;

	require(EVP_PKEY_get_raw_public_key(pkey, signer.public_key, &len) == 1);
	require(
	    audit_key_init(&key, STR("fuzz.example"), signer.public_key, NULL) == 0);
	if (text.len < 16384 && audit_note_sign(&out, text, &key, &signer, NULL) == 0) {
		require(audit_note_open(buf_str(&out), &key, &opened, NULL) == 0);
		require(str_eq(opened, text));
	}
	buf_free(&out);
	EVP_PKEY_free(pkey);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size != 0 ? size : 1);
	struct str text = {copy, size};

	require(copy != NULL);
	if (size != 0)
		memcpy(copy, data, size);
	fuzz_key(text);
	fuzz_checkpoint(text);
	fuzz_note(text);
	fuzz_sign(text);
	free(copy);
	return 0;
}
