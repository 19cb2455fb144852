#include "common/doc_helpers.h"

/* ---- the fast reader of plain documents ---- */

static void
write_places(struct buf *out, const struct doc_node *node)
{
	buf_printf(out, "%u:%u-%u ", node->loc.line, node->loc.col, node->loc.end_col);
	if (node->kind == DOC_LIST) {
		for (uint32_t i = 0; i < node->count; i++)
			write_places(out, node->u.items[i]);
	} else if (node->kind == DOC_MAP) {
		for (uint32_t i = 0; i < node->count; i++) {
			write_places(out, node->u.entries[i].key);
			write_places(out, node->u.entries[i].value);
		}
	}
}

typedef bool read_function(
    struct arena *, const struct source *, struct diag_list *, struct doc_list *);

/* Everything that a reader makes of a text. */
static const char *
all_of(read_function *read, struct str text)
{
	struct buf out = {0};
	const char *copy;

	source.text = text;
	diag_list_init(&diags, arena);
	buf_printf(&out, "%s\n", read(arena, &source, &diags, &docs) ? "good" : "bad");
	for (size_t i = 0; i < docs.count; i++) {
		write_tree(&out, docs.docs[i]);
		buf_add_char(&out, '\n');
		write_places(&out, docs.docs[i]);
		buf_add_char(&out, '\n');
	}
	diag_render(&out, &diags, DIAG_TEXT);
	copy = str_dup(arena, buf_str(&out)).ptr;
	buf_free(&out);
	return copy;
}

static void
ck_agree(struct str text)
{
	ck_assert_str_eq(all_of(doc_read, text), all_of(doc_read_full, text));
}

