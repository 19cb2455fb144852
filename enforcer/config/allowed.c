#include "enforcer/config/allowed.h"

#include <string.h>

#include "enforcer/config/subtree.h"

struct allowed
allowed_copy(struct arena *arena, const struct allowed *a)
{
	struct str *paths = ARENA_ARRAY(arena, a->count, struct str);

	for (size_t i = 0; i < a->count; i++)
		paths[i] = str_dup(arena, a->paths[i]);
	return (struct allowed){paths, a->count};
}

void
allowed_encode(struct buf *out, const struct allowed *a)
{
	proc_put_u32(out, (uint32_t)a->count);
	for (size_t i = 0; i < a->count; i++)
		proc_put_str(out, a->paths[i]);
}

bool
allowed_decode(struct arena *arena, struct proc_reader *r, struct allowed *out)
{
	uint32_t count = proc_get_u32(r);
	struct str *paths;

	if (!r->ok || count > ALLOWED_MOST)
		return false;
	paths = ARENA_ARRAY(arena, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		paths[i] = str_dup(arena, proc_get_str(r));
	*out = (struct allowed){paths, count};
	return r->ok;
}

/* Routes, ways, limits and what has no policy decide nothing about whom to let through. */
static bool
is_policy_that_allows(const struct table_rule_chain *chain)
{
	return chain->action == ACTION_ALLOW && chain->policy.len != 0 &&
	       chain->mark == 0 && chain->limit.form == LIMIT_NONE && !chain->host &&
	       strcmp(chain->policy_kind, "Route") != 0;
}

void
allowed_set_logs(const struct allowed *a, struct table_rule_chain *chains, size_t count)
{
	for (size_t i = 0; i < count && a->count != 0; i++) {
		struct str place = chains[i].namespace_path;

		if (!is_policy_that_allows(&chains[i]))
			continue;
		for (size_t j = 0; j < a->count; j++)
			chains[i].log |= subtree_has(place, a->paths[j]) ||
					 subtree_has(a->paths[j], place);
	}
}

bool
allowed_has(const struct allowed *a, const struct workload *w)
{
	for (size_t i = 0; i < a->count && w != NULL; i++) {
		if (subtree_has(a->paths[i], w->ns->path))
			return true;
	}
	return false;
}
