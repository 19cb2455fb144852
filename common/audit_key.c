#include "common/audit_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/audit_store.h"
#include "common/limits.h"
#include "common/secret.h"

/* libcrypto would ask on the terminal for the password of an encrypted key. */
static int
no_password(char *text, int size, int writing, void *arg)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int
sign_with_key(void *arg, struct str text, uint8_t out_signature[AUDIT_SIGNATURE_BYTES],
    struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = AUDIT_SIGNATURE_BYTES;
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, arg) == 1 &&
		  EVP_DigestSign(ctx, out_signature, &len,
		      (const unsigned char *)text.ptr, text.len) == 1 &&
		  len == AUDIT_SIGNATURE_BYTES;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok ? 0 : err_set(err, ERR_SYSTEM, "libcrypto cannot sign");
}

int
audit_key_open(const char *path, struct audit_signer *out_signer, struct err *err)
{
	struct secret text = {0};
	EVP_PKEY *pkey = NULL;
	BIO *bio = NULL;
	size_t len = sizeof(out_signer->public_key);
	int rc;

	memset(out_signer, 0, sizeof(*out_signer));
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: there is no key", path);
	rc = secret_read_file(&text, path, false, err);
	if (rc != 0)
		return rc;
	bio = BIO_new_mem_buf(text.data, (int)text.len);
	if (bio != NULL)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (pkey == NULL || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519 ||
	    EVP_PKEY_get_raw_public_key(pkey, out_signer->public_key, &len) != 1) {
		rc = err_set(
		    err, ERR_INVALID, "%s: not an Ed25519 private key in PEM", path);
		EVP_PKEY_free(pkey);
	} else {
		out_signer->sign = sign_with_key;
		out_signer->arg = pkey;
	}
	BIO_free(bio);
	secret_free(&text);
	ERR_clear_error();
	return rc;
}

/* So that the name survives a crash, like what it names. */
static int
flush_directory_of(const char *path, struct err *err)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_sys(err, "cannot flush the directory of %s", path);
	if (fd >= 0)
		(void)close(fd); /* nothing of ours in it */
	free(copy);
	return rc;
}

int
audit_key_create(const char *path, struct err *err)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem()); /* wipes what it frees */
	char *text = NULL;
	long len = 0;
	int rc;

	if (pkey == NULL || bio == NULL ||
	    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
	    (len = BIO_get_mem_data(bio, &text)) <= 0)
		rc = err_set(err, ERR_SYSTEM, "libcrypto cannot make a key");
	else
		rc = audit_store_write(
		    AT_FDCWD, path, 0600, false, (struct str){text, (size_t)len}, err);
	if (rc == 0)
		rc = flush_directory_of(path, err);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return rc;
}

void
audit_key_close(struct audit_signer *signer)
{
	EVP_PKEY_free(signer->arg);
	memset(signer, 0, sizeof(*signer));
}

int
audit_key_read_public(
    int dirfd, const char *name, struct audit_key *out_key, struct err *err)
{
	struct buf text = {0};
	int rc = audit_store_read(dirfd, name, LIMIT_AUDIT_NOTE_BYTES, &text, err);

	if (rc == 0)
		rc = audit_key_parse(out_key, buf_str(&text), err);
	buf_free(&text);
	return rc;
}
