/*
 * What `diff` says of an element that should not be there: of every set something that is true of
 * it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/wire/blob.h"

#define FIRST                                                                          \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: first, namespace: /acme}\n"                                  \
	"spec: {node: n1, ips: [\"10.1.0.1\", \"fd00::1\"]}\n"

static struct settings_source source = {STR("/a"), STR(""), false};
static struct engine *engine;

static void
setup(void)
{
	struct source file = {STR("/a/first.yaml"), STR(FIRST)};
	const struct bundle bundle = {&file, 1};
	struct err err = ERR_INIT;
	int fd;

	engine = xcalloc(1, sizeof(*engine));
	engine->settings = (struct engine_settings){
	    .node = STR("n1"), .sources = &source, .source_count = 1};
	ck_assert_int_eq(bundle_seal(&bundle, &fd, &err), 0);
	engine->apply.current = program_make(&engine->settings, &fd, 1, NULL);
	(void)close(fd);
	ck_assert(engine->apply.current->ok);
}

static void
teardown(void)
{
	program_free(engine->apply.current);
	free(engine);
}

/* One that the set may have and the program has not. */
static struct table_element
strange(enum table_set_id set)
{
	struct table_element e = {
	    .class_id = 0x70000990, .addr = {10, 9, 9, 9}, .port_lo = 9, .value = 4242};

	for (size_t i = 0; i < TABLE_KEY_FIELDS; i++) {
		if (table_sets[set].key[i] == FIELD_IPV6)
			memcpy(e.addr, (const uint8_t[16]){0xfd, 9, [15] = 9}, 16);
		if (table_sets[set].key[i] == FIELD_IFNAME)
			memcpy(e.addr, "eth9", 5);
		if (table_sets[set].key[i] == FIELD_PROTO)
			e.proto = 6;
		if (table_sets[set].key[i] == FIELD_NFPROTO)
			e.proto = table_nfproto(IP_V4);
	}
	memcpy(e.addr_end, e.addr, 16);
	e.port_hi = 9;
	return e;
}

/* The answer of a kernel that has all that it should, and that element. */
static void
ask(enum table_set_id set, const struct table_element *extra, struct buf *out)
{
	struct arena *arena = arena_new();
	struct table_content content = engine_apply_desired(engine, arena);
	struct op_batch batch = {
	    .ops = ARENA_ARRAY(arena, SET_COUNT + content.rule_chain_count, struct op)};
	struct buf body = {0}, data = {0};
	struct err err = ERR_INIT;
	const uint8_t digest[32] = {0};
	struct proc_msg msg;
	int fd;

	for (int i = 0; i < SET_COUNT; i++) {
		const bool here = i == (int)set;
		size_t count = content.element_count[i] + here;
		struct table_element *all =
		    ARENA_ARRAY(arena, count, struct table_element);

		if (count == 0)
			continue;
		if (content.element_count[i] != 0)
			memcpy(all, content.elements[i], (count - here) * sizeof(*all));
		if (here) /* after whatever the program has there */
			all[count - 1] = *extra;
		batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
		    .set = (enum table_set_id)i,
		    .elements = all,
		    .element_count = count};
	}
	for (size_t i = 0; i < content.rule_chain_count; i++)
		batch.ops[batch.count++] = (struct op){
		    .kind = OP_CHAIN_DELETE, .chain = &content.rule_chains[i]};
	op_encode(&data, &batch);
	proc_put_u32(&body, 0);
	proc_put_u32(&body, 1);
	buf_add(&body, digest, sizeof(digest));
	ck_assert_int_eq(blob_put(&body, buf_str(&data), &fd, &err), 0);
	ck_assert_int_lt(fd, 0);
	proc_put_str(&body, STR(""));
	msg = (struct proc_msg){
	    .type = MSG_OBSERVED, .data = (const uint8_t *)body.data, .len = body.len};
	control_answer_diff(engine, &msg, out);
	buf_free(&body);
	buf_free(&data);
	arena_free(arena);
}

/* Sets whose elements lead to a rule of policy, or to a rule's chain. */
static bool
is_about_rules(enum table_set_id set)
{
	return (set >= SET_CELL4_IN && set <= SET_HOST6_OUT_ANY) ||
	       table_sets[set].value == FIELD_VERDICT;
}

static void
check_set(enum table_set_id set)
{
	const struct table_element e = strange(set);
	struct buf out = {0};

	ask(set, &e, &out);
	ck_assert_msg(strstr(out.data, "{\"count\":1,") == out.data, "%s", out.data);
	ck_assert_ptr_nonnull(strstr(out.data, table_sets[set].name));
	ck_assert_msg(
	    (strstr(out.data, ": no rule in force") != NULL) == is_about_rules(set),
	    "%s", out.data);
	if (set > SET_RULES)
		ck_assert_msg(
		    strstr(out.data, table_sets[set].comment) != NULL, "%s", out.data);
	for (size_t i = 0; i < TABLE_KEY_FIELDS; i++) {
		if (table_sets[set].key[i] == FIELD_IPV4)
			ck_assert_ptr_nonnull(strstr(out.data, "10.9.9.9"));
		if (table_sets[set].key[i] == FIELD_IPV6)
			ck_assert_ptr_nonnull(strstr(out.data, "fd09::9"));
	}
	buf_free(&out);
}

/* Nobody compares what is in those that are the kernel's to fill. */
START_TEST(diff_says_what_an_element_is_about)
{
	for (int set = 0; set < SET_COUNT; set++) {
		if (!table_set_is_kernels((enum table_set_id)set))
			check_set((enum table_set_id)set);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("control_diff");
	TCase *tc = tcase_create("diff");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, diff_says_what_an_element_is_about);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
