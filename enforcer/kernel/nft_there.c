#include "enforcer/kernel/nft_there.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/sorted.h"

struct reader {
	struct nft_there *there;
	const struct table_settings *settings;
};

static void
add_name(struct nft_names *list, const char *name)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 16 : list->cap * 2;
		list->names =
		    xreallocarray(list->names, list->cap, sizeof(*list->names));
	}
	list->names[list->count++] = xstrdup(name);
}

static void
free_names(struct nft_names *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
}

void
nft_there_free(struct nft_there *t)
{
	free_names(&t->other_sets);
	free_names(&t->other_chains);
	free(t->numbers);
	*t = (struct nft_there){.numbers = NULL};
}

/* ---- sets ---- */

struct set_message {
	const char *name;
	bool anonymous; /* it goes with its rule */
};

static int
set_attr(const struct nlattr *attr, void *arg)
{
	struct set_message *m = arg;

	if (mnl_attr_get_type(attr) == NFTA_SET_NAME &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		m->name = mnl_attr_get_str(attr);
	if (mnl_attr_get_type(attr) == NFTA_SET_FLAGS &&
	    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		m->anonymous = (ntohl(mnl_attr_get_u32(attr)) & NFT_SET_ANONYMOUS) != 0;
	return MNL_CB_OK;
}

static bool
note_ours(struct nft_there *there, const char *name)
{
	struct nft_copies copies = {{false}};
	char copy[NFT_SET_NAME_BYTES];

	for (int set = 0; set < SET_COUNT; set++) {
		for (int second = 0; second < 2; second++) {
			copies.second[set] = second == 1;
			if (strcmp(name, nft_set_name(&copies, (enum table_set_id)set,
					     copy)) != 0)
				continue;
			there->sets[set][second] = true;
			return true;
		}
	}
	return false;
}

static int
set_seen(const struct nlmsghdr *header, void *arg)
{
	struct reader *r = arg;
	struct set_message m = {.name = NULL};

	if (mnl_attr_parse(header, sizeof(struct nfgenmsg), set_attr, &m) < 0)
		return MNL_CB_ERROR;
	if (m.name != NULL && !m.anonymous && !note_ours(r->there, m.name))
		add_name(&r->there->other_sets, m.name);
	return MNL_CB_OK;
}

static int
find_sets(struct nft *n, struct reader *r, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETSET, true);

	mnl_attr_put_strz(request, NFTA_SET_TABLE, TABLE_NAME);
	return nft_request(n, request, set_seen, r, err);
}

int
nft_find_copies(struct nft *n, struct err *err)
{
	struct nft_there there = {.numbers = NULL};
	struct reader r = {.there = &there};
	int rc = find_sets(n, &r, err);

	n->copies_known = false;
	for (size_t set = 0; set < SET_COUNT && rc == 0; set++) {
		if (there.sets[set][0] == there.sets[set][1])
			rc = err_set(err, ERR_STALE, "%s is %s", table_sets[set].name,
			    there.sets[set][0] ? "there twice" : "not there");
		n->copies.second[set] = there.sets[set][1];
	}
	n->copies_known = rc == 0;
	nft_there_free(&there);
	return rc;
}

/* ---- chains ---- */

struct chain_names {
	const char *table, *chain;
};

static int
chain_attr(const struct nlattr *attr, void *arg)
{
	struct chain_names *names = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if ((type == NFTA_CHAIN_TABLE || type == NFTA_CHAIN_NAME) &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*(type == NFTA_CHAIN_TABLE ? &names->table : &names->chain) =
		    mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static bool
is_constant(const char *name, const struct table_settings *settings)
{
	const struct table_chain *chain = table_chain_find(name);

	return chain != NULL && table_chain_is_on(chain, settings);
}

static int
chain_seen(const struct nlmsghdr *header, void *arg)
{
	struct reader *r = arg;
	struct nft_there *t = r->there;
	struct chain_names names = {NULL, NULL};
	uint32_t number;

	if (mnl_attr_parse(header, sizeof(struct nfgenmsg), chain_attr, &names) < 0 ||
	    names.table == NULL || names.chain == NULL ||
	    strcmp(names.table, TABLE_NAME) != 0)
		return MNL_CB_OK;
	if (!nft_chain_number(names.chain, &number)) {
		if (!is_constant(names.chain, r->settings))
			add_name(&t->other_chains, names.chain);
		return MNL_CB_OK;
	}
	if (t->count == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->numbers = xreallocarray(t->numbers, t->cap, sizeof(*t->numbers));
	}
	t->numbers[t->count++] = number;
	return MNL_CB_OK;
}

static int
find_chains(struct nft *n, struct reader *r, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETCHAIN, true);
	struct nft_there *t = r->there;
	int rc = nft_request(n, request, chain_seen, r, err);

	if (rc == 0 && t->count != 0)
		qsort(t->numbers, t->count, sizeof(*t->numbers), u32_cmp);
	return rc;
}

bool
nft_there_has(const struct nft_there *t, uint32_t number)
{
	return u32_find(number, t->numbers, t->count, sizeof(*t->numbers)) != NULL;
}

int
nft_there_find(struct nft *n, const struct table_settings *settings,
    struct nft_there *out, struct err *err)
{
	struct reader r = {out, settings};
	uint32_t flags;
	int rc;

	*out = (struct nft_there){.numbers = NULL};
	rc = nft_table_flags(n, &flags, err);
	if (rc == 0)
		rc = find_sets(n, &r, err);
	if (rc == 0)
		rc = find_chains(n, &r, err);
	return rc;
}

/* ---- what a swap left behind ---- */

static int
drop_copy(struct nft *n, struct nft_there *t, enum table_set_id set, bool second,
    struct nft_refusal *out_refusal, struct err *err)
{
	const struct table_settings none = {0};
	struct nft_copies copies = {{false}};
	struct nft_build build;
	uint32_t now;
	int rc;

	copies.second[set] = second;
	nft_begin(n, &build, none, &copies, 0);
	nft_build_set(&build, set, false);
	rc = nft_commit(n, &build, 0, &now, out_refusal, err);
	if (rc == 0)
		t->sets[set][second] = false;
	return rc;
}

int
nft_there_drop_spare(struct nft *n, struct nft_there *t, struct err *err)
{
	struct nft_refusal refusal;
	int rc = 0;

	for (int i = 0; i < SET_COUNT && rc == 0; i++) {
		enum table_set_id set = (enum table_set_id)i;

		if (!t->sets[set][0] || !t->sets[set][1])
			continue;
		rc = drop_copy(n, t, set, false, &refusal, err);
		if (rc != 0 && refusal.sys == EBUSY) /* the rules' */
			rc = drop_copy(n, t, set, true, &refusal, err);
	}
	return rc;
}
