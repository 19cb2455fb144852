/*
 * Keys that are elsewhere: an EVP_PKEY that knows its public half only, and has somebody else
 * sign. OpenSSL finds it by a provider of our own in a library context of its own, so that no other
 * key, and nothing that only verifies, ever comes upon it.
 */
#ifndef AUTHN_KEY_REMOTE_H
#define AUTHN_KEY_REMOTE_H

#include <openssl/evp.h>

#include "authn/tls/key_messages.h"
#include "common/err.h"

/* Signs: at most KEY_SIGNATURE_BYTES. False: refused, or nobody is there. Called from within
 * OpenSSL, on whatever stack that runs on. */
typedef bool (*key_sign_fn)(void *arg, const struct key_request *request,
    uint8_t *out_signature, size_t *out_len);

/* Who signs in this process, from now on; NULL: nobody. */
void key_remote_signer(key_sign_fn sign, void *arg);
/* The same where the handshake is on no job of OpenSSL's (ASYNC_start_job(3)), and its thread may
 * wait; without one, the above. Before there are threads. */
void key_remote_thread_signer(key_sign_fn sign, void *arg);

/* The private key of a public one: RSA, EC or Ed25519. ERR_UNSUPPORTED for others. */
MUST_CHECK int key_remote_new(
    EVP_PKEY *public_key, EVP_PKEY **out_key, struct err *err);

/* What names a key: the digest of its public half. */
MUST_CHECK bool key_id_of(const EVP_PKEY *key, uint8_t out_id[KEY_ID_BYTES]);

#endif
