#include "common/doc_tree.h"

#include <stdlib.h>
#include <string.h>

/* Up to so many keys are compared pair by pair; beyond it a hash map pays. */
#define FEW_KEYS 16

const char doc_merge_text[] = "<<";

void
doc_tree_init(struct doc_tree *t, struct arena *arena, const struct source *source,
    struct diag_list *diags, struct str text)
{
	*t = (struct doc_tree){
	    .arena = arena, .source = source, .diags = diags, .text = text};
	t->cache = xcalloc(DOC_CACHE_SLOTS, sizeof(*t->cache));
	t->cap = 256;
	t->stack = xcalloc(t->cap, sizeof(struct doc_node *));
}

void
doc_tree_fini(struct doc_tree *t)
{
	free(t->stack);
	free(t->docs);
	free(t->cache);
	t->stack = NULL;
	t->docs = NULL;
	t->cache = NULL;
}

void
doc_tree_new_block(struct doc_tree *t)
{
	t->block = ARENA_ARRAY(t->arena, DOC_NODE_BLOCK, struct doc_node);
	t->block_left = DOC_NODE_BLOCK;
}

/* Where a short text is to be kept that another document had, too: on a shelf, while
 * there is room. */
static char *
shelf_place(struct doc_tree *t, size_t len)
{
	char *place = t->shelf;

	if (t->shelf_left <= len)
		return NULL;
	t->shelf += len + 1;
	t->shelf_left -= len + 1;
	return place;
}

/* The text's place in the cache, with a copy of the text. */
static struct doc_cached *
cache_text(struct doc_tree *t, struct str text)
{
	uint32_t hash = (uint32_t)(map_cache_hash(text) >> 32);
	struct doc_cached *c = &t->cache[hash % DOC_CACHE_SLOTS];
	bool valid = c->on_shelf || c->rewinds == t->rewinds;
	char *copy = NULL;

	if (c->hash == hash && valid && c->len == text.len &&
	    memcmp(c->text, text.ptr, text.len) == 0)
		return c;
	if (c->hash == hash && !valid)
		copy = shelf_place(t, text.len);
	*c = (struct doc_cached){
	    .hash = hash,
	    .rewinds = t->rewinds,
	    .len = (uint8_t)text.len,
	    .on_shelf = copy != NULL,
	};
	if (copy != NULL)
		memcpy(copy, text.ptr, text.len); /* shelves are zeroed */
	c->text = copy != NULL ? copy : str_dup(t->arena, text).ptr;
	return c;
}

struct str
doc_tree_text(struct doc_tree *t, struct str text)
{
	if (text.len == 0 || t->dry)
		return STR("");
	if (text.len > DOC_CACHE_BYTES)
		return str_dup(t->arena, text);
	return (struct str){cache_text(t, text)->text, text.len};
}

void
doc_tree_plain_text(struct doc_tree *t, struct doc_node *node, struct str text)
{
	struct doc_cached *cached;

	if (text.len == 0 || text.len > DOC_CACHE_BYTES || t->dry) {
		node->text = doc_tree_text(t, text);
		(void)doc_scalar_resolve_plain(t, node); /* nowhere to note it */
		return;
	}
	cached = cache_text(t, text);
	node->text = (struct str){cached->text, text.len};
	if (!cached->is_string)
		cached->is_string = doc_scalar_resolve_plain(t, node);
	else
		node->kind = DOC_STRING;
}

struct diag *
doc_tree_error(
    struct doc_tree *t, const char *code, struct loc loc, const char *fmt, ...)
{
	struct buf text = {0};
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	d = diag_error(t->diags, code, loc, "%s", text.data);
	buf_free(&text);
	t->failed = true;
	return d;
}

static void
push_node(struct doc_node ***array, size_t *len, size_t *cap, struct doc_node *node)
{
	if (*len == *cap) {
		*cap = *cap != 0 ? *cap * 2 : 256;
		*array = xreallocarray(*array, *cap, sizeof(struct doc_node *));
	}
	(*array)[(*len)++] = node;
}

