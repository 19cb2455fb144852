/*
 * What every object has: metadata, an identity, a spec. And the loader's own
 * containers.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load_internal.h"

void
ptr_vec_push(struct ptr_vec *v, void *item)
{
	if (v->count == v->cap) {
		v->cap = v->cap != 0 ? v->cap * 2 : 64;
		v->items = xreallocarray(v->items, v->cap, sizeof(*v->items));
	}
	v->items[v->count++] = item;
}

void
ptr_vec_fini(struct ptr_vec *v)
{
	free(v->items);
	*v = (struct ptr_vec){0};
}

void *
ptr_vec_copy(struct arena *a, const struct ptr_vec *v)
{
	void **copy;

	if (v->count == 0)
		return NULL;
	copy = ARENA_ARRAY(a, v->count, void *);
	memcpy(copy, v->items, v->count * sizeof(*copy));
	return copy;
}

struct str
load_text(struct loader *l, struct str s)
{
	struct str *recent =
	    &l->recent.texts[load_recent_place(&l->recent, map_cache_hash(s))];
	char *known;

	if (recent->ptr != NULL && str_eq(*recent, s))
		return *recent;
	known = map_get(&l->texts, s);
	if (known == NULL) {
		known = arena_strndup(l->arena, s.ptr, s.len);
		map_set(&l->texts, (struct str){known, s.len}, known);
	}
	*recent = (struct str){known, s.len};
	return *recent;
}

bool
load_title(
    struct loader *l, const struct doc_node *node, uint32_t most, struct str *out)
{
	*out = STR("");
	if (node == NULL)
		return true;
	if (node->text.len > most || !name_is_shown(node->text)) {
		diag_say(l->diags, CODE_BAD_NAME, node->loc,
		    "what a rule is called must be at most %u bytes without control "
		    "characters",
		    most);
		return false;
	}
	*out = load_text(l, node->text);
	return true;
}

const void *
load_shared(struct loader *l, const void *items, size_t bytes)
{
	const struct str key = {items, bytes};
	void *known;

	if (bytes == 0)
		return NULL;
	known = map_get(&l->arrays, key);
	if (known != NULL)
		return known;
	known = arena_alloc(l->arena, bytes);
	memcpy(known, items, bytes);
	(void)map_set(&l->arrays, (struct str){known, bytes}, known); /* new */
	return known;
}

const struct workload_shape *
load_shape(struct loader *l, const struct workload_shape *shape)
{
	_Static_assert(sizeof(*shape) == sizeof(struct label_set) +
					     2 * sizeof(struct str) + sizeof(void *) +
					     sizeof(size_t) + 2 * sizeof(uint32_t),
	    "no padding: equal shapes are equal bytes");
	return load_shared(l, shape, sizeof(*shape));
}

const struct workload_where *
load_where(
    struct loader *l, struct str cluster, struct str node, const struct node_word *told)
{
	const struct workload_where where = {
	    load_text(l, cluster), load_text(l, node), told};

	_Static_assert(sizeof(where) == 2 * sizeof(struct str) + sizeof(void *),
	    "no padding: equal places are equal bytes");
	return load_shared(l, &where, sizeof(where));
}

/* For who wants to know later whether another source has an object of the same name. */
static void
note_claim(struct load_note *n, struct str id, struct loc loc)
{
	if (n->claim_count == n->claim_cap) {
		n->claim_cap = n->claim_cap != 0 ? n->claim_cap * 2 : 4;
		n->claims = xreallocarray(n->claims, n->claim_cap, sizeof(*n->claims));
	}
	n->claims[n->claim_count].hash = map_hash(id);
	n->claims[n->claim_count++].source = loc.source;
}

bool
load_claim(struct loader *l, const char *kind, struct str cluster, struct str ns,
    struct str name, struct loc loc)
{
	struct str id = STR_CONCAT(l->scratch, str_from(kind), STR("\n"), cluster,
	    STR("\n"), ns, STR("\n"), name);
	struct loc *mine = ARENA_NEW(l->scratch, struct loc);
	struct loc *first;
	struct diag *d;

