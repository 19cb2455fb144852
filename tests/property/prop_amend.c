/*
 * Judging an object alone against judging it by a load of everything: a random cluster, a document to
 * a source, and a series of documents that come, change or go, some of them with mistakes. Both
 * find the same, in the same words; and the documents are afterwards as they were before. Some are
 * then put among them: what is kept up means what loading all of them anew does, the mistakes that it
 * tells of included.
 * Options: --cases N (series) --edits N (of each) --seed S. What fails is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/live/amend.h"
#include "tests/property/edits.h"

#define CASES_DEFAULT DICE_CASES(60)
#define SERIES_MORE   1000 /* at most, until all has come */
#define EDITS_DEFAULT 20

struct series {
	uint64_t seed;
	struct arena *arena;
	struct editor editor;
	struct documents docs; /* as the base has them */
	struct amend_base *base;
	unsigned long judged, alone, refused, warned, put, mistaken;
};

static bool
fail(const struct series *s, const char *what, struct str name)
{
	(void)fprintf(stderr, "seed %llu, judgement %lu, of %.*s: %s\n",
	    (unsigned long long)s->seed, s->judged, STR_ARG(name), what);
	for (size_t i = 0; i < s->docs.count; i++)
		(void)fprintf(stderr, "---\n# %.*s\n%.*s",
		    STR_ARG(s->docs.items[i].name), STR_ARG(s->docs.items[i].text));
	return false;
}

static struct amend_base *
load(struct series *s)
{
	struct arena *arena = arena_new();
	struct bundle bundle = {
	    .sources = ARENA_ARRAY(arena, s->docs.count + 1, struct source)};
	struct amend_base *base;

	for (size_t i = 0; i < s->docs.count; i++)
		bundle.sources[bundle.count++] =
		    (struct source){s->docs.items[i].name, s->docs.items[i].text};
	base = amend_base_new(&bundle);
	arena_free(arena);
	return base;
}

/* ---- comparing ---- */

/* The findings as text, each once, in the order given. */
static struct str
printed(struct arena *arena, const struct amend_judgement *j)
{
	struct buf out = {0};
	struct str text;

	for (size_t i = 0; i < j->count; i++) {
		const struct amend_finding *f = &j->findings[i];

		buf_printf(&out, "%s %.*s %.*s: %.*s [%s]\n",
		    f->severity == DIAG_ERROR ? "error" : "warning", STR_ARG(f->object),
		    STR_ARG(f->field), STR_ARG(f->message), f->code);
	}
	text = str_dup(arena, buf_str(&out));
	buf_free(&out);
	return text;
}

static bool
same(struct series *s, struct amend_base *other, const struct source *object,
    const char *what)
{
	struct arena *arena = arena_new();
	struct amend_judgement quick, whole;
	struct str a, b;
	bool ok;

	amend_judge(s->base, object, arena, &quick);
	amend_judge_whole(other, object, arena, &whole);
	a = printed(arena, &quick);
	b = printed(arena, &whole);
	ok = str_eq(a, b) && quick.errors == whole.errors;
	if (!ok)
		(void)fprintf(stderr, "alone:\n%.*swhole:\n%.*sof:\n%.*s\n", STR_ARG(a),
		    STR_ARG(b), STR_ARG(object->text));
	s->judged++;
	s->alone += !quick.whole;
	s->refused += !quick.whole && quick.errors != 0;
	s->warned += !quick.whole && quick.count > quick.errors;
	arena_free(arena);
	return ok || fail(s, what, object->name);
}

static void
count_mistake(void *arg, struct str source, struct str field, const char *code,
    struct str message)
{
	struct buf *out = arg;

	buf_printf(out, "%.*s %.*s: %.*s [%s]\n", STR_ARG(source), STR_ARG(field),
	    STR_ARG(message), code);
}