static void
attach(struct doc_tree *t, struct doc_node *node, size_t height)
{
	struct doc_frame *frame;

	if (t->depth == 0) {
		t->root = node;
		return;
	}
	if (t->dry)
		return;
	if (doc_tree_at_item(t)) {
		doc_tree_end_item(t, node);
		return;
	}
	push_node(&t->stack, &t->len, &t->cap, node);
	frame = &t->frames[t->depth - 1];
	if (frame->height < height + 1)
		frame->height = height + 1;
	/* Keys stand at the even places. */
	if (node->text.ptr == doc_merge_text && frame->node->kind == DOC_MAP &&
	    (t->len - frame->base) % 2 == 1)
		frame->merges = true;
}

static bool
count_nodes(struct doc_tree *t, uint64_t count, struct loc loc)
{
	t->nodes += count;
	if (t->nodes <= LIMIT_DOC_NODES)
		return true;
	doc_tree_error(
	    t, DOC_CODE_LIMIT, loc, "more than %u values in one file", LIMIT_DOC_NODES);
	return false;
}

bool
doc_tree_add(struct doc_tree *t, struct doc_node *node)
{
	attach(t, node, 0);
	return count_nodes(t, 1, node->loc);
}

bool
doc_tree_add_alias(struct doc_tree *t, const struct doc_anchor *anchor, struct loc loc)
{
	t->alias_nodes += anchor->nodes;
	if (t->alias_nodes > LIMIT_DOC_ALIAS_NODES) {
		doc_tree_error(t, DOC_CODE_LIMIT, loc,
		    "aliases repeat more than %u values: write them out, or fewer",
		    LIMIT_DOC_ALIAS_NODES);
		return false;
	}
	if (t->depth + anchor->height > LIMIT_DOC_DEPTH) {
		doc_tree_error(t, DOC_CODE_LIMIT, loc,
		    "nested more than %u levels deep by way of this alias",
		    LIMIT_DOC_DEPTH);
		return false;
	}
	attach(t, anchor->node, anchor->height);
	return count_nodes(t, anchor->nodes, loc);
}

bool
doc_tree_open(
    struct doc_tree *t, enum doc_kind kind, struct loc loc, struct doc_anchor *anchor)
{
	struct doc_node *node;

	if (t->depth == LIMIT_DOC_DEPTH) {
		doc_tree_error(t, DOC_CODE_LIMIT, loc,
		    "nested more than %u levels deep", LIMIT_DOC_DEPTH);
		return false;
	}
	node = doc_tree_node(t, kind, loc);
	t->frames[t->depth++] = (struct doc_frame){
	    .node = node,
	    .anchor = anchor,
	    .base = t->len,
	    .height = 1,
	    .nodes_before = t->nodes,
	};
	if (t->streams && doc_tree_opens_items(t))
		doc_tree_begin_items(t);
	return count_nodes(t, 1, loc);
}

/* ---- maps ---- */

static void
warn_boolean_key(struct doc_tree *t, const struct doc_node *key, const char *text)
{
	struct diag *d;

	if (str_is(key->text, text))
		return;
	d = diag_warn(t->diags, DOC_CODE_KEY, key->loc,
	    "the key %s is a boolean and is read as \"%s\"", key->text.ptr, text);
	diag_hint(t->diags, d, "quote it if it is meant as text");
}

/* The key as text, which JSON needs; NULL, and reported, if it cannot be. Never the same
 * node changed: an alias may use that as a value. */
static struct doc_node *
key_to_text(struct doc_tree *t, struct doc_node *key)
{
	struct doc_node *copy;
	const char *text;

	switch (key->kind) {
	case DOC_STRING:
		return key;
	case DOC_BOOL:
		text = key->u.boolean ? "true" : "false";
		warn_boolean_key(t, key, text);
		break;
	case DOC_INT:
		text = arena_printf(t->arena, "%lld", (long long)key->u.integer);
		break;
	case DOC_NULL:
	case DOC_FLOAT:
	case DOC_LIST:
	case DOC_MAP:
	default:
		doc_tree_error(t, DOC_CODE_KEY, key->loc, "a key must be text, not %s",
		    doc_kind_name(key->kind));
		return NULL;
	}
	copy = doc_tree_node(t, DOC_STRING, key->loc);
	copy->text = str_from(text);
	return copy;
}