/* Each is at the edge of what the fast reader takes; what libyaml makes of it counts. */
static const char *const edges[] = {
    "a: b",
    "a: b\n",
    "- --config=a\n- --b\n- ---\n",
    "- --\n",
    "- -- a\n",
    "a: --b\n--c: d\n",
    "a: [--b, -c, --, ---d]\n",
    "---a: b\n",
    "a: b # c\n",
    "a: b# c\n",
    "a: 'b'# c\n",
    "a: [b]# c\n",
    "a: #c\n",
    "a:#c\n",
    "a:\n# c\n  # d\n b: c\n",
    "a:  \n  b: c\n",
    "a: \t\n",
    "a:\tb\n",
    "a: b\t\n",
    "a: b\n\t\n",
    "a: b\n \t# c\n",
    "a: b\n  c\n",
    "a: b\n\n  c: d\n",
    "a: 'b'\n  c\n",
    "a:\n  b\n",
    "a:\n  b: c\n d: e\n",
    "a:\n- b\n- c\nd: e\n",
    "a:\n- b\n  - c\n",
    "a:\n  - b\n - c\n",
    "a:\n  - b\n- c\n",
    "- a\nb: c\n",
    "a: b\n- c\n",
    "- - a\n  - b\n- c\n",
    "- a: b\n  c: d\n-   e: f\n    g: h\n",
    "- a: b\n c: d\n",
    "- a: b\n   c: d\n",
    "-\n  a: b\n-\n- \n",
    "-a\n",
    "-a: b\n",
    "- -a\n- -\n- --\n",
    "--: a\n",
    "---a: b\n",
    "---: b\n",
    "----: b\n",
    "a: ---\n",
    "a: b\n--- c\n",
    "a: b\n---\tc\n",
    "---\ta: b\n",
    "--- # c\na: b\n",
    "---# c\na: b\n",
    "a: b\n...\n",
    "a: b\n... c: d\n",
    "...: a\n",
    "... : a\n",
    "a: ...\n",
    "a:\n  ...\n",
    "a: &x b\n----: c\n",
    " a: &x b\n----: c\n",
    "a: {b: 1, b: 2}\nc: &x d\n",
    "a: {y: 1}\nc: &x d\n",
    "a: &x b\n---\nc: d\n",
    "a: |\n  b\n---\nc: 'd'\n---\n- *x\n",
    "a: &x b\n...\nc: d\n",
    "a: &x b\n...\n---\nc: d\n",
    "a: &x b\n... # c\n--- # d\ne: f\n",
    "'a': b\n",
    "'a':b\n",
    "\"a\":b\n",
    "'a' : b\n",
    "a : b\n",
    "'a: b\n",
    "'a'b: c\n",
    "a: 'b' c\n",
    "a: 'it''s'\n",
    "'it''s': a\n",
    "a: \"\\t\"\n",
    "a: \"b\tc\"\n",
    "a: 'b\n  c'\n",
    "- 'a': b\n- 'a'\n- \"a: b\"\n- 'a: b\n",
    "- 'a'': b\n",
    "a: b: c\n",
    "a:b\n",
    "a: b:c\n",
    "a: b:\n",
    "a: :b\n",
    "a: ::1\n",
    "a: fd00::1\n",
    ": a\n",
    "? a\n",
    "?a: b\n",
    "a: ?b\n",
    "a: ? b\n",
    "a: - b\n",
    "a: -b\n",
    "a: -\n",
    "a: !b\n",
    "a: @b\n",
    "a: %b\n",
    "%a: b\n",
    "a: `b\n",
    "a: *b\n",
    "a: >b\n",
    "a: |b\n",
    "a: <b>\n",
    "a: <<\n",
    "<<: {a: b}\n",
    "a: ,b\n",
    "a: ]b\n",
    "a: b]c,d}e\n",
    "a: b#c\n",
    "a: [b, c]\n",
    "a: [b,c]\n",
    "a: [ b , c ]\n",
    "a: []\n",
    "a: [ ]\n",
    "a: {}\n",
    "a: { }\n",
    "a: [b, ]\n",
    "a: [b,, c]\n",
    "a: [,]\n",
    "a: [b\n, c]\n",
    "a: [b]c\n",
    "a: [b] c\n",
    "a: [b c, d # e]\n",
    "a: [b #c]\n",
    "a: [b#c]\n",
    "a: [-b, -1, - c]\n",
    "a: [-]\n",
    "a: [b:c, ::1, fd::]\n",
    "a: [b:, c]\n",
    "a: [b: c]\n",
    "a: [b?c]\n",
    "a: [b ?c]\n",
    "a: [?b]\n",
    "a: [b: , c]\n",
    "a: [*/b]\n",
    "a: ['*/b', c*]\n",
    "a: [@b]\n",
    "a: [b@c]\n",
    "a: [[b], [c, {d: e}]]\n",
    "a: [b[c]]\n",
    "a: [b{c}]\n",
    "a: {b: c, d: [e]}\n",
    "a: {b}\n",
    "a: {b: }\n",
    "a: {b: c, }\n",
    "a: {b:c}\n",
    "a: {'b':c}\n",
    "a: {'b':'c'}\n",
    "a: {'b': c}\n",
    "a: {b : c}\n",
    "a: {b: c: d}\n",
    "a: {b: c\n}\n",
    "a: {1: b, 0x1: c}\n",
    "a: [b\tc]\n",
    "a: [b,\tc]\n",
    "a: [\"b\", 'c']\n",
    "a: ['b''c']\n",
    "a: [b'c]\n",
    "[a, b]\n",
    "{a: b}\n",
    "'a'\n",
    "a\n",
    "a\nb: c\n",
    " a: b\n c: d\n",
    " a: b\nc: d\n",
    "a: b\n c: d\n",
    "a:\n   b: c\n   d: e\n  f: g\n",
    "a: b\r\nc:\r\n- d\r\n",
    "a: b\rc: d\n",
    "a: b\na: c\n",
    "y: b\n",
    "1.5: a\n",
    "~: a\n",
    "a: .inf\n",
    "a: 1_0\n",
    "a: \xc3\xa9 # \xe2\x82\xac\n\xc3\xa9: [\xc3\xa9]\n",
    "a: b\xc2\x85\x63: d\n",
    "a: b\xe2\x80\xa8\x63: d\n",
    "\xef\xbb\xbf\x61: b\n",
    "a: \xef\xbb\xbf\x62\n",
    "#\n",
    "  # c",
    "---\n---\n",
    "---\n# c\n---\na: b\n---",
    "a: b\n---\n...\n---\nc: d\n",
    "%YAML 1.1\n---\na: b\n---\nc: d\n",
    "a: b\n---\n%YAML 1.1\n---\nc: d\n",
    "a: b\n---\nc: [\n---\nd: e\n",
    "a: &x b\n---\nc: d\n---\ne: *x\n---\nf: g\n",
};

START_TEST(plain_and_full_reader_agree)
{
	ck_agree(str_from(edges[_i]));
}
END_TEST

