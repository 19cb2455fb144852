#include "common/audit_note.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/audit_base64.h"
#include "common/limits.h"
#include "common/utf8.h"

#define TYPE_ED25519 0x01
#define ID_BYTES     4
#define ID_HEX       8
#define TYPED_BYTES  33 /* type || public key */
#define SIGNED_BYTES (ID_BYTES + AUDIT_SIGNATURE_BYTES)
#define EM_DASH      "\xe2\x80\x94"

/* ---- keys ---- */

/* Unicode's White_Space outside ASCII, as ranges. */
static bool
is_wide_space(uint32_t point)
{
	static const uint32_t spaces[][2] = {{0x85, 0x85}, {0xa0, 0xa0},
	    {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
	    {0x205f, 0x205f}, {0x3000, 0x3000}};

	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		if (point >= spaces[i][0] && point <= spaces[i][1])
			return true;
	return false;
}

static bool
is_key_name(struct str name)
{
	size_t width;

	if (name.len == 0 || name.len > AUDIT_NAME_BYTES)
		return false;
	for (size_t at = 0; at < name.len; at += width) {
		uint32_t point = 0;

		width = utf8_decode(name, at, &point);
		if (width == 0 || point <= 0x20 || point == 0x7f || point == '+' ||
		    is_wide_space(point))
			return false;
	}
	return true;
}

/* SHA-256(name || newline || type || public key), its first four bytes. */
static void
set_key_id(struct audit_key *key)
{
	uint8_t data[AUDIT_NAME_BYTES + 2 + sizeof(key->public_key)];
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t len = strlen(key->name);

	memcpy(data, key->name, len);
	data[len++] = '\n';
	data[len++] = TYPE_ED25519;
	memcpy(data + len, key->public_key, sizeof(key->public_key));
	len += sizeof(key->public_key);
	if (EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL) != 1)
		base_die("libcrypto cannot hash");
	memcpy(key->id, hash, sizeof(key->id));
}

int
audit_key_init(struct audit_key *key, struct str name, const uint8_t public_key[32],
    struct err *err)
{
	memset(key, 0, sizeof(*key));
	if (!is_key_name(name))
		return err_set(err, ERR_INVALID,
		    "\"%.*s\" cannot name a log: 1 to %d bytes, no spaces, no \"+\"",
		    STR_ARG(str_slice(name, 0, AUDIT_NAME_BYTES)), AUDIT_NAME_BYTES);
	memcpy(key->name, name.ptr, name.len);
	memcpy(key->public_key, public_key, sizeof(key->public_key));
	set_key_id(key);
	return 0;
}

static void
format_id(const struct audit_key *key, char out[ID_HEX])
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < ID_BYTES; i++) {
		out[2 * i] = hex[key->id[i] >> 4];
		out[2 * i + 1] = hex[key->id[i] & 15];
	}
}

int
audit_key_parse(struct audit_key *key, struct str text, struct err *err)
{
	uint8_t typed[TYPED_BYTES];
	char id_text[ID_HEX];
	struct str name, id, rest = text;

	memset(key, 0, sizeof(*key));
	if (rest.len != 0 && rest.ptr[rest.len - 1] == '\n')
		rest.len--;
	name = str_split(&rest, '+');
	id = str_split(&rest, '+');
	if (!audit_base64_decode(rest, typed, sizeof(typed)))
		return err_set(err, ERR_INVALID, "a key is name+id+base64");
	if (typed[0] != TYPE_ED25519)
		return err_set(err, ERR_INVALID, "the key is not an Ed25519 key");
	if (audit_key_init(key, name, typed + 1, err) != 0)
		return ERR_INVALID;
	format_id(key, id_text);
	if (!str_eq(id, (struct str){id_text, ID_HEX}))
		return err_set(err, ERR_INVALID, "the key's id is not that of the key");
	return 0;
}

void
audit_key_format(struct buf *out, const struct audit_key *key)
{
	uint8_t typed[TYPED_BYTES] = {TYPE_ED25519};
	char id_text[ID_HEX];

	memcpy(typed + 1, key->public_key, sizeof(key->public_key));
	format_id(key, id_text);
	buf_printf(out, "%s+%.*s+", key->name, ID_HEX, id_text);
	audit_base64_encode(out, typed, sizeof(typed));
}

bool
audit_key_eq(const struct audit_key *a, const struct audit_key *b)
{
	return strcmp(a->name, b->name) == 0 &&
	       memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;
}

/* ---- notes ---- */

/* UTF-8, no control characters but newline, ends in one. An empty line inside is
 * allowed: the last one of a note is what ends its text. */
static bool
is_note_text(struct str text)
{
	if (text.len == 0 || text.ptr[text.len - 1] != '\n' ||
	    utf8_check(text) != text.len)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < 0x20 && text.ptr[i] != '\n')
			return false;
	return true;
}

