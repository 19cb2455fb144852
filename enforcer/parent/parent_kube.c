/*
 * Clusters that are sources: a role for each, and what lets it in. Files are read here, as
 * root, each time anew, so that tokens and certificates that were replaced count; names are
 * resolved here, too, on a thread. Of what was read nothing is kept but a hash.
 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "common/ip_socket.h"
#include "common/log.h"
#include "common/map.h"
#include "common/secret.h"
#include "enforcer/parent/parent_state.h"

#define LOOK_MS 60000 /* at files that may have been replaced */

/* One reading, until the role has been told. */
struct reading {
	uv_getaddrinfo_t request;
	struct parent *parent;
	size_t source;
	uint32_t generation;
	bool at_once;
	struct arena *arena;
	struct kube_access access;
	struct ip_addr addresses[KUBE_ADDRESSES_MOST];
};

static enum role_id
slot_of(size_t source)
{
	return (enum role_id)(ROLE_KUBE + source);
}

static void
free_reading(struct reading *r)
{
	kube_access_wipe(&r->access);
	arena_free(r->arena);
	free(r);
}

/* ---- telling the role ---- */

static void
send_access(struct reading *r, const char *why)
{
	struct buf body = {0};

	proc_put_u8(&body, r->at_once);
	proc_put_str(&body, str_from(why));
	if (why[0] == '\0')
		kube_access_encode(&body, &r->access);
	parent_send(r->parent, slot_of(r->source), MSG_KUBE_ACCESS, &body, -1);
	secret_wipe(body.data, body.len);
	buf_free(&body);
}

/* The first mistake: the others show once it is mended. */
static const char *
first_error(struct arena *arena, const struct diag_list *diags)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity != DIAG_ERROR)
			continue;
		return d->loc.source == NULL ? d->msg
					     : arena_printf(arena, "%s: %s",
						   loc_text(arena, d->loc), d->msg);
	}
	return "cannot be read";
}

/* ---- the server's addresses ---- */

static void
on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct reading *r = CONTAINER_OF(request, struct reading, request);
	const struct parent *p = r->parent;
	size_t count = 0;

	for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
		if (count < KUBE_ADDRESSES_MOST &&
		    ip_from_socket(i->ai_addr, &r->addresses[count], NULL))
			count++;
	}
	uv_freeaddrinfo(found);
	r->access.addresses = r->addresses;
	r->access.address_count = count;
	if (!p->stopping && p->kubes[r->source].generation == r->generation)
		send_access(
		    r, count != 0
			   ? ""
			   : arena_printf(r->arena, "the server's name %.*s: %s",
				 STR_ARG(r->access.host),
				 status != 0 ? uv_strerror(status) : "has no address"));
	free_reading(r);
}

static void
resolve(struct reading *r)
{
	const struct addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct ip_addr literal;

	if (ip_parse(r->access.host, &literal)) {
		r->addresses[0] = literal;
		r->access.addresses = r->addresses;
		r->access.address_count = 1;
	} else if (uv_getaddrinfo(&r->parent->loop, &r->request, on_resolved,
		       arena_strndup(r->arena, r->access.host.ptr, r->access.host.len),
		       NULL, &hints) == 0) {
		return;
	}
	send_access(
	    r, r->access.address_count != 0 ? "" : "the server's name is no name");
	free_reading(r);
}

/* ---- reading ---- */

static uint64_t
hash_access(const struct kube_access *access)
{
	struct buf copy = {0};
	uint64_t hash;

	kube_access_encode(&copy, access);
	hash = map_hash(buf_str(&copy));
	secret_wipe(copy.data, copy.len);
	buf_free(&copy);
	return hash;
}

