/*
 * External networks. Who speaks of one has its addresses and names: where it comes, goes or is
 * another, those who name it are read again. Nothing else depends on it.
 */
#include <stdlib.h>

#include "policy-lang/live/live_internal.h"

/* ---- which go and come ---- */

static void
add_externals(
    const struct live_file *f, const struct external_network ***list, size_t *count)
{
	const struct live_others *o = f != NULL ? live_said(f)->others : NULL;
	const size_t more = o != NULL ? o->count[OTHER_EXTERNAL] : 0;

	if (more == 0)
		return;
	*list = xreallocarray(*list, *count + more, sizeof(**list));
	for (size_t i = 0; i < more; i++)
		(*list)[(*count)++] = o->items[OTHER_EXTERNAL][i];
}

void
live_see_externals(struct live_edit *e)
{
	struct load_externals *x = &e->externals;

	x->gone_count = x->come_count = 0;
	for (size_t i = 0; i < e->count; i++) {
		add_externals(e->items[i].before, &x->gone, &x->gone_count);
		add_externals(e->items[i].after, &x->come, &x->come_count);
	}
}

static bool
same_name(const struct external_network *a, const struct external_network *b)
{
	return a->ns == b->ns && str_eq(a->name, b->name);
}

static bool
places_some(const struct live_file *f)
{
	return f != NULL && live_said(f)->placed_count != 0;
}

bool
live_brings_names(const struct live_edit *e)
{
	const struct load_externals *x = &e->externals;
	bool brings = false;

	for (size_t i = 0; i < x->come_count && !brings; i++) {
		bool there = false;

		for (size_t j = 0; j < x->gone_count && !there; j++)
			there = same_name(x->come[i], x->gone[j]);
		brings = !there;
	}
	for (size_t i = 0; i < e->count && !brings; i++)
		brings = places_some(e->items[i].before) || /* which may move */
			 places_some(e->items[i].after);
	return brings;
}

/* ---- which are others ---- */

static bool
same_meaning(const struct external_network *a, const struct external_network *b)
{
	bool same =
	    a->prefix_count == b->prefix_count && a->fqdn_count == b->fqdn_count;

	for (size_t i = 0; i < a->prefix_count && same; i++)
		same = ip_eq(&a->prefixes[i].addr, &b->prefixes[i].addr) &&
		       a->prefixes[i].len == b->prefixes[i].len;
	for (size_t i = 0; i < a->fqdn_count && same; i++)
		same = str_eq(a->fqdns[i], b->fqdns[i]);
	return same;
}

struct changed {
	const struct external_network **items;
	size_t count;
};

/* Those that the others do not have as they are. */
static void
add_changed(struct changed *c, const struct external_network *const *these,
    size_t count, const struct external_network *const *others, size_t other_count)
{
	for (size_t i = 0; i < count; i++) {
		bool same = false;

		for (size_t j = 0; j < other_count && !same; j++)
			same = same_name(these[i], others[j]) &&
			       same_meaning(these[i], others[j]);
		if (!same)
			c->items[c->count++] = these[i];
	}
}

/* Those that were seen for a while, too: what was read then may have found them. */
static struct changed
find_changed(struct live_edit *e)
{
	const struct load_externals *x = &e->externals;
	const struct external_network **seen = NULL;
	size_t seen_count = 0;
	struct changed c = {.count = 0};

	live_see_externals(e);
	for (size_t i = 0; i < e->spent.count; i++)
		add_externals(e->spent.items[i], &seen, &seen_count);
	c.items = ARENA_ARRAY(e->arena, x->gone_count + x->come_count + seen_count,
	    const struct external_network *);
	add_changed(&c, x->gone, x->gone_count, x->come, x->come_count);
	add_changed(&c, x->come, x->come_count, x->gone, x->gone_count);
	add_changed(&c, seen, seen_count, x->come, x->come_count);
	free(seen);
	return c;
}

/* ---- who speaks of them ---- */

/* What is looked up may find one of them, or have found it. */
static bool
may_mean(const struct load_named *named, const struct changed *c)
{
	bool may = false;

	for (size_t i = 0; i < c->count && !may; i++)
		may = str_eq(named->name, c->items[i]->name) &&
		      ns_within(named->from, c->items[i]->ns);
	return may;
}

static bool
names_some(const struct live_others *o, const struct changed *c)
{
	bool found = false;

	for (size_t i = 0; o != NULL && i < o->named_count && !found; i++)
		found = may_mean(&o->named[i], c);
	return found;
}

static bool
is_replaced(const struct live_edit *e, const struct live_file *f)
{
	bool found = false;

	for (size_t i = 0; i < e->count && !found; i++)
		found = e->items[i].before == f;
	return found;
}

bool
live_read_namers(struct live_edit *e, struct diag_list *diags)
{
	const size_t count = e->count; /* what is added is read now */
	const struct changed c = find_changed(e);
	bool ok = true;

	for (size_t i = 0; i < count && c.count != 0 && ok; i++) {
		const struct live_file *f = e->items[i].after;

		if (f != NULL && names_some(live_said(f)->others, &c))
			ok = live_read_again(e, f, diags);
	}
	for (size_t i = 0; i < e->l->others.count && c.count != 0 && ok; i++) {
		const struct live_others *o = e->l->others.items[i];

		if (names_some(o, &c) && !is_replaced(e, o->file))
			ok = live_read_again(e, o->file, diags);
	}
	return ok;
}
