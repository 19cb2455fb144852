/* Pods that come by edits of single sources: what is kept of them, and how much. */
#include <check.h>
#include <string.h>

#include "policy-lang/live/live.h"

#define MOST_BYTES 640 /* of one pod; its document is read into some thousand */

/* Of an owner, on a node: what pods have in common. */
#define POD_OF(name, ip, owner, label, node, host)                                     \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name ", namespace: k, "        \
	"labels: {app: " label ", tier: web, release: stable, track: blue}, "          \
	"ownerReferences: [{kind: ReplicaSet, name: " owner                            \
	"}]}, spec: {nodeName: " node                                                  \
	", serviceAccountName: robot, containers: [{name: c, ports: "                  \
	"[{name: http, containerPort: 8080}, {name: probes, containerPort: 8081}]}]}," \
	" status: {podIP: " ip ", hostIP: " host "}}\n"
#define POD(name, ip) POD_OF(name, ip, "web-1", "shop", "n1", "192.168.0.1")
#define NODE          "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"

static struct arena *arena;
static struct diag_list diags;
static struct live *live;

static void
setup(void)
{
	struct bundle *bundle;

	arena = arena_new();
	diag_list_init(&diags, arena);
	bundle = ARENA_NEW(arena, struct bundle);
	bundle->sources = ARENA_ARRAY(arena, 2, struct source);
	bundle->count = 2;
	bundle->sources[0] =
	    (struct source){STR("c/pods/k/a"), str_from(POD("a", "10.0.0.1"))};
	bundle->sources[1] = (struct source){STR("mixed"),
	    str_from(POD_OF("m", "10.0.0.9", "web-9", "m", "n1", "192.168.0.1") NODE)};
	live = live_load(arena, bundle, NULL, NULL, &diags);
	ck_assert_ptr_nonnull(live);
	live_keep_texts(live);
}

static void
teardown(void)
{
	live_free(live);
	arena_free(arena);
}

/* Reads and commits, and frees all that an edit does not leave behind. */
static void
edit(const char *name, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;
	const struct str none = {NULL, 0};

	ck_assert_int_eq(
	    live_read(e, str_from(name), text != NULL ? str_from(text) : none, &diags),
	    LIVE_READ);
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	live_edit_free(e);
	live_sweep(live);
}

static const struct workload *
pod(const char *name)
{
	const struct model *m = live_model(live);

	for (size_t i = 0; i < m->workload_count; i++) {
		if (str_is(m->workloads[i]->name, name))
			return m->workloads[i];
	}
	return NULL;
}

static void
assert_pod(const struct workload *w, const char *source, const char *ip,
    const char *app, const char *node)
{
	struct ip_addr addr;

	ck_assert_ptr_nonnull(w);
	ck_assert(str_is(w->loc.source->name, source));
	ck_assert(ip_parse(str_from(ip), &addr));
	ck_assert_uint_eq(w->ip_count, 1);
	ck_assert(ip_eq(&w->ips[0], &addr));
	ck_assert_ptr_eq(model_workload_at(live_model(live), &addr), w);
	ck_assert_uint_eq(w->shape->labels.count, 4);
	ck_assert(str_is(w->shape->labels.items[0].value, app)); /* sorted by key */
	ck_assert(str_is(w->shape->service_account, "robot"));
	ck_assert_uint_eq(w->shape->port_count, 2);
	ck_assert(str_is(w->shape->ports[1].name, "probes"));
	ck_assert_uint_eq(w->shape->ports[1].port, 8081);
	ck_assert(str_is(w->where->node, node));
	ck_assert_uint_eq(w->where->told->count, 1);
}

START_TEST(pod_of_a_known_owner_takes_little)
{
	edit("c/pods/k/b", POD("b", "10.0.0.2"));
	assert_pod(pod("b"), "c/pods/k/b", "10.0.0.2", "shop", "n1");
	ck_assert_ptr_eq(pod("b")->shape, pod("a")->shape);
	ck_assert_ptr_eq(pod("b")->where, pod("a")->where);
	ck_assert_uint_le(live_edited_bytes(live), MOST_BYTES);
}
END_TEST

START_TEST(pod_of_a_new_owner_has_all_of_its_own)
{
	edit("c/pods/k/b",
	    POD_OF("b", "10.0.0.2", "web-2", "shop", "n2", "192.168.0.2"));
	edit("c/pods/k/d",
	    POD_OF("d", "10.0.0.3", "web-2", "shop", "n2", "192.168.0.2"));
	edit("c/pods/k/b", NULL); /* of which the other must have nothing */
	assert_pod(pod("d"), "c/pods/k/d", "10.0.0.3", "shop", "n2");
	ck_assert(str_is(pod("d")->shape->display, "k/web-2[ReplicaSet]"));
}
END_TEST

START_TEST(pod_that_differs_in_one_thing_shares_no_more)
{
	edit("c/pods/k/b",
	    POD_OF("b", "10.0.0.2", "web-1", "bank", "n1", "192.168.0.1"));
	edit("c/pods/k/d",
	    POD_OF("d", "10.0.0.3", "web-1", "shop", "n1", "192.168.0.7"));
	assert_pod(pod("b"), "c/pods/k/b", "10.0.0.2", "bank", "n1");
	ck_assert_ptr_eq(pod("b")->where, pod("a")->where);
	assert_pod(pod("d"), "c/pods/k/d", "10.0.0.3", "shop", "n1");
	ck_assert_ptr_eq(pod("d")->shape, pod("a")->shape);
	ck_assert_ptr_ne(pod("d")->where, pod("a")->where);
}
END_TEST

START_TEST(pod_lasts_when_those_of_its_owner_are_gone)
{
	edit("c/pods/k/b", POD("b", "10.0.0.2"));
	edit("c/pods/k/a", NULL);
	edit("c/pods/k/b", POD("b", "10.0.0.3"));
	assert_pod(pod("b"), "c/pods/k/b", "10.0.0.3", "shop", "n1");
	ck_assert_ptr_null(pod("a"));
}
END_TEST

START_TEST(edits_of_one_pod_take_no_more_than_the_last)
{
	size_t once;

	edit("c/pods/k/b", POD("b", "10.0.0.2"));
	once = live_edited_bytes(live);
	for (int i = 0; i < 100; i++)
		edit("c/pods/k/b", POD("b", "10.0.0.3"));
	ck_assert_uint_eq(live_edited_bytes(live), once);
	edit("c/pods/k/b", NULL);
	ck_assert_uint_eq(live_edited_bytes(live), 0);
}
END_TEST

/* What goes on of a file that came to be wrong is all of it. */
START_TEST(file_of_a_pod_and_a_node_is_kept_as_its_text)
{
	struct load_kept kept;

	ck_assert(live_kept(live, STR("mixed"), &kept));
	ck_assert_uint_eq(kept.pod_count, 0);
	ck_assert(str_find(kept.text, 'N', 0) < kept.text.len);
	ck_assert(live_kept(live, STR("c/pods/k/a"), &kept));
	ck_assert_uint_eq(kept.pod_count, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("live_pods");
	TCase *tc = tcase_create("pods");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pod_of_a_known_owner_takes_little);
	tcase_add_test(tc, pod_of_a_new_owner_has_all_of_its_own);
	tcase_add_test(tc, pod_that_differs_in_one_thing_shares_no_more);
	tcase_add_test(tc, pod_lasts_when_those_of_its_owner_are_gone);
	tcase_add_test(tc, edits_of_one_pod_take_no_more_than_the_last);
	tcase_add_test(tc, file_of_a_pod_and_a_node_is_kept_as_its_text);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
