#include "enforcer/kernel.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/clock.h"
#include "common/log.h"
#include "enforcer/address.h"
#include "enforcer/blob.h"
#include "enforcer/conntrack.h"
#include "enforcer/messages.h"
#include "enforcer/nflog.h"
#include "enforcer/nft.h"
#include "enforcer/settings.h"
#include "enforcer/steer.h"
#include "enforcer/trace.h"

#define START_MS 10000 /* for the parent to say what to do */
/* How often the generation is looked at: others can do less to a table that is owned. */
#define OWNED_POLL_MS 200
#define PLAIN_POLL_MS 50
#define ADDRESSES_MS  1000 /* how often the node's addresses are looked at */
#define WAYS_MS       1000 /* the same of its rules and routes */
#define WAYS_LEAST_MS 20
#define OBSERVE_TRIES 5 /* while others change the ruleset */

/* A group of NFLOG that the engine reads. */
struct logged {
	int fd; /* -1: not wanted */
	uint16_t group;
	bool bound, complained;
};

struct kernel {
	struct proc_channel *parent;
	struct proc_channel engine; /* fd -1: none */
	struct kernel_settings settings;
	struct nft *nft;
	bool owned;     /* the table is, where the kernel has that */
	unsigned lacks; /* of limits; enum op_lack */
	struct conntrack *conntrack;
	struct address_book *addresses;
	monotime_t addresses_looked;
	bool addresses_complained;
	struct probe *probe;
	struct steer *steer;
	monotime_t steer_looked;
	bool steer_dirty, steer_complained;
	struct arena *settings_arena;
	struct trace *trace;
	uint32_t trace_question;
	monotime_t trace_until;
	struct arena *arena; /* of one message */
	uint32_t generation; /* of our last commit, or told to the engine */
	struct logged logs[NFLOG_COUNT];
	bool stop;
};

/* ---- answers ---- */

static void
engine_lost(struct kernel *k)
{
	proc_channel_close(&k->engine); /* its pollfd is -1 from now on */
}

/* Sends to the engine; takes `fd` unless it is -1. One that does not read its answers is
 * of no use any more. */
static void
send_engine(
    struct kernel *k, uint32_t type, uint32_t id, const struct buf *body, int fd)
{
	struct proc_msg msg = {.type = type,
	    .id = id,
	    .data = (const uint8_t *)body->data,
	    .len = body->len,
	    .fds = {fd},
	    .fd_count = fd >= 0};
	struct err err = ERR_INIT;

	if (k->engine.fd >= 0 && proc_send(&k->engine, &msg, &err) != 0) {
		/* The parent tells of its end; here it is of no interest. */
		log_debug("engine-link", "detail=%s", log_quote(str_from(err.msg)));
		engine_lost(k);
	}
}

static void
put_outcome(struct buf *body, int rc, const struct err *err)
{
	proc_put_str(body, rc == 0 ? STR("") : str_from(err->msg));
}

/* A blob that cannot be made is an outcome too: then the answer has an empty one. */
static int
put_blob(struct buf *body, const struct buf *data, int *rc, struct err *err)
{
	int fd = -1;
	int failed = blob_put(body, buf_str(data), &fd, err);

	if (failed != 0) {
		int none = blob_put(body, STR(""), &fd, NULL);

		(void)none; /* nothing can fail with nothing in it */
		*rc = failed;
	}
	return fd;
}

/* ---- requests ---- */

