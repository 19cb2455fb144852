/*
 * Elements <-> attributes. Interval sets of one field hold a beginning and, flagged, the
 * first key behind the end; those of several fields hold both ends in one element.
 */
#include "enforcer/kernel/nft_elem.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "enforcer/kernel/nft_socket.h"

/* An element's attributes at most: two keys, a verdict with its chain, flags, nests. */
#define ELEMENT_MAX_BYTES 160u
/* An nlattr's length has 16 bits: a longer list would be cut without an error. */
#define LIST_MAX_BYTES (NFT_MESSAGE_BYTES - 512u - ELEMENT_MAX_BYTES * 2)

static bool
is_concat(enum table_set_id set)
{
	return table_key_fields(&table_sets[set]) > 1;
}

static void
put_value(struct nlmsghdr *header, uint16_t type, const uint8_t *value, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(header, type);

	mnl_attr_put(header, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(header, nest);
}

static void
put_data(struct nlmsghdr *header, enum table_set_id set, const struct table_element *e)
{
	struct nlattr *data, *verdict;
	char chain[NFT_CHAIN_NAME_BYTES];

	if (table_sets[set].value == FIELD_NONE)
		return;
	if (table_sets[set].value != FIELD_VERDICT) {
		uint8_t value[TABLE_VALUE_BYTES_MAX];

		table_element_value(set, e, value);
		put_value(header, NFTA_SET_ELEM_DATA, value, table_value_bytes(set));
		return;
	}
	data = mnl_attr_nest_start(header, NFTA_SET_ELEM_DATA);
	verdict = mnl_attr_nest_start(header, NFTA_DATA_VERDICT);
	mnl_attr_put_u32(header, NFTA_VERDICT_CODE, htonl((uint32_t)NFT_GOTO));
	mnl_attr_put_strz(header, NFTA_VERDICT_CHAIN, nft_chain_name(e->value, chain));
	mnl_attr_nest_end(header, verdict);
	mnl_attr_nest_end(header, data);
}

/* The key after the last of a range; false if there is none. */
static bool
after(uint8_t *key, size_t len)
{
	for (size_t i = len; i > 0; i--) {
		if (++key[i - 1] != 0)
			return true;
	}
	return false;
}

static void
put_element(struct nlmsghdr *header, enum table_set_id set,
    const struct table_element *e, bool with_data)
{
	const bool interval = table_sets[set].interval;
	const size_t len = table_key_bytes(set);
	uint8_t key[TABLE_KEY_BYTES_MAX], end[TABLE_KEY_BYTES_MAX];
	struct nlattr *nest;

	table_element_key(set, e, key, interval ? end : NULL);
	nest = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
	put_value(header, NFTA_SET_ELEM_KEY, key, len);
	if (interval && is_concat(set))
		put_value(header, NFTA_SET_ELEM_KEY_END, end, len);
	if (with_data)
		put_data(header, set, e);
	mnl_attr_nest_end(header, nest);
	if (!interval || is_concat(set) || !after(end, len))
		return;
	nest = mnl_attr_nest_start(header, NFTA_LIST_ELEM);
	mnl_attr_put_u32(header, NFTA_SET_ELEM_FLAGS, htonl(NFT_SET_ELEM_INTERVAL_END));
	put_value(header, NFTA_SET_ELEM_KEY, end, len);
	mnl_attr_nest_end(header, nest);
}

/* Where an element's list entry has its key, and behind that its value. */
#define HEAD_BYTES sizeof(struct nlattr)
#define KEY_AT     (3 * HEAD_BYTES)

/* Its key is an address and nothing else: so are most of all elements. */
static bool
is_address(enum table_set_id set)
{
	enum table_field field = table_sets[set].key[0];

	return (field == FIELD_IPV4 || field == FIELD_IPV6) && !is_concat(set);
}

/* Elements of a set whose entries are all of one length: the first, which has been put, is
 * copied, and another key and value put into the copy. Returns how many fit the list. */
static size_t
put_alike(struct nlmsghdr *header, enum table_set_id set, uint32_t first_at,
    const struct table_element *elements, size_t count, bool with_data)
{
	const size_t len = table_key_bytes(set);
	const bool address = is_address(set);
	const uint32_t size = header->nlmsg_len - first_at;
	const uint8_t *first = (const uint8_t *)header + first_at;
	size_t done = 0;

	for (; done < count && header->nlmsg_len < LIST_MAX_BYTES; done++) {
		uint8_t *to = (uint8_t *)header + header->nlmsg_len;

		memcpy(to, first, size);
		if (address)
			memcpy(to + KEY_AT, elements[done].addr, len);
		else
			table_element_key(set, &elements[done], to + KEY_AT, NULL);
		if (with_data)
			memcpy(to + KEY_AT + (len + 3) / 4 * 4 + 2 * HEAD_BYTES,
			    &elements[done].value, sizeof(elements[done].value));
		header->nlmsg_len += size;
	}
	return done;
}

static bool
are_alike(enum table_set_id set)
{
	enum table_field value = table_sets[set].value;

	return !table_sets[set].interval && value != FIELD_VERDICT &&
	       !table_value_is_address(value);
}

void
nft_build_elements(struct nft_build *b, bool add, enum table_set_id set,
    const struct table_element *elements, size_t count)
{
	const size_t start = b->now.element;
	char name[NFT_SET_NAME_BYTES];

	for (size_t i = 0; i < count;) {
		struct nlmsghdr *header;
		struct nlattr *list;

		b->now.element = (uint32_t)(start + i);
		header =
		    nft_build_begin(b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
			add ? NLM_F_CREATE | NLM_F_EXCL : 0);
		mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
		mnl_attr_put_strz(header, NFTA_SET_ELEM_LIST_SET,
		    nft_set_name(&b->copies, set, name));
		mnl_attr_put_u32(
		    header, NFTA_SET_ELEM_LIST_SET_ID, htonl((uint32_t)set + 1));
		list = mnl_attr_nest_start(header, NFTA_SET_ELEM_LIST_ELEMENTS);
		while (i < count && header->nlmsg_len < LIST_MAX_BYTES) {
			uint32_t at = header->nlmsg_len;

			put_element(header, set, &elements[i++], add);
			if (are_alike(set))
				i += put_alike(header, set, at, elements + i, count - i,
				    add && table_sets[set].value != FIELD_NONE);
		}
		mnl_attr_nest_end(header, list);
		nft_build_end(b, header);
	}
	b->now.element = (uint32_t)start;
}

/* ---- reading ---- */

struct element_attrs {
	const struct nlattr *attrs[NFTA_SET_ELEM_MAX + 1];
};

static int
collect(const struct nlattr *attr, void *data)
{
	struct element_attrs *out = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= NFTA_SET_ELEM_MAX)
		out->attrs[type] = attr;
	return MNL_CB_OK;
}

