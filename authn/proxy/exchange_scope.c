/*
 * Scopes of tokens: a request is covered if one scope matches in all its parts.
 */
#include "authn/proxy/exchange.h"

static bool
namespace_covered(
    const struct token_scope *scope, struct str namespace, const struct ns *level)
{
	if (scope->namespace_count == 0)
		return true;
	if (namespace.len == 0)
		return false; /* cluster-scoped, or all namespaces at once */
	for (size_t i = 0; i < scope->namespace_count; i++) {
		struct str s = scope->namespaces[i];

		if (s.len == 0 || s.ptr[0] != '/') {
			if (str_eq(s, namespace))
				return true;
			continue;
		}
		if (str_is(s, "/") || str_eq(level->path, s) ||
		    (str_starts(level->path, s) && level->path.ptr[s.len] == '/'))
			return true;
	}
	return false;
}

static bool
verb_covered(const struct token_scope *scope, struct str verb)
{
	for (size_t i = 0; i < scope->verb_count; i++) {
		if (str_is(scope->verbs[i], "*") || str_eq(scope->verbs[i], verb))
			return true;
	}
	return scope->verb_count == 0;
}

static bool
resource_covered(const struct token_scope *scope, const struct access_request *request)
{
	for (size_t i = 0; i < scope->resource_count; i++) {
		if (request->is_resource &&
		    access_resource_matches(scope->resources[i], request))
			return true;
	}
	return scope->resource_count == 0;
}

bool
exchange_in_scope(const struct identity *id, const struct access_request *request,
    const struct ns *level)
{
	for (size_t i = 0; i < id->scope_count; i++) {
		const struct token_scope *scope = &id->scopes[i];

		if (namespace_covered(scope, request->namespace, level) &&
		    verb_covered(scope, request->verb) &&
		    resource_covered(scope, request))
			return true;
	}
	return id->scope_count == 0;
}

void
exchange_scope_extent(const struct identity *id, const struct access_request *request,
    bool *out_somewhere, bool *out_everywhere)
{
	*out_somewhere = *out_everywhere = id->scope_count == 0;
	for (size_t i = 0; i < id->scope_count; i++) {
		const struct token_scope *scope = &id->scopes[i];

		if (!verb_covered(scope, request->verb) ||
		    !resource_covered(scope, request))
			continue;
		*out_somewhere = true;
		if (scope->namespace_count == 0)
			*out_everywhere = true;
	}
}
