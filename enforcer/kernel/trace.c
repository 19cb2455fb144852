#include "enforcer/kernel/trace.h"

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
#include "enforcer/kernel/nft_expr.h"
#include "enforcer/kernel/nft_socket.h"
#include "enforcer/kernel/trace_packet.h"

#define LAST_PRIORITY INT32_MAX
#define RECEIVE_BYTES 65536
#define DPORT_OFFSET  2

struct trace {
	struct nft *nft; /* its socket owns the table, where sockets can */
	bool can_own;
	int events;
	bool running;
	struct trace_packet packet;
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
	bool from_node, to_node; /* what it sees is */
} chains[] = {
    {"prerouting", NF_INET_PRE_ROUTING, TABLE_PRIORITY_DNAT - 1, true, false, false},
    {"output", NF_INET_LOCAL_OUT, TABLE_PRIORITY_DNAT - 1, true, true, false},
    {"forward", NF_INET_FORWARD, TABLE_PRIORITY - 1, true, false, false},
    {"input", NF_INET_LOCAL_IN, TABLE_PRIORITY - 1, true, false, true},
    {TRACE_LAST_CHAIN, NF_INET_POST_ROUTING, LAST_PRIORITY, false, false, false},
};

static bool
is_any(const struct ip_addr *addr)
{
	const struct ip_addr any = {.family = addr->family};

	return ip_eq(addr, &any);
}

static bool
concerns(size_t chain, const struct connection *f)
{
	return chains[chain].marks && (chains[chain].from_node || !is_any(&f->src)) &&
	       (chains[chain].to_node || !is_any(&f->dst));
}

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
	if (!is_any(&f->src))
		payload_equals(rule, NFT_PAYLOAD_NETWORK_HEADER,
		    v4 ? offsetof(struct iphdr, saddr)
		       : offsetof(struct ip6_hdr, ip6_src),
		    f->src.bytes, len);
	if (!is_any(&f->dst))
		payload_equals(rule, NFT_PAYLOAD_NETWORK_HEADER,
		    v4 ? offsetof(struct iphdr, daddr)
		       : offsetof(struct ip6_hdr, ip6_dst),
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
		for (size_t i = 0; i < count; i++) {
			if (concerns(c, &filters[i]))
				put_rule(&b, chains[c].name, &filters[i]);
		}
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
	struct err other = ERR_INIT;
	int rc;

	if (t->running)
		return err_set(err, ERR_EXISTS, "another trace is under way");
	if (count == 0 || count > TRACE_FILTERS_MOST)
		return err_set(err, ERR_INVALID, "no packet to wait for, or too many");
	t->packet = (struct trace_packet){.followed = false};
	rc = listen_events(t, true, err);
	if (rc != 0)
		return rc;
	rc = put_marks(t, filters, count, t->can_own, &refusal, err);
	if (rc != 0 && t->can_own &&
	    (refusal.sys == EOPNOTSUPP ||
		refusal.sys == EINVAL)) { /* an older kernel */
		t->can_own = false;
		rc = put_marks(t, filters, count, false, &refusal, err);
	}
	t->running = rc == 0;
	if (rc != 0 && listen_events(t, false, &other) != 0)
		log_error("trace", "detail=%s", log_quote(str_from(other.msg)));
	return rc;
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
	*out_count = t->packet.count;
	return t->packet.steps;
}

/* ---- events ---- */

bool
trace_read(struct trace *t)
{
	bool left = false;

	for (;;) {
		ssize_t n = recv(t->events, t->data, sizeof(t->data), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return left; /* nothing more, or too much: then it is later */
		if (t->running && !left)
			left = trace_packet_take(&t->packet, t->data, (size_t)n);
	}
}