static int
find_value(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NFTA_DATA_VALUE)
		*(const struct nlattr **)data = attr;
	return MNL_CB_OK;
}

/* The bytes of a nested NFTA_DATA_VALUE of exactly `len`; NULL if it is something else. */
static const uint8_t *
value_of(const struct nlattr *nest, size_t len)
{
	const struct nlattr *value = NULL;

	if (nest == NULL || mnl_attr_parse_nested(nest, find_value, &value) < 0 ||
	    value == NULL || mnl_attr_get_payload_len(value) != len)
		return NULL;
	return mnl_attr_get_payload(value);
}

/* NFTA_VERDICT_CHAIN and NFTA_DATA_VERDICT have the same number: which one an attribute is
 * depends on how deep it stands. */
static int
find_verdict(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NFTA_DATA_VERDICT)
		*(const struct nlattr **)data = attr;
	return MNL_CB_OK;
}

static int
find_chain_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NFTA_VERDICT_CHAIN &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*(const char **)data = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static bool
read_data(enum table_set_id set, const struct nlattr *data, struct table_element *out)
{
	const struct nlattr *verdict = NULL;
	const uint8_t *value;
	const char *chain = NULL;

	if (table_sets[set].value == FIELD_NONE)
		return true;
	if (data == NULL)
		return false;
	if (table_sets[set].value != FIELD_VERDICT) {
		value = value_of(data, table_value_bytes(set));
		if (value != NULL)
			table_element_set_value(set, value, out);
		return value != NULL;
	}
	return mnl_attr_parse_nested(data, find_verdict, &verdict) >= 0 &&
	       verdict != NULL &&
	       mnl_attr_parse_nested(verdict, find_chain_attr, &chain) >= 0 &&
	       nft_chain_number(chain, &out->value);
}

