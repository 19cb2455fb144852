#include "authn/budget/budget_internal.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/evaluate/access.h"

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

struct entry *
budget_entry_get(struct budget_ledger *l, const struct budget_object *o)
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

void
budget_set_text(char **at, struct str text)
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
void
budget_settle(struct budget_ledger *l, struct entry *e)
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
		budget_settle(l, e);
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
	struct entry *e = budget_entry_get(l, o);

	set_seen(l, e, o->amounts);
	budget_set_text(&e->uid, o->uid);
	e->version = o->version;
	e->list = l->kinds[o->kind].list;
	budget_resolve(l, e, o, false);
	budget_settle(l, e);
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
	budget_resolve(l, e, o, true);
	budget_settle(l, e);
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
	e = budget_entry_get(l, o);
	budget_reserve(l, e, o, is_new, (monotime_t){now.ns + l->hold_ns});
	budget_settle(l, e);
	return BUDGET_FITS;
}

/* ---- doubt, room, reports ---- */

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
			budget_end_reservation(l, &e->reservations);
		entry_free(e);
	}
	map_fini(&l->entries);
	free(l->kinds);
	free(l->lines);
	free(l->first_line);
	free(l);
}
