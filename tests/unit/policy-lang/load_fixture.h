/*
 * Documents as text -> model and diagnostics, for tests of the loader.
 */
#ifndef TESTS_LOAD_FIXTURE_H
#define TESTS_LOAD_FIXTURE_H

#include <check.h>
#include <string.h>

#include "policy-lang/load/load.h"
#include "policy-lang/model/codes.h"

struct loaded {
	struct arena *arena;
	struct source sources[4];
	struct bundle bundle;
	struct diag_list diags;
	struct model *m;
	bool ok;
};

/* Loads up to four files, given as name, text, name, text, ..., NULL. */
static inline struct loaded *
load_files(const struct model_options *options, const char *const *files)
{
	struct arena *arena = arena_new();
	struct loaded *l = ARENA_NEW(arena, struct loaded);

	l->arena = arena;
	l->bundle.sources = l->sources;
	for (; files[0] != NULL; files += 2) {
		ck_assert_uint_lt(l->bundle.count, 4);
		l->sources[l->bundle.count++] =
		    (struct source){str_from(files[0]), str_from(files[1])};
	}
	diag_list_init(&l->diags, arena);
	l->ok = model_load(arena, &l->bundle, options, &l->diags, &l->m);
	ck_assert_ptr_nonnull(l->m);
	ck_assert_int_eq(l->ok, l->diags.errors == 0);
	return l;
}

static inline struct loaded *
load_with(const struct model_options *options, const char *text)
{
	return load_files(options, (const char *const[]){"t.yaml", text, NULL});
}

static inline struct loaded *
load(const char *text)
{
	return load_with(NULL, text);
}

static inline void
loaded_free(struct loaded *l)
{
	arena_free(l->arena);
}

static inline const char *
loaded_text(struct loaded *l)
{
	struct buf text = {0};
	const char *copy;

	diag_sort(&l->diags);
	diag_render_text(&text, &l->diags);
	copy = arena_strdup(l->arena, text.data != NULL ? text.data : "");
	buf_free(&text);
	return copy;
}

/* Loads text that must have no error; prints what is wrong otherwise. */
static inline struct loaded *
load_ok_with(const struct model_options *options, const char *text)
{
	struct loaded *l = load_with(options, text);

	ck_assert_msg(l->ok, "%s", loaded_text(l));
	return l;
}

static inline struct loaded *
load_ok(const char *text)
{
	return load_ok_with(NULL, text);
}

static inline unsigned
loaded_count(const struct loaded *l, const char *code)
{
	unsigned count = 0;

	for (const struct diag *d = l->diags.first; d != NULL; d = d->next)
		count += strcmp(d->code, code) == 0;
	return count;
}

static inline const struct diag *
loaded_find(struct loaded *l, const char *code)
{
	for (const struct diag *d = l->diags.first; d != NULL; d = d->next) {
		if (strcmp(d->code, code) == 0)
			return d;
	}
	ck_abort_msg("no diagnostic %s in:\n%s", code, loaded_text(l));
	return NULL;
}

/* The text must be refused with exactly this code, and only once, at that line. */
static inline void
assert_refused(const char *text, const char *code, unsigned line)
{
	struct loaded *l = load(text);
	const struct diag *d = loaded_find(l, code);

	ck_assert_msg(
	    !l->ok && l->diags.errors == 1, "%s\nfor:\n%s", loaded_text(l), text);
	ck_assert_int_eq(d->severity, DIAG_ERROR);
	ck_assert_msg(line == 0 || d->loc.line == line, "line %u, not %u:\n%s",
	    d->loc.line, line, loaded_text(l));
	loaded_free(l);
}

/* The text must load, with one warning (or note) of this code. */
static inline void
assert_warned(const char *text, const char *code, unsigned line)
{
	struct loaded *l = load_ok(text);
	const struct diag *d = loaded_find(l, code);

	ck_assert_uint_eq(loaded_count(l, code), 1);
	ck_assert_msg(line == 0 || d->loc.line == line, "line %u, not %u:\n%s",
	    d->loc.line, line, loaded_text(l));
	loaded_free(l);
}

static inline void
assert_clean(const char *text)
{
	struct loaded *l = load(text);

	ck_assert_msg(l->diags.first == NULL, "%s\nfor:\n%s", loaded_text(l), text);
	loaded_free(l);
}

#define assert_str(s, literal)                                                         \
	do {                                                                           \
		struct str assert_str_ = (s);                                          \
		ck_assert_msg(str_is(assert_str_, literal), "\"%.*s\" is not \"%s\"",  \
		    STR_ARG(assert_str_), (literal));                                  \
	} while (0)

static inline const struct policy *
find_policy(const struct loaded *l, const char *name)
{
	for (size_t i = 0; i < l->m->policy_count; i++) {
		if (str_is(l->m->policies[i]->name, name))
			return l->m->policies[i];
	}
	ck_abort_msg("no policy %s", name);
	return NULL;
}

static inline const struct workload *
find_workload(const struct loaded *l, const char *name)
{
	for (size_t i = 0; i < l->m->workload_count; i++) {
		if (str_is(l->m->workloads[i]->name, name))
			return l->m->workloads[i];
	}
	ck_abort_msg("no workload %s", name);
	return NULL;
}

/* One suite, run as a program's main. */
static inline int
run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

#endif
