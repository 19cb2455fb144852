#include "enforcer/kernel/kernel.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <poll.h>

#include "common/bundle.h"
#include "common/log.h"
#include "enforcer/kernel/kernel_state.h"
#include "enforcer/kernel/kernel_tracker.h"
#include "enforcer/wire/blob.h"
#include "enforcer/wire/link.h"

#define START_MS 10000 /* for the parent to say what to do */
/* How often the generation is looked at: others can do less to a table that is owned. */
#define OWNED_POLL_MS 200
#define PLAIN_POLL_MS 50
/* A request that took more may have left as much on the heap. */
#define LARGE_BYTES ((size_t)1024 * 1024)

/* ---- the engine ---- */

/* An engine that asks more than there is room for is none of ours. */
static void
ask_tracker(struct kernel *k, const struct proc_msg *msg)
{
	if (tracker_ask(k->tracker, msg, k->engine_link))
		return;
	log_error("engine-link", "detail=\"too many questions\" type=%u",
	    (unsigned)msg->type);
	kernel_engine_lost(k);
}

static void
tell_connections(struct kernel *k)
{
	struct tracker_message m;

	while (tracker_take(k->tracker, &m)) {
		if (m.link == k->engine_link)
			kernel_answer(k, m.type, m.id, &m.body, -1);
		buf_free(&m.body);
	}
}

static const struct {
	uint32_t type;
	kernel_request_fn handle;
} requests[] = {
    {MSG_APPLY, kernel_apply},
    {MSG_OBSERVE, kernel_observe},
    {MSG_OBSERVE_RULES, kernel_observe},
    {MSG_COUNTERS, kernel_count},
    {MSG_CONNECTIONS, ask_tracker},
    {MSG_CUT, ask_tracker},
    {MSG_ADOPT, ask_tracker},
    {MSG_TRACE, kernel_trace},
    {MSG_TRACE_END, kernel_end_trace},
    {MSG_WHOSE, kernel_tell_whose},
    {MSG_ADDRESSES, kernel_want_addresses},
    {MSG_WAYS, kernel_want_ways},
};

/* What a whole table took is not needed for changes of it. */
static void
let_go(struct kernel *k)
{
	const bool large = arena_bytes(k->arena) >= LARGE_BYTES;

	arena_reset(k->arena);
	if (large)
		(void)malloc_trim(0); /* nothing to give back is fine */
}

static bool
handle_request(struct kernel *k, const struct proc_msg *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type == msg->type) {
			arena_reset(k->arena);
			requests[i].handle(k, msg);
			let_go(k);
			return true;
		}
	}
	return false;
}

static void
on_engine(struct kernel *k)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = proc_recv(&k->engine, &msg, &err);

	if (rc == 1) {
		bool known = handle_request(k, &msg);

		proc_msg_close_fds(&msg);
		if (known)
			return;
		log_error("engine-link", "detail=\"unknown message\" type=%u",
		    (unsigned)msg.type);
	}
	if (rc != 0)
		kernel_engine_lost(k);
}

/* ---- the parent ---- */

static void
greet_engine(struct kernel *k, int fd)
{
	struct err err = ERR_INIT;
	struct buf body = {0};

	proc_channel_close(&k->engine);
	proc_channel_init(&k->engine, fd);
	k->engine_link++;
	/* Answers wait until the engine reads them; it never waits for us. */
	if (proc_channel_set_blocking(&k->engine, true, &err) != 0)
		log_error("engine-link", "detail=%s", log_quote(str_from(err.msg)));
	if (nft_generation(k->nft, &k->generation, &err) != 0)
		log_error("generation", "detail=%s", log_quote(str_from(err.msg)));
	proc_put_u32(&body, k->generation);
	proc_put_u8(&body, k->owned);
	proc_put_u8(&body, (uint8_t)k->lacks);
	kernel_answer(k, MSG_HELLO, 0, &body, -1);
	kernel_tell_ways(k);
	buf_free(&body);
	kernel_logs_give(k);
}

static void
on_parent(struct kernel *k)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = proc_recv(k->parent, &msg, &err);

	if (rc == 0)
		return;
	if (rc == 1 && msg.type == MSG_PING) {
		link_pong(k->parent);
		return;
	}
	if (rc == 1 && msg.type == MSG_ENGINE_LINK && msg.fd_count == 1) {
		greet_engine(k, msg.fds[0]);
		return;
	}
	if (rc == 1)
		proc_msg_close_fds(&msg);
	k->stop = true; /* told to, or the parent is gone */
}

/* ---- the loop ---- */

