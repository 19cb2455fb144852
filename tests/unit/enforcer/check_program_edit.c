/*
 * A program that follows edits of single files, against one that is made from scratch of the
 * same files; and the plan of what an edit changes against the one that is made of the two
 * whole contents.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "enforcer/engine/plan_delta.h"
#include "enforcer/engine/program.h"
#include "policy-lang/compile/compile_state.h"

#define FILES 15
#define EDITS 400

static struct settings_source source = {STR("/a"), STR(""), false};
static struct ip_prefix networks[] = {{{IP_V4, {10, 1}}, 16}};
static struct engine_settings settings;
static struct arena *arena;
static struct program *program;
static char texts[FILES][1024]; /* "": the file is not there */
static char names[FILES][32];
static unsigned long long dice;

static unsigned
roll(unsigned below)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(dice >> 33) % below;
}

/* The first two are this node's, or one of them is; the last but one and two are policies; the last is a
 * policy that names a port, whose coming and going changes whom rules mean by it. */
static void
write_file(size_t i)
{
	static const char *const apps[] = {"a", "b", "c"};

	if (i == FILES - 1) {
		(void)snprintf(texts[i], sizeof(texts[i]), "%s",
		    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
		    "metadata: {name: named, namespace: /acme}\n"
		    "spec: {default: {egress: [{action: allow, ports: [metrics]}]}}\n");
		return;
	}
	if (i >= FILES - 3) {
		(void)snprintf(texts[i], sizeof(texts[i]),
		    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
		    "metadata: {name: p%zu, namespace: /acme}\nspec:\n"
		    "  workloads: {matchLabels: {app: %s}}\n"
		    "%s"
		    "  allow:\n    ingress:\n"
		    "      - {from: [{workloads: {matchLabels: {app: %s}}}], "
		    "ports: [%u/tcp, 100-%u/udp]}\n"
		    "      - {from: [{cidr: 10.1.0.%u/30}]}\n",
		    i, i % 2 == 0 ? "a" : "remote",
		    roll(4) == 0 ? "  enforcement: audit\n" : "", apps[roll(3)],
		    80 + roll(3), 200 + roll(300), 4 * roll(8));
		return;
	}
	(void)snprintf(texts[i], sizeof(texts[i]),
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
	    "metadata: {name: w%zu, namespace: /acme, labels: {app: %s}}\n"
	    "spec: {node: %s, ips: [10.1.0.%u]}\n",
	    i, i < 2 ? apps[roll(2)] : apps[roll(3)], i < 2 ? "n1" : "n2",
	    i < 2 ? (unsigned)i + 1 : 3 + roll(20));
}

static void
setup(void)
{
	const char *seed = getenv("RINGFENCE_SEED");

	dice = seed != NULL ? strtoull(seed, NULL, 10) : (unsigned long long)time(NULL);
	printf("RINGFENCE_SEED=%llu\n", dice);
	settings = (struct engine_settings){
	    .node = STR("n1"),
	    .flow_group = 100,
	    .sources = &source,
	    .source_count = 1,
	    .workload_networks = networks,
	    .workload_network_count = 1,
	};
	arena = arena_new();
	for (size_t i = 0; i < FILES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "/a/%02zu.yaml", i);
		write_file(i);
	}
}

static void
teardown(void)
{
	program_free(program);
	program = NULL;
	arena_free(arena);
}

static struct program *
make(void)
{
	struct source files[FILES];
	struct bundle bundle = {files, 0};
	struct err err = ERR_INIT;
	struct program *p;
	int fd;

	for (size_t i = 0; i < FILES; i++) {
		if (texts[i][0] != '\0')
			files[bundle.count++] =
			    (struct source){str_from(names[i]), str_from(texts[i])};
	}
	ck_assert_int_eq(bundle_seal(&bundle, &fd, &err), 0);
	p = program_make(&settings, &fd, 1, NULL);
	close(fd);
	ck_assert(p->ok);
	return p;
}

static struct table_content
content_of(const struct program *p)
{
	struct table_content content;

	program_content(p, arena, MIDSTREAM_RESET, &content);
	return content;
}

static void
same_elements(const struct table_content *a, const struct table_content *b)
{
	for (size_t set = 0; set < SET_COUNT; set++) {
		ck_assert_uint_eq(a->element_count[set], b->element_count[set]);
		for (size_t i = 0; i < a->element_count[set]; i++)
			ck_assert(table_element_equal(
			    &a->elements[set][i], &b->elements[set][i]));
	}
	ck_assert_uint_eq(a->rule_chain_count, b->rule_chain_count);
	for (size_t i = 0; i < a->rule_chain_count; i++)
		ck_assert_uint_eq(a->rule_chains[i].number, b->rule_chains[i].number);
}

