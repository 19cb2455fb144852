#include "common/log.h"
#include "enforcer/kernel/kernel_state.h"

#define ADDRESSES_MS  1000 /* how often the node's addresses are looked at */
#define WAYS_MS       1000 /* the same of its rules and routes */
#define WAYS_LEAST_MS 20

/* ---- addresses of Routes ---- */

static void
tend_addresses(struct kernel *k)
{
	struct err err = ERR_INIT;
	bool failed = address_tend(k->addresses, &err) != 0;

	if (failed && !k->addresses_complained)
		log_error("addresses", "detail=%s", log_quote(str_from(err.msg)));
	k->addresses_complained = failed;
	k->addresses_looked = monotime_now();
}

void
kernel_want_addresses(struct kernel *k, const struct proc_msg *msg)
{
	if (address_told(k->addresses, k->arena, msg))
		tend_addresses(k);
	else
		log_error("engine-link", "detail=\"malformed addresses\"");
}

/* ---- ways ---- */

void
kernel_tell_ways(struct kernel *k)
{
	struct buf body = {0};

	steer_put(k->steer, &body);
	probe_put(k->probe, &body);
	kernel_answer(k, MSG_WAY_STATE, 0, &body, -1);
	buf_free(&body);
}

static void
tend_ways(struct kernel *k)
{
	struct err err = ERR_INIT;
	bool failed = steer_tend(k->steer, &err) != 0;

	if (failed && !k->steer_complained)
		log_error("ways", "detail=%s", log_quote(str_from(err.msg)));
	k->steer_complained = failed;
	k->steer_dirty = false;
	k->steer_looked = monotime_now();
	if (steer_changed(k->steer))
		kernel_tell_ways(k);
}

/* What is told is there when the next message is read. */
void
kernel_want_ways(struct kernel *k, const struct proc_msg *msg)
{
	if (!steer_told(k->steer, msg)) {
		log_error("engine-link", "detail=\"malformed ways\"");
		return;
	}
	tend_ways(k);
	kernel_tell_ways(k); /* whom we ask may be others now */
}

/* Gateways that come and go are followed at once. */
static void
watch_gateways(struct kernel *k)
{
	probe_read(k->probe);
	if (!probe_tick(k->probe, monotime_now()))
		return;
	tend_ways(k);
	kernel_tell_ways(k);
}

/* Often enough, and not more often than that, however often others change something. */
static void
watch_ways(struct kernel *k)
{
	uint64_t passed = monotime_since(k->steer_looked, monotime_now());

	k->steer_dirty |= steer_news(k->steer);
	if (passed >= UINT64_C(1000000) * WAYS_MS ||
	    (k->steer_dirty && passed >= UINT64_C(1000000) * WAYS_LEAST_MS))
		tend_ways(k);
}

void
kernel_tell_whose(struct kernel *k, const struct proc_msg *msg)
{
	struct buf body = {0};
	struct proc_reader r;
	uint8_t count;

	proc_reader_init(&r, msg);
	count = proc_get_u8(&r);
	for (uint8_t i = 0; i < count && count <= WHOSE_MOST; i++) {
		const struct ip_addr addr = proc_get_ip(&r);

		if (!r.ok)
			break;
		proc_put_u8(&body, address_is_own(k->addresses, &addr));
	}
	kernel_answer(k, MSG_WHOSE_TOLD, msg->id, &body, -1);
	buf_free(&body);
}

int
kernel_routes_wait_ms(const struct kernel *k, int most)
{
	return probe_wait_ms(
	    k->probe, monotime_now(), k->steer_dirty ? WAYS_LEAST_MS : most);
}

void
kernel_watch_routes(struct kernel *k)
{
	watch_ways(k);
	watch_gateways(k);
	if (monotime_since(k->addresses_looked, monotime_now()) >=
	    UINT64_C(1000000) * ADDRESSES_MS)
		tend_addresses(k);
}
