/*
 * Keys that are elsewhere: whole handshakes in both roles, both versions and with every kind
 * of key, whose signatures come from somebody who sees what he signs; and what he must not sign.
 */
#include <check.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/tls/key_bundle.h"
#include "authn/tls/key_remote.h"
#include "authn/tls/tls.h"

static const struct kind {
	const char *type, *group;  /* group: of EC; its bits: of RSA */
	const char *tls12_sigalgs; /* NULL: as they come */
} kinds[] = {
    {"RSA", "2048", NULL},
    {"RSA", "2048", "RSA+SHA384"}, /* PKCS#1 */
    {"EC", "P-256", NULL},
    {"EC", "P-384", NULL},
    {"ED25519", NULL, NULL},
};

static EVP_PKEY *
make_key(const struct kind *kind)
{
	EVP_PKEY *key =
	    strcmp(kind->type, "RSA") == 0  ? EVP_RSA_gen((unsigned)atoi(kind->group))
	    : strcmp(kind->type, "EC") == 0 ? EVP_EC_gen(kind->group)
					    : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	ck_assert_ptr_nonnull(key);
	return key;
}

static struct str
pem_of(BIO *bio)
{
	char *data;
	const long len = BIO_get_mem_data(bio, &data);

	return (struct str){data, (size_t)len};
}

/* Signed by itself, good for both roles; in a BIO, which the caller frees. */
static BIO *
make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_NAME *name = X509_get_subject_name(cert);

	ck_assert(X509_set_version(cert, 2) == 1 &&
		  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
		  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
		      (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
		  X509_set_issuer_name(cert, name) == 1 &&
		  X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL &&
		  X509_gmtime_adj(X509_getm_notAfter(cert), 3600) != NULL &&
		  X509_set_pubkey(cert, key) == 1);
	ck_assert_int_gt(
	    X509_sign(cert, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()),
	    0);
	ck_assert_int_eq(PEM_write_bio_X509(bio, cert), 1);
	X509_free(cert);
	return bio;
}

/* ---- who signs ---- */

struct signer {
	EVP_PKEY *server, *client;
	unsigned signed_by[2]; /* by purpose */
	bool refuse;
	struct buf last; /* what was signed */
	enum key_scheme last_scheme;
};

static bool
sign(void *arg, const struct key_request *request, uint8_t *out, size_t *out_len)
{
	struct signer *s = arg;
	EVP_PKEY *const keys[] = {
	    [KEY_FOR_SERVER] = s->server, [KEY_FOR_CLIENT] = s->client};
	uint8_t id[KEY_ID_BYTES];

	for (unsigned purpose = 0; purpose < 2 && !s->refuse; purpose++) {
		ck_assert(key_id_of(keys[purpose], id));
		if (memcmp(id, request->id, sizeof(id)) != 0)
			continue;
		/* Never what the other side signs. */
		ck_assert(key_content_ok((enum key_purpose)purpose, request));
		ck_assert(!key_content_ok((enum key_purpose) !purpose, request));
		buf_clear(&s->last);
		buf_add_str(&s->last, request->content);
		s->last_scheme = request->scheme;
		s->signed_by[purpose]++;
		return key_sign(keys[purpose], request, out, out_len);
	}
	return false;
}

/* True if both sides are content. */
static bool
shake_hands(SSL *server, SSL *client)
{
	BIO *to_server = BIO_new(BIO_s_mem()), *to_client = BIO_new(BIO_s_mem());
	bool done = false;

	BIO_set_mem_eof_return(to_server, -1);
	BIO_set_mem_eof_return(to_client, -1);
	(void)BIO_up_ref(to_server);
	(void)BIO_up_ref(to_client);
	SSL_set_bio(server, to_server, to_client);
	SSL_set_bio(client, to_client, to_server);
	SSL_set_accept_state(server);
	for (int turn = 0; turn < 8 && !done; turn++) {
		const int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		done = c == 1 && s == 1;
	}
	ERR_clear_error();
	return done;
}