START_TEST(plain_and_full_reader_agree_on_long_keys)
{
	/* libyaml takes no simple key longer than 1024 characters. */
	for (unsigned len = 990; len < 1040; len++) {
		struct buf text = {0};

		for (unsigned i = 0; i < len; i++)
			buf_add_char(&text, 'k');
		buf_add_cstr(&text, ": v\n");
		ck_agree(buf_str(&text));
		buf_free(&text);
	}
}
END_TEST

START_TEST(plain_and_full_reader_agree_on_deep_trees)
{
	for (unsigned depth = LIMIT_DOC_DEPTH - 2; depth < LIMIT_DOC_DEPTH + 3;
	     depth++) {
		struct buf block = {0}, list = {0}, flow = {0};

		buf_add_cstr(&flow, "a: ");
		for (unsigned i = 0; i < depth; i++) {
			buf_printf(&block, "%*sk:\n", (int)i, "");
			buf_add_cstr(&list, "- ");
			buf_add_char(&flow, '[');
		}
		buf_add_cstr(&list, "a\n");
		for (unsigned i = 0; i < depth; i++)
			buf_add_char(&flow, ']');
		ck_agree(buf_str(&block));
		ck_agree(buf_str(&list));
		ck_agree(buf_str(&flow));
		buf_free(&block);
		buf_free(&list);
		buf_free(&flow);
	}
}
END_TEST

/* Otherwise the others would compare the full reader with itself. */
START_TEST(plain_reader_takes_plain_documents)
{
	static const char text[] =
	    "# c\nkind: Policy\nmetadata: {name: a, namespace: /b}\n"
	    "spec:\n  rules:\n  - ports: [80/tcp, '443', \"x\"]\n"
	    "    to:\n      - a: b # c\n        d:\n\n---\n- x\n- - z\n";
	struct doc_place place = {.at = 0, .line = 1};
	struct doc_tree t;

	source.text = str_from(text);
	doc_tree_init(&t, arena, &source, &diags, source.text);
	ck_assert(doc_plain_read(&t, &place));
	ck_assert_uint_eq(place.line, 11);
	ck_assert(doc_plain_read(&t, &place));
	ck_assert_uint_eq(place.at, source.text.len);
	ck_assert_uint_eq(t.doc_count, 2);
	ck_assert_str_eq(tree(t.docs[1]), "[\"x\",[\"z\"]]");
	ck_assert_ptr_null(diags.first);
	doc_tree_fini(&t);
}
END_TEST

/* The golden cases of the messages, too. */
START_TEST(plain_and_full_reader_agree_on_golden_files)
{
	DIR *dir = opendir(TEST_DATA_DIR "/doc");
	const struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (str_ends(str_from(entry->d_name), STR(".yaml")))
			ck_agree(file_text(arena_printf(
			    arena, TEST_DATA_DIR "/doc/%s", entry->d_name)));
	}
	(void)closedir(dir);
}
END_TEST

/* What ends a scalar, or may seem to: the reader looks for it by many bytes at once. */
static const char *const stops[] = {
    "\n",
    "\r\n",
    ": d\n",
    ":\n",
    ":d\n",
    "#d\n",
    " # d\n",
    "\td\n",
    ":",
    "",
};

START_TEST(scalar_ends_at_its_stop_when_it_has_any_length)
{
	for (unsigned len = 1; len < 50; len++) {
		for (unsigned more = 0; more < 2; more++) {
			struct buf text = {0};

			buf_add_cstr(&text, "k: {}\na: ");
			for (unsigned i = 0; i < len; i++)
				buf_add_char(&text, (char)('a' + i % 26));
			buf_add_cstr(&text, stops[_i]);
			if (more != 0)
				buf_add_cstr(&text, "b: as long as what is looked at "
						    "at once, and more\n");
			ck_agree(buf_str(&text));
			buf_free(&text);
		}
	}
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("doc_plain");
	TCase *tc = tcase_create("doc_plain");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, plain_and_full_reader_agree, 0, ARRAY_LEN(edges));
	tcase_add_loop_test(
	    tc, scalar_ends_at_its_stop_when_it_has_any_length, 0, ARRAY_LEN(stops));
	tcase_add_test(tc, plain_and_full_reader_agree_on_long_keys);
	tcase_add_test(tc, plain_and_full_reader_agree_on_deep_trees);
	tcase_add_test(tc, plain_reader_takes_plain_documents);
	tcase_add_test(tc, plain_and_full_reader_agree_on_golden_files);
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
