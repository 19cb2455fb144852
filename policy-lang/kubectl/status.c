/*
 * What became of each document: the conditions that its status has.
 */
#include <stdio.h>
#include <string.h>

#include "policy-lang/kubectl/plugin.h"
#include "policy-lang/load/load_kinds.h"

struct table {
	struct plugin *p;
	const struct native_kind *kind;
	json_t *rows;
	size_t unread;
};

static const json_t *
condition(const json_t *object, const char *type)
{
	const json_t *conditions =
	    json_object_get(json_object_get(object, "status"), "conditions");
	const json_t *item;
	size_t i;

	json_array_foreach(conditions, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "type"));

		if (name != NULL && strcmp(name, type) == 0)
			return item;
	}
	return NULL;
}

/* "True"; "?" if it is said of another generation, "-" if nothing is. */
static const char *
condition_status(const json_t *object, const json_t *of)
{
	const json_t *generation =
	    json_object_get(json_object_get(object, "metadata"), "generation");
	const json_t *observed = json_object_get(of, "observedGeneration");
	const char *status = json_string_value(json_object_get(of, "status"));

	if (status == NULL)
		return "-";
	return generation == NULL || json_equal(generation, observed) ? status : "?";
}

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static bool
take(void *arg, json_t *object)
{
	struct table *t = arg;
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *accepted = condition(object, "Accepted");
	const json_t *in_force = condition(object, "InForce");
	const char *accepted_status = condition_status(object, accepted);
	const json_t *said = strcmp(accepted_status, "False") == 0 || in_force == NULL
				 ? accepted
				 : in_force;
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kind", t->kind->kind,
	    "namespace", text_of(metadata, "namespace"), "name",
	    text_of(metadata, "name"), "accepted", accepted_status, "inForce",
	    condition_status(object, in_force), "message", text_of(said, "message"));

	if (row == NULL || json_array_append_new(t->rows, row) != 0)
		base_die("out of memory");
	return true;
}

static void
fetch_rows(struct table *t)
{
	const char *path =
	    arena_printf(t->p->arena, "/apis/%s/%s/%s%s%s%s", NATIVE_GROUP,
		NATIVE_VERSION, t->p->named && !t->kind->tree ? "namespaces/" : "",
		t->p->named && !t->kind->tree ? plugin_namespace(t->p) : "",
		t->p->named && !t->kind->tree ? "/" : "", t->kind->plural);
	const char *why;

	if (fetch_list(t->p, path, "", take, t, &why) ||
	    strstr(why, "(NotFound)") != NULL)
		return;
	t->unread++;
	(void)plugin_fail("%s are left out: %s", t->kind->plural, why);
}

static void
print_rows(const json_t *rows)
{
	const json_t *row;
	size_t i;

	(void)printf("%-16s %-40s %-9s %-9s %s\n", "KIND", "NAME", "ACCEPTED",
	    "IN FORCE", "MESSAGE");
	json_array_foreach(rows, i, row)
	{
		char name[40 + 1];
		const char *ns = text_of(row, "namespace");

		(void)snprintf(name, sizeof(name), "%s%s%s", ns,
		    ns[0] != '\0' ? "/" : "", text_of(row, "name")); /* cut is fine */
		(void)printf("%-16s %-40s %-9s %-9s %s\n", text_of(row, "kind"), name,
		    text_of(row, "accepted"), text_of(row, "inForce"),
		    text_of(row, "message"));
	}
}

int
plugin_status(struct plugin *p)
{
	bool bad = false;
	const char *form = plugin_take_option(p, "-o", &bad);
	struct table t = {.p = p, .rows = json_array()};

	if (bad || p->word_count != 0 ||
	    (form != NULL && strcmp(form, "json") != 0 && strcmp(form, "text") != 0)) {
		json_decref(t.rows);
		return plugin_fail("status [-n NAMESPACE] [-o text|json]");
	}
	for (size_t i = 0; i < native_kind_count; i++) {
		t.kind = &native_kinds[i];
		fetch_rows(&t);
	}
	if (form != NULL && strcmp(form, "json") == 0) {
		if (json_dumpf(t.rows, stdout, JSON_INDENT(2)) == 0)
			(void)putchar('\n');
	} else {
		print_rows(t.rows);
	}
	json_decref(t.rows);
	return t.unread == native_kind_count ? PLUGIN_ERROR : 0;
}
