/*
 * What other roles ask of the key role, and what it may be asked. A request carries the
 * content that is to be signed, not a digest of it, so that the key role can see that it is part of
 * a TLS handshake, and of that side of it which the key is for: whoever takes a role over can
 * have its handshakes signed while he holds it, and nothing else: no other role's.
 *
 *   role -> key   MSG_KEY_SIGN    key id, u16 scheme, str content
 *   key -> role   MSG_KEY_SIGNED  str signature; "": refused
 */
#ifndef AUTHN_KEY_MESSAGES_H
#define AUTHN_KEY_MESSAGES_H

#include "common/proc.h"

#define KEY_ID_BYTES        32           /* SHA-256 of the SubjectPublicKeyInfo */
#define KEY_CONTENT_BYTES   (64u * 1024) /* a TLS 1.2 client signs its whole handshake */
#define KEY_SIGNATURE_BYTES 2048u        /* RSA of 16,384 bits */

/* The side of handshakes that a key is good for. */
enum key_purpose {
	KEY_FOR_SERVER, /* others' connections to us */
	KEY_FOR_CLIENT, /* our connections to others */
};

/* Who may have something signed. */
enum key_user {
	KEY_USER_WORKER = 1,
	KEY_USER_AUTH = 2,
	KEY_USER_BUDGET = 4,
};

/* The gate's keys, each with one purpose, and its users. */
enum key_name {
	KEY_LISTENER,
	KEY_UPSTREAM,
	KEY_ADMISSION, /* the budget role's listener */
	KEY_ETCD,
	KEY_NAME_COUNT
};

struct key_name_info {
	enum key_purpose purpose;
	unsigned users; /* bits of enum key_user */
	const char *text;
};
extern const struct key_name_info key_names[KEY_NAME_COUNT];

/* How to sign, by its number in TLS (RFC 8446 section 4.2.3). */
enum key_scheme {
	KEY_RSA_PKCS1_SHA256 = 0x0401,
	KEY_RSA_PKCS1_SHA384 = 0x0501,
	KEY_RSA_PKCS1_SHA512 = 0x0601,
	KEY_ECDSA_SHA256 = 0x0403,
	KEY_ECDSA_SHA384 = 0x0503,
	KEY_ECDSA_SHA512 = 0x0603,
	KEY_RSA_PSS_SHA256 = 0x0804,
	KEY_RSA_PSS_SHA384 = 0x0805,
	KEY_RSA_PSS_SHA512 = 0x0806,
	KEY_ED25519 = 0x0807,
};

/* What is said of a scheme; NULL: none of the above. */
struct key_scheme_info {
	enum key_scheme scheme;
	const char *key_type; /* "RSA", "EC", "ED25519" */
	const char *digest;   /* NULL: the scheme has none */
	bool pss;
};
MUST_CHECK const struct key_scheme_info *key_scheme_info(uint32_t scheme);
/* The scheme for a kind of key; NULL: there is none. `digest` may be any of its names. */
MUST_CHECK const struct key_scheme_info *key_scheme_find(
    const char *key_type, const char *digest, bool pss);

struct key_request {
	uint8_t id[KEY_ID_BYTES];
	enum key_scheme scheme;
	struct str content; /* borrowed */
};

void key_put_request(struct buf *out, const struct key_request *request);
/* False for a malformed one, one over a limit, or a scheme that is not known. */
MUST_CHECK bool key_get_request(
    const struct proc_msg *msg, struct key_request *out_request);
MUST_CHECK bool key_get_signature(
    const struct proc_msg *msg, struct str *out_signature);

/*
 * True if this is what the side of `purpose` signs in a handshake, with such a scheme:
 *   TLS 1.3  64 spaces, the name of the side, a zero, a hash (RFC 8446 section 4.4.3)
 *   TLS 1.2  server: two randoms and ECDH parameters (RFC 8422 section 5.4); client: the
 *            messages from ClientHello to ClientKeyExchange (RFC 5246 section 7.4.8)
 */
MUST_CHECK bool key_content_ok(
    enum key_purpose purpose, const struct key_request *request);

#endif
