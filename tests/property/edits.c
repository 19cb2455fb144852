#include "tests/property/edits.h"

#include <string.h>

/* ---- documents ---- */

static struct str
line_after(struct str text, const char *key)
{
	while (text.ptr != NULL) {
		struct str line = str_split(&text, '\n');

		if (str_starts(line, str_from(key)))
			return str_slice(line, strlen(key), line.len);
	}
	return (struct str){0};
}

static void
add_document(struct editor *s, struct documents *docs, struct str part, struct str text)
{
	struct str copy = str_dup(s->arena, text);
	struct str kind = line_after(copy, "kind: ");
	struct str meta = line_after(copy, "metadata: {");
	size_t end = 0;

	if (kind.ptr == NULL || docs->count == DOCUMENTS_MAX)
		return;
	while (end < meta.len && meta.ptr[end] != '}' &&
	       !str_starts(str_slice(meta, end, meta.len), STR(", labels")))
		end++;
	docs->items[docs->count++] = (struct document){
	    .name =
		STR_CONCAT(s->arena, part, STR("/"), line_after(text, "apiVersion: "),
		    STR(" "), kind, STR(" "), str_slice(meta, 0, end), STR(".yaml")),
	    .kind = kind,
	    .text = copy,
	};
}

static void
split_documents(
    struct editor *s, struct documents *docs, struct str part, struct str text)
{
	while (text.len > 0) {
		size_t from = str_starts(text, STR("---\n")) ? 4 : 0, at = from;

		while (at < text.len &&
		       !str_starts(str_slice(text, at, text.len), STR("---\n")))
			at = str_find(text, '\n', at) + 1;
		add_document(s, docs, part, str_slice(text, from, at));
		text = str_slice(text, at, text.len);
	}
}

/* A random cluster with as many clusters as the series has; or, first, with any. */
void
editor_roll(struct editor *s, struct documents *docs, bool first)
{
	struct cluster_texts texts;
	bool again;

	do {
		memset(&texts, 0, sizeof(texts));
		cluster_print(&texts, &s->dice);
		if (!s->plain && dice_roll(&s->dice, 2) == 0)
			cluster_print_routes(&texts.tree, &s->dice);
		if (!s->plain && dice_roll(&s->dice, 2) == 0)
			cluster_print_quotas(&texts.tree, &s->dice);
		if (s->others && dice_roll(&s->dice, 2) == 0)
			cluster_print_others(&texts, &s->dice);
		again = !first && texts.clusters != s->clusters;
		if (!again) {
			s->clusters = texts.clusters;
			docs->count = 0;
			split_documents(s, docs, STR("tree"), buf_str(&texts.tree));
			for (unsigned i = 0; i < texts.clusters; i++)
				split_documents(s, docs, str_from(cluster_names[i]),
				    buf_str(&texts.kube[i]));
		}
		buf_free(&texts.tree);
		for (unsigned i = 0; i < CLUSTER_MAX; i++)
			buf_free(&texts.kube[i]);
	} while (again);
}

/* ---- edits ---- */

static size_t
find_document(const struct documents *docs, struct str name)
{
	for (size_t i = 0; i < docs->count; i++) {
		if (str_eq(docs->items[i].name, name))
			return i;
	}
	return docs->count;
}

bool
document_is_fixed(const struct document *doc)
{
	return str_is(doc->kind, "Namespace") || str_is(doc->kind, "Node");
}

/* Other labels for a namespace or a node. */
static struct str
relabel(struct editor *s, struct str text)
{
	char *copy = arena_strndup(s->arena, text.ptr, text.len);
	char *at = strstr(copy, "team: t");

	if (at == NULL)
		at = strstr(copy, "zone: z");
	if (at != NULL)
		at[7] = (char)('0' + dice_roll(&s->dice, 3));
	return (struct str){copy, text.len};
}

static bool
is_word_char(char c)
{
	return c != '\0' && strchr("[]{}, \n", c) == NULL;
}

/* Where the name of a Kubernetes namespace stands in a list of a text; NULL: not there. */
static const char *
find_placed(const char *text, const char *name)
{
	const char *list = strstr(text, "namespaces: [");
	const char *at = list;

	while (at != NULL && (at = strstr(at + 1, name)) != NULL) {
		if (!is_word_char(at[-1]) && !is_word_char(at[strlen(name)]))
			return at;
	}
	return NULL;
}

static bool
is_placed(struct editor *s, const struct documents *docs, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < docs->count && !found; i++) {
		const struct document *doc = &docs->items[i];

		found =
		    str_is(doc->kind, "Namespace") &&
		    find_placed(arena_strndup(s->arena, doc->text.ptr, doc->text.len),
			name) != NULL;
	}
	return found;
}

