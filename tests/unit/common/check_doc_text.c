#include "common/doc_helpers.h"

/* ---- documents ---- */

static const struct {
	const char *text;
	size_t count;
} streams[] = {
    {"", 0},
    {"\n\n", 0},
    {"# comment\n", 0},
    {"---\n", 0},
    {"---\n---\n...\n", 0},
    {"---\n# a\n---\na: 1\n---\n", 1},
    {"a: 1\n---\nb: 2\n", 2},
    {"a: 1\n---\n~\n---\nb: 2\n", 2},
    {"--- a\n--- b\n", 2},
    {"a: 1\n...\n---\nb: 2\n", 2},
    {"\xef\xbb\xbf"
     "a: 1\n",
	1},
    {"%YAML 1.1\n---\na: 1\n", 1},
    {"%YAML 1.2\n---\na: 1\n", 1},
    {"\xef\xbb\xbf", 0},
    {"{\"a\": 1}\n[2]\n{}\n", 3},
    {"{\"a\": 1}\n---\nb: 1\n", 2},
    {"a: 1\r\n---\r\nb: 2\r\n", 2},
};

START_TEST(stream_has_documents)
{
	ck_assert_msg(read_text(str_from(streams[_i].text)), "%s", messages());
	ck_assert_uint_eq(docs.count, streams[_i].count);
}
END_TEST

START_TEST(documents_before_a_syntax_error_are_kept)
{
	bad(STR("a: 1\n---\nb: 2\n---\nc: [\n---\nd: 1\n"), "yaml-syntax");
	ck_assert_uint_eq(docs.count, 2);
	ck_assert_str_eq(tree(docs.docs[1]), "{\"b\":2}");
}
END_TEST

START_TEST(reading_goes_on_after_faults_that_are_not_syntax)
{
	bad(STR("a: 1\na: 2\nb: *x\n---\nc: !x 1\n"), "duplicate-key");
	ck_assert_uint_eq(diags.errors, 3);
	ck_assert_uint_eq(docs.count, 2);
}
END_TEST

START_TEST(depth_is_limited)
{
	struct buf text = {0};

	for (unsigned i = 0; i < LIMIT_DOC_DEPTH; i++)
		buf_add_char(&text, '[');
	for (unsigned i = 0; i < LIMIT_DOC_DEPTH; i++)
		buf_add_char(&text, ']');
	(void)good(text.data);
	buf_clear(&text);
	for (unsigned i = 0; i < 100000; i++)
		buf_add_char(&text, '[');
	bad(buf_str(&text), "yaml-limit");
	ck_assert_uint_eq(fault->loc.col, LIMIT_DOC_DEPTH + 1);
	buf_clear(&text);
	for (int i = 0; i < 1000; i++)
		buf_add_cstr(&text, "- ");
	bad(buf_str(&text), "yaml-limit");
	buf_free(&text);
}
END_TEST

/* ---- text ---- */

static const struct {
	struct str text;
	uint32_t line, col;
} refused_texts[] = {
    {{"a: 1\nb: \0\n", 10}, 2, 4},
    {{"a: \xff\n", 5}, 1, 4},
    {{"a: \xc3\xa9\n\xc3\xa9: \xed\xa0\x80\n", 13}, 2, 5},
    {{"a: 1\r\nb: \x1b[0m\r\n", 16}, 2, 4},
    {{"a: \x7f\n", 5}, 1, 4},
    {{"\xff\xfe"
      "a\0",
	 4},
	1, 1},
    {{"\xfe\xff\0a", 4}, 1, 1},
    {{"a: 1\n\xef\xbb\xbf"
      "b: 2\n",
	 13},
	2, 1},
    {{"a: \xef\xbf\xbf\n", 7}, 1, 4},
    {{"{\"a\": \"\0\"}", 10}, 1, 8},
};

START_TEST(text_is_refused_at_its_bad_byte)
{
	bad(refused_texts[_i].text, "yaml-text");
	ck_assert_uint_eq(fault->loc.line, refused_texts[_i].line);
	ck_assert_uint_eq(fault->loc.col, refused_texts[_i].col);
	ck_assert_uint_eq(docs.count, 0);
}
END_TEST