	*mine = loc;
	first = map_set(&l->objects, id, mine);
	if (first == NULL) {
		if (l->note != NULL)
			note_claim(l->note, id, loc);
		return true;
	}
	(void)map_set(&l->objects, id, first); /* the first one stays */
	d = diag_say(l->diags, CODE_DUPLICATE_OBJECT, loc,
	    "%s %.*s%s%.*s is given twice", kind, STR_ARG(ns),
	    ns.len != 0 && !str_is(ns, "/") ? "/" : "", STR_ARG(name));
	diag_note(l->diags, d, *first, "the first one is here");
	return false;
}

bool
load_claim_native(
    struct loader *l, const struct load_object *o, const struct meta *meta)
{
	bool path = str_starts(meta->ns, STR("/"));

	return load_claim(l, o->kind->kind, path ? (struct str){0} : meta->cluster,
	    meta->ns, meta->name, meta->loc);
}

/* ---- metadata ---- */

enum {
	META_NAME,
	META_GENERATE_NAME,
	META_NAMESPACE,
	META_LABELS,
	META_ANNOTATIONS,
	META_OWNERS,
	META_FIRST_OTHER,
};

/* In the order of the enumeration above; what follows is only known by name. */
static const struct schema_field meta_fields[] = {
    {"name", TYPE_STRING, false, NULL},
    {"generateName", TYPE_STRING, false, NULL},
    {"namespace", TYPE_STRING, false, NULL},
    {"labels", TYPE_MAP, false, NULL},
    {"annotations", TYPE_MAP, false, NULL},
    {"ownerReferences", TYPE_LIST, false, NULL},
    {"selfLink", TYPE_STRING, false, NULL},
    {"uid", TYPE_STRING, false, NULL},
    {"resourceVersion", TYPE_STRING, false, NULL},
    {"generation", TYPE_INT, false, NULL},
    {"creationTimestamp", TYPE_STRING, false, NULL},
    {"deletionTimestamp", TYPE_STRING, false, NULL},
    {"deletionGracePeriodSeconds", TYPE_INT, false, NULL},
    {"finalizers", TYPE_LIST, false, NULL},
    {"managedFields", TYPE_LIST, false, NULL},
};

#define ANY_VALUE(text)                                                                \
	{                                                                              \
		.about = (text)                                                        \
	}
#define META_VALUES(name_grammar, home)                                                \
	{                                                                              \
		{.about = "The object's name.", .grammar = (name_grammar)},            \
		    {.about = "The beginning of a name that the API server "           \
			      "completes."},                                           \
		    {.about =                                                          \
			    "Where the document applies: a path such as /acme/shop, "  \
			    "or the name of a Kubernetes namespace.",                  \
			.grammar = (home)},                                            \
		    {.about = "Labels, as Kubernetes has them.",                       \
			.keys = &grammar_qualified,                                    \
			.each = &label_value},                                         \
		    {.about =                                                          \
			    "Notes for people and tools; nothing is judged by them.",  \
			.keys = &grammar_annotation,                                   \
			.each = &annotation_value},                                    \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
		    ANY_VALUE("Written by the API server."),                           \
	}

static const struct schema_value label_value = {
    .types = TYPE_STRING | TYPE_NULL, .grammar = &grammar_label_value};
static const struct schema_value annotation_value = {.types = TYPE_STRING | TYPE_NULL};
static const struct schema_value placed_values[ARRAY_LEN(meta_fields)] =
    META_VALUES(&grammar_subdomain, &grammar_home);
static const struct schema_value tree_values[ARRAY_LEN(meta_fields)] =
    META_VALUES(&grammar_tree_name, NULL);
static const struct schema_rule placed_rules[] = {
    {.kind = SCHEMA_SOME, .a = SCHEMA_BIT(META_NAME) | SCHEMA_BIT(META_GENERATE_NAME)},
    {.kind = SCHEMA_SOME, .a = SCHEMA_BIT(META_NAMESPACE)},
};
static const struct schema_rule tree_rules[] = {
    {.kind = SCHEMA_SOME, .a = SCHEMA_BIT(META_NAME) | SCHEMA_BIT(META_GENERATE_NAME)},
    {.kind = SCHEMA_NONE, .a = SCHEMA_BIT(META_NAMESPACE)},
};
const struct schema load_meta_schema =
    SCHEMA_RULED("metadata", meta_fields, placed_values, placed_rules);
