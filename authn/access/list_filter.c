#include "authn/access/list_filter.h"

#include <string.h>

/*
 * Every container that matters has a role, which its parent's role and the key give it;
 * all others are passed, held or dropped with the one that they are in.
 *
 *     list:   { metadata: {}, items: [ { metadata: {} } ], rows: [ { object: { metadata: {} } } ] }
 *     watch:  { type, object: { metadata: {}, rows: [ { object: { metadata: {} } } ] } }
 */
enum role {
	ROLE_OTHER,
	ROLE_LIST,
	ROLE_LIST_META,
	ROLE_ITEMS, /* arrays */
	ROLE_ROWS,
	ROLE_ITEM,
	ROLE_ROW,
	ROLE_META,
	ROLE_EVENT,
	ROLE_EVENT_OBJECT,
	ROLE_EVENT_ROWS,
	ROLE_EVENT_ROW,
};

enum shape {
	SHAPE_ANY, /* passed on as it is */
	SHAPE_OBJECT,
	SHAPE_ARRAY,
	SHAPE_STRING,
};

struct list_member {
	enum role in;
	const char *key;
	enum shape shape;
	enum role role; /* of an object or array */
	/* of a string: where it is kept */
	void (*keep)(struct list_filter *f, struct str text);
};

/* ---- strings that are kept ---- */

static void
copy_text(char *out, size_t room, struct str text, bool *bad)
{
	if (text.len >= room || (text.len != 0 && memchr(text.ptr, 0, text.len))) {
		*bad = true;
		return;
	}
	if (text.len != 0)
		memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
}

/* Namespaces are DNS labels; anything else might be read as another one somewhere. */
static void
keep_namespace(struct list_filter *f, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
			f->head->bad = true;
	}
	copy_text(f->head->namespace, sizeof(f->head->namespace), text, &f->head->bad);
}

static void
keep_name(struct list_filter *f, struct str text)
{
	copy_text(f->head->name, sizeof(f->head->name), text, &f->head->bad);
}

static void
keep_type(struct list_filter *f, struct str text)
{
	copy_text(f->type, sizeof(f->type), text, &f->event_bad);
}

/* Longer ones are nobody's that we look for. */
static void
keep_kind(struct list_filter *f, struct str text)
{
	bool other = false;

	copy_text(f->kind, sizeof(f->kind), text, &other);
}

static void
keep_api_version(struct list_filter *f, struct str text)
{
	bool other = false;

	copy_text(f->api_version, sizeof(f->api_version), text, &other);
}

static void
keep_resource_version(struct list_filter *f, struct str text)
{
	buf_clear(&f->resource_version);
	buf_add_str(&f->resource_version, text);
}

static void
keep_token(struct list_filter *f, struct str text)
{
	buf_clear(&f->token);
	buf_add_str(&f->token, text);
}

/* A Status of a watch's ERROR has no token; if it had one it would go out unsealed. */
static void
refuse_token(struct list_filter *f, struct str text)
{
	if (text.len != 0)
		f->head->bad = true;
}

static const struct list_member members[] = {
    {ROLE_LIST, "kind", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "apiVersion", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "metadata", SHAPE_OBJECT, ROLE_LIST_META, NULL},
    {ROLE_LIST, "items", SHAPE_ARRAY, ROLE_ITEMS, NULL},
    {ROLE_LIST, "rows", SHAPE_ARRAY, ROLE_ROWS, NULL},
    {ROLE_LIST, "columnDefinitions", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "status", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "message", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "reason", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "details", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST, "code", SHAPE_ANY, ROLE_OTHER, NULL},
    {ROLE_LIST_META, "resourceVersion", SHAPE_STRING, ROLE_OTHER,
	keep_resource_version},
    {ROLE_LIST_META, "continue", SHAPE_STRING, ROLE_OTHER, keep_token},
    {ROLE_ITEM, "metadata", SHAPE_OBJECT, ROLE_META, NULL},
    {ROLE_ROW, "object", SHAPE_OBJECT, ROLE_ITEM, NULL},
    {ROLE_META, "namespace", SHAPE_STRING, ROLE_OTHER, keep_namespace},
    {ROLE_META, "name", SHAPE_STRING, ROLE_OTHER, keep_name},
    {ROLE_META, "continue", SHAPE_STRING, ROLE_OTHER, refuse_token},
    {ROLE_EVENT, "type", SHAPE_STRING, ROLE_OTHER, keep_type},
    {ROLE_EVENT, "object", SHAPE_OBJECT, ROLE_EVENT_OBJECT, NULL},
    {ROLE_EVENT_OBJECT, "kind", SHAPE_STRING, ROLE_OTHER, keep_kind},
    {ROLE_EVENT_OBJECT, "apiVersion", SHAPE_STRING, ROLE_OTHER, keep_api_version},
    {ROLE_EVENT_OBJECT, "metadata", SHAPE_OBJECT, ROLE_META, NULL},
    {ROLE_EVENT_OBJECT, "rows", SHAPE_ANY, ROLE_EVENT_ROWS, NULL},
    {ROLE_EVENT_ROW, "object", SHAPE_OBJECT, ROLE_ITEM, NULL},
};

