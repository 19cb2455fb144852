/*
 * What tenants know by name. Copies of DNS come from a group of NFLOG of their own: the
 * kernel hands over what workloads with rules by name ask of configured resolvers, and what
 * comes back on the same connections; what is no answer to such a question says nothing.
 * Or the node's own role forwards them, and they wait (engine_hold.c).
 *
 * What is learnt changes the program in force as an edit does, but for the table that it
 * is in: nobody writes there while the loader's thread reads it.
 *
 * An address whose time is over is forgotten once a list of connections, which began after
 * that, has none of its tenant's to it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

#define UDP_BYTES    8
#define WAITING_MOST 16384 /* lessons while the loader runs */
#define FULL_LOG_MS  60000

struct lesson {
	struct str tenant, name; /* of the text */
	struct ip_addr addr;
	uint32_t ttl_s;
	char text[];
};

static uint64_t
now_ms(void)
{
	return monotime_now().ns / 1000000;
}

/* ---- what has changed ---- */

static void
changed(struct engine_names *n, const struct ip_addr *addr)
{
	if (n->change_count == n->change_cap) {
		n->change_cap = n->change_cap == 0 ? 16 : 2 * n->change_cap;
		n->changes =
		    xreallocarray(n->changes, n->change_cap, sizeof(*n->changes));
	}
	n->file_old = true;
	if (n->change_count == 0)
		n->changed_at = monotime_now();
	n->changes_made++;
	n->changes[n->change_count++] =
	    (struct compile_change){.kind = CHANGE_LEARNT, .addr = *addr};
}

/* ---- learning ---- */

static void
tell_full(struct engine_names *n, struct str tenant)
{
	uint64_t now = now_ms();

	n->full++;
	if (n->full_told_ms != 0 && now < n->full_told_ms + FULL_LOG_MS)
		return;
	n->full_told_ms = now;
	log_warn("names-full", "tenant=%s detail=\"it knows as much as it may\"",
	    log_quote(tenant));
}

static void
learn(struct engine *e, struct str tenant, struct str name, const struct ip_addr *addr,
    uint32_t ttl_s)
{
	struct engine_names *n = &e->names;

	switch (learnt_add(n->learnt, tenant, name, addr, ttl_s, now_ms())) {
	case LEARNT_NEW:
		n->news++;
		changed(n, addr);
		engine_names_audit(e, AUDIT_NAME_LEARNT, tenant, name, addr);
		break;
	case LEARNT_RENEWED:
		break;
	case LEARNT_FULL:
		tell_full(n, tenant);
		engine_names_audit(e, AUDIT_NAME_REFUSED, tenant, name, addr);
		break;
	}
}

static void
keep_for_later(struct engine_names *n, struct str tenant, struct str name,
    const struct dns_address *from)
{
	struct lesson *lesson;

	if (n->waiting_count == WAITING_MOST) {
		n->dropped++;
		return;
	}
	if (n->waiting == NULL)
		n->waiting = xcalloc(WAITING_MOST, sizeof(struct lesson *));
	lesson = xcalloc(1, sizeof(*lesson) + tenant.len + name.len);
	memcpy(lesson->text, tenant.ptr, tenant.len);
	memcpy(lesson->text + tenant.len, name.ptr, name.len);
	lesson->tenant = (struct str){lesson->text, tenant.len};
	lesson->name = (struct str){lesson->text + tenant.len, name.len};
	lesson->addr = from->addr;
	lesson->ttl_s = from->ttl_s;
	n->waiting[n->waiting_count++] = lesson;
}

/* Takes what came while the table could not be written to. */
static void
catch_up(struct engine *e)
{
	struct engine_names *n = &e->names;

	for (size_t i = 0; i < n->waiting_count; i++) {
		struct lesson *l = n->waiting[i];

		learn(e, l->tenant, l->name, &l->addr, l->ttl_s);
		free(l);
	}
	n->waiting_count = 0;
}