/* Nor do the chains read otherwise. */
static void
same_content(const struct table_content *a, const struct table_content *b)
{
	struct op_batch difference;

	plan_make(arena, a, b, &difference);
	ck_assert_uint_eq(difference.count, 0);
	same_elements(a, b);
}

static void
same_operations(const struct op_batch *a, const struct op_batch *b)
{
	ck_assert_uint_eq(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		const struct op *x = &a->ops[i], *y = &b->ops[i];

		ck_assert_int_eq(x->kind, y->kind);
		ck_assert_uint_eq(x->element_count, y->element_count);
		ck_assert((x->chain == NULL) == (y->chain == NULL));
		if (x->chain != NULL) {
			ck_assert_uint_eq(x->chain->number, y->chain->number);
			continue;
		}
		ck_assert_int_eq(x->set, y->set);
		for (size_t j = 0; j < x->element_count; j++)
			ck_assert(
			    table_element_equal(&x->elements[j], &y->elements[j]));
	}
}

/* What program_edit_commit said, against what it should have. */
static void
check_changed(const struct table_content *before, const struct compile_delta *delta)
{
	struct table_content after = content_of(program);
	struct op_batch by_delta, by_content;

	plan_make(arena, before, &after, &by_content);
	plan_delta(arena, program->real.state, &program->options.settings,
	    before->settings.uses, delta, &by_delta);
	same_operations(&by_content, &by_delta);
}

static struct table_content
former_content(const struct compile_delta *delta)
{
	struct table_content content;

	program_former_content(program, delta, arena, MIDSTREAM_RESET, &content);
	return content; /* settings are what they are now */
}

/* Compiles anew what the delta may have changed, and plans what that makes of the table. */
static void
recompile(const struct compile_delta *delta)
{
	struct program_recompiled r = {.midstream = MIDSTREAM_RESET,
	    .uses = program->options.settings.uses,
	    .delta = delta};
	struct table_content before = former_content(delta), after;
	struct op_batch by_content;
	struct arena *plan_arena;
	struct op_batch planned;

	program_recompile(program, &r);
	ck_assert(r.ok);
	ck_assert_uint_eq(r.stages.count, 1);
	planned = r.stages.batches[0];
	plan_arena = r.plan_arena;
	r.plan_arena = NULL;
	program_take(program, &r);
	program_keep_uses(program, before.settings.uses);
	after = content_of(program);
	plan_make(arena, &before, &after, &by_content);
	same_operations(&by_content, &planned);
	ck_assert_uint_eq(planned.settings.uses, after.settings.uses);
	arena_free(plan_arena);
}

static void
edit_file(struct program_edit *edit, size_t i, enum live_answer *answer)
{
	struct diag_list diags;
	struct str text = {0};

	if (roll(5) == 0)
		texts[i][0] = '\0';
	else
		write_file(i);
	if (texts[i][0] != '\0')
		text = str_from(texts[i]);
	diag_list_init(&diags, arena);
	if (*answer == LIVE_READ)
		*answer = program_edit_read(edit, str_from(names[i]), text, &diags);
}

struct tally {
	unsigned changed, compiled, compiled_gone, whole, compared;
};

static void
one_edit(struct tally *t)
{
	struct table_content before = content_of(program), now, expected;
	struct program_edit *edit = program_edit_new(program);
	enum live_answer answer = LIVE_READ;
	enum program_answer put = PROGRAM_BEYOND;
	struct compile_delta delta;
	struct diag_list diags;
	struct program *fresh;

	if (program_has_shadow(program) && roll(8) == 0) /* takes compiling anew */
		program->shadow.state->c->failed = true;
	for (unsigned files = 1 + roll(3); files > 0; files--)
		edit_file(edit,
		    roll(12) == 0  ? FILES - 1
		    : roll(6) == 0 ? FILES - 2 - roll(2)
		    : roll(6) == 0 ? roll(2)
				   : 2 + roll(FILES - 5),
		    &answer);
	diag_list_init(&diags, arena);
	ck_assert_int_ne(answer, LIVE_REFUSED);
	if (answer == LIVE_READ)
		put = program_edit_commit(edit, arena, &diags, &delta);
	fresh = make();
	if (put == PROGRAM_CHANGED) {
		t->changed++;
		check_changed(&before, &delta);
	} else if (put == PROGRAM_COMPILES && !compile_delta_has_elements(&delta)) {
		now = content_of(program);
		same_elements(&before, &now); /* what goes on is what was sent */
	}
	/* Needed or not, it makes no difference. */
	if (put == PROGRAM_COMPILES || (put == PROGRAM_CHANGED && roll(8) == 0)) {
		t->compiled++;
		t->compiled_gone += delta.anew && compile_delta_has_elements(&delta);
		recompile(&delta);
	}
	if (put != PROGRAM_BEYOND) {
		now = former_content(&delta);
		now.settings = before.settings;
		same_content(&before, &now);
	}
	program_edit_free(edit);
	if (put == PROGRAM_BEYOND) {
		t->whole++;
		program_free(program);
		program = make();
	}
	now = content_of(program);
	expected = content_of(fresh);
	if (!compile_state_keeps(
		program->real.state)) { /* else classes may be others */
		same_elements(&expected, &now);
		t->compared++;
	}
	ck_assert_uint_eq(program->model->audit_count, fresh->model->audit_count);
	ck_assert_uint_eq(program->local_workloads, fresh->local_workloads);
	ck_assert_int_eq(program_has_shadow(program), program_has_shadow(fresh));
	program_sweep(program);
	program_free(fresh);
	arena_reset(arena);
}

