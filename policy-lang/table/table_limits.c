/*
 * The chains of limits, rule by rule (see struct table_limit).
 */
#include <string.h>

#include "policy-lang/table/table.h"

bool
table_set_is_kernels(enum table_set_id set)
{
	return table_sets[set].room != 0;
}

static enum table_set_id
kind_set(enum table_set_id first, enum net_limit kind, enum ip_family family)
{
	return (enum table_set_id)(
	    (unsigned)first + 2 * (unsigned)kind + (family == IP_V6));
}

static enum table_set_id
table_own_set(enum net_limit kind, enum ip_family family)
{
	return kind_set(SET_OWN4_RATE, kind, family);
}

enum table_set_id
table_limit_set(enum net_limit kind, enum ip_family family)
{
	return kind_set(SET_LIMIT4_RATE, kind, family);
}

bool
table_limit_is_whole(const struct table_rule_chain *chain)
{
	return chain->action == ACTION_DENY || chain->limit.whole;
}

static bool
bucket_equal(const struct table_bucket *a, const struct table_bucket *b)
{
	return a->rate == b->rate && a->unit_s == b->unit_s && a->burst == b->burst &&
	       a->bytes == b->bytes;
}

bool
table_limit_equal(const struct table_limit *a, const struct table_limit *b)
{
	return a->form == b->form && a->kind == b->kind && a->nothing == b->nothing &&
	       bucket_equal(&a->bucket, &b->bucket) && a->count == b->count &&
	       a->deny == b->deny && a->first == b->first && a->next == b->next;
}

static struct table_stmt *
add(struct table_rule *rule, enum table_stmt_kind kind, uint32_t value)
{
	struct table_stmt *stmt = &rule->stmts[rule->count++];

	*stmt = (struct table_stmt){.kind = kind, .value = value};
	return stmt;
}

/* What is not over the limit is counted, and goes on. */
static size_t
shared_rules(const struct table_limit *l, struct table_rule *out)
{
	struct table_stmt *over;

	if (l->nothing) {
		add(&out[0], STMT_COUNTER, 0);
		add(&out[0], STMT_GOTO_NUMBER, l->deny);
		return 1;
	}
	if (l->kind == NETLIM_COUNT) {
		over = add(&out[0], STMT_CT_COUNT, l->count);
	} else {
		over = add(&out[0], STMT_LIMIT, 0);
		over->bucket = l->bucket;
	}
	over->invert = true;
	add(&out[0], STMT_GOTO_NUMBER, l->deny);
	add(&out[1], STMT_COUNTER, 0);
	if (l->next != NUMBER_NONE)
		add(&out[1], STMT_GOTO_NUMBER, l->next);
	return 2;
}

static size_t
own_rules(const struct table_limit *l, struct table_rule *out)
{
	static const enum ip_family families[] = {IP_V4, IP_V6};

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct table_stmt *own;

		add(&out[i], STMT_FAMILY, families[i] == IP_V4 ? 4 : 6);
		own = add(&out[i], STMT_OWN, l->count);
		own->bucket = l->bucket;
		own->set = table_own_set(l->kind, families[i]);
		own->load[0] = l->kind == NETLIM_IN ? LOAD_DADDR : LOAD_SADDR;
		add(&out[i], STMT_GOTO_NUMBER, l->next);
	}
	add(&out[2], STMT_COUNTER, 0);
	add(&out[2], STMT_JUMP_NUMBER, l->first);
	add(&out[3], STMT_GOTO_NUMBER, l->next);
	return 4;
}

size_t
table_limit_rules(const struct table_rule_chain *chain, struct table_rule *out_rules)
{
	return chain->limit.form == LIMIT_OWN ? own_rules(&chain->limit, out_rules)
					      : shared_rules(&chain->limit, out_rules);
}