static int
line_cmp(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

/* Lines of mistakes, sorted: which comes first is nobody's promise. */
static struct str
mistakes(struct arena *arena, struct amend_base *base)
{
	struct buf out = {0}, sorted = {0};
	struct str rest, text, *lines;
	size_t count = 0;

	amend_base_each_mistake(base, count_mistake, &out);
	rest = str_dup(arena, buf_str(&out));
	lines = ARENA_ARRAY(arena, rest.len + 1, struct str);
	while (rest.len != 0)
		lines[count++] = str_split(&rest, '\n');
	qsort(lines, count, sizeof(*lines), line_cmp);
	for (size_t i = 0; i < count; i++)
		buf_printf(&sorted, "%.*s\n", STR_ARG(lines[i]));
	text = str_dup(arena, buf_str(&sorted));
	buf_free(&out);
	buf_free(&sorted);
	return text;
}

/* What is kept up against what is loaded. */
static bool
check_kept_up(struct series *s, const struct source *object)
{
	struct arena *arena = arena_new();
	struct amend_base *fresh = load(s);
	struct str a = mistakes(arena, s->base), b = mistakes(arena, fresh);
	bool ok = str_eq(a, b);

	if (!ok) {
		(void)fprintf(
		    stderr, "kept up:\n%.*sloaded:\n%.*s", STR_ARG(a), STR_ARG(b));
		(void)fail(s, "other mistakes than a load finds", object->name);
	}
	s->mistaken += a.len != 0;
	ok = ok && same(s, fresh, object, "what is kept up judges otherwise");
	amend_base_free(fresh);
	arena_free(arena);
	return ok;
}

/* ---- the series ---- */

static struct str
spoil(struct series *s, struct str text)
{
	const unsigned roll = dice_roll(&s->editor.dice, 16);

	if (roll > 1)
		return text;
	return STR_CONCAT(
	    s->arena, text, roll == 0 ? STR("unknownField: 1\n") : STR("]\n"));
}

/* Policies more often than others. */
static struct document
roll(struct series *s, struct documents *edited)
{
	struct document doc;

	for (unsigned tries = 0;; tries++) {
		*edited = s->docs;
		doc = editor_edit(&s->editor, edited);
		if (tries == 4 || str_ends(doc.kind, STR("Policy")))
			return doc;
	}
}

static bool
one(struct series *s)
{
	static struct documents edited;
	struct document doc = roll(s, &edited);
	struct source object;

	object = (struct source){.name = doc.name};
	for (size_t i = 0; i < edited.count; i++) {
		if (str_eq(edited.items[i].name, doc.name))
			object.text = edited.items[i].text =
			    spoil(s, edited.items[i].text);
	}
	if (!same(s, s->base, &object, "alone it is judged otherwise"))
		return false;
	if (dice_roll(&s->editor.dice, 2) == 0)
		return true;
	amend_base_put(s->base, &object);
	s->docs = edited;
	s->put++;
	return dice_roll(&s->editor.dice, 3) != 0 || check_kept_up(s, &object);
}

static bool
run_series(struct series *s, uint64_t edits)
{
	bool ok = true;

	do {
		s->editor.clusters = 0;
		editor_roll(&s->editor, &s->docs, true);
	} while (s->editor.clusters != 0);
	s->base = load(s);
	for (uint64_t i = 0; i < edits && ok; i++)
		ok = one(s);
	amend_base_free(s->base);
	return ok;
}

/* What the series did, all together. */
struct sums {
	unsigned long judged, alone, refused, warned, put, mistaken;
};

static void
add_up(struct sums *t, const struct series *s)
{
	t->judged += s->judged;
	t->alone += s->alone;
	t->refused += s->refused;
	t->warned += s->warned;
	t->put += s->put;
	t->mistaken += s->mistaken;
}

/* A run that never judges alone, or finds nothing, is no test. What is rare may be lacking in a few
 * series: then there are more. */
static bool
all_came(const struct sums *t)
{
	return t->alone != 0 && t->alone != t->judged && t->refused != 0 &&
	       t->warned != 0 && t->put != 0 && t->mistaken != 0;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	uint64_t edits = EDITS_DEFAULT, done = 0;
	static struct series s;
	const struct run_option options[] = {
	    {"--cases", &cases}, {"--seed", &seed}, {"--edits", &edits}};
	struct sums t = {0};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (; ok && (done < cases || (!all_came(&t) && done < cases + SERIES_MORE));
	     done++) {
		memset(&s, 0, sizeof(s));
		s.seed = seed + done;
		s.arena = s.editor.arena = arena_new();
		dice_init(&s.editor.dice, s.seed);
		ok = run_series(&s, edits);
		add_up(&t, &s);
		arena_free(s.arena);
	}
	(void)printf(
	    "%llu series from seed %llu: %lu judged, %lu of them alone, of which "
	    "%lu refused, %lu with warnings; %lu put there, mistakes %lu times\n",
	    (unsigned long long)done, (unsigned long long)seed, t.judged, t.alone,
	    t.refused, t.warned, t.put, t.mistaken);
	return ok && all_came(&t) ? 0 : 1;
}
