#include "policy-lang/table/table_walk.h"

#include <string.h>

struct walk {
	const struct table_view *view;
	const struct table_packet *packet;
	uint32_t priority;
	struct table_verdict *verdict;
};

enum outcome {
	OUT_NEXT,  /* the next statement */
	OUT_BREAK, /* the next rule */
	OUT_RETURN,
	OUT_ACCEPT,
	OUT_DROP
};

/* Elements are sorted and disjoint: it is the last that begins at or before the key. */
const struct table_element *
table_find(const struct table_content *content, enum table_set_id id,
    const struct table_element *key)
{
	const struct table_element *all = content->elements[id], *e;
	size_t lo = 0, hi = content->element_count[id];

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

/* One that is not known is in no set: no name begins with a NUL. */
static void
add_interface(struct table_element *key, const char *name)
{
	if (name != NULL)
		memcpy(key->addr, name, strnlen(name, sizeof(key->addr)));
}

static bool
look_up(const struct walk *w, const struct table_stmt *stmt, struct table_element *out)
{
	struct table_element key = {0};

	/* Sets with an address twice are of those that are the same. */
	if (stmt->load[0] == LOAD_SADDR && stmt->load[1] == LOAD_DADDR &&
	    !ip_eq(&w->packet->saddr, &w->packet->daddr))
		return false;
	for (size_t i = 0; i < TABLE_KEY_FIELDS; i++) {
		const struct ip_addr *addr =
		    stmt->load[i] == LOAD_SADDR ? &w->packet->saddr : &w->packet->daddr;

		switch (stmt->load[i]) {
		case LOAD_PRIORITY:
			key.class_id = w->priority;
			break;
		case LOAD_NFPROTO:
			key.proto = table_nfproto(w->packet->saddr.family);
			break;
		case LOAD_IIFNAME:
			add_interface(&key, w->packet->iif);
			break;
		case LOAD_OIFNAME:
			add_interface(&key, w->packet->oif);
			break;
		case LOAD_SADDR:
		case LOAD_DADDR:
			memcpy(key.addr, addr->bytes, ip_bytes(addr->family));
			break;
		case LOAD_L4PROTO:
			key.proto = w->packet->proto;
			break;
		case LOAD_DPORT:
			key.port_lo = w->packet->dport;
			break;
		case LOAD_SPORT: /* of what comes back, which is not walked */
		case LOAD_CT_MARK:
		case LOAD_HASH4:
		case LOAD_HASH6:
		case LOAD_ENDS4:
		case LOAD_ENDS6:
		case LOAD_ENDS4_BACK:
		case LOAD_ENDS6_BACK:
		case LOAD_CT_SADDR: /* what is only read is not walked, either */
		case LOAD_CT_DADDR:
		case LOAD_RANDOM: /* only what translates picks, which is not walked */
		case LOAD_NONE:
			break;
		}
	}
	return w->view->find(w->view->arg, stmt->set, &key, out);
}

static enum outcome
walk_rule_chain(struct walk *w, uint32_t number)
{
	const struct table_view *c = w->view;
	struct table_verdict *v = w->verdict;
	size_t lo = 0, hi = c->rule_chain_count;

	if (v->number_count < TABLE_VERDICT_NUMBERS)
		v->numbers[v->number_count++] = number;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->rule_chains[mid].number == number)
			return c->rule_chains[mid].action == ACTION_ALLOW ? OUT_RETURN
									  : OUT_DROP;
		if (c->rule_chains[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return OUT_DROP; /* no such chain: such a table would not load */
}

static enum outcome walk_chain(struct walk *w, const char *name);

static bool
governs_source(const char *chain)
{
	return strncmp(chain, "egress", strlen("egress")) == 0;
}

/* A chain that was gone to returns to whoever jumped. */
static enum outcome
walk_stmt(struct walk *w, const struct table_stmt *stmt)
{
	struct table_element e;
	enum outcome outcome;

	switch (stmt->kind) {
	case STMT_CT_ESTABLISHED:
	case STMT_LOOPBACK:
	case STMT_LOOPBACK_OUT:
	case STMT_ICMP_TYPE:
	case STMT_ICMPV6_TYPE:
	case STMT_ON_LINK:
	case STMT_CT_ORIGINAL:
	case STMT_CT_CONFIRMED:
	case STMT_MARKED:
	case STMT_CT_REPLY:
	case STMT_CT_STRAY:
	case STMT_CT_MARKED:
	case STMT_CAME_BACK:
	case STMT_CT_ASKED:
	case STMT_SNAT:
	case STMT_DNAT:
	case STMT_MASQUERADE:
		return OUT_BREAK; /* not such a packet */
	/* Limits are taken to have room: what there is of it only a kernel knows. */
	case STMT_CT_UNCONFIRMED:
	case STMT_VMAP:
	case STMT_LIMIT:
	case STMT_CT_COUNT:
	case STMT_OWN:
	case STMT_JUMP_NUMBER:
	case STMT_GOTO_NUMBER:
		return OUT_BREAK;
	case STMT_TCP_MIDSTREAM:
		return w->packet->midstream && w->packet->proto == PROTO_TCP
			   ? OUT_NEXT
			   : OUT_BREAK;
	case STMT_CAME_ELSEWHERE:
		return w->packet->from_elsewhere ? OUT_NEXT : OUT_BREAK;
	case STMT_IIF_KIND:
		return w->packet->iif_kind != NULL &&
			       strcmp(w->packet->iif_kind, stmt->iif_kind) == 0
			   ? OUT_NEXT
			   : OUT_BREAK;
	case STMT_CT_DNAT:
		return w->packet->translated ? OUT_NEXT : OUT_BREAK;
	case STMT_FAMILY:
		return w->packet->saddr.family == stmt->value ? OUT_NEXT : OUT_BREAK;
	case STMT_L4PROTO:
		return w->packet->proto == stmt->value ? OUT_NEXT : OUT_BREAK;
	case STMT_LOOKUP:
		return look_up(w, stmt, &e) != stmt->invert ? OUT_NEXT : OUT_BREAK;
	case STMT_PRIORITY_MAP:
		if (!look_up(w, stmt, &e))
			return OUT_BREAK;
		w->priority = e.value;
		return OUT_NEXT;
	case STMT_PRIORITY_CONST:
		w->priority = stmt->value;
		return OUT_NEXT;
	case STMT_PRIORITY_VMAP:
		return look_up(w, stmt, &e) ? walk_rule_chain(w, e.value) : OUT_BREAK;
	case STMT_COUNTER:
	case STMT_LOG:
	case STMT_MARK: /* what routes a packet is not walked */
	case STMT_CT_MARK:
	case STMT_LOG_NAMES:
		return OUT_NEXT;
	case STMT_DROP:
	case STMT_REJECT_RESET:
	case STMT_REJECT_ADMIN:
		return OUT_DROP;
	case STMT_ACCEPT:
		return OUT_ACCEPT;
	case STMT_RETURN:
		return OUT_RETURN;
	case STMT_JUMP:
		if (w->packet->at_destination && governs_source(stmt->chain))
			return OUT_NEXT;
		outcome = walk_chain(w, stmt->chain);
		return outcome == OUT_RETURN ? OUT_NEXT : outcome;
	case STMT_GOTO:
		return walk_chain(w, stmt->chain);
	}
	return OUT_DROP;
}

static enum outcome
walk_rules(struct walk *w, const struct table_chain *chain)
{
	const struct table_settings *settings = w->view->settings;

	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct table_rule *rule = &chain->rules[i];
		enum outcome outcome = OUT_NEXT;

		if (settings != NULL && !table_rule_is_on(rule, settings))
			continue;
		for (size_t j = 0; j < rule->count && outcome == OUT_NEXT; j++)
			outcome = walk_stmt(w, &rule->stmts[j]);
		if (outcome != OUT_NEXT && outcome != OUT_BREAK)
			return outcome;
	}
	return OUT_RETURN;
}

static enum outcome
walk_chain(struct walk *w, const char *name)
{
	const struct table_chain *chain = table_chain_find(name);

	return chain != NULL ? walk_rules(w, chain) : OUT_DROP;
}

struct table_verdict
table_walk_view(const struct table_view *view, const struct table_packet *packet)
{
	struct table_verdict verdict = {.accept = true};
	struct walk w = {
	    .view = view,
	    .packet = packet,
	    .priority = 6, /* as of a type of service: must not matter */
	    .verdict = &verdict,
	};

	for (size_t i = 0; i < table_chain_count; i++) {
		const struct table_chain *chain = &table_chains[i];

		if (chain->hook == packet->hook && !chain->nat &&
		    (view->settings == NULL ||
			table_chain_is_on(chain, view->settings))) {
			enum outcome outcome = walk_rules(&w, chain);

			verdict.accept = outcome == OUT_ACCEPT || outcome == OUT_RETURN;
		}
	}
	verdict.priority = w.priority;
	return verdict;
}

static bool
find_in_content(const void *arg, enum table_set_id id, const struct table_element *key,
    struct table_element *out)
{
	const struct table_element *e = table_find(arg, id, key);

	if (e != NULL)
		*out = *e;
	return e != NULL;
}

struct table_verdict
table_walk(const struct table_content *content, const struct table_packet *packet)
{
	const struct table_view view = {
	    .find = find_in_content,
	    .arg = content,
	    .rule_chains = content->rule_chains,
	    .rule_chain_count = content->rule_chain_count,
	    .settings = &content->settings,
	};

	return table_walk_view(&view, packet);
}
