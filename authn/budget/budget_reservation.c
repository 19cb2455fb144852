/*
 * Reservations: what was admitted and has not been seen yet, here and elsewhere.
 */
#include "authn/budget/budget_internal.h"

#include <stdlib.h>
#include <string.h>

void
budget_reserve(struct budget_ledger *l, struct entry *e, const struct budget_object *o,
    bool is_new, monotime_t expires)
{
	const size_t bytes = l->plan->key_count * sizeof(uint64_t);
	struct reservation *r = xcalloc(1, sizeof(*r) + bytes);

	budget_set_text(&r->uid, o->uid);
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

void
budget_end_reservation(struct budget_ledger *l, struct reservation **at)
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
	budget_end_reservation(l, at);
	budget_settle(l, e);
}

/* True if what is seen now says that the reservation came about, or cannot any more. */
static bool
is_resolved(const struct reservation *r, const struct budget_object *o, bool gone)
{
	if (r->uid[0] == '\0' || !str_eq(str_from(r->uid), o->uid))
		return false;
	return r->is_new || gone || r->version < o->version;
}

void
budget_resolve(
    struct budget_ledger *l, struct entry *e, const struct budget_object *o, bool gone)
{
	struct reservation **at = &e->reservations;

	while (*at != NULL) {
		if (is_resolved(*at, o, gone))
			budget_end_reservation(l, at);
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
	struct entry *e = budget_entry_get(l, o);

	budget_reserve(l, e, o, is_new, expires);
	if (e->seen) {
		const struct budget_object seen = {
		    .uid = str_from(e->uid), .version = e->version};

		budget_resolve(l, e, &seen, false);
	}
	budget_settle(l, e);
}
