/*
 * The key files of an audit log: an Ed25519 private key as PEM, mode 0600, and the key that
 * verifies, as a line of text.
 */
#ifndef COMMON_AUDIT_KEY_H
#define COMMON_AUDIT_KEY_H

#include "common/audit_note.h"

/* Reads the key at `path`. ERR_NOT_FOUND if there is none, ERR_DENIED if others may read
 * it, ERR_INVALID if it is no Ed25519 key. audit_key_close frees *out_signer. */
MUST_CHECK int audit_key_open(
    const char *path, struct audit_signer *out_signer, struct err *err);
/* Makes a key at `path`, durably; ERR_EXISTS if there is a file. */
MUST_CHECK int audit_key_create(const char *path, struct err *err);
/* {0} is fine. */
void audit_key_close(struct audit_signer *signer);
/* Reads the key that verifies, AUDIT_PUBLIC_KEY_FILE of a log or one kept elsewhere; dirfd and
 * codes as audit_store_read, ERR_INVALID if it is no key. */
MUST_CHECK int audit_key_read_public(
    int dirfd, const char *name, struct audit_key *out_key, struct err *err);

#endif
