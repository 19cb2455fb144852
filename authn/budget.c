#include "authn/budget.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"
#include "policy-lang/access.h"

struct reservation {
	struct reservation *next;          /* of its entry */
	struct reservation *older, *newer; /* of all, by time */
	struct entry *entry;
	char *uid;        /* "": not known */
	bool is_new;      /* a creation */
	uint64_t version; /* a change: of the object that it is based on */
	uint64_t serial;  /* newer ones have higher ones */
	monotime_t expires;
	uint64_t amounts[];
};

struct entry {
	struct str key; /* kind, namespace, name: owned */
	size_t kind;
	struct str namespace; /* in the key */
	const struct ns *level;
	bool seen; /* exists, as far as we know */
	char *uid;
	uint64_t version;
	uint32_t list; /* the last one that had it */
	struct reservation *reservations;
	uint64_t amounts[]; /* those seen, then those charged */
};

struct kind_state {
	uint32_t list;
	bool synced;
	monotime_t heard;
};

struct budget_ledger {
	const struct model *model;
	const struct budget_plan *plan;
	uint64_t hold_ns;
	struct budget_line *lines;
	size_t line_count;
	size_t *first_line; /* of each level of the model, and one more */
	struct map entries;
	struct kind_state *kinds;
	struct reservation *oldest, *newest;
	size_t reservation_count;
	uint64_t next_serial;
	monotime_t doubt; /* what was heard before does not count */
};

/* ---- lines ---- */

static void
make_lines(struct budget_ledger *l)
{
	size_t count = 0;

	for (size_t n = 0; n < l->model->ns_count; n++) {
		for (size_t i = 0; i < l->model->namespaces[n]->quota_count; i++)
			count += l->model->namespaces[n]->quotas[i]->object_count;
	}
	l->lines = xcalloc(count + 1, sizeof(*l->lines));
	l->first_line = xcalloc(l->model->ns_count + 1, sizeof(*l->first_line));
	l->line_count = 0;
	for (size_t n = 0; n < l->model->ns_count; n++) {
		const struct ns *ns = l->model->namespaces[n];

		l->first_line[n] = l->line_count;
		for (size_t i = 0; i < ns->quota_count; i++) {
			const struct quota *q = ns->quotas[i];

			for (size_t k = 0; k < q->object_count; k++)
				l->lines[l->line_count++] =
				    (struct budget_line){.quota = q,
					.limit = &q->objects[k],
					.key = budget_plan_key(
					    l->plan, q->objects[k].resource)};
		}
	}
	l->first_line[l->model->ns_count] = l->line_count;
}

/* Calls for every line at the level and above. */
#define FOR_LINES(l, at_level, line)                                                   \
	for (const struct ns *ns_ = (at_level); ns_ != NULL; ns_ = ns_->parent)        \
		for (struct budget_line *line =                                        \
			 (l)->lines + (l)->first_line[ns_->index];                     \
		     line < (l)->lines + (l)->first_line[ns_->index + 1]; line++)

struct budget_ledger *
budget_ledger_new(
    const struct model *model, const struct budget_plan *plan, uint64_t hold_ns)
{
	struct budget_ledger *l = xcalloc(1, sizeof(*l));

	l->model = model;
	l->plan = plan;
	l->hold_ns = hold_ns;
	l->kinds = xcalloc(plan->kind_count + 1, sizeof(*l->kinds));
	make_lines(l);
	return l;
}

/* ---- entries ---- */

static void
key_of(struct buf *out, const struct budget_object *o)
{
	buf_add(out, &o->kind, sizeof(o->kind));
	buf_add_str(out, o->namespace);
	buf_add_char(out, '/');
	buf_add_str(out, o->name);
}

const struct ns *
budget_ledger_level(const struct budget_ledger *l, struct str namespace)
{
	const struct access_request where = {
	    .is_resource = true, .namespace = namespace};
	const struct ns *level = access_level(l->model, &where, STR(""));

	return level != NULL ? level : l->model->root;
}

static struct entry *
entry_find(const struct budget_ledger *l, const struct budget_object *o)
{
	struct buf key = {NULL, 0, 0};
	struct entry *e;

	key_of(&key, o);
	e = map_get(&l->entries, buf_str(&key));
	buf_free(&key);
	return e;
}

