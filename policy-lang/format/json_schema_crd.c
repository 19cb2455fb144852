/*
 * CustomResourceDefinitions: what is around the schema of a kind.
 */
#include "policy-lang/format/json_schema_internal.h"

static void
make_names(struct schema_maker *m, const struct native_kind *kind)
{
	struct buf list = {0};

	buf_printf(&list, "%sList", kind->kind);
	tree_map(&m->w, "names");
	tree_string(&m->w, "kind", kind->kind);
	tree_string(&m->w, "listKind", list.data);
	tree_string(&m->w, "plural", kind->plural);
	tree_string(&m->w, "singular", kind->singular);
	tree_strings(&m->w, "shortNames", &kind->short_name, 1);
	tree_strings(&m->w, "categories", (const char *const[]){"ringfence"}, 1);
	tree_close(&m->w);
	buf_free(&list);
}

/* The conditions that every API has, as apimachinery's meta/v1 Condition. */
static void
make_condition_field(struct schema_maker *m, const char *name, const char *about)
{
	tree_map(&m->w, name);
	tree_string(&m->w, "description", about);
	tree_string(&m->w, "type", "string");
}

static void
make_status(struct schema_maker *m)
{
	static const char *const values[] = {"True", "False", "Unknown"};
	static const char *const required[] = {
	    "type", "status", "lastTransitionTime", "reason", "message"};

	tree_map(&m->w, "status");
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	tree_map(&m->w, "observedGeneration");
	tree_string(&m->w, "description", "Of which generation the status is.");
	tree_string(&m->w, "type", "integer");
	tree_string(&m->w, "format", "int64");
	tree_close(&m->w);
	tree_map(&m->w, "sinceVersion");
	tree_string(&m->w, "description", "The resourceVersion that brought it.");
	tree_string(&m->w, "type", "string");
	tree_int(&m->w, "maxLength", 20);
	tree_close(&m->w);
	tree_map(&m->w, "conditions");
	tree_string(&m->w, "description", "What became of the document.");
	tree_string(&m->w, "type", "array");
	tree_int(&m->w, "maxItems", 8);
	tree_string(&m->w, "x-kubernetes-list-type", "map");
	tree_strings(
	    &m->w, "x-kubernetes-list-map-keys", (const char *const[]){"type"}, 1);
	tree_map(&m->w, "items");
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	make_condition_field(m, "type", "Of which condition: Accepted, InForce.");
	tree_int(&m->w, "maxLength", 316);
	tree_close(&m->w);
	make_condition_field(m, "status", "Whether it holds.");
	tree_strings(&m->w, "enum", values, ARRAY_LEN(values));
	tree_close(&m->w);
	make_condition_field(m, "reason", "Why, in one word.");
	tree_string(&m->w, "pattern", "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$");
	tree_int(&m->w, "maxLength", 1024);
	tree_close(&m->w);
	make_condition_field(m, "message", "Why, for people.");
	tree_int(&m->w, "maxLength", 32768);
	tree_close(&m->w);
	make_condition_field(m, "lastTransitionTime", "Since when.");
	tree_string(&m->w, "format", "date-time");
	tree_close(&m->w);
	tree_map(&m->w, "observedGeneration");
	tree_string(&m->w, "description", "Of which generation this is said.");
	tree_string(&m->w, "type", "integer");
	tree_string(&m->w, "format", "int64");
	tree_int(&m->w, "minimum", 0);
	tree_close(&m->w);
	tree_close(&m->w);
	tree_strings(&m->w, "required", required, ARRAY_LEN(required));
	for (int i = 0; i < 4; i++)
		tree_close(&m->w);
}

static void
make_spec(struct schema_maker *m, const struct native_kind *kind)
{
	tree_map(&m->w, "spec");
	tree_string(&m->w, "type", "object");
	json_schema_map(m, kind->spec, true);
	/* There a name cannot be a path. */
	if (kind->tree)
		tree_strings(&m->w, "required", (const char *const[]){"path"}, 1);
	tree_close(&m->w);
}