const struct schema load_meta_tree_schema =
    SCHEMA_RULED("metadata", meta_fields, tree_values, tree_rules);
static const struct schema meta_open = {
    .what = "metadata", .fields = meta_fields, .count = META_FIRST_OTHER, .open = true};

static bool
check_annotations(struct loader *l, const struct doc_node *map)
{
	bool ok = true;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct doc_entry *e = &map->u.entries[i];

		if (e->value->kind != DOC_NULL)
			ok &= schema_type(
			    l->diags, e->value, "an annotation's value", TYPE_STRING);
		if (name_is_annotation(e->key->text))
			continue;
		diag_say(l->diags, CODE_BAD_LABEL, e->key->loc,
		    "the annotation key \"%.*s\" must be %s", STR_ARG(e->key->text),
		    NAME_QUALIFIED_RULE);
		ok = false;
	}
	return ok;
}

/* Names with underscores are found in files that never met an API server; in them the
 * name only names. */
static bool
is_odd_name(struct str name)
{
	char plain[LIMIT_NAME_BYTES];
	bool odd = false;

	if (name.len > sizeof(plain))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		odd = odd || name.ptr[i] == '_';
		plain[i] = name.ptr[i] == '_' ? '-' : name.ptr[i];
	}
	return odd && name_is_subdomain((struct str){plain, name.len});
}

static bool
check_name(struct loader *l, const struct load_object *o, enum meta_scope scope,
    const struct doc_node *name)
{
	if (name_is_subdomain(name->text))
		return true;
	if (scope == META_NAMESPACED && is_odd_name(name->text)) {
		diag_say(l->diags, CODE_ODD_NAME, name->loc,
		    "the API server takes no '_' in the name of a %s", o->kind->kind);
		return true;
	}
	diag_say(l->diags, CODE_BAD_NAME, name->loc, "the name of a %s must be %s",
	    o->kind->kind, NAME_SUBDOMAIN_RULE);
	return false;
}

/* A cluster's object is a source of its own, called after it: nobody else shares its name, which
 * lasts as the source's does. */
static struct str
own_name(struct loader *l, const struct doc_node *name)
{
	const struct str text = name->text, source = name->loc.source->name;
	const size_t at = source.len - text.len;

	if (source.len > text.len && source.ptr[at - 1] == '/' &&
	    str_eq(str_slice(source, at, source.len), text))
		return str_slice(source, at, source.len);
	return str_dup(l->arena, text);
}

static bool
read_name(struct loader *l, const struct load_object *o, const struct doc_node **v,
    enum meta_scope scope, struct meta *out)
{
	const struct doc_node *name = v[META_NAME];
	const struct doc_node *stem = v[META_GENERATE_NAME];

	if (name == NULL || name->text.len == 0) {
		if (stem != NULL && stem->text.len != 0) {
			out->name = load_text(l, stem->text);
			out->generated = true;
			out->loc = stem->loc;
			return true;
		}
		diag_say(l->diags, CODE_MISSING_FIELD,
		    name != NULL ? name->loc : out->loc, "%s needs a name in metadata",
		    o->kind->kind);
		return false;
	}
	out->loc = name->loc;
	out->name = own_name(l, name);
	if (scope == META_TREE && str_starts(name->text, STR("/")))
		return true; /* a path; whoever reads it checks it */
	return check_name(l, o, scope, name);
}