static struct entry *
entry_get(struct budget_ledger *l, const struct budget_object *o)
{
	struct entry *e = entry_find(l, o);
	struct buf key = {NULL, 0, 0};

	if (e != NULL)
		return e;
	e = xcalloc(1, sizeof(*e) + 2 * l->plan->key_count * sizeof(uint64_t));
	key_of(&key, o);
	e->key = buf_str(&key); /* the entry's now */
	e->kind = o->kind;
	e->namespace = (struct str){e->key.ptr + sizeof(o->kind), o->namespace.len};
	e->level = budget_ledger_level(l, o->namespace);
	e->uid = xstrdup("");
	(void)map_set(&l->entries, e->key, e);
	return e;
}

static void
set_text(char **at, struct str text)
{
	char *copy = xmalloc(text.len + 1);

	if (text.len != 0)
		memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	free(*at);
	*at = copy;
}

static uint64_t *
charged(const struct budget_ledger *l, struct entry *e)
{
	return e->amounts + l->plan->key_count;
}

/* What the entry counts for, now: the most of what was seen and what may still come. */
static uint64_t
worth(const struct entry *e, size_t key)
{
	uint64_t most = e->seen ? e->amounts[key] : 0;

	for (const struct reservation *r = e->reservations; r != NULL; r = r->next)
		most = r->amounts[key] > most ? r->amounts[key] : most;
	return most;
}

static void
entry_free(struct entry *e)
{
	free((void *)(uintptr_t)e->key.ptr);
	free(e->uid);
	free(e);
}

/* Brings the lines up to what the entry is worth; one that is nothing any more is freed. */
static void
settle(struct budget_ledger *l, struct entry *e)
{
	uint64_t *now = charged(l, e);

	for (size_t k = 0; k < l->plan->key_count; k++) {
		const uint64_t value = worth(e, k);

		if (value == now[k])
			continue;
		FOR_LINES(l, e->level, line)
		{
			if (line->key == k)
				line->used = line->used - now[k] + value;
		}
		now[k] = value;
	}
	if (e->seen || e->reservations != NULL)
		return;
	(void)map_remove(&l->entries, e->key);
	entry_free(e);
}

/* Sets what is seen of an entry (NULL: nothing), and counts it. */
static void
set_seen(struct budget_ledger *l, struct entry *e, const uint64_t *amounts)
{
	for (size_t k = 0; k < l->plan->key_count; k++) {
		const uint64_t before = e->seen ? e->amounts[k] : 0;
		const uint64_t now = amounts != NULL ? amounts[k] : 0;

		e->amounts[k] = now;
		if (before == now)
			continue;
		FOR_LINES(l, e->level, line)
		{
			if (line->key == k)
				line->seen = line->seen - before + now;
		}
	}
	e->seen = amounts != NULL;
}

/* ---- reservations ---- */

static void
reserve(struct budget_ledger *l, struct entry *e, const struct budget_object *o,
    bool is_new, monotime_t expires)
{
	const size_t bytes = l->plan->key_count * sizeof(uint64_t);
	struct reservation *r = xcalloc(1, sizeof(*r) + bytes);

	set_text(&r->uid, o->uid);
	r->entry = e;
	r->is_new = is_new;
	r->version = o->version;
	r->expires = expires;
	r->serial = l->next_serial++;
	memcpy(r->amounts, o->amounts, bytes);
	r->next = e->reservations;
	e->reservations = r;
	r->older = l->newest;
	if (l->newest != NULL)
		l->newest->newer = r;
	else
		l->oldest = r;
	l->newest = r;
	l->reservation_count++;
}

static void
end_reservation(struct budget_ledger *l, struct reservation **at)
{
	struct reservation *r = *at;

	*at = r->next;
	if (r->older != NULL)
		r->older->newer = r->newer;
	else
		l->oldest = r->newer;
	if (r->newer != NULL)
		r->newer->older = r->older;
	else
		l->newest = r->older;
	l->reservation_count--;
	free(r->uid);
	free(r);
}

/* Ends one, wherever it stands among its entry's. */
static void
end_now(struct budget_ledger *l, struct reservation *r)
{
	struct entry *e = r->entry;
	struct reservation **at = &e->reservations;

	while (*at != r)
		at = &(*at)->next;
	end_reservation(l, at);
	settle(l, e);
}

/* True if what is seen now says that the reservation came about, or cannot any more. */
static bool
is_resolved(const struct reservation *r, const struct budget_object *o, bool gone)
{
	if (r->uid[0] == '\0' || !str_eq(str_from(r->uid), o->uid))
		return false;
	return r->is_new || gone || r->version < o->version;
}

static void
resolve(
    struct budget_ledger *l, struct entry *e, const struct budget_object *o, bool gone)
{
	struct reservation **at = &e->reservations;

