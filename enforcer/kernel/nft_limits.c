/*
 * What was used of limits lies in the rules of their chains, and is lost with them: buckets
 * would be full again, and open connections not counted. So where a table is filled anew,
 * chains that would become what they are stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include "common/sorted.h"
#include "enforcer/kernel/nft_socket.h"

/* Rules of a chain, as text. */
struct chain_text {
	uint32_t number; /* the first: by it they are found */
	struct buf text;
};

struct reader {
	struct chain_text *chains; /* sorted by number */
	size_t count;
	bool failed;
};

static bool
holds_use(const struct op *op)
{
	return op->kind == OP_CHAIN_ADD && op->chain->limit.form == LIMIT_SHARED;
}

/* Each expression as libnftnl writes it, but for what counters have counted. */
static void
add_text(struct buf *out, struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct nftnl_expr *e;
	char text[1024];

	if (iter == NULL)
		base_die("out of memory");
	while ((e = nftnl_expr_iter_next(iter)) != NULL) {
		const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);

		buf_printf(out, "[%s ", name);
		if (strcmp(name, "counter") != 0 &&
		    nftnl_expr_snprintf(
			text, sizeof(text), e, NFTNL_OUTPUT_DEFAULT, 0) > 0)
			buf_add_cstr(out, text);
		buf_add_char(out, ']');
	}
	nftnl_expr_iter_destroy(iter);
	buf_add_char(out, '\n');
}

static struct chain_text *
find(const struct reader *r, uint32_t number)
{
	return u32_find(number, r->chains, r->count, sizeof(*r->chains));
}

static int
rule_seen(const struct nlmsghdr *header, void *arg)
{
	struct reader *r = arg;
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct chain_text *chain = NULL;
	uint32_t number;

	if (rule == NULL)
		base_die("out of memory");
	if (nftnl_rule_nlmsg_parse(header, rule) != 0)
		r->failed = true;
	else if (nft_chain_number(nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN), &number))
		chain = find(r, number);
	if (chain != NULL)
		add_text(&chain->text, rule);
	nftnl_rule_free(rule);
	return MNL_CB_OK;
}

/* As it would be made. */
static void
wanted_text(struct buf *out, const struct table_rule_chain *chain,
    const struct op_batch *batch, unsigned lacks)
{
	const struct nft_build plain = {.settings = batch->settings};
	struct table_rule rules[TABLE_RULE_CHAIN_RULES];
	size_t count = table_rule_chain_rules(chain, &batch->settings, rules);

	for (size_t i = 0; i < count; i++) {
		struct nftnl_rule *rule;

		if (!nft_rule_is_known(&rules[i], lacks))
			continue;
		rule = nftnl_rule_alloc();
		if (rule == NULL)
			base_die("out of memory");
		nft_rule_exprs(rule, &rules[i], &plain, NULL);
		add_text(out, rule);
		nftnl_rule_free(rule);
	}
}

static void
compare(struct reader *r, const struct op_batch *batch, unsigned lacks,
    struct nft_kept *out)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct chain_text *there;
		struct buf wanted = {0};

		if (!holds_use(&batch->ops[i]))
			continue;
		there = find(r, batch->ops[i].chain->number);
		wanted_text(&wanted, batch->ops[i].chain, batch, lacks);
		if (there != NULL && str_eq(buf_str(&there->text), buf_str(&wanted)))
			out->numbers[out->count++] = there->number;
		buf_free(&wanted);
	}
}

int
nft_find_kept(
    struct nft *n, const struct op_batch *batch, struct nft_kept *out, struct err *err)
{
	struct reader r = {.failed = false};
	int rc;

	*out = (struct nft_kept){.numbers = NULL};
	for (size_t i = 0; i < batch->count; i++)
		r.count += holds_use(&batch->ops[i]);
	if (r.count == 0)
		return 0;
	r.chains = xcalloc(r.count, sizeof(*r.chains));
	out->numbers = xcalloc(r.count, sizeof(*out->numbers));
	r.count = 0;
	for (size_t i = 0; i < batch->count; i++) {
		if (holds_use(&batch->ops[i]))
			r.chains[r.count++].number = batch->ops[i].chain->number;
	}
	rc = nft_each_rule(n, rule_seen, &r, err);
	if (rc == 0 && !r.failed)
		compare(&r, batch, n->lacks, out);
	for (size_t i = 0; i < r.count; i++)
		buf_free(&r.chains[i].text);
	free(r.chains);
	return rc;
}