/* The inverse of table_element_key. */
static void
read_key(enum table_set_id set, const uint8_t *key, const uint8_t *end,
    struct table_element *out)
{
	const struct table_set *s = &table_sets[set];
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->key) && s->key[i] != FIELD_NONE; i++) {
		switch (s->key[i]) {
		case FIELD_CLASSID:
			memcpy(&out->class_id, key + at, 4);
			if (table_set_swaps(set))
				out->class_id = ntohl(out->class_id);
			at += 4;
			break;
		case FIELD_IFNAME:
		case FIELD_IPV4:
		case FIELD_IPV6: {
			size_t len = s->key[i] == FIELD_IPV4 ? 4 : 16;

			memcpy(out->addr, key + at, len);
			if (s->interval && !is_concat(set))
				memcpy(out->addr_end, end + at, len);
			at += len;
			break;
		}
		case FIELD_NFPROTO:
		case FIELD_PROTO:
			out->proto = key[at];
			at += 4;
			break;
		case FIELD_SERVICE:
			out->port_lo = (uint16_t)(key[at] << 8 | key[at + 1]);
			if (s->interval)
				out->port_hi = (uint16_t)(end[at] << 8 | end[at + 1]);
			at += 4;
			break;
		case FIELD_MARK:
			memcpy(out->addr, key + at, sizeof(uint32_t));
			at += 4;
			break;
		case FIELD_SLOT: {
			uint32_t slot;

			memcpy(&slot, key + at, sizeof(slot));
			out->port_lo = slot < s->slots ? (uint16_t)slot : UINT16_MAX;
			at += 4;
			break;
		}
		case FIELD_NONE:
		case FIELD_VERDICT:
		case FIELD_IPV4_PORT:
		case FIELD_IPV6_PORT:
			break;
		}
	}
}

struct before {
	const uint8_t *end;
	size_t count;
};

static int
first_type(const struct nlattr *attr, void *data)
{
	*(uint16_t *)data = mnl_attr_get_type(attr);
	return MNL_CB_STOP;
}

/* An interval may have a second entry, of its end. */
static int
count_before(const struct nlattr *attr, void *data)
{
	struct before *b = data;
	uint16_t first = NFTA_SET_ELEM_UNSPEC;

	if ((const uint8_t *)attr > b->end)
		return MNL_CB_STOP;
	if (mnl_attr_parse_nested(attr, first_type, &first) >= 0 &&
	    first != NFTA_SET_ELEM_FLAGS)
		b->count++;
	return MNL_CB_OK;
}

static int
find_list(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == NFTA_SET_ELEM_LIST_ELEMENTS)
		*(const struct nlattr **)data = attr;
	return MNL_CB_OK;
}

size_t
nft_elem_index(const struct nlmsghdr *message, size_t offset)
{
	struct before b = {(const uint8_t *)message + offset, 0};
	const struct nlattr *list = NULL;
	const uint16_t type = message->nlmsg_type & 0xff;

	if ((type != NFT_MSG_NEWSETELEM && type != NFT_MSG_DELSETELEM) ||
	    offset >= message->nlmsg_len ||
	    mnl_attr_parse(message, sizeof(struct nfgenmsg), find_list, &list) < 0 ||
	    list == NULL || mnl_attr_parse_nested(list, count_before, &b) < 0)
		return 0;
	return b.count > 0 ? b.count - 1 : 0;
}

enum nft_elem_kind
nft_elem_read(
    const struct nlattr *nest, enum table_set_id set, struct table_element *out)
{
	struct element_attrs a = {{NULL}};
	const size_t len = table_key_bytes(set);
	uint8_t own[TABLE_KEY_BYTES_MAX];
	const uint8_t *key, *end;
	uint32_t flags = 0;

	memset(out, 0, sizeof(*out));
	if (mnl_attr_parse_nested(nest, collect, &a) < 0)
		return NFT_ELEM_FOREIGN;
	key = value_of(a.attrs[NFTA_SET_ELEM_KEY], len);
	if (key == NULL)
		return NFT_ELEM_FOREIGN;
	end = value_of(a.attrs[NFTA_SET_ELEM_KEY_END], len);
	if (a.attrs[NFTA_SET_ELEM_FLAGS] != NULL &&
	    mnl_attr_validate(a.attrs[NFTA_SET_ELEM_FLAGS], MNL_TYPE_U32) >= 0)
		flags = ntohl(mnl_attr_get_u32(a.attrs[NFTA_SET_ELEM_FLAGS]));
	read_key(set, key, end != NULL ? end : key, out);
	/* An address twice is one field of ours; another pair would read like it. */
	table_element_key(set, out, own, NULL);
	if (!table_sets[set].interval && memcmp(own, key, len) != 0)
		return NFT_ELEM_FOREIGN;
	if ((flags & NFT_SET_ELEM_INTERVAL_END) != 0)
		return NFT_ELEM_END;
	return read_data(set, a.attrs[NFTA_SET_ELEM_DATA], out) ? NFT_ELEM_WHOLE
								: NFT_ELEM_FOREIGN;
}
