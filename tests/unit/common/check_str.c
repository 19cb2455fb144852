#include "common/str.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

static struct str
bytes(const char *p, size_t len)
{
	return (struct str){p, len};
}

START_TEST(str_from_is_empty_when_null)
{
	ck_assert_uint_eq(str_from(NULL).len, 0);
	ck_assert(str_eq(str_from(NULL), STR("")));
	ck_assert(str_is(STR("abc"), "abc"));
	ck_assert(!str_is(STR("abc"), "ab"));
}
END_TEST

START_TEST(str_cmp_orders_by_byte_then_length)
{
	ck_assert_int_lt(str_cmp(STR("a"), STR("b")), 0);
	ck_assert_int_lt(str_cmp(STR("a"), STR("ab")), 0);
	ck_assert_int_lt(str_cmp(STR(""), STR("a")), 0);
	ck_assert_int_gt(str_cmp(STR("\xff"), STR("a")), 0);
	ck_assert_int_eq(str_cmp(STR("ab"), STR("ab")), 0);
	/* A NUL is a byte like others. */
	ck_assert_int_lt(str_cmp(bytes("a\0a", 3), bytes("a\0b", 3)), 0);
	ck_assert(!str_eq(bytes("a\0a", 3), bytes("a\0b", 3)));
}
END_TEST

START_TEST(str_starts_and_ends_compare_whole_affix)
{
	ck_assert(str_starts(STR("policy.yaml"), STR("policy")));
	ck_assert(str_starts(STR("x"), STR("")));
	ck_assert(!str_starts(STR("pol"), STR("policy")));
	ck_assert(str_ends(STR("policy.yaml"), STR(".yaml")));
	ck_assert(!str_ends(STR("yaml"), STR(".yaml")));
	ck_assert(str_ends((struct str){NULL, 0}, STR("")));
}
END_TEST

START_TEST(str_find_returns_length_when_absent)
{
	ck_assert_uint_eq(str_find(STR("a/b/c"), '/', 0), 1);
	ck_assert_uint_eq(str_find(STR("a/b/c"), '/', 2), 3);
	ck_assert_uint_eq(str_find(STR("a/b/c"), '/', 4), 5);
	ck_assert_uint_eq(str_find(STR("abc"), 'a', 99), 3);
	ck_assert_uint_eq(str_find((struct str){NULL, 0}, 'a', 0), 0);
}
END_TEST

START_TEST(str_slice_clamps_when_out_of_range)
{
	ck_assert(str_is(str_slice(STR("abcd"), 1, 3), "bc"));
	ck_assert(str_is(str_slice(STR("abcd"), 2, 99), "cd"));
	ck_assert(str_is(str_slice(STR("abcd"), 99, 120), ""));
	ck_assert(str_is(str_slice(STR("abcd"), 3, 1), ""));
	ck_assert(str_is(str_slice((struct str){NULL, 0}, 0, 5), ""));
}
END_TEST

START_TEST(str_trim_removes_only_outer_space)
{
	ck_assert(str_is(str_trim(STR(" \t a b\r\n")), "a b"));
	ck_assert(str_is(str_trim(STR(" \n ")), ""));
	ck_assert(str_is(str_trim(STR("")), ""));
}
END_TEST

START_TEST(str_split_leaves_null_when_last_part_is_taken)
{
	struct str rest = STR("a,,b");

	ck_assert(str_is(str_split(&rest, ','), "a"));
	ck_assert(str_is(str_split(&rest, ','), ""));
	ck_assert_ptr_nonnull(rest.ptr);
	ck_assert(str_is(str_split(&rest, ','), "b"));
	ck_assert_ptr_null(rest.ptr);

	/* A separator at the end has an empty part behind it. */
	rest = STR("a,");
	ck_assert(str_is(str_split(&rest, ','), "a"));
	ck_assert_ptr_nonnull(rest.ptr);
	ck_assert(str_is(str_split(&rest, ','), ""));
	ck_assert_ptr_null(rest.ptr);
}
END_TEST

START_TEST(str_dup_is_followed_by_nul)
{
	struct arena *arena = arena_new();
	struct str copy = str_dup(arena, bytes("abcdef", 3));

	ck_assert_str_eq(copy.ptr, "abc");
	ck_assert_uint_eq(copy.len, 3);
	ck_assert_str_eq(str_dup(arena, (struct str){NULL, 0}).ptr, "");
	arena_free(arena);
}
END_TEST

