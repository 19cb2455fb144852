/*
 * The scanner of JSON in pieces, with jansson as the judge of what is JSON at all.
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"

static const char *const letters[] = {
    [SCAN_OBJECT_BEGIN] = "{",
    [SCAN_OBJECT_END] = "}",
    [SCAN_ARRAY_BEGIN] = "[",
    [SCAN_ARRAY_END] = "]",
    [SCAN_NULL] = "n",
    [SCAN_SCALAR] = "#",
};

/* The events as text, a "bad" at the end if it is not JSON or not complete. */
static void
scan(const char *data, size_t len, size_t step, bool stream, struct buf *out)
{
	struct json_scan j;
	enum scan_event event = SCAN_MORE;

	json_scan_init(&j, stream);
	j.keep = true;
	for (size_t at = 0; at < len && event != SCAN_BAD; at += step) {
		size_t n = len - at < step ? len - at : step, pos = 0;
		char *copy =
		    malloc(n); /* so that a sanitizer sees every byte too far */

		memcpy(copy, data + at, n);
		while ((event = json_scan_next(&j, copy, n, &pos)) != SCAN_MORE &&
		       event != SCAN_BAD) {
			if (event == SCAN_KEY || event == SCAN_STRING) {
				buf_add_str(out, buf_str(&j.text));
				buf_add_cstr(out, event == SCAN_KEY ? ":" : ";");
			} else {
				buf_add_cstr(out, letters[event]);
			}
		}
		free(copy);
	}
	if (event == SCAN_BAD || !json_scan_complete(&j))
		buf_add_cstr(out, "bad");
	json_scan_free(&j);
}

