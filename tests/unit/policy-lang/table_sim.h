/*
 * What the kernel does with a table, without a kernel: a packet that belongs to no
 * connection yet goes through the constant chains, statement by statement, over the
 * elements of a program. For comparing the compiler with the evaluator at length.
 */
#ifndef TESTS_TABLE_SIM_H
#define TESTS_TABLE_SIM_H

#include <stdio.h>
#include <string.h>

#include "policy-lang/table.h"

struct sim_packet {
	struct ip_addr saddr, daddr;
	uint8_t proto;
	uint16_t dport; /* what stands there in the transport header, port or not */
	enum table_hook hook;
};

struct sim_verdict {
	bool accept;
	uint32_t numbers[4]; /* of the rule chains that were gone to, in order */
	size_t number_count;
	uint32_t priority; /* when the packet left */
};

struct sim {
	const struct table_content *content;
	const struct sim_packet *packet;
	uint32_t priority;
	struct sim_verdict *verdict;
};

enum sim_flow {
	SIM_NEXT,
	SIM_BREAK,
	SIM_RETURN,
	SIM_ACCEPT,
	SIM_DROP
};

/* An interval set's element that the key is in; the class and address of a concatenated
 * key are single values. Elements are sorted and disjoint: it is the last that begins at
 * or before the key. */