static const struct {
	const char *text;
	uint64_t max;
	bool ok;
	uint64_t value;
} numbers[] = {
    {"0", 10, true, 0},
    {"65535", 65535, true, 65535},
    {"65536", 65535, false, 0},
    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, false, 0},
    {"99999999999999999999999", UINT64_MAX, false, 0},
    {"", 10, false, 0},
    {"00", 10, false, 0},
    {"01", 10, false, 0},
    {"+1", 10, false, 0},
    {"-1", 10, false, 0},
    {" 1", 10, false, 0},
    {"1 ", 10, false, 0},
    {"1x", 10, false, 0},
    {"0x1", 10, false, 0},
    {"\xc2\xb2", 10, false, 0},
};

START_TEST(str_to_u64_accepts_plain_decimals_only)
{
	uint64_t value = 77;

	ck_assert(str_to_u64(str_from(numbers[_i].text), numbers[_i].max, &value) ==
		  numbers[_i].ok);
	ck_assert_uint_eq(value, numbers[_i].ok ? numbers[_i].value : 77);
}
END_TEST

static const struct {
	const char *a, *b;
	unsigned limit, distance;
} distances[] = {
    {"action", "action", 3, 0},
    {"actoin", "action", 3, 1}, /* a swap is one edit */
    {"acton", "action", 3, 1},
    {"actiion", "action", 3, 1},
    {"axtion", "action", 3, 1},
    {"kitten", "sitting", 5, 3},
    {"kitten", "sitting", 2, 3}, /* limit + 1 */
    {"", "abc", 5, 3},
    {"", "", 5, 0},
    {"ca", "abc", 5, 3}, /* restricted: a swapped pair is not edited again */
    {"a", "abcdefgh", 3, 4},
};

START_TEST(str_distance_counts_edits)
{
	struct str a = str_from(distances[_i].a), b = str_from(distances[_i].b);

	ck_assert_uint_eq(
	    str_distance(a, b, distances[_i].limit), distances[_i].distance);
	ck_assert_uint_eq(
	    str_distance(b, a, distances[_i].limit), distances[_i].distance);
}
END_TEST

START_TEST(str_hex_digit_knows_both_cases_and_nothing_else)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	int value = 0;

	for (size_t i = 0; digits[i] != '\0'; i++, value = value == 15 ? 10 : value + 1)
		ck_assert_int_eq(str_hex_digit(digits[i]), value);
	for (int c = 0; c < 256; c++) {
		if (memchr(digits, c, sizeof(digits) - 1) == NULL)
			ck_assert_int_eq(str_hex_digit((char)c), -1);
	}
}
END_TEST

START_TEST(str_distance_is_far_when_longer_than_64)
{
	char text[65];

	memset(text, 'a', sizeof(text));
	ck_assert_uint_eq(str_distance(bytes(text, 65), bytes(text, 65), 3), 4);
	ck_assert_uint_eq(str_distance(bytes(text, 64), bytes(text, 64), 3), 0);
}
END_TEST

START_TEST(buf_grows_and_stays_terminated)
{
	struct buf b = {0};

	for (int i = 0; i < 10000; i++)
		buf_printf(&b, "%d,", i);
	buf_add_char(&b, 'x');
	buf_add_cstr(&b, "yz");
	buf_add_str(&b, (struct str){NULL, 0});
	ck_assert_uint_eq(b.len, strlen(b.data));
	ck_assert(str_starts(buf_str(&b), STR("0,1,2,")));
	ck_assert(str_ends(buf_str(&b), STR("9998,9999,xyz")));
	buf_clear(&b);
	ck_assert_str_eq(b.data, "");
	buf_free(&b);
	ck_assert_ptr_null(b.data);
	buf_free(&b);
}
END_TEST

