/*
 * Sources to objects: documents are read, lists opened, and each object is loaded or waits
 * for its stage.
 */
#include "policy-lang/load/load_internal.h"

/* A List may hold Lists; nobody writes them deeper than this. */
#define LIST_DEPTH 4

/* What items of a typed list inherit; {0} for documents. */
struct inherited {
	const struct doc_node *api, *kind;
	unsigned depth;
};

static void add_document(struct loader *l, const struct doc_node *doc,
    struct str cluster, struct inherited from);

/* One of apiVersion and kind. False if it is there and no string. */
static bool
read_type_field(struct loader *l, const struct doc_node *doc, const char *name,
    const struct doc_node *inherited, const struct doc_node **out)
{
	const struct doc_node *node = doc_value(doc, name);

	*out = inherited;
	if (node == NULL)
		return true;
	if (node->kind != DOC_STRING)
		return schema_wrong_type(l->diags, node,
		    arena_printf(l->scratch, "\"%s\"", name), TYPE_STRING, NULL);
	*out = node->text.len != 0 ? node : NULL;
	return true;
}

static bool
is_list(const struct doc_node *api, const struct doc_node *kind)
{
	return str_ends(kind->text, STR("List")) &&
	       load_kind_find(api->text, kind->text) == NULL;
}

/* The items of a List say what they are; those of a PodList are Pods. */
static struct inherited
inherit(struct loader *l, const struct doc_node *api, const struct doc_node *kind,
    unsigned depth)
{
	struct inherited from = {.depth = depth + 1};
	struct doc_node *copies;

	if (str_is(kind->text, "List"))
		return from;
	copies = ARENA_ARRAY(l->scratch, 2, struct doc_node);
	copies[0] = *api;
	copies[1] = *kind;
	copies[1].text = str_slice(kind->text, 0, kind->text.len - 4);
	from.api = &copies[0];
	from.kind = &copies[1];
	return from;
}

static void
add_list(struct loader *l, const struct doc_node *doc, const struct doc_node *api,
    const struct doc_node *kind, struct str cluster, unsigned depth)
{
	const struct doc_node *items = doc_value(doc, "items");
	struct inherited from;

	if (items == NULL)
		return;
	if (!schema_type(l->diags, items, "\"items\"", TYPE_LIST))
		return;
	if (depth + 1 > LIST_DEPTH) {
		diag_say(l->diags, CODE_LIST_DEPTH, doc->loc,
		    "lists are nested more than %d deep", LIST_DEPTH);
		return;
	}
	from = inherit(l, api, kind, depth);
	for (uint32_t i = 0; i < items->count; i++)
		add_document(l, items->u.items[i], cluster, from);
}

/* Neither apiVersion nor kind: a file that is none of ours, unless it looks like it. */
static void
add_untyped(struct loader *l, const struct doc_node *doc, const struct doc_node *api,
    const struct doc_node *kind, struct inherited from)
{
	bool foreign = from.depth == 0 && api == NULL && kind == NULL;

	if (foreign && doc_get(doc, "spec") == NULL &&
	    doc_get(doc, "metadata") == NULL && doc_get(doc, "kind") == NULL &&
	    doc_get(doc, "apiVersion") == NULL) {
		load_skip(l, STR("not an API object"), doc->loc);
		return;
	}
	diag_say(l->diags, CODE_NOT_AN_OBJECT, doc->loc, "the object has no \"%s\"",
	    kind == NULL ? "kind" : "apiVersion");
}

/* Loads it, or sees to it that that comes. What it says itself is told once: now. */
static void
add_object(struct loader *l, const struct load_object *o)
{
	struct diag_list *diags = l->diags;
	struct load_object *waits;

	if (o->kind->stage == l->stage) {
		l->diags = l->told;
		o->kind->load(l, o);
		l->diags = diags;
	} else if (l->reads_again) {
		l->stages |= 1u << o->kind->stage;
	} else {
		waits = ARENA_NEW(l->scratch, struct load_object);
		*waits = *o;
		ptr_vec_push(&l->items, waits);
	}
}

static void
add_document(struct loader *l, const struct doc_node *doc, struct str cluster,
    struct inherited from)
{
	const struct doc_node *api, *kind;
	const struct load_kind *found;

