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

/* More words than there is room for on shelves, all of which come again and again. */
#define WORDS 2000

struct word_taker {
	unsigned seen;
	const struct doc_node *kept[WORDS];
	unsigned kept_count;
};

static bool
take_words(void *ctx, const struct doc_node *doc)
{
	struct word_taker *t = ctx;
	bool keep = t->seen++ % 4 == 0;

	if (keep)
		t->kept[t->kept_count++] = doc;
	return keep;
}

START_TEST(each_text_of_documents_that_are_kept_stays_as_it_was)
{
	struct word_taker t = {0};
	struct arena *pages = arena_new();
	struct buf text = {0};
	char word[64];

	for (unsigned i = 0; i < 3 * WORDS; i++)
		buf_printf(&text, "word: a-word-that-has-forty-characters-%05u\n---\n",
		    i % WORDS);
	source.text = buf_str(&text);
	ck_assert(doc_read_each(pages, &source, &diags, take_words, &t));
	ck_assert_uint_eq(t.kept_count, 3 * WORDS / 4);
	for (unsigned i = 0; i < t.kept_count; i++) {
		(void)snprintf(word, sizeof(word),
		    "a-word-that-has-forty-characters-%05u", 4 * i % WORDS);
		ck_assert_str_eq(t.kept[i]->u.entries[0].key->text.ptr, "word");
		ck_assert_str_eq(doc_get(t.kept[i], "word")->text.ptr, word);
	}
	arena_free(pages);
	buf_free(&text);
}
END_TEST

static bool
keep_last(void *ctx, const struct doc_node *doc)
{
	const struct doc_node **last = ctx;

	*last = doc;
	return doc->count > 1;
}

/* Where the first document had "word", the second has "wordy". */
START_TEST(each_text_is_forgotten_with_its_document)
{
	struct arena *pages = arena_new();
	const struct doc_node *last = NULL;

	source.text = STR("k: word\n---\nk: wordy\nl: word\n");
	ck_assert(doc_read_each(pages, &source, &diags, keep_last, &last));
	ck_assert_str_eq(doc_get(last, "k")->text.ptr, "wordy");
	ck_assert_str_eq(doc_get(last, "l")->text.ptr, "word");
	arena_free(pages);
}
END_TEST

/* What is remembered of a text is not what it stands for: quotes make a string of it. */
START_TEST(each_text_is_resolved_where_it_stands)
{
	static const enum doc_kind kinds[] = {DOC_STRING, DOC_BOOL, DOC_STRING,
	    DOC_BOOL, DOC_STRING, DOC_STRING, DOC_STRING, DOC_STRING, DOC_INT,
	    DOC_STRING};

	source.text = STR("a: \"yes\"\nb: yes\nc: 'yes'\nd: yes\ne: word\nf: \"word\"\n"
			  "g: word\nh: \"12\"\ni: 12\nj: \"12\"\n");
	ck_assert(doc_read(arena, &source, &diags, &docs));
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		ck_assert_int_eq(docs.docs[0]->u.entries[i].value->kind, kinds[i]);
}
END_TEST