static void
apply(struct kernel *k, const struct proc_msg *msg)
{
	struct nft_refusal refusal = {0};
	struct op_batch batch = {0};
	struct err err = ERR_INIT;
	struct proc_reader r;
	struct blob blob = {0};
	struct buf body = {0};
	uint32_t planned, generation = 0;
	int rc;

	proc_reader_init(&r, msg);
	planned = proc_get_u32(&r);
	rc = blob_get(&r, msg, OP_MAX_BATCH_BYTES, &blob, &err);
	if (rc == 0)
		rc = op_decode(k->arena, (const uint8_t *)blob.data.ptr, blob.data.len,
		    &batch, &err);
	if (rc == 0 && batch.settings.steer_mask != k->settings.steering.mask)
		rc = err_set(&err, ERR_INVALID, "marks outside the configured mask");
	if (rc == 0 && batch.settings.no_nat != ((k->lacks & OP_LACKS_NAT) != 0))
		rc = err_set(
		    &err, ERR_INVALID, "translation is not what the kernel has");
	if (rc == 0)
		rc = nft_apply(k->nft, &batch, planned, &generation, &refusal, &err);
	blob_free(&blob);
	if (rc == 0)
		k->generation = generation;
	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u32(&body, generation);
	proc_put_u32(&body, (uint32_t)refusal.op);
	proc_put_u32(&body, (uint32_t)refusal.element);
	proc_put_u32(&body, (uint32_t)refusal.sys);
	put_outcome(&body, rc, &err);
	send_engine(k, MSG_APPLIED, msg->id, &body, -1);
	buf_free(&body);
}

/* Reads the table at rest: the generation is the same before and after. */
static int
observe_at_rest(struct kernel *k, struct nft_observed *out, uint32_t *out_generation,
    struct err *err)
{
	uint32_t before = 0, after = 0;
	int rc = ERR_STALE;

	for (unsigned i = 0; i < OBSERVE_TRIES && rc == ERR_STALE; i++) {
		arena_reset(k->arena);
		rc = nft_generation(k->nft, &before, err);
		if (rc == 0)
			rc = nft_observe(k->nft, k->arena, out, err);
		if (rc == 0)
			rc = nft_generation(k->nft, &after, err);
		if (rc == 0 && before != after)
			rc = err_set(
			    err, ERR_STALE, "the ruleset changed while it was read");
	}
	*out_generation = before;
	return rc;
}

/* The observed table in the form of a batch that would add it all. */
static void
encode_observed(struct kernel *k, const struct nft_observed *observed, struct buf *out)
{
	size_t chains = observed->rule_chain_count;
	struct op_batch batch = {0};
	struct table_rule_chain *all =
	    ARENA_ARRAY(k->arena, chains, struct table_rule_chain);

	batch.ops = ARENA_ARRAY(k->arena, SET_COUNT + chains, struct op);
	for (size_t i = 0; i < SET_COUNT; i++) {
		if (observed->element_count[i] != 0)
			batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
			    .set = (enum table_set_id)i,
			    .elements = observed->elements[i],
			    .element_count = observed->element_count[i]};
	}
	for (size_t i = 0; i < chains; i++) {
		all[i].number = observed->rule_chains[i];
		all[i].comment = "";
		batch.ops[batch.count++] =
		    (struct op){.kind = OP_CHAIN_DELETE, .chain = &all[i]};
	}
	op_encode(out, &batch);
}

