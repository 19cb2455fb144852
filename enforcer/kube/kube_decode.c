#include "enforcer/kube/kube_decode.h"

#include <string.h>

enum place {
	OUTSIDE, /* of the list, or between events */
	OUTER,   /* in the list itself, or in the event */
	META,    /* the list's */
	ITEMS,
	OBJECT,
};

enum outer_key {
	KEY_METADATA,
	KEY_ITEMS,
	KEY_TYPE,
	KEY_OBJECT,
	KEY_OTHER,
};

/* A container of which nothing is told until it ends. */
enum inner {
	INNER_NONE,
	INNER_SKIP,
	INNER_COPY,
};

/* Which member of an object we are in, as far as that matters. */
enum part {
	PART_OTHER,
	PART_METADATA,
	PART_STATUS,
};

enum capture {
	CAPTURE_NAME,
	CAPTURE_NAMESPACE,
	CAPTURE_VERSION,
	CAPTURE_PHASE,
	CAPTURE_NONE,
};

static const struct {
	uint8_t part;
	const char *key;
} captures[] = {
    [CAPTURE_NAME] = {PART_METADATA, "name"},
    [CAPTURE_NAMESPACE] = {PART_METADATA, "namespace"},
    [CAPTURE_VERSION] = {PART_METADATA, "resourceVersion"},
    [CAPTURE_PHASE] = {PART_STATUS, "phase"},
};

static const struct {
	const char *type;
	enum kube_event event;
} event_types[] = {
    {"ADDED", KUBE_ADDED},
    {"MODIFIED", KUBE_MODIFIED},
    {"DELETED", KUBE_DELETED},
    {"BOOKMARK", KUBE_BOOKMARK},
    {"ERROR", KUBE_ERROR},
};

void
kube_decode_init(struct kube_decode *d, const struct kube_kind *kind, bool watch,
    kube_object_fn object, void *arg)
{
	*d = (struct kube_decode){
	    .kind = kind, .watch = watch, .object = object, .arg = arg};
	json_scan_init(&d->scan, watch);
	d->scan.keep = true;
}

void
kube_decode_free(struct kube_decode *d)
{
	json_scan_free(&d->scan);
	buf_free(&d->text);
	buf_free(&d->token);
	for (size_t i = 0; i < ARRAY_LEN(d->captured); i++)
		buf_free(&d->captured[i]);
}

bool
kube_decode_complete(const struct kube_decode *d)
{
	return !d->failed && d->place == OUTSIDE && json_scan_complete(&d->scan);
}

static void
fail(struct kube_decode *d, const char *why)
{
	if (!d->failed)
		d->why = why;
	d->failed = true;
}

/* ---- what is copied ---- */

static void
check_size(struct kube_decode *d)
{
	if (d->text.len > KUBE_TEXT_BYTES)
		fail(d, "an object is too large");
}

/* Bytes that were scanned; what stands between a key and its value is left out. */
static void
copy(struct kube_decode *d, struct str bytes)
{
	if (!d->copying)
		return;
	while (!d->begun && bytes.len != 0) {
		d->begun = strchr(" \t\r\n:", bytes.ptr[0]) == NULL;
		if (!d->begun)
			bytes = str_slice(bytes, 1, bytes.len);
	}
	buf_add_str(&d->text, bytes);
	check_size(d);
}

static void
pass_over(struct kube_decode *d, enum inner inner)
{
	d->inner = (uint8_t)inner;
	d->scan.quiet = d->scan.depth;
}

static void
value_done(struct kube_decode *d)
{
	d->copying = false;
	d->scan.keep = true;
}

/* ---- an object ---- */

static struct kube_level *
top_level(struct kube_decode *d)
{
	return &d->levels[d->level_count - 1];
}

static void
push_level(struct kube_decode *d, uint32_t paths, unsigned steps, bool list, bool empty)
{
	if (d->level_count == KUBE_FILTER_LEVELS) {
		fail(d, "lists in lists");
		return;
	}
	d->levels[d->level_count++] = (struct kube_level){
	    .paths = paths, .steps = steps, .list = list, .empty = empty};
	value_done(d);
}

static void
begin_object(struct kube_decode *d, enum kube_event event)
{
	d->place = OBJECT;
	d->event = event;
	d->level_count = 0;
	d->captured_bits = 0;
	d->cut_count = 0;
	d->part = PART_OTHER;
	d->capture = CAPTURE_NONE;
	buf_clear(&d->text);
	if (event == KUBE_ERROR) {
		buf_add_char(&d->text, '{');
		d->copying = d->begun = true;
		pass_over(d, INNER_COPY);
		return;
	}
	buf_add_cstr(&d->text, d->kind->head);
	push_level(
	    d, (uint32_t)((UINT64_C(1) << d->kind->keep_count) - 1), 0, false, false);
}