static void
report_duplicate(
    struct doc_tree *t, const struct doc_node *key, const struct doc_node *former)
{
	struct diag *d = doc_tree_error(t, DOC_CODE_DUPLICATE, key->loc,
	    "the key \"%.*s\" is given twice", STR_ARG(key->text));

	diag_note(t->diags, d, former->loc, "the first one is here");
}

/* Finds the entry with the same key among the first `count`. */
static struct doc_entry *
find_entry(struct doc_entry *entries, size_t count, struct str key)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(entries[i].key->text, key))
			return &entries[i];
	}
	return NULL;
}

/* A map without merge keys. */
static void
close_plain_map(struct doc_tree *t, struct doc_node *map, struct doc_node **pairs,
    size_t pair_count)
{
	struct doc_entry *entries = ARENA_ARRAY(t->arena, pair_count, struct doc_entry);
	struct map index = {0};
	size_t count = 0;

	for (size_t i = 0; i < pair_count; i++) {
		struct doc_node *key = key_to_text(t, pairs[2 * i]);
		struct doc_entry *former;

		if (key == NULL)
			continue;
		former = pair_count <= FEW_KEYS ? find_entry(entries, count, key->text)
						: map_get(&index, key->text);
		if (former != NULL) {
			report_duplicate(t, key, former->key);
			continue;
		}
		entries[count] = (struct doc_entry){key, pairs[2 * i + 1]};
		if (pair_count > FEW_KEYS)
			(void)map_set(&index, key->text, &entries[count]);
		count++;
	}
	map->u.entries = entries;
	map->count = (uint32_t)count;
	map_fini(&index);
}

/* A map under construction that has merge keys. */
struct merger {
	struct doc_tree *tree;
	struct doc_entry *entries;
	size_t count;
	struct map index;   /* key -> entry */
	struct map written; /* key -> key node: those that stand in the map itself */
};

/* How many entries the value of a merge key can bring; false if it is of no use. */
static bool
count_merged(const struct doc_node *value, size_t *count)
{
	if (value->kind == DOC_MAP) {
		*count += value->count;
		return true;
	}
	if (value->kind != DOC_LIST)
		return false;
	for (size_t i = 0; i < value->count; i++) {
		if (value->u.items[i]->kind != DOC_MAP)
			return false;
		*count += value->u.items[i]->count;
	}
	return true;
}

static void
merge_entry(struct merger *m, struct doc_node *key, struct doc_node *value)
{
	struct doc_entry *entry = map_get(&m->index, key->text);

	if (entry != NULL) {
		*entry = (struct doc_entry){key, value};
		return;
	}
	m->entries[m->count] = (struct doc_entry){key, value};
	(void)map_set(&m->index, key->text, &m->entries[m->count]);
	m->count++;
}

static void
merge_map(struct merger *m, const struct doc_node *map, struct loc merge_loc)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct doc_entry *entry = &map->u.entries[i];
		const struct doc_node *former = map_get(&m->written, entry->key->text);

		if (former != NULL) {
			struct diag *d =
			    diag_warn(m->tree->diags, DOC_CODE_MERGE, merge_loc,
				"this merge replaces \"%.*s\", which stands before it",
				STR_ARG(entry->key->text));

			diag_hint(m->tree->diags, d, "put << first");
			diag_note(m->tree->diags, d, former->loc, "replaced here");
		}
		merge_entry(m, entry->key, entry->value);
	}
}

/* Kubernetes' reader takes entries in the order of the text, merges included; of
 * several maps in one merge the first wins. */
static void
merge_value(struct merger *m, const struct doc_node *value, struct loc merge_loc)
{
	if (value->kind == DOC_MAP) {
		merge_map(m, value, merge_loc);
		return;
	}
	for (size_t i = value->count; i-- > 0;)
		merge_map(m, value->u.items[i], merge_loc);
}

