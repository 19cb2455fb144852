/*
 * What a cluster says, and what whoever follows has yet to be told.
 */
#include "enforcer/kube/kube_store.h"

#include <check.h>
#include <stdio.h>

#define NODES 1
#define PODS  2

static struct kube_store store;
static struct arena *arena;

static void
setup(void)
{
	kube_store_init(&store, STR("east"));
	arena = arena_new();
}

static void
teardown(void)
{
	kube_store_fini(&store);
	arena_free(arena);
}

static void
put_pod(enum kube_event event, const char *name, const char *text)
{
	const struct kube_object o = {.event = event,
	    .namespace = STR("shop"),
	    .name = str_from(name),
	    .text = str_from(text)};

	kube_store_put(&store, PODS, &o);
}

/* All that is told next, as text. */
static const char *
told(size_t most)
{
	struct buf out = {0};
	struct bundle changed;
	struct str *gone;
	const char *text;
	size_t count;

	kube_store_edit(&store, arena, most, 1000, &changed, &gone, &count);
	for (size_t i = 0; i < changed.count; i++)
		buf_printf(&out, "%.*s=%.*s ", STR_ARG(changed.sources[i].name),
		    STR_ARG(changed.sources[i].text));
	for (size_t i = 0; i < count; i++)
		buf_printf(&out, "-%.*s ", STR_ARG(gone[i]));
	text = arena_strndup(arena, out.data != NULL ? out.data : "", out.len);
	buf_free(&out);
	return text;
}

START_TEST(changes_are_told_once_and_as_they_are_then)
{
	put_pod(KUBE_ADDED, "a", "1");
	put_pod(KUBE_ADDED, "b", "1");
	put_pod(KUBE_MODIFIED, "a", "2");
	ck_assert_uint_eq(kube_store_changed(&store), 2);
	ck_assert_str_eq(told(1), "east/pods/shop/a=2 ");
	put_pod(KUBE_MODIFIED, "a", "2"); /* nothing new */
	put_pod(KUBE_DELETED, "b", "1");  /* nobody was told of it */
	put_pod(KUBE_DELETED, "c", "1");  /* nobody knew it */
	ck_assert_str_eq(told(9), "");
	put_pod(KUBE_ADDED, "b", "3");
	put_pod(KUBE_DELETED, "a", "");
	put_pod(KUBE_ADDED, "a", "2");
	ck_assert_str_eq(told(9), "east/pods/shop/b=3 east/pods/shop/a=2 ");
	ck_assert_str_eq(told(9), "");
	ck_assert_uint_eq(store.kinds[PODS].count, 2);
	ck_assert_uint_eq(store.kinds[PODS].bytes, 2);
}
END_TEST

START_TEST(what_a_list_leaves_out_is_gone)
{
	put_pod(KUBE_ADDED, "a", "1");
	put_pod(KUBE_ADDED, "b", "1");
	ck_assert_str_ne(told(9), "");
	kube_store_list_begin(&store, PODS);
	put_pod(KUBE_LISTED, "b", "1");
	put_pod(KUBE_LISTED, "c", "1");
	kube_store_list_end(&store, PODS);
	ck_assert_str_eq(told(9), "east/pods/shop/c=1 -east/pods/shop/a ");
	kube_store_clear(&store, NODES);
	ck_assert_str_eq(told(9), "");
	put_pod(KUBE_DELETED, "b", "");
	ck_assert_str_eq(told(9), "-east/pods/shop/b ");
	kube_store_clear(&store, PODS);
	ck_assert_str_eq(told(9), "-east/pods/shop/c ");
	ck_assert_uint_eq(store.kinds[PODS].count, 0);
}
END_TEST

