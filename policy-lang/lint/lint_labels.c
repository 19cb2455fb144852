#include "policy-lang/lint/lint_labels.h"

#include "policy-lang/model/nearest.h"

/* More spellings than these are not tried: a label with a value for each object is not
 * one that selectors speak of. */
#define SPELLINGS_MAX 4096u
/* A label with no more values than these has them listed. */
#define LISTED_MAX 4u

void
vocabulary_add(struct vocabulary *v, struct arena *arena, struct label_set labels)
{
	for (size_t i = 0; i < labels.count; i++) {
		const struct label *label = &labels.items[i];
		struct map *values = map_get(&v->keys, label->key);

		if (values == NULL) {
			values = ARENA_NEW(arena, struct map);
			(void)map_set(&v->keys, label->key, values);
		}
		if (map_get(values, label->value) == NULL)
			(void)map_set(values, label->value, values);
	}
}

void
vocabulary_fini(struct vocabulary *v)
{
	for (size_t i = 0; i < v->keys.len; i++)
		map_fini(v->keys.entries[i].value);
	map_fini(&v->keys);
	v->filled = false;
}

struct str
vocabulary_nearest(const struct map *texts, struct str text)
{
	struct nearest n = nearest_to(text);

	for (size_t i = 0; i < texts->len && i < SPELLINGS_MAX; i++)
		nearest_consider(&n, texts->entries[i].key);
	return n.best;
}

static const char *
under_another_key(const struct vocabulary *v, struct arena *arena, struct str value)
{
	for (size_t i = 0; i < v->keys.len && i < SPELLINGS_MAX; i++) {
		const struct map *values = v->keys.entries[i].value;

		if (map_get(values, value) != NULL)
			return arena_printf(arena, "there is %.*s: %.*s",
			    STR_ARG(v->keys.entries[i].key), STR_ARG(value));
	}
	return NULL;
}

static const char *
list_values(struct arena *arena, struct str key, const struct map *values)
{
	struct buf text = {0};
	const char *copy;

	buf_printf(&text, "\"%.*s\" is ", STR_ARG(key));
	for (size_t i = 0; i < values->len; i++) {
		const char *sep = i == 0 ? "" : i + 1 == values->len ? " or " : ", ";

		buf_printf(&text, "%s\"%.*s\"", sep, STR_ARG(values->entries[i].key));
	}
	copy = arena_strndup(arena, text.data, text.len);
	buf_free(&text);
	return copy;
}

static const char *
suggest_key(
    const struct vocabulary *v, struct arena *arena, const struct requirement *r)
{
	struct str key = vocabulary_nearest(&v->keys, r->key);

	if (key.ptr != NULL)
		return arena_printf(
		    arena, "did you mean the label \"%.*s\"?", STR_ARG(key));
	return r->op == REQ_IN ? under_another_key(v, arena, r->values[0]) : NULL;
}

static const char *
suggest_value(const struct vocabulary *v, struct arena *arena,
    const struct requirement *r, const struct map *values)
{
	struct str value = vocabulary_nearest(values, r->values[0]);
	const char *other;

	if (value.ptr != NULL)
		return arena_printf(arena, "did you mean \"%.*s\"?", STR_ARG(value));
	other = under_another_key(v, arena, r->values[0]);
	if (other != NULL || values->len > LISTED_MAX)
		return other;
	return list_values(arena, r->key, values);
}

static bool
some_value_exists(const struct requirement *r, const struct map *values)
{
	for (size_t i = 0; i < r->value_count; i++) {
		if (map_get(values, r->values[i]) != NULL)
			return true;
	}
	return false;
}

const char *
vocabulary_suggest(
    const struct vocabulary *v, struct arena *arena, const struct selector *selector)
{
	for (size_t i = 0; selector != NULL && i < selector->count; i++) {
		const struct requirement *r = &selector->reqs[i];
		const struct map *values = map_get(&v->keys, r->key);
		const char *text = NULL;

		if (r->op != REQ_IN && r->op != REQ_EXISTS)
			continue;
		if (values == NULL)
			text = suggest_key(v, arena, r);
		else if (r->op == REQ_IN && !some_value_exists(r, values))
			text = suggest_value(v, arena, r, values);
		if (text != NULL)
			return text;
	}
	return NULL;
}
