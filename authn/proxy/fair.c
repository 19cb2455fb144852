#include "authn/proxy/fair.h"

#include <stdlib.h>

struct fair_tenant {
	struct map users; /* name -> struct fair_user */
	char *path;
	size_t waiting, running;
	uint64_t turn; /* when it had its last one */
};

struct fair_user {
	struct fair_tenant *tenant;
	char *name;
	struct fair_item *first, *last; /* those that wait */
	size_t waiting, running;
	uint64_t turn;
};

/* ---- who is known ---- */

static char *
copy(struct str text)
{
	char *s = xmalloc(text.len + 1);

	for (size_t i = 0; i < text.len; i++)
		s[i] = text.ptr[i];
	s[text.len] = '\0';
	return s;
}

static struct fair_tenant *
tenant_get(struct fair *f, struct str path)
{
	struct fair_tenant *t = map_get(&f->tenants, path);

	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->path = copy(path);
	t->turn = f->turns; /* nobody gains by having been away */
	(void)map_set(&f->tenants, (struct str){t->path, path.len}, t);
	return t;
}

static struct fair_user *
user_get(struct fair *f, const struct fair_item *i)
{
	struct fair_tenant *t = tenant_get(f, i->tenant);
	struct fair_user *u = map_get(&t->users, i->user);

	if (u != NULL)
		return u;
	u = xcalloc(1, sizeof(*u));
	u->tenant = t;
	u->name = copy(i->user);
	u->turn = f->turns;
	(void)map_set(&t->users, (struct str){u->name, i->user.len}, u);
	return u;
}

/* Forgets who neither waits nor runs. */
static void
release(struct fair *f, struct fair_user *u, const struct fair_item *i)
{
	struct fair_tenant *t = u->tenant;

	if (u->waiting == 0 && u->running == 0) {
		(void)map_remove(&t->users, i->user);
		free(u->name);
		free(u);
	}
	if (t->users.len == 0) {
		(void)map_remove(&f->tenants, i->tenant);
		map_fini(&t->users);
		free(t->path);
		free(t);
	}
}

/* ---- waiting and running ---- */

void
fair_wait(struct fair *f, struct fair_item *i)
{
	struct fair_user *u = user_get(f, i);

	i->owner = u;
	i->runs = false;
	i->next = NULL;
	i->prev = u->last;
	if (u->last != NULL)
		u->last->next = i;
	else
		u->first = i;
	u->last = i;
	u->waiting++;
	u->tenant->waiting++;
	f->waiting++;
}

static void
unlink_item(struct fair *f, struct fair_item *i)
{
	struct fair_user *u = i->owner;

	if (i->prev != NULL)
		i->prev->next = i->next;
	else
		u->first = i->next;
	if (i->next != NULL)
		i->next->prev = i->prev;
	else
		u->last = i->prev;
	i->prev = i->next = NULL;
	u->waiting--;
	u->tenant->waiting--;
	f->waiting--;
}

void
fair_leave(struct fair *f, struct fair_item *i)
{
	struct fair_user *u = i->owner;

	if (u == NULL)
		return;
	if (i->runs) {
		u->running--;
		u->tenant->running--;
		f->running--;
	} else {
		unlink_item(f, i);
	}
	i->owner = NULL;
	i->runs = false;
	release(f, u, i);
}

void
fair_run(struct fair *f, struct fair_item *i)
{
	struct fair_user *u = user_get(f, i);

	if (i->owner != NULL)
		unlink_item(f, i);
	i->owner = u;
	i->runs = true;
	u->running++;
	u->tenant->running++;
	f->running++;
	u->turn = u->tenant->turn = ++f->turns;
}

/* ---- choosing ---- */

static struct fair_item *
item_next(const struct fair_tenant *t)
{
	const struct fair_user *best = NULL;

	for (size_t n = 0; t != NULL && n < t->users.len; n++) {
		const struct fair_user *u = t->users.entries[n].value;

		if (u->waiting != 0 &&
		    (best == NULL || u->running < best->running ||
			(u->running == best->running && u->turn < best->turn)))
			best = u;
	}
	return best != NULL ? best->first : NULL;
}

struct fair_item *
fair_next(const struct fair *f)
{
	const struct fair_tenant *best = NULL;

	for (size_t n = 0; n < f->tenants.len; n++) {
		const struct fair_tenant *t = f->tenants.entries[n].value;

		if (t->waiting != 0 &&
		    (best == NULL || t->running < best->running ||
			(t->running == best->running && t->turn < best->turn)))
			best = t;
	}
	return item_next(best);
}

struct fair_item *
fair_excess(const struct fair *f)
{
	const struct fair_tenant *tenant = NULL;
	const struct fair_user *user = NULL;

	for (size_t n = 0; n < f->tenants.len; n++) {
		const struct fair_tenant *t = f->tenants.entries[n].value;

		if (t->waiting != 0 && (tenant == NULL || t->waiting > tenant->waiting))
			tenant = t;
	}
	for (size_t n = 0; tenant != NULL && n < tenant->users.len; n++) {
		const struct fair_user *u = tenant->users.entries[n].value;

		if (u->waiting != 0 && (user == NULL || u->waiting > user->waiting))
			user = u;
	}
	return user != NULL ? user->last : NULL;
}

void
fair_fini(struct fair *f)
{
	map_fini(&f->tenants);
}