START_TEST(each_number_that_json_lacks_is_reported)
{

	source.text = STR("a: .inf\nb: .inf\nc: \".inf\"\n");
	ck_assert(!doc_read(arena, &source, &diags, &docs));
	ck_assert_uint_eq(diags.errors, 2);
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

/* ---- items that are given one by one ---- */

struct item_taker {
	struct arena *pages;
	struct buf seen; /* names of items, then "." for the document */
	const struct doc_node *kept[8];
	unsigned kept_count;
	size_t most_bytes;
	char head[64];
};

static bool
is_list(void *ctx, const struct doc_head *head)
{
	struct item_taker *t = ctx;

	(void)snprintf(t->head, sizeof(t->head), "%s:%u:%u",
	    head->values[1].loc.line != 0 ? str_dup(arena, head->values[1].text).ptr
					  : "?",
	    head->values[1].loc.line, head->values[1].loc.col);
	return str_ends(head->values[1].text, STR("List"));
}

static bool
take_item(void *ctx, const struct doc_head *head, const struct doc_node *item)
{
	struct item_taker *t = ctx;
	const struct doc_node *name = doc_get(item, "name");
	bool keep = doc_get(item, "keep") != NULL;

	ck_assert(str_ends(head->values[1].text, STR("List")));
	if (name == NULL)
		buf_printf(&t->seen, "(%s)", doc_kind_name(item->kind));
	else
		buf_printf(&t->seen, "%.*s@%u:%u ", STR_ARG(name->text), name->loc.line,
		    name->loc.col);
	if (keep)
		t->kept[t->kept_count++] = item;
	if (arena_bytes(t->pages) > t->most_bytes)
		t->most_bytes = arena_bytes(t->pages);
	return keep;
}

static bool
take_rest(void *ctx, const struct doc_node *doc)
{
	struct item_taker *t = ctx;
	const struct doc_node *items = doc_get(doc, "items");

	buf_printf(&t->seen, "[%u]",
	    items != NULL && items->kind == DOC_LIST ? items->count : 99);
	return false;
}

static bool
read_items(struct item_taker *t, struct str text)
{
	const struct doc_stream stream = {.each = take_rest,
	    .head_keys = {"apiVersion", "kind"},
	    .items_key = "items",
	    .has_items = is_list,
	    .item = take_item,
	    .ctx = t};

	source.text = text;
	t->pages = arena_new();
	return doc_read_stream(t->pages, &source, &diags, &stream);
}

static const struct {
	const char *text, *seen;
	unsigned errors;
} lists[] = {
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\n- {name: b}\n", "a@4:9 b@5:10 [0]",
	0},
    /* What says that it is a list may stand behind it. */
    {"items:\n- name: a\nkind: PodList # yes\nmetadata:\n  x: y\napiVersion: v1\n",
	"a@2:9 [0]", 0},
    {"---\napiVersion: v1\nitems:\n  - name: a\nkind: List\n---\nkind: x\n",
	"a@4:11 [0][99]", 0},
    {"{\"items\": [{\"name\": \"a\"},\n{\"name\": \"b\"}], \"apiVersion\": \"v1\", "
     "\"kind\":\n\"List\"}\n{\"apiVersion\": \"v1\", \"kind\": \"List\", "
     "\"items\": [{\"name\": \"c\"}]}",
	"a@1:21 b@2:10 [0]c@4:57 [0]", 0},
    /* No list, or not surely. */
    {"apiVersion: v1\nkind: Pod\nitems:\n- name: a\n", "[1]", 0},
    {"kind: List\nitems:\n- name: a\n", "[1]", 0},
    {"apiVersion: v1\n\"kind\": List\nitems:\n- name: a\n", "[1]", 0},
    {"apiVersion: v1\nkind: List\nitems: &x\n- name: a\nagain: *x\n", "[1]", 0},
    {"{apiVersion: v1, kind: List, items: [{name: a}]}\n", "[1]", 0},
    {"apiVersion: v1\nkind: List\nmetadata:\n  items:\n  - name: a\n", "[99]", 0},
    {"apiVersion: v1\nkind: List\nitems:\n  name: a\n", "[99]", 0},
    /* Empty ones, and items of every kind. */
    {"apiVersion: v1\nkind: List\nitems: []\n", "[0]", 0},
    {"apiVersion: v1\nkind: List\nitems:\n", "[99]", 0},
    {"apiVersion: v1\nkind: List\nitems: [a, [b], {name: c}, ]\n",
	"(a string)(a list)c@3:24 [0]", 0},
    /* A list in a list is an item. */
    {"apiVersion: v1\nkind: List\nitems:\n- name: in\n  kind: List\n  items:\n  - "
     "name: a\n- name: b\n",
	"in@4:9 b@8:9 [0]", 0},
    /* The full reader goes on where the other gave up, and no item comes twice. */
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\n  y: 1\n- name: b\n  text: |\n"
     "    apiVersion: v2\n- name: c\n",
	"a@4:9 b@6:9 c@9:9 [0]", 0},
    {"apiVersion: v1\nkind: List\nitems:\n- &a {name: a}\n- *a\n- {<<: *a, x: y}\n",
	"a@4:13 a@4:13 a@4:13 [0]", 0},
    /* An item that goes on, where the plain reader would have ended it. */
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\n- name: b\n    c\n- d\n  e\n",
	"a@4:9 b c@5:9 (a string)[0]", 0},
    {"apiVersion: v1\nkind: List\nitems:\n- {name: a}: b\n- name: c\n",
	"(a map)c@5:9 [0]", 1},
    /* Mistakes: what stands before them was given; each is told once. */
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\n- name: [\n", "a@4:9 ", 1},
    {"apiVersion: v1\nkind: List\nitems:\n- {name: a, name: b}\n- name: c\n  d: |\n"
     "    x\n",
	"a@4:10 c@5:9 [0]", 1},
    {"apiVersion: v1\nm: {a: 1, a: 2}\nkind: List\nitems:\n- name: c\n- name: d\n"
     "  d: |\n    x\n",
	"c@5:9 d@6:9 [0]", 1},
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\nkind: Pod\n", "[1]", 1},
    {"apiVersion: v1\nkind: List\nitems:\n- name: a\nitems:\n- name: b\n", "a@4:9 [0]",
	1},
    {"apiVersion: v1\nkind: List\nitems: a\nitems:\n- name: b\n", "[99]", 1},
    /* A line of a text that looks like the document's own key. */
    {"apiVersion: v1\nt: \"\nkind: List\n \"\nitems:\n- name: a\n", "a@6:9 [0]", 1},
};