/* Places a Kubernetes namespace by the document, or no longer; most often one that is placed
 * nowhere. */
static struct str
replace_placed(struct editor *s, const struct documents *docs, struct str text)
{
	const char *copy = arena_strndup(s->arena, text.ptr, text.len);
	const char *list = strstr(copy, "namespaces: [");
	const char *name = arena_printf(s->arena, "k%u", dice_roll(&s->dice, 8));
	const char *at;

	if (list == NULL)
		return text;
	if (s->clusters != 0)
		name = arena_printf(s->arena, "%s/%s",
		    cluster_names[dice_roll(&s->dice, s->clusters)], name);
	at = find_placed(copy, name);
	if (at != NULL) {
		const char *rest = at + strlen(name);

		return str_from(arena_printf(s->arena, "%.*s%s", (int)(at - copy), copy,
		    str_starts(str_from(rest), STR(", ")) ? rest + 2 : rest));
	}
	if (is_placed(s, docs, name) && dice_roll(&s->dice, 4) != 0)
		return text;
	list += strlen("namespaces: [");
	return str_from(arena_printf(s->arena, "%.*s%s%s%s", (int)(list - copy), copy,
	    name, *list == ']' ? "" : ", ", list));
}

/* Another address for a node; sometimes one that another node has. */
static struct str
move_node(struct editor *s, struct str text)
{
	char *copy = arena_strndup(s->arena, text.ptr, text.len);
	char *at = strstr(copy, "address: 10.9.");

	at = at != NULL ? strchr(at, '}') : NULL;
	if (at != NULL)
		at[-1] = (char)('1' + dice_roll(&s->dice, 9));
	return (struct str){copy, text.len};
}

/* The text with another Kubernetes namespace in the place of one, which most often nobody
 * has spoken of. */
static struct str
move_to_unknown(struct editor *s, struct str text, char from, char to)
{
	char *copy = arena_strndup(s->arena, text.ptr, text.len);

	for (size_t i = 1; i + 1 < text.len; i++) {
		if (copy[i] == 'k' && copy[i + 1] == from &&
		    strchr(" [/", copy[i - 1]) != NULL)
			copy[i + 1] = to;
	}
	return (struct str){copy, text.len};
}

/* A word or two of it are others. */
static struct str
reword(struct editor *s, struct str text)
{
	struct buf old = {0}, once = {0}, twice = {0};
	struct str copy;

	buf_add_str(&old, text);
	cluster_print_reworded(&once, &s->dice, &old);
	cluster_print_reworded(&twice, &s->dice, &once);
	copy = str_dup(s->arena, buf_str(&twice));
	buf_free(&old);
	buf_free(&once);
	buf_free(&twice);
	return copy;
}

static struct document
roll_document(struct editor *s)
{
	static struct documents other;
	struct document doc;
	char from, to;

	editor_roll(s, &other, false);
	doc = other.items[dice_roll(&s->dice, (unsigned)other.count)];
	if (dice_roll(&s->dice, 4) != 0)
		return doc;
	from = (char)('0' + dice_roll(&s->dice, 6));
	to = (char)('6' + dice_roll(&s->dice, 4));
	doc.name = move_to_unknown(s, doc.name, from, to);
	doc.text = move_to_unknown(s, doc.text, from, to);
	return doc;
}

/* Every `from`, which is in no word of another meaning, as `to`. */
static struct str
substitute(struct editor *s, struct str text, const char *from, const char *to)
{
	struct buf out = {0};
	struct str copy;

	while (text.len > 0) {
		if (str_starts(text, str_from(from))) {
			buf_add_cstr(&out, to);
			text = str_slice(text, strlen(from), text.len);
		} else {
			buf_add_char(&out, text.ptr[0]);
			text = str_slice(text, 1, text.len);
		}
	}
	copy = str_dup(s->arena, buf_str(&out));
	buf_free(&out);
	return copy;
}

/* Another workload like the one of the document, with addresses of its own. */
static struct document
replicate(struct editor *s, struct document doc)
{
	unsigned other = 2 + dice_roll(&s->dice, 3);
	const char *name = arena_printf(s->arena, "name: w%u0", other);
	const char *first = arena_printf(s->arena, "10.1.%u.1", other);
	const char *second = arena_printf(s->arena, "10.1.%u.2", other);
	const char *six = arena_printf(s->arena, "fd00:1::%u00", other);

	doc.name = substitute(s, doc.name, "name: w", name);
	doc.text = substitute(s, doc.text, "name: w", name);
	doc.text = substitute(s, doc.text, "10.1.0.", first);
	doc.text = substitute(s, doc.text, "10.1.1.", second);
	doc.text = substitute(s, doc.text, "fd00:1::", six);
	if (dice_roll(&s->dice, 3) == 0)
		doc.text = substitute(s, doc.text, "ort: 80,", "ort: 8080,");
	return doc;
}

