/*
 * What a program must be so that a kernel could take it.
 */
#ifndef TESTS_TABLE_SIM_H
#define TESTS_TABLE_SIM_H

#include <stdio.h>
#include <string.h>

#include "policy-lang/table/table.h"

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
