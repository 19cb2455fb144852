/*
 * One transaction: the whole batch in one sendmsg, one acknowledgement asked for, every
 * refusal collected. Netlink requests are handled within the send: when it returns, the answers
 * wait in the socket.
 */
#include "enforcer/kernel/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/clock.h"
#include "enforcer/kernel/netlink.h"
#include "enforcer/kernel/nft_build.h"
#include "enforcer/kernel/nft_elem.h"
#include "enforcer/kernel/nft_socket.h"

/* Beyond this a batch does not go into one message of the socket. */
#define SEND_MAX_BYTES (1u << 30)

int
nft_err_unprivileged(struct err *err)
{
	return err_set(err, ERR_DENIED, "programming nf_tables needs CAP_NET_ADMIN");
}

int
nft_socket(int *out_fd, struct err *err)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int buffer = 4 * 1024 * 1024;
	int one = 1;

	*out_fd = fd;
	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0) {
		int rc = err_sys(err, "netlink socket");

		if (errno == EPERM)
			rc = nft_err_unprivileged(err);
		if (fd >= 0)
			(void)close(fd); /* nothing is in it */
		*out_fd = -1;
		return rc;
	}
	/* Both only make messages better or smaller: without them it works the same. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

struct nft *
nft_new(int fd)
{
	struct nft *n = xcalloc(1, sizeof(*n));

	n->fd = fd;
	/* Answers to whoever used the socket before are not to be taken for ours. */
	n->seq = (uint32_t)monotime_now().ns | 1;
	return n;
}

void
nft_close(struct nft *n)
{
	if (n == NULL)
		return;
	if (n->fd >= 0)
		(void)close(n->fd); /* nothing is buffered in a netlink socket */
	free(n);
}

/* ---- building ---- */

static bool
is_chain_op(const struct op_batch *batch, size_t index, bool deletes)
{
	enum op_kind kind = batch->ops[index].kind;

	return deletes ? kind == OP_CHAIN_DELETE
		       : kind == OP_CHAIN_ADD || kind == OP_CHAIN_REPLACE;
}

/* Of operations on chains that follow each other, what comes before all of them. */
static void
build_chains_first(struct nft_build *b, const struct op_batch *batch, size_t index)
{
	const bool deletes = batch->ops[index].kind == OP_CHAIN_DELETE;

	if (index > 0 && is_chain_op(batch, index - 1, deletes))
		return;
	for (; index < batch->count && is_chain_op(batch, index, deletes); index++) {
		uint32_t number = batch->ops[index].chain->number;

		b->now.op = (uint32_t)index;
		if (batch->ops[index].kind != OP_CHAIN_ADD)
			nft_build_flush_chain(b, number);
		else if (!b->chains_there)
			nft_build_chain(b, number);
	}
}

void
nft_build_op(struct nft_build *b, const struct op_batch *batch, size_t index)
{
	const struct op *op = &batch->ops[index];

	if (op->chain != NULL)
		build_chains_first(b, batch, index);
	b->now.op = (uint32_t)index;
	switch (op->kind) {
	case OP_TABLE:
		b->room = op->room;
		nft_build_table(b);
		break;
	case OP_RULES:
		nft_build_constant_chains(b);
		for (size_t i = 0; i < table_chain_count; i++)
			nft_build_chain_rules(b, &table_chains[i]);
		break;
	case OP_ADD:
	case OP_DELETE:
		nft_build_elements(
		    b, op->kind == OP_ADD, op->set, op->elements, op->element_count);
		break;
	case OP_FLUSH:
		nft_build_flush(b, op->set);
		break;
	case OP_CHAIN_ADD:
		if (!b->chains_there)
			nft_build_rule_chain(b, op->chain);
		break;
	case OP_CHAIN_REPLACE:
		nft_build_rule_chain(b, op->chain);
		break;
	case OP_CHAIN_DELETE:
		nft_build_no_chain(b, op->chain->number);
		break;
	}
}

/* ---- sending ---- */