static struct str
captured(const struct kube_decode *d, enum capture what)
{
	return (d->captured_bits & 1u << what) != 0 ? buf_str(&d->captured[what])
						    : STR("");
}

/* A step of a path, as what names the object has it. */
static bool
is_step(struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == '/' ||
		    name.ptr[i] == '\x7f')
			return false;
	}
	return name.len != 0 && name.len <= 253;
}

static bool
is_named(const struct kube_decode *d, const struct kube_object *o)
{
	if (o->event == KUBE_BOOKMARK || o->event == KUBE_ERROR)
		return true;
	return is_step(o->name) &&
	       (d->kind->namespaced ? is_step(o->namespace) : o->namespace.len == 0);
}

static void
finish_object(struct kube_decode *d)
{
	const struct str version = captured(d, CAPTURE_VERSION);
	const struct str phase = captured(d, CAPTURE_PHASE);
	struct kube_object o = {
	    .event = d->event,
	    .namespace = captured(d, CAPTURE_NAMESPACE),
	    .name = captured(d, CAPTURE_NAME),
	    .finished = d->kind->ends &&
			(str_is(phase, "Succeeded") || str_is(phase, "Failed")),
	    .text = buf_str(&d->text),
	    .cuts = d->cuts,
	    .cut_count = d->cut_count,
	};

	d->place = d->watch ? OUTER : ITEMS;
	if (version.len != 0 && !str_to_u64(version, UINT64_MAX, &o.version))
		fail(d, "a resourceVersion is no number");
	else if (d->watch && d->event != KUBE_ERROR && o.version == 0)
		fail(d, "an event without a resourceVersion");
	else if (!is_named(d, &o))
		fail(d, "an object without a name");
	if (d->failed)
		return;
	d->objects++;
	if (!d->object(d->arg, &o))
		fail(d, "");
}

static enum capture
find_capture(const struct kube_decode *d, struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(captures); i++) {
		if (captures[i].part == d->part && str_is(key, captures[i].key))
			return (enum capture)i;
	}
	return CAPTURE_NONE;
}

/* Which paths go on with this key; whose what it leads to is. */
static enum kube_of
follow(struct kube_decode *d, const struct kube_level *level, struct str key)
{
	enum kube_of of = KUBE_OF_KIN;

	d->paths = 0;
	d->whole = false;
	for (unsigned i = 0; i < d->kind->keep_count; i++) {
		const char *const *steps = d->kind->keep[i].steps;

		if ((level->paths >> i & 1) == 0 || !str_is(key, steps[level->steps]))
			continue;
		d->paths |= UINT32_C(1) << i;
		if (level->steps + 1 != KUBE_PATH_STEPS &&
		    steps[level->steps + 1] != NULL)
			continue;
		d->whole = true;
		of = d->kind->keep[i].of;
	}
	return of;
}

/* What comes next in the text is somebody's. With too many cuts the rest is its own. */
static void
cut(struct kube_decode *d, enum kube_of of)
{
	struct kube_cut *last = d->cut_count != 0 ? &d->cuts[d->cut_count - 1] : NULL;

	if ((last != NULL ? last->of : KUBE_OF_KIN) == of)
		return;
	if (d->cut_count == KUBE_MOST_CUTS)
		last->of = KUBE_OF_ITSELF;
	else
		d->cuts[d->cut_count++] = (struct kube_cut){(uint32_t)d->text.len, of};
}

static void
object_key(struct kube_decode *d)
{
	struct kube_level *level = top_level(d);
	const struct str key = buf_str(&d->scan.text);
	enum kube_of of;

	if (d->level_count == 1)
		d->part = str_is(key, "metadata") ? PART_METADATA
			  : str_is(key, "status") ? PART_STATUS
						  : PART_OTHER;
	d->capture =
	    (uint8_t)(d->level_count == 2 ? find_capture(d, key) : CAPTURE_NONE);
	d->scan.keep = d->capture != CAPTURE_NONE;
	of = follow(d, level, key);
	if (d->paths == 0)
		return;
	cut(d, of);
	if (!level->empty)
		buf_add_char(&d->text, ',');
	level->empty = false;
	buf_add_json(&d->text, key);
	buf_add_char(&d->text, ':');
	d->copying = true;
	d->begun = false;
}

