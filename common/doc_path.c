#include "common/doc_path.h"

/* A step down, with all above it. */
struct step {
	const struct step *above; /* NULL: the document */
	const struct doc_node *key;
	uint32_t index; /* without a key */
};

struct search {
	struct arena *arena;
	struct loc loc;
	const struct step *best; /* in the arena */
};

static bool
begins_by_then(const struct search *s, struct loc at)
{
	return at.line < s->loc.line ||
	       (at.line == s->loc.line && at.col <= s->loc.col);
}

static void search_below(
    struct search *s, const struct doc_node *node, const struct step *at);

/* Nodes are met in the order in which they begin: the last one that counts is it. */
static void
consider(struct search *s, const struct doc_node *key, uint32_t index,
    const struct doc_node *value, const struct step *above)
{
	struct step *step;

	if (!begins_by_then(s, key != NULL ? key->loc : value->loc))
		return;
	step = ARENA_NEW(s->arena, struct step);
	*step = (struct step){above, key, index};
	s->best = step;
	search_below(s, value, step);
}

static void
search_below(struct search *s, const struct doc_node *node, const struct step *at)
{
	for (uint32_t i = 0; node->kind == DOC_MAP && i < node->count; i++)
		consider(s, node->u.entries[i].key, i, node->u.entries[i].value, at);
	for (uint32_t i = 0; node->kind == DOC_LIST && i < node->count; i++)
		consider(s, NULL, i, node->u.items[i], at);
}

static bool
is_word(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		const char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return s.len != 0;
}

static void
print(struct buf *out, const struct step *step)
{
	if (step->above != NULL)
		print(out, step->above);
	if (step->key == NULL) {
		buf_printf(out, "[%u]", step->index);
	} else if (is_word(step->key->text)) {
		buf_printf(
		    out, "%s%.*s", out->len != 0 ? "." : "", STR_ARG(step->key->text));
	} else {
		buf_add_char(out, '[');
		buf_add_json(out, step->key->text);
		buf_add_char(out, ']');
	}
}

struct str
doc_path_at(struct arena *arena, const struct doc_node *root, struct loc loc)
{
	struct search s = {.arena = arena, .loc = loc};
	struct buf text = {0};
	struct str path;

	search_below(&s, root, NULL);
	if (s.best != NULL)
		print(&text, s.best);
	path = str_dup(arena, buf_str(&text));
	buf_free(&text);
	return path;
}
