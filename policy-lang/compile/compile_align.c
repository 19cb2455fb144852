/*
 * The sets of peers of two compilations whose rules speak of the same ones, in one order: so
 * that what is known of addresses in the one holds in the other.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_internal.h"

static uint32_t
renumbered(const uint32_t *numbers, uint32_t set)
{
	return set == PEERS_EVERYONE || set == PEERS_NOBODY ? set : numbers[set];
}

static void
renumber_all(const uint32_t *numbers, uint32_t *sets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sets[i] = renumbered(numbers, sets[i]);
}

static void
renumber_rules(struct side *s, const uint32_t *numbers)
{
	for (size_t i = 0; i < s->rule_count; i++)
		s->rules[i].peers = renumbered(numbers, s->rules[i].peers);
	for (size_t i = 0; i < s->port_names.len; i++) {
		struct port_name *n = s->port_names.entries[i].value;

		for (; n != NULL; n = n->next) {
			renumber_all(numbers, n->meanings, n->meaning_count);
			renumber_all(numbers, n->peers, n->peer_count);
		}
	}
}

/* What each set's number is to be: those of both as there, then the others. */
static void
find_numbers(const struct side *s, const struct side *with, uint32_t *numbers)
{
	uint32_t next = (uint32_t)with->set_count;

	memset(numbers, 0xff, s->set_count * sizeof(*numbers));
	for (uint32_t i = 0; i < with->set_count; i++) {
		const struct peer_set *set =
		    map_get(&s->set_by_key, with->sets[i]->key);

		if (set == NULL)
			base_die("a set of peers is not here");
		numbers[set->index] = i;
	}
	for (size_t i = 0; i < s->set_count; i++) {
		if (numbers[i] == NONE)
			numbers[i] = next++;
	}
}

void
peers_align(struct side *s, const struct side *with)
{
	struct peer_set **sets;
	uint32_t *numbers;

	for (size_t i = 0; i < with->set_count; i++) {
		if (with->sets[i]->name != NULL &&
		    peers_adopt_meaning(s, with->sets[i]) == NULL)
			base_die("a name of a port is not here");
	}
	if (s->set_count == 0)
		return;
	numbers = xcalloc(s->set_count, sizeof(*numbers));
	sets = xcalloc(s->set_count, sizeof(struct peer_set *));
	find_numbers(s, with, numbers);
	for (size_t i = 0; i < s->set_count; i++) {
		sets[numbers[i]] = s->sets[i];
		s->sets[i]->index = numbers[i];
	}
	memcpy(s->sets, sets, s->set_count * sizeof(struct peer_set *));
	renumber_rules(s, numbers);
	free(sets);
	free(numbers);
}
