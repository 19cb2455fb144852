/*
 * Reading back: generation, counters, elements, rules. Whatever is not of a form that we
 * write makes the digest differ; nothing foreign is interpreted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <openssl/evp.h>

#include "common/sorted.h"
#include "enforcer/kernel/netlink.h"
#include "enforcer/kernel/nft_build.h"
#include "enforcer/kernel/nft_elem.h"
#include "enforcer/kernel/nft_socket.h"

struct nlmsghdr *
nft_request_header(struct nft *n, void *data, uint16_t type, bool dump)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	struct nfgenmsg *nfg;

	header->nlmsg_type = (uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | type);
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0));
	header->nlmsg_seq = n->seq++;
	nfg = mnl_nlmsg_put_extra_header(header, sizeof(*nfg));
	nfg->nfgen_family = NFPROTO_INET;
	nfg->version = NFNETLINK_V0;
	return header;
}

/* Whatever an earlier request left behind must not be taken for an answer to this one. */
static void
drain(struct nft *n)
{
	char data[64];

	while (recv(n->fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC) >= 0 ||
	       errno == ENOBUFS)
		continue;
}

static int
run_error(struct err *err)
{
	switch (errno) {
	case ENOENT:
		return err_set(err, ERR_NOT_FOUND, "no table " TABLE_NAME);
	case EINTR: /* NLM_F_DUMP_INTR */
		return err_set(err, ERR_STALE, "the ruleset changed while it was read");
	case EPERM:
		return nft_err_unprivileged(err);
	default:
		return err_sys(err, "read nf_tables");
	}
}

int
nft_request(struct nft *n, struct nlmsghdr *request,
    int (*each)(const struct nlmsghdr *header, void *arg), void *arg, struct err *err)
{
	const size_t size = 256 * 1024;
	char *data = xmalloc(size);
	int rc = 0, run = MNL_CB_OK;

	drain(n);
	if (send(n->fd, request, request->nlmsg_len, 0) < 0) {
		rc = err_sys(err, "ask nf_tables");
		goto out;
	}
	while (run > MNL_CB_STOP) {
		ssize_t len = recv(n->fd, data, size, 0);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0) {
			rc = errno == ENOBUFS ? err_set(err, ERR_STALE,
						    "the answer overran the socket")
					      : err_sys(err, "read nf_tables");
			goto out;
		}
		if (!netlink_lengths_hold(data, (size_t)len)) {
			rc = err_set(err, ERR_PROTOCOL, "a message without an end");
			goto out;
		}
		run = mnl_cb_run(data, (size_t)len, request->nlmsg_seq, 0, each, arg);
		/* A single object comes without an end. */
		if (run == MNL_CB_OK && (request->nlmsg_flags & NLM_F_DUMP) == 0)
			break;
	}
	if (run < 0)
		rc = run_error(err);
out:
	free(data);
	return rc;
}

/* ---- generation ---- */

static int
generation_attr(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NFTA_GEN_ID &&
	    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		*(uint32_t *)arg = ntohl(mnl_attr_get_u32(attr));
	return MNL_CB_OK;
}

static int
generation_message(const struct nlmsghdr *header, void *arg)
{
	return mnl_attr_parse(header, sizeof(struct nfgenmsg), generation_attr, arg);
}

int
nft_generation(struct nft *n, uint32_t *out_generation, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[256];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETGEN, false);
	int rc;

	*out_generation = 0;
	rc = nft_request(n, request, generation_message, out_generation, err);
	if (rc == 0 && *out_generation == 0)
		rc =
		    err_set(err, ERR_PROTOCOL, "the kernel told no ruleset generation");
	return rc;
}

/* ---- rules: counters and digest ---- */

/* Twice what a rule of ours may have: it is written as it was read, or nearly so. */
#define RULE_BYTES 16384

struct rules_reader {
	struct nft_counter *counters;
	size_t count, cap;
	EVP_MD_CTX *digest; /* NULL: not wanted */
};

static void
digest_bytes(EVP_MD_CTX *digest, const void *data, size_t len)
{
	if (EVP_DigestUpdate(digest, data, len) != 1)
		base_die("no SHA-256");
}

bool
nft_chain_number(const char *chain, uint32_t *out_number)
{
	uint64_t number;

	if (chain == NULL || strncmp(chain, "rule_", 5) != 0 ||
	    !str_to_u64(str_from(chain + 5), UINT32_MAX, &number))
		return false;
	*out_number = (uint32_t)number;
	return true;
}

/* The first counter of the chain's first rule is the chain's. */
static void
note_counter(struct rules_reader *r, const char *chain, struct nftnl_rule *rule)
{
	struct nftnl_expr_iter *iter;
	struct nftnl_expr *e;
	uint32_t number;

	if (!nft_chain_number(chain, &number) ||
	    (r->count != 0 && r->counters[r->count - 1].number == number))
		return;
	iter = nftnl_expr_iter_create(rule);
	if (iter == NULL)
		base_die("out of memory");
	while ((e = nftnl_expr_iter_next(iter)) != NULL) {
		if (strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "counter") != 0)
			continue;
		if (r->count == r->cap) {
			r->cap = r->cap == 0 ? 64 : r->cap * 2;
			r->counters =
			    xreallocarray(r->counters, r->cap, sizeof(*r->counters));
		}
		r->counters[r->count++] = (struct nft_counter){.number = number,
		    .packets = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_PACKETS),
		    .bytes = nftnl_expr_get_u64(e, NFTNL_EXPR_CTR_BYTES)};
		break;
	}
	nftnl_expr_iter_destroy(iter);
}