START_TEST(whole_is_sorted_and_leaves_nothing_to_tell)
{
	const struct kube_object node = {
	    .event = KUBE_LISTED, .name = STR("n"), .text = STR("0")};
	const struct kube_object ended = {.event = KUBE_MODIFIED,
	    .namespace = STR("shop"),
	    .name = STR("a"),
	    .finished = true,
	    .text = STR("9")};
	struct kube_whole all;
	struct buf text = {0};

	put_pod(KUBE_ADDED, "b", "2");
	put_pod(KUBE_ADDED, "a", "1");
	kube_store_put(&store, NODES, &node);
	kube_store_put(&store, PODS, &ended);
	kube_store_whole(&store, arena, &all);
	ck_assert_uint_eq(all.names.count, 2);
	ck_assert(str_is(all.names.sources[0].name, "east/nodes/n"));
	ck_assert(str_is(all.names.sources[1].name, "east/pods/shop/b"));
	ck_assert(str_is(kube_store_text(all.entries[0], &text), "0"));
	ck_assert(str_is(kube_store_text(all.entries[1], &text), "2"));
	buf_free(&text);
	ck_assert_str_eq(told(9), "");
}
END_TEST

/* The queue goes round, whatever is taken when. */
START_TEST(many_changes_are_told_in_order)
{
	unsigned next = 0;
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		put_pod(KUBE_ADDED, name, "x");
		if (i % 3 != 0)
			continue;
		(void)snprintf(name, sizeof(name), "east/pods/shop/p%u=x ", next++);
		ck_assert_str_eq(told(1), name);
	}
	ck_assert_uint_eq(kube_store_changed(&store), 1000 - next);
}
END_TEST

/* Whoever follows hangs: what comes and goes meanwhile takes no room, however much it is. */
START_TEST(what_came_and_went_untold_leaves_nothing)
{
	char name[32];

	put_pod(KUBE_ADDED, "told", "1");
	ck_assert_str_ne(told(9), "");
	put_pod(KUBE_DELETED, "told", "");
	put_pod(KUBE_ADDED, "stays", "1");
	for (unsigned i = 0; i < 10000; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		put_pod(KUBE_ADDED, name, "x");
		put_pod(KUBE_MODIFIED, name, "xx");
		put_pod(KUBE_MODIFIED, "stays", i % 2 == 0 ? "2" : "3");
		if (i % 2 == 0) {
			put_pod(KUBE_DELETED, name, "");
		} else { /* a list does not have it */
			kube_store_list_begin(&store, PODS);
			put_pod(KUBE_LISTED, "stays", "4");
			kube_store_list_end(&store, PODS);
		}
	}
	ck_assert_uint_eq(kube_store_changed(&store), 2);
	ck_assert_uint_eq(store.kinds[PODS].by_name.len, 2);
	ck_assert_uint_le(store.changed_cap, 64);
	ck_assert_uint_eq(store.kinds[PODS].bytes, 1);
	ck_assert_str_eq(told(9), "east/pods/shop/stays=4 -east/pods/shop/told ");
	ck_assert_uint_eq(store.kinds[PODS].by_name.len, 1);
}
END_TEST

/* ---- what texts share ---- */

#define POD(name, ip, node, host, labels)                                              \
	"{\"metadata\":{\"name\":\"" name                                              \
	"\",\"namespace\":\"shop\",\"labels\":{" labels                                \
	"}},\"spec\":{\"nodeName\":\"" node                                            \
	"\",\"containers\":[{\"ports\":[{\"containerPort\":80}]}]},\"status\":{"       \
	"\"podIP\":\"" ip "\",\"podIPs\":[{\"ip\":\"" ip "\"}],\"hostIP\":\"" host     \
	"\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}"

static bool
put_object(void *arg, const struct kube_object *o)
{
	(void)arg;
	kube_store_put(&store, PODS, o);
	return true;
}

/* As a watch says it. */
static void
say(const char *type, const char *pod)
{
	struct kube_decode d;
	struct buf text = {0};

	/* The version is the server's. */
	buf_printf(&text,
	    "{\"type\":\"%s\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\",%s}"
	    "\n",
	    type, pod + strlen("{\"metadata\":{"));
	kube_decode_init(&d, &kube_kinds[PODS], true, put_object, NULL);
	ck_assert(kube_decode_feed(&d, text.data, text.len));
	kube_decode_free(&d);
	buf_free(&text);
}

