/*
 * TLS contexts for both sides, and what a client's certificate says of it.
 */
#ifndef AUTHN_TLS_H
#define AUTHN_TLS_H

#include <openssl/ssl.h>

#include "authn/request/identity.h"
#include "authn/tls/tls_tickets.h"
#include "common/err.h"
#include "common/str.h"

/* Opens a private key's PEM text. */
MUST_CHECK EVP_PKEY *tls_key_open(struct str pem, struct err *err);

/* Which protocols to offer, or to choose from. */
enum tls_alpn {
	TLS_ALPN_H2_FIRST,
	TLS_ALPN_HTTP1_ONLY
};

struct tls_server_options {
	struct str certificate; /* PEM chain, leaf first */
	EVP_PKEY *key;          /* borrowed; NULL: it is elsewhere (key_remote.h) */
	struct str client_ca;   /* PEM; "" : no client certificates are asked for */
	struct str
	    client_crl; /* PEM; "" : none is revoked. Else each CA must have one */
	const struct tls_tickets *tickets; /* NULL: keys of the context's own */
	enum tls_alpn alpn;
};

/* TLS 1.2 or newer. A client certificate that does not verify is
 * no certificate: see tls_peer_identity. */
MUST_CHECK SSL_CTX *tls_server_new(
    const struct tls_server_options *options, struct err *err);

struct tls_client_options {
	struct str ca;          /* PEM */
	struct str certificate; /* PEM, may be "" */
	EVP_PKEY *key;          /* borrowed; NULL: it is elsewhere (key_remote.h) */
};

MUST_CHECK SSL_CTX *tls_client_new(
    const struct tls_client_options *options, struct err *err);

/* Has a context of somebody else's (curl's) show a certificate whose key is elsewhere. */
MUST_CHECK int tls_use_remote(SSL_CTX *ctx, struct str certificate, struct err *err);

/* A connection to `host` (a name or an address), which its certificate must name.
 * *session is offered for resumption and replaced by newer ones; the caller frees it, after the
 * connection. */
MUST_CHECK SSL *tls_client_connection(SSL_CTX *ctx, struct str host, enum tls_alpn alpn,
    SSL_SESSION **session, struct err *err);

/* The peer's certificate must name the host; an address is compared as one. */
MUST_CHECK bool tls_expect_host(SSL *ssl, struct str host);

/* True if ALPN chose h2. */
MUST_CHECK bool tls_is_h2(const SSL *ssl);

/*
 * Who a verified client certificate says the peer is: CN the user, O the groups, and
 * system:authenticated. NULL without a certificate, or with one that does not verify or names what
 * may not be asserted; *out_problem then says why, NULL when there was none at all.
 * The caller owns one reference.
 */
MUST_CHECK struct identity *tls_peer_identity(const SSL *ssl, const char **out_problem);

/* Whether the peer's certificate verifies by what `ctx` trusts, rather than by what the connection
 * was made with; false without one. */
MUST_CHECK bool tls_peer_verifies(SSL_CTX *ctx, const SSL *ssl);

/* The one CN of the peer's certificate, in the arena; "" without a certificate, or with a CN that
 * is missing, odd or not the only one. Whether it verifies is another question. */
MUST_CHECK struct str tls_peer_name(const SSL *ssl, struct arena *arena);

/* The OpenSSL error queue as one line, emptied. */
int tls_error(struct err *err, enum err_code code, const char *what);

#endif