static void
observe(struct kernel *k, const struct proc_msg *msg)
{
	struct nft_observed observed = {0};
	struct err err = ERR_INIT;
	struct buf body = {0}, head = {0}, data = {0};
	uint32_t generation = 0;
	int fd;
	int rc = observe_at_rest(k, &observed, &generation, &err);

	if (rc == 0)
		encode_observed(k, &observed, &data);
	fd = put_blob(&body, &data, &rc, &err);
	proc_put_u32(&head, (uint32_t)rc);
	proc_put_u32(&head, generation);
	buf_add(&head, observed.rules_digest, sizeof(observed.rules_digest));
	buf_add_str(&head, buf_str(&body));
	put_outcome(&head, rc, &err);
	send_engine(k, MSG_OBSERVED, msg->id, &head, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	buf_free(&body);
	buf_free(&head);
	buf_free(&data);
}

static void
count(struct kernel *k, const struct proc_msg *msg)
{
	struct nft_counter *counters = NULL;
	struct err err = ERR_INIT;
	struct buf body = {0}, head = {0}, data = {0};
	size_t n = 0;
	int fd;
	int rc = nft_counters(k->nft, &counters, &n, &err);

	for (size_t i = 0; i < n; i++) {
		proc_put_u32(&data, counters[i].number);
		proc_put_u64(&data, counters[i].packets);
		proc_put_u64(&data, counters[i].bytes);
	}
	free(counters);
	fd = put_blob(&body, &data, &rc, &err);
	proc_put_u32(&head, (uint32_t)rc);
	buf_add_str(&head, buf_str(&body));
	put_outcome(&head, rc, &err);
	send_engine(k, MSG_COUNTED, msg->id, &head, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	buf_free(&body);
	buf_free(&head);
	buf_free(&data);
}

static void
list_connections(struct kernel *k, const struct proc_msg *msg)
{
	struct connection *list =
	    ARENA_ARRAY(k->arena, CONNECTIONS_MOST, struct connection);
	struct err err = ERR_INIT;
	struct buf body = {0};
	struct proc_reader r;
	size_t n = 0;
	bool first, done = true;
	int rc;

	proc_reader_init(&r, msg);
	first = proc_get_u8(&r) != 0;
	rc = proc_reader_done(&r)
		 ? conntrack_list(k->conntrack, first, list, &n, &done, &err)
		 : err_set(&err, ERR_PROTOCOL, "malformed question");
	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u8(&body, done);
	connections_put(&body, list, n);
	put_outcome(&body, rc, &err);
	send_engine(k, MSG_CONNECTION_LIST, msg->id, &body, -1);
	buf_free(&body);
}

static void
command_connections(struct kernel *k, const struct proc_msg *msg, uint32_t answer,
    int (*command)(struct conntrack *c, const struct connection *list, size_t count,
	bool *out_done, struct err *err))
{
	bool *done = ARENA_ARRAY(k->arena, CONNECTIONS_MOST, bool);
	struct connection *list;
	struct err err = ERR_INIT;
	struct buf body = {0};
	struct proc_reader r;
	size_t count;
	int rc;

	proc_reader_init(&r, msg);
	rc = connections_get(k->arena, &r, &list, &count) && proc_reader_done(&r)
		 ? command(k->conntrack, list, count, done, &err)
		 : err_set(&err, ERR_PROTOCOL, "malformed connections");
	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_u8(&body, done[i]);
	put_outcome(&body, rc, &err);
	send_engine(k, answer, msg->id, &body, -1);
	buf_free(&body);
}

static void
cut(struct kernel *k, const struct proc_msg *msg)
{
	command_connections(k, msg, MSG_CUT_DONE, conntrack_end);
}

static void
adopt(struct kernel *k, const struct proc_msg *msg)
{
	command_connections(k, msg, MSG_ADOPTED, conntrack_adopt);
}

static void
answer_trace(struct kernel *k, uint32_t id, int rc, const struct trace_step *steps,
    size_t count, const struct err *err)
{
	struct buf body = {0};

	proc_put_u32(&body, (uint32_t)rc);
	proc_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		proc_put_str(&body, str_from(steps[i].chain));
		proc_put_u8(&body, (uint8_t)steps[i].verdict);
		proc_put_str(&body, str_from(steps[i].to));
	}
	put_outcome(&body, rc, err);
	send_engine(k, MSG_TRACED, id, &body, -1);
	buf_free(&body);
}

/* Answered when the packet has come, or time is up. */
static void
trace(struct kernel *k, const struct proc_msg *msg)
{
	struct connection *filters;
	struct err err = ERR_INIT;
	struct proc_reader r;
	uint32_t wait_ms;
	size_t count;
	int rc;

	proc_reader_init(&r, msg);
	wait_ms = proc_get_u32(&r);
	rc = connections_get(k->arena, &r, &filters, &count) && proc_reader_done(&r) &&
		     wait_ms <= TRACE_WAIT_MOST_S * 1000
		 ? trace_begin(k->trace, filters, count, &err)
		 : err_set(&err, ERR_PROTOCOL, "malformed question");
	if (rc != 0) {
		answer_trace(k, msg->id, rc, NULL, 0, &err);
		return;
	}
	k->trace_question = msg->id;
	k->trace_until.ns = monotime_now().ns + wait_ms * UINT64_C(1000000);
}

/* Looks whether the packet has come, or time is up. */
static void
watch_trace(struct kernel *k)
{
	const struct trace_step *steps;
	struct err err = ERR_INIT;
	bool running = trace_running(k->trace);
	bool came = trace_read(k->trace);
	size_t count;

	if (!running ||
	    (!came && monotime_now().ns < k->trace_until.ns && k->engine.fd >= 0))
		return;
	steps = trace_end(k->trace, &count);
	if (came)
		answer_trace(k, k->trace_question, 0, steps, count, &err);
	else
		answer_trace(k, k->trace_question,
		    err_set(&err, ERR_NOT_FOUND, "no such packet came"), NULL, 0, &err);
}

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

/* Told, not asked: what is amiss is looked at again and again. */
static void
want_addresses(struct kernel *k, const struct proc_msg *msg)
{
	if (address_told(k->addresses, k->arena, msg))
		tend_addresses(k);
	else
		log_error("engine-link", "detail=\"malformed addresses\"");
}

/* ---- ways ---- */

static void
tell_ways(struct kernel *k)
{
	struct buf body = {0};

	steer_put(k->steer, &body);
	probe_put(k->probe, &body);
	send_engine(k, MSG_WAY_STATE, 0, &body, -1);
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
		tell_ways(k);
}

/* What is told is there when the next message is read. */
static void
want_ways(struct kernel *k, const struct proc_msg *msg)
{
	if (!steer_told(k->steer, msg)) {
		log_error("engine-link", "detail=\"malformed ways\"");
		return;
	}
	tend_ways(k);
	tell_ways(k); /* whom we ask may be others now */
}

/* Gateways that come and go are followed at once. */
static void
watch_gateways(struct kernel *k)
{
	probe_read(k->probe);
	if (!probe_tick(k->probe, monotime_now()))
		return;
	tend_ways(k);
	tell_ways(k);
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

static const struct {
	uint32_t type;
	void (*handle)(struct kernel *k, const struct proc_msg *msg);
} requests[] = {
    {MSG_APPLY, apply},
    {MSG_OBSERVE, observe},
    {MSG_COUNTERS, count},
    {MSG_CONNECTIONS, list_connections},
    {MSG_CUT, cut},
    {MSG_ADOPT, adopt},
    {MSG_TRACE, trace},
    {MSG_ADDRESSES, want_addresses},
    {MSG_WAYS, want_ways},
};

static bool
handle_request(struct kernel *k, const struct proc_msg *msg)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].type == msg->type) {
			arena_reset(k->arena);
			requests[i].handle(k, msg);
			arena_reset(k->arena);
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
		engine_lost(k);
}