/* ---- where we are ---- */

/* The role of the innermost open container. */
static enum role
role_of(const struct list_filter *f)
{
	unsigned depth = f->scan.depth;

	return depth != 0 && depth <= LIST_ROLES ? f->roles[depth - 1] : ROLE_OTHER;
}

/* The role of the container around the one that was just opened. */
static enum role
role_around(const struct list_filter *f)
{
	unsigned depth = f->scan.depth;

	return depth >= 2 && depth <= LIST_ROLES + 1 ? f->roles[depth - 2] : ROLE_OTHER;
}

static bool
in_event(const struct list_filter *f)
{
	return f->mode == LIST_FILTER_WATCH;
}

/* Something within is ambiguous: the item or event is not shown; of the list itself,
 * nothing is. */
static void
spoil(struct list_filter *f, enum role where)
{
	if (where == ROLE_LIST || where == ROLE_LIST_META)
		f->failed = true;
	else if (where == ROLE_META)
		f->head->bad = true;
	else
		f->event_bad = true;
}

static const struct list_member *
find_member(enum role in, struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (members[i].in == in && str_is(key, members[i].key))
			return &members[i];
	}
	return NULL;
}

static void
on_key(struct list_filter *f)
{
	enum role role = role_of(f);
	uint16_t *seen, bit;

	f->member = NULL;
	if (role == ROLE_OTHER)
		return;
	if (!f->scan.text_cut)
		f->member = find_member(role, buf_str(&f->scan.text));
	if (f->member == NULL) {
		if (role == ROLE_LIST) /* what is it, and whose? */
			f->failed = true;
		return;
	}
	/* A role's members stand together and are fewer than 16. */
	bit = (uint16_t)(1u << ((size_t)(f->member - members) % 16));
	seen = &f->seen[f->scan.depth - 1];
	if ((*seen & bit) != 0)
		spoil(f, role);
	*seen |= bit;
}

/* ---- bytes ---- */

static void
move_bytes(struct list_filter *f, struct str bytes, struct buf *out)
{
	if (f->sink == LIST_PASS)
		buf_add_str(out, bytes);
	if (f->sink != LIST_HOLD)
		return;
	if (bytes.len > LIST_ITEM_BYTES - f->hold.len)
		f->failed = true;
	else
		buf_add_str(&f->hold, bytes);
}

/* What is held is let go; a large one's memory too. */
static void
drop_hold(struct list_filter *f)
{
	if (f->hold.cap > 64 * 1024)
		buf_free(&f->hold);
	else
		buf_clear(&f->hold);
}

/* What was held may go. */
static void
release_hold(struct list_filter *f, struct buf *out)
{
	buf_add_str(out, buf_str(&f->hold));
	drop_hold(f);
	f->sink = LIST_PASS;
}

/* ---- items ---- */

static void
begin_item(struct list_filter *f, bool is_row)
{
	f->sink = LIST_HOLD;
	f->object = (struct list_head){.has_metadata = false};
	f->is_row = is_row;
	f->hidden = f->event_bad = false;
}

static bool
head_shown(struct list_filter *f, const struct list_head *head)
{
	const struct list_item item = {
	    .namespace = str_from(head->namespace),
	    .name = str_from(head->name),
	};

	f->items++;
	return head->has_metadata && !head->bad && f->ops->shows(f->arg, &item);
}

/* The verdict is known with the metadata: what is hidden need not be held to its end. */
static void
judge_item(struct list_filter *f)
{
	if (f->event_bad || f->hidden)
		return; /* metadata for the second time */
	f->hidden = !head_shown(f, &f->object);
	if (f->hidden) {
		f->sink = LIST_DROP;
		drop_hold(f);
	}
}

static void
end_item(struct list_filter *f, struct buf *out)
{
	f->sink = LIST_DROP;
	if (!f->object.has_metadata || f->object.bad || f->event_bad || f->hidden) {
		drop_hold(f);
		return;
	}
	if (!f->first)
		buf_add_char(out, ',');
	f->first = false;
	f->shown++;
	buf_add_str(out, buf_str(&f->hold));
	drop_hold(f);
}

/* ---- events ---- */

static void
begin_event(struct list_filter *f)
{
	f->sink = LIST_HOLD;
	f->object = (struct list_head){.has_metadata = false};
	f->kind[0] = f->api_version[0] = f->type[0] = '\0';
	f->rows = f->rows_shown = f->rows_plain = 0;
	f->event_bad = false;
}