static const struct {
	const char *json, *events;
} cases[] = {
    {"{}", "{}"},
    {" { \"a\" : [ 1 , -0.5e+3, \"x\", null, true ] } \n", "{a:[##x;n#]}"},
    {"{\"a\":\"\\ud83d\\ude00\"}", "{a:\xf0\x9f\x98\x80;}"},
    {"{\"a\":\"\\ud83d\"}", "{a:\xef\xbf\xbd;}"},
    {"{\"a\":\"\\ude00x\"}", "{a:\xef\xbf\xbdx;}"},
    {"{\"a\":\"\\ud83d\\n\"}", "{a:\xef\xbf\xbd\n;}"},
    {"{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "{a:\xef\xbf\xbd\xf0\x9f\x98\x80;}"},
    {"{\"a\":{\"b\":{}},\"c\":[[],[{}]]}", "{a:{b:{}}c:[[][{}]]}"},
    {"", "bad"},
    {"[]", "bad"},
    {"1", "bad"},
    {"null", "bad"},
    {"{", "{bad"},
    {"{}{}", "{}bad"},
    {"{}x", "{}bad"},
    {"{\"a\"}", "{a:bad"},
    {"{\"a\":}", "{a:bad"},
    {"{\"a\":1,}", "{a:#bad"},
    {"{,}", "{bad"},
    {"{\"a\":1 \"b\":2}", "{a:#bad"},
    {"{\"a\":[1,]}", "{a:[#bad"},
    {"{\"a\":[1 2]}", "{a:[#bad"},
    {"{\"a\":[}", "{a:[bad"},
    {"{\"a\":[1}}", "{a:[#bad"},
    {"{\"a\":01}", "{a:bad"},
    {"{\"a\":1.}", "{a:bad"},
    {"{\"a\":.5}", "{a:bad"},
    {"{\"a\":+1}", "{a:bad"},
    {"{\"a\":1e}", "{a:bad"},
    {"{\"a\":-}", "{a:bad"},
    {"{\"a\":0x10}", "{a:#bad"},
    {"{\"a\":1_0}", "{a:#bad"},
    {"{\"a\":NaN}", "{a:bad"},
    {"{\"a\":nul}", "{a:bad"},
    {"{\"a\":nulll}", "{a:nbad"},
    {"{\"a\":True}", "{a:bad"},
    {"{'a':1}", "{bad"},
    {"{a:1}", "{bad"},
    {"{\"a\":\"\n\"}", "{a:bad"},
    {"{\"a\":\"\\x\"}", "{a:bad"},
    {"{\"a\":\"\\u12g4\"}", "{a:bad"},
    {"{\"a\":\"", "{a:bad"},
    {"{/**/}", "{bad"},
    {"\xef\xbb\xbf{}", "bad"},
    {"{\"a\":1}\v", "{a:#}bad"},
};

START_TEST(scan_reads_json_and_nothing_else)
{
	for (size_t step = 1; step <= 64; step *= 2) {
		struct buf out = {NULL, 0, 0};

		scan(cases[_i].json, strlen(cases[_i].json), step, false, &out);
		ck_assert_str_eq(out.data, cases[_i].events);
		buf_free(&out);
	}
}
END_TEST

/* Random edits of documents: we call JSON what jansson calls JSON. */
START_TEST(scan_agrees_with_jansson)
{
	static const char alphabet[] = "{}[]\",:\\ 0123456789-+.eEtrufalsn\n\x01/x";
	const char *seed_text = getenv("RINGFENCE_SEED");
	unsigned seed = seed_text != NULL ? (unsigned)atoi(seed_text) : 1;
	size_t valid = 0;

	srand(seed);
	for (int i = 0; i < 200000; i++) {
		char text[128];
		const char *from = cases[(size_t)rand() % ARRAY_LEN(cases)].json;
		size_t len = strlen(from);
		struct buf out = {NULL, 0, 0};
		json_t *tree;
		bool good;

		memcpy(text, from, len);
		for (int edits = rand() % 3; edits > 0 && len != 0; edits--) {
			size_t at = (size_t)rand() % len;

			text[at] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
			if (rand() % 4 == 0)
				len = at;
		}
		tree = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
		good = tree != NULL && json_is_object(tree);
		valid += good;
		scan(text, len, 1 + (size_t)rand() % 8, false, &out);
		/* jansson refuses lone surrogates, which Go reads, and too large numbers. */
		if (good !=
			(out.len < 3 || strcmp(out.data + out.len - 3, "bad") != 0) &&
		    memmem(text, len, "\\u", 2) == NULL &&
		    memchr(text, 'e', len) == NULL && memchr(text, 'E', len) == NULL)
			ck_abort_msg("seed %u: %.*s: %s", seed, (int)len, text,
			    out.len != 0 ? out.data : "");
		json_decref(tree);
		buf_free(&out);
	}
	ck_assert_uint_gt(valid, 1000);
}
END_TEST

START_TEST(stream_has_one_object_behind_the_other)
{
	const char text[] = "{\"a\":1}\n{}{} \n";
	struct buf out = {NULL, 0, 0};

	scan(text, sizeof(text) - 1, 3, true, &out);
	ck_assert_str_eq(out.data, "{a:#}{}{}");
	buf_free(&out);
}
END_TEST

START_TEST(depth_is_limited)
{
	for (size_t depth = SCAN_MAX_DEPTH - 1; depth <= SCAN_MAX_DEPTH; depth++) {
		struct buf text = {NULL, 0, 0}, out = {NULL, 0, 0};

		buf_add_cstr(&text, "{\"a\":");
		for (size_t i = 0; i < depth; i++)
			buf_add_char(&text, '[');
		for (size_t i = 0; i < depth; i++)
			buf_add_char(&text, ']');
		buf_add_char(&text, '}');
		scan(text.data, text.len, 100, false, &out);
		ck_assert(
		    str_ends(buf_str(&out), STR("bad")) == (depth == SCAN_MAX_DEPTH));
		buf_free(&text);
		buf_free(&out);
	}
}
END_TEST

START_TEST(long_text_is_cut_and_says_so)
{
	struct json_scan j;
	size_t len = SCAN_TEXT_BYTES + 3, pos = 0;
	char *text = malloc(len + 8);

	memcpy(text, "{\"", 2);
	memset(text + 2, 'x', len);
	text[len + 2] = '"';
	json_scan_init(&j, false);
	j.keep = true;
	ck_assert_int_eq(json_scan_next(&j, text, len + 3, &pos), SCAN_OBJECT_BEGIN);
	ck_assert_int_eq(json_scan_next(&j, text, len + 3, &pos), SCAN_KEY);
	ck_assert(j.text_cut);
	ck_assert_uint_le(j.text.len, SCAN_TEXT_BYTES);
	json_scan_free(&j);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("json_scan");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, scan_reads_json_and_nothing_else, 0, ARRAY_LEN(cases));
	tcase_add_test(tc, scan_agrees_with_jansson);
	tcase_add_test(tc, stream_has_one_object_behind_the_other);
	tcase_add_test(tc, depth_is_limited);
	tcase_add_test(tc, long_text_is_cut_and_says_so);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