static bool
is_workload(const struct document *doc)
{
	return str_is(doc->kind, "Pod") || str_is(doc->kind, "Workload");
}

static struct document
put_document(struct documents *docs, struct document doc)
{
	size_t at = find_document(docs, doc.name);

	if (at == docs->count && docs->count < DOCUMENTS_MAX)
		docs->count++;
	if (at < docs->count)
		docs->items[at] = doc;
	return doc;
}

static bool
places(const struct document *doc)
{
	return str_is(doc->kind, "Namespace") &&
	       str_find(doc->text, '[', 0) != doc->text.len;
}

static bool
is_rare(const struct document *doc)
{
	return str_is(doc->kind, "Route") || str_is(doc->kind, "Quota") ||
	       str_is(doc->kind, "ExternalNetwork");
}

/* Any document, and more often one that places Kubernetes namespaces, or is of a kind of which
 * there are few. */
static size_t
roll_place(struct editor *s, const struct documents *docs)
{
	size_t from = dice_roll(&s->dice, (unsigned)docs->count);
	bool placing = dice_roll(&s->dice, 8) == 0;
	bool rare = !placing && s->others && dice_roll(&s->dice, 4) == 0;

	for (size_t i = 0; i < docs->count && (placing || rare); i++) {
		size_t at = (from + i) % docs->count;

		if (rare ? is_rare(&docs->items[at]) : places(&docs->items[at]))
			return at;
	}
	return from;
}

/* A workload like another comes, or one of those goes; false: there is none. */
static bool
edit_replicas(struct editor *s, struct documents *docs, struct document *out)
{
	size_t from = dice_roll(&s->dice, (unsigned)docs->count);

	for (size_t i = 0; i < docs->count; i++) {
		size_t at = (from + i) % docs->count;

		*out = docs->items[at];
		if (!is_workload(out))
			continue;
		if (dice_roll(&s->dice, 3) == 0)
			docs->items[at] = docs->items[--docs->count];
		else
			*out = put_document(docs, replicate(s, *out));
		return true;
	}
	return false;
}

/* Namespaces are never taken away. Edits `docs`; the name of the document that was taken, put or changed. */
struct document
editor_edit(struct editor *s, struct documents *docs)
{
	size_t at = roll_place(s, docs);
	struct document doc = docs->items[at], replica;

	if (s->plain && dice_roll(&s->dice, 2) == 0 && edit_replicas(s, docs, &replica))
		return replica;
	if (str_is(doc.kind, "Node") && dice_roll(&s->dice, 3) == 0) {
		docs->items[at].text = move_node(s, doc.text);
		return doc;
	}
	if (str_is(doc.kind, "Namespace") && dice_roll(&s->dice, 2) == 0) {
		docs->items[at].text = replace_placed(s, docs, doc.text);
		return doc;
	}
	if (str_is(doc.kind, "Namespace") ||
	    (str_is(doc.kind, "Node") && dice_roll(&s->dice, 2) == 0)) {
		docs->items[at].text = relabel(s, doc.text);
		return doc;
	}
	if (dice_roll(&s->dice, 3) == 0) {
		docs->items[at] = docs->items[--docs->count];
		return doc;
	}
	if (dice_roll(&s->dice, 3) == 0) {
		docs->items[at].text = reword(s, doc.text);
		return doc;
	}
	if (is_workload(&doc) && dice_roll(&s->dice, 2) == 0)
		return put_document(docs, replicate(s, doc));
	return put_document(docs, roll_document(s));
}

/* ---- comparing ---- */

static bool
same_loc(struct loc a, struct loc b)
{
	if (a.source == NULL || b.source == NULL)
		return a.source == b.source;
	return str_eq(a.source->name, b.source->name) && a.line == b.line &&
	       a.col == b.col && a.end_col == b.end_col;
}

static bool
same_hops(const struct table_hop *a, size_t a_count, const struct table_hop *b,
    size_t b_count)
{
	bool same = a_count == b_count;

	for (size_t i = 0; i < a_count && same; i++) {
		same = str_eq(a[i].node, b[i].node);
		for (size_t f = 0; f < ARRAY_LEN(a[i].addr); f++)
			same = same && ip_eq(&a[i].addr[f], &b[i].addr[f]);
	}
	return same;
}

