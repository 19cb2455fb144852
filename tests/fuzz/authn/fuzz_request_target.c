/*
 * Any request target: it is refused, or classified in a way in which nothing is hidden.
 * The first line of the input is the method.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/request/requestinfo.h"
#include "authn/request/requestquery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static bool
has_dots(struct str path)
{
	while (path.ptr != NULL) {
		struct str segment = str_split(&path, '/');

		if (str_is(segment, ".") || str_is(segment, ".."))
			return true;
	}
	return false;
}

static void
check(const struct request_info *info)
{
	bool free_tail = str_is(info->subresource, "proxy");

	require(info->path.len != 0 && info->path.ptr[0] == '/');
	if (!free_tail)
		require(!has_dots(info->path) &&
			memchr(info->path.ptr, '\0', info->path.len) == NULL);
	if (info->is_resource) {
		require(info->resource.len != 0 && info->api_version.len != 0);
		require(memchr(info->resource.ptr, '/', info->resource.len) == NULL);
		require(!info->is_discovery);
		if (info->name.len != 0)
			require(memchr(info->name.ptr, '/', info->name.len) == NULL);
	}
	if (str_is(info->verb, "watch"))
		require(!info->is_resource || info->is_long_running);
	if (info->is_upgrade_subresource)
		require(info->is_mutation);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size}, method;
	struct arena *arena = arena_new();
	struct request_info info;

	method = str_split(&rest, '\n');
	if (rest.ptr != NULL &&
	    request_classify(arena, method, rest, &info) == REQUEST_OK)
		check(&info);
	(void)!label_selector_ok(rest);
	arena_free(arena);
	return 0;
}