static bool
head_plain(const struct list_head *head)
{
	return !head->bad && head->namespace[0] == '\0' && head->name[0] == '\0';
}

static void
end_event_row(struct list_filter *f)
{
	f->rows++;
	if (head_plain(&f->row))
		f->rows_plain++;
	if (head_shown(f, &f->row))
		f->rows_shown++;
}

static bool
is_table(const struct list_filter *f)
{
	return strcmp(f->kind, "Table") == 0 &&
	       str_starts(str_from(f->api_version), STR("meta.k8s.io/"));
}

static bool
event_shown(struct list_filter *f)
{
	static const char *const about_objects[] = {"ADDED", "MODIFIED", "DELETED"};
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(about_objects); i++)
		known = known || strcmp(f->type, about_objects[i]) == 0;
	if (f->event_bad || f->object.bad)
		return false;
	if (strcmp(f->type, "ERROR") == 0)
		return strcmp(f->kind, "Status") == 0;
	if (strcmp(f->type, "BOOKMARK") == 0) /* is about nothing but a version */
		return head_plain(&f->object) && f->rows_plain == f->rows;
	if (!known)
		return false;
	if (is_table(f))
		return head_plain(&f->object) && f->rows != 0 &&
		       f->rows_shown == f->rows;
	return head_shown(f, &f->object);
}

static void
end_event(struct list_filter *f, struct buf *out)
{
	if (event_shown(f)) {
		buf_add_str(out, buf_str(&f->hold));
		buf_add_char(out, '\n');
		f->shown++;
	} else if (strcmp(f->type, "ERROR") == 0) {
		f->failed = true; /* the client must learn that something is wrong */
	}
	f->sink = LIST_DROP;
	drop_hold(f);
}

/* ---- the list's metadata ---- */

static void
write_metadata(struct list_filter *f, struct buf *out)
{
	struct buf sealed = {NULL, 0, 0};

	buf_add_char(out, '{');
	if (f->resource_version.len != 0) {
		buf_add_cstr(out, "\"resourceVersion\":");
		buf_add_json(out, buf_str(&f->resource_version));
	}
	if (f->token.len != 0) {
		if (!f->ops->seal(f->arg, buf_str(&f->token), &sealed))
			f->failed = true;
		buf_add_cstr(out, f->resource_version.len != 0 ? "," : "");
		buf_add_cstr(out, "\"continue\":");
		buf_add_json(out, buf_str(&sealed));
	}
	buf_add_char(out, '}');
	buf_free(&sealed);
}

/* ---- containers ---- */

/* The role of a container that begins. */
static enum role
new_role(struct list_filter *f, bool object)
{
	enum role around = role_around(f);

	if (f->scan.depth == 1)
		return in_event(f) ? ROLE_EVENT : ROLE_LIST;
	if (around == ROLE_ITEMS || around == ROLE_ROWS || around == ROLE_EVENT_ROWS) {
		if (!object)
			return ROLE_OTHER; /* dropped, or not shown */
		return around == ROLE_ITEMS  ? ROLE_ITEM
		       : around == ROLE_ROWS ? ROLE_ROW
					     : ROLE_EVENT_ROW;
	}
	if (f->member == NULL)
		return ROLE_OTHER;
	if (f->member->role == ROLE_EVENT_ROWS)
		return object ? ROLE_OTHER : ROLE_EVENT_ROWS;
	if ((f->member->shape == SHAPE_OBJECT && object) ||
	    (f->member->shape == SHAPE_ARRAY && !object))
		return f->member->role;
	if (f->member->shape != SHAPE_ANY)
		spoil(f, around);
	return ROLE_OTHER;
}

static void
enter(struct list_filter *f, enum role role)
{
	enum role around = role_around(f);

	f->member = NULL;
	if (f->scan.depth <= LIST_ROLES) {
		f->roles[f->scan.depth - 1] = (uint8_t)role;
		f->seen[f->scan.depth - 1] = 0;
	}
	if (role == ROLE_LIST_META || role == ROLE_ITEMS || role == ROLE_ROWS)
		f->sink = LIST_DROP;
	if (role == ROLE_ITEMS || role == ROLE_ROWS)
		f->first = true;
	if (role == ROLE_ROW || (role == ROLE_ITEM && around == ROLE_ITEMS))
		begin_item(f, role == ROLE_ROW);
	if (role == ROLE_EVENT)
		begin_event(f);
	if (role == ROLE_EVENT_ROW)
		f->row = (struct list_head){.has_metadata = false};
	if (role == ROLE_META) {
		f->head = in_event(f) && around == ROLE_ITEM ? &f->row : &f->object;
		f->head->has_metadata = true;
	}
}