/* By which next hops something leaves, and what is put on when others are down. */
bool
same_ways(const struct table_content *a, const struct table_content *b)
{
	bool same =
	    a->way_count == b->way_count && a->standby_count == b->standby_count;

	for (size_t i = 0; i < a->way_count && same; i++) {
		const struct table_way *x = &a->ways[i], *y = &b->ways[i];

		same = x->number == y->number && x->table == y->table &&
		       strcmp(x->comment, y->comment) == 0 &&
		       same_loc(x->loc, y->loc) &&
		       same_hops(x->hops, x->hop_count, y->hops, y->hop_count);
	}
	for (size_t i = 0; i < a->standby_count && same; i++) {
		const struct table_standby *x = &a->standbys[i], *y = &b->standbys[i];

		same =
		    ip_eq(&x->sources.addr, &y->sources.addr) &&
		    x->sources.len == y->sources.len && x->shared == y->shared &&
		    same_hops(x->before, x->before_count, y->before, y->before_count);
	}
	return same;
}

bool
same_content(const struct table_content *a, const struct table_content *b)
{
	struct buf one = {0}, two = {0};
	bool same = same_ways(a, b);

	table_print_json(&one, a);
	table_print_json(&two, b);
	same = same && str_eq(buf_str(&one), buf_str(&two));
	buf_free(&one);
	buf_free(&two);
	for (size_t i = 0; i < SET_COUNT && same; i++) {
		same = a->element_count[i] == b->element_count[i];
		for (size_t j = 0; j < a->element_count[i] && same; j++)
			same = table_element_equal(
				   &a->elements[i][j], &b->elements[i][j]) &&
			       same_loc(a->elements[i][j].loc, b->elements[i][j].loc);
	}
	return same;
}

/* before - removed + added == after, in the order of elements. */
bool
delta_leads(const struct compile_delta *d, enum table_set_id set,
    const struct table_content *before, const struct table_content *after)
{
	const struct table_element *old = before->elements[set];
	const struct table_element *now = after->elements[set];
	size_t gone = 0, new = 0, i = 0, j = 0;

	while (i < before->element_count[set] || j < after->element_count[set]) {
		if (i < before->element_count[set] && gone < d->removed_count[set] &&
		    table_element_equal(&old[i], &d->removed[set][gone])) {
			gone++;
			i++;
		} else if (j < after->element_count[set] && new < d->added_count[set] &&
			   table_element_equal(&now[j], &d->added[set][new])) {
			new ++;
			j++;
		} else if (i < before->element_count[set] &&
			   j < after->element_count[set] &&
			   table_element_equal(&old[i], &now[j])) {
			i++;
			j++;
		} else {
			return false;
		}
	}
	return gone == d->removed_count[set] && new == d->added_count[set];
}

static const struct table_rule_chain *
find_chain(const struct table_rule_chain *chains, size_t count, uint32_t number)
{
	for (size_t i = 0; i < count; i++) {
		if (chains[i].number == number)
			return &chains[i];
	}
	return NULL;
}

/* What the kernel has of a number once it was told of the difference; NULL: nothing. */
static const struct table_rule_chain *
chain_told(
    const struct compile_delta *d, const struct table_content *before, uint32_t number)
{
	const struct table_rule_chain *chain =
	    find_chain(d->chains_changed, d->chain_changed_count, number);

	if (chain == NULL)
		chain = find_chain(d->chains_added, d->chain_added_count, number);
	for (size_t i = 0; i < d->chain_removed_count && chain == NULL; i++) {
		if (d->chains_removed[i] == number)
			return NULL;
	}
	return chain != NULL
		   ? chain
		   : find_chain(before->rule_chains, before->rule_chain_count, number);
}

bool
delta_leads_chains(const struct compile_delta *d, const struct table_content *before,
    const struct table_content *after)
{
	bool same = before->rule_chain_count + d->chain_added_count ==
		    after->rule_chain_count + d->chain_removed_count;

	for (size_t i = 0; i < d->chain_changed_count && same; i++)
		same = find_chain(before->rule_chains, before->rule_chain_count,
			   d->chains_changed[i].number) != NULL;
	for (size_t i = 0; i < after->rule_chain_count && same; i++) {
		const struct table_rule_chain *told =
		    chain_told(d, before, after->rule_chains[i].number);

		same = told != NULL &&
		       table_rule_chain_equal(told, &after->rule_chains[i]);
	}
	return same;
}