/* ---- NFLOG ---- */

static void
send_log(struct kernel *k, enum enforcer_nflog which)
{
	struct buf body = {0};

	proc_put_u8(&body, (uint8_t)which);
	send_engine(k, MSG_NFLOG, 0, &body, k->logs[which].fd);
	buf_free(&body);
}

static void
bind_log(struct kernel *k, enum enforcer_nflog which)
{
	static const uint32_t copy_bytes[] = {
	    [NFLOG_FLOWS] = NFLOG_HEADERS, [NFLOG_NAMES] = NFLOG_WHOLE};
	struct logged *log = &k->logs[which];
	struct err err = ERR_INIT;

	if (log->bound || log->fd < 0)
		return;
	if (nflog_bind(log->fd, log->group, copy_bytes[which], &err) != 0) {
		if (!log->complained)
			log_error("flows-not-read", "group=%u detail=%s",
			    (unsigned)log->group, log_quote(str_from(err.msg)));
		log->complained = true;
		return;
	}
	if (log->complained)
		log_info("flows-read", "group=%u", (unsigned)log->group);
	log->bound = true;
	send_log(k, which);
}

static void
bind_logs(struct kernel *k)
{
	for (unsigned i = 0; i < NFLOG_COUNT; i++)
		bind_log(k, (enum enforcer_nflog)i);
}

static int
open_logs(struct kernel *k, struct err *err)
{
	int rc = nflog_open(&k->logs[NFLOG_FLOWS].fd, err);

	k->logs[NFLOG_FLOWS].group = k->settings.flow_group;
	k->logs[NFLOG_NAMES].group = k->settings.names_group;
	if (rc == 0 && k->settings.names_group != 0)
		rc = nflog_open(&k->logs[NFLOG_NAMES].fd, err);
	return rc;
}