static bool
handshake(const struct kind *kind, int version, struct signer *signer)
{
	EVP_PKEY *server_key = make_key(kind), *client_key = make_key(kind);
	BIO *server_pem = make_certificate(server_key),
	    *client_pem = make_certificate(client_key);
	const struct tls_server_options server_options = {
	    .certificate = pem_of(server_pem), .client_ca = pem_of(client_pem)};
	const struct tls_client_options client_options = {
	    .ca = pem_of(server_pem), .certificate = pem_of(client_pem)};
	struct err err = ERR_INIT;
	SSL_CTX *server_ctx = tls_server_new(&server_options, &err);
	SSL_CTX *client_ctx = tls_client_new(&client_options, &err);
	SSL_SESSION *session = NULL;
	SSL *server, *client;
	char sigalgs[64]; /* the macros take no const */
	bool ok;

	ck_assert_msg(server_ctx != NULL && client_ctx != NULL, "%s", err.msg);
	ck_assert(SSL_CTX_set_max_proto_version(client_ctx, version) == 1);
	if (kind->tls12_sigalgs != NULL && version == TLS1_2_VERSION) {
		(void)snprintf(sigalgs, sizeof(sigalgs), "%s", kind->tls12_sigalgs);
		ck_assert(SSL_CTX_set1_sigalgs_list(client_ctx, sigalgs) == 1);
		ck_assert(SSL_CTX_set1_client_sigalgs_list(server_ctx, sigalgs) == 1);
	}
	/* Whoever waits is on a job; here nobody has to. */
	(void)SSL_CTX_clear_mode(server_ctx, SSL_MODE_ASYNC);
	(void)SSL_CTX_clear_mode(client_ctx, SSL_MODE_ASYNC);
	signer->server = server_key;
	signer->client = client_key;
	key_remote_signer(sign, signer);
	server = SSL_new(server_ctx);
	client = tls_client_connection(
	    client_ctx, STR("localhost"), TLS_ALPN_H2_FIRST, &session, &err);
	ck_assert(server != NULL && client != NULL);
	ok = shake_hands(server, client);
	if (ok) {
		ck_assert_int_eq(SSL_version(server), version);
		ck_assert_int_eq(SSL_get_verify_result(server), X509_V_OK);
		ck_assert_ptr_nonnull(SSL_get0_peer_certificate(server));
	}
	key_remote_signer(NULL, NULL);
	SSL_free(server);
	SSL_free(client);
	SSL_SESSION_free(session);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	BIO_free(server_pem);
	BIO_free(client_pem);
	EVP_PKEY_free(server_key);
	EVP_PKEY_free(client_key);
	return ok;
}

START_TEST(handshakes_are_signed_elsewhere)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct signer signer = {.refuse = false};

		ck_assert(handshake(&kinds[_i], versions[i], &signer));
		ck_assert_uint_eq(signer.signed_by[KEY_FOR_SERVER], 1);
		ck_assert_uint_eq(signer.signed_by[KEY_FOR_CLIENT], 1);
		if (kinds[_i].tls12_sigalgs != NULL && versions[i] == TLS1_2_VERSION)
			ck_assert_int_eq(signer.last_scheme, KEY_RSA_PKCS1_SHA384);
		buf_free(&signer.last);
	}
}
END_TEST

START_TEST(handshake_fails_when_nobody_signs)
{
	struct signer signer = {.refuse = true};

	ck_assert(!handshake(&kinds[_i], TLS1_3_VERSION, &signer));
	ck_assert(!handshake(&kinds[_i], TLS1_2_VERSION, &signer));
}
END_TEST

/* A real one, with any byte of its frame changed or with one more or less, is none. */
START_TEST(content_is_refused_when_it_is_no_handshake)
{
	struct signer signer = {.refuse = false};
	struct key_request request = {.scheme = KEY_ECDSA_SHA256};
	struct buf text = {NULL, 0, 0};
	const struct kind kind = {"EC", "P-256", NULL};

	ck_assert(handshake(&kind, TLS1_3_VERSION, &signer));
	buf_add_str(&text, buf_str(&signer.last)); /* the client's: it signs last */
	request.content = buf_str(&text);
	ck_assert(key_content_ok(KEY_FOR_CLIENT, &request));
	for (size_t i = 0; i < 64 + 34; i++) {
		text.data[i] ^= 1;
		ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
		ck_assert(!key_content_ok(KEY_FOR_SERVER, &request));
		text.data[i] ^= 1;
	}
	request.content.len--;
	ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
	request.content.len++;
	request.scheme = KEY_RSA_PKCS1_SHA256; /* is not in TLS 1.3 */
	ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
	request.scheme = KEY_ECDSA_SHA256;

	ck_assert(handshake(&kind, TLS1_2_VERSION, &signer));
	buf_clear(&text);
	buf_add_str(&text, buf_str(&signer.last));
	request.content = buf_str(&text);
	ck_assert(key_content_ok(KEY_FOR_CLIENT, &request));
	ck_assert(!key_content_ok(KEY_FOR_SERVER, &request));
	text.data[0] = 2;
	ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
	text.data[0] = 1;
	request.content.len--;
	ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
	buf_free(&text);
	buf_free(&signer.last);
}
END_TEST

static const struct {
	const char *bytes; /* behind 64 that may be any */
	size_t len;
	bool ok;
} exchanges[] = {
    {"\x03\x00\x1d\x20"
     "0123456789abcdef0123456789abcdef",
	36, true},
    {"\x03\x00\x17\x20"
     "0123456789abcdef0123456789abcdef",
	36, false},
    {"\x01\x00\x1d\x20"
     "0123456789abcdef0123456789abcdef",
	36, false},
    {"\x03\x00\x1d\x1f"
     "0123456789abcdef0123456789abcdef",
	36, false},
    {"\x03\x00\x1d\x20"
     "0123456789abcdef0123456789abcdef",
	35, false},
    {"\x03\x00\x1d\x00", 4, false},
    {"", 0, false},
};