static void
run_loop(struct kernel *k)
{
	const int poll_ms = k->owned ? OWNED_POLL_MS : PLAIN_POLL_MS;
	monotime_t looked = monotime_now();

	while (!k->stop) {
		struct pollfd wait[] = {
		    {.fd = k->parent->fd, .events = POLLIN},
		    {.fd = k->engine.fd, .events = POLLIN},
		    {.fd = trace_fd(k->trace), .events = POLLIN},
		    {.fd = steer_fd(k->steer), .events = POLLIN},
		    {.fd = probe_fd(k->probe, IP_V4), .events = POLLIN},
		    {.fd = probe_fd(k->probe, IP_V6), .events = POLLIN},
		    {.fd = tracker_fd(k->tracker), .events = POLLIN},
		};
		const int wait_ms = kernel_routes_wait_ms(k, poll_ms);

		if (poll(wait, ARRAY_LEN(wait), wait_ms) < 0 && errno != EINTR)
			base_die("poll");
		if (wait[0].revents != 0)
			on_parent(k);
		else if (wait[1].revents != 0)
			on_engine(k);
		if (wait[6].revents != 0)
			tell_connections(k);
		kernel_watch_trace(k);
		kernel_watch_routes(k);
		if (monotime_since(looked, monotime_now()) >=
		    (uint64_t)poll_ms * 1000000) {
			kernel_logs_bind(k);
			kernel_watch_generation(k);
			looked = monotime_now();
		}
	}
}

static int
start(struct kernel *k, int table_fd, struct err *err)
{
	static const struct proc_sandbox power = {
	    .keep_caps = UINT64_C(1) << CAP_NET_ADMIN,
	    .empty_root = true,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = blob_syscalls,
	};
	const struct bundle nothing = {.sources = NULL};
	struct proc_sandbox sandbox = power;
	uint8_t digest[32];
	struct proc_msg msg;
	struct proc_reader r;
	int rc = settings_receive(k->parent, START_MS, &msg, err);

	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	if (!kernel_settings_decode(k->settings_arena, &r, &k->settings))
		return err_set(err, ERR_PROTOCOL, "malformed settings");
	log_setup("kernel", k->settings.role.log_level, k->settings.role.log_format);
	sandbox.uid = k->settings.role.uid;
	sandbox.gid = k->settings.role.gid;
	/* libcrypto reads its configuration when it is first used; there is no file
	 * afterwards. */
	bundle_digest(&nothing, digest);
	k->nft = nft_new(table_fd);
	if (k->settings.own_table)
		rc = nft_own(k->nft, &k->owned, err);
	if (rc == 0 && !k->owned)
		rc = nft_claim(k->nft, err);
	if (rc == 0)
		rc = nft_find_lacks(k->nft, &k->lacks, err);
	if ((k->lacks & OP_LACKS_FIB) != 0)
		k->settings.steering = (struct steering){.mask = 0};
	if (rc == 0)
		rc = kernel_logs_open(k, err);
	if (rc == 0)
		rc = tracker_open(&k->tracker, err);
	if (rc == 0)
		rc = trace_open(&k->trace, err);
	if (rc == 0)
		rc = address_open(&k->addresses, k->settings.address_places,
		    k->settings.address_place_count, err);
	if (rc == 0)
		rc = probe_open(&k->probe,
		    k->settings.steering.mask != 0 ? k->settings.steering.probe_port
						   : 0,
		    err);
	if (rc == 0)
		rc = steer_open(&k->steer, &k->settings.steering, k->probe, err);
	if (rc == 0)
		rc = proc_confine(&sandbox, err);
	if (rc == 0)
		rc = tracker_start(k->tracker, err);
	return rc;
}

int
kernel_role_run(struct proc_channel *parent, const int *fds, size_t fd_count)
{
	struct kernel k = {
	    .parent = parent,
	    .engine = {.fd = -1},
	    .logs = {{.fd = -1}, {.fd = -1}},
	    .arena = arena_new(),
	    .settings_arena = arena_new(),
	};
	const struct proc_msg ready = {.type = MSG_READY};
	struct err err = ERR_INIT;
	int status = 1;

	if (fd_count != 1)
		base_die("the kernel role needs its socket");
	log_setup("kernel", LOG_INFO, LOG_FORMAT_TEXT);
	if (start(&k, fds[0], &err) != 0 || proc_send(parent, &ready, &err) != 0) {
		log_error("start", "detail=%s", log_quote(str_from(err.msg)));
		goto out;
	}
	kernel_logs_bind(&k);
	run_loop(&k);
	status = 0;
out:
	tracker_close(k.tracker);
	proc_channel_close(&k.engine);
	kernel_logs_close(&k);
	steer_close(k.steer);
	probe_close(k.probe);
	address_close(k.addresses);
	trace_close(k.trace);
	nft_close(k.nft);
	arena_free(k.arena);
	arena_free(k.settings_arena);
	return status;
}
