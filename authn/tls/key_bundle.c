#include "authn/tls/key_bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/tls/key_remote.h"
#include "authn/tls/tls.h"
#include "common/secret.h"

/* For each key: u8 name, u32 length, PEM. */
#define HEAD_BYTES 5
#define ALL_SEALS  (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* ---- the monitor ---- */

static int
write_head(int fd, enum key_name name, size_t len, struct err *err)
{
	struct buf head = {NULL, 0, 0};
	ssize_t n;

	proc_put_u8(&head, (uint8_t)name);
	proc_put_u32(&head, (uint32_t)len);
	n = write(fd, head.data, head.len);
	buf_free(&head);
	return n == HEAD_BYTES ? 0 : err_sys(err, "cannot write a key bundle");
}

static int
copy_file(int out, const struct key_file *file, struct err *err)
{
	struct stat st;
	int fd, rc = secret_open_file(file->path, false, &fd, err);

	if (rc != 0)
		return rc;
	if (fstat(fd, &st) != 0)
		rc = err_sys(err, "%s", file->path);
	else if (st.st_size == 0)
		rc = err_set(err, ERR_INVALID, "%s: empty", file->path);
	else
		rc = write_head(out, file->name, (size_t)st.st_size, err);
	for (off_t left = rc == 0 ? st.st_size : 0; left > 0 && rc == 0;) {
		const ssize_t n = sendfile(out, fd, NULL, (size_t)left);

		if (n > 0)
			left -= n;
		else if (n == 0)
			rc = err_set(
			    err, ERR_INVALID, "%s: changes meanwhile", file->path);
		else if (errno != EINTR)
			rc = err_sys(err, "%s", file->path);
	}
	(void)close(fd); /* read only */
	return rc;
}

int
key_bundle_seal(
    const struct key_file *files, size_t count, int *out_fd, struct err *err)
{
	int fd = memfd_create("ringfence-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc = fd < 0 ? err_sys(err, "memfd_create") : 0;

	*out_fd = -1;
	if (rc == 0 && count > KEY_BUNDLE_MAX)
		rc = err_set(err, ERR_LIMIT, "%zu keys", count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = copy_file(fd, &files[i], err);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0)
		rc = err_sys(err, "cannot seal a key bundle");
	if (rc == 0)
		*out_fd = fd;
	else if (fd >= 0)
		(void)close(fd); /* given up */
	return rc;
}

/* ---- who may open them ---- */

static int
open_key(struct proc_reader *r, struct key_entry *out, struct err *err)
{
	const uint8_t name = proc_get_u8(r);
	const struct str pem = proc_get_str(r);

	if (!r->ok || name >= KEY_NAME_COUNT)
		return err_set(err, ERR_PROTOCOL, "this is no key bundle");
	out->name = (enum key_name)name;
	out->key = tls_key_open(pem, err);
	if (out->key == NULL)
		return err_wrap(err, "%s", key_names[name].text);
	return key_id_of(out->key, out->id)
		   ? 0
		   : tls_error(err, ERR_INVALID, key_names[name].text);
}

int
key_bundle_open(int fd, struct key_bundle *out_bundle, struct err *err)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct proc_msg text = {.data = NULL};
	struct proc_reader r;
	struct stat st;
	void *map;
	int rc = 0;

	out_bundle->count = 0;
	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return err_set(err, ERR_PROTOCOL, "the key bundle is not sealed");
	if (fstat(fd, &st) != 0)
		return err_sys(err, "key bundle");
	if (st.st_size == 0)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, "key bundle");
	text.data = map;
	text.len = (size_t)st.st_size;
	proc_reader_init(&r, &text);
	while (rc == 0 && r.pos < r.len) {
		struct key_entry *entry = &out_bundle->entries[out_bundle->count];

		if (out_bundle->count == KEY_BUNDLE_MAX) {
			rc = err_set(err, ERR_LIMIT, "too many keys");
			break;
		}
		rc = open_key(&r, entry, err);
		out_bundle->count += entry->key != NULL;
	}
	(void)munmap(map, (size_t)st.st_size); /* only read */
	return rc;
}

void
key_bundle_free(struct key_bundle *bundle)
{
	for (size_t i = 0; i < bundle->count; i++)
		EVP_PKEY_free(bundle->entries[i].key);
	bundle->count = 0;
}

EVP_PKEY *
key_bundle_find(const struct key_bundle *bundle, enum key_name name)
{
	for (size_t i = 0; i < bundle->count; i++) {
		if (bundle->entries[i].name == name)
			return bundle->entries[i].key;
	}
	return NULL;
}

EVP_PKEY *
key_bundle_signer(const struct key_bundle *bundle, enum key_user user,
    const struct key_request *request)
{
	for (size_t i = 0; i < bundle->count; i++) {
		const struct key_entry *e = &bundle->entries[i];
		const struct key_name_info *name = &key_names[e->name];

		if (memcmp(e->id, request->id, sizeof(e->id)) == 0 &&
		    (name->users & user) != 0 && key_content_ok(name->purpose, request))
			return e->key;
	}
	return NULL;
}

bool
key_sign(EVP_PKEY *key, const struct key_request *request, uint8_t *out_signature,
    size_t *out_len)
{
	const struct key_scheme_info *info = key_scheme_info(request->scheme);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	bool ok;

	*out_len = KEY_SIGNATURE_BYTES;
	ok = ctx != NULL && EVP_PKEY_is_a(key, info->key_type) &&
	     EVP_DigestSignInit_ex(ctx, &how, info->digest, NULL, NULL, key, NULL) ==
		 1 &&
	     (!info->pss ||
		 (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) ==
			 1)) &&
	     EVP_DigestSign(ctx, out_signature, out_len,
		 (const uint8_t *)request->content.ptr, request->content.len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
