#include "enforcer/cni/chain.h"

#include <stdio.h>
#include <string.h>

#define TYPE "ringfence-cni"

/* ---- reading ---- */

static enum chain_answer
bad(char *why, const char *text)
{
	(void)snprintf(why, CNI_TEXT_BYTES, "%s", text);
	return CHAIN_BAD;
}

/* NULL: it is no object, and `why` says so. */
static json_t *
read_object(struct str text, char *why)
{
	json_error_t error;
	json_t *root;

	if (text.len > CNI_INPUT_BYTES) {
		(void)bad(why, "the configuration is too large");
		return NULL;
	}
	root = json_loadb(
	    text.ptr != NULL ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(root))
		return root;
	if (root == NULL)
		(void)snprintf(
		    why, CNI_TEXT_BYTES, "line %d: %.400s", error.line, error.text);
	else
		(void)bad(why, "it is no JSON object");
	json_decref(root);
	return NULL;
}

static bool
is_word(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL && text[0] != '\0';
}

static bool
is_ours(const json_t *plugin)
{
	const char *type = json_string_value(json_object_get(plugin, "type"));

	return type != NULL && strcmp(type, TYPE) == 0;
}

/* A runtime takes the highest of `cniVersions` that it knows, else `cniVersion`; the plugin must
 * speak that one, or nothing would start. */
static bool
speaks_version(const json_t *root)
{
	const char *version = json_string_value(json_object_get(root, "cniVersion"));

	for (size_t i = 0; version != NULL && i < cni_version_count; i++) {
		if (strcmp(cni_versions[i], version) == 0)
			return true;
	}
	return false;
}

static const char *
find_mistake(const json_t *root, bool list)
{
	json_t *plugins = json_object_get(root, "plugins"), *plugin;
	size_t i, others = 0;

	if (!is_word(root, "name"))
		return "it has no \"name\"";
	if (!speaks_version(root))
		return "its \"cniVersion\" is none that ringfence-cni speaks: 0.3.0, "
		       "0.3.1, 0.4.0, 1.0.0, 1.1.0";
	if (!list)
		return is_word(root, "type") ? NULL : "it has no \"type\"";
	if (!json_is_array(plugins))
		return "it has no list \"plugins\"";
	json_array_foreach(plugins, i, plugin)
	{
		if (!is_word(plugin, "type"))
			return "it has a plugin without a \"type\"";
		others += !is_ours(plugin);
	}
	return others != 0 ? NULL : "it has no plugin that ringfence-cni could follow";
}

/* ---- writing ---- */

static void
set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		base_die("out of memory");
}

static json_t *
make_plugin(const struct chain_plugin *p)
{
	json_t *plugin = json_object();

	set(plugin, "type", json_string(TYPE));
	if (p->socket != NULL)
		set(plugin, "socket", json_string(p->socket));
	if (p->timeout_s != 0)
		set(plugin, "timeoutSeconds", json_integer((json_int_t)p->timeout_s));
	if (p->allow_unfiltered)
		set(plugin, "unfiltered", json_string("allow"));
	return plugin;
}

static void
write_object(const json_t *root, struct buf *out)
{
	char *text = json_dumps(root, JSON_INDENT(2));

	if (text == NULL)
		base_die("out of memory");
	buf_add_cstr(out, text);
	buf_add_char(out, '\n');
	free(text);
}

/* Of what a list says, and a single plugin says of itself. */
static const char *const list_fields[] = {
    "cniVersion", "cniVersions", "name", "disableCheck", "disableGC"};

static json_t *
make_list(json_t *single)
{
	json_t *list = json_object(), *plugin = json_copy(single), *value;

	for (size_t i = 0; i < ARRAY_LEN(list_fields); i++) {
		value = json_object_get(single, list_fields[i]);
		if (value == NULL)
			continue;
		set(list, list_fields[i], json_incref(value));
		(void)json_object_del(plugin, list_fields[i]); /* it is there */
	}
	set(list, "plugins", json_pack("[o]", plugin));
	return list;
}

/* Drops the plugin wherever it is; returns how often it was there. */
static size_t
drop_ours(json_t *plugins)
{
	size_t dropped = 0;

	for (size_t i = json_array_size(plugins); i > 0; i--) {
		if (!is_ours(json_array_get(plugins, i - 1)))
			continue;
		(void)json_array_remove(plugins, i - 1); /* it is there */
		dropped++;
	}
	return dropped;
}

static bool
is_there_already(const json_t *plugins, const json_t *wanted)
{
	size_t count = json_array_size(plugins), ours = 0;

	for (size_t i = 0; i < count; i++)
		ours += is_ours(json_array_get(plugins, i));
	return ours == 1 && json_equal(json_array_get(plugins, count - 1), wanted);
}

enum chain_answer
chain_insert(struct str text, bool list, const struct chain_plugin *plugin,
    struct buf *out, char *why)
{
	enum chain_answer answer = CHAIN_CHANGED;
	json_t *root = read_object(text, why), *plugins, *wanted;
	const char *mistake;

	if (root == NULL)
		return CHAIN_BAD;
	mistake = find_mistake(root, list);
	if (mistake != NULL) {
		json_decref(root);
		return bad(why, mistake);
	}
	if (!list) {
		json_t *single = root;

		root = make_list(single);
		json_decref(single);
	}
	plugins = json_object_get(root, "plugins");
	wanted = make_plugin(plugin);
	if (is_there_already(plugins, wanted)) {
		answer = CHAIN_SAME;
	} else {
		(void)drop_ours(plugins);
		if (json_array_append(plugins, wanted) != 0)
			base_die("out of memory");
		write_object(root, out);
	}
	json_decref(wanted);
	json_decref(root);
	return answer;
}

enum chain_answer
chain_remove(struct str text, struct buf *out, char *why)
{
	json_t *root = read_object(text, why);
	json_t *plugins = json_object_get(root, "plugins");
	enum chain_answer answer = CHAIN_SAME;

	if (root == NULL)
		return CHAIN_BAD;
	if (drop_ours(plugins) == 0) {
		answer = CHAIN_SAME;
	} else if (json_array_size(plugins) == 0) {
		answer = bad(why, "nothing but ringfence-cni is in it");
	} else {
		write_object(root, out);
		answer = CHAIN_CHANGED;
	}
	json_decref(root);
	return answer;
}

bool
chain_is_of_one(struct str text)
{
	char ignored[CNI_TEXT_BYTES];
	json_t *root = read_object(text, ignored);
	const json_t *plugins = json_object_get(root, "plugins");
	const bool one = json_array_size(plugins) == 2 &&
			 !is_ours(json_array_get(plugins, 0)) &&
			 is_ours(json_array_get(plugins, 1));

	json_decref(root);
	return one;
}