/* Which copy of a set a rule refers to is no difference: the name is cut in place, because
 * libnftnl 1.2.4 leaks the former one when another is set. */
static void
name_first_copy(struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET);
	size_t len = strlen(name), suffix = strlen(NFT_COPY_SUFFIX);

	if (len > suffix && strcmp(name + len - suffix, NFT_COPY_SUFFIX) == 0)
		((char *)(uintptr_t)name)[len - suffix] = '\0';
}

/* The digest is over a rule as a message of our own making, its counters at zero and
 * without handle or position, so that only what it does counts. */
static void
digest_rule(struct rules_reader *r, struct nftnl_rule *rule)
{
	/* Zeroed: libmnl 1.0.4 leaves the padding of attributes as it is. */
	_Alignas(struct nlmsghdr) char data[RULE_BYTES] = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(data);
	struct nftnl_expr_iter *iter = nftnl_expr_iter_create(rule);
	struct nftnl_expr *e;

	if (iter == NULL)
		base_die("out of memory");
	while ((e = nftnl_expr_iter_next(iter)) != NULL) {
		if (strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "counter") == 0) {
			nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_PACKETS, 0);
			nftnl_expr_set_u64(e, NFTNL_EXPR_CTR_BYTES, 0);
		}
		if (strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_NAME), "lookup") == 0)
			name_first_copy(e);
	}
	nftnl_expr_iter_destroy(iter);
	nftnl_rule_unset(rule, NFTNL_RULE_HANDLE);
	nftnl_rule_unset(rule, NFTNL_RULE_POSITION);
	nftnl_rule_nlmsg_build_payload(header, rule);
	digest_bytes(r->digest, data, header->nlmsg_len);
}

/* Others may put in a rule that is longer than any of ours, or has what libnftnl does not know:
 * then it is none of ours, whatever it says, and the digest is another. */
static int
rule_seen(const struct nlmsghdr *header, void *arg)
{
	struct rules_reader *r = arg;
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (rule == NULL)
		base_die("out of memory");
	if (header->nlmsg_len <= RULE_BYTES / 2 &&
	    nftnl_rule_nlmsg_parse(header, rule) == 0) {
		note_counter(r, nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN), rule);
		if (r->digest != NULL)
			digest_rule(r, rule);
	} else if (r->digest != NULL) {
		digest_bytes(r->digest, mnl_nlmsg_get_payload(header),
		    mnl_nlmsg_get_payload_len(header));
	}
	nftnl_rule_free(rule);
	return MNL_CB_OK;
}

int
nft_each_rule(struct nft *n, int (*each)(const struct nlmsghdr *header, void *arg),
    void *arg, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETRULE, true);

	mnl_attr_put_strz(request, NFTA_RULE_TABLE, TABLE_NAME);
	return nft_request(n, request, each, arg, err);
}

const struct nft_counter *
nft_counter_of(const struct nft_counter *counters, size_t count, uint32_t number)
{
	return u32_find(number, counters, count, sizeof(*counters));
}

int
nft_counters(struct nft *n, struct nft_counter **out_counters, size_t *out_count,
    struct err *err)
{
	struct rules_reader r = {.counters = NULL};
	int rc = nft_each_rule(n, rule_seen, &r, err);

	if (rc != 0) {
		free(r.counters);
		r.counters = NULL;
		r.count = 0;
	}
	if (r.count != 0)
		qsort(r.counters, r.count, sizeof(*r.counters), u32_cmp);
	*out_counters = r.counters;
	*out_count = r.count;
	return rc;
}

/* ---- elements ---- */

struct elements_reader {
	enum table_set_id set;
	struct table_element *elements;
	size_t count, cap;
	uint8_t (*ends)[16]; /* single-field intervals: first address behind one */
	size_t end_count, end_cap;
	bool foreign;
};

static int
element_seen(const struct nlattr *attr, void *arg)
{
	struct elements_reader *r = arg;
	struct table_element e;

	switch (nft_elem_read(attr, r->set, &e)) {
	case NFT_ELEM_WHOLE:
		if (r->count == r->cap) {
			r->cap = r->cap == 0 ? 64 : r->cap * 2;
			r->elements =
			    xreallocarray(r->elements, r->cap, sizeof(*r->elements));
		}
		r->elements[r->count++] = e;
		break;
	case NFT_ELEM_END:
		if (r->end_count == r->end_cap) {
			r->end_cap = r->end_cap == 0 ? 64 : r->end_cap * 2;
			r->ends = xreallocarray(r->ends, r->end_cap, sizeof(*r->ends));
		}
		memcpy(r->ends[r->end_count++], e.addr, 16);
		break;
	case NFT_ELEM_FOREIGN:
		r->foreign = true;
		break;
	}
	return MNL_CB_OK;
}

