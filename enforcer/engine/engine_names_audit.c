/*
 * What became known by name, was forgotten or refused, on record. A tenant chooses how much
 * that is: so each has some records a second, and the rest of a second is told as a number.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "enforcer/engine/engine_state.h"

#define RECORDS_MOST 20 /* of a tenant, in a second */
#define SECOND_NS    UINT64_C(1000000000)
#define TENANTS_MOST 4096

struct names_audited {
	monotime_t began; /* the second */
	unsigned records; /* in it */
	uint64_t more[AUDIT_NAME_COUNT];
	struct str tenant; /* of the text */
	char text[];
};

static void
send_record(struct engine *e, const struct audit_name *event)
{
	struct buf line = {0};
	uint8_t id[16];

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		base_die("getrandom");
	audit_event_name(&line, id, event);
	(void)engine_audit_send(e, buf_str(&line), false); /* lost lines are counted */
	buf_free(&line);
}

static void
tell_more(struct engine *e, struct names_audited *t)
{
	for (size_t i = 0; i < AUDIT_NAME_COUNT; i++) {
		const struct audit_name event = {.kind = (enum audit_name_kind)i,
		    .node = e->settings.node,
		    .tenant = t->tenant,
		    .count = t->more[i],
		    .now = walltime_now()};

		if (t->more[i] != 0)
			send_record(e, &event);
		t->more[i] = 0;
	}
}

static struct names_audited *
find(struct engine *e, struct str tenant, monotime_t now)
{
	struct map *all = &e->names.audited;
	struct names_audited *t = map_get(all, tenant);

	if (t != NULL || all->len == TENANTS_MOST)
		return t;
	t = xcalloc(1, sizeof(*t) + tenant.len + 1);
	if (tenant.len != 0)
		memcpy(t->text, tenant.ptr, tenant.len);
	t->tenant = (struct str){t->text, tenant.len};
	t->began = now;
	(void)map_set(all, t->tenant, t); /* new */
	return t;
}

void
engine_names_audit(struct engine *e, enum audit_name_kind kind, struct str tenant,
    struct str name, const struct ip_addr *addr)
{
	const monotime_t now = monotime_now();
	const struct audit_name event = {.kind = kind,
	    .node = e->settings.node,
	    .tenant = tenant,
	    .name = name,
	    .addr = addr,
	    .now = walltime_now()};
	struct names_audited *t;

	if (!e->settings.audit)
		return;
	t = find(e, tenant, now);
	if (t == NULL) {
		e->audit.lost++;
	} else if (t->records == RECORDS_MOST) {
		t->more[kind]++;
	} else {
		t->records++;
		send_record(e, &event);
	}
}

/* A tenant of whom nothing came in its second is forgotten. */
void
engine_names_audit_tick(struct engine *e)
{
	struct map *all = &e->names.audited;
	const monotime_t now = monotime_now();

	for (size_t i = all->len; i-- > 0;) {
		struct names_audited *t = all->entries[i].value;

		if (monotime_since(t->began, now) < SECOND_NS)
			continue;
		tell_more(e, t);
		(void)map_remove(all, t->tenant); /* was there */
		free(t);
	}
}

void
engine_names_audit_fini(struct engine *e)
{
	struct map *all = &e->names.audited;

	for (size_t i = 0; i < all->len; i++)
		free(all->entries[i].value);
	map_fini(all);
}
