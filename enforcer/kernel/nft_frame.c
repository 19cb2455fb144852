/*
 * What holds the rules: the table's flags, the chains' hooks and policies. A table that is
 * put to sleep keeps every rule and does nothing.
 */
#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <openssl/evp.h>

#include "enforcer/kernel/nft_socket.h"

/* The attributes that matter; others, such as use counts, change by themselves. */
static bool
matters(uint16_t message, uint16_t attr)
{
	if (message == NFT_MSG_NEWTABLE)
		return attr == NFTA_TABLE_NAME || attr == NFTA_TABLE_FLAGS;
	return attr == NFTA_CHAIN_NAME || attr == NFTA_CHAIN_HOOK ||
	       attr == NFTA_CHAIN_POLICY || attr == NFTA_CHAIN_TYPE ||
	       attr == NFTA_CHAIN_FLAGS;
}

struct frame_reader {
	EVP_MD_CTX *digest;
	size_t chains;
};

struct frame_message {
	uint16_t type;      /* NFT_MSG_NEW... */
	bool ours;          /* the chain's table is */
	EVP_MD_CTX *digest; /* NULL: only look whose it is */
	bool failed;
};

static int
frame_attr(const struct nlattr *attr, void *arg)
{
	struct frame_message *m = arg;
	uint16_t type = mnl_attr_get_type(attr);
	const uint16_t head[2] = {m->type, type};

	if (m->type == NFT_MSG_NEWCHAIN && type == NFTA_CHAIN_TABLE)
		m->ours = mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
			  strcmp(mnl_attr_get_str(attr), TABLE_NAME) == 0;
	if (m->digest == NULL || !matters(m->type, type))
		return MNL_CB_OK;
	if (EVP_DigestUpdate(m->digest, head, sizeof(head)) != 1 ||
	    EVP_DigestUpdate(m->digest, mnl_attr_get_payload(attr),
		mnl_attr_get_payload_len(attr)) != 1)
		m->failed = true;
	return MNL_CB_OK;
}

static int
frame_seen(const struct nlmsghdr *header, void *arg)
{
	struct frame_reader *r = arg;
	struct frame_message m = {
	    .type = (uint16_t)(header->nlmsg_type & 0xff), .ours = true};
	int rc = mnl_attr_parse(header, sizeof(struct nfgenmsg), frame_attr, &m);

	if (rc != MNL_CB_OK || !m.ours)
		return rc;
	r->chains += m.type == NFT_MSG_NEWCHAIN;
	m.digest = r->digest;
	rc = mnl_attr_parse(header, sizeof(struct nfgenmsg), frame_attr, &m);
	return m.failed ? MNL_CB_ERROR : rc;
}

/* ---- the frame ---- */

static int
flags_attr(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NFTA_TABLE_FLAGS &&
	    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		*(uint32_t *)arg = ntohl(mnl_attr_get_u32(attr));
	return MNL_CB_OK;
}

static int
flags_seen(const struct nlmsghdr *header, void *arg)
{
	return mnl_attr_parse(header, sizeof(struct nfgenmsg), flags_attr, arg);
}

int
nft_table_flags(struct nft *n, uint32_t *out_flags, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETTABLE, false);

	*out_flags = 0;
	mnl_attr_put_strz(request, NFTA_TABLE_NAME, TABLE_NAME);
	return nft_request(n, request, flags_seen, out_flags, err);
}

int
nft_digest_frame(struct nft *n, EVP_MD_CTX *digest, struct err *err)
{
	_Alignas(struct nlmsghdr) char data[512];
	struct nlmsghdr *request = nft_request_header(n, data, NFT_MSG_GETTABLE, false);
	struct frame_reader r = {.digest = digest};
	int rc;

	mnl_attr_put_strz(request, NFTA_TABLE_NAME, TABLE_NAME);
	rc = nft_request(n, request, frame_seen, &r, err);
	if (rc != 0)
		return rc;
	request = nft_request_header(n, data, NFT_MSG_GETCHAIN, true);
	rc = nft_request(n, request, frame_seen, &r, err);
	if (rc == 0 && r.chains == 0)
		rc = err_set(err, ERR_NOT_FOUND, "the table has no chains");
	return rc;
}
