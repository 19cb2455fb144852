/*
 * Any answer, in pieces of any size, as a list and as a watch: nothing of a namespace that is not
 * shown comes out, and cutting the input elsewhere changes nothing. jansson judges.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/list_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static bool
shows(void *arg, const struct list_item *item)
{
	(void)arg;
	return str_is(item->namespace, "mine");
}

static bool
seal(void *arg, struct str token, struct buf *out)
{
	(void)arg;
	buf_printf(out, "sealed-%zu", token.len);
	return true;
}

static const struct list_filter_ops ops = {.shows = shows, .seal = seal};

static bool
run(enum list_filter_mode mode, const uint8_t *data, size_t size, size_t piece,
    struct buf *out)
{
	struct list_filter f;
	bool ok = true;

	list_filter_init(&f, mode, &ops, NULL);
	for (size_t at = 0; at < size && ok; at += piece)
		ok = list_filter_feed(&f, (const char *)data + at,
		    size - at < piece ? size - at : piece, out);
	ok = ok && list_filter_complete(&f);
	list_filter_fini(&f);
	return ok;
}

static void
check_items(const json_t *array)
{
	size_t i;
	const json_t *item;

	json_array_foreach(array, i, item)
	{
		const json_t *row = json_object_get(item, "object");
		const json_t *meta =
		    json_object_get(row != NULL ? row : item, "metadata");
		const char *ns = json_string_value(json_object_get(meta, "namespace"));
		const char *own = json_string_value(
		    json_object_get(json_object_get(item, "metadata"), "namespace"));

		require((ns != NULL && strcmp(ns, "mine") == 0) ||
			(own != NULL && strcmp(own, "mine") == 0));
	}
}

static void
check_list(const struct buf *out)
{
	json_t *tree = json_loadb(
	    out->data != NULL ? out->data : "", out->len, JSON_ALLOW_NUL, NULL);
	const char *token;

	if (tree == NULL) /* numbers and surrogates that jansson refuses */
		return;
	require(json_is_object(tree));
	check_items(json_object_get(tree, "items"));
	check_items(json_object_get(tree, "rows"));
	token = json_string_value(
	    json_object_get(json_object_get(tree, "metadata"), "continue"));
	require(token == NULL || strncmp(token, "sealed-", 7) == 0);
	json_decref(tree);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = size != 0 ? 1 + data[0] % 64 : 1;

	for (int mode = LIST_FILTER_LIST; mode <= LIST_FILTER_WATCH; mode++) {
		struct buf whole = {NULL, 0, 0}, pieces = {NULL, 0, 0};
		enum list_filter_mode m = (enum list_filter_mode)mode;
		bool ok = size > 1 && run(m, data + 1, size - 1, size, &whole);
		bool same = size > 1 && run(m, data + 1, size - 1, piece, &pieces);

		require(ok == same);
		if (ok) {
			require(str_eq(buf_str(&whole), buf_str(&pieces)));
			if (m == LIST_FILTER_LIST)
				check_list(&whole);
		}
		buf_free(&whole);
		buf_free(&pieces);
	}
	return 0;
}