/* ---- places ---- */

static void
ck_place(const struct doc_node *node, uint32_t line, uint32_t col, uint32_t end_col)
{
	ck_assert_ptr_nonnull(node);
	ck_assert_ptr_eq(node->loc.source, &source);
	ck_assert_uint_eq(node->loc.line, line);
	ck_assert_uint_eq(node->loc.col, col);
	ck_assert_uint_eq(node->loc.end_col, end_col);
}

START_TEST(places_count_from_one)
{
	const struct doc_node *root = good("# c\na: 1\nbc:\n  - 'x y'\n  - {d: e}\n"
					   "f: |\n  t\ng:\nh: a\n   b\n");
	const struct doc_node *list = doc_get(root, "bc");

	ck_place(root, 2, 1, 0);
	ck_place(root->u.entries[0].key, 2, 1, 2);
	ck_place(doc_get(root, "a"), 2, 4, 5);
	ck_place(list, 4, 3, 0);
	ck_place(list->u.items[0], 4, 5, 10);
	ck_place(list->u.items[1], 5, 5, 0);
	ck_place(list->u.items[1]->u.entries[0].key, 5, 6, 7);
	ck_place(doc_get(list->u.items[1], "d"), 5, 9, 10);
	ck_place(doc_get(root, "f"), 6, 4, 0);
	ck_place(doc_get(root, "g"), 8, 3, 0);
	ck_place(doc_get(root, "h"), 9, 4, 0);
}
END_TEST

START_TEST(places_count_bytes_when_not_ascii)
{
	const struct doc_node *root =
	    good("\xef\xbb\xbf\xc3\xa9: \xe2\x82\xac # \xf0\x9f\x98\x80\r\nb: "
		 "[\"\xc3\xa9\", c]\r\n"
		 "d:\r\n");

	ck_place(root->u.entries[0].key, 1, 1, 3);
	ck_place(root->u.entries[0].value, 1, 5, 8);
	ck_place(doc_get(root, "b")->u.items[0], 2, 5, 9);
	ck_place(doc_get(root, "b")->u.items[1], 2, 11, 12);
	ck_place(root->u.entries[2].key, 3, 1, 2);
	ck_place(doc_get(root, "d"), 3, 3, 0);
}
END_TEST

START_TEST(places_agree_whether_ascii_or_not)
{
	/* The same text, but for a last comment that makes it other than ASCII. */
	static const char text[] =
	    "a: {b: [1, 'x'], c: }\nd:\n- e\n-\n- - f\n  - g: h\n"
	    "\n# end\ni: &x j\nk: *x\n";
	const struct doc_node *plain = good(text);
	const struct doc_node *other;
	const struct doc_node *const *walk;
	const char *longer = arena_printf(arena, "%s# \xc3\xa9\n", text);

	other = good(longer);
	ck_assert_str_eq(tree(plain), tree(other));
	for (uint32_t i = 0; i < plain->count; i++) {
		const struct doc_entry *a = &plain->u.entries[i];
		const struct doc_entry *b = &other->u.entries[i];

		ck_place(
		    a->key, b->key->loc.line, b->key->loc.col, b->key->loc.end_col);
		ck_place(a->value, b->value->loc.line, b->value->loc.col,
		    b->value->loc.end_col);
	}
	walk = (const struct doc_node *const *)doc_get(other, "d")->u.items;
	ck_place(walk[0], 3, 3, 4);
	ck_place(walk[1], 4, 2, 0);
	ck_place(walk[2]->u.items[1], 6, 5, 0);
}
END_TEST

/* ---- JSON ---- */

