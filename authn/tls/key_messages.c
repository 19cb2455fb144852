#include "authn/tls/key_messages.h"

#include <string.h>
#include <strings.h>

#define PAD_BYTES    64 /* of a TLS 1.3 signature: spaces */
#define RANDOM_BYTES 64 /* of a TLS 1.2 handshake: the client's and the server's */
#define NAMED_CURVE  3

#define CLIENT_HELLO        1
#define CLIENT_KEY_EXCHANGE 16

const struct key_name_info key_names[KEY_NAME_COUNT] = {
    [KEY_LISTENER] = {KEY_FOR_SERVER, KEY_USER_WORKER, "the listener's"},
    [KEY_UPSTREAM] = {KEY_FOR_CLIENT, KEY_USER_WORKER | KEY_USER_BUDGET,
	"the upstream's"},
    [KEY_ADMISSION] = {KEY_FOR_SERVER, KEY_USER_BUDGET, "the admission listener's"},
    [KEY_ETCD] = {KEY_FOR_CLIENT, KEY_USER_AUTH | KEY_USER_BUDGET, "etcd's"},
};

/* ---- schemes ---- */

static const struct key_scheme_info schemes[] = {
    {KEY_RSA_PKCS1_SHA256, "RSA", "SHA256", false},
    {KEY_RSA_PKCS1_SHA384, "RSA", "SHA384", false},
    {KEY_RSA_PKCS1_SHA512, "RSA", "SHA512", false},
    {KEY_ECDSA_SHA256, "EC", "SHA256", false},
    {KEY_ECDSA_SHA384, "EC", "SHA384", false},
    {KEY_ECDSA_SHA512, "EC", "SHA512", false},
    {KEY_RSA_PSS_SHA256, "RSA", "SHA256", true},
    {KEY_RSA_PSS_SHA384, "RSA", "SHA384", true},
    {KEY_RSA_PSS_SHA512, "RSA", "SHA512", true},
    {KEY_ED25519, "ED25519", NULL, false},
};

const struct key_scheme_info *
key_scheme_info(uint32_t scheme)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if ((uint32_t)schemes[i].scheme == scheme)
			return &schemes[i];
	}
	return NULL;
}

/* "SHA256", "SHA2-256", "SHA-256" are one. */
static bool
same_digest(const char *ours, const char *theirs)
{
	const char *bits = ours + strlen("SHA");

	if (strncasecmp(theirs, "SHA", 3) != 0)
		return false;
	theirs += 3;
	if (strncmp(theirs, "2-", 2) == 0)
		theirs += 2;
	else if (*theirs == '-')
		theirs++;
	return strcmp(theirs, bits) == 0;
}

const struct key_scheme_info *
key_scheme_find(const char *key_type, const char *digest, bool pss)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		const struct key_scheme_info *s = &schemes[i];

		if (strcmp(s->key_type, key_type) == 0 && s->pss == pss &&
		    (s->digest == NULL ||
			(digest != NULL && same_digest(s->digest, digest))))
			return s;
	}
	return NULL;
}

/* ---- messages ---- */

void
key_put_request(struct buf *out, const struct key_request *request)
{
	buf_add(out, request->id, sizeof(request->id));
	proc_put_u16(out, (uint16_t)request->scheme);
	proc_put_str(out, request->content);
}

bool
key_get_request(const struct proc_msg *msg, struct key_request *out_request)
{
	const struct key_scheme_info *info;
	const uint8_t *id;
	struct proc_reader r;

	proc_reader_init(&r, msg);
	id = proc_get_bytes(&r, KEY_ID_BYTES);
	info = key_scheme_info(proc_get_u16(&r));
	out_request->content = proc_get_str(&r);
	if (!proc_reader_done(&r) || info == NULL ||
	    out_request->content.len > KEY_CONTENT_BYTES)
		return false;
	memcpy(out_request->id, id, sizeof(out_request->id));
	out_request->scheme = info->scheme;
	return true;
}

bool
key_get_signature(const struct proc_msg *msg, struct str *out_signature)
{
	struct proc_reader r;

	proc_reader_init(&r, msg);
	*out_signature = proc_get_str(&r);
	return proc_reader_done(&r) && out_signature->len <= KEY_SIGNATURE_BYTES;
}

/* ---- contents ---- */

static bool
is_tls13(enum key_purpose purpose, struct str content)
{
	static const struct str sides[] = {
	    [KEY_FOR_SERVER] = {"TLS 1.3, server CertificateVerify", 34},
	    [KEY_FOR_CLIENT] = {"TLS 1.3, client CertificateVerify", 34},
	}; /* with the zero behind it */
	const struct str side = sides[purpose];
	size_t hash;

	if (content.len < PAD_BYTES + side.len)
		return false;
	for (size_t i = 0; i < PAD_BYTES; i++) {
		if (content.ptr[i] != ' ')
			return false;
	}
	hash = content.len - PAD_BYTES - side.len;
	return memcmp(content.ptr + PAD_BYTES, side.ptr, side.len) == 0 &&
	       (hash == 32 || hash == 48);
}

/* Named groups of elliptic curves, and the length of a point. */
static bool
is_point(unsigned group, size_t len)
{
	static const struct {
		unsigned group;
		size_t len;
	} points[] = {
	    {23, 65},  /* secp256r1 */
	    {24, 97},  /* secp384r1 */
	    {25, 133}, /* secp521r1 */
	    {29, 32},  /* x25519 */
	    {30, 56},  /* x448 */
	};

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		if (points[i].group == group)
			return points[i].len == len;
	}
	return false;
}

static bool
is_key_exchange(struct str content)
{
	const uint8_t *p = (const uint8_t *)content.ptr + RANDOM_BYTES;

	return content.len > RANDOM_BYTES + 4 && p[0] == NAMED_CURVE &&
	       content.len == RANDOM_BYTES + 4u + p[3] &&
	       is_point((unsigned)p[1] << 8 | p[2], p[3]);
}

static bool
is_client_messages(struct str content)
{
	const uint8_t *p = (const uint8_t *)content.ptr;
	size_t left = content.len;
	unsigned type = 0;

	if (left == 0 || p[0] != CLIENT_HELLO)
		return false;
	while (left >= 4) {
		const size_t len =
		    4 + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3]);

		type = p[0];
		if (len > left)
			return false;
		p += len;
		left -= len;
	}
	return left == 0 && type == CLIENT_KEY_EXCHANGE;
}

bool
key_content_ok(enum key_purpose purpose, const struct key_request *request)
{
	const struct key_scheme_info *info = key_scheme_info(request->scheme);

	if (is_tls13(purpose, request->content))
		return info->pss || strcmp(info->key_type, "RSA") != 0;
	return purpose == KEY_FOR_SERVER ? is_key_exchange(request->content)
					 : is_client_messages(request->content);
}