static void
write_entry(struct merger *m, struct doc_node *written_key, struct doc_node *value)
{
	struct doc_node *key = key_to_text(m->tree, written_key);
	const struct doc_node *former;

	if (key == NULL)
		return;
	former = map_get(&m->written, key->text);
	if (former != NULL) {
		report_duplicate(m->tree, key, former);
		return;
	}
	(void)map_set(&m->written, key->text, key);
	merge_entry(m, key, value);
}

static void
close_merging_map(struct doc_tree *t, struct doc_node *map, struct doc_node **pairs,
    size_t pair_count)
{
	struct merger m = {.tree = t};
	size_t room = pair_count;

	for (size_t i = 0; i < pair_count; i++) {
		if (pairs[2 * i]->text.ptr == doc_merge_text &&
		    !count_merged(pairs[2 * i + 1], &room)) {
			doc_tree_error(t, DOC_CODE_MERGE, pairs[2 * i]->loc,
			    "<< takes a map or a list of maps");
			pairs[2 * i] = NULL;
		}
	}
	m.entries = ARENA_ARRAY(t->arena, room, struct doc_entry);
	for (size_t i = 0; i < pair_count; i++) {
		struct doc_node *key = pairs[2 * i], *value = pairs[2 * i + 1];

		if (key == NULL)
			continue;
		if (key->text.ptr == doc_merge_text)
			merge_value(&m, value, key->loc);
		else
			write_entry(&m, key, value);
	}
	map->u.entries = m.entries;
	map->count = (uint32_t)m.count;
	map_fini(&m.index);
	map_fini(&m.written);
}

void
doc_tree_close(struct doc_tree *t)
{
	struct doc_frame frame = t->frames[--t->depth];
	struct doc_node **children = t->stack + frame.base;
	size_t count = t->len - frame.base;

	if (t->dry)
		return;
	if (t->depth == 1)
		t->in_items = false;
	if (frame.node->kind == DOC_LIST) {
		frame.node->u.items = ARENA_ARRAY(t->arena, count, struct doc_node *);
		for (size_t i = 0; i < count; i++)
			frame.node->u.items[i] = children[i];
		frame.node->count = (uint32_t)count;
	} else if (frame.merges) {
		close_merging_map(t, frame.node, children, count / 2);
	} else {
		close_plain_map(t, frame.node, children, count / 2);
	}
	t->len = frame.base;
	if (frame.anchor != NULL) {
		frame.anchor->node = frame.node;
		frame.anchor->nodes = t->nodes - frame.nodes_before;
		frame.anchor->height = frame.height;
	}
	attach(t, frame.node, frame.height);
}

void
doc_tree_mark(struct doc_tree *t)
{
	if (t->rewinds >= DOC_SHELF_REWINDS && t->shelf_left <= DOC_CACHE_BYTES &&
	    t->shelves < DOC_SHELVES) {
		t->shelf = arena_alloc(t->arena, DOC_SHELF_BYTES);
		t->shelf_left = DOC_SHELF_BYTES;
		t->shelves++;
	}
	t->mark = arena_mark(t->arena);
	t->mark_block = t->block;
	t->mark_block_left = t->block_left;
}

/* The rest of the first block of nodes lies before the mark, and is new again too. */
void
doc_tree_rewind(struct doc_tree *t)
{
	arena_rewind(t->arena, &t->mark);
	t->block = t->mark_block;
	t->block_left = t->mark_block_left;
	if (t->block_left > 0)
		memset(t->block, 0, t->block_left * sizeof(*t->block));
	t->rewinds++;
}

void
doc_tree_end_document(struct doc_tree *t)
{
	struct doc_node *root = t->root;

	t->root = NULL;
	if (t->dry)
		return;
	doc_tree_check_head(t, root);
	if (root != NULL && root->kind == DOC_NULL)
		root = NULL;
	if (t->each == NULL) {
		if (root != NULL)
			push_node(&t->docs, &t->doc_count, &t->doc_cap, root);
		return;
	}
	if (root == NULL || !t->each(t->each_ctx, root))
		doc_tree_rewind(t);
	doc_tree_mark(t);
}
