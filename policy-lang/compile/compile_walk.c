/*
 * The walk over all protocols and ports at once, for one profile and one class.
 */
#include "policy-lang/compile/compile_walk.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

static void
apply_numbers(struct walker *w, const struct rule *rule, const struct port_match *m)
{
	enum port_column column = port_column_of(m->proto);

	if (m->proto != PROTO_ANY && column == PORTS_OTHER) {
		diag_say(w->s->c->diags, CODE_UNSUPPORTED_PROTOCOL, m->loc,
		    "protocol %u cannot be enforced", (unsigned)m->proto);
		w->s->c->failed = true;
		return;
	}
	for (unsigned i = 0; i < PORT_COLUMNS; i++) {
		enum port_column c = (enum port_column)i;

		if (m->proto != PROTO_ANY && c != column)
			continue;
		/* A protocol without ports counts as port 0. */
		if (port_column_has_ports(c) || m->lo == 0)
			portset_apply(
			    &w->ports, c, m->lo, m->hi, rule->action, rule->number);
	}
}

/* What the name means at the peers of the class. */
static void
apply_name(struct walker *w, const struct rule *rule, const struct port_match *m,
    const struct class_info *class)
{
	const struct port_name *name = peers_port_name(w->s, m);

	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		const struct peer_set *set = w->s->sets[class->sets[i]];

		if (set->name == NULL || set->name != name)
			continue;
		for (size_t j = 0; j < set->port_count; j++)
			portset_apply(&w->ports, set->ports[j].column,
			    set->ports[j].port, set->ports[j].port, rule->action,
			    rule->number);
	}
}

static void
apply_fail_safe(struct walker *w, uint32_t number)
{
	const struct fail_safe *safe = &w->s->c->model->options.fail_safe;

	for (size_t i = 0; i < safe->count[w->s->dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[w->s->dir][i];

		portset_apply(&w->ports, port_column_of(p->proto), p->lo, p->hi,
		    ACTION_ALLOW, number);
	}
}

static void
apply_entry(
    struct walker *w, const struct profile_entry *e, const struct class_info *class)
{
	const struct rule *rule;

	if (e->kind == ENTRY_ISOLATE) {
		portset_apply_all(&w->ports, ACTION_DENY, e->number);
		return;
	}
	if (e->kind == ENTRY_FAIL_SAFE) {
		apply_fail_safe(w, e->number);
		return;
	}
	rule = w->s->rules[e->rule].rule;
	if (rule->any_port) {
		portset_apply_all(&w->ports, rule->action, rule->number);
		return;
	}
	for (size_t i = 0; i < rule->port_count; i++) {
		if (rule->ports[i].kind == PORT_NUMBERS)
			apply_numbers(w, rule, &rule->ports[i]);
		else if (w->s->dir == DIR_EGRESS)
			apply_name(w, rule, &rule->ports[i], class);
	}
	for (size_t i = 0; i < e->port_count; i++)
		portset_apply(&w->ports, e->ports[i].column, e->ports[i].port,
		    e->ports[i].port, rule->action, rule->number);
}

/* The number of what nothing decides. */
static uint32_t
number_of_nobody(const struct walker *w)
{
	if (w->profile->host)
		return NUMBER_NODE_ALLOW;
	return w->s->c->model->options.default_deny ? NUMBER_CLUSTER_DENY
						    : NUMBER_CLUSTER_ALLOW;
}

/* What the first `count` entries of w->entries come to, for one class; NULL: for those of
 * whom no entry speaks. */
static struct verdicts *
walker_walk(struct walker *w, size_t count, const struct class_info *class)
{
	struct arena *scratch = w->s->c->scratch;
	struct verdicts *v = ARENA_NEW(scratch, struct verdicts);
	uint32_t level = 0;

	portset_reset(&w->ports);
	for (size_t i = 0; i < count && !portset_decided(&w->ports); i++) {
		const struct profile_entry *e = &w->profile->entries[w->entries[i]];

		if (e->level != level)
			portset_next_level(&w->ports);
		level = e->level;
		apply_entry(w, e, class);
	}
	portset_next_level(&w->ports);
	portset_apply_all(&w->ports, ACTION_DENY, number_of_nobody(w));
	portset_join(&w->ports);
	for (size_t i = 0; i < PORT_COLUMNS; i++) {
		const struct port_list *from = &w->ports.columns[i];

		v->columns[i].items =
		    ARENA_ARRAY(scratch, from->count, struct port_segment);
		v->columns[i].count = from->count;
		memcpy(v->columns[i].items, from->items,
		    from->count * sizeof(*from->items));
	}
	return v;
}

/* The first mention of a set at or after it. */
static size_t
find_mention(const struct walker *w, uint32_t set)
{
	size_t lo = 0, hi = w->mention_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->mentions[mid].set < set)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Gathers the entries that hold for the class (NULL: class 0), in order. */
static size_t
gather_entries(struct walker *w, const struct class_info *class)
{
	size_t count = w->always_count;

	if (count != 0)
		memcpy(w->entries, w->always, count * sizeof(*w->entries));
	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		uint32_t set = class->sets[i];

		for (size_t j = find_mention(w, set);
		     j < w->mention_count && w->mentions[j].set == set; j++)
			w->entries[count++] = w->mentions[j].entry;
	}
	if (count > w->always_count)
		qsort(w->entries, count, sizeof(*w->entries), u32_cmp);
	return count;
}

const struct verdicts *
walker_verdicts(struct walker *w, const struct class_info *class)
{
	size_t count = gather_entries(w, class);
	struct verdicts *v;

	buf_clear(&w->key);
	buf_add(&w->key, w->entries, count * sizeof(*w->entries));
	key_add_u32(&w->key, NONE);
	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		uint32_t set = class->sets[i];

		if (w->s->sets[set]->name != NULL && w->set_stamp[set] == w->serial)
			key_add_u32(&w->key, set);
	}
	v = map_get(&w->memo, buf_str(&w->key));
	if (v == NULL) {
		struct str key = str_dup(w->s->c->scratch, buf_str(&w->key));

		v = walker_walk(w, count, class);
		(void)map_set(&w->memo, key, v);
	}
	return v;
}