static int
send_all(struct nft *n, const struct buf *bytes, struct err *err)
{
	int room = bytes->len > INT32_MAX / 4 ? INT32_MAX / 2 : (int)bytes->len * 2;
	ssize_t sent;

	if (bytes->len > SEND_MAX_BYTES)
		return err_set(err, ERR_LIMIT,
		    "a transaction of %zu bytes is too large", bytes->len);
	if (room > n->send_room) {
		if (setsockopt(n->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) <
		    0)
			return errno == EPERM
				   ? nft_err_unprivileged(err)
				   : err_sys(err, "send buffer of %d bytes", room);
		n->send_room = room;
	}
	do {
		sent = send(n->fd, bytes->data, bytes->len, 0);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return err_sys(err, "send a transaction of %zu bytes", bytes->len);
	return 0;
}

static struct nlmsghdr *
message_at(const struct nft_build *build, size_t at)
{
	return (struct nlmsghdr *)(void *)(build->bytes.data + at);
}

struct acks {
	const struct nft_build *build;
	struct nft_refusal *refusal;
	bool refused;
	bool stale;
	bool unprivileged; /* not even a transaction may be begun */
	bool done;         /* the last message was acknowledged */
};

static int
fault_at(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_OFFS &&
	    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		*(uint32_t *)data = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

/* How many elements of the message come before the one that the kernel finds fault with. */
static size_t
elements_before(
    const struct nft_build *build, uint32_t index, const struct nlmsghdr *answer)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(answer);
	size_t head = sizeof(*e);
	uint32_t offset = 0;
	size_t at = 0;

	if ((answer->nlmsg_flags & NLM_F_CAPPED) == 0) /* the message is in it */
		head += e->msg.nlmsg_len - sizeof(e->msg);
	if ((answer->nlmsg_flags & NLM_F_ACK_TLVS) == 0 ||
	    head > mnl_nlmsg_get_payload_len(answer) ||
	    mnl_attr_parse(answer, (unsigned)head, fault_at, &offset) < 0)
		return 0;
	for (; index > 0; index--)
		at += NLMSG_ALIGN(message_at(build, at)->nlmsg_len);
	return nft_elem_index(message_at(build, at), offset);
}

static void
on_ack(struct acks *a, const struct nlmsghdr *header)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(header);
	uint32_t index = e->msg.nlmsg_seq - a->build->first_seq;

	if (index >= a->build->count)
		return; /* an answer to an earlier transaction */
	if (e->error == 0) {
		a->done = a->done || index + 2 == a->build->count;
		return;
	}
	a->stale = a->stale || e->error == -ERESTART;
	/* That a table is another's is said of what would change it. */
	a->unprivileged = a->unprivileged || (e->error == -EPERM && index == 0);
	if (a->refused)
		return; /* the first refusal is the one to tell */
	a->refused = true;
	a->refusal->op = a->build->origins[index].op;
	a->refusal->element =
	    a->build->origins[index].element + elements_before(a->build, index, header);
	a->refusal->sys = -e->error;
}

/* Everything that waits in the socket. ENOBUFS: answers were lost; the generation tells. */
static int
receive_acks(struct nft *n, struct acks *a, bool *out_lost, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[16384];

	*out_lost = false;
	for (;;) {
		ssize_t len = recv(n->fd, data, sizeof(data), MSG_DONTWAIT);
		int rest = (int)len;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (len < 0 && errno == ENOBUFS) {
			*out_lost = true;
			continue;
		}
		if (len < 0)
			return err_sys(err, "receive answers");
		if (!netlink_lengths_hold(data, (size_t)len))
			return err_set(err, ERR_PROTOCOL, "an answer without an end");
		for (const struct nlmsghdr *h = (const struct nlmsghdr *)(void *)data;
		     mnl_nlmsg_ok(h, rest); h = mnl_nlmsg_next(h, &rest)) {
			if (h->nlmsg_type == NLMSG_ERROR &&
			    mnl_nlmsg_get_payload_len(h) >= sizeof(struct nlmsgerr))
				on_ack(a, h);
		}
	}
}

static int
judge(struct nft *n, const struct acks *a, bool lost, uint32_t generation,
    uint32_t *out_generation, struct err *err)
{
	int rc;

	if (a->stale)
		return err_set(err, ERR_STALE,
		    "somebody else changed the ruleset since generation %u",
		    generation);
	if (a->unprivileged)
		return nft_err_unprivileged(err);
	if (a->refused && a->refusal->sys == EPERM)
		return err_set(err, ERR_SYSTEM,
		    "the table belongs to another process, which has to end first");
	if (a->refused && a->refusal->sys == ENFILE)
		return err_set(err, ERR_LIMIT, "a set has no room for operation %zu",
		    a->refusal->op);
	if (a->refused && a->refusal->op == NFT_NO_OP) {
		errno = a->refusal->sys;
		return err_sys(err, "the kernel refused the transaction");
	}
	if (a->refused) {
		errno = a->refusal->sys;
		return err_sys(err, "the kernel refused operation %zu", a->refusal->op);
	}
	rc = nft_generation(n, out_generation, err);
	if (rc != 0)
		return rc;
	if (a->done)
		return 0;
	/* Answers were lost. With a generation to compare we know what happened. */
	if (lost && generation != 0 && *out_generation != generation)
		return 0;
	return err_set(
	    err, ERR_UNAVAILABLE, "the kernel did not acknowledge the transaction");
}

/* ---- committing ---- */