	while (*at != NULL) {
		if (is_resolved(*at, o, gone))
			end_reservation(l, at);
		else
			at = &(*at)->next;
	}
}

void
budget_ledger_expire(struct budget_ledger *l, monotime_t now)
{
	struct reservation *r = l->oldest, *newer;

	for (; r != NULL && r->expires.ns <= now.ns; r = newer) {
		newer = r->newer;
		/* Else it may have come about, and nobody told us. */
		if (l->kinds[r->entry->kind].heard.ns >= r->expires.ns)
			end_now(l, r);
	}
}

/* ---- what exists ---- */

void
budget_ledger_list_begin(struct budget_ledger *l, size_t kind)
{
	l->kinds[kind].list++;
}

void
budget_ledger_list_end(struct budget_ledger *l, size_t kind, monotime_t now)
{
	/* Backwards, because removal moves the last one into the gap. */
	for (size_t i = l->entries.len; i-- > 0;) {
		struct entry *e = l->entries.entries[i].value;

		if (e->kind != kind || !e->seen || e->list == l->kinds[kind].list)
			continue;
		set_seen(l, e, NULL);
		settle(l, e);
	}
	l->kinds[kind].synced = true;
	budget_ledger_heard(l, kind, now);
}

void
budget_ledger_heard(struct budget_ledger *l, size_t kind, monotime_t now)
{
	l->kinds[kind].heard = now;
}

void
budget_ledger_seen(struct budget_ledger *l, const struct budget_object *o)
{
	struct entry *e = entry_get(l, o);

	set_seen(l, e, o->amounts);
	set_text(&e->uid, o->uid);
	e->version = o->version;
	e->list = l->kinds[o->kind].list;
	resolve(l, e, o, false);
	settle(l, e);
}

void
budget_ledger_gone(struct budget_ledger *l, const struct budget_object *o)
{
	struct entry *e = entry_find(l, o);

	if (e == NULL)
		return;
	/* Another one of that name is none of its business. */
	if (e->seen && (e->uid[0] == '\0' || str_eq(str_from(e->uid), o->uid)))
		set_seen(l, e, NULL);
	resolve(l, e, o, true);
	settle(l, e);
}

static bool
is_known(const struct budget_ledger *l, size_t kind)
{
	return l->kinds[kind].synced && l->kinds[kind].heard.ns >= l->doubt.ns;
}

bool
budget_ledger_synced(const struct budget_ledger *l)
{
	for (size_t i = 0; i < l->plan->kind_count; i++) {
		if (!is_known(l, i))
			return false;
	}
	return true;
}

/* ---- what is asked ---- */

/* How much more the object would be charged of a key. */
static uint64_t
growth(
    const struct budget_ledger *l, struct entry *e, const uint64_t *amounts, size_t key)
{
	const uint64_t before = e != NULL ? charged(l, e)[key] : 0;

	return amounts[key] > before ? amounts[key] - before : 0;
}

static bool
fits(struct budget_ledger *l, const struct budget_object *o, struct entry *e,
    struct budget_refusal *out_refusal)
{
	const struct ns *level =
	    e != NULL ? e->level : budget_ledger_level(l, o->namespace);

	FOR_LINES(l, level, line)
	{
		const uint64_t more = growth(l, e, o->amounts, line->key);

		if (more == 0 || line->used + more <= line->limit->amount_milli)
			continue;
		*out_refusal = (struct budget_refusal){.quota = line->quota,
		    .limit = line->limit,
		    .used = line->used,
		    .reserved = line->used > line->seen ? line->used - line->seen : 0,
		    .requested = more};
		return false;
	}
	return true;
}

/* A change that is based on what we see and does not grow: nothing that may come of it is
 * more than that. One based on what we have not seen yet is remembered even so, because
 * what we see next may be less. */
static bool
is_covered(
    const struct budget_ledger *l, const struct entry *e, const struct budget_object *o)
{
	if (e == NULL || !e->seen || !str_eq(str_from(e->uid), o->uid))
		return false;
	if (o->version < e->version)
		return true; /* it cannot be committed */
	for (size_t k = 0; k < l->plan->key_count; k++) {
		if (o->amounts[k] > e->amounts[k])
			return false;
	}
	return o->version == e->version;
}

