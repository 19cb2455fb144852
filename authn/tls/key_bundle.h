/*
 * Private keys on their way from files to the key role: a sealed memfd with all of them.
 * The monitor fills it without reading them, from file to file within the kernel, so that they are in
 * no memory but that of the roles which open it.
 */
#ifndef AUTHN_KEY_BUNDLE_H
#define AUTHN_KEY_BUNDLE_H

#include <openssl/evp.h>

#include "authn/tls/key_messages.h"
#include "common/err.h"

#define KEY_BUNDLE_MAX 8

struct key_file {
	enum key_name name;
	const char *path; /* PEM; only its owner may read it */
};

/* Copies the files. The caller closes *out_fd; -1 on failure. */
MUST_CHECK int key_bundle_seal(
    const struct key_file *files, size_t count, int *out_fd, struct err *err);

struct key_entry {
	enum key_name name;
	uint8_t id[KEY_ID_BYTES];
	EVP_PKEY *key;
};

struct key_bundle {
	struct key_entry entries[KEY_BUNDLE_MAX];
	size_t count;
};

/* Opens every key; ERR_INVALID says which is none. The caller frees it, even after a failure. */
MUST_CHECK int key_bundle_open(int fd, struct key_bundle *out_bundle, struct err *err);
void key_bundle_free(struct key_bundle *bundle);
/* The bundle's key of that name; NULL without one. Borrowed. */
MUST_CHECK EVP_PKEY *key_bundle_find(
    const struct key_bundle *bundle, enum key_name name);

/* The key that may sign this for such a role; NULL without one. Borrowed. A key may have several
 * names: with each it signs what that is for, for who uses that. */
MUST_CHECK EVP_PKEY *key_bundle_signer(const struct key_bundle *bundle,
    enum key_user user, const struct key_request *request);

/* Signs with a key that is here: at most KEY_SIGNATURE_BYTES. False if the key is of another kind
 * than the scheme. Whether it should is the caller's question. */
MUST_CHECK bool key_sign(EVP_PKEY *key, const struct key_request *request,
    uint8_t *out_signature, size_t *out_len);

#endif
