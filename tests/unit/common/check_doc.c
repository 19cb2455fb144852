#include "common/doc_helpers.h"

/* ---- scalars ---- */

/* What kubectl 1.32 makes of each (kubectl annotate --local -o json), written as
 * write_tree does. */
static const struct {
	const char *yaml, *value;
} scalars[] = {
    {"true", "true"},
    {"True", "true"},
    {"TRUE", "true"},
    {"tRUE", "\"tRUE\""},
    {"yes", "true"},
    {"Yes", "true"},
    {"YES", "true"},
    {"yEs", "\"yEs\""},
    {"on", "true"},
    {"On", "true"},
    {"ON", "true"},
    {"y", "true"},
    {"Y", "true"},
    {"false", "false"},
    {"False", "false"},
    {"FALSE", "false"},
    {"no", "false"},
    {"No", "false"},
    {"NO", "false"},
    {"off", "false"},
    {"Off", "false"},
    {"OFF", "false"},
    {"n", "false"},
    {"N", "false"},
    {"", "null"},
    {"~", "null"},
    {"null", "null"},
    {"Null", "null"},
    {"NULL", "null"},
    {"nULL", "\"nULL\""},
    {"nil", "\"nil\""},
    {"none", "\"none\""},
    {"0", "0"},
    {"-0", "0"},
    {"+12", "12"},
    {"-12", "-12"},
    {"80", "80"},
    {"0777", "511"},
    {"-0777", "-511"},
    {"0o17", "15"},
    {"0O17", "15"},
    {"0x1F", "31"},
    {"0X1f", "31"},
    {"-0x1f", "-31"},
    {"0b101", "5"},
    {"-0b101", "-5"},
    {"00", "0"},
    {"0_7", "7"},
    {"1_000", "1000"},
    {"1__0", "10"},
    {"0x_1F", "31"},
    {"+_1", "1"},
    {"_1", "\"_1\""},
    {"0x", "\"0x\""},
    {"0b12", "\"0b12\""},
    {"0o8", "\"0o8\""},
    {"0x1p4", "\"0x1p4\""},
    {"-", NULL},
    {"+", "\"+\""},
    {".", "\".\""},
    {"08", "8"},
    {"09", "9"},
    {"-08", "-8"},
    {"08.5", "8.5f"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775808", "9.2233720368547758e+18f"},
    {"0xFFFFFFFFFFFFFFFF", "1.8446744073709552e+19f"},
    {"18446744073709551616", "1.8446744073709552e+19f"},
    {"-18446744073709551615", "-1.8446744073709552e+19f"},
    {"+18446744073709551615", "1.8446744073709552e+19f"},
    {"+0xFFFFFFFFFFFFFFFF", "\"+0xFFFFFFFFFFFFFFFF\""},
    {"-0xFFFFFFFFFFFFFFFF", "\"-0xFFFFFFFFFFFFFFFF\""},
    {"0x1FFFFFFFFFFFFFFFFF", "\"0x1FFFFFFFFFFFFFFFFF\""},
    {"0777777777777777777777777777", "7.777777777777778e+26f"},
    {"1.5", "1.5f"},
    {".5", "0.5f"},
    {"-.5", "-0.5f"},
    {"+.5e1", "5"},
    {"1.", "1"},
    {".5_0", "0.5f"},
    {"._5", "\"._5\""},
    {"1_0.5", "10.5f"},
    {"1.10", "1.1000000000000001f"},
    {"1.0", "1"},
    {"1e3", "1000"},
    {"1E+3", "1000"},
    {"1e-1", "0.10000000000000001f"},
    {"5e", "\"5e\""},
    {"e5", "\"e5\""},
    {"1e400", "\"1e400\""},
    {".5e400", "\".5e400\""},
    {"1e21", "1e+21f"},
    {"1.2.3", "\"1.2.3\""},
    {"1:30", "\"1:30\""},
    {"2001-01-01", "\"2001-01-01\""},
    {"2001-01-01T00:00:00Z", "\"2001-01-01T00:00:00Z\""},
    {"10.0.0.0/8", "\"10.0.0.0/8\""},
    {"v1", "\"v1\""},
    {"nan", "\"nan\""},
    {"inf", "\"inf\""},
    {"<<", "\"<<\""},
    {"=", "\"=\""},
    {"a b", "\"a b\""},
    {"'12'", "\"12\""},
    {"\"true\"", "\"true\""},
    {"''", "\"\""},
    {"'it''s'", "\"it's\""},
    {"\"\\x41\\u00e9\\t\\/\"", "\"A\xc3\xa9\\t/\""},
    {"!!str 12", "\"12\""},
    {"!!str", "\"\""},
    {"!!str null", "\"null\""},
    {"!!int '12'", "12"},
    {"!!int 0x10", "16"},
    {"!!float 1", "1"},
    {"!!float '1.5'", "1.5f"},
    {"!!bool 'yes'", "true"},
    {"!!null ''", "null"},
    {"! 12", "\"12\""},
    {"!!map {a: 1}", "{\"a\":1}"},
    {"!!seq [1]", "[1]"},
    {"!<tag:yaml.org,2002:int> 3", "3"},
    {"|\n  12\n", "\"12\\n\""},
    {">-\n  a\n  b\n", "\"a b\""},
    {"|-\n  true", "\"true\""},
};

START_TEST(scalar_is_resolved_as_kubernetes_does)
{
	const char *value = scalars[_i].value;
	const char *text = arena_printf(arena, "k: %s\n", scalars[_i].yaml);

	if (value == NULL)
		bad(str_from(text), "yaml-syntax");
	else
		ck_assert_str_eq(tree(doc_get(good(text), "k")), value);
}
END_TEST

START_TEST(scalar_keeps_spelling)
{
	const struct doc_node *list = good("[0x1F, yes, '0x1F', ~]");

	ck_assert_str_eq(list->u.items[0]->text.ptr, "0x1F");
	ck_assert_str_eq(list->u.items[1]->text.ptr, "yes");
	ck_assert_int_eq(list->u.items[2]->kind, DOC_STRING);
	ck_assert_str_eq(list->u.items[3]->text.ptr, "~");
}
END_TEST

static const struct {
	const char *text, *code;
} refused_scalars[] = {
    {"k: .nan\n", "yaml-number"},
    {"k: -.inf\n", "yaml-number"},
    {"k: !!int x\n", "yaml-tag"},
    {"k: !!int 1.5\n", "yaml-tag"},
    {"k: !!bool 12\n", "yaml-tag"},
    {"k: !!null x\n", "yaml-tag"},
    {"k: !!float x\n", "yaml-tag"},
    {"k: !!binary aGk=\n", "yaml-tag"},
    {"k: !!timestamp 2001-01-01\n", "yaml-tag"},
    {"k: !!set {a}\n", "yaml-tag"},
    {"k: !!map [1]\n", "yaml-tag"},
    {"k: !!seq {a: 1}\n", "yaml-tag"},
    {"k: !!map x\n", "yaml-tag"},
    {"k: !local x\n", "yaml-tag"},
    {"%TAG !e! tag:example.org,2000:\n---\nk: 1\n", "yaml-tag"},
    {"k: \"a\\0b\"\n", "yaml-text"},
    {"k: \"\\ud83d\\ude00\"\n", "yaml-syntax"},
};

START_TEST(scalar_is_refused)
{
	bad(str_from(refused_scalars[_i].text), refused_scalars[_i].code);
}
END_TEST

/* ---- keys ---- */

START_TEST(keys_become_text)
{
	ck_assert_str_eq(tree(good("{1: a, 0x10: b, true: c, '2': d, 3.0: e}\n")),
	    "{\"1\":\"a\",\"16\":\"b\",\"true\":\"c\",\"2\":\"d\",\"3\":\"e\"}");
	ck_assert_uint_eq(diags.warnings, 0);
}
END_TEST

START_TEST(key_warns_when_word_becomes_boolean)
{
	ck_assert_str_eq(tree(good("on: 1\nn: 2\n")), "{\"true\":1,\"false\":2}");
	ck_assert_uint_eq(diags.warnings, 2);
	ck_assert_str_eq(diags.first->code, "yaml-key");
	ck_assert_str_eq(tree(good("'on': 1\n\"n\": 2\n")), "{\"on\":1,\"n\":2}");
	ck_assert_uint_eq(diags.warnings, 2);
}
END_TEST

static const char *const refused_keys[] = {"~: a\n", "? [1]\n: a\n", "{a: 1}: b\n",
    "1.5: a\n", "18446744073709551615: a\n", "? \n"};

START_TEST(key_is_refused_when_not_text)
{
	bad(str_from(refused_keys[_i]), "yaml-key");
}
END_TEST

START_TEST(anchored_key_is_not_changed_where_it_is_a_value)
{
	ck_assert_str_eq(tree(good("&k 16: a\nv: *k\n")), "{\"16\":\"a\",\"v\":16}");
	ck_assert_str_eq(tree(good("a: &v 7\n*v : b\n")), "{\"a\":7,\"7\":\"b\"}");
}
END_TEST

static const char *const duplicates[] = {
    "a: 1\nb: 2\na: 3\n",
    "{\"a\": 1, \"a\": 2}",
    "a: 1\n'a': 2\n",
    "1: a\n0x1: b\n",
    "yes: a\n'true': b\n",
    "x: {a: 1, a: 2}\n",
};

START_TEST(duplicate_key_is_refused_with_note_at_first)
{
	bad(str_from(duplicates[_i]), "duplicate-key");
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert_ptr_nonnull(fault->note);
	ck_assert_int_lt(loc_cmp(fault->note_loc, fault->loc), 0);
	ck_assert_uint_eq(docs.count, 1);
}
END_TEST

START_TEST(duplicate_key_is_found_when_map_is_large)
{
	struct buf text = {0};

	for (int i = 0; i < 3000; i++)
		buf_printf(&text, "key-%d: %d\n", i, i);
	buf_add_cstr(&text, "key-1234: again\n");
	bad(buf_str(&text), "duplicate-key");
	ck_assert_uint_eq(fault->loc.line, 3001);
	ck_assert_uint_eq(fault->note_loc.line, 1235);
	ck_assert_uint_eq(docs.docs[0]->count, 3000);
	ck_assert_int_eq(doc_get(docs.docs[0], "key-1234")->u.integer, 1234);
	buf_free(&text);
}
END_TEST

/* ---- anchors and merges ---- */

/* As kubectl 1.32 reads them. */
static const struct {
	const char *yaml, *value;
	unsigned warnings;
} merges[] = {
    {"{a: &x [1, 2], b: *x}", "{\"a\":[1,2],\"b\":[1,2]}", 0},
    {"[&x 1, *x, &x 2, *x]", "[1,1,2,2]", 0}, /* the name is taken over */
    {"{<<: {a: 2, b: 3}, a: 1}", "{\"a\":1,\"b\":3}", 0},
    {"{a: 1, <<: {a: 2, b: 3}}", "{\"a\":2,\"b\":3}", 1},
    {"{<<: [{a: 2, b: 3}, {a: 4, c: 5}], a: 1}", "{\"a\":1,\"c\":5,\"b\":3}", 0},
    {"{<<: {a: 1}, <<: {b: 1}}", "{\"a\":1,\"b\":1}", 0},
    {"{\"<<\": {a: 2}}", "{\"<<\":{\"a\":2}}", 0},
    {"{<<: []}", "{}", 0},
    {"{x: &x {a: 1}, z: {<<: *x, b: 2}}", "{\"x\":{\"a\":1},\"z\":{\"a\":1,\"b\":2}}",
	0},
    {"{x: &x {<<: {a: 1}}, z: {<<: *x}}", "{\"x\":{\"a\":1},\"z\":{\"a\":1}}", 0},
};

START_TEST(anchors_and_merges_are_read_as_kubernetes_does)
{
	ck_assert_str_eq(tree(good(merges[_i].yaml)), merges[_i].value);
	ck_assert_uint_eq(diags.warnings, merges[_i].warnings);
}
END_TEST

static const struct {
	const char *text, *code;
} refused_aliases[] = {
    {"a: *x\n", "yaml-alias"},
    {"a: &x [*x]\n", "yaml-alias"},
    {"&x a: {b: [{c: *y}]}\n", "yaml-alias"},
    {"a: &x {b: &y [*x]}\n", "yaml-alias"},
    {"a: &x 1\n---\nb: *x\n", "yaml-alias"}, /* anchors end with their document */
    {"<<: 3\n", "yaml-merge"},
    {"<<: null\n", "yaml-merge"},
    {"<<: [3]\n", "yaml-merge"},
    {"{<<: {a: 1}, b: 1, b: 2}\n", "duplicate-key"},
};

START_TEST(alias_or_merge_is_refused)
{
	bad(str_from(refused_aliases[_i].text), refused_aliases[_i].code);
}
END_TEST

START_TEST(aliases_are_refused_when_they_multiply)
{
	struct buf text = {0};

	/* Nine times nine and so on: 9^6 values if they were expanded, no great number for
	 * a file to have. */
	buf_add_cstr(&text, "l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 6; i++) {
		buf_printf(&text, "l%d: &l%d [", i, i);
		for (int k = 0; k < 9; k++)
			buf_printf(&text, "%s*l%d", k != 0 ? ", " : "", i - 1);
		buf_add_cstr(&text, "]\n");
	}
	bad(buf_str(&text), "yaml-limit");
	ck_assert_uint_eq(diags.errors, 1);
	buf_free(&text);
}
END_TEST

START_TEST(aliases_are_refused_when_they_nest_too_deeply)
{
	struct buf text = {0};

	buf_add_cstr(&text, "- &a0 [x]\n");
	for (int i = 1; i < 100; i++)
		buf_printf(&text, "- &a%d [*a%d]\n", i, i - 1);
	bad(buf_str(&text), "yaml-limit");
	/* The list, then 1 + i levels: item 63 would be the 65th. */
	ck_assert_uint_eq(fault->loc.line, LIMIT_DOC_DEPTH);
	buf_free(&text);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("doc");
	TCase *tc = tcase_create("doc");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, scalar_is_resolved_as_kubernetes_does, 0, ARRAY_LEN(scalars));
	tcase_add_test(tc, scalar_keeps_spelling);
	tcase_add_loop_test(tc, scalar_is_refused, 0, ARRAY_LEN(refused_scalars));
	tcase_add_test(tc, keys_become_text);
	tcase_add_test(tc, key_warns_when_word_becomes_boolean);
	tcase_add_loop_test(
	    tc, key_is_refused_when_not_text, 0, ARRAY_LEN(refused_keys));
	tcase_add_test(tc, anchored_key_is_not_changed_where_it_is_a_value);
	tcase_add_loop_test(
	    tc, duplicate_key_is_refused_with_note_at_first, 0, ARRAY_LEN(duplicates));
	tcase_add_test(tc, duplicate_key_is_found_when_map_is_large);
	tcase_add_loop_test(
	    tc, anchors_and_merges_are_read_as_kubernetes_does, 0, ARRAY_LEN(merges));
	tcase_add_loop_test(
	    tc, alias_or_merge_is_refused, 0, ARRAY_LEN(refused_aliases));
	tcase_add_test(tc, aliases_are_refused_when_they_multiply);
	tcase_add_test(tc, aliases_are_refused_when_they_nest_too_deeply);
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
