#include "enforcer/trace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "common/log.h"
#include "enforcer/netlink.h"
#include "enforcer/nft_expr.h"
#include "enforcer/nft_socket.h"

#define TRACE_TABLE   TABLE_NAME "-trace"
#define LAST_CHAIN    "postrouting"
#define LAST_PRIORITY INT32_MAX
#define RECEIVE_BYTES 65536
#define DPORT_OFFSET  2

struct trace {
	struct nft *nft; /* its socket owns the table, where sockets can */
	bool can_own;
	int events;
	bool running;
	bool followed; /* `id` is the packet's */
	uint32_t id;
	bool in_hook; /* it is in a base chain of ours */
	bool in_last; /* which is the last that judges it */
	struct trace_step steps[TRACE_STEPS_MOST];
	size_t count;
	_Alignas(struct nlmsghdr) char data[RECEIVE_BYTES];
};

/* ---- the table that marks ---- */

/* Before destinations are translated, as whoever asks knows the packet, and before it is
 * judged, as policy does. The last marks nothing: it tells that the packet has gone. */
static const struct {
	const char *name;
	uint32_t hook;
	int32_t priority;
	bool marks;
} chains[] = {
    {"prerouting", NF_INET_PRE_ROUTING, TABLE_PRIORITY_DNAT - 1, true},
    {"output", NF_INET_LOCAL_OUT, TABLE_PRIORITY_DNAT - 1, true},
    {"forward", NF_INET_FORWARD, TABLE_PRIORITY - 1, true},
    {"input", NF_INET_LOCAL_IN, TABLE_PRIORITY - 1, true},
    {LAST_CHAIN, NF_INET_POST_ROUTING, LAST_PRIORITY, false},
};

/* Of our table's base chains, those in which a packet is judged; what it meets behind them
 * changes its addresses alone. */
static const char *const last_chains[] = {"forward", "input", "output"};

static void
put_table(struct nft_build *b, uint16_t type, uint16_t flags, bool owned)
{
	struct nlmsghdr *header = nft_build_begin(b, type, flags);

	mnl_attr_put_strz(header, NFTA_TABLE_NAME, TRACE_TABLE);
	if (owned) /* so that it goes when we go */
		mnl_attr_put_u32(header, NFTA_TABLE_FLAGS, htonl(NFT_OWNER));
	nft_build_end(b, header);
}

static void
put_chain(struct nft_build *b, size_t index)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *header = nft_build_begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

	if (c == NULL || nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, TRACE_TABLE) != 0 ||
	    nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chains[index].name) != 0 ||
	    nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter") != 0)
		base_die("out of memory");
	nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, chains[index].hook);
	nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, chains[index].priority);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(header, c);
	nft_build_end(b, header);
	nftnl_chain_free(c);
}

static void
meta_equals(struct nftnl_rule *rule, uint32_t key, uint8_t value)
{
	nft_expr_meta(rule, key, NFT_REG_1);
	nft_expr_compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

static void
payload_equals(struct nftnl_rule *rule, uint32_t base, size_t offset, const void *data,
    uint32_t len)
{
	nft_expr_payload(rule, base, (uint32_t)offset, len, NFT_REG_1);
	nft_expr_compare(rule, NFT_CMP_EQ, data, len);
}

static void
mark(struct nftnl_rule *rule)
{
	const uint8_t one = 1;
	struct nftnl_expr *e = nft_expr_new(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &one, sizeof(one));
	e = nft_expr_new(rule, "meta");
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_NFTRACE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG_1);
}

static void
put_rule(struct nft_build *b, const char *chain, const struct connection *f)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nlmsghdr *header =
	    nft_build_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	bool v4 = f->src.family == IP_V4;
	uint32_t len = v4 ? 4 : 16;
	uint16_t port = htons(f->dst_port);

	if (rule == NULL ||
	    nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, TRACE_TABLE) != 0 ||
	    nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain) != 0)
		base_die("out of memory");
	meta_equals(rule, NFT_META_NFPROTO, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	payload_equals(rule, NFT_PAYLOAD_NETWORK_HEADER,
	    v4 ? offsetof(struct iphdr, saddr) : offsetof(struct ip6_hdr, ip6_src),
	    f->src.bytes, len);
	payload_equals(rule, NFT_PAYLOAD_NETWORK_HEADER,
	    v4 ? offsetof(struct iphdr, daddr) : offsetof(struct ip6_hdr, ip6_dst),
	    f->dst.bytes, len);
	meta_equals(rule, NFT_META_L4PROTO, f->proto);
	if (connection_has_ports(f->proto))
		payload_equals(rule, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, &port,
		    sizeof(port));
	mark(rule);
	nftnl_rule_nlmsg_build_payload(header, rule);
	nft_build_end(b, header);
	nftnl_rule_free(rule);
}