START_TEST(buf_printf_keeps_all_when_longer_than_room)
{
	struct buf b = {0};
	char text[5000];

	memset(text, 'q', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buf_printf(&b, "%s|%s", text, text);
	ck_assert_uint_eq(b.len, 2 * 4999 + 1);
	ck_assert_int_eq(b.data[4999], '|');
	buf_free(&b);
}
END_TEST

static const struct {
	struct str text;
	const char *json;
} json_texts[] = {
    {{"", 0}, "\"\""},
    {{"plain", 5}, "\"plain\""},
    {{"a\"b\\c/d", 7}, "\"a\\\"b\\\\c/d\""},
    {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
    {{"\0\x1f\x7f", 3}, "\"\\u0000\\u001f\\u007f\""},
    {{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
	"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {{"a\xff\x62", 3}, "\"a\xef\xbf\xbd\x62\""},
    {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {{"x\xc3", 2}, "\"x\xef\xbf\xbd\""},
    {{"ab\ncd", 5}, "\"ab\\ncd\""},
};

START_TEST(buf_add_json_escapes_as_rfc_8259)
{
	struct buf b = {0};

	buf_add_json(&b, json_texts[_i].text);
	ck_assert_str_eq(b.data, json_texts[_i].json);
	buf_free(&b);
}
END_TEST

static const struct {
	struct str text;
	size_t width;
	uint32_t point;
} utf8_cases[] = {
    {{"A", 1}, 1, 'A'},
    {{"\0", 1}, 1, 0},
    {{"\xc2\x80", 2}, 2, 0x80},
    {{"\xdf\xbf", 2}, 2, 0x7ff},
    {{"\xe0\xa0\x80", 3}, 3, 0x800},
    {{"\xed\x9f\xbf", 3}, 3, 0xd7ff},
    {{"\xee\x80\x80", 3}, 3, 0xe000},
    {{"\xf0\x90\x80\x80", 4}, 4, 0x10000},
    {{"\xf4\x8f\xbf\xbf", 4}, 4, 0x10ffff},
    {{"\xc0\x80", 2}, 0, 0},         /* overlong NUL */
    {{"\xc1\xbf", 2}, 0, 0},         /* overlong */
    {{"\xe0\x9f\xbf", 3}, 0, 0},     /* overlong */
    {{"\xf0\x8f\xbf\xbf", 4}, 0, 0}, /* overlong */
    {{"\xed\xa0\x80", 3}, 0, 0},     /* surrogate */
    {{"\xf4\x90\x80\x80", 4}, 0, 0}, /* above U+10FFFF */
    {{"\x80", 1}, 0, 0},
    {{"\xe2\x82", 2}, 0, 0},
    {{"\xc3\x28", 2}, 0, 0},
    {{"\xff", 1}, 0, 0},
    {{"", 0}, 0, 0},
};

START_TEST(utf8_decode_is_strict)
{
	uint32_t point = 0;
	char again[4];

	ck_assert_uint_eq(
	    utf8_decode(utf8_cases[_i].text, 0, &point), utf8_cases[_i].width);
	ck_assert_uint_eq(point, utf8_cases[_i].point);
	if (utf8_cases[_i].width != 0) {
		ck_assert_uint_eq(utf8_put(point, again), utf8_cases[_i].width);
		ck_assert_mem_eq(again, utf8_cases[_i].text.ptr, utf8_cases[_i].width);
	}
}
END_TEST

START_TEST(utf8_check_finds_first_bad_byte)
{
	ck_assert_uint_eq(utf8_check(STR("0123456789abcdef\xff")), 16);
	ck_assert_uint_eq(utf8_check(STR("0123456789\xc3\xa9 abcdef")), 19);
	ck_assert_uint_eq(utf8_check(STR("abc\xc3")), 3);
	ck_assert_uint_eq(utf8_check(STR("")), 0);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("str");
	TCase *tc = tcase_create("str");

	tcase_add_test(tc, str_from_is_empty_when_null);
	tcase_add_test(tc, str_cmp_orders_by_byte_then_length);
	tcase_add_test(tc, str_starts_and_ends_compare_whole_affix);
	tcase_add_test(tc, str_find_returns_length_when_absent);
	tcase_add_test(tc, str_slice_clamps_when_out_of_range);
	tcase_add_test(tc, str_trim_removes_only_outer_space);
	tcase_add_test(tc, str_split_leaves_null_when_last_part_is_taken);
	tcase_add_test(tc, str_dup_is_followed_by_nul);
	tcase_add_loop_test(
	    tc, str_to_u64_accepts_plain_decimals_only, 0, ARRAY_LEN(numbers));
	tcase_add_loop_test(tc, str_distance_counts_edits, 0, ARRAY_LEN(distances));
	tcase_add_test(tc, str_hex_digit_knows_both_cases_and_nothing_else);
	tcase_add_test(tc, str_distance_is_far_when_longer_than_64);
	tcase_add_test(tc, buf_grows_and_stays_terminated);
	tcase_add_test(tc, buf_printf_keeps_all_when_longer_than_room);
	tcase_add_loop_test(
	    tc, buf_add_json_escapes_as_rfc_8259, 0, ARRAY_LEN(json_texts));
	tcase_add_loop_test(tc, utf8_decode_is_strict, 0, ARRAY_LEN(utf8_cases));
	tcase_add_test(tc, utf8_check_finds_first_bad_byte);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