static void
take_captured(struct kube_decode *d, enum scan_event event)
{
	struct buf *out = &d->captured[d->capture];

	if (event == SCAN_NULL)
		return;
	if (event != SCAN_STRING || (d->captured_bits & 1u << d->capture) != 0) {
		fail(d, "metadata that cannot be read");
		return;
	}
	d->captured_bits |= 1u << d->capture;
	buf_clear(out);
	buf_add_str(out, buf_str(&d->scan.text));
}

/* In a list that is kept in part only objects are. */
static void
object_item(struct kube_decode *d, enum scan_event event)
{
	struct kube_level *list = top_level(d);

	if (event == SCAN_ARRAY_BEGIN) {
		pass_over(d, INNER_SKIP);
	} else if (event == SCAN_OBJECT_BEGIN) {
		const size_t begin = d->text.len;

		buf_add_cstr(&d->text, list->empty ? "{" : ",{");
		list->empty = false;
		push_level(d, list->paths, list->steps, false, true);
		top_level(d)->begin = begin;
	}
}

/* An item of which nothing is of interest. */
static bool
is_left_out(const struct kube_decode *d, const struct kube_level *item)
{
	const struct str text = str_slice(buf_str(&d->text), item->begin, d->text.len);

	for (unsigned i = 0; i < d->kind->keep_count; i++) {
		const char *only = d->kind->keep[i].only;

		if ((item->paths >> i & 1) != 0 && only != NULL &&
		    memmem(text.ptr, text.len, only, strlen(only)) == NULL)
			return true;
	}
	return false;
}

static void
item_closes(struct kube_decode *d, struct kube_level *list, struct kube_level *item)
{
	if (!is_left_out(d, item))
		return;
	d->text.len = item->begin;
	list->empty = d->text.data[item->begin - 1] == '[';
}

static void
object_opens(struct kube_decode *d, bool list)
{
	if (d->capture != CAPTURE_NONE)
		fail(d, "metadata that cannot be read");
	else if (d->paths == 0)
		pass_over(d, INNER_SKIP);
	else if (d->whole)
		pass_over(d, INNER_COPY);
	else
		push_level(d, d->paths, top_level(d)->steps + 1, list, true);
}

static void
object_closes(struct kube_decode *d)
{
	struct kube_level *level = top_level(d);

	buf_add_char(&d->text, level->list ? ']' : '}');
	check_size(d);
	if (d->level_count > 1 && level[-1].list)
		item_closes(d, level - 1, level);
	value_done(d);
	d->capture = CAPTURE_NONE;
	if (--d->level_count == 0 && !d->failed)
		finish_object(d);
}

static void
in_object(struct kube_decode *d, enum scan_event event)
{
	if (event == SCAN_KEY)
		object_key(d);
	else if (event == SCAN_OBJECT_END || event == SCAN_ARRAY_END)
		object_closes(d);
	else if (top_level(d)->list)
		object_item(d, event);
	else if (event == SCAN_OBJECT_BEGIN || event == SCAN_ARRAY_BEGIN)
		object_opens(d, event == SCAN_ARRAY_BEGIN);
	else {
		if (d->capture != CAPTURE_NONE)
			take_captured(d, event);
		value_done(d);
	}
}

/* ---- around the objects ---- */

static void
outer_key(struct kube_decode *d)
{
	static const char *const lists[] = {
	    [KEY_METADATA] = "metadata", [KEY_ITEMS] = "items"};
	static const char *const watches[] = {
	    [KEY_TYPE] = "type", [KEY_OBJECT] = "object"};
	const char *const *names = d->watch ? watches : lists;
	const size_t count = d->watch ? ARRAY_LEN(watches) : ARRAY_LEN(lists);
	const struct str key = buf_str(&d->scan.text);

	d->key = KEY_OTHER;
	for (size_t i = 0; i < count; i++) {
		if (names[i] != NULL && str_is(key, names[i]))
			d->key = (uint8_t)i;
	}
	if (d->key != KEY_OTHER && (d->seen & 1u << d->key) != 0)
		fail(d, "a key that is there twice");
	d->seen |= 1u << d->key;
}

static void
take_type(struct kube_decode *d)
{
	const struct str type = buf_str(&d->scan.text);

	for (size_t i = 0; i < ARRAY_LEN(event_types); i++) {
		if (str_is(type, event_types[i].type)) {
			d->event = event_types[i].event;
			return;
		}
	}
	fail(d, "an event of no known type");
}