static const struct {
	const char *json, *value;
} json_texts[] = {
    {"{\n\t\"a\":\t[1,\t-2.5,\n\t\ttrue, false, null],\r\n\t\"b\": {}\n}\n",
	"{\"a\":[1,-2.5f,true,false,null],\"b\":{}}"},
    {"{\"a\":\"\\ud83d\\ude00\\u00e9\\n\\\"\\\\\\/\\b\\f\\r\\t\"}",
	"{\"a\":\"\xf0\x9f\x98\x80\xc3\xa9\\n\\\"\\\\/\\b\\f\\r\\t\"}"},
    {"[0, -0, 1e2, 1E-1, 9223372036854775807, 9223372036854775808]",
	"[0,0,100,0.10000000000000001f,9223372036854775807,9.2233720368547758e+18f]"},
    {"[\"yes\", \"12\", \"~\", \"\", \"<<\"]", "[\"yes\",\"12\",\"~\",\"\",\"<<\"]"},
    {"{\"<<\": {\"a\": 1}}", "{\"<<\":{\"a\":1}}"},
    {"[]", "[]"},
    {"{}", "{}"},
    {"[[],{},[{}]]", "[[],{},[{}]]"},
    /* Not JSON, but YAML's flow style. */
    {"{a: b, c: [yes, 0x10], }", "{\"a\":\"b\",\"c\":[true,16]}"},
    {"{\"a\": 1, # c\n b: }", "{\"a\":1,\"b\":null}"},
    {"[01]", "[1]"},
    {"[\"\\t\n a\"]", "[\"\\t a\"]"},
};

START_TEST(json_is_read)
{
	ck_assert_str_eq(tree(good(json_texts[_i].json)), json_texts[_i].value);
}
END_TEST

START_TEST(json_key_may_be_longer_than_yaml_allows)
{
	struct buf text = {0};

	buf_add_cstr(&text, "{\"");
	for (int i = 0; i < 5000; i++)
		buf_add_char(&text, 'k');
	buf_add_cstr(&text, "\": 1}");
	ck_assert_uint_eq(good(text.data)->u.entries[0].key->text.len, 5000);
	buf_free(&text);
}
END_TEST

START_TEST(json_places_count_from_one)
{
	const struct doc_node *root =
	    good("\n {\"\xc3\xa9\": [true,\n\t-12 ],\n\"b\" : \"\\u0041\"}");

	ck_place(root, 2, 2, 0);
	ck_place(root->u.entries[0].key, 2, 3, 7);
	ck_place(root->u.entries[0].value, 2, 9, 0);
	ck_place(root->u.entries[0].value->u.items[0], 2, 10, 14);
	ck_place(root->u.entries[0].value->u.items[1], 3, 2, 5);
	ck_place(doc_get(root, "b"), 4, 7, 15);
}
END_TEST

static const struct {
	const char *text;
	uint32_t line, col;
	const char *code;
} refused_json[] = {
    {"{\"a\": 1\n \"b\": 2}", 2, 2, "yaml-syntax"},
    {"{\"a\": [1, 2}", 1, 12, "yaml-syntax"},
    {"{\"a\": \"\\ud800 x\", \"b\": 1}", 1, 8, "yaml-syntax"},
    {"{\"a\": \"\\q\"}", 1, 8, "yaml-syntax"},
    {"[\"\\ud800\\u0041\"]", 1, 3, "yaml-syntax"},
    {"[\"\\ud800\\ue000\"]", 1, 3, "yaml-syntax"},
    {"[\"\\udc00\"]", 1, 3, "yaml-syntax"},
    {"{\"a\": \"\\u0000\"}", 1, 7, "yaml-text"},
    {"{\"a\": 1}}", 1, 9, "yaml-syntax"},
    {"[1", 1, 3, "yaml-syntax"},
    {"{\"a", 1, 2, "yaml-syntax"},
};

START_TEST(json_is_refused_where_it_breaks)
{
	source.name = STR("t.json");
	bad(str_from(refused_json[_i].text), refused_json[_i].code);
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_uint_eq(fault->loc.line, refused_json[_i].line);
	ck_assert_uint_eq(fault->loc.col, refused_json[_i].col);
}
END_TEST

/* YAML knows no pairs of surrogates and stops at the first. */
START_TEST(json_error_is_shown_when_it_is_further_on)
{
	bad(STR("{\"a\": \"\\ud83d\\ude00\", \"b\": }"), "yaml-syntax");
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_uint_eq(fault->loc.col, 28);
	ck_assert_str_eq(fault->msg, "expected a value");
}
END_TEST

