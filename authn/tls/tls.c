#include "authn/tls/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/tls/key_remote.h"
#include "common/ip.h"
#include "common/proc.h"

#define MAX_GROUPS          64 /* O values of a certificate */
#define UPSTREAM_READ_BYTES (64 * 1024)
#define SERVER_CIPHERS      "ECDHE+AESGCM:ECDHE+CHACHA20" /* of TLS 1.2 */

int
tls_error(struct err *err, enum err_code code, const char *what)
{
	unsigned long e = ERR_get_error();
	char text[256] = "no detail";

	if (e != 0)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	return err_set(err, code, "%s: %s", what, text);
}

static BIO *
memory_bio(struct str text)
{
	return BIO_new_mem_buf(text.ptr, (int)text.len);
}

/* Keys come without a passphrase; never ask the terminal for one. */
static int
no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

EVP_PKEY *
tls_key_open(struct str pem, struct err *err)
{
	BIO *bio = memory_bio(pem);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (key == NULL)
		(void)tls_error(err, ERR_INVALID, "private key");
	BIO_free(bio);
	return key;
}

/* Reads every certificate of a PEM text; returns how many were given to `each`, or -1. */
static int
each_certificate(
    struct str pem, int (*each)(SSL_CTX *ctx, X509 *cert, int index), SSL_CTX *ctx)
{
	BIO *bio = memory_bio(pem);
	X509 *cert;
	int n = 0;