START_TEST(items_are_given_one_by_one_where_a_list_is_sure)
{
	struct item_taker t = {0};

	(void)read_items(&t, str_from(lists[_i].text));
	buf_add_cstr(&t.seen, "");
	ck_assert_msg(str_is(buf_str(&t.seen), lists[_i].seen), "%s: %.*s\n%s",
	    lists[_i].text, (int)t.seen.len, t.seen.data, messages());
	ck_assert_msg(
	    diags.errors == lists[_i].errors, "%s: %s", lists[_i].text, messages());
	buf_free(&t.seen);
	arena_free(t.pages);
}
END_TEST

START_TEST(head_of_a_list_has_its_place)
{
	struct item_taker t = {0};

	ck_assert(read_items(
	    &t, STR("# x\n---\napiVersion: v1\nitems:\n- name: a\nkind:  PodList\n")));
	ck_assert_str_eq(t.head, "PodList:6:8");
	buf_free(&t.seen);
	arena_free(t.pages);
	ck_assert(read_items(&t,
	    STR("{\"apiVersion\": \"v1\", \"items\": [],\n \"kind\": \"PodList\"}")));
	ck_assert_str_eq(t.head, "PodList:2:10");
	buf_free(&t.seen);
	arena_free(t.pages);
}
END_TEST

/* In plain YAML, in YAML that only the full reader knows, and in JSON. */
static const struct {
	const char *begin, *item, *end;
} long_lists[] = {
    {"apiVersion: v1\nitems:\n", "- name: a\n  labels: {a: b, c: [d, e]}\n",
	"kind: List\n"},
    {"apiVersion: v1\nitems:\n", "- name: a\n  text: |\n    x: y\n", "kind: List\n"},
    {"{\"apiVersion\":\"v1\",\"items\":[0\n", ",{\"name\":\"a\",\"l\":[1,2,3]}\n",
	"],\"kind\":\"List\"}\n"},
};

START_TEST(items_are_forgotten_when_not_kept)
{
	struct item_taker t = {0};
	struct buf text = {0};

	buf_add_cstr(&text, long_lists[_i].begin);
	for (unsigned i = 0; i < 20000; i++)
		buf_add_cstr(&text, long_lists[_i].item);
	buf_add_cstr(&text, long_lists[_i].end);
	ck_assert_msg(read_items(&t, buf_str(&text)), "%s", messages());
	ck_assert_uint_lt(t.most_bytes, 20000);
	ck_assert_uint_gt(t.seen.len, 20000 * 5);
	buf_free(&t.seen);
	buf_free(&text);
	arena_free(t.pages);
}
END_TEST

START_TEST(items_that_are_kept_stay_as_they_were)
{
	struct item_taker t = {0};

	ck_assert_msg(
	    read_items(
		&t, STR("apiVersion: v1\nkind: List\nitems:\n- {name: a, keep: 1}\n"
			"- name: b\n- {name: c, keep: 2}\n- name: d\n  t: |\n    x\n"
			"- {name: e, keep: 3}\n- name: f\n")),
	    "%s", messages());
	ck_assert_uint_eq(t.kept_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_str_eq(doc_get(t.kept[i], "name")->text.ptr,
		    ((const char *[]){"a", "c", "e"})[i]);
		ck_assert_int_eq(doc_get(t.kept[i], "keep")->u.integer, i + 1);
	}
	buf_free(&t.seen);
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
	tcase_add_test(tc, each_text_of_documents_that_are_kept_stays_as_it_was);
	tcase_add_test(tc, each_text_is_forgotten_with_its_document);
	tcase_add_test(tc, each_text_is_resolved_where_it_stands);
	tcase_add_test(tc, each_number_that_json_lacks_is_reported);
	tcase_add_test(tc, each_document_before_a_mistake_is_given);
	tcase_add_test(tc, each_value_of_json_is_given);
	tcase_add_test(tc, each_document_is_given_once_when_json_is_tried_first);
	tcase_add_loop_test(
	    tc, items_are_given_one_by_one_where_a_list_is_sure, 0, ARRAY_LEN(lists));
	tcase_add_test(tc, head_of_a_list_has_its_place);
	tcase_add_loop_test(
	    tc, items_are_forgotten_when_not_kept, 0, ARRAY_LEN(long_lists));
	tcase_add_test(tc, items_that_are_kept_stay_as_they_were);
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
