#include "enforcer/explain.h"

bool
explain_question(const struct explain_node *node, const struct str words[3], bool text,
    struct buf *out, struct buf *why)
{
	struct arena *arena = arena_new();
	struct resolver *resolver = resolver_new(arena, node->model);
	struct explanations all;
	struct query query;
	bool ok = query_read(resolver, words, &query, why);

	if (ok && !explain_query(arena, node->model, &query, 0, &all)) {
		query_explain_incomparable(&query, 0, why);
		ok = false;
	}
	if (ok) {
		all.pending = node->pending;
		explain_close(&all, &node->gate);
	}
	if (ok && text)
		explain_print_text(arena, out, &all);
	else if (ok)
		explain_print_json(arena, out, &all);
	resolver_free(resolver);
	arena_free(arena);
	return ok;
}