START_TEST(key_exchange_has_one_shape)
{
	struct key_request request = {.scheme = KEY_RSA_PSS_SHA256};
	char text[128];

	memset(text, 'r', 64);
	memcpy(text + 64, exchanges[_i].bytes, exchanges[_i].len);
	request.content = (struct str){text, 64 + exchanges[_i].len};
	ck_assert(key_content_ok(KEY_FOR_SERVER, &request) == exchanges[_i].ok);
	ck_assert(!key_content_ok(KEY_FOR_CLIENT, &request));
}
END_TEST

START_TEST(request_arrives_unchanged)
{
	struct key_request request = {
	    .scheme = KEY_RSA_PSS_SHA384, .content = STR("content")};
	struct key_request got;
	struct proc_msg msg = {.type = 0};
	struct buf body = {NULL, 0, 0};

	memset(request.id, 7, sizeof(request.id));
	key_put_request(&body, &request);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	ck_assert(key_get_request(&msg, &got));
	ck_assert_int_eq(memcmp(got.id, request.id, sizeof(got.id)), 0);
	ck_assert_int_eq(got.scheme, request.scheme);
	ck_assert(str_eq(got.content, request.content));
	for (msg.len = 0; msg.len < body.len; msg.len++)
		ck_assert(!key_get_request(&msg, &got));
	body.data[KEY_ID_BYTES] = 0x08; /* Ed448 */
	body.data[KEY_ID_BYTES + 1] = 0x08;
	ck_assert(!key_get_request(&msg, &got));
	buf_free(&body);
}
END_TEST

/* ---- bundles ---- */

static void
write_key(const char *path, EVP_PKEY *key, mode_t mode)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	if (key != NULL)
		ck_assert_int_eq(
		    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	else
		ck_assert_int_ge(fputs("no key\n", file), 0);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(bundle_brings_every_key)
{
	char directory[] = "/tmp/check-key.XXXXXX", server[64], client[64];
	EVP_PKEY *a = make_key(&kinds[2]), *b = make_key(&kinds[4]);
	struct key_bundle bundle;
	struct err err = ERR_INIT;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(server, sizeof(server), "%s/server", directory);
	(void)snprintf(client, sizeof(client), "%s/client", directory);
	const struct key_file files[] = {
	    {KEY_LISTENER, server}, {KEY_UPSTREAM, client}};

	write_key(server, a, 0600);
	write_key(client, b, 0600);
	ck_assert_int_eq(key_bundle_seal(files, 2, &fd, &err), 0);
	ck_assert_int_eq(write(fd, "x", 1), -1); /* sealed */
	ck_assert_int_eq(key_bundle_open(fd, &bundle, &err), 0);
	ck_assert_uint_eq(bundle.count, 2);
	ck_assert_int_eq(EVP_PKEY_eq(key_bundle_find(&bundle, KEY_LISTENER), a), 1);
	ck_assert_int_eq(EVP_PKEY_eq(key_bundle_find(&bundle, KEY_UPSTREAM), b), 1);
	key_bundle_free(&bundle);
	(void)close(fd);

	write_key(client, NULL, 0600);
	ck_assert_int_eq(key_bundle_seal(files, 2, &fd, &err), 0);
	ck_assert_int_eq(key_bundle_open(fd, &bundle, &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.msg, "upstream"));
	key_bundle_free(&bundle);
	(void)close(fd);

	write_key(client, b, 0644); /* others may read it */
	ck_assert_int_eq(key_bundle_seal(files, 2, &fd, &err), ERR_DENIED);
	ck_assert_int_eq(fd, -1);
	(void)unlink(client);
	ck_assert_int_eq(key_bundle_seal(files, 2, &fd, &err), ERR_SYSTEM);
	(void)unlink(server);
	(void)rmdir(directory);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
}
END_TEST

/* What the side of a TLS 1.3 handshake signs, in the caller's 130 bytes. */
static struct str
certificate_verify(char text[130], const char *side)
{
	memset(text, ' ', 64);
	(void)snprintf(text + 64, 34, "TLS 1.3, %s CertificateVerify", side);
	memset(text + 98, 'h', 32);
	return (struct str){text, 130};
}

START_TEST(key_signs_for_its_users_and_its_side_only)
{
	static const struct {
		enum key_name name;
		unsigned users; /* of 1, 2, 4 */
		const char *side, *other;
	} rows[] = {
	    {KEY_LISTENER, 1, "server", "client"},
	    {KEY_UPSTREAM, 1 | 4, "client", "server"},
	    {KEY_ADMISSION, 4, "server", "client"},
	    {KEY_ETCD, 2 | 4, "client", "server"},
	};
	struct key_request request = {.scheme = KEY_ECDSA_SHA256};
	struct key_bundle bundle = {.count = ARRAY_LEN(rows)};
	struct key_entry *const e = bundle.entries;
	char text[130];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		e[i] = (struct key_entry){
		    .name = rows[i].name, .key = make_key(&kinds[2])};
		ck_assert(key_id_of(e[i].key, e[i].id));
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		memcpy(request.id, e[i].id, sizeof(request.id));
		for (unsigned user = 1; user <= 4; user *= 2) {
			EVP_PKEY *due = (rows[i].users & user) != 0 ? e[i].key : NULL;

			request.content = certificate_verify(text, rows[i].side);
			ck_assert_ptr_eq(
			    key_bundle_signer(&bundle, (enum key_user)user, &request),
			    due);
			request.content = certificate_verify(text, rows[i].other);
			ck_assert_ptr_null(
			    key_bundle_signer(&bundle, (enum key_user)user, &request));
		}
	}
	memset(request.id, 0, sizeof(request.id));
	ck_assert_ptr_null(key_bundle_signer(&bundle, KEY_USER_BUDGET, &request));
	key_bundle_free(&bundle);
}
END_TEST

