#include "authn/access/list_token.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "common/base.h"

/*
 * rfc1 (prefix and version), then base64url without padding of nonce, AES-256-GCM cipher text and
 * tag. Nonces are random: 2^32 tokens of one key would be too many; a gate that is
 * started anew has a new one, and a ring turns.
 */
#define PREFIX      "rfc1"
#define PREFIX_LEN  4
#define NONCE_BYTES 12
#define TAG_BYTES   16

void
list_keys_derive(const uint8_t *secret, size_t secret_len, struct list_keys *out_keys)
{
	static const char purpose[] = "ringfence continue tokens";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	/* The secret is random and of full length: one hash is derivation enough. */
	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(ctx, purpose, sizeof(purpose)) != 1 ||
	    EVP_DigestUpdate(ctx, secret, secret_len) != 1 ||
	    EVP_DigestFinal_ex(ctx, out_keys->keys[0], NULL) != 1)
		base_die("cannot derive a key");
	EVP_MD_CTX_free(ctx);
	out_keys->count = 1;
	out_keys->seals = 0;
}

void
list_keys_ring(const uint8_t ring[LIST_RING_BYTES], struct list_keys *out_keys)
{
	memcpy(out_keys->keys, ring, LIST_RING_BYTES);
	out_keys->count = LIST_RING_KEYS;
	out_keys->seals = 1;
}

/* ---- base64url ---- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
add_base64url(struct buf *out, const uint8_t *data, size_t len)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | data[i];
		for (have += 8; have >= 6; have -= 6)
			buf_add_char(out, alphabet[bits >> (have - 6) & 63]);
	}
	if (have != 0)
		buf_add_char(out, alphabet[bits << (6 - have) & 63]);
}

/* Strict: the only text that add_base64url writes for these bytes. */
static bool
read_base64url(struct str text, uint8_t *out, size_t *out_len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *at = memchr(alphabet, text.ptr[i], 64);

		if (at == NULL)
			return false;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	*out_len = n;
	return have < 6 && (bits & ((1u << have) - 1)) == 0;
}

/* ---- sealing ---- */

bool
list_token_seal(const struct list_keys *keys, struct str bound_to, struct str token,
    struct buf *out)
{
	const uint8_t *key = keys->keys[keys->seals];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *box = xmalloc(NONCE_BYTES + token.len + TAG_BYTES);
	const uint8_t *text = (const uint8_t *)token.ptr;
	int n = 0;
	bool ok =
	    ctx != NULL && keys->count != 0 && token.len <= LIST_TOKEN_MAX_BYTES &&
	    RAND_bytes(box, NONCE_BYTES) == 1 &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, box) == 1 &&
	    EVP_EncryptUpdate(
		ctx, NULL, &n, (const uint8_t *)bound_to.ptr, (int)bound_to.len) == 1 &&
	    EVP_EncryptUpdate(ctx, box + NONCE_BYTES, &n, text, (int)token.len) == 1 &&
	    EVP_EncryptFinal_ex(ctx, box + NONCE_BYTES + n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES,
		box + NONCE_BYTES + token.len) == 1;

	if (ok) {
		buf_add_cstr(out, PREFIX);
		add_base64url(out, box, NONCE_BYTES + token.len + TAG_BYTES);
	}
	EVP_CIPHER_CTX_free(ctx);
	free(box);
	return ok;
}

static bool
decrypt(const uint8_t *key, struct str bound_to, uint8_t *box, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	size_t text_len = len - NONCE_BYTES - TAG_BYTES;
	int n = 0;
	bool ok =
	    ctx != NULL &&
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, box) == 1 &&
	    EVP_DecryptUpdate(
		ctx, NULL, &n, (const uint8_t *)bound_to.ptr, (int)bound_to.len) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, box + NONCE_BYTES, (int)text_len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES,
		box + NONCE_BYTES + text_len) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + n, &n) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

enum list_token_result
list_token_open(struct arena *arena, const struct list_keys *keys, struct str bound_to,
    struct str sealed, struct str *out_token)
{
	struct str body = str_slice(sealed, PREFIX_LEN, sealed.len);
	uint8_t *box, *out;
	bool opened = false;
	size_t len;

	if (!str_starts(sealed, STR(PREFIX)) || body.len > 2 * LIST_TOKEN_MAX_BYTES)
		return LIST_TOKEN_MALFORMED;
	box = arena_alloc(arena, body.len + 1);
	out = arena_alloc(arena, body.len + 1);
	if (!read_base64url(body, box, &len) || len <= NONCE_BYTES + TAG_BYTES)
		return LIST_TOKEN_MALFORMED;
	for (unsigned i = 0; i < keys->count && !opened; i++)
		opened = decrypt(keys->keys[i], bound_to, box, len, out);
	if (!opened)
		return LIST_TOKEN_UNKNOWN;
	*out_token = (struct str){(const char *)out, len - NONCE_BYTES - TAG_BYTES};
	return LIST_TOKEN_OK;
}
