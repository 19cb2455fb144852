/*
 * Messages of NFNLGRP_NFTRACE: one for each rule that a packet meets, for a chain's policy, for
 * the end of a chain.
 */
#include "enforcer/kernel/trace_packet.h"

#include <arpa/inet.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "enforcer/kernel/netlink.h"

/* Of our table's base chains, those in which a packet is judged; what it meets behind them
 * changes its addresses alone. */
static const char *const last_chains[] = {"forward", "input", "output"};

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
enter_hook(struct trace_packet *p, const char *chain)
{
	p->in_hook = true;
	p->in_last = false;
	for (size_t i = 0; i < ARRAY_LEN(last_chains); i++)
		p->in_last = p->in_last || strcmp(chain, last_chains[i]) == 0;
}

/* Returns true if the packet leaves our table for good with this. */
static bool
add_step(struct trace_packet *p, struct event *e, uint32_t type)
{
	struct trace_step *s = &p->steps[p->count];

	text_of(e->attrs[NFTA_TRACE_CHAIN], s->chain, sizeof(s->chain));
	s->verdict = type == NFT_TRACETYPE_POLICY ? TRACE_ACCEPT : TRACE_RETURN;
	s->to[0] = '\0';
	if (type == NFT_TRACETYPE_RULE && e->attrs[NFTA_TRACE_VERDICT] != NULL &&
	    mnl_attr_parse_nested(e->attrs[NFTA_TRACE_VERDICT], verdict_attr, e) >= 0) {
		s->verdict = verdict_of(u32_of(e->verdict[NFTA_VERDICT_CODE]));
		text_of(e->verdict[NFTA_VERDICT_CHAIN], s->to, sizeof(s->to));
	}
	if (!p->in_hook)
		enter_hook(p, s->chain);
	p->in_hook = s->verdict != TRACE_ACCEPT;
	if (s->verdict != TRACE_CONTINUE && p->count + 1 < TRACE_STEPS_MOST)
		p->count++;
	return (s->verdict == TRACE_ACCEPT && p->in_last) || s->verdict == TRACE_DROP ||
	       s->verdict == TRACE_OTHER;
}

/* Returns true if the packet has gone, past all that judges it. */
static bool
take_own_event(
    struct trace_packet *p, const struct event *e, uint32_t id, uint32_t type)
{
	char chain[64];

	if (!p->followed && type == NFT_TRACETYPE_RULE) { /* we have marked it */
		p->followed = true;
		p->id = id;
	}
	text_of(e->attrs[NFTA_TRACE_CHAIN], chain, sizeof(chain));
	return p->followed && id == p->id && strcmp(chain, TRACE_LAST_CHAIN) == 0;
}

static bool
take_event(struct trace_packet *p, const struct nlmsghdr *header)
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
		return take_own_event(p, &e, id, type);
	if (!p->followed || id != p->id || strcmp(table, TABLE_NAME) != 0)
		return false;
	return add_step(p, &e, type);
}

bool
trace_packet_take(struct trace_packet *p, const void *data, size_t len)
{
	const struct nlmsghdr *h = data;
	int rest = (int)len;
	bool left = false;

	if (!netlink_lengths_hold(data, len))
		return false;
	for (; mnl_nlmsg_ok(h, rest) && !left; h = mnl_nlmsg_next(h, &rest))
		left = take_event(p, h);
	return left;
}
