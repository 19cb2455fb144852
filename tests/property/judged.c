#include "tests/property/judged.h"

#include <string.h>

#include "policy-lang/model/codes.h"
#include "policy-lang/table/table_walk.h"

#define PACKETS 200

/* ---- what does not speak of classes ---- */

static bool
is_of_classes(unsigned set)
{
	return set >= SET_PEER4_IN && set <= SET_HOST6_OUT_ANY;
}

static bool
same_rest(const struct table_content *a, const struct table_content *b)
{
	bool same = a->rule_chain_count == b->rule_chain_count;

	for (size_t i = 0; i < a->rule_chain_count && same; i++)
		same = table_rule_chain_equal(&a->rule_chains[i], &b->rule_chains[i]);
	for (unsigned set = 0; set < SET_COUNT && same; set++) {
		if (is_of_classes(set))
			continue;
		same = a->element_count[set] == b->element_count[set];
		for (size_t i = 0; i < a->element_count[set] && same; i++)
			same = table_element_equal(
			    &a->elements[set][i], &b->elements[set][i]);
	}
	return same;
}

/* ---- what is of classes, but of none that may be another ---- */

/* The next that is for those of whom no rule speaks; NULL: none. */
static const struct table_element *
next_of_everyone(const struct table_content *c, unsigned set, size_t *at)
{
	while (*at < c->element_count[set] && c->elements[set][*at].class_id != 0)
		(*at)++;
	return *at < c->element_count[set] ? &c->elements[set][(*at)++] : NULL;
}

static bool
same_for_everyone(
    const struct table_content *a, const struct table_content *b, unsigned set)
{
	const struct table_element *x, *y;
	size_t i = 0, j = 0;

	do {
		x = next_of_everyone(a, set, &i);
		y = next_of_everyone(b, set, &j);
	} while (x != NULL && y != NULL && table_element_equal(x, y));
	return x == NULL && y == NULL;
}

/* Whether cells are of addresses that are looked up. */
static bool
are_of_local(const struct table_content *c, unsigned set)
{
	const unsigned local = SET_LOCAL4_IN + (set - SET_CELL4_IN) % 4;

	for (size_t i = 0; i < c->element_count[set]; i++) {
		struct table_element key = {0};

		memcpy(key.addr, c->elements[set][i].addr, sizeof(key.addr));
		if (table_find(c, (enum table_set_id)local, &key) == NULL)
			return false;
	}
	return true;
}

static bool
same_cells(const struct table_content *a, const struct table_content *b)
{
	bool same = true;

	for (unsigned set = SET_CELL4_IN; set <= SET_HOST6_OUT_ANY && same; set++)
		same = same_for_everyone(a, b, set) &&
		       (set >= SET_HOST4_IN || are_of_local(b, set));
	return same;
}

/* ---- packets ---- */

/* An element of one of some sets; false: the dice found none. */
static bool
roll_element(struct dice *dice, const struct table_content *c, unsigned first,
    unsigned last, unsigned step, struct table_element *out)
{
	for (unsigned i = 0; i < 8; i++) {
		const unsigned set =
		    first + step * dice_roll(dice, (last - first) / step + 1);
		const size_t count = c->element_count[set];

		if (count == 0)
			continue;
		*out = c->elements[set][dice_roll(dice, (unsigned)count)];
		return true;
	}
	return false;
}

static struct ip_addr
addr_of(enum ip_family family, const uint8_t *bytes)
{
	struct ip_addr addr = {.family = family};

	memcpy(addr.bytes, bytes, ip_bytes(family));
	return addr;
}

/* Of somebody who is known; an end of a network, or what is beside it; or of anybody. */
static struct ip_addr
roll_peer(struct dice *dice, const struct table_content *c, unsigned family)
{
	const enum ip_family f = family == 0 ? IP_V4 : IP_V6;
	struct table_element e = {0};
	struct ip_addr addr;
	const unsigned what = dice_roll(dice, 4);

	if (what == 0)
		(void)roll_element(dice, c, SET_PEER4_IN_NET + family,
		    SET_PEER4_OUT_NET + family, 2, &e);
	else if (what == 1)
		(void)roll_element(
		    dice, c, SET_LOCAL4_IN + family, SET_LOCAL4_OUT + family, 2, &e);
	else
		(void)roll_element(
		    dice, c, SET_PEER4_IN + family, SET_PEER4_OUT + family, 2, &e);
	addr = addr_of(f, what == 0 && dice_roll(dice, 2) == 0 ? e.addr_end : e.addr);
	if (dice_roll(dice, 8) == 0)
		addr.bytes[ip_bytes(f) - 1] ^= (uint8_t)dice_roll(dice, 4);
	return addr;
}

/* A protocol and port that some cell speaks of, or what is beside that. */
static void
roll_port(struct dice *dice, const struct table_content *c, struct table_packet *p)
{
	struct table_element e = {.proto = PROTO_TCP, .port_lo = 1};

	(void)roll_element(dice, c, SET_CELL4_IN, SET_CELL6_OUT_RANGE, 1, &e);
	p->proto = e.proto != 0 ? e.proto : PROTO_UDP;
	p->dport = e.port_lo;
	if (dice_roll(dice, 8) == 0)
		p->dport = (uint16_t)(p->dport + dice_roll(dice, 3) - 1);
}

static bool
same_walk(
    struct dice *dice, const struct table_content *a, const struct table_content *b)
{
	static const enum table_hook hooks[] = {
	    HOOK_FORWARD, HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT};
	const unsigned family = dice_roll(dice, 2);
	struct table_packet p = {.hook = hooks[dice_roll(dice, 4)]};
	struct ip_addr local, peer = roll_peer(dice, b, family);
	struct table_element e = {0};
	struct table_verdict x, y;
	bool same;

	if (!roll_element(
		dice, a, SET_LOCAL4_IN + family, SET_LOCAL4_OUT + family, 2, &e))
		return true;
	local = addr_of(peer.family, e.addr);
	p.saddr = dice_roll(dice, 2) == 0 ? local : peer;
	p.daddr = ip_eq(&p.saddr, &local) ? peer : local;
	roll_port(dice, b, &p);
	x = table_walk(a, &p);
	y = table_walk(b, &p);
	same = x.accept == y.accept && x.number_count == y.number_count &&
	       x.priority == y.priority;
	for (size_t i = 0; i < x.number_count && same; i++)
		same = x.numbers[i] == y.numbers[i];
	return same;
}

bool
same_judgement(
    struct dice *dice, const struct table_content *a, const struct table_content *b)
{
	bool same = same_rest(a, b) && same_cells(a, b);

	for (unsigned i = 0; i < PACKETS && same; i++)
		same = same_walk(dice, a, b);
	return same;
}
