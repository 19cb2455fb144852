#include "common/doc_helpers.h"

/* ---- documents that are given one by one ---- */

struct taker {
	struct arena *pages;
	unsigned seen, keep_every;
	const struct doc_node *kept[1000];
	unsigned kept_count;
	size_t most_bytes;
};

static bool
take(void *ctx, const struct doc_node *doc)
{
	struct taker *t = ctx;
	const struct doc_node *number = doc_get(doc, "number");

	ck_assert_ptr_nonnull(number);
	ck_assert_int_eq(number->u.integer, t->seen);
	ck_assert_str_eq(doc_get(doc, "text")->text.ptr, "some text");
	if (arena_bytes(t->pages) > t->most_bytes)
		t->most_bytes = arena_bytes(t->pages);
	t->seen++;
	if (t->keep_every == 0 || (t->seen - 1) % t->keep_every != 0)
		return false;
	t->kept[t->kept_count++] = doc;
	return true;
}

/* `count` documents; every third needs the full reader. */
static void
write_documents(struct buf *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buf_printf(out,
		    "number: %u\n%s: some text\nlist: [a, b, {c: d}]\n---\n", i,
		    i % 3 == 2 ? "!!str text" : "text");
}

static bool
read_each(struct taker *t, struct str text)
{
	source.text = text;
	t->pages = arena_new();
	return doc_read_each(t->pages, &source, &diags, take, t);
}

START_TEST(each_document_is_given_in_order_and_forgotten)
{
	struct taker t = {0};
	struct buf text = {0};

	write_documents(&text, 5000);
	ck_assert_msg(read_each(&t, buf_str(&text)), "%s", messages());
	ck_assert_uint_eq(t.seen, 5000);
	ck_assert_uint_lt(t.most_bytes, 20000);
	arena_free(t.pages);
	buf_free(&text);
}
END_TEST

START_TEST(each_document_that_is_kept_stays_as_it_was)
{
	struct taker t = {.keep_every = 7};
	struct buf text = {0};

	write_documents(&text, 5000);
	ck_assert_msg(read_each(&t, buf_str(&text)), "%s", messages());
	ck_assert_uint_eq(t.kept_count, 715);
	for (unsigned i = 0; i < t.kept_count; i++) {
		const struct doc_node *doc = t.kept[i];

		ck_assert_int_eq(doc_get(doc, "number")->u.integer, 7 * i);
		ck_assert_str_eq(doc_get(doc, "text")->text.ptr, "some text");
		ck_assert_uint_eq(doc_get(doc, "list")->count, 3);
	}
	arena_free(t.pages);
	buf_free(&text);
}
END_TEST

START_TEST(each_document_before_a_mistake_is_given)
{
	struct taker t = {0};

	ck_assert(!read_each(&t, STR("{number: 0, text: some text}\n---\nnumber: 1\n"
				     "text: some text\n---\na: [\n---\nnumber: 2\n")));
	ck_assert_uint_eq(t.seen, 2);
	arena_free(t.pages);
}
END_TEST

START_TEST(each_value_of_json_is_given)
{
	struct taker t = {.keep_every = 1};

	ck_assert(read_each(&t, STR("{\"number\": 0, \"text\": \"some text\"}\n"
				    "{\"number\": 1, \"text\": \"some text\"}\n")));
	ck_assert_uint_eq(t.seen, 2);
	ck_assert_str_eq(doc_get(t.kept[0], "text")->text.ptr, "some text");
	arena_free(t.pages);
}
END_TEST

/* What began as JSON, and is YAML after all, must not be given twice. */
START_TEST(each_document_is_given_once_when_json_is_tried_first)
{
	struct taker t = {0};

	ck_assert(read_each(&t, STR("{number: 0, text: some text}\n")));
	ck_assert_uint_eq(t.seen, 1);
	arena_free(t.pages);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("doc_each");
	TCase *tc = tcase_create("doc_each");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_document_is_given_in_order_and_forgotten);
	tcase_add_test(tc, each_document_that_is_kept_stays_as_it_was);
	tcase_add_test(tc, each_document_before_a_mistake_is_given);
	tcase_add_test(tc, each_value_of_json_is_given);
	tcase_add_test(tc, each_document_is_given_once_when_json_is_tried_first);
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