/* ---- tickets ---- */

/* `other`: the second connection is by a server that trusts somebody else, too. */
static bool
resumes(const struct tls_tickets *give, const struct tls_tickets *take, bool other)
{
	const struct kind kind = {"EC", "P-256", NULL};
	EVP_PKEY *key = make_key(&kind);
	BIO *pem = make_certificate(key), *more = make_certificate(key);
	struct tls_server_options options = {.certificate = pem_of(pem), .key = key};
	const struct tls_client_options client_options = {.ca = pem_of(pem)};
	const struct tls_tickets *const tickets[] = {give, take};
	struct err err = ERR_INIT;
	SSL_CTX *client_ctx = tls_client_new(&client_options, &err);
	SSL_SESSION *session = NULL;
	bool resumed = false;

	ck_assert(SSL_CTX_set_max_proto_version(client_ctx, TLS1_2_VERSION) == 1);
	for (size_t i = 0; i < 2; i++) {
		SSL_CTX *ctx;
		SSL *server, *client;

		options.tickets = tickets[i];
		options.client_ca = pem_of(i == 1 && other ? more : pem);
		ctx = tls_server_new(&options, &err);
		server = SSL_new(ctx);
		client = tls_client_connection(
		    client_ctx, STR("localhost"), TLS_ALPN_H2_FIRST, &session, &err);
		ck_assert(shake_hands(server, client));
		resumed = SSL_session_reused(server) == 1;
		ck_assert(i == 1 || !resumed);
		(void)SSL_shutdown(client);
		SSL_free(server);
		SSL_free(client);
		SSL_CTX_free(ctx);
	}
	SSL_SESSION_free(session);
	SSL_CTX_free(client_ctx);
	BIO_free(pem);
	BIO_free(more);
	EVP_PKEY_free(key);
	return resumed;
}

START_TEST(ticket_opens_until_its_key_is_gone)
{
	struct tls_tickets given = {.count = 0}, now;
	uint8_t key[TLS_TICKET_KEY_BYTES];

	memset(key, 1, sizeof(key));
	tls_tickets_add(&given, key);
	now = given;
	ck_assert(resumes(&given, &now, false));
	ck_assert(!resumes(&given, &now, true));
	memset(key, 2, sizeof(key));
	tls_tickets_add(&now, key);
	ck_assert(resumes(&given, &now, false)); /* the one before */
	memset(key, 3, sizeof(key));
	tls_tickets_add(&now, key);
	ck_assert(!resumes(&given, &now, false));
	now.count = 0;
	ck_assert(!resumes(&now, &now, false));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("authn/key");
	TCase *tc = tcase_create("key");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(
	    tc, handshakes_are_signed_elsewhere, 0, (int)ARRAY_LEN(kinds));
	tcase_add_loop_test(
	    tc, handshake_fails_when_nobody_signs, 0, (int)ARRAY_LEN(kinds));
	tcase_add_test(tc, content_is_refused_when_it_is_no_handshake);
	tcase_add_loop_test(
	    tc, key_exchange_has_one_shape, 0, (int)ARRAY_LEN(exchanges));
	tcase_add_test(tc, request_arrives_unchanged);
	tcase_add_test(tc, bundle_brings_every_key);
	tcase_add_test(tc, key_signs_for_its_users_and_its_side_only);
	tcase_add_test(tc, ticket_opens_until_its_key_is_gone);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