int
audit_note_sign(struct buf *out, struct str text, const struct audit_key *key,
    const struct audit_signer *signer, struct err *err)
{
	uint8_t blob[SIGNED_BYTES];
	int rc;

	if (!is_note_text(text))
		return err_set(err, ERR_INVALID, "the text is not that of a note");
	memcpy(blob, key->id, ID_BYTES);
	rc = signer->sign(signer->arg, text, blob + ID_BYTES, err);
	if (rc != 0)
		return rc;
	buf_add_str(out, text);
	buf_printf(out, "\n" EM_DASH " %s ", key->name);
	audit_base64_encode(out, blob, sizeof(blob));
	buf_add_char(out, '\n');
	return 0;
}

static bool
signature_holds(struct str text, const struct audit_key *key,
    const uint8_t signature[AUDIT_SIGNATURE_BYTES])
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, key->public_key, sizeof(key->public_key));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok;

	ok = pkey != NULL && ctx != NULL &&
	     EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	     EVP_DigestVerify(ctx, signature, AUDIT_SIGNATURE_BYTES,
		 (const unsigned char *)text.ptr, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_clear_error(); /* the queue belongs to whoever uses TLS in this thread */
	return ok;
}

/* One line of the signature part: "— name base64(id || signature)". Signatures of other
 * keys may have any length. */
static bool
parse_signature_line(struct str line, struct str *out_name, struct str *out_base64)
{
	if (!str_starts(line, STR(EM_DASH " ")))
		return false;
	line = str_slice(line, strlen(EM_DASH " "), line.len);
	*out_name = str_split(&line, ' ');
	*out_base64 = line;
	return is_key_name(*out_name) && line.len != 0 && line.len % 4 == 0 &&
	       str_find(line, ' ', 0) == line.len;
}

/* Splits a note at its last empty line. */
static bool
split_note(struct str note, struct str *out_text, struct str *out_signatures)
{
	if (note.len > LIMIT_AUDIT_NOTE_BYTES || !is_note_text(note))
		return false;
	for (size_t at = note.len - 1; at > 0; at--) {
		if (note.ptr[at] != '\n' || note.ptr[at - 1] != '\n')
			continue;
		*out_text = str_slice(note, 0, at);
		*out_signatures = str_slice(note, at + 1, note.len);
		return out_signatures->len != 0;
	}
	return false;
}

int
audit_note_open(
    struct str note, const struct audit_key *key, struct str *out_text, struct err *err)
{
	struct str text, rest, name, base64;
	uint8_t blob[SIGNED_BYTES];
	bool found = false;
	unsigned count = 0;

	if (!split_note(note, &text, &rest))
		return err_set(err, ERR_INVALID, "not a signed note");
	rest.len--; /* the last newline, so that the split below ends with the last line */
	while (rest.ptr != NULL) {
		struct str line = str_split(&rest, '\n');

		if (++count > AUDIT_MAX_SIGNATURES ||
		    !parse_signature_line(line, &name, &base64))
			return err_set(
			    err, ERR_INVALID, "signature %u is malformed", count);
		/* The first one of this key decides. */
		if (found || !str_is(name, key->name) ||
		    !audit_base64_decode(base64, blob, sizeof(blob)) ||
		    memcmp(blob, key->id, ID_BYTES) != 0)
			continue;
		found = true;
		if (!signature_holds(text, key, blob + ID_BYTES))
			return err_set(err, ERR_DENIED,
			    "the signature of %s does not fit the text", key->name);
	}
	if (!found)
		return err_set(
		    err, ERR_DENIED, "not signed by the key of %s", key->name);
	*out_text = text;
	return 0;
}

/* ---- checkpoints ---- */

void
audit_checkpoint_format(struct buf *out, const struct audit_checkpoint *checkpoint)
{
	buf_add_str(out, checkpoint->origin);
	buf_printf(out, "\n%llu\n", (unsigned long long)checkpoint->size);
	audit_base64_encode(out, checkpoint->root, sizeof(checkpoint->root));
	buf_add_char(out, '\n');
}

int
audit_checkpoint_parse(
    struct audit_checkpoint *checkpoint, struct str text, struct err *err)
{
	struct str rest = text;
	struct str size, root;

	memset(checkpoint, 0, sizeof(*checkpoint));
	checkpoint->origin = str_split(&rest, '\n');
	size = str_split(&rest, '\n');
	root = str_split(&rest, '\n');
	/* A newline ended the third line, or rest would have no place. */
	if (rest.ptr == NULL || checkpoint->origin.len == 0 ||
	    !str_to_u64(size, INT64_MAX, &checkpoint->size) ||
	    !audit_base64_decode(root, checkpoint->root, sizeof(checkpoint->root)))
		return err_set(err, ERR_INVALID,
		    "a checkpoint is origin, size and root, a line each");
	while (rest.len != 0) {
		if (str_split(&rest, '\n').len == 0 || rest.ptr == NULL)
			return err_set(
			    err, ERR_INVALID, "a checkpoint with an empty line");
	}
	return 0;
}

int
audit_checkpoint_open(struct audit_checkpoint *checkpoint, struct str note,
    const struct audit_key *key, struct err *err)
{
	struct str text;
	int rc = audit_note_open(note, key, &text, err);

	if (rc == 0)
		rc = audit_checkpoint_parse(checkpoint, text, err);
	if (rc == 0 && !str_is(checkpoint->origin, key->name))
		rc = err_set(err, ERR_INVALID, "the checkpoint of another log");
	return rc;
}
