/*
 * Edits of single sources: sources as text, what is read of them, and what is edited after.
 */
#ifndef TESTS_LIVE_FIXTURE_H
#define TESTS_LIVE_FIXTURE_H

#include <check.h>
#include <string.h>

#include "policy-lang/live/live.h"

static struct arena *arena;
static struct diag_list diags;

static inline void
live_setup(void)
{
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static inline void
live_teardown(void)
{
	arena_free(arena);
}

/* Of up to three sources, named "0" to "2"; NULL: no more. */
static inline struct live *
load(const char *a, const char *b, const char *c)
{
	struct bundle *bundle = ARENA_NEW(arena, struct bundle);
	const char *const texts[] = {a, b, c};

	bundle->sources = ARENA_ARRAY(arena, ARRAY_LEN(texts), struct source);
	for (size_t i = 0; i < ARRAY_LEN(texts) && texts[i] != NULL; i++)
		bundle->sources[bundle->count++] = (struct source){
		    str_from(arena_printf(arena, "%zu", i)), str_from(texts[i])};
	return live_load(arena, bundle, NULL, NULL, &diags);
}

/* The same, with texts kept. */
static inline struct live *
load_kept(const char *a, const char *b, const char *c)
{
	struct live *live = load(a, b, c);

	ck_assert_ptr_nonnull(live);
	live_keep_texts(live);
	return live;
}

/* Reads and commits; what came of it. No text: the source is gone. */
static inline enum live_answer
edit(struct live *live, const char *name, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;
	const struct str none = {NULL, 0};
	enum live_answer answer =
	    live_read(e, str_from(name), text != NULL ? str_from(text) : none, &diags);

	if (answer == LIVE_READ && !live_commit(e, arena, &diags, &changes, &count))
		answer = LIVE_BEYOND;
	live_edit_free(e);
	live_sweep(live);
	return answer;
}

/* Runs one suite, of one case, as a program's main. */
static inline int
run_live_tests(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, live_setup, live_teardown);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

/* ---- documents ---- */

#define POD                                                                            \
	"apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: k }\nstatus: { "   \
	"podIP: 10.0.0.1 }\n"
/* Names a network, and needs one of that name. */
#define PAYS                                                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: pay, "    \
	"namespace: /a/b }\nspec: { allow: { egress: [ { to: [ { external: card } ] "  \
	"} "                                                                           \
	"] } }\n"
#define CARD(home, cidr)                                                               \
	"apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\nmetadata: { "      \
	"name: card, namespace: " home " }\nspec: { cidrs: [" cidr "] }\n"
/* A workload of node n1. */
#define HERE(label)                                                                    \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: w, "    \
	"namespace: /a, labels: { app: " label                                         \
	" } }\nspec: { node: n1, ips: [ 10.1.0.7 "                                     \
	"] }\n"

#endif