static void
take_answer(struct engine *e, const struct workload *w, const struct dns_answer *answer)
{
	struct str tenant = ns_tenant(w->ns), name = str_from(answer->name);

	e->names.answers++;
	for (size_t i = 0; i < answer->address_count; i++) {
		if (e->load.running)
			keep_for_later(&e->names, tenant, name, &answer->addresses[i]);
		else
			learn(e, tenant, name, &answer->addresses[i].addr,
			    answer->addresses[i].ttl_s);
	}
}

/* Whether all of it is known already: what is only renewed may wait for the loader. */
static bool
is_known(const struct engine *e, struct str tenant, const struct dns_answer *answer)
{
	const struct str name = str_from(answer->name);

	for (size_t i = 0; i < answer->address_count; i++) {
		if (!learnt_matches(
			e->names.learnt, tenant, &answer->addresses[i].addr, &name, 1))
			return false;
	}
	return true;
}

/* ---- packets ---- */

/* The workload that asks, or is answered, if it is one of this node. */
static const struct workload *
asker_at(const struct engine *e, const struct ip_addr *addr)
{
	const struct program *p = e->apply.current;
	const struct workload *w =
	    p != NULL && !p->skeleton ? model_workload_at(p->model, addr) : NULL;

	return w != NULL && !w->host_network ? w : NULL;
}

bool
engine_names_answer(
    struct engine *e, const struct ip_addr *client, const struct dns_answer *answer)
{
	const struct workload *w = asker_at(e, client);

	if (w == NULL)
		return true; /* it has gone meanwhile */
	if (e->load.running && !is_known(e, ns_tenant(w->ns), answer))
		return false;
	take_answer(e, w, answer);
	return true;
}

static void
on_answer(struct engine *e, const struct nflog_packet *packet,
    const struct dns_question *head, const uint8_t *message, size_t size)
{
	struct engine_names *n = &e->names;
	const struct workload *w = asker_at(e, &packet->dst);
	struct dns_answer answer;

	if (w == NULL || !questions_answer(n->questions, &packet->dst, packet->dst_port,
			     head, now_ms())) {
		n->unasked++;
		return;
	}
	if (dns_read(message, size, &answer) != DNS_ANSWERED)
		return; /* an error is an answer, too */
	if (answer.truncated)
		n->truncated++;
	else
		take_answer(e, w, &answer);
}

static void
on_packet(void *arg, const struct nflog_packet *packet)
{
	struct engine *e = arg;
	struct engine_names *n = &e->names;
	struct dns_question head;
	const uint8_t *message;
	size_t size;

	if (packet->proto != PROTO_UDP || packet->rest_bytes < UDP_BYTES) {
		n->log.malformed++;
		return;
	}
	message = packet->rest + UDP_BYTES;
	size = packet->rest_bytes - UDP_BYTES;
	switch (dns_read_question(message, size, &head)) {
	case DNS_MALFORMED:
		n->log.malformed++;
		return;
	case DNS_NOTHING:
		return;
	case DNS_ANSWERED:
		break;
	}
	if (head.answer) {
		on_answer(e, packet, &head, message, size);
	} else if (asker_at(e, &packet->src) != NULL) {
		n->asked++;
		questions_ask(
		    n->questions, &packet->src, packet->src_port, &head, now_ms());
	}
}

static void
after_packets(void *arg)
{
	struct engine *e = arg;

	if (e->names.change_count != 0)
		engine_apply_step(e);
}

void
engine_names_socket(struct engine *e, int fd)
{
	if (!nflog_reader_take(&e->names.log, &e->loop, fd))
		log_error("names-not-read", "detail=\"cannot watch the socket\"");
}

/* ---- forgetting ---- */

static struct str
use_key(struct buf *key, struct str tenant, const struct ip_addr *addr)
{
	buf_add_char(key, (char)addr->family);
	buf_add(key, addr->bytes, ip_bytes(addr->family));
	buf_add_str(key, tenant);
	return buf_str(key);
}

bool
engine_names_want_list(const struct engine *e)
{
	return learnt_next_ms(e->names.learnt) <= now_ms();
}

void
engine_names_list_begins(struct engine *e)
{
	struct engine_names *n = &e->names;

	map_fini(&n->used);
	n->used = (struct map){0};
	arena_reset(n->used_arena);
	n->list_began_ms = now_ms();
}

