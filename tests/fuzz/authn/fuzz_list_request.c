/*
 * What a client writes of a list that is to be filtered: Accept in the first line, the target in
 * the second, a continue token in the rest. Only JSON is asked for; only what was sealed for
 * this user and list is opened, and is what was sealed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/list_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
try_accept(struct arena *arena, struct str value)
{
	struct header_list list = {NULL, 0, 0, 0};
	struct str rest;

	header_list_add(arena, &list, STR("accept"), value);
	rest = list_request_accept(arena, &list);
	while (rest.ptr != NULL)
		require(str_starts(str_split(&rest, ','), STR("application/json")));
}

/* No token of the input is one that these keys sealed. */
static void
try_target(struct arena *arena, const struct list_keys *keys, struct str target)
{
	struct str out, query;

	if (list_request_target(arena, target, keys, STR("alice /x"), &out) !=
	    LIST_TOKEN_OK)
		return;
	require(str_eq(str_slice(out, 0, str_find(out, '?', 0)),
	    str_slice(target, 0, str_find(target, '?', 0))));
	query = str_slice(out, str_find(out, '?', 0) + 1, out.len);
	while (query.len != 0) {
		struct str pair = str_split(&query, '&');

		require(!str_starts(pair, STR("continue=")) || pair.len == 9);
	}
}

static void
try_token(struct arena *arena, const struct list_keys *keys, struct str token)
{
	struct buf sealed = {NULL, 0, 0};
	struct str opened;

	(void)!list_token_open(arena, keys, STR("alice /x"), token, &opened);
	if (!list_token_seal(keys, STR("alice /x"), token, &sealed)) {
		buf_free(&sealed);
		return;
	}
	require(list_token_open(arena, keys, STR("alice /x"), buf_str(&sealed),
		    &opened) == LIST_TOKEN_OK &&
		str_eq(opened, token));
	require(list_token_open(arena, keys, STR("bob /x"), buf_str(&sealed),
		    &opened) == LIST_TOKEN_UNKNOWN);
	/* Changed anywhere it is not one of ours; of the last character not all bits count. */
	for (size_t i = 0; i + 1 < sealed.len; i += 1 + sealed.len / 16) {
		const char was = sealed.data[i];

		sealed.data[i] = was == 'A' ? 'B' : 'A';
		require(list_token_open(arena, keys, STR("alice /x"), buf_str(&sealed),
			    &opened) != LIST_TOKEN_OK);
		sealed.data[i] = was;
	}
	buf_free(&sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size}, accept, target;
	struct arena *arena = arena_new();
	struct list_keys keys;

	list_keys_derive((const uint8_t *)"a secret", 8, &keys);
	accept = str_split(&rest, '\n');
	target = rest.ptr != NULL ? str_split(&rest, '\n') : STR("");
	if (header_value_ok(accept))
		try_accept(arena, accept);
	try_target(arena, &keys, target);
	if (rest.len != 0) /* an empty one is none */
		try_token(arena, &keys, rest);
	arena_free(arena);
	return 0;
}
