#include "authn/tls/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>

#define NAME_BYTES   16
#define CIPHER_BYTES 32
#define MAC_BYTES    32

void
tls_tickets_add(struct tls_tickets *tickets, const uint8_t key[TLS_TICKET_KEY_BYTES])
{
	memmove(tickets->keys[1], tickets->keys[0],
	    sizeof(tickets->keys) - sizeof(tickets->keys[0]));
	memcpy(tickets->keys[0], key, TLS_TICKET_KEY_BYTES);
	if (tickets->count < TLS_TICKET_KEYS)
		tickets->count++;
}

static bool
set_keys(const uint8_t *key, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
    int encrypt)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
		(void *)(uintptr_t)(key + NAME_BYTES + CIPHER_BYTES), MAC_BYTES),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key + NAME_BYTES, iv,
		   encrypt) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it: -1 failure, 0 no ticket or one of an
 * unknown key, 1 done, 2 opened, and the client should get a new one. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int encrypt)
{
	const struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if (encrypt == 1) {
		if (t->count == 0)
			return 0;
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
		memcpy(name, t->keys[0], NAME_BYTES);
		return set_keys(t->keys[0], iv, cipher, mac, 1) ? 1 : -1;
	}
	for (size_t i = 0; i < t->count; i++) {
		if (memcmp(name, t->keys[i], NAME_BYTES) != 0)
			continue;
		if (!set_keys(t->keys[i], iv, cipher, mac, 0))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

void
tls_tickets_use(SSL_CTX *ctx, const struct tls_tickets *tickets)
{
	(void)SSL_CTX_set_app_data(ctx, (void *)(uintptr_t)tickets);
	(void)SSL_CTX_set_timeout(ctx, TLS_TICKET_PERIOD_S);
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
