/*
 * The filter of lists and watches. Namespaces `mine` and `ours` may be seen, and no object
 * outside of namespaces; tokens are sealed as S(...).
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/list_filter.h"

static bool
shows(void *arg, const struct list_item *item)
{
	(void)arg;
	return str_is(item->namespace, "mine") || str_is(item->namespace, "ours");
}

static bool
seal(void *arg, struct str token, struct buf *out)
{
	(void)arg;
	buf_printf(out, "S(%.*s)", STR_ARG(token));
	return !str_is(token, "unsealable");
}

static const struct list_filter_ops ops = {.shows = shows, .seal = seal};

/* What comes out, and "!" behind it if the filter fails or is not complete. */
static void
run(enum list_filter_mode mode, const char *text, size_t len, size_t step,
    struct buf *out)
{
	struct list_filter f;
	bool ok = true;

	list_filter_init(&f, mode, &ops, NULL);
	for (size_t at = 0; at < len && ok; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *copy = malloc(n);

		memcpy(copy, text + at, n);
		ok = list_filter_feed(&f, copy, n, out);
		free(copy);
	}
	if (!ok || !list_filter_complete(&f))
		buf_add_char(out, '!');
	list_filter_fini(&f);
}

#define MINE "{\"metadata\":{\"name\":\"a\",\"namespace\":\"mine\"}}"
#define OURS                                                                           \
	"{\"metadata\":{\"namespace\":\"ours\",\"name\":\"b\"},\"spec\":{\"x\":[1,{}]" \
	"}}"
#define THEIRS "{\"metadata\":{\"name\":\"c\",\"namespace\":\"theirs\"},\"spec\":{}}"
#define HEAD                                                                           \
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{"                   \
	"\"resourceVersion\":\"7\"},"
#define LIST(items) HEAD "\"items\":[" items "]}"

static const struct {
	const char *in, *out; /* out NULL: the same as in */
} lists[] = {
    {LIST(""), NULL},
    {LIST(MINE), NULL},
    {LIST(MINE "," OURS), NULL},
    {LIST(THEIRS), LIST("")},
    {LIST(THEIRS "," MINE), LIST(MINE)},
    {LIST(MINE "," THEIRS), LIST(MINE)},
    {LIST(MINE "," THEIRS "," THEIRS "," OURS), LIST(MINE "," OURS)},
    {LIST(" \n" THEIRS " , " MINE " "), LIST(MINE)},
    {HEAD "\"items\":null}\n", NULL},
    /* what an item cannot make itself out to be */
    {LIST("{\"metadata\":{\"labels\":{\"namespace\":\"mine\"},\"namespace\":\"theirs\"}"
	  "}"),
	LIST("")},
    {LIST("{\"spec\":{\"metadata\":{\"namespace\":\"mine\"}},"
	  "\"metadata\":{\"namespace\":\"theirs\"}}"),
	LIST("")},
    {LIST("{\"namespace\":\"mine\",\"metadata\":{\"namespace\":\"theirs\"}}"),
	LIST("")},
    {LIST("{\"object\":{\"metadata\":{\"namespace\":\"mine\"}}}"), LIST("")},
    {LIST("{\"metadata\":{\"name\":\"x\"}}"), LIST("")},
    {LIST("{\"metadata\":{}}"), LIST("")},
    {LIST("{\"metadata\":null}"), LIST("")},
    {LIST("{\"metadata\":\"mine\"}"), LIST("")},
    {LIST("{\"metadata\":[{\"namespace\":\"mine\"}]}"), LIST("")},
    {LIST("{}"), LIST("")},
    {LIST("1,\"mine\",null,[" MINE "]"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":[\"mine\"]}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":{\"namespace\":\"mine\"}}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":1}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":null}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"MINE\"}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"mine/x\"}}"), LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"mine\\u0000\"}}"), LIST("")},
    /* duplicate keys: readers differ in which one counts */
    {LIST("{\"metadata\":{\"namespace\":\"mine\"},\"metadata\":{\"namespace\":"
	  "\"theirs\"}}"),
	LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"theirs\"},\"metadata\":{\"namespace\":"
	  "\"mine\"}}"),
	LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"mine\",\"namespace\":\"theirs\"}}"),
	LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"theirs\",\"namespace\":\"mine\"}}"),
	LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"mine\",\"n\\u0061mespace\":\"theirs\"}}"),
	LIST("")},
    {LIST("{\"metadata\":{\"namespace\":\"mine\"},\"m\\u0065tadata\":{}}"), LIST("")},
    /* escapes are the same name */
    {LIST("{\"metadata\":{\"n\\u0061mespace\":\"m\\u0069ne\"}}"), NULL},
    /* tables */
    {"{\"kind\":\"Table\",\"metadata\":{\"resourceVersion\":\"7\"},"
     "\"columnDefinitions\":"
     "[{\"name\":\"N\"}],\"rows\":[{\"cells\":[\"a\"],\"object\":" MINE "},"
     "{\"cells\":[\"c\"],\"object\":" THEIRS "},{\"cells\":[\"d\"],\"object\":null},"
     "{\"cells\":[\"e\"]},{\"cells\":[],\"metadata\":{\"namespace\":\"mine\"}},"
     "{\"object\":" MINE ",\"object\":" THEIRS "},"
     "{\"object\":" OURS "}]}",
	"{\"kind\":\"Table\",\"metadata\":{\"resourceVersion\":\"7\"},"
	"\"columnDefinitions\":"
	"[{\"name\":\"N\"}],\"rows\":[{\"cells\":[\"a\"],\"object\":" MINE "},"
	"{\"object\":" OURS "}]}"},
    /* metadata of the list */
    {"{\"metadata\":{\"remainingItemCount\":12,\"continue\":\"tok\",\"selfLink\":\"/"
     "x\","
     "\"resourceVersion\":\"9\",\"annotations\":{\"a\":\"b\"}},\"items\":[]}",
	"{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"S(tok)\"},\"items\":[]"
	"}"},
    {"{\"metadata\":{\"continue\":\"\"},\"items\":[]}",
	"{\"metadata\":{},\"items\":[]}"},
    {"{\"items\":[" THEIRS "],\"metadata\":{}}", "{\"items\":[],\"metadata\":{}}"},
    {"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"tok\"},"
     "\"status\":\"Failure\",\"message\":\"m\",\"reason\":\"Expired\",\"details\":{},"
     "\"code\":410}\n",
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"S(tok)"
	"\"},"
	"\"status\":\"Failure\",\"message\":\"m\",\"reason\":\"Expired\",\"details\":{}"
	","
	"\"code\":410}\n"},
};