static void
outer_opens(struct kube_decode *d, bool list)
{
	if (d->key == KEY_METADATA && !list)
		d->place = META;
	else if (d->key == KEY_ITEMS && list)
		d->place = ITEMS;
	else if (d->key == KEY_OBJECT && !list && (d->seen & 1u << KEY_TYPE) != 0)
		begin_object(d, d->event);
	else if (d->key == KEY_OTHER)
		pass_over(d, INNER_SKIP);
	else
		fail(d, "neither a list nor an event");
}

static void
outer_ends(struct kube_decode *d)
{
	const unsigned wanted = d->watch ? 1u << KEY_TYPE | 1u << KEY_OBJECT
					 : 1u << KEY_METADATA | 1u << KEY_ITEMS;

	if ((d->seen & wanted) != wanted)
		fail(d, "neither a list nor an event");
	d->place = OUTSIDE;
}

static void
in_outer(struct kube_decode *d, enum scan_event event)
{
	const bool empty_list = d->key == KEY_ITEMS && event == SCAN_NULL;

	if (event == SCAN_KEY)
		outer_key(d);
	else if (event == SCAN_OBJECT_END)
		outer_ends(d);
	else if (event == SCAN_OBJECT_BEGIN || event == SCAN_ARRAY_BEGIN)
		outer_opens(d, event == SCAN_ARRAY_BEGIN);
	else if (d->key == KEY_TYPE && event == SCAN_STRING)
		take_type(d);
	else if (d->key != KEY_OTHER && !empty_list)
		fail(d, "neither a list nor an event");
}

static void
in_meta(struct kube_decode *d, enum scan_event event)
{
	const struct str text = buf_str(&d->scan.text);

	switch (event) {
	case SCAN_KEY:
		d->key = (uint8_t)(str_is(text, "resourceVersion") ? KEY_TYPE
				   : str_is(text, "continue")      ? KEY_OBJECT
								   : KEY_OTHER);
		break;
	case SCAN_STRING:
		if (d->key == KEY_TYPE && !str_to_u64(text, UINT64_MAX, &d->version))
			fail(d, "a resourceVersion is no number");
		if (d->key == KEY_OBJECT && d->scan.text_cut)
			fail(d, "a continue token is too long");
		if (d->key == KEY_OBJECT) {
			buf_clear(&d->token);
			buf_add_str(&d->token, text);
		}
		break;
	case SCAN_OBJECT_BEGIN:
	case SCAN_ARRAY_BEGIN:
		pass_over(d, INNER_SKIP);
		break;
	case SCAN_OBJECT_END:
		d->place = OUTER;
		break;
	case SCAN_MORE:
	case SCAN_BAD:
	case SCAN_ARRAY_END:
	case SCAN_NULL:
	case SCAN_SCALAR:
		break;
	}
}

static void
in_items(struct kube_decode *d, enum scan_event event)
{
	if (event == SCAN_OBJECT_BEGIN)
		begin_object(d, KUBE_LISTED);
	else if (event == SCAN_ARRAY_END)
		d->place = OUTER;
	else
		fail(d, "an item that is no object");
}

/* What was passed over has ended. */
static void
inner_ends(struct kube_decode *d)
{
	d->inner = INNER_NONE;
	d->scan.quiet = 0;
	value_done(d);
	if (d->place == OBJECT && d->level_count == 0)
		finish_object(d);
}

static void
step(struct kube_decode *d, enum scan_event event)
{
	if (d->inner != INNER_NONE) {
		inner_ends(d);
		return;
	}
	switch ((enum place)d->place) {
	case OUTSIDE:
		d->place = OUTER;
		d->seen = 0;
		break;
	case OUTER:
		in_outer(d, event);
		break;
	case META:
		in_meta(d, event);
		break;
	case ITEMS:
		in_items(d, event);
		break;
	case OBJECT:
		in_object(d, event);
		break;
	}
}

bool
kube_decode_feed(struct kube_decode *d, const char *data, size_t len)
{
	size_t pos = 0;

	while (!d->failed) {
		const size_t from = pos;
		const enum scan_event event = json_scan_next(&d->scan, data, len, &pos);

		copy(d, (struct str){data + from, pos - from});
		if (event == SCAN_MORE)
			break;
		if (event == SCAN_BAD)
			fail(d, "no JSON");
		else
			step(d, event);
	}
	return !d->failed;
}