START_TEST(json_depth_and_duplicates_are_checked_once)
{
	struct buf text = {0};

	bad(STR("{\"a\": 1, \"a\": 2, b: 3}"), "duplicate-key");
	ck_assert_uint_eq(diags.errors, 1);
	for (unsigned i = 0; i <= LIMIT_DOC_DEPTH; i++)
		buf_add_cstr(&text, "[\n");
	diag_list_init(&diags, arena);
	bad(buf_str(&text), "yaml-limit");
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_uint_eq(fault->loc.line, LIMIT_DOC_DEPTH + 1);
	buf_free(&text);
}
END_TEST

/* ---- looking up ---- */

START_TEST(doc_get_and_value_look_up_keys)
{
	const struct doc_node *root = good("a: 1\nb: ~\nlist: [x]\n");

	ck_assert_int_eq(doc_get(root, "a")->u.integer, 1);
	ck_assert_int_eq(doc_get(root, "b")->kind, DOC_NULL);
	ck_assert_ptr_null(doc_value(root, "b"));
	ck_assert_ptr_eq(doc_value(root, "a"), doc_get(root, "a"));
	ck_assert_ptr_null(doc_get(root, "c"));
	ck_assert_ptr_null(doc_get(doc_get(root, "list"), "x"));
	ck_assert_ptr_null(doc_get(NULL, "a"));
}
END_TEST

START_TEST(doc_kind_name_reads_in_a_sentence)
{
	ck_assert_str_eq(doc_kind_name(DOC_STRING), "a string");
	ck_assert_str_eq(doc_kind_name(DOC_LIST), "a list");
	ck_assert_str_eq(doc_kind_name(DOC_MAP), "a map");
	ck_assert_str_eq(doc_kind_name(DOC_INT), "an integer");
}
END_TEST

/* ---- golden messages ---- */

/* data/doc/NAME.yaml must give exactly the messages in data/doc/NAME.txt. */
START_TEST(messages_are_those_of_the_golden_files)
{
	DIR *dir = opendir(TEST_DATA_DIR "/doc");
	const struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct str name = str_from(entry->d_name);
		const char *path;

		if (!str_ends(name, STR(".yaml")) && !str_ends(name, STR(".json")))
			continue;
		path = arena_printf(arena, TEST_DATA_DIR "/doc/%s", entry->d_name);
		source.name = str_dup(arena, name);
		diag_list_init(&diags, arena);
		ck_assert(!read_text(file_text(path)));
		path = arena_printf(arena, "%.*s.txt", (int)strlen(path) - 5, path);
		ck_assert_str_eq(messages(), file_text(path).ptr);
		count++;
	}
	(void)closedir(dir);
	ck_assert_uint_ge(count, 20);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("doc_text");
	TCase *tc = tcase_create("doc_text");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, stream_has_documents, 0, ARRAY_LEN(streams));
	tcase_add_test(tc, documents_before_a_syntax_error_are_kept);
	tcase_add_test(tc, reading_goes_on_after_faults_that_are_not_syntax);
	tcase_add_test(tc, depth_is_limited);
	tcase_add_loop_test(
	    tc, text_is_refused_at_its_bad_byte, 0, ARRAY_LEN(refused_texts));
	tcase_add_test(tc, places_count_from_one);
	tcase_add_test(tc, places_count_bytes_when_not_ascii);
	tcase_add_test(tc, places_agree_whether_ascii_or_not);
	tcase_add_loop_test(tc, json_is_read, 0, ARRAY_LEN(json_texts));
	tcase_add_test(tc, json_key_may_be_longer_than_yaml_allows);
	tcase_add_test(tc, json_places_count_from_one);
	tcase_add_loop_test(
	    tc, json_is_refused_where_it_breaks, 0, ARRAY_LEN(refused_json));
	tcase_add_test(tc, json_error_is_shown_when_it_is_further_on);
	tcase_add_test(tc, json_depth_and_duplicates_are_checked_once);
	tcase_add_test(tc, doc_get_and_value_look_up_keys);
	tcase_add_test(tc, doc_kind_name_reads_in_a_sentence);
	tcase_add_test(tc, messages_are_those_of_the_golden_files);
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
