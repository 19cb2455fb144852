/*
 * gate.yaml's addresses to listen on, and its control socket.
 */
#include <sys/un.h>

#include "authn/config/config_internal.h"
#include "common/ip.h"

/* An address that was read before. */
struct config_listener {
	struct config_listener *next;
	struct loc loc;
	struct ip_addr addr;
	bool any_family; /* without a host */
	uint16_t port;
};

static bool
is_unspecified(const struct ip_addr *addr)
{
	struct ip_addr zero = {.family = addr->family};

	return ip_eq(addr, &zero);
}

/* One of them would take what is meant for the other. */
static bool
collide(const struct config_listener *a, const struct config_listener *b)
{
	if (a->port != b->port || a->port == 0) /* 0: the system chooses */
		return false;
	if (a->any_family || b->any_family)
		return true;
	return a->addr.family == b->addr.family &&
	       (ip_eq(&a->addr, &b->addr) || is_unspecified(&a->addr) ||
		   is_unspecified(&b->addr));
}

static void
note_listener(
    struct reader *r, const struct doc_node *n, const struct config_listener *fresh)
{
	struct config_listener *kept = ARENA_NEW(r->arena, struct config_listener);
	struct diag *d;

	for (const struct config_listener *l = r->listeners; l != NULL; l = l->next) {
		if (!collide(l, fresh))
			continue;
		d = diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is listened on already", STR_ARG(n->text));
		diag_note(r->diags, d, l->loc, "here");
		return;
	}
	*kept = *fresh;
	kept->next = r->listeners;
	r->listeners = kept;
}

void
config_read_listen(struct reader *r, const struct doc_node *n, struct gate_listen *out)
{
	struct config_listener fresh = {.loc = n->loc, .addr = {.family = IP_V6}};
	struct str host = {NULL, 0};

	if (!config_host_port(n->text, &host, &out->port) ||
	    (host.len != 0 && !ip_parse(host, &fresh.addr))) {
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "\"%.*s\" is no listening address: write ADDRESS:PORT, with an "
		    "IPv6 address in brackets",
		    STR_ARG(n->text));
		return;
	}
	out->host = host;
	fresh.any_family = host.len == 0;
	fresh.port = out->port;
	note_listener(r, n, &fresh);
}

void
config_read_listens(struct reader *r, const struct doc_node *list)
{
	struct gate_listen *all =
	    ARENA_ARRAY(r->arena, list->count, struct gate_listen);

	for (uint32_t i = 0; i < list->count; i++) {
		if (schema_type(
			r->diags, list->u.items[i], "a listening address", TYPE_STRING))
			config_read_listen(r, list->u.items[i], &all[i]);
	}
	if (list->count == 0)
		diag_error(
		    r->diags, CODE_VALUE, list->loc, "\"listen\" names no address");
	r->config->listen = all;
	r->config->listen_count = list->count;
}

void
config_read_control(struct reader *r, const struct doc_node *n)
{
	const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	const char *path;

	optional_path(r, n, &r->config->control_socket);
	path = r->config->control_socket;
	if (n != NULL && strlen(path) > most)
		diag_error(r->diags, CODE_VALUE, n->loc,
		    "a socket's path has at most %zu bytes, and this one %zu: %s", most,
		    strlen(path), path);
}