/* ---- the parent ---- */

static void
greet_engine(struct kernel *k, int fd)
{
	struct err err = ERR_INIT;
	struct buf body = {0};

	proc_channel_close(&k->engine);
	proc_channel_init(&k->engine, fd);
	/* Answers wait until the engine reads them; it never waits for us. */
	if (proc_channel_set_blocking(&k->engine, true, &err) != 0)
		log_error("engine-link", "detail=%s", log_quote(str_from(err.msg)));
	if (nft_generation(k->nft, &k->generation, &err) != 0)
		log_error("generation", "detail=%s", log_quote(str_from(err.msg)));
	proc_put_u32(&body, k->generation);
	proc_put_u8(&body, k->owned);
	proc_put_u8(&body, (uint8_t)k->lacks);
	send_engine(k, MSG_HELLO, 0, &body, -1);
	tell_ways(k);
	buf_free(&body);
	for (unsigned i = 0; i < NFLOG_COUNT; i++) {
		if (k->logs[i].bound)
			send_log(k, (enum enforcer_nflog)i);
	}
}

static void
on_parent(struct kernel *k)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = proc_recv(k->parent, &msg, &err);

	if (rc == 0)
		return;
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
watch_generation(struct kernel *k)
{
	struct err err = ERR_INIT;
	struct buf body = {0};
	uint32_t generation;

	if (k->engine.fd < 0 || nft_generation(k->nft, &generation, &err) != 0 ||
	    generation == k->generation)
		return;
	k->generation = generation;
	proc_put_u32(&body, generation);
	send_engine(k, MSG_GENERATION, 0, &body, -1);
	buf_free(&body);
}

static void
run_loop(struct kernel *k)
{
	const int poll_ms = k->owned ? OWNED_POLL_MS : PLAIN_POLL_MS;
	monotime_t looked = monotime_now();

	while (!k->stop) {
		struct pollfd wait[6] = {
		    {.fd = k->parent->fd, .events = POLLIN},
		    {.fd = k->engine.fd, .events = POLLIN},
		    {.fd = trace_fd(k->trace), .events = POLLIN},
		    {.fd = steer_fd(k->steer), .events = POLLIN},
		    {.fd = probe_fd(k->probe, IP_V4), .events = POLLIN},
		    {.fd = probe_fd(k->probe, IP_V6), .events = POLLIN},
		};
		const int wait_ms = probe_wait_ms(
		    k->probe, monotime_now(), k->steer_dirty ? WAYS_LEAST_MS : poll_ms);

		if (poll(wait, ARRAY_LEN(wait), wait_ms) < 0 && errno != EINTR)
			base_die("poll");
		if (wait[0].revents != 0)
			on_parent(k);
		else if (wait[1].revents != 0)
			on_engine(k);
		watch_trace(k);
		watch_ways(k);
		watch_gateways(k);
		if (monotime_since(looked, monotime_now()) >=
		    (uint64_t)poll_ms * 1000000) {
			bind_logs(k);
			watch_generation(k);
			looked = monotime_now();
		}
		if (monotime_since(k->addresses_looked, monotime_now()) >=
		    UINT64_C(1000000) * ADDRESSES_MS)
			tend_addresses(k);
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
	if (rc == 0)
		rc = nft_find_lacks(k->nft, &k->lacks, err);
	if (rc == 0)
		rc = open_logs(k, err);
	if (rc == 0)
		rc = conntrack_open(&k->conntrack, err);
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
	bind_logs(&k);
	run_loop(&k);
	status = 0;
out:
	proc_channel_close(&k.engine);
	for (unsigned i = 0; i < NFLOG_COUNT; i++) {
		if (k.logs[i].fd >= 0)
			(void)close(k.logs[i].fd); /* unbinds the group */
	}
	steer_close(k.steer);
	probe_close(k.probe);
	address_close(k.addresses);
	trace_close(k.trace);
	conntrack_close(k.conntrack);
	nft_close(k.nft);
	arena_free(k.arena);
	arena_free(k.settings_arena);
	return status;
}