static int
list_attr(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_ELEMENTS)
		return mnl_attr_parse_nested(attr, element_seen, arg);
	return MNL_CB_OK;
}

static int
elements_message(const struct nlmsghdr *header, void *arg)
{
	return mnl_attr_parse(header, sizeof(struct nfgenmsg), list_attr, arg);
}

static int
compare_elements(const void *a, const void *b)
{
	return table_element_cmp(a, b);
}

static int
compare_ends(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/* Joins beginnings with ends: both sorted, each range ends at the first end behind its
 * beginning, or at the last address. */
static void
join_ranges(struct elements_reader *r)
{
	const size_t len = table_key_bytes(r->set);
	size_t at = 0;

	if (r->end_count != 0)
		qsort(r->ends, r->end_count, sizeof(*r->ends), compare_ends);
	for (size_t i = 0; i < r->count; i++) {
		struct table_element *e = &r->elements[i];

		while (at < r->end_count && memcmp(r->ends[at], e->addr, 16) <= 0)
			at++;
		memset(e->addr_end, 0, sizeof(e->addr_end));
		if (at == r->end_count) {
			memset(e->addr_end, 0xff, len);
			continue;
		}
		memcpy(e->addr_end, r->ends[at], len);
		for (size_t b = len; b > 0 && e->addr_end[b - 1]-- == 0; b--)
			continue; /* minus one, borrowing */
	}
}

static int
read_elements(struct nft *n, struct arena *arena, enum table_set_id set,
    struct nft_observed *out, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request =
	    nft_request_header(n, data, NFT_MSG_GETSETELEM, true);
	struct elements_reader r = {.set = set};
	char name[NFT_SET_NAME_BYTES];
	int rc;

	mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
	mnl_attr_put_strz(
	    request, NFTA_SET_ELEM_LIST_SET, nft_set_name(&n->copies, set, name));
	rc = nft_request(n, request, elements_message, &r, err);
	if (rc == 0 && r.foreign)
		rc = err_set(err, ERR_STALE, "%s has an element that is not ours",
		    table_sets[set].name);
	if (rc == 0) {
		if (r.count != 0)
			qsort(
			    r.elements, r.count, sizeof(*r.elements), compare_elements);
		if (table_set_ranges(&table_sets[set]))
			join_ranges(&r);
		out->elements[set] = ARENA_ARRAY(arena, r.count, struct table_element);
		out->element_count[set] = r.count;
		if (r.count != 0)
			memcpy(out->elements[set], r.elements,
			    r.count * sizeof(*r.elements));
	}
	free(r.elements);
	free(r.ends);
	return rc;
}

/* What can be known of a table that is not as this version makes it: whom the node had. */
static void
read_own(struct nft *n, struct arena *arena, struct nft_observed *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned set = SET_OWN4; set <= SET_OWN6; set++) {
		struct err err = ERR_INIT;
		int rc = read_elements(n, arena, (enum table_set_id)set, out, &err);

		(void)rc; /* then it is as if it had nobody */
	}
}

static int
observe(struct nft *n, struct arena *arena, bool elements,
    struct nft_observed *out_observed, struct err *err)
{
	struct rules_reader r = {.digest = EVP_MD_CTX_new()};
	unsigned len = sizeof(out_observed->rules_digest);
	int rc = 0;

	memset(out_observed, 0, sizeof(*out_observed));
	if (r.digest == NULL || EVP_DigestInit_ex(r.digest, EVP_sha256(), NULL) != 1)
		base_die("no SHA-256");
	rc = nft_digest_frame(n, r.digest, err); /* first: is there a table at all? */
	if (rc == 0)
		rc = nft_find_copies(n, err);
	for (size_t i = 0; elements && i < SET_COUNT && rc == 0; i++) {
		if (!table_set_is_kernels((enum table_set_id)i))
			rc = read_elements(
			    n, arena, (enum table_set_id)i, out_observed, err);
	}
	if (rc == 0)
		rc = nft_each_rule(n, rule_seen, &r, err);
	if (rc == 0) {
		if (r.count != 0)
			qsort(r.counters, r.count, sizeof(*r.counters), u32_cmp);
		out_observed->rule_chains = ARENA_ARRAY(arena, r.count, uint32_t);
		out_observed->rule_chain_count = r.count;
		for (size_t i = 0; i < r.count; i++)
			out_observed->rule_chains[i] = r.counters[i].number;
		if (EVP_DigestFinal_ex(r.digest, out_observed->rules_digest, &len) != 1)
			base_die("no SHA-256");
	}
	if (rc == ERR_STALE && elements)
		read_own(n, arena, out_observed);
	EVP_MD_CTX_free(r.digest);
	free(r.counters);
	return rc;
}

int
nft_observe(struct nft *n, struct arena *arena, struct nft_observed *out_observed,
    struct err *err)
{
	return observe(n, arena, true, out_observed, err);
}

int
nft_observe_rules(struct nft *n, struct arena *arena, struct nft_observed *out_observed,
    struct err *err)
{
	return observe(n, arena, false, out_observed, err);
}
