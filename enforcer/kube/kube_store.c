#include "enforcer/kube/kube_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MOST 600 /* a namespace, a slash, a name */

struct kube_entry {
	uint32_t pass;
	uint8_t kind;
	bool told;              /* whoever follows may know it */
	bool changed;           /* is in the queue ... */
	uint32_t place;         /* ... there */
	struct kube_text *text; /* NULL: gone, which is yet to be told */
	char name[];            /* NUL-terminated */
};

void
kube_store_init(struct kube_store *s, struct str cluster)
{
	*s = (struct kube_store){.cluster = xmalloc(cluster.len + 1)};
	if (cluster.len != 0)
		memcpy(s->cluster, cluster.ptr, cluster.len);
	s->cluster[cluster.len] = '\0';
}

static void
free_entry(struct kube_store *s, struct kube_entry *e)
{
	(void)map_remove(&s->kinds[e->kind].by_name, str_from(e->name)); /* it is */
	kube_text_free(&s->texts, e->text);
	free(e);
}

void
kube_store_fini(struct kube_store *s)
{
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		struct map *map = &s->kinds[i].by_name;

		for (size_t j = 0; j < map->len; j++) {
			struct kube_entry *e = map->entries[j].value;

			kube_text_free(&s->texts, e->text);
			free(e);
		}
		map_fini(map);
	}
	kube_texts_fini(&s->texts);
	free(s->changed);
	free(s->cluster);
}

/* ---- changes ---- */

/* Closes up where changes were taken back. Then half of it is free, if it is not all in use. */
static void
make_room(struct kube_store *s)
{
	size_t end = 0;

	for (size_t i = s->changed_head; i < s->changed_end; i++) {
		struct kube_entry *e = s->changed[i];

		if (e == NULL)
			continue;
		e->place = (uint32_t)end;
		s->changed[end++] = e;
	}
	s->changed_head = 0;
	s->changed_end = end;
	if (end <= s->changed_cap / 2 && s->changed_cap != 0)
		return;
	s->changed_cap = s->changed_cap != 0 ? s->changed_cap * 2 : 64;
	s->changed =
	    xreallocarray(s->changed, s->changed_cap, sizeof(struct kube_entry *));
}

static void
note_changed(struct kube_store *s, struct kube_entry *e)
{
	if (e->changed)
		return;
	if (s->changed_end == s->changed_cap)
		make_room(s);
	e->changed = true;
	e->place = (uint32_t)s->changed_end;
	s->changed[s->changed_end++] = e;
	s->changed_count++;
}

/* The first of the queue, which it leaves. There is one. */
static struct kube_entry *
take_changed(struct kube_store *s)
{
	struct kube_entry *e = NULL;

	while (e == NULL)
		e = s->changed[s->changed_head++];
	s->changed_count--;
	e->changed = false;
	return e;
}

/* It came and went before anybody was told of it: so nothing of it is left. However far behind
 * whoever follows is, what waits is no more than what there is and what was told. */
static void
take_back(struct kube_store *s, struct kube_entry *e)
{
	s->changed[e->place] = NULL;
	s->changed_count--;
	free_entry(s, e);
}

/* NULL: it is gone. */
static void
set_text(struct kube_store *s, struct kube_entry *e, struct kube_text *text)
{
	struct kube_objects *objects = &s->kinds[e->kind];

	objects->edits++;
	if (e->text != NULL) {
		objects->count--;
		objects->bytes -= kube_text_len(e->text);
		kube_text_free(&s->texts, e->text);
	}
	e->text = text;
	if (text != NULL) {
		objects->count++;
		objects->bytes += kube_text_len(text);
	}
	if (e->text == NULL && e->changed && !e->told)
		take_back(s, e);
	else
		note_changed(s, e);
}

static struct kube_entry *
new_entry(struct kube_store *s, size_t kind, struct str name)
{
	struct kube_entry *e = xcalloc(1, sizeof(*e) + name.len + 1);

	e->kind = (uint8_t)kind;
	memcpy(e->name, name.ptr, name.len);
	(void)map_set(&s->kinds[kind].by_name, (struct str){e->name, name.len}, e);
	return e;
}