/* Deletes the table, if it is there, and with filters makes it anew. */
static int
put_marks(struct trace *t, const struct connection *filters, size_t count, bool owned,
    struct nft_refusal *out_refusal, struct err *err)
{
	static const struct nft_copies none;
	const struct table_settings settings = {0};
	struct nft_build b;
	uint32_t generation;

	nft_begin(t->nft, &b, settings, &none, 0);
	put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE, false);
	put_table(&b, NFT_MSG_DELTABLE, 0, false);
	if (count != 0)
		put_table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, owned);
	for (size_t c = 0; c < ARRAY_LEN(chains) && count != 0; c++) {
		put_chain(&b, c);
		for (size_t i = 0; i < count && chains[c].marks; i++)
			put_rule(&b, chains[c].name, &filters[i]);
	}
	return nft_commit(t->nft, &b, 0, &generation, out_refusal, err);
}

/* ---- sockets ---- */

int
trace_open(struct trace **out_trace, struct err *err)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	struct trace *t = xcalloc(1, sizeof(*t));
	int fd, rc = nft_socket(&fd, err);

	*out_trace = NULL;
	t->events = -1;
	t->can_own = true;
	if (rc == 0) {
		t->nft = nft_new(fd);
		t->events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    NETLINK_NETFILTER);
		if (t->events < 0 || bind(t->events, (const struct sockaddr *)&address,
					 sizeof(address)) != 0)
			rc = err_sys(err, "socket for traces");
	}
	if (rc != 0) {
		trace_close(t);
		return rc;
	}
	*out_trace = t;
	return 0;
}

void
trace_close(struct trace *t)
{
	if (t == NULL)
		return;
	if (t->running)
		(void)trace_end(t, &(size_t){0}); /* nobody asks any more */
	nft_close(t->nft);
	if (t->events >= 0)
		(void)close(t->events); /* only read from */
	free(t);
}

int
trace_fd(const struct trace *t)
{
	return t->events;
}

bool
trace_running(const struct trace *t)
{
	return t->running;
}

/* Events of others' traces come to the group as well, while we are in it. */
static int
listen_events(struct trace *t, bool on, struct err *err)
{
	int group = NFNLGRP_NFTRACE;

	if (setsockopt(t->events, SOL_NETLINK,
		on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
		sizeof(group)) != 0)
		return err_sys(err, "listen to traces");
	return 0;
}

int
trace_begin(
    struct trace *t, const struct connection *filters, size_t count, struct err *err)
{
	struct nft_refusal refusal = {0};
	int rc;

	if (t->running)
		return err_set(err, ERR_EXISTS, "another trace is under way");
	if (count == 0 || count > TRACE_FILTERS_MOST)
		return err_set(err, ERR_INVALID, "no packet to wait for, or too many");
	t->count = 0;
	t->followed = t->in_hook = false;
	rc = listen_events(t, true, err);
	if (rc != 0)
		return rc;
	rc = put_marks(t, filters, count, t->can_own, &refusal, err);
	if (rc != 0 && t->can_own && refusal.sys != 0) { /* an older kernel */
		t->can_own = false;
		rc = put_marks(t, filters, count, false, &refusal, err);
	}
	t->running = rc == 0;
	if (rc != 0)
		return rc;
	return 0;
}

const struct trace_step *
trace_end(struct trace *t, size_t *out_count)
{
	struct nft_refusal refusal = {0};
	struct err err = ERR_INIT;

	t->running = false;
	if (put_marks(t, NULL, 0, false, &refusal, &err) != 0 ||
	    listen_events(t, false, &err) != 0)
		log_error("trace", "detail=%s", log_quote(str_from(err.msg)));
	*out_count = t->count;
	return t->steps;
}

/* ---- events ---- */

struct event {
	const struct nlattr *attrs[NFTA_TRACE_MAX + 1];
	const struct nlattr *verdict[NFTA_VERDICT_MAX + 1];
};

static int
event_attr(const struct nlattr *attr, void *arg)
{
	struct event *e = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= NFTA_TRACE_MAX)
		e->attrs[type] = attr;
	return MNL_CB_OK;
}

static int
verdict_attr(const struct nlattr *attr, void *arg)
{
	struct event *e = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= NFTA_VERDICT_MAX)
		e->verdict[type] = attr;
	return MNL_CB_OK;
}

static uint32_t
u32_of(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_get_payload_len(attr) == 4
		   ? ntohl(mnl_attr_get_u32(attr))
		   : 0;
}