	if (bio == NULL)
		return -1;
	while (n >= 0 &&
	       (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		n = each(ctx, cert, n) == 1 ? n + 1 : -1;
		X509_free(cert);
	}
	BIO_free(bio);
	if (n > 0)
		ERR_clear_error(); /* "no start line" at the end of the text */
	return n;
}

static int
use_chain_certificate(SSL_CTX *ctx, X509 *cert, int index)
{
	if (index == 0)
		return SSL_CTX_use_certificate(ctx, cert);
	return SSL_CTX_add1_chain_cert(ctx, cert) == 1 ? 1 : 0;
}

static int
trust_certificate(SSL_CTX *ctx, X509 *cert, int index)
{
	(void)index;
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
}

static int
trust_and_name(SSL_CTX *ctx, X509 *cert, int index)
{
	return trust_certificate(ctx, cert, index) == 1
		   ? SSL_CTX_add_client_CA(ctx, cert)
		   : 0;
}

/* The key that goes with the context's certificate. */
static EVP_PKEY *
find_key(SSL_CTX *ctx, EVP_PKEY *key, struct err *err)
{
	if (key != NULL) {
		(void)EVP_PKEY_up_ref(key); /* cannot fail */
		return key;
	}
	return key_remote_new(
		   X509_get0_pubkey(SSL_CTX_get0_certificate(ctx)), &key, err) == 0
		   ? key
		   : NULL;
}

/* `key` may be NULL: it is elsewhere. */
static int
use_identity(SSL_CTX *ctx, struct str certificate, EVP_PKEY *key, struct err *err)
{
	int rc = 0;

	if (each_certificate(certificate, use_chain_certificate, ctx) < 1)
		return tls_error(err, ERR_INVALID, "certificate");
	key = find_key(ctx, key, err);
	if (key == NULL)
		return ERR_INVALID;
	if (SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		rc = tls_error(
		    err, ERR_INVALID, "the private key does not fit the certificate");
	EVP_PKEY_free(key);
	return rc;
}

int
tls_use_remote(SSL_CTX *ctx, struct str certificate, struct err *err)
{
	return use_identity(ctx, certificate, NULL, err);
}

/* On an event loop. Who signs may take his time: the handshake is left and entered again. */
static int
use_key(SSL_CTX *ctx, struct str certificate, EVP_PKEY *key, struct err *err)
{
	if (key == NULL)
		(void)SSL_CTX_set_mode(ctx, SSL_MODE_ASYNC);
	return use_identity(ctx, certificate, key, err);
}

static SSL_CTX *
context_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
		base_die("cannot make a TLS context");
	/* Idle connections hold no record buffers; a record that could not be written is
	 * offered again from another address. */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
					SSL_MODE_ENABLE_PARTIAL_WRITE |
					SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					   SSL_OP_CIPHER_SERVER_PREFERENCE |
					   SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

/* As the wire has it: each name after its length. */
static struct str
alpn_names(enum tls_alpn alpn)
{
	return alpn == TLS_ALPN_H2_FIRST ? STR("\x02h2\x08http/1.1")
					 : STR("\x08http/1.1");
}

static bool
read_revocations(SSL_CTX *ctx, struct str pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = memory_bio(pem);
	X509_CRL *crl;
	int n = 0;

	while (bio != NULL &&
	       (crl = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL)) != NULL) {
		n += X509_STORE_add_crl(store, crl);
		X509_CRL_free(crl);
	}
	BIO_free(bio);
	if (n > 0)
		ERR_clear_error(); /* "no start line" at the end of the text */
	return n > 0 && X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
}

/* `arg` is the options' alpn. */
static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
    const unsigned char *in, unsigned in_len, void *arg)
{
	const struct str ours = alpn_names((enum tls_alpn)(uintptr_t)arg);
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ours.ptr,
		(unsigned)ours.len, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* Lets the handshake go on whatever the certificate is: the verdict is kept in the
 * session, and a request without a token is then answered 401 rather than with an alert. */
static int
accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* A session that was made with other authorities, or before a certificate was revoked, is none:
 * what was verified then is in it. */
static bool
name_sessions(SSL_CTX *ctx, const struct tls_server_options *o)
{
	struct buf text = {NULL, 0, 0};
	uint8_t name[32];
	bool ok;

	buf_add_cstr(&text, "ringfence-gate");
	proc_put_str(&text, o->client_ca);
	proc_put_str(&text, o->client_crl);
	ok = EVP_Digest(text.data, text.len, name, NULL, EVP_sha256(), NULL) == 1 &&
	     SSL_CTX_set_session_id_context(ctx, name, sizeof(name)) == 1;
	buf_free(&text);
	return ok;
}

SSL_CTX *
tls_server_new(const struct tls_server_options *o, struct err *err)
{
	SSL_CTX *ctx = context_new(TLS_server_method());

	/* What the key signs is the handshake; nothing is ever decrypted with it. */
	if (SSL_CTX_set_cipher_list(ctx, SERVER_CIPHERS) != 1) {
		(void)tls_error(err, ERR_SYSTEM, "ciphers");
		goto fail;
	}
	if (use_key(ctx, o->certificate, o->key, err) != 0)
		goto fail;
	SSL_CTX_set_alpn_select_cb(ctx, select_alpn, (void *)(uintptr_t)o->alpn);
	/* Sessions live in tickets, never in this process's memory. */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (!name_sessions(ctx, o) || SSL_CTX_set_num_tickets(ctx, 1) != 1) {
		(void)tls_error(err, ERR_SYSTEM, "session tickets");
		goto fail;
	}
	if (o->tickets != NULL)
		tls_tickets_use(ctx, o->tickets);
	if (o->client_ca.len != 0) {
		if (each_certificate(o->client_ca, trust_and_name, ctx) < 1) {
			(void)tls_error(err, ERR_INVALID, "client CA");
			goto fail;
		}
		if (o->client_crl.len != 0 && !read_revocations(ctx, o->client_crl)) {
			(void)tls_error(err, ERR_INVALID, "revocation list");
			goto fail;
		}
		SSL_CTX_set_verify(
		    ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, accept_any);
		(void)SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
	}
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}

/* Keeps the newest session of a server where its connections find it. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION **slot = SSL_get_app_data(ssl);

	if (slot == NULL)
		return 0;
	SSL_SESSION_free(*slot);
	*slot = session;
	return 1; /* the reference is ours now */
}

SSL_CTX *
tls_client_new(const struct tls_client_options *o, struct err *err)
{
	SSL_CTX *ctx = context_new(TLS_client_method());

	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	/* Few connections, which carry everybody's answers: read many records at once. */
	SSL_CTX_set_default_read_buffer_len(ctx, UPSTREAM_READ_BYTES);
	(void)SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	if (each_certificate(o->ca, trust_certificate, ctx) < 1) {
		(void)tls_error(err, ERR_INVALID, "upstream CA");
		goto fail;
	}
	if (o->certificate.len != 0 && use_key(ctx, o->certificate, o->key, err) != 0)
		goto fail;
	return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}