/* `if_new`: the role has what was there before, and is well. */
static void
read_access(struct parent *p, size_t source, bool if_new, bool at_once)
{
	struct parent_kube *k = &p->kubes[source];
	const struct kube_place place = {k->kubeconfig, str_from(k->context)};
	struct reading *r = xcalloc(1, sizeof(*r));
	struct diag_list diags;
	uint64_t hash = 0;
	bool ok;

	r->parent = p;
	r->source = source;
	r->at_once = at_once;
	r->arena = arena_new();
	diag_list_init(&diags, r->arena);
	ok = kube_access_read(r->arena, &place, &diags, &r->access);
	if (ok)
		hash = hash_access(&r->access);
	if (if_new && hash == k->access_hash) {
		free_reading(r);
		return;
	}
	k->access_hash = hash;
	r->generation = ++k->generation;
	if (ok) {
		resolve(r);
		return;
	}
	send_access(r, first_error(r->arena, &diags));
	free_reading(r);
}

void
parent_kube_refresh(struct parent *p, size_t source, bool at_once)
{
	if (p->kubes[source].used && !p->stopping)
		read_access(p, source, false, at_once);
}

static void
on_look(uv_timer_t *timer)
{
	struct parent *p = timer->data;

	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		if (p->kubes[i].used)
			read_access(p, i, true, false);
	}
}

/* ---- roles ---- */

static void
forget(struct parent_kube *k)
{
	free((void *)(uintptr_t)k->name.ptr);
	free(k->kubeconfig);
	free(k->context);
	*k = (struct parent_kube){.generation = k->generation + 1};
}

static char *
copy_text(struct str s)
{
	char *copy = xmalloc(s.len + 1);

	if (s.len != 0)
		memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\0';
	return copy;
}

static void
remember(struct parent_kube *k, const struct enforcer_source *s)
{
	const struct str name = str_from(s->directory);

	k->name = (struct str){copy_text(name), name.len};
	k->kubeconfig =
	    s->place.kubeconfig != NULL ? xstrdup(s->place.kubeconfig) : NULL;
	k->context = copy_text(s->place.context);
	k->silent_s = s->silent_s;
	k->report_s = s->report_s;
	k->used = true;
}

static bool
is_same(const struct parent_kube *k, const struct enforcer_source *s)
{
	const bool both = k->kubeconfig != NULL && s->place.kubeconfig != NULL;

	return k->used && str_is(k->name, s->directory) &&
	       (both ? strcmp(k->kubeconfig, s->place.kubeconfig) == 0
		     : k->kubeconfig == s->place.kubeconfig) &&
	       str_eq(str_from(k->context), s->place.context) &&
	       k->silent_s == s->silent_s && k->report_s == s->report_s;
}

static void
update(struct parent *p, size_t source, const struct enforcer_source *s)
{
	struct parent_kube *k = &p->kubes[source];

	if (s != NULL && is_same(k, s)) {
		parent_connect_kube(p, source); /* the engine has new settings */
		parent_kube_refresh(p, source, true);
		return;
	}
	if (k->used) {
		(void)uv_timer_stop(&p->roles[slot_of(source)].restart);
		parent_stop_role(p, slot_of(source));
		forget(k);
	}
	if (s == NULL)
		return;
	remember(k, s);
	parent_start_role(p, slot_of(source));
}

void
parent_kube_update(struct parent *p)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		const bool wanted =
		    i < p->config->source_count && p->config->sources[i].kubernetes;

		update(p, i, wanted ? &p->config->sources[i] : NULL);
	}
}

void
parent_kube_settings(const struct parent *p, size_t source, struct kube_settings *out)
{
	out->index = (uint32_t)source;
	out->cluster = p->kubes[source].name;
	out->silent_s = p->kubes[source].silent_s;
	out->report_s = p->kubes[source].report_s;
	out->node = p->config->node;
}

void
parent_kube_init(struct parent *p)
{
	p->kube_timer.data = p;
	if (uv_timer_init(&p->loop, &p->kube_timer) != 0 ||
	    uv_timer_start(&p->kube_timer, on_look, LOOK_MS, LOOK_MS) != 0)
		base_die("cannot make a timer");
}

void
parent_kube_fini(struct parent *p)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		parent_stop_role(p, slot_of(i));
		forget(&p->kubes[i]);
	}
	uv_close((uv_handle_t *)&p->kube_timer, NULL);
}
