/*
 * Elements: their order, and the bytes of their keys and values as nf_tables wants them.
 */
#include "policy-lang/table/table.h"

#include <string.h>

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

int
table_element_cmp(const struct table_element *a, const struct table_element *b)
{
	int order = COMPARE(a->class_id, b->class_id);

	if (order == 0)
		order = memcmp(a->addr, b->addr, sizeof(a->addr));
	if (order == 0)
		order = COMPARE(a->proto, b->proto);
	if (order == 0)
		order = COMPARE(a->port_lo, b->port_lo);
	return order;
}

bool
table_element_equal(const struct table_element *a, const struct table_element *b)
{
	return table_element_cmp(a, b) == 0 && a->port_hi == b->port_hi &&
	       memcmp(a->addr_end, b->addr_end, sizeof(a->addr_end)) == 0 &&
	       a->value == b->value;
}

uint8_t
table_nfproto(enum ip_family family)
{
	return family == IP_V4 ? 2 : 10; /* AF_INET, AF_INET6 */
}

static size_t
field_bytes(enum table_field field)
{
	if (field == FIELD_NFPROTO)
		return 1; /* nothing is concatenated with it */
	return field == FIELD_IPV6 || field == FIELD_IFNAME ? 16 : 4;
}

size_t
table_key_fields(const struct table_set *set)
{
	size_t count = 0;

	while (count < TABLE_KEY_FIELDS && set->key[count] != FIELD_NONE)
		count++;
	return count;
}

size_t
table_key_bytes(enum table_set_id set)
{
	const struct table_set *s = &table_sets[set];
	size_t bytes = 0;

	for (size_t i = 0; i < table_key_fields(s); i++)
		bytes += field_bytes(s->key[i]);
	return bytes;
}

bool
table_set_swaps(enum table_set_id set)
{
	return table_sets[set].interval && table_key_fields(&table_sets[set]) > 1;
}

bool
table_set_ranges(const struct table_set *set)
{
	return set->interval && table_key_fields(set) == 1;
}

/* The kernel makes a third more buckets than there is room, and of those a power of two.
 * Maps of verdicts cannot be copied (nft_restore): what they refer to is not there yet. */
uint32_t
table_set_room(enum table_set_id set, size_t count)
{
	uint32_t room = 3 * 4096;

	if (table_sets[set].interval || table_sets[set].value == FIELD_VERDICT ||
	    count < TABLE_ROOM_FROM)
		return 0;
	while (room / 2 < count && room <= UINT32_MAX / 2)
		room *= 2;
	return room;
}

/* Writes a field of the key (`end`: of its last value) into zeroed bytes. */
static void
field_write(enum table_field field, const struct table_element *e, bool end, bool swaps,
    uint8_t *out)
{
	const uint32_t id = e->class_id;
	uint16_t port = end ? e->port_hi : e->port_lo;

	switch (field) {
	case FIELD_CLASSID:
		if (swaps) {
			for (unsigned i = 0; i < 4; i++)
				out[i] = (uint8_t)(id >> (24 - 8 * i));
		} else {
			memcpy(out, &id, sizeof(id));
		}
		break;
	case FIELD_IPV4:
	case FIELD_IPV6:
	case FIELD_IFNAME:
		memcpy(out, end ? e->addr_end : e->addr, field_bytes(field));
		break;
	case FIELD_MARK:
		memcpy(out, e->addr, sizeof(uint32_t));
		break;
	case FIELD_NFPROTO:
	case FIELD_PROTO:
		out[0] = e->proto;
		break;
	case FIELD_SERVICE:
		out[0] = (uint8_t)(port >> 8);
		out[1] = (uint8_t)port;
		break;
	case FIELD_SLOT: {
		const uint32_t slot = e->port_lo;

		memcpy(out, &slot, sizeof(slot));
		break;
	}
	case FIELD_NONE:
	case FIELD_VERDICT:
	case FIELD_IPV4_PORT:
	case FIELD_IPV6_PORT:
		break;
	}
}

void
table_element_key(enum table_set_id set, const struct table_element *e,
    uint8_t *out_key, uint8_t *out_key_end)
{
	const struct table_set *s = &table_sets[set];
	bool concatenated = table_set_swaps(set);
	const size_t fields = table_key_fields(s);
	struct table_element last;
	size_t offset = 0;

	memset(out_key, 0, table_key_bytes(set));
	for (size_t i = 0; i < fields; i++) {
		field_write(s->key[i], e, false, concatenated, out_key + offset);
		offset += field_bytes(s->key[i]);
	}
	if (out_key_end == NULL)
		return;
	last = *e;
	/* In a concatenated key only the port ranges. */
	if (concatenated)
		memcpy(last.addr_end, e->addr, sizeof(last.addr_end));
	memset(out_key_end, 0, offset);
	offset = 0;
	for (size_t i = 0; i < fields; i++) {
		field_write(s->key[i], &last, true, concatenated, out_key_end + offset);
		offset += field_bytes(s->key[i]);
	}
}

/* ---- values ---- */

bool
table_value_is_address(enum table_field value)
{
	return value == FIELD_IPV4 || value == FIELD_IPV6 || value == FIELD_IPV4_PORT ||
	       value == FIELD_IPV6_PORT;
}

enum ip_family
table_value_family(enum table_field value)
{
	return value == FIELD_IPV4 || value == FIELD_IPV4_PORT ? IP_V4 : IP_V6;
}

bool
table_value_has_port(enum table_field value)
{
	return value == FIELD_IPV4_PORT || value == FIELD_IPV6_PORT;
}

size_t
table_value_bytes(enum table_set_id set)
{
	enum table_field value = table_sets[set].value;

	if (value == FIELD_NONE || value == FIELD_VERDICT)
		return 0;
	if (!table_value_is_address(value))
		return 4;
	return ip_bytes(table_value_family(value)) +
	       (table_value_has_port(value) ? 4 : 0);
}

void
table_element_value(
    enum table_set_id set, const struct table_element *e, uint8_t *out_value)
{
	enum table_field value = table_sets[set].value;
	size_t len = ip_bytes(table_value_family(value));

	memset(out_value, 0, table_value_bytes(set));
	if (!table_value_is_address(value)) {
		memcpy(out_value, &e->value, sizeof(e->value));
		return;
	}
	memcpy(out_value, e->addr_end, len);
	if (table_value_has_port(value)) {
		out_value[len] = (uint8_t)(e->port_hi >> 8);
		out_value[len + 1] = (uint8_t)e->port_hi;
	}
}

void
table_element_set_value(
    enum table_set_id set, const uint8_t *value, struct table_element *out)
{
	enum table_field field = table_sets[set].value;
	size_t len = ip_bytes(table_value_family(field));

	if (!table_value_is_address(field)) {
		memcpy(&out->value, value, sizeof(out->value));
		return;
	}
	memcpy(out->addr_end, value, len);
	if (table_value_has_port(field))
		out->port_hi = (uint16_t)(value[len] << 8 | value[len + 1]);
}