void
kube_store_put(struct kube_store *s, size_t kind, const struct kube_object *object)
{
	struct kube_objects *objects = &s->kinds[kind];
	const bool gone = object->event == KUBE_DELETED || object->finished;
	char name[NAME_MOST];
	struct kube_entry *e;
	struct str key;
	int n;

	n = snprintf(name, sizeof(name), "%.*s%s%.*s", STR_ARG(object->namespace),
	    object->namespace.len != 0 ? "/" : "", STR_ARG(object->name));
	if (n < 0 || (size_t)n >= sizeof(name))
		base_die("a name is too long"); /* the decoder lets none through */
	key = (struct str){name, (size_t)n};
	e = map_get(&objects->by_name, key);
	if (e == NULL && gone)
		return;
	if (e == NULL)
		e = new_entry(s, kind, key);
	e->pass = objects->pass;
	if (gone ? e->text == NULL
		 : e->text != NULL && kube_text_is(e->text, object->text))
		return; /* what is of interest is as it was */
	/* The new one first: what it shares with the old one stays. */
	set_text(s, e,
	    gone ? NULL
		 : kube_text_new(
		       &s->texts, object->text, object->cuts, object->cut_count));
}

void
kube_store_list_begin(struct kube_store *s, size_t kind)
{
	s->kinds[kind].pass++;
}

void
kube_store_list_end(struct kube_store *s, size_t kind)
{
	struct map *map = &s->kinds[kind].by_name;

	/* From the end: what is taken out is replaced by the last. */
	for (size_t i = map->len; i-- > 0;) {
		struct kube_entry *e = map->entries[i].value;

		if (e->pass != s->kinds[kind].pass && e->text != NULL)
			set_text(s, e, NULL);
	}
}

void
kube_store_clear(struct kube_store *s, size_t kind)
{
	kube_store_list_begin(s, kind);
	kube_store_list_end(s, kind);
}

/* ---- telling ---- */

size_t
kube_store_changed(const struct kube_store *s)
{
	return s->changed_count;
}

static struct str
full_name(const struct kube_store *s, struct arena *arena, const struct kube_entry *e)
{
	return STR_CONCAT(arena, str_from(s->cluster), STR("/"),
	    str_from(kube_kinds[e->kind].name), STR("/"), str_from(e->name));
}

struct named {
	struct str name;
	struct kube_entry *entry;
};

static int
by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static void
split(
    struct arena *arena, const struct named *all, size_t count, struct kube_whole *out)
{
	*out = (struct kube_whole){
	    .names = {ARENA_ARRAY(arena, count, struct source), count},
	    .entries = ARENA_ARRAY(arena, count, struct kube_entry *),
	};
	for (size_t i = 0; i < count; i++) {
		out->names.sources[i] = (struct source){all[i].name, STR("")};
		out->entries[i] = all[i].entry;
	}
}

void
kube_store_whole(struct kube_store *s, struct arena *arena, struct kube_whole *out)
{
	struct named *all;
	size_t count = 0, at = 0;

	while (s->changed_count != 0) {
		struct kube_entry *e = take_changed(s);

		e->told = true;
		if (e->text == NULL)
			free_entry(s, e);
	}
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++)
		count += s->kinds[i].count;
	all = xcalloc(count + 1, sizeof(*all));
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		const struct map *map = &s->kinds[i].by_name;

		for (size_t j = 0; j < map->len; j++) {
			struct kube_entry *e = map->entries[j].value;

			all[at++] = (struct named){full_name(s, arena, e), e};
		}
	}
	qsort(all, count, sizeof(*all), by_name);
	split(arena, all, count, out);
	free(all);
}

struct str
kube_store_text(const struct kube_entry *e, struct buf *out)
{
	buf_clear(out);
	kube_text_add(e->text, out);
	return buf_str(out);
}

static void
add_source(const struct kube_store *s, struct arena *arena, const struct kube_entry *e,
    struct bundle *out)
{
	struct buf text = {0};

	out->sources[out->count++] = (struct source){
	    full_name(s, arena, e), str_dup(arena, kube_store_text(e, &text))};
	buf_free(&text);
}

void
kube_store_edit(struct kube_store *s, struct arena *arena, size_t most,
    size_t most_bytes, struct bundle *out_changed, struct str **out_gone,
    size_t *out_gone_count)
{
	const size_t room = most < s->changed_count ? most : s->changed_count;
	size_t bytes = 0;

	*out_changed =
	    (struct bundle){.sources = ARENA_ARRAY(arena, room + 1, struct source)};
	*out_gone = ARENA_ARRAY(arena, room, struct str);
	*out_gone_count = 0;
	for (size_t i = 0; i < room && bytes < most_bytes; i++) {
		struct kube_entry *e = take_changed(s);

		e->told = true;
		bytes += (e->text != NULL ? kube_text_len(e->text) : 0) + NAME_MOST;
		if (e->text != NULL) {
			add_source(s, arena, e, out_changed);
		} else {
			(*out_gone)[(*out_gone_count)++] = full_name(s, arena, e);
			free_entry(s, e);
		}
	}
}