START_TEST(list_keeps_what_may_be_seen)
{
	const char *want = lists[_i].out != NULL ? lists[_i].out : lists[_i].in;

	for (size_t step = 1; step <= 1024; step *= 2) {
		struct buf out = {NULL, 0, 0};

		run(LIST_FILTER_LIST, lists[_i].in, strlen(lists[_i].in), step, &out);
		ck_assert_str_eq(out.data, want);
		buf_free(&out);
	}
}
END_TEST

/* Answers that must end visibly, and what of them must never have come out. */
static const char *const unfilterable[] = {
    "",
    "[" THEIRS "]",
    "{\"items\":[" THEIRS "]",
    "{\"items\":[]}{\"items\":[" THEIRS "]}",
    "{\"metadata\":{},\"others\":[" THEIRS "]}",
    "{\"metadata\":{},\"Items\":[" THEIRS "]}",
    "{\"items\":{\"a\":" THEIRS "}}",
    "{\"items\":\"theirs\"}",
    "{\"rows\":{\"a\":" THEIRS "}}",
    "{\"metadata\":[\"theirs\"],\"items\":[]}",
    "{\"metadata\":\"theirs\"}",
    "{\"metadata\":{\"continue\":[\"theirs\"]}}",
    "{\"metadata\":{\"continue\":\"unsealable\"}}",
    "{\"metadata\":{},\"metadata\":{\"theirs\":1}}",
    "{\"items\":[],\"items\":[" THEIRS "]}",
    "{\"items\":[" THEIRS ",]}",
    "{\"items\":[{\"metadata\":{\"namespace\":\"mine\"},\"x\":theirs}]}",
};

START_TEST(what_cannot_be_read_does_not_pass)
{
	const char *text = unfilterable[_i];

	for (size_t step = 1; step <= 256; step *= 4) {
		struct buf out = {NULL, 0, 0};

		run(LIST_FILTER_LIST, text, strlen(text), step, &out);
		ck_assert_msg(
		    str_ends(buf_str(&out), STR("!")), "%s: %s", text, out.data);
		ck_assert_msg(
		    strstr(out.data, "theirs") == NULL, "%s: %s", text, out.data);
		buf_free(&out);
	}
}
END_TEST

#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define TABLE(rows)                                                                    \
	"{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"          \
	"{\"resourceVersion\":\"5\"},\"columnDefinitions\":[],\"rows\":[" rows "]}"
#define GONE "{\"kind\":\"Status\",\"metadata\":{},\"code\":410}"