enum budget_verdict
budget_ledger_admit(struct budget_ledger *l, const struct budget_object *o, bool is_new,
    bool dry_run, monotime_t now, struct budget_refusal *out_refusal)
{
	struct entry *e = entry_find(l, o);

	if (!is_known(l, o->kind))
		return BUDGET_UNKNOWN;
	if (!fits(l, o, e, out_refusal))
		return BUDGET_FULL;
	if (dry_run || (!is_new && is_covered(l, e, o)))
		return BUDGET_FITS;
	if (l->reservation_count >= BUDGET_RESERVATIONS_MAX)
		return BUDGET_CROWDED;
	e = entry_get(l, o);
	reserve(l, e, o, is_new, (monotime_t){now.ns + l->hold_ns});
	settle(l, e);
	return BUDGET_FITS;
}

/* ---- what others know of ---- */

uint64_t
budget_ledger_mark(const struct budget_ledger *l)
{
	return l->next_serial;
}

void
budget_ledger_since(const struct budget_ledger *l, uint64_t mark,
    void (*tell)(
	void *arg, const struct budget_object *o, bool is_new, monotime_t expires),
    void *arg)
{
	const struct reservation *r = l->newest;

	while (r != NULL && r->older != NULL && r->older->serial >= mark)
		r = r->older;
	for (; r != NULL && r->serial >= mark; r = r->newer) {
		const struct entry *e = r->entry;
		const size_t before =
		    (size_t)(e->namespace.ptr - e->key.ptr) + e->namespace.len + 1;

		tell(arg,
		    &(struct budget_object){.kind = e->kind,
			.namespace = e->namespace,
			.name = str_slice(e->key, before, e->key.len),
			.uid = str_from(r->uid),
			.version = r->version,
			.amounts = r->amounts},
		    r->is_new, r->expires);
	}
}

void
budget_ledger_undo(struct budget_ledger *l, uint64_t mark)
{
	while (l->newest != NULL && l->newest->serial >= mark)
		end_now(l, l->newest);
}

void
budget_ledger_charge(struct budget_ledger *l, const struct budget_object *o,
    bool is_new, monotime_t expires)
{
	struct entry *e = entry_get(l, o);

	reserve(l, e, o, is_new, expires);
	if (e->seen) {
		const struct budget_object seen = {
		    .uid = str_from(e->uid), .version = e->version};

		resolve(l, e, &seen, false);
	}
	settle(l, e);
}

void
budget_ledger_doubt(struct budget_ledger *l, monotime_t now)
{
	l->doubt = now;
}

bool
budget_ledger_room(const struct budget_ledger *l, const struct ns *level, size_t key,
    budget_sum_t *out_room, const struct quota **out_quota)
{
	bool limited = false;

	FOR_LINES(l, level, line)
	{
		const budget_sum_t limit = line->limit->amount_milli;
		const budget_sum_t room = limit > line->used ? limit - line->used : 0;

		if (line->key != key || (limited && room >= *out_room))
			continue;
		*out_room = room;
		*out_quota = line->quota;
		limited = true;
	}
	return limited;
}

const struct budget_line *
budget_ledger_lines(const struct budget_ledger *l, size_t *out_count)
{
	*out_count = l->line_count;
	return l->lines;
}

size_t
budget_ledger_reservations(const struct budget_ledger *l)
{
	return l->reservation_count;
}

void
budget_ledger_each(const struct budget_ledger *l,
    void (*tell)(void *arg, struct str namespace, const uint64_t *amounts), void *arg)
{
	for (size_t i = 0; i < l->entries.len; i++) {
		struct entry *e = l->entries.entries[i].value;

		tell(arg, e->namespace, charged(l, e));
	}
}

/* ---- another policy; the end ---- */

void
budget_ledger_replace(
    struct budget_ledger *l, const struct model *model, const struct budget_plan *plan)
{
	free(l->lines);
	free(l->first_line);
	l->model = model;
	l->plan = plan;
	make_lines(l);
	for (size_t i = 0; i < l->entries.len; i++) {
		struct entry *e = l->entries.entries[i].value;

		e->level = budget_ledger_level(l, e->namespace);
		FOR_LINES(l, e->level, line)
		{
			line->used += charged(l, e)[line->key];
			line->seen += e->seen ? e->amounts[line->key] : 0;
		}
	}
}

void
budget_ledger_free(struct budget_ledger *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->entries.len; i++) {
		struct entry *e = l->entries.entries[i].value;

		while (e->reservations != NULL)
			end_reservation(l, &e->reservations);
		entry_free(e);
	}
	map_fini(&l->entries);
	free(l->kinds);
	free(l->lines);
	free(l->first_line);
	free(l);
}