bool
tls_expect_host(SSL *ssl, struct str host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct ip_addr addr;
	char name[256];

	if (ip_parse(host, &addr))
		return X509_VERIFY_PARAM_set1_ip(
			   param, addr.bytes, ip_bytes(addr.family)) == 1;
	if (host.len == 0 || host.len >= sizeof(name))
		return false;
	memcpy(name, host.ptr, host.len);
	name[host.len] = '\0';
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 &&
	       SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *
tls_client_connection(SSL_CTX *ctx, struct str host, enum tls_alpn alpn,
    SSL_SESSION **session, struct err *err)
{
	const struct str names = alpn_names(alpn);
	SSL *ssl = SSL_new(ctx);

	/* SSL_set_alpn_protos alone among its kind returns 0 for success. */
	if (ssl == NULL || !tls_expect_host(ssl, host) ||
	    SSL_set_alpn_protos(
		ssl, (const unsigned char *)names.ptr, (unsigned)names.len) != 0) {
		(void)tls_error(err, ERR_SYSTEM, "TLS connection");
		SSL_free(ssl);
		return NULL;
	}
	(void)SSL_set_app_data(ssl, session);
	if (*session != NULL)
		(void)SSL_set_session(
		    ssl, *session); /* a full handshake does as well */
	SSL_set_connect_state(ssl);
	return ssl;
}

bool
tls_is_h2(const SSL *ssl)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 2 && memcmp(name, "h2", 2) == 0;
}

/* One attribute of the subject as UTF-8 without NULs, in the arena; ptr NULL if odd. */
static struct str
subject_value(struct arena *arena, const X509_NAME *subject, int index)
{
	const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, index);
	unsigned char *utf8 = NULL;
	struct str value = {NULL, 0};
	int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));

	if (len > 0 && memchr(utf8, '\0', (size_t)len) == NULL)
		value = str_dup(arena, (struct str){(char *)utf8, (size_t)len});
	OPENSSL_free(utf8);
	return value;
}

/* Where the CN is; -1 without one. Several are nobody's. */
static int
only_name(const X509_NAME *subject)
{
	const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0
		   ? at
		   : -1;
}

bool
tls_peer_verifies(SSL_CTX *ctx, const SSL *ssl)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	const bool ok = cert != NULL && check != NULL &&
			X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(ctx), cert,
			    SSL_get_peer_cert_chain(ssl)) == 1 &&
			X509_STORE_CTX_set_default(check, "ssl_client") == 1 &&
			X509_verify_cert(check) == 1;

	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return ok;
}

struct str
tls_peer_name(const SSL *ssl, struct arena *arena)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	const X509_NAME *subject = cert != NULL ? X509_get_subject_name(cert) : NULL;
	const int at = subject != NULL ? only_name(subject) : -1;

	return at >= 0 ? subject_value(arena, subject, at) : STR("");
}

static int
compare_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Returns what is wrong, or NULL. */
static const char *
read_subject(struct identity *id, const X509_NAME *subject)
{
	struct str *groups = ARENA_ARRAY(id->arena, MAX_GROUPS + 1, struct str);
	int at = only_name(subject);

	if (at < 0)
		return "its subject has not exactly one CN";
	id->user = subject_value(id->arena, subject, at);
	if (!identity_user_ok(id->user))
		return "its CN is no user name that may be asserted";
	at = -1;
	while (
	    (at = X509_NAME_get_index_by_NID(subject, NID_organizationName, at)) >= 0) {
		struct str group = subject_value(id->arena, subject, at);

		if (id->group_count == MAX_GROUPS)
			return "it has too many groups";
		if (!identity_group_ok(group))
			return "its O is no group that may be asserted";
		groups[id->group_count++] = group;
	}
	groups[id->group_count++] = STR("system:authenticated");
	qsort(groups, id->group_count, sizeof(*groups), compare_str);
	id->groups = groups;
	return NULL;
}

static bool
read_expiry(const X509 *cert, walltime_t *out_time)
{
	struct tm tm;
	time_t seconds;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return false;
	seconds = timegm(&tm);
	if (seconds < 0 || seconds > INT64_MAX / 1000000000) /* year 2262 */
		seconds = INT64_MAX / 1000000000;
	*out_time = (walltime_t){(int64_t)seconds * 1000000000};
	return true;
}

struct identity *
tls_peer_identity(const SSL *ssl, const char **out_problem)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	long verified = SSL_get_verify_result(ssl);
	struct identity *id;
	struct arena *arena;

	*out_problem = NULL;
	if (cert == NULL)
		return NULL;
	if (verified != X509_V_OK) {
		*out_problem = X509_verify_cert_error_string(verified);
		return NULL;
	}
	arena = arena_new_sized(2048);
	id = ARENA_NEW(arena, struct identity);
	id->arena = arena;
	id->refs = 1;
	id->token_id = STR("");
	id->uid = STR("");
	*out_problem = read_subject(id, X509_get_subject_name(cert));
	if (*out_problem == NULL && !read_expiry(cert, &id->expires))
		*out_problem = "its end of validity cannot be read";
	if (*out_problem != NULL) {
		identity_unref(id);
		return NULL;
	}
	return id;
}