static void
assert_text(const char *name, const char *pod)
{
	struct kube_whole all;
	struct buf text = {0}, wanted = {0};
	size_t i = 0;

	buf_printf(&wanted, "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",%s", pod + 1);
	kube_store_whole(&store, arena, &all);
	while (i < all.names.count && !str_is(all.names.sources[i].name, name))
		i++;
	ck_assert_uint_lt(i, all.names.count);
	ck_assert(str_eq(kube_store_text(all.entries[i], &text), buf_str(&wanted)));
	buf_free(&text);
	buf_free(&wanted);
}

START_TEST(pods_of_an_owner_share_all_but_what_is_their_own)
{
	const char *const a =
	    POD("a", "10.0.0.1", "n1", "192.168.0.1", "\"app\":\"web\"");
	const char *const b =
	    POD("b", "10.0.0.2", "n1", "192.168.0.1", "\"app\":\"web\"");
	const char *const c =
	    POD("c", "10.0.0.3", "n2", "192.168.0.2", "\"app\":\"web\"");
	const char *const d =
	    POD("d", "10.0.0.4", "n2", "192.168.0.2", "\"app\":\"db\"");
	size_t parts;

	say("ADDED", a);
	parts = store.texts.parts.len;
	say("ADDED", b);
	ck_assert_uint_eq(store.texts.parts.len, parts);
	say("ADDED", c);
	ck_assert_uint_eq(store.texts.parts.len, parts + 2); /* nodeName, hostIP */
	say("ADDED", d);
	ck_assert_uint_eq(store.texts.parts.len, parts + 3); /* labels */
	assert_text("east/pods/shop/a", a);
	assert_text("east/pods/shop/b", b);
	assert_text("east/pods/shop/c", c);
	assert_text("east/pods/shop/d", d);
	say("DELETED", c);
	say("MODIFIED", a); /* as it was */
	say("DELETED", a);
	assert_text("east/pods/shop/b", b);
	assert_text("east/pods/shop/d", d);
	say("DELETED", d);
	ck_assert_uint_eq(store.texts.parts.len, parts);
	say("DELETED", b);
	ck_assert_uint_eq(store.texts.parts.len, 0);
}
END_TEST

START_TEST(change_of_a_part_is_a_change)
{
	const char *const was =
	    POD("a", "10.0.0.1", "n1", "192.168.0.1", "\"app\":\"web\"");
	const char *const is =
	    POD("a", "10.0.0.1", "n1", "192.168.0.1", "\"app\":\"wob\"");
	size_t bytes;

	say("ADDED", was);
	bytes = store.kinds[PODS].bytes;
	ck_assert_str_ne(told(9), "");
	say("MODIFIED", was);
	ck_assert_str_eq(told(9), "");
	say("MODIFIED", is);
	ck_assert_ptr_nonnull(strstr(told(9), "\"app\":\"wob\""));
	ck_assert_uint_eq(store.kinds[PODS].bytes, bytes);
	assert_text("east/pods/shop/a", is);
}
END_TEST

/* What nobody has as well is not looked for among what is shared. */
START_TEST(text_without_cuts_is_its_own)
{
	put_pod(KUBE_ADDED, "a", "1");
	put_pod(KUBE_ADDED, "b", "1");
	ck_assert_uint_eq(store.texts.parts.len, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kube_store");
	TCase *tc = tcase_create("store");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, changes_are_told_once_and_as_they_are_then);
	tcase_add_test(tc, what_a_list_leaves_out_is_gone);
	tcase_add_test(tc, whole_is_sorted_and_leaves_nothing_to_tell);
	tcase_add_test(tc, many_changes_are_told_in_order);
	tcase_add_test(tc, what_came_and_went_untold_leaves_nothing);
	tcase_add_test(tc, pods_of_an_owner_share_all_but_what_is_their_own);
	tcase_add_test(tc, change_of_a_part_is_a_change);
	tcase_add_test(tc, text_without_cuts_is_its_own);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