void
nft_begin(struct nft *n, struct nft_build *b, struct table_settings settings,
    const struct nft_copies *copies, uint32_t generation)
{
	nft_build_init(b, n->seq, settings);
	b->owned = n->owned;
	b->lacks = n->lacks;
	b->copies = *copies;
	b->counted = n->counted;
	b->counted_count = n->counted_count;
	nft_build_batch(b, true, generation);
}

int
nft_commit(struct nft *n, struct nft_build *build, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	struct acks acks = {.build = build, .refusal = out_refusal};
	bool lost = false;
	int rc;

	*out_refusal = NFT_NO_REFUSAL;
	message_at(build, build->last_at)->nlmsg_flags |= NLM_F_ACK;
	nft_build_batch(build, false, 0);
	n->seq += (uint32_t)build->count;
	rc = send_all(n, &build->bytes, err);
	if (rc == 0)
		rc = receive_acks(n, &acks, &lost, err);
	if (rc == 0)
		rc = judge(n, &acks, lost, generation, out_generation, err);
	nft_build_fini(build);
	return rc;
}

/* Chains that are made anew go on counting where they were. What comes in between is not
 * counted; that there is no table, or that it cannot be read, is no fault here. */
static void
keep_counters(struct nft *n, const struct op_batch *batch)
{
	struct err err = ERR_INIT;
	bool anew = false;

	for (size_t i = 0; i < batch->count && !anew; i++)
		anew = batch->ops[i].kind == OP_TABLE ||
		       batch->ops[i].kind == OP_CHAIN_REPLACE;
	if (anew && nft_counters(n, &n->counted, &n->counted_count, &err) != 0)
		n->counted_count = 0;
}

static void
forget_counters(struct nft *n)
{
	free(n->counted);
	n->counted = NULL;
	n->counted_count = 0;
}

static bool
adds_chains(const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->ops[i].kind == OP_CHAIN_ADD)
			return true;
	}
	return false;
}

/*
 * New chains, with their rules. A packet goes on with the rules that were there when it came, but
 * with elements as they are now: one that leads to a chain of the same transaction would lead it
 * to a chain without rules, and out again as if it were allowed. So chains are there before
 * anything leads to them. What a failure has left of one is taken out.
 */
static int
make_chains(struct nft *n, const struct op_batch *batch, uint32_t generation,
    struct nft_refusal *out_refusal, struct err *err)
{
	struct nft_build build;
	uint32_t now;

	nft_begin(n, &build, batch->settings, &n->copies, generation);
	for (size_t i = 0; i < batch->count;
	     i++) { /* those of limits refer to others */
		if (batch->ops[i].kind != OP_CHAIN_ADD)
			continue;
		build.now.op = (uint32_t)i;
		nft_build_chain(&build, batch->ops[i].chain->number);
		nft_build_flush_chain(&build, batch->ops[i].chain->number);
	}
	for (size_t i = 0; i < batch->count; i++) {
		build.now.op = (uint32_t)i;
		if (batch->ops[i].kind == OP_CHAIN_ADD)
			nft_build_rule_chain(&build, batch->ops[i].chain);
	}
	return nft_commit(n, &build, generation, &now, out_refusal, err);
}

/* Nothing leads to them: if something does after all, the kernel refuses, and they stay. */
static void
drop_chains(struct nft *n, const struct op_batch *batch)
{
	struct err err = ERR_INIT;
	struct nft_refusal refusal;
	struct nft_build build;
	uint32_t now;
	int left;

	nft_begin(n, &build, batch->settings, &n->copies, 0);
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->ops[i].kind == OP_CHAIN_ADD)
			nft_build_flush_chain(&build, batch->ops[i].chain->number);
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->ops[i].kind == OP_CHAIN_ADD)
			nft_build_no_chain(&build, batch->ops[i].chain->number);
	}
	left = nft_commit(n, &build, 0, &now, &refusal, &err);
	(void)left; /* then its rules are not what they should be, and it is restored */
}

/* Where there is no table, or one that cannot become ours in place: what has the name of
 * something of ours may be of another type. What fails for other reasons is tried again, and
 * what is in force stays. */
static bool
has_to_be_made(int rc, const struct nft_refusal *refusal)
{
	return rc == ERR_NOT_FOUND || rc == ERR_STALE || refusal->sys != 0;
}

static int
send_batch(struct nft *n, const struct op_batch *batch, const struct nft_copies *copies,
    uint32_t generation, uint32_t *out_generation, struct nft_refusal *out_refusal,
    struct err *err)
{
	struct nft_build build;