static bool
read_namespace(struct loader *l, const struct load_object *o,
    const struct doc_node *node, enum meta_scope scope, struct meta *out)
{
	bool absent = node == NULL || node->text.len == 0;
	struct diag *d;

	if (!absent)
		out->ns_loc = node->loc;
	switch (scope) {
	case META_CLUSTER:
	case META_TREE:
		if (absent)
			return true;
		diag_say(l->diags, CODE_UNKNOWN_FIELD, node->loc,
		    "a %s is not in a namespace", o->kind->kind);
		return false;
	case META_NAMESPACED:
		out->ns = absent ? STR("default") : load_text(l, node->text);
		break;
	case META_PLACED:
		if (absent) {
			diag_say(l->diags, CODE_MISSING_FIELD, out->loc,
			    "%s needs metadata.namespace: a path such as /acme, or a "
			    "Kubernetes namespace",
			    o->kind->kind);
			return false;
		}
		out->ns = load_text(l, node->text);
		if (str_starts(node->text, STR("/")))
			return true; /* a path: see load_home */
		break;
	}
	if (name_is_label(out->ns))
		return true;
	d = diag_say(l->diags, CODE_BAD_NAME, out->ns_loc,
	    "a namespace's name must be %s", NAME_LABEL_RULE);
	if (scope == META_PLACED && str_find(out->ns, '/', 0) != out->ns.len)
		diag_hint(l->diags, d, "a path begins with /");
	out->ns = (struct str){0};
	return false;
}

bool
load_meta(struct loader *l, const struct load_object *o, enum meta_scope scope,
    bool open, struct meta *out)
{
	const struct doc_node *v[ARRAY_LEN(meta_fields)] = {NULL};
	const struct doc_node *map = doc_value(o->doc, "metadata");
	bool ok = true;

	*out = (struct meta){.loc = o->doc->loc, .ns_loc = o->doc->loc};
	if (map != NULL) {
		out->loc = map->loc;
		ok = schema_read(
		    l->diags, open ? &meta_open : &load_meta_schema, map, v);
	} else if (doc_get(o->doc, "metadata") != NULL) {
		out->loc = doc_get(o->doc, "metadata")->loc;
	}
	if (map != NULL && v[META_NAME] == NULL && doc_get(map, "name") != NULL)
		out->loc = doc_get(map, "name")->loc;
	if (map != NULL && doc_value(map, "name") != NULL && v[META_NAME] == NULL)
		ok = false; /* of the wrong type: reported */
	else
		ok &= read_name(l, o, v, scope, out);
	if (map != NULL && doc_value(map, "namespace") != NULL &&
	    v[META_NAMESPACE] == NULL)
		ok = false;
	else
		ok &= read_namespace(l, o, v[META_NAMESPACE], scope, out);
	if (v[META_LABELS] != NULL)
		ok &= load_labels(l, v[META_LABELS], &out->labels);
	if (v[META_ANNOTATIONS] != NULL && !open) {
		ok &= check_annotations(l, v[META_ANNOTATIONS]);
		out->enforcement =
		    doc_value(v[META_ANNOTATIONS], ENFORCEMENT_ANNOTATION);
	}
	out->owners = v[META_OWNERS];
	return ok;
}

enum {
	TOP_API_VERSION,
	TOP_KIND,
	TOP_METADATA,
	TOP_SPEC,
	TOP_STATUS
};

static const struct schema_field top_fields[] = {
    /* Not required: items of typed lists inherit these two. */
    [TOP_API_VERSION] = {"apiVersion", TYPE_STRING, false, NULL},
    [TOP_KIND] = {"kind", TYPE_STRING, false, NULL},
    [TOP_METADATA] = {"metadata", TYPE_MAP, false, NULL},
    [TOP_SPEC] = {"spec", TYPE_MAP, false, NULL},
    [TOP_STATUS] = {"status", TYPE_ANY, false, NULL},
};

bool
load_top(
    struct loader *l, const struct load_object *o, const struct doc_node **out_spec)
{
	const struct schema schema = {
	    .what = o->kind->kind,
	    .fields = top_fields,
	    .count = ARRAY_LEN(top_fields),
	    .advice = "what belongs to spec is indented below it",
	};
	const struct doc_node *v[ARRAY_LEN(top_fields)];
	bool ok = schema_read(l->diags, &schema, o->doc, v);
	*out_spec = v[TOP_SPEC];
	return ok;
}
