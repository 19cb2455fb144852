/*
 * Questions of a container runtime (cni/): only root's are taken, for what is announced here
 * decides whose policy an address gets.
 */
#include <stdlib.h>

#include "common/limits.h"
#include "enforcer/control/control_ask.h"

#define MOST_ADDRESSES 16
#define MOST_WAIT_MS   300000
#define CONTAINER_MOST 256

/* "-" stands for nothing. */
static struct str
optional(struct str word)
{
	return str_is(word, "-") ? STR("") : word;
}

/* CONTAINER/INTERFACE; false if that cannot be. */
static bool
is_key(struct str key)
{
	size_t slash = str_find(key, '/', 0);

	return slash > 0 && slash + 1 < key.len && key.len <= CONTAINER_MOST;
}

static bool
from_root(struct asked *a)
{
	if (server_conn_peer(a->conn).uid == 0)
		return true;
	asked_refuse(a, "only root may say that");
	return false;
}

static bool
read_addresses(struct str list, struct ip_addr *out, size_t *out_count)
{
	*out_count = 0;
	while (list.ptr != NULL) {
		if (*out_count == MOST_ADDRESSES ||
		    !ip_parse(str_split(&list, ','), &out[*out_count]))
			return false;
		(*out_count)++;
	}
	return *out_count != 0;
}

static void
on_attached(struct engine *e, uint64_t conn_id, const struct engine_attach_result *r)
{
	struct server_conn *conn =
	    e->control != NULL ? control_find(e->control, conn_id) : NULL;
	struct buf out = {0}, why = {0};

	if (conn == NULL)
		return; /* it waits no longer */
	if (r->missing == NULL) {
		buf_printf(&out, "{\"inForce\":true,\"generation\":%llu}\n",
		    (unsigned long long)r->generation);
	} else {
		buf_printf(&why, "%s%s%s", r->missing, *r->address != '\0' ? ": " : "",
		    r->address);
		control_answer_error(&out, buf_str(&why));
	}
	server_send(conn, buf_str(&out));
	server_finish(conn);
	buf_free(&out);
	buf_free(&why);
}

/* attach CONTAINER/INTERFACE NAMESPACE NAME ADDRESS[,...] MILLISECONDS */
void
ask_attach(struct asked *a)
{
	struct ip_addr addrs[MOST_ADDRESSES];
	struct engine_attach_to to = {
	    .namespace = optional(a->words[2]),
	    .name = optional(a->words[3]),
	    .addrs = addrs,
	};
	uint64_t wait_ms;

	if (!from_root(a))
		return;
	if (!is_key(a->words[1]) || to.namespace.len > LIMIT_NAME_BYTES ||
	    to.name.len > LIMIT_NAME_BYTES ||
	    (to.namespace.len == 0) != (to.name.len == 0) ||
	    !read_addresses(a->words[4], addrs, &to.addr_count) ||
	    !str_to_u64(a->words[5], MOST_WAIT_MS, &wait_ms)) {
		asked_refuse(a, "the question cannot be understood");
		return;
	}
	if (!engine_attach(asked_engine(a), a->words[1], &to, wait_ms, on_attached,
		server_conn_id(a->conn)))
		asked_refuse(a, "too many workloads are being started");
}

/* detach CONTAINER/INTERFACE */
void
ask_detach(struct asked *a)
{
	if (!from_root(a))
		return;
	engine_attach_remove(asked_engine(a), a->words[1]);
	asked_done(a);
}

/* keep CONTAINER/INTERFACE[,...]: all others are gone. "-": all. */
void
ask_keep(struct asked *a)
{
	struct str list = optional(a->words[1]);
	struct map keys = {0};

	if (!from_root(a))
		return;
	while (list.ptr != NULL && list.len != 0)
		(void)map_set(&keys, str_split(&list, ','), a);
	engine_attach_keep(asked_engine(a), &keys);
	map_fini(&keys);
	asked_done(a);
}