static void
leave(struct list_filter *f, enum role role, struct buf *out)
{
	if (role == ROLE_LIST_META)
		write_metadata(f, out);
	if (role == ROLE_LIST_META || role == ROLE_ITEMS || role == ROLE_ROWS)
		f->sink = LIST_PASS;
	if (role == ROLE_META && !in_event(f))
		judge_item(f);
	if (role == ROLE_ROW || (role == ROLE_ITEM && !in_event(f) && !f->is_row))
		end_item(f, out);
	if (role == ROLE_EVENT_ROW)
		end_event_row(f);
	if (role == ROLE_EVENT)
		end_event(f, out);
}

static void
on_value(struct list_filter *f, enum scan_event event)
{
	const struct list_member *m = f->member;
	enum role role = role_of(f);

	f->member = NULL;
	if (m == NULL)
		return;
	if (m->shape == SHAPE_STRING) {
		if (event == SCAN_NULL)
			m->keep(f, STR(""));
		else if (event == SCAN_STRING && !f->scan.text_cut)
			m->keep(f, buf_str(&f->scan.text));
		else
			spoil(f, role);
	} else if (role == ROLE_LIST && m->shape != SHAPE_ANY &&
		   !(m->shape == SHAPE_ARRAY && event == SCAN_NULL)) {
		f->failed = true; /* "items": null is an empty list */
	}
}

/* ---- the whole ---- */

void
list_filter_init(struct list_filter *f, enum list_filter_mode mode,
    const struct list_filter_ops *ops, void *arg)
{
	*f = (struct list_filter){.ops = ops, .arg = arg, .mode = mode, .first = true};
	json_scan_init(&f->scan, mode == LIST_FILTER_WATCH);
	f->sink = mode == LIST_FILTER_WATCH ? LIST_DROP : LIST_PASS;
}

void
list_filter_fini(struct list_filter *f)
{
	json_scan_free(&f->scan);
	buf_free(&f->hold);
	buf_free(&f->resource_version);
	buf_free(&f->token);
}

/* The brackets of an array of items are the list's, those of an item the item's: bytes
 * from there on are under what the event has changed. */
static void
on_event(struct list_filter *f, enum scan_event event, struct str data, size_t *start,
    size_t pos, struct buf *out)
{
	bool begins = event == SCAN_OBJECT_BEGIN || event == SCAN_ARRAY_BEGIN;
	enum role role;
	bool is_items;
	size_t cut;

	if (begins)
		role = new_role(f, event == SCAN_OBJECT_BEGIN);
	else
		role =
		    f->scan.depth < LIST_ROLES ? f->roles[f->scan.depth] : ROLE_OTHER;
	is_items = role == ROLE_ITEMS || role == ROLE_ROWS;
	cut = begins == is_items ? pos : pos - 1;
	move_bytes(f, str_slice(data, *start, cut), out);
	*start = cut;
	if (begins && role_around(f) == ROLE_LIST && !f->failed)
		release_hold(f, out);
	if (begins)
		enter(f, role);
	else
		leave(f, role, out);
	/* Whatever is within a container without a role has none. */
	f->scan.quiet = begins && role == ROLE_OTHER ? f->scan.depth : 0;
}

/* What stands where items or metadata should is held until it is known to be that. */
static void
on_text(struct list_filter *f, enum scan_event event, struct str data, size_t *start,
    size_t pos, struct buf *out)
{
	bool in_list = role_of(f) == ROLE_LIST;

	if (event == SCAN_KEY)
		on_key(f);
	else
		on_value(f, event);
	if (!in_list || f->failed)
		return;
	move_bytes(f, str_slice(data, *start, pos), out);
	*start = pos;
	if (event == SCAN_KEY && f->member->shape != SHAPE_ANY)
		f->sink = LIST_HOLD;
	else if (event != SCAN_KEY)
		release_hold(f, out);
}

bool
list_filter_feed(struct list_filter *f, const char *data, size_t len, struct buf *out)
{
	const struct str bytes = {data, len};
	enum scan_event event = SCAN_MORE;
	size_t start = 0, pos = 0;

	while (!f->failed) {
		f->scan.keep = role_of(f) != ROLE_OTHER;
		event = json_scan_next(&f->scan, data, len, &pos);
		if (event == SCAN_MORE)
			break;
		if (event == SCAN_BAD)
			f->failed = true;
		else if (event == SCAN_KEY || event == SCAN_STRING ||
			 event == SCAN_NULL || event == SCAN_SCALAR)
			on_text(f, event, bytes, &start, pos, out);
		else
			on_event(f, event, bytes, &start, pos, out);
	}
	if (!f->failed)
		move_bytes(f, str_slice(bytes, start, len), out);
	return !f->failed;
}

bool
list_filter_complete(const struct list_filter *f)
{
	return !f->failed && json_scan_complete(&f->scan);
}
