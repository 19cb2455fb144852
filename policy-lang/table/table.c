/*
 * What settings make of the table: numbers of ways in marks, chains and rules that are there
 * or not, and the rules of a chain rule_N.
 */
#include "policy-lang/table/table.h"

#include <string.h>

/* ---- ways ---- */

/* The lowest bit of the mask. */
static uint32_t
mask_unit(uint32_t mask)
{
	return mask & (~mask + 1);
}

/* Written with digits of either base. */
static bool
parse_u32(struct str text, uint32_t *out)
{
	static const char digits[] = "0123456789abcdef";
	uint64_t value = 0;

	if (!str_starts(text, STR("0x"))) {
		if (!str_to_u64(text, UINT32_MAX, &value))
			return false;
		*out = (uint32_t)value;
		return true;
	}
	if (text.len < 3 || text.len > 10)
		return false;
	for (size_t i = 2; i < text.len; i++) {
		const char *at = memchr(digits, text.ptr[i] | 0x20, sizeof(digits) - 1);

		if (at == NULL)
			return false;
		value = value * 16 + (uint64_t)(at - digits);
	}
	*out = (uint32_t)value;
	return true;
}

bool
table_mask_parse(struct str text, uint32_t *out_mask)
{
	uint32_t mask, ones;

	if (!parse_u32(text, &mask) || mask == 0)
		return false;
	ones = mask / mask_unit(mask);
	if ((ones & (ones + 1)) != 0)
		return false;
	*out_mask = mask;
	return true;
}

uint32_t
table_way_mark(uint32_t mask, uint32_t number)
{
	return number * mask_unit(mask) & mask;
}

uint32_t
table_way_room(uint32_t mask)
{
	uint32_t room = mask == 0 ? 0 : mask / mask_unit(mask);

	return room < TABLE_WAYS_MAX ? room : TABLE_WAYS_MAX;
}

const struct table_chain *
table_chain_find(const char *name)
{
	for (size_t i = 0; i < table_chain_count; i++) {
		if (strcmp(table_chains[i].name, name) == 0)
			return &table_chains[i];
	}
	return NULL;
}

uint32_t
table_uses(const size_t counts[SET_COUNT])
{
	uint32_t uses = 0;

	for (size_t set = 0; set < SET_COUNT; set++) {
		if (counts[set] != 0)
			uses |= table_sets[set].use;
	}
	return uses;
}

bool
table_chain_is_on(
    const struct table_chain *chain, const struct table_settings *settings)
{
	return (!chain->steers || settings->steer_mask != 0) &&
	       (!chain->validates || settings->validate_sources) &&
	       (!chain->nat || !settings->no_nat) &&
	       (chain->uses == 0 || (chain->uses & settings->uses) != 0);
}

/* What only a kernel that translates has: of the regular chains that it goes through, too. */
static bool
is_of_nat(const struct table_stmt *s)
{
	bool picks = false;

	for (size_t i = 0; i < ARRAY_LEN(s->load); i++)
		picks =
		    picks || (s->load[i] >= LOAD_HASH4 && s->load[i] <= LOAD_RANDOM);
	return picks || s->kind == STMT_SNAT || s->kind == STMT_DNAT ||
	       s->kind == STMT_MASQUERADE;
}

/* Marks are of ways alone. */
static bool
is_of_marks(const struct table_stmt *s)
{
	return s->kind == STMT_MARKED || s->kind == STMT_CT_MARKED;
}

/* True if the rule cannot do anything. */
static bool
is_idle(const struct table_stmt *s, const struct table_settings *settings)
{
	if (s->kind == STMT_PRIORITY_MAP || (s->kind == STMT_LOOKUP && !s->invert))
		return table_sets[s->set].use != 0 &&
		       (table_sets[s->set].use & settings->uses) == 0;
	if (s->kind == STMT_JUMP || s->kind == STMT_GOTO)
		return !table_chain_is_on(table_chain_find(s->chain), settings);
	return false;
}

bool
table_rule_is_on(const struct table_rule *rule, const struct table_settings *settings)
{
	const bool marks =
	    settings->steer_mask != 0 && (settings->uses & (USE_STEER | USE_VIA)) != 0;

	if (is_of_marks(&rule->stmts[0]) && !marks)
		return false;
	for (size_t i = 0; i < rule->count; i++) {
		if ((settings->no_nat && is_of_nat(&rule->stmts[i])) ||
		    is_idle(&rule->stmts[i], settings))
			return false;
	}
	return true;
}

/* ---- rule chains ---- */

/* Appends a statement to a rule under construction. */
static void
rule_add(struct table_rule *rule, enum table_stmt_kind kind, uint32_t value)
{
	rule->stmts[rule->count++] = (struct table_stmt){.kind = kind, .value = value};
}

size_t
table_rule_chain_rules(const struct table_rule_chain *chain,
    const struct table_settings *settings, struct table_rule *out_rules)
{
	bool deny = chain->action != ACTION_ALLOW;

	memset(out_rules, 0, sizeof(*out_rules) * TABLE_RULE_CHAIN_RULES);
	out_rules[0].comment = chain->comment;
	if (chain->limit.form != LIMIT_NONE)
		return table_limit_rules(chain, out_rules);
	rule_add(&out_rules[0], STMT_COUNTER, 0);
	if (chain->quiet) {
		rule_add(&out_rules[1], STMT_LIMIT, 0);
		out_rules[1].stmts[0].bucket = (struct table_bucket){
		    .rate = TABLE_QUIET_LOGS, .unit_s = 1, .burst = TABLE_QUIET_LOGS};
		rule_add(&out_rules[1], STMT_LOG, chain->number);
		rule_add(&out_rules[2], STMT_DROP, 0);
		return 3;
	}
	if (chain->mark != 0) {
		rule_add(&out_rules[0], STMT_MARK, chain->mark);
		if (chain->keeps)
			rule_add(&out_rules[0], STMT_CT_MARK, chain->mark);
		rule_add(&out_rules[0], STMT_PRIORITY_CONST, 0);
	}
	if (deny || chain->log)
		rule_add(&out_rules[0], STMT_LOG, chain->number);
	if (!deny) {
		rule_add(&out_rules[0], STMT_RETURN, 0);
		return 1;
	}
	if (chain->reset) {
		rule_add(&out_rules[0], STMT_L4PROTO, PROTO_TCP);
		rule_add(&out_rules[0], STMT_REJECT_RESET, 0);
		return 1;
	}
	if (!settings->reject) {
		rule_add(&out_rules[0], STMT_DROP, 0);
		return 1;
	}
	rule_add(&out_rules[1], STMT_L4PROTO, PROTO_TCP);
	rule_add(&out_rules[1], STMT_REJECT_RESET, 0);
	rule_add(&out_rules[2], STMT_REJECT_ADMIN, 0);
	return 3;
}

void
table_set_midstream(
    struct table_rule_chain *chains, size_t count, enum table_midstream what)
{
	for (size_t i = 0; i < count; i++) {
		if (chains[i].number != NUMBER_MIDSTREAM)
			continue;
		chains[i].action = what == MIDSTREAM_JUDGE ? ACTION_ALLOW : ACTION_DENY;
		chains[i].reset = what == MIDSTREAM_RESET;
	}
}

bool
table_rule_chain_equal(
    const struct table_rule_chain *a, const struct table_rule_chain *b)
{
	return a->action == b->action && a->log == b->log && a->reset == b->reset &&
	       a->quiet == b->quiet && a->mark == b->mark && a->keeps == b->keeps &&
	       table_limit_equal(&a->limit, &b->limit) &&
	       strcmp(a->comment, b->comment) == 0;
}