static const struct {
	const char *in, *out;
} events[] = {
    {EVENT("ADDED", MINE), NULL},
    {EVENT("MODIFIED", OURS), NULL},
    {EVENT("DELETED", MINE), NULL},
    {EVENT("ADDED", THEIRS) EVENT("ADDED", MINE) EVENT("DELETED", THEIRS),
	EVENT("ADDED", MINE)},
    {"\n  {\"object\":" MINE ",\"type\":\"ADDED\"}  \n",
	"{\"object\":" MINE ",\"type\":\"ADDED\"}\n"},
    {EVENT("ERROR", GONE), NULL},
    {EVENT("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\","
		       "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}"),
	NULL},
    {EVENT(
	 "BOOKMARK", TABLE("{\"cells\":[],\"object\":{\"metadata\":{\"name\":\"\"}}}")),
	NULL},
    {EVENT("BOOKMARK", THEIRS), ""},
    {EVENT("BOOKMARK", TABLE("{\"cells\":[],\"object\":" THEIRS "}")), ""},
    {EVENT("ADDED", TABLE("{\"cells\":[],\"object\":" MINE "}")), NULL},
    {EVENT("ADDED", TABLE("{\"cells\":[],\"object\":" THEIRS "}")), ""},
    {EVENT("ADDED", TABLE("{\"object\":" MINE "},{\"object\":" THEIRS "}")), ""},
    {EVENT("ADDED", TABLE("")), ""},
    {EVENT("ADDED", TABLE("{\"cells\":[]}")), ""},
    /* an object that looks like a table is an object */
    {EVENT("ADDED",
	 "{\"kind\":\"Table\",\"apiVersion\":\"shop.example/v1\",\"metadata\":"
	 "{\"namespace\":\"theirs\"},\"rows\":[{\"object\":" MINE "}]}"),
	""},
    {EVENT("ADDED",
	 "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"
	 "{\"namespace\":\"theirs\"},\"rows\":[{\"object\":" MINE "}]}"),
	""},
    {EVENT("ADDED", "{\"metadata\":{\"namespace\":\"mine\"},\"rows\":{\"a\":1}}"),
	NULL},
    {EVENT("ADDED", "{\"metadata\":{\"name\":\"x\"}}"), ""},
    {EVENT("ADDED", "null"), ""},
    {EVENT("added", MINE), ""},
    {EVENT("", MINE), ""},
    {"{\"object\":" MINE "}\n", ""},
    {"{\"type\":\"ADDED\",\"type\":\"ERROR\",\"object\":" MINE "}\n", "!"},
    {"{\"type\":\"ADDED\",\"type\":\"MODIFIED\",\"object\":" MINE "}\n", ""},
    {"{\"type\":\"ADDED\",\"object\":" MINE ",\"object\":" THEIRS "}\n", ""},
    {"{\"type\":\"ADDED\",\"object\":" THEIRS ",\"object\":" MINE "}\n", ""},
    /* an error must arrive, or the answer must end */
    {EVENT("ERROR", THEIRS), "!"},
    {EVENT("ERROR", "{\"kind\":\"Status\",\"metadata\":{\"continue\":\"tok\"}}"), "!"},
    {EVENT("ADDED", MINE) "{\"type\":", EVENT("ADDED", MINE) "!"},
    {EVENT("ADDED", MINE) "x", EVENT("ADDED", MINE) "!"},
};

START_TEST(watch_keeps_what_may_be_seen)
{
	const char *want = events[_i].out != NULL ? events[_i].out : events[_i].in;

	for (size_t step = 1; step <= 1024; step *= 2) {
		struct buf out = {NULL, 0, 0};

		buf_add_cstr(&out, "");
		run(LIST_FILTER_WATCH, events[_i].in, strlen(events[_i].in), step,
		    &out);
		ck_assert_str_eq(out.data, want);
		buf_free(&out);
	}
}
END_TEST

/* ---- against a filter over the whole tree ---- */

static json_t *
random_value(int depth)
{
	static const char *const texts[] = {
	    "mine", "theirs", "namespace", "\xc3\xa9\"\\/\n", ""};
	json_t *v;

	switch (rand() % (depth > 3 ? 3 : 5)) {
	case 0:
		return json_string(texts[(size_t)rand() % ARRAY_LEN(texts)]);
	case 1:
		return json_integer(rand() - RAND_MAX / 2);
	case 2:
		return rand() % 2 ? json_null() : json_true();
	case 3:
		v = json_array();
		for (int i = rand() % 4; i > 0; i--)
			json_array_append_new(v, random_value(depth + 1));
		return v;
	default:
		v = json_object();
		for (int i = rand() % 4; i > 0; i--)
			json_object_set_new(v,
			    rand() % 3 == 0   ? "metadata"
			    : rand() % 2 == 0 ? "namespace"
					      : "x",
			    random_value(depth + 1));
		return v;
	}
}

