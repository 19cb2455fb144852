/*
 * common/audit: hashing, keys, notes, checkpoints. Roots are those of the reference
 * implementation of RFC 6962 (Certificate Transparency), notes those of Go's
 * golang.org/x/mod/sumdb/note; both are public test vectors.
 */
#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/audit_note.h"
#include "common/audit_tree.h"

/* ---- tree ---- */

static void
hex(const uint8_t *data, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", data[i]);
}

static const struct str leaves[] = {
    {"", 0},
    {"\x00", 1},
    {"\x10", 1},
    {"\x20\x21", 2},
    {"\x30\x31", 2},
    {"\x40\x41\x42\x43", 4},
    {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
    {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
};

static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

START_TEST(audit_tree_root_is_that_of_rfc6962)
{
	struct audit_tree tree = {0};
	uint8_t leaf[32], root[32];
	char text[65];

	for (int i = 0; i < _i; i++) {
		audit_leaf_hash(leaves[i], leaf);
		audit_tree_add(&tree, leaf);
	}
	ck_assert_uint_eq(tree.size, (unsigned)_i);
	audit_tree_root(&tree, root);
	hex(root, sizeof(root), text);
	ck_assert_str_eq(text, roots[_i]);
}
END_TEST

/* RFC 6962, section 2.1, word for word: split at the largest power of two below n. */
static void
naive_root(const struct str *items, size_t n, uint8_t out[32])
{
	uint8_t left[32], right[32], data[65];
	size_t k = 1;

	if (n == 0) {
		EVP_Digest("", 0, out, NULL, EVP_sha256(), NULL);
		return;
	}
	if (n == 1) {
		char *prefixed = malloc(items[0].len + 1);

		prefixed[0] = 0x00;
		memcpy(prefixed + 1, items[0].ptr, items[0].len);
		EVP_Digest(prefixed, items[0].len + 1, out, NULL, EVP_sha256(), NULL);
		free(prefixed);
		return;
	}
	while (k * 2 < n)
		k *= 2;
	naive_root(items, k, left);
	naive_root(items + k, n - k, right);
	data[0] = 0x01;
	memcpy(data + 1, left, 32);
	memcpy(data + 33, right, 32);
	EVP_Digest(data, sizeof(data), out, NULL, EVP_sha256(), NULL);
}

START_TEST(audit_tree_root_agrees_with_the_recursive_definition)
{
	enum {
		COUNT = 300
	};
	struct audit_tree tree = {0};
	struct str items[COUNT];
	char text[COUNT][16];
	uint8_t leaf[32], got[32], expected[32];

	for (size_t n = 0; n <= COUNT; n++) {
		audit_tree_root(&tree, got);
		naive_root(items, n, expected);
		ck_assert_msg(memcmp(got, expected, 32) == 0, "of %zu leaves", n);
		if (n == COUNT)
			break;
		(void)snprintf(text[n], sizeof(text[n]), "{\"n\":%zu}", n);
		items[n] = str_from(text[n]);
		audit_leaf_hash(items[n], leaf);
		audit_tree_add(&tree, leaf);
	}
}
END_TEST

/* Consistency of the two public hashes: a tree of two. */
START_TEST(audit_node_hash_joins_two_leaves)
{
	uint8_t a[32], b[32], node[32];
	char text[65];

	audit_leaf_hash(leaves[0], a);
	audit_leaf_hash(leaves[1], b);
	audit_node_hash(a, b, node);
	hex(node, sizeof(node), text);
	ck_assert_str_eq(text, roots[2]);
	audit_node_hash(a, b, a); /* in place */
	ck_assert_mem_eq(a, node, 32);
}
END_TEST

/* ---- keys ---- */

#define PETER      "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SEED "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz" /* type, then seed */
#define ADVICE                                                                         \
	"If you think cryptography is the answer to your problem,\n"                   \
	"then you don't know what your problem is.\n"
#define PETER_LINE                                                                     \
	"\xe2\x80\x94 PeterNeumann "                                                   \
	"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"   \
	"pRZb6KE6RyyBwJnAM=\n"

#define TWO_NEWLINES PETER "\n\n"
#define SPACE_LAST   PETER " "
#define SPACE_FIRST  " " PETER
#define WRONG_LENGTH                                                                   \
	"PeterNeumann+cc469956+"                                                       \
	"ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
#define WRONG_TYPE "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define UPPER_CASE_ID                                                                  \
	"PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

static struct audit_key
peter(void)
{
	struct err err = ERR_INIT;
	struct audit_key key;

	ck_assert_msg(audit_key_parse(&key, STR(PETER), &err) == 0, "%s", err.msg);
	return key;
}

START_TEST(audit_key_parse_reads_what_others_write)
{
	struct audit_key key = peter();
	struct audit_key again;
	struct buf out = {0};

	ck_assert_str_eq(key.name, "PeterNeumann");
	ck_assert_mem_eq(key.id, "\xc7\x4f\x20\xa3", 4);
	audit_key_format(&out, &key);
	ck_assert_str_eq(out.data, PETER);
	ck_assert_int_eq(audit_key_parse(&again, STR(PETER "\n"), NULL), 0);
	ck_assert(audit_key_eq(&key, &again));
	ck_assert_int_eq(
	    audit_key_init(&again, STR("PeterNeumann"), key.public_key, NULL), 0);
	ck_assert(audit_key_eq(&key, &again));
	ck_assert_mem_eq(again.id, key.id, 4);
	ck_assert_int_eq(audit_key_init(&again, STR("Peter"), key.public_key, NULL), 0);
	ck_assert(!audit_key_eq(&key, &again));
	buf_free(&out);
}
END_TEST

/* Any part of a key and any changed byte is no key. */
START_TEST(audit_key_parse_refuses_every_mangling)
{
	char text[sizeof(PETER)] = PETER;
	size_t len = strlen(text);
	struct audit_key key;

	for (size_t from = 0; from <= len; from++)
		for (size_t to = from; to <= len; to++)
			if (from != 0 || to != len)
				ck_assert_int_eq(
				    audit_key_parse(&key,
					(struct str){text + from, to - from}, NULL),
				    ERR_INVALID);
	for (size_t i = 0; i < len; i++) {
		text[i]++;
		ck_assert_msg(
		    audit_key_parse(&key, str_from(text), NULL) == ERR_INVALID, "%s",
		    text);
		text[i]--;
	}
}
END_TEST

static const char *const bad_keys[] = {
    "",
    "+",
    "++",
    "name",
    "name+c74f20a3",
    TWO_NEWLINES,
    SPACE_LAST,
    SPACE_FIRST,
    /* ids that fit, but a key of the wrong length, and of a type that we have not */
    WRONG_LENGTH,
    WRONG_TYPE,
    UPPER_CASE_ID,
};

START_TEST(audit_key_parse_refuses_what_is_no_key)
{
	struct audit_key key;

	ck_assert_int_eq(
	    audit_key_parse(&key, str_from(bad_keys[_i]), NULL), ERR_INVALID);
}
END_TEST

START_TEST(audit_key_init_checks_the_name)
{
	static const uint8_t zero[32];
	static const char *const bad[] = {
	    "", "a b", "a+b", "a\tb", "a\x7f", "a\xc2\xa0", "a\xe2\x80\x83", "\xff"};
	char name[300];
	struct audit_key key;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(
		    audit_key_init(&key, str_from(bad[i]), zero, NULL), ERR_INVALID);
	ck_assert_int_eq(
	    audit_key_init(&key, STR("gate.example/audit"), zero, NULL), 0);
	ck_assert_int_eq(audit_key_init(&key, STR("t\xc3\xbcr"), zero, NULL), 0);
	memset(name, 'n', sizeof(name));
	ck_assert_int_eq(audit_key_init(&key, (struct str){name, 255}, zero, NULL), 0);
	ck_assert_int_eq(
	    audit_key_init(&key, (struct str){name, 256}, zero, NULL), ERR_INVALID);
}
END_TEST

/* ---- notes ---- */

static int
sign_as_peter(void *arg, struct str text, uint8_t out[64], struct err *err)
{
	unsigned char typed[48];
	size_t len = 64;
	EVP_PKEY *pkey;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	(void)arg;
	(void)err;
	ck_assert_int_eq(
	    EVP_DecodeBlock(typed, (const unsigned char *)PETER_SEED, 44), 33);
	pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, typed + 1, 32);
	ck_assert_ptr_nonnull(pkey);
	ck_assert_int_eq(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
	ck_assert_int_eq(
	    EVP_DigestSign(ctx, out, &len, (const unsigned char *)text.ptr, text.len),
	    1);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return 0;
}

START_TEST(audit_note_sign_writes_what_others_write)
{
	struct audit_signer signer = {.sign = sign_as_peter};
	struct audit_key key = peter();
	struct buf out = {0};

	ck_assert_int_eq(audit_note_sign(&out, STR(ADVICE), &key, &signer, NULL), 0);
	ck_assert_str_eq(out.data, ADVICE "\n" PETER_LINE);
	buf_free(&out);
}
END_TEST

static const char *const bad_texts[] = {"", "no newline", "\t\n", "\xff\n", "a\r\n"};

START_TEST(audit_note_sign_refuses_what_is_no_text)
{
	struct audit_signer signer = {.sign = sign_as_peter};
	struct audit_key key = peter();
	struct buf out = {0};

	ck_assert_int_eq(
	    audit_note_sign(&out, str_from(bad_texts[_i]), &key, &signer, NULL),
	    ERR_INVALID);
	ck_assert_uint_eq(out.len, 0);
	buf_free(&out);
}
END_TEST

struct note {
	const char *what;
	const char *note;
	int rc;
};

/* A well-formed signature of somebody else, and one of another id under Peter's name. */
#define OTHER_LINE "\xe2\x80\x94 example.com AAAAAAAA\n"
#define FALSE_ID                                                                       \
	"\xe2\x80\x94 PeterNeumann "                                                   \
	"x08gp/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"   \
	"pRZb6KE6RyyBwJnAM=\n"
#define FALSE_SIGNATURE                                                                \
	"\xe2\x80\x94 PeterNeumann "                                                   \
	"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"   \
	"pRZb6KE6RyyBwJnAA=\n"

static const struct note notes[] = {
    {"as published", ADVICE "\n" PETER_LINE, 0},
    {"others signed too", ADVICE "\n" OTHER_LINE PETER_LINE OTHER_LINE, 0},
    {"signed twice", ADVICE "\n" PETER_LINE PETER_LINE, 0},
    {"the first one decides", ADVICE "\n" FALSE_SIGNATURE PETER_LINE, ERR_DENIED},
    {"signed by another", ADVICE "\n" OTHER_LINE, ERR_DENIED},
    {"another id", ADVICE "\n" FALSE_ID, ERR_DENIED},
    {"another signature", ADVICE "\n" FALSE_SIGNATURE, ERR_DENIED},
    {"another text", "x" ADVICE "\n" PETER_LINE, ERR_DENIED},
    {"a shorter text", "\n" PETER_LINE, ERR_INVALID},
    {"one more empty line", ADVICE "\n\n" PETER_LINE, ERR_DENIED},
    {"no empty line", ADVICE PETER_LINE, ERR_INVALID},
    {"no signature", ADVICE "\n", ERR_INVALID},
    {"no signature, no empty line", ADVICE, ERR_INVALID},
    {"nothing", "", ERR_INVALID},
    {"newlines", "\n\n\n", ERR_INVALID},
    {"another dash", ADVICE "\n- PeterNeumann AAAAAAAA\n", ERR_INVALID},
    {"no name", ADVICE "\n\xe2\x80\x94 AAAAAAAA\n", ERR_INVALID},
    {"a name with plus", ADVICE "\n\xe2\x80\x94 a+b AAAAAAAA\n", ERR_INVALID},
    {"odd base64", ADVICE "\n\xe2\x80\x94 a AAA\n", ERR_INVALID},
    {"three words", ADVICE "\n\xe2\x80\x94 a AAAA AAAA\n", ERR_INVALID},
    {"a control character", "a\x01\n\n" PETER_LINE, ERR_INVALID},
    {"an empty line between signatures", ADVICE "\n" PETER_LINE "\n" PETER_LINE,
	ERR_DENIED},
};

START_TEST(audit_note_open_judges)
{
	struct audit_key key = peter();
	struct str text = {NULL, 0};
	struct err err = ERR_INIT;
	int rc = audit_note_open(str_from(notes[_i].note), &key, &text, &err);

	ck_assert_msg(rc == notes[_i].rc, "%s: %d %s", notes[_i].what, rc, err.msg);
	if (rc == 0)
		ck_assert(str_is(text, ADVICE));
}
END_TEST

START_TEST(audit_note_open_refuses_every_change)
{
	char note[] = ADVICE "\n" PETER_LINE;
	struct audit_key key = peter();
	struct str text;

	for (size_t len = 0; len < strlen(note); len++)
		ck_assert_int_ne(
		    audit_note_open((struct str){note, len}, &key, &text, NULL), 0);
	for (size_t i = 0; i < strlen(note); i++) {
		note[i] ^= 1;
		ck_assert_msg(audit_note_open(str_from(note), &key, &text, NULL) != 0,
		    "byte %zu", i);
		note[i] ^= 1;
	}
	ck_assert_int_eq(audit_note_open(str_from(note), &key, &text, NULL), 0);
}
END_TEST

START_TEST(audit_note_open_limits_signatures)
{
	struct audit_key key = peter();
	struct buf note = {0};
	struct str text;

	buf_add_cstr(&note, ADVICE "\n" PETER_LINE);
	for (unsigned i = 1; i < AUDIT_MAX_SIGNATURES; i++)
		buf_add_cstr(&note, OTHER_LINE);
	ck_assert_int_eq(audit_note_open(buf_str(&note), &key, &text, NULL), 0);
	buf_add_cstr(&note, OTHER_LINE);
	ck_assert_int_eq(
	    audit_note_open(buf_str(&note), &key, &text, NULL), ERR_INVALID);
	buf_free(&note);
}
END_TEST

/* ---- checkpoints ---- */

/* The empty tree's root in base64: printf '' | openssl sha256 -binary | base64 */
#define EMPTY_ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

struct checkpoint {
	const char *text;
	bool ok;
	uint64_t size;
};

static const struct checkpoint checkpoints[] = {
    {"gate.example/audit\n0\n" EMPTY_ROOT "\n", true, 0},
    {"o\n9223372036854775807\n" EMPTY_ROOT "\n", true, INT64_MAX},
    {"o\n7\n" EMPTY_ROOT "\nan extension\nand another\n", true, 7},
    {"o\n7\n" EMPTY_ROOT "\n\n", false, 0},
    {"o\n7\n" EMPTY_ROOT "\nunfinished", false, 0},
    {"o\n7\n" EMPTY_ROOT, false, 0},
    {"\n7\n" EMPTY_ROOT "\n", false, 0},
    {"o\n07\n" EMPTY_ROOT "\n", false, 0},
    {"o\n-7\n" EMPTY_ROOT "\n", false, 0},
    {"o\n\n" EMPTY_ROOT "\n", false, 0},
    {"o\n9223372036854775808\n" EMPTY_ROOT "\n", false, 0},
    {"o\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n", false, 0}, /* loose bits */
    {"o\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n", false, 0},
    {"o\n7\n " EMPTY_ROOT "\n", false, 0},
    {"o\n7\nAAAA\n", false, 0},
    {"", false, 0},
};

START_TEST(audit_checkpoint_parse_judges)
{
	const struct checkpoint *c = &checkpoints[_i];
	struct audit_checkpoint checkpoint;
	char text[65];

	ck_assert_int_eq(audit_checkpoint_parse(&checkpoint, str_from(c->text), NULL),
	    c->ok ? 0 : ERR_INVALID);
	if (!c->ok)
		return;
	ck_assert_uint_eq(checkpoint.size, c->size);
	hex(checkpoint.root, 32, text);
	ck_assert_str_eq(text, roots[0]);
}
END_TEST

START_TEST(audit_checkpoint_format_writes_three_lines)
{
	struct audit_checkpoint checkpoint = {
	    .origin = STR("gate.example/audit"), .size = 42};
	struct buf out = {0};

	EVP_Digest("", 0, checkpoint.root, NULL, EVP_sha256(), NULL);
	audit_checkpoint_format(&out, &checkpoint);
	ck_assert_str_eq(out.data, "gate.example/audit\n42\n" EMPTY_ROOT "\n");
	buf_free(&out);
}
END_TEST

static const char *const foreign[] = {"PeterNeuman", "PeterNeumann2", "gate.example"};

START_TEST(audit_checkpoint_open_is_for_one_log)
{
	struct audit_signer signer = {.sign = sign_as_peter};
	struct audit_key key = peter();
	const bool own = _i == ARRAY_LEN(foreign);
	struct audit_checkpoint checkpoint = {
	    .origin = str_from(own ? "PeterNeumann" : foreign[_i]), .size = 42};
	struct audit_checkpoint back;
	struct buf text = {0}, note = {0};

	audit_checkpoint_format(&text, &checkpoint);
	ck_assert_int_eq(
	    audit_note_sign(&note, buf_str(&text), &key, &signer, NULL), 0);
	ck_assert_int_eq(audit_checkpoint_open(&back, buf_str(&note), &key, NULL),
	    own ? 0 : ERR_INVALID);
	ck_assert_uint_eq(back.size, 42);
	note.data[text.len - 2] ^= 1; /* of the root */
	ck_assert_int_ne(audit_checkpoint_open(&back, buf_str(&note), &key, NULL), 0);
	buf_free(&text);
	buf_free(&note);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_note");
	TCase *tc = tcase_create("audit_note");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, audit_tree_root_is_that_of_rfc6962, 0, ARRAY_LEN(roots));
	tcase_add_test(tc, audit_tree_root_agrees_with_the_recursive_definition);
	tcase_add_test(tc, audit_node_hash_joins_two_leaves);
	tcase_add_test(tc, audit_key_parse_reads_what_others_write);
	tcase_add_test(tc, audit_key_parse_refuses_every_mangling);
	tcase_add_loop_test(
	    tc, audit_key_parse_refuses_what_is_no_key, 0, ARRAY_LEN(bad_keys));
	tcase_add_test(tc, audit_key_init_checks_the_name);
	tcase_add_test(tc, audit_note_sign_writes_what_others_write);
	tcase_add_loop_test(
	    tc, audit_note_sign_refuses_what_is_no_text, 0, ARRAY_LEN(bad_texts));
	tcase_add_loop_test(tc, audit_note_open_judges, 0, ARRAY_LEN(notes));
	tcase_add_test(tc, audit_note_open_refuses_every_change);
	tcase_add_test(tc, audit_note_open_limits_signatures);
	tcase_add_loop_test(
	    tc, audit_checkpoint_parse_judges, 0, ARRAY_LEN(checkpoints));
	tcase_add_test(tc, audit_checkpoint_format_writes_three_lines);
	tcase_add_loop_test(
	    tc, audit_checkpoint_open_is_for_one_log, 0, ARRAY_LEN(foreign) + 1);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
