/*
 * Tokens: their form, their checksum (computed here in another way, from the definition of
 * CRC-32), and that any change of one character shows.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "authn/token/token.h"

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz";

/* By table, most significant bit of the reflected polynomial last. */
static uint32_t
crc32_by_table(const char *data, size_t len)
{
	uint32_t table[256], crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] =
			    table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
	}
	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ (uint8_t)data[i]) & 0xff];
	return ~crc;
}

static void
random_bytes(uint8_t out[64])
{
	for (size_t i = 0; i < 64; i++)
		out[i] = (uint8_t)(rand() >> 4);
}

START_TEST(base62_writes_digits_most_significant_first)
{
	static const struct {
		uint64_t value;
		const char *text;
	} cases[] = {{0, "000000"}, {61, "00000z"}, {62, "000010"}, {3843, "0000zz"}};
	char out[7] = "";

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		token_base62(cases[i].value, 6, out);
		ck_assert_str_eq(out, cases[i].text);
	}
	/* The published check value of CRC-32, of "123456789". */
	ck_assert_uint_eq(crc32_by_table("123456789", 9), 0xcbf43926u);
}
END_TEST

START_TEST(made_token_has_its_form_and_is_parsed)
{
	uint8_t random[64], hash[32];
	char token[TOKEN_LEN + 1], crc[TOKEN_CRC_LEN + 1] = "";
	struct token_parts made, parsed;
	uint32_t value;

	for (int turn = 0; turn < 200; turn++) {
		random_bytes(random);
		token_make(random, token, &made);
		ck_assert_uint_eq(strlen(token), 50);
		ck_assert_int_eq(strncmp(token, "rf_", 3), 0);
		ck_assert_int_eq(token[13], '_');
		ck_assert_uint_eq(strspn(token + 14, base62), 36);
		ck_assert_int_eq(strncmp(token + 3, made.id, 10), 0);
		value = crc32_by_table(token, 44);
		for (int i = 5; i >= 0; i--, value /= 62)
			crc[i] = base62[value % 62];
		ck_assert_str_eq(token + 44, crc);
		SHA256((const uint8_t *)token + 14, 30, hash);
		ck_assert_mem_eq(made.secret_hash, hash, 32);
		ck_assert(token_parse(str_from(token), &parsed));
		ck_assert_str_eq(parsed.id, made.id);
		ck_assert_mem_eq(parsed.secret_hash, hash, 32);
	}
}
END_TEST

START_TEST(any_changed_character_is_refused)
{
	uint8_t random[64];
	char token[TOKEN_LEN + 1];
	struct token_parts parts;

	random_bytes(random);
	token_make(random, token, &parts);
	for (size_t i = 0; i < TOKEN_LEN; i++) {
		const char before = token[i];

		for (int c = 0; c < 256; c++) {
			if ((char)c == before)
				continue;
			token[i] = (char)c;
			ck_assert(!token_parse((struct str){token, TOKEN_LEN}, &parts));
		}
		token[i] = before;
	}
	for (size_t len = 0; len < TOKEN_LEN; len++)
		ck_assert(!token_parse((struct str){token, len}, &parts));
	ck_assert(token_parse(str_from(token), &parts));
}
END_TEST

START_TEST(bytes_that_would_bias_are_left_out)
{
	uint8_t random[64];
	char token[TOKEN_LEN + 1];
	struct token_parts parts;

	/* 248 and more are dropped; 0..39 follow, the digits in their order. */
	for (size_t i = 0; i < 64; i++)
		random[i] = i < 24 ? (uint8_t)(248 + i % 8) : (uint8_t)(i - 24);
	token_make(random, token, &parts);
	ck_assert_str_eq(parts.id, "0123456789");
	ck_assert_int_eq(strncmp(token + 14, base62 + 10, 30), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("token");
	TCase *tc = tcase_create("token");
	SRunner *runner = srunner_create(suite);
	int failed;

	srand(1);
	tcase_add_test(tc, base62_writes_digits_most_significant_first);
	tcase_add_test(tc, made_token_has_its_form_and_is_parsed);
	tcase_add_test(tc, any_changed_character_is_refused);
	tcase_add_test(tc, bytes_that_would_bias_are_left_out);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