static json_t *
random_item(void)
{
	static const char *const namespaces[] = {"mine", "ours", "theirs", "min", ""};
	json_t *item = json_object(), *meta = json_object();

	if (rand() % 2)
		json_object_set_new(item, "spec", random_value(0));
	if (rand() % 2)
		json_object_set_new(meta, "labels", random_value(0));
	if (rand() % 8)
		json_object_set_new(meta, "namespace",
		    json_string(namespaces[(size_t)rand() % ARRAY_LEN(namespaces)]));
	json_object_set_new(meta, "annotations", random_value(0));
	json_object_set_new(item, "metadata", meta);
	json_object_set_new(item, "status", random_value(0));
	return item;
}

static bool
tree_shows(const json_t *item)
{
	const char *ns = json_string_value(
	    json_object_get(json_object_get(item, "metadata"), "namespace"));

	return ns != NULL && (strcmp(ns, "mine") == 0 || strcmp(ns, "ours") == 0);
}

START_TEST(list_equals_the_list_of_shown_items)
{
	const char *seed_text = getenv("RINGFENCE_SEED");
	unsigned seed = seed_text != NULL ? (unsigned)atoi(seed_text) : 1;

	srand(seed);
	for (int i = 0; i < 3000; i++) {
		json_t *all = json_array(), *some = json_array(), *list, *got;
		struct buf out = {NULL, 0, 0};
		char *text;

		for (int n = rand() % 6; n > 0; n--) {
			json_t *item = random_item();

			json_array_append(all, item);
			if (tree_shows(item))
				json_array_append(some, item);
			json_decref(item);
		}
		list = json_pack("{s:s,s:{s:s},s:o}", "kind", "PodList", "metadata",
		    "resourceVersion", "5", "items", all);
		text = json_dumps(list, rand() % 2 ? JSON_INDENT(2) : JSON_COMPACT);
		run(LIST_FILTER_LIST, text, strlen(text), 1 + (size_t)rand() % 200,
		    &out);
		got = json_loads(out.data, 0, NULL);
		ck_assert_msg(
		    got != NULL && json_equal(json_object_get(got, "items"), some),
		    "seed %u round %d: %s -> %s", seed, i, text, out.data);
		json_decref(got);
		json_decref(list);
		json_decref(some);
		free(text);
		buf_free(&out);
	}
}
END_TEST

/* ---- memory ---- */

static void
feed_spaces(struct list_filter *f, size_t bytes, bool *ok, struct buf *out)
{
	char piece[4096];

	memset(piece, ' ', sizeof(piece));
	for (size_t sent = 0; sent < bytes && *ok; sent += sizeof(piece))
		*ok = list_filter_feed(f, piece, sizeof(piece), out);
}

START_TEST(huge_items_are_bounded)
{
	static const char hidden[] =
	    "{\"items\":[{\"metadata\":{\"namespace\":\"theirs\"},";
	static const char late[] = "{\"items\":[{";
	struct list_filter f;
	struct buf out = {NULL, 0, 0};
	bool ok;

	/* Known to be hidden: nothing of it is kept, whatever its size. */
	list_filter_init(&f, LIST_FILTER_LIST, &ops, NULL);
	ok = list_filter_feed(&f, hidden, sizeof(hidden) - 1, &out);
	feed_spaces(&f, 3 * LIST_ITEM_BYTES, &ok, &out);
	ck_assert(ok);
	ck_assert_uint_eq(f.hold.len, 0);
	ck_assert(list_filter_feed(&f, "\"a\":1}]}", 8, &out));
	ck_assert(list_filter_complete(&f));
	list_filter_fini(&f);
	/* Not known: it fails at the limit. */
	list_filter_init(&f, LIST_FILTER_LIST, &ops, NULL);
	ok = list_filter_feed(&f, late, sizeof(late) - 1, &out);
	feed_spaces(&f, 2 * LIST_ITEM_BYTES, &ok, &out);
	ck_assert(!ok);
	ck_assert_uint_le(f.hold.len, LIST_ITEM_BYTES);
	list_filter_fini(&f);
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("list_filter");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, list_keeps_what_may_be_seen, 0, ARRAY_LEN(lists));
	tcase_add_loop_test(
	    tc, what_cannot_be_read_does_not_pass, 0, ARRAY_LEN(unfilterable));
	tcase_add_loop_test(tc, watch_keeps_what_may_be_seen, 0, ARRAY_LEN(events));
	tcase_add_test(tc, list_equals_the_list_of_shown_items);
	tcase_add_test(tc, huge_items_are_bounded);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