	if (doc->kind != DOC_MAP && from.depth == 0) {
		load_skip(l, STR("not an API object"), doc->loc);
		return;
	}
	if (doc->kind != DOC_MAP) {
		diag_say(l->diags, CODE_NOT_AN_OBJECT, doc->loc,
		    "an item of a list of objects must be a map, not %s",
		    doc_kind_name(doc->kind));
		return;
	}
	if (!read_type_field(l, doc, "apiVersion", from.api, &api) ||
	    !read_type_field(l, doc, "kind", from.kind, &kind))
		return;
	if (api == NULL || kind == NULL) {
		add_untyped(l, doc, api, kind, from);
		return;
	}
	if (is_list(api, kind)) {
		add_list(l, doc, api, kind, cluster, from.depth);
		return;
	}
	found = load_kind_find(api->text, kind->text);
	if (found == NULL)
		load_refuse_or_skip(l, api, kind);
	else
		add_object(l, &(struct load_object){found, doc, cluster});
}

/* The cluster that a source belongs to: the only one, or the longest of the paths given
 * above it. */
static struct str
source_cluster(const struct model_options *options, const struct source *source)
{
	struct str cluster = {0};
	size_t best = 0;

	if (options->cluster_count == 1)
		return options->clusters[0].name;
	for (size_t i = 0; i < options->cluster_count; i++) {
		struct str path = options->clusters[i].path;

		while (path.len > 1 && path.ptr[path.len - 1] == '/')
			path.len--;
		if (!str_starts(source->name, path) || path.len < best)
			continue;
		if (source->name.len > path.len && source->name.ptr[path.len] != '/' &&
		    !str_is(path, "/"))
			continue;
		cluster = options->clusters[i].name;
		best = path.len;
	}
	return cluster;
}

struct source_reader {
	struct loader *l;
	struct str cluster;
	struct inherited from; /* for items that come one by one */
};

/* Documents of which some object is loaded later are kept. */
static bool
read_document(void *ctx, const struct doc_node *doc)
{
	struct source_reader *r = ctx;
	size_t waiting = r->l->items.count;

	add_document(r->l, doc, r->cluster, (struct inherited){0});
	return r->l->items.count != waiting;
}

static bool
is_list_of_items(void *ctx, const struct doc_head *head)
{
	struct source_reader *r = ctx;

	if (!is_list(&head->values[0], &head->values[1]))
		return false;
	r->from = inherit(r->l, &head->values[0], &head->values[1], 0);
	return true;
}

static bool
read_item(void *ctx, const struct doc_head *head UNUSED, const struct doc_node *item)
{
	struct source_reader *r = ctx;
	size_t waiting = r->l->items.count;

	add_document(r->l, item, r->cluster, r->from);
	return r->l->items.count != waiting;
}

static bool
read_source(struct loader *l, const struct source *source)
{
	struct source_reader r = {.l = l};
	const struct doc_stream stream = {
	    .each = read_document,
	    .head_keys = {"apiVersion", "kind"},
	    .items_key = "items",
	    .has_items = is_list_of_items,
	    .item = read_item,
	    .ctx = &r,
	};

	r.cluster = source_cluster(&l->m->options, source);
	return doc_read_stream(l->pages, source, l->diags, &stream);
}

void
load_source(struct loader *l, const struct source *source)
{
	l->stages = 0;
	/* What came before a mistake counts. */
	if (!read_source(l, source))
		l->failed = true;
	if (l->stages == 0)
		return;
	if (l->waiting_count == l->waiting_cap) {
		l->waiting_cap = l->waiting_cap != 0 ? l->waiting_cap * 2 : 64;
		l->waiting =
		    xreallocarray(l->waiting, l->waiting_cap, sizeof(*l->waiting));
	}
	l->waiting[l->waiting_count++] = (struct load_waiting){source, l->stages};
}

/* What is wrong with the source itself has been told. */
void
load_source_again(struct loader *l, const struct source *source)
{
	struct diag_list quiet;

	diag_list_init(&quiet, l->scratch);
	l->diags = &quiet;
	(void)read_source(l, source); /* as the first time */
	l->diags = l->told;
}
