/*
 * Addresses that routes in force need on the node: what is published, and what is put on
 * as a source. Which of them the node takes is the kernel role's to say.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/engine_state.h"
#include "enforcer/steer/address.h"

bool
engine_routes_move(const struct op *op)
{
	bool elements =
	    op->kind == OP_ADD || op->kind == OP_DELETE || op->kind == OP_FLUSH;

	return elements &&
	       ((op->set >= SET_PUBLISH4 && op->set <= SET_PUBLISH6_RANGE) ||
		   op->set == SET_END4 || op->set == SET_END6);
}

struct addresses {
	struct buf body;
	uint32_t count;
	bool full;
};

static void
add(struct addresses *a, enum ip_family family, const uint8_t *bytes, bool shared)
{
	uint8_t padded[16] = {0};

	if (a->count == ADDRESS_MAX) {
		a->full = true;
		return;
	}
	memcpy(padded, bytes, ip_bytes(family));
	proc_put_u8(&a->body, (uint8_t)family);
	buf_add(&a->body, padded, sizeof(padded));
	proc_put_u8(&a->body, shared);
	a->count++;
}

/* Published addresses are keys, ends are values. Sorted by address, or by id: an address
 * that follows itself is once enough. */
static void
add_set(struct engine *e, struct addresses *a, enum table_set_id set,
    enum ip_family family, const struct table_content *standbys)
{
	struct arena *arena = arena_new();
	struct table_element *elements;
	const uint8_t *last = NULL;
	size_t count;

	compile_state_set(e->apply.current->real.state, set, arena, &elements, &count);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *bytes =
		    standbys != NULL ? elements[i].addr_end : elements[i].addr;
		struct ip_addr addr = {.family = family};
		bool shared = false;

		memcpy(addr.bytes, bytes, ip_bytes(family));
		if ((last != NULL && memcmp(last, bytes, ip_bytes(family)) == 0) ||
		    model_workload_at(e->apply.current->model, &addr) != NULL ||
		    (standbys != NULL &&
			!engine_ways_have(e, standbys, &addr, &shared)))
			continue;
		last = bytes;
		add(a, family, bytes, shared);
	}
	arena_free(arena);
}

void
engine_routes_tell(struct engine *e)
{
	struct addresses a = {.count = 0};
	struct arena *arena;
	struct table_content standbys;
	struct buf body = {0};
	struct err err = ERR_INIT;

	if (!engine_kernel_connected(e) || e->apply.current == NULL ||
	    e->apply.current->skeleton)
		return;
	arena = arena_new();
	compile_state_ways(e->apply.current->real.state, arena, &standbys);
	for (unsigned six = 0; six < 2; six++) {
		enum ip_family family = six == 0 ? IP_V4 : IP_V6;

		add_set(e, &a, (enum table_set_id)(SET_PUBLISH4 + six), family, NULL);
		add_set(
		    e, &a, (enum table_set_id)(SET_PUBLISH4_RANGE + six), family, NULL);
		add_set(e, &a, (enum table_set_id)(SET_END4 + six), family, &standbys);
	}
	arena_free(arena);
	if (a.full)
		log_error("addresses", "detail=\"routes need more than %u addresses\"",
		    ADDRESS_MAX);
	proc_put_u32(&body, a.count);
	buf_add(&body, a.body.data, a.body.len);
	if (link_send(&e->kernel.channel, MSG_ADDRESSES, 0, &body, -1, &err) != 0)
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&a.body);
	buf_free(&body);
}