	nft_begin(n, &build, batch->settings, copies, generation);
	build.chains_there = batch->ops[0].kind != OP_TABLE;
	for (size_t i = 0; i < batch->count; i++)
		nft_build_op(&build, batch, i);
	return nft_commit(n, &build, generation, out_generation, out_refusal, err);
}

/*
 * The table, whatever there is. Where there is none, one without anything comes first, so that
 * all of it is in force at one instant; that is no table yet to whoever looks (nft_frame.c).
 */
static int
apply_anew(struct nft *n, const struct op_batch *batch, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	static const struct nft_copies first;
	int rc = nft_restore(n, batch, false, out_generation, out_refusal, err);

	if (rc == ERR_NOT_FOUND) {
		rc = nft_run_small(n, nft_build_bare_table, out_refusal, err);
		if (rc == 0)
			rc = nft_restore(
			    n, batch, false, out_generation, out_refusal, err);
	} else if (out_refusal->sys != 0 && out_refusal->op == NFT_NO_OP) {
		*out_refusal = NFT_NO_REFUSAL;
		rc = nft_restore(n, batch, true, out_generation, out_refusal, err);
	}
	if (rc == 0 || !has_to_be_made(rc, out_refusal))
		return rc;
	rc = send_batch(n, batch, &first, generation, out_generation, out_refusal, err);
	n->copies = first;
	n->copies_known = rc == 0;
	return rc;
}

/* What changes in a table that is ours. */
static int
apply_changes(struct nft *n, const struct op_batch *batch, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	const bool chains = adds_chains(batch);
	int rc = n->copies_known ? 0 : nft_find_copies(n, err);

	if (rc != 0)
		return rc;
	if (chains) {
		rc = make_chains(n, batch, generation, out_refusal, err);
		generation = nft_later(generation, 1);
	}
	if (rc == 0 && nft_swaps(batch))
		rc = nft_apply_swap(
		    n, batch, generation, out_generation, out_refusal, err);
	else if (rc == 0)
		rc = send_batch(
		    n, batch, &n->copies, generation, out_generation, out_refusal, err);
	if (rc != 0 && chains)
		drop_chains(n, batch);
	return rc;
}

int
nft_apply(struct nft *n, const struct op_batch *batch, uint32_t generation,
    uint32_t *out_generation, struct nft_refusal *out_refusal, struct err *err)
{
	int rc;

	*out_refusal = NFT_NO_REFUSAL;
	if (batch->count == 0)
		return nft_generation(n, out_generation, err);
	keep_counters(n, batch);
	rc = (batch->ops[0].kind == OP_TABLE ? apply_anew : apply_changes)(
	    n, batch, generation, out_generation, out_refusal, err);
	forget_counters(n);
	return rc;
}

int
nft_run_small(struct nft *n, void (*fill)(struct nft_build *b),
    struct nft_refusal *out_refusal, struct err *err)
{
	const struct table_settings none = {0};
	struct nft_build build;
	uint32_t generation;

	nft_begin(n, &build, none, &n->copies, 0);
	fill(&build);
	return nft_commit(n, &build, 0, &generation, out_refusal, err);
}

int
nft_delete_table(struct nft *n, struct err *err)
{
	struct nft_refusal refusal;

	return nft_run_small(n, nft_build_no_table, &refusal, err);
}

int
nft_own(struct nft *n, bool *out_owned, struct err *err)
{
	struct nft_refusal refusal = {0};
	uint32_t flags = 0;
	int rc = nft_table_flags(n, &flags, err);

	if (rc != 0 && rc != ERR_NOT_FOUND)
		return rc;
	rc = 0;
	/* A table that has the flag says that the kernel knows it. */
	if ((flags & NFT_PERSIST) == 0)
		rc = nft_run_small(n, nft_build_probe, &refusal, err);
	*out_owned = n->owned = rc == 0;
	if (refusal.sys == EOPNOTSUPP || refusal.sys == EINVAL)
		return 0; /* a kernel that does not */
	/* Made to outlive its owner, who is gone. Made by a former version without
	 * owner, it becomes ours when it is made anew. */
	if (rc == 0 && (flags & (NFT_OWNER | NFT_PERSIST)) == NFT_PERSIST)
		rc = nft_run_small(n, nft_build_adopt, &refusal, err);
	return rc;
}

int
nft_claim(struct nft *n, struct err *err)
{
	struct err why = ERR_INIT;
	struct nft_refusal refusal = {0};
	int rc = nft_run_small(n, nft_build_claim, &refusal, &why);

	if (rc == 0 || refusal.sys == EOPNOTSUPP || refusal.sys == EINVAL)
		return 0;
	if (refusal.sys == EPERM && rc != ERR_DENIED)
		return err_set(
		    err, ERR_EXISTS, "another enforcer runs in this network namespace");
	return err_set(err, rc, "%s", why.msg);
}