static inline const struct table_element *
sim_find(const struct sim *s, enum table_set_id id, const struct table_element *key)
{
	const struct table_element *all = s->content->elements[id], *e;
	size_t lo = 0, hi = s->content->element_count[id];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (table_element_cmp(&all[mid], key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	e = &all[lo - 1];
	if (!table_sets[id].interval)
		return table_element_cmp(e, key) == 0 ? e : NULL;
	if (e->class_id != key->class_id || e->proto != key->proto)
		return NULL;
	if (table_set_swaps(id))
		return memcmp(e->addr, key->addr, sizeof(e->addr)) == 0 &&
			       key->port_lo <= e->port_hi
			   ? e
			   : NULL;
	return memcmp(key->addr, e->addr_end, sizeof(key->addr)) <= 0 ? e : NULL;
}

static inline const struct table_element *
sim_lookup(const struct sim *s, const struct table_stmt *stmt)
{
	struct table_element key = {0};

	for (size_t i = 0; i < TABLE_KEY_FIELDS; i++) {
		const struct ip_addr *addr =
		    stmt->load[i] == LOAD_SADDR ? &s->packet->saddr : &s->packet->daddr;

		switch (stmt->load[i]) {
		case LOAD_PRIORITY:
			key.class_id = s->priority;
			break;
		case LOAD_SADDR:
		case LOAD_DADDR:
			memcpy(key.addr, addr->bytes, ip_bytes(addr->family));
			break;
		case LOAD_L4PROTO:
			key.proto = s->packet->proto;
			break;
		case LOAD_DPORT:
			key.port_lo = s->packet->dport;
			break;
		case LOAD_NONE:
			break;
		}
	}
	return sim_find(s, stmt->set, &key);
}

static inline enum sim_flow sim_chain(struct sim *s, const char *name);

static inline enum sim_flow
sim_rule_chain(struct sim *s, uint32_t number)
{
	const struct table_content *c = s->content;
	struct sim_verdict *v = s->verdict;

	if (v->number_count < 4)
		v->numbers[v->number_count++] = number;
	for (size_t i = 0; i < c->rule_chain_count; i++) {
		if (c->rule_chains[i].number == number)
			return c->rule_chains[i].action == ACTION_ALLOW ? SIM_RETURN
									: SIM_DROP;
	}
	return SIM_DROP; /* no such chain: such a table would not load */
}

/* Runs one statement. A chain that was gone to returns to whoever jumped. */
static inline enum sim_flow
sim_stmt(struct sim *s, const struct table_stmt *stmt)
{
	const struct table_element *e;
	enum sim_flow flow;

	switch (stmt->kind) {
	case STMT_CT_ESTABLISHED:
	case STMT_LOOPBACK:
	case STMT_ND:
		return SIM_BREAK; /* not such a packet */
	case STMT_FAMILY:
		return s->packet->saddr.family == stmt->value ? SIM_NEXT : SIM_BREAK;
	case STMT_L4PROTO:
		return s->packet->proto == stmt->value ? SIM_NEXT : SIM_BREAK;
	case STMT_LOOKUP:
		return (sim_lookup(s, stmt) != NULL) != stmt->invert ? SIM_NEXT
								     : SIM_BREAK;
	case STMT_PRIORITY_MAP:
		e = sim_lookup(s, stmt);
		if (e == NULL)
			return SIM_BREAK;
		s->priority = e->value;
		return SIM_NEXT;
	case STMT_PRIORITY_CONST:
		s->priority = stmt->value;
		return SIM_NEXT;
	case STMT_PRIORITY_VMAP:
		e = sim_lookup(s, stmt);
		return e == NULL ? SIM_BREAK : sim_rule_chain(s, e->value);
	case STMT_COUNTER:
	case STMT_LOG:
		return SIM_NEXT;
	case STMT_DROP:
	case STMT_REJECT_RESET:
	case STMT_REJECT_ADMIN:
		return SIM_DROP;
	case STMT_ACCEPT:
		return SIM_ACCEPT;
	case STMT_RETURN:
		return SIM_RETURN;
	case STMT_JUMP:
		flow = sim_chain(s, stmt->chain);
		return flow == SIM_RETURN ? SIM_NEXT : flow;
	case STMT_GOTO:
		return sim_chain(s, stmt->chain);
	}
	return SIM_DROP;
}

static inline enum sim_flow
sim_rules(struct sim *s, const struct table_chain *chain)
{
	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct table_rule *rule = &chain->rules[i];
		enum sim_flow flow = SIM_NEXT;

		for (size_t j = 0; j < rule->count && flow == SIM_NEXT; j++)
			flow = sim_stmt(s, &rule->stmts[j]);
		if (flow != SIM_NEXT && flow != SIM_BREAK)
			return flow;
	}
	return SIM_RETURN;
}

static inline enum sim_flow
sim_chain(struct sim *s, const char *name)
{
	for (size_t i = 0; i < table_chain_count; i++) {
		if (strcmp(table_chains[i].name, name) == 0)
			return sim_rules(s, &table_chains[i]);
	}
	return SIM_DROP;
}

static inline struct sim_verdict
sim_run(const struct table_content *content, const struct sim_packet *packet)
{
	struct sim_verdict verdict = {0};
	struct sim s = {
	    .content = content,
	    .packet = packet,
	    .priority = 6, /* as of a type of service: must not matter */
	    .verdict = &verdict,
	};

	for (size_t i = 0; i < table_chain_count; i++) {
		if (table_chains[i].hook == packet->hook) {
			enum sim_flow flow = sim_rules(&s, &table_chains[i]);

			verdict.accept = flow == SIM_ACCEPT || flow == SIM_RETURN;
		}
	}
	verdict.priority = s.priority;
	return verdict;
}

/* ---- what every program must be ---- */

/* Whether two neighbours are in order and do not overlap. */
static inline bool
sim_apart(
    enum table_set_id id, const struct table_element *a, const struct table_element *b)
{
	if (table_element_cmp(a, b) >= 0)
		return false;
	if (!table_sets[id].interval)
		return true;
	if (!table_set_swaps(id))
		return memcmp(a->addr_end, b->addr, sizeof(a->addr)) < 0;
	return a->class_id != b->class_id || a->proto != b->proto ||
	       memcmp(a->addr, b->addr, sizeof(a->addr)) != 0 ||
	       a->port_hi < b->port_lo;
}

static inline bool
sim_has_rule(const struct table_content *c, uint32_t number)
{
	for (size_t i = 0; i < c->rule_chain_count; i++) {
		if (c->rule_chains[i].number == number)
			return true;
	}
	return false;
}

static inline bool
sim_element_sane(const struct table_content *c, enum table_set_id id, size_t i)
{
	const struct table_element *e = &c->elements[id][i];
	bool is_cell = id >= SET_CELL4_IN && id <= SET_CELL6_OUT_REST;

	if (i > 0 && !sim_apart(id, e - 1, e))
		return false;
	if (table_set_swaps(id) && e->port_lo > e->port_hi)
		return false;
	if (table_sets[id].interval && !table_set_swaps(id) &&
	    memcmp(e->addr, e->addr_end, sizeof(e->addr)) > 0)
		return false;
	return !(is_cell || id == SET_RULES) || sim_has_rule(c, e->value);
}

/* Why the program is not one that a kernel could take, into `out`; false if it is. */
static inline bool
sim_insane(const struct table_content *c, char *out, size_t out_bytes)
{
	for (unsigned id = 0; id < SET_COUNT; id++) {
		for (size_t i = 0; i < c->element_count[id]; i++) {
			if (sim_element_sane(c, (enum table_set_id)id, i))
				continue;
			(void)snprintf(out, out_bytes, "element %zu of %s", i,
			    table_sets[id].name);
			return true;
		}
	}
	for (size_t i = 1; i < c->rule_chain_count; i++) {
		if (c->rule_chains[i - 1].number < c->rule_chains[i].number)
			continue;
		(void)snprintf(out, out_bytes, "rule chain %zu", i);
		return true;
	}
	return false;
}

#endif