void
engine_names_see(struct engine *e, const struct connection *c)
{
	struct engine_names *n = &e->names;
	const struct workload *w;
	struct buf key = {0};

	if (!learnt_has(n->learnt, &c->judged.dst) || e->apply.current == NULL)
		return;
	w = model_workload_at(e->apply.current->model, &c->judged.src);
	if (w != NULL &&
	    map_get(&n->used, use_key(&key, ns_tenant(w->ns), &c->judged.dst)) == NULL)
		(void)map_set(
		    &n->used, str_dup(n->used_arena, buf_str(&key)), n); /* new */
	buf_free(&key);
}

static bool
is_used(void *ctx, const struct learnt_entry *entry)
{
	struct engine *e = ctx;
	struct buf key = {0};
	bool used =
	    map_get(&e->names.used, use_key(&key, entry->tenant, &entry->addr)) != NULL;

	buf_free(&key);
	return used;
}

static void
on_gone(void *ctx, const struct learnt_entry *entry)
{
	struct engine *e = ctx;

	e->names.forgotten++;
	changed(&e->names, &entry->addr);
	engine_names_audit(
	    e, AUDIT_NAME_FORGOTTEN, entry->tenant, entry->name, &entry->addr);
}

void
engine_names_listed(struct engine *e)
{
	struct engine_names *n = &e->names;

	/* Else the next list will do: the loader reads the table now. */
	if (!e->load.running && n->list_began_ms != 0)
		(void)learnt_expire(
		    n->learnt, n->list_began_ms, is_used, on_gone, e); /* counted */
	n->list_began_ms = 0;
	if (n->change_count != 0)
		engine_apply_step(e);
}

/* ---- life ---- */

void
engine_names_settle(struct engine *e)
{
	struct engine_names *n = &e->names;
	const struct engine_settings *s = &e->settings;

	e->settings.learnt = s->names_group != 0 ? n->learnt : NULL;
	learnt_set_resolvers(n->learnt, s->resolvers, s->resolver_count);
	learnt_set_copied(n->learnt, !s->names_held);
	catch_up(e);
}

bool
engine_names_wait(const struct engine *e)
{
	return e->names.change_count + e->names.waiting_count != 0;
}

const struct compile_change *
engine_names_changes(struct engine *e, size_t *out_count, monotime_t *out_since)
{
	catch_up(e);
	*out_count = e->names.change_count;
	*out_since = e->names.changed_at;
	return e->names.changes;
}

void
engine_names_told(struct engine *e)
{
	e->names.change_count = 0;
	e->names.changes_told = e->names.changes_made;
}

void
engine_names_tick(struct engine *e)
{
	if (engine_names_want_list(e) && !e->cut.running)
		engine_cut_want(e, true);
	engine_names_file_tick(e);
	engine_names_audit_tick(e);
}

void
engine_names_init(struct engine *e)
{
	struct engine_names *n = &e->names;

	n->log = (struct nflog_reader){
	    .each = on_packet, .after = after_packets, .arg = e, .fd = -1};
	n->file = -1;
	n->learnt = learnt_new(LIMIT_DNS_LEARNT);
	n->questions = questions_new();
	n->used_arena = arena_new();
	engine_names_settle(e);
}

void
engine_names_stop(struct engine *e)
{
	nflog_reader_close(&e->names.log);
	engine_names_file_close(e);
}

void
engine_names_fini(struct engine *e)
{
	struct engine_names *n = &e->names;

	for (size_t i = 0; i < n->waiting_count; i++)
		free(n->waiting[i]);
	free(n->waiting);
	free(n->changes);
	map_fini(&n->used);
	arena_free(n->used_arena);
	questions_free(n->questions);
	learnt_free(n->learnt);
	engine_names_audit_fini(e);
}

void
engine_names_print(const struct engine *e, bool json, struct buf *out)
{
	if (json)
		learnt_print_json(out, e->names.learnt, now_ms());
	else
		learnt_print(out, e->names.learnt, now_ms());
}