START_TEST(program_that_was_edited_is_as_one_made_from_scratch)
{
	struct tally t = {0};

	program = make();
	for (unsigned n = 0; n < EDITS; n++)
		one_edit(&t);
	ck_assert_uint_gt(t.changed, EDITS / 4);
	ck_assert_uint_gt(t.compiled, 0);
	ck_assert_uint_gt(
	    t.compiled_gone, 0); /* the shadow must be, and the other not */
	ck_assert_uint_gt(t.whole, 0);
	ck_assert_uint_gt(t.compared, EDITS / 4);
}
END_TEST

START_TEST(file_with_mistakes_changes_nothing)
{
	struct table_content before, after;
	struct program_edit *edit;
	struct compile_delta delta;
	struct diag_list diags;

	program = make();
	before = content_of(program);
	edit = program_edit_new(program);
	diag_list_init(&diags, arena);
	ck_assert_int_eq(
	    program_edit_read(edit, str_from(names[3]), STR("kind: [\n"), &diags),
	    LIVE_REFUSED);
	ck_assert_uint_eq(diags.errors, 1);
	ck_assert(str_is(diags.first->loc.source->name, names[3]));
	ck_assert_int_eq(
	    program_edit_commit(edit, arena, &diags, &delta), PROGRAM_CHANGED);
	program_edit_free(edit);
	after = content_of(program);
	same_elements(&before, &after);
}
END_TEST

START_TEST(name_that_another_file_has_takes_a_whole_load)
{
	struct program_edit *edit;
	struct compile_delta delta;
	struct diag_list diags;

	program = make();
	edit = program_edit_new(program);
	diag_list_init(&diags, arena);
	ck_assert_int_eq(
	    program_edit_read(edit, STR("/a/another.yaml"), str_from(texts[3]), &diags),
	    LIVE_READ);
	ck_assert_int_eq(
	    program_edit_commit(edit, arena, &diags, &delta), PROGRAM_BEYOND);
	program_edit_free(edit);
}
END_TEST

/* With policies that are only watched, too: one of them names the network, and another. */
START_TEST(who_names_a_network_is_read_again_on_both_sides)
{
	static const char network[] =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\n"
	    "metadata: {name: net, namespace: /acme}\nspec: {cidrs: [%s]}\n";
	static const char names_it[] =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata: {name: n%d, namespace: /acme}\nspec: {%s"
	    "mandatory: {egress: [{action: deny, to: [{external: net}]}]}}\n";
	struct program_edit *edit;
	struct compile_delta delta;
	struct diag_list diags;

	(void)snprintf(texts[2], sizeof(texts[2]), network, "192.0.2.0/24");
	(void)snprintf(texts[3], sizeof(texts[3]), names_it, 1, "");
	(void)snprintf(texts[4], sizeof(texts[4]), names_it, 2, "enforcement: audit, ");
	program = make();
	ck_assert(program_has_shadow(program));
	(void)snprintf(texts[2], sizeof(texts[2]), network, "198.51.100.0/24");
	edit = program_edit_new(program);
	diag_list_init(&diags, arena);
	ck_assert_int_eq(
	    program_edit_read(edit, str_from(names[2]), str_from(texts[2]), &diags),
	    LIVE_READ);
	ck_assert_int_eq(
	    program_edit_commit(edit, arena, &diags, &delta), PROGRAM_CHANGED);
	program_edit_free(edit);
	program_sweep(program);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("program_edit");
	TCase *tc = tcase_create("edit");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, program_that_was_edited_is_as_one_made_from_scratch);
	tcase_add_test(tc, file_with_mistakes_changes_nothing);
	tcase_add_test(tc, name_that_another_file_has_takes_a_whole_load);
	tcase_add_test(tc, who_names_a_network_is_read_again_on_both_sides);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