static void
text_of(const struct nlattr *attr, char *out, size_t size)
{
	size_t len = attr != NULL ? mnl_attr_get_payload_len(attr) : 0;

	if (len >= size)
		len = size - 1;
	if (len != 0)
		memcpy(out, mnl_attr_get_payload(attr), len);
	out[len] = '\0';
}

static enum trace_verdict
verdict_of(uint32_t code)
{
	static const struct {
		int32_t code;
		enum trace_verdict verdict;
	} verdicts[] = {
	    {NF_ACCEPT, TRACE_ACCEPT},
	    {NF_DROP, TRACE_DROP},
	    {NFT_CONTINUE, TRACE_CONTINUE},
	    {NFT_BREAK, TRACE_CONTINUE},
	    {NFT_JUMP, TRACE_JUMP},
	    {NFT_GOTO, TRACE_GOTO},
	    {NFT_RETURN, TRACE_RETURN},
	};

	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		if (verdicts[i].code == (int32_t)code)
			return verdicts[i].verdict;
	}
	return TRACE_OTHER;
}

/* A base chain is where a packet comes in. */
static void
enter_hook(struct trace *t, const char *chain)
{
	t->in_hook = true;
	t->in_last = false;
	for (size_t i = 0; i < ARRAY_LEN(last_chains); i++)
		t->in_last = t->in_last || strcmp(chain, last_chains[i]) == 0;
}

/* Returns true if the packet leaves our table for good with this. */
static bool
add_step(struct trace *t, struct event *e, uint32_t type)
{
	struct trace_step *s = &t->steps[t->count];

	text_of(e->attrs[NFTA_TRACE_CHAIN], s->chain, sizeof(s->chain));
	s->verdict = type == NFT_TRACETYPE_POLICY ? TRACE_ACCEPT : TRACE_RETURN;
	s->to[0] = '\0';
	if (type == NFT_TRACETYPE_RULE && e->attrs[NFTA_TRACE_VERDICT] != NULL &&
	    mnl_attr_parse_nested(e->attrs[NFTA_TRACE_VERDICT], verdict_attr, e) >= 0) {
		s->verdict = verdict_of(u32_of(e->verdict[NFTA_VERDICT_CODE]));
		text_of(e->verdict[NFTA_VERDICT_CHAIN], s->to, sizeof(s->to));
	}
	if (!t->in_hook)
		enter_hook(t, s->chain);
	t->in_hook = s->verdict != TRACE_ACCEPT;
	if (s->verdict != TRACE_CONTINUE && t->count + 1 < TRACE_STEPS_MOST)
		t->count++;
	return (s->verdict == TRACE_ACCEPT && t->in_last) || s->verdict == TRACE_DROP ||
	       s->verdict == TRACE_OTHER;
}

/* Returns true if the packet has gone, past all that judges it. */
static bool
take_own_event(struct trace *t, const struct event *e, uint32_t id, uint32_t type)
{
	char chain[64];

	if (!t->followed && type == NFT_TRACETYPE_RULE) { /* we have marked it */
		t->followed = true;
		t->id = id;
	}
	text_of(e->attrs[NFTA_TRACE_CHAIN], chain, sizeof(chain));
	return t->followed && id == t->id && strcmp(chain, LAST_CHAIN) == 0;
}

static bool
take_event(struct trace *t, const struct nlmsghdr *header)
{
	struct event e = {{NULL}, {NULL}};
	uint32_t id, type;
	char table[64];

	if (header->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_TRACE) ||
	    mnl_attr_parse(header, sizeof(struct nfgenmsg), event_attr, &e) < 0)
		return false;
	id = u32_of(e.attrs[NFTA_TRACE_ID]);
	type = u32_of(e.attrs[NFTA_TRACE_TYPE]);
	text_of(e.attrs[NFTA_TRACE_TABLE], table, sizeof(table));
	if (strcmp(table, TRACE_TABLE) == 0)
		return take_own_event(t, &e, id, type);
	if (!t->followed || id != t->id || strcmp(table, TABLE_NAME) != 0)
		return false;
	return add_step(t, &e, type);
}

bool
trace_read(struct trace *t)
{
	bool left = false;

	for (;;) {
		ssize_t n = recv(t->events, t->data, sizeof(t->data), MSG_DONTWAIT);
		int rest = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return left; /* nothing more, or too much: then it is later */
		if (!netlink_lengths_hold(t->data, (size_t)n))
			continue;
		for (const struct nlmsghdr *h =
			 (const struct nlmsghdr *)(void *)t->data;
		     mnl_nlmsg_ok(h, rest) && !left; h = mnl_nlmsg_next(h, &rest))
			left = t->running && take_event(t, h);
	}
}
