/* A runtime's network configuration: the plugin goes in at the end, and comes out again. The first
 * byte says whether it is a list. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "enforcer/cni/chain.h"
#include "enforcer/cni/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
count_ours(const json_t *plugins)
{
	size_t count = 0;

	for (size_t i = 0; i < json_array_size(plugins); i++) {
		const char *type = json_string_value(
		    json_object_get(json_array_get(plugins, i), "type"));

		count += type != NULL && strcmp(type, "ringfence-cni") == 0;
	}
	return count;
}

/* Ours is there once, and last. */
static void
check_inserted(struct str text)
{
	json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *plugins = json_object_get(root, "plugins");
	size_t count = json_array_size(plugins);
	const char *last = json_string_value(
	    json_object_get(json_array_get(plugins, count - 1), "type"));

	if (count < 2 || count_ours(plugins) != 1 || last == NULL ||
	    strcmp(last, "ringfence-cni") != 0)
		__builtin_trap();
	json_decref(root);
}

static void
check_removed(struct str inserted)
{
	struct buf out = {0};
	char why[CNI_TEXT_BYTES];
	json_t *root;

	if (chain_remove(inserted, &out, why) != CHAIN_CHANGED)
		__builtin_trap();
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	if (root == NULL || count_ours(json_object_get(root, "plugins")) != 0)
		__builtin_trap();
	json_decref(root);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct chain_plugin plugin = {.timeout_s = 7};
	struct str text = {(const char *)data, size};
	struct buf out = {0}, again = {0};
	char why[CNI_TEXT_BYTES] = "";
	struct cni_link link;
	bool list;

	if (size == 0 || size > CNI_INPUT_BYTES / 4)
		return 0;
	list = data[0] % 2 == 0;
	text = str_slice(text, 1, size);
	switch (chain_insert(text, list, &plugin, &out, why)) {
	case CHAIN_BAD:
		if (why[0] == '\0' || out.len != 0)
			__builtin_trap();
		break;
	case CHAIN_SAME:
		if (!list || out.len != 0)
			__builtin_trap();
		break;
	case CHAIN_CHANGED:
		check_inserted(buf_str(&out));
		if (chain_insert(buf_str(&out), true, &plugin, &again, why) !=
		    CHAIN_SAME)
			__builtin_trap();
		check_removed(buf_str(&out));
		break;
	}
	/* The same bytes as the kernel's word on an interface. */
	if (cni_link_parse(text, &link) &&
	    (memchr(link.name, '\0', sizeof(link.name)) == NULL ||
		memchr(link.kind, '\0', sizeof(link.kind)) == NULL))
		__builtin_trap();
	buf_free(&out);
	buf_free(&again);
	return 0;
}
