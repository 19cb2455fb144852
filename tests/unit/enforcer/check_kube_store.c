/*
 * What a cluster says, and what whoever follows has yet to be told.
 */
#include "enforcer/kube_store.h"

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
	struct bundle all;

	put_pod(KUBE_ADDED, "b", "2");
	put_pod(KUBE_ADDED, "a", "1");
	kube_store_put(&store, NODES, &node);
	kube_store_put(&store, PODS, &ended);
	kube_store_whole(&store, arena, &all);
	ck_assert_uint_eq(all.count, 2);
	ck_assert(str_is(all.sources[0].name, "east/nodes/n"));
	ck_assert(str_is(all.sources[1].name, "east/pods/shop/b"));
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
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