static void
make_column(struct schema_maker *m, const struct native_column *column, bool wide)
{
	tree_map(&m->w, NULL);
	tree_string(&m->w, "name", column->name);
	tree_string(&m->w, "type", column->type);
	tree_string(&m->w, "jsonPath", column->path);
	if (wide)
		tree_int(&m->w, "priority", 1);
	tree_close(&m->w);
}

#define CONDITION(type, what) ".status.conditions[?(@.type==\"" type "\")]." what

static void
make_columns(struct schema_maker *m, const struct native_kind *kind)
{
	static const struct native_column accepted = {
	    "Accepted", CONDITION("Accepted", "status"), "string"};
	static const struct native_column in_force = {
	    "In force", CONDITION("InForce", "status"), "string"};
	static const struct native_column nodes = {
	    "Nodes", CONDITION("InForce", "message"), "string"};
	static const struct native_column age = {
	    "Age", ".metadata.creationTimestamp", "date"};

	tree_list(&m->w, "additionalPrinterColumns");
	for (size_t i = 0; i < NATIVE_COLUMNS && kind->columns[i].name != NULL; i++)
		make_column(m, &kind->columns[i], false);
	make_column(m, &accepted, false);
	if (kind->on_nodes) {
		make_column(m, &in_force, false);
		make_column(m, &nodes, true);
	}
	make_column(m, &age, false);
	tree_close(&m->w);
}

static void
make_version(struct schema_maker *m, const struct native_kind *kind)
{
	tree_list(&m->w, "versions");
	tree_map(&m->w, NULL);
	tree_string(&m->w, "name", NATIVE_VERSION);
	tree_bool(&m->w, "served", true);
	tree_bool(&m->w, "storage", true);
	tree_map(&m->w, "subresources");
	tree_map(&m->w, "status");
	tree_close(&m->w);
	tree_close(&m->w);
	make_columns(m, kind);
	tree_map(&m->w, "schema");
	tree_map(&m->w, "openAPIV3Schema");
	tree_string(&m->w, "description", kind->about);
	tree_string(&m->w, "type", "object");
	tree_map(&m->w, "properties");
	tree_map(&m->w, "apiVersion");
	tree_string(&m->w, "type", "string");
	tree_close(&m->w);
	tree_map(&m->w, "kind");
	tree_string(&m->w, "type", "string");
	tree_close(&m->w);
	tree_map(&m->w, "metadata");
	tree_string(&m->w, "type", "object");
	tree_close(&m->w);
	make_spec(m, kind);
	make_status(m);
	tree_close(&m->w);
	if (kind->spec_required || kind->tree)
		tree_strings(&m->w, "required", (const char *const[]){"spec"}, 1);
	for (int i = 0; i < 4; i++)
		tree_close(&m->w);
}

static void
print_crd(struct buf *out, const struct native_kind *kind)
{
	struct schema_maker m = {.dialect = STRUCTURAL};
	struct buf name = {0};

	buf_printf(&name, "%s." NATIVE_GROUP, kind->plural);
	tree_begin(&m.w, out, TREE_YAML);
	tree_map(&m.w, NULL);
	tree_string(&m.w, "apiVersion", "apiextensions.k8s.io/v1");
	tree_string(&m.w, "kind", "CustomResourceDefinition");
	tree_map(&m.w, "metadata");
	tree_string(&m.w, "name", name.data);
	tree_close(&m.w);
	tree_map(&m.w, "spec");
	tree_string(&m.w, "group", NATIVE_GROUP);
	tree_string(&m.w, "scope", kind->tree ? "Cluster" : "Namespaced");
	/* A next version with the same fields is served beside this one, and the API server
	 * does nothing but write another apiVersion. */
	tree_map(&m.w, "conversion");
	tree_string(&m.w, "strategy", "None");
	tree_close(&m.w);
	make_names(&m, kind);
	make_version(&m, kind);
	tree_close(&m.w);
	tree_close(&m.w);
	tree_end(&m.w);
	buf_free(&name);
}

void
json_schema_print_crds(struct buf *out, const struct native_kind *kind)
{
	for (size_t i = 0; i < native_kind_count; i++) {
		if (kind != NULL && kind != &native_kinds[i])
			continue;
		if (out->len > 0)
			buf_add_cstr(out, "---\n");
		print_crd(out, &native_kinds[i]);
	}
}
