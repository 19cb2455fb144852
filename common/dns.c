/*
 * DNS answers. A name is read wherever it stands by following its pointers, which may only
 * lead back: so every name ends, however a message is made.
 */
#include "common/dns.h"

#include <string.h>

#define HEADER_BYTES DNS_HEADER_BYTES
#define LABEL_BYTES  63u
#define JUMPS_MAX    127u /* as many as a name can have labels */
#define CLASS_IN     1u
/* Shortest record: a name of one byte, type, class, TTL and length. */
#define RECORD_FIXED_BYTES 10u

/* Of the second 16 bits of a header. */
#define FLAG_RESPONSE  0x8000u
#define FLAG_OPCODE    0x7800u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RCODE     0x000fu
#define FLAG_DESIRED   0x0100u /* recursion is */
#define FLAG_AVAILABLE 0x0080u

/* RFC 9460 14.3.2 */
#define SVC_IPV4HINT 4u
#define SVC_IPV6HINT 6u
/* RFC 8482 4.2 */
#define TYPE_HINFO   13u
#define LITTLE_TTL_S 3600u
#define LITTLE_CPU   "\007RFC8482"

struct reader {
	const uint8_t *bytes;
	size_t size;
};

static uint16_t
u16_at(const struct reader *r, size_t at)
{
	return (uint16_t)(r->bytes[at] << 8 | r->bytes[at + 1]);
}

static uint32_t
u32_at(const struct reader *r, size_t at)
{
	return (uint32_t)u16_at(r, at) << 16 | u16_at(r, at + 2);
}

/* ---- names ---- */

struct name {
	char text[DNS_NAME_BYTES];
	size_t len;
	bool odd; /* not one that policy can write; the text says nothing */
};

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool
is_written(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void
add_label(struct name *name, const uint8_t *label, size_t len)
{
	if (name->len + len + 1 >= sizeof(name->text)) {
		name->odd = true;
		return;
	}
	if (name->len > 0)
		name->text[name->len++] = '.';
	for (size_t i = 0; i < len; i++) {
		const uint8_t c = lower(label[i]);

		name->odd = name->odd || !is_written(c);
		name->text[name->len++] = (char)c;
	}
}

/*
 * Reads the name at `at`; *out_end is one past its bytes there. False: it is malformed. A
 * pointer leads to before where the labels that it ends began, so each is followed once.
 */
static bool
read_name(const struct reader *r, size_t at, struct name *out, size_t *out_end)
{
	size_t begin = at, wire = 1;
	unsigned jumps = 0;

	*out = (struct name){0};
	while (at < r->size && r->bytes[at] != 0) {
		size_t len = r->bytes[at];

		if (len > LABEL_BYTES) {
			size_t target;

			if ((len & 0xc0) != 0xc0 || at + 1 >= r->size)
				return false;
			target = u16_at(r, at) & 0x3fffu;
			if (jumps == 0)
				*out_end = at + 2;
			if (target < HEADER_BYTES || target >= begin ||
			    ++jumps > JUMPS_MAX)
				return false;
			begin = at = target;
			continue;
		}
		wire += len + 1;
		if (wire > 255 || at + 1 + len > r->size)
			return false;
		add_label(out, r->bytes + at + 1, len);
		at += 1 + len;
	}
	if (at >= r->size)
		return false;
	if (jumps == 0)
		*out_end = at + 1;
	out->odd = out->odd || out->len == 0;
	out->text[out->len] = '\0';
	return true;
}

static bool
same_name(const struct name *a, const struct name *b)
{
	return !a->odd && !b->odd && a->len == b->len &&
	       memcmp(a->text, b->text, a->len) == 0;
}

/* ---- records ---- */

struct record {
	size_t owner; /* where its name stands */
	uint16_t type;
	uint32_t ttl_s;
	size_t data, data_len;
};

struct records {
	struct record items[LIMIT_DNS_RECORDS];
	size_t count;
	bool cut;
};

/* RFC 2181 8: a TTL with its highest bit set is 0. */
static uint32_t
ttl_of(uint32_t wire)
{
	return wire > INT32_MAX ? 0 : wire;
}

/* Reads one record; of a class or type that is of no use it is passed over. */
static bool
read_record(const struct reader *r, size_t *at, struct records *out)
{
	struct record record = {.owner = *at};
	struct name name;
	size_t end;
	bool wanted;

	if (!read_name(r, *at, &name, &end) || r->size - end < RECORD_FIXED_BYTES)
		return false;
	record.type = u16_at(r, end);
	record.ttl_s = ttl_of(u32_at(r, end + 4));
	record.data_len = u16_at(r, end + 8);
	record.data = end + RECORD_FIXED_BYTES;
	if (record.data_len > r->size - record.data)
		return false;
	*at = record.data + record.data_len;
	wanted = u16_at(r, end + 2) == CLASS_IN && !name.odd;
	if (wanted && out->count == LIMIT_DNS_RECORDS)
		out->cut = true;
	else if (wanted)
		out->items[out->count++] = record;
	return true;
}

static bool
owner_is(const struct reader *r, const struct record *record, const struct name *name)
{
	struct name owner;
	size_t end;

	return read_name(r, record->owner, &owner, &end) && same_name(&owner, name);
}

/* ---- from the name to its addresses ---- */

static void
add_address(struct dns_answer *out, const struct ip_addr *addr, uint32_t ttl_s)
{
	for (size_t i = 0; i < out->address_count; i++) {
		if (ip_eq(&out->addresses[i].addr, addr))
			return;
	}
	if (out->address_count == LIMIT_DNS_ADDRESSES) {
		out->truncated = true;
		return;
	}
	out->addresses[out->address_count++] = (struct dns_address){*addr, ttl_s};
}

/* Addresses, one behind the other: one at least. */
static bool
add_addresses(struct dns_answer *out, enum ip_family family, const uint8_t *bytes,
    size_t size, uint32_t ttl_s)
{
	const size_t each = ip_bytes(family);

	if (size == 0 || size % each != 0)
		return false;
	for (size_t at = 0; at < size; at += each) {
		struct ip_addr addr = {.family = family};

		memcpy(addr.bytes, bytes + at, each);
		add_address(out, &addr, ttl_s);
	}
	return true;
}

/* The parameters of a service, in the order of their keys (RFC 9460 2.2). */
static bool
read_hints(const struct reader *r, size_t at, size_t end, uint32_t ttl_s,
    struct dns_answer *out)
{
	unsigned least = 0;

	while (at < end) {
		unsigned key;
		size_t size;

		if (end - at < 4)
			return false;
		key = u16_at(r, at);
		size = u16_at(r, at + 2);
		at += 4;
		if (key < least || size > end - at)
			return false;
		if ((key == SVC_IPV4HINT || key == SVC_IPV6HINT) &&
		    !add_addresses(out, key == SVC_IPV4HINT ? IP_V4 : IP_V6,
			r->bytes + at, size, ttl_s))
			return false;
		least = key + 1;
		at += size;
	}
	return true;
}

/* Whoever provides the service: its hints are where the name leads. An alias (priority 0)
 * has none. */
static bool
read_service(const struct reader *r, const struct record *record, uint32_t ttl_s,
    struct dns_answer *out)
{
	const size_t end = record->data + record->data_len;
	struct name target;
	size_t at;

	if (record->data_len < 3 || !read_name(r, record->data + 2, &target, &at) ||
	    at > end)
		return false;
	return u16_at(r, record->data) == 0 || read_hints(r, at, end, ttl_s, out);
}

static bool
read_data(const struct reader *r, const struct record *record, uint32_t ttl_s,
    struct dns_answer *out)
{
	const enum ip_family family = record->type == DNS_A ? IP_V4 : IP_V6;

	if (record->type == DNS_SVCB || record->type == DNS_HTTPS)
		return read_service(r, record, ttl_s, out);
	return record->data_len == ip_bytes(family) &&
	       add_addresses(
		   out, family, r->bytes + record->data, record->data_len, ttl_s);
}

/* The addresses of one name. False: a record is malformed. */
static bool
find_addresses(const struct reader *r, const struct records *records,
    const struct name *name, uint32_t ttl_s, struct dns_answer *out)
{
	for (size_t i = 0; i < records->count; i++) {
		const struct record *record = &records->items[i];

		if (record->type == out->type && owner_is(r, record, name) &&
		    !read_data(
			r, record, record->ttl_s < ttl_s ? record->ttl_s : ttl_s, out))
			return false;
	}
	return true;
}

static const struct record *
find_alias(
    const struct reader *r, const struct records *records, const struct name *name)
{
	for (size_t i = 0; i < records->count; i++) {
		if (records->items[i].type == DNS_CNAME &&
		    owner_is(r, &records->items[i], name))
			return &records->items[i];
	}
	return NULL;
}

static enum dns_result
follow(const struct reader *r, const struct records *records, struct name *name,
    struct dns_answer *out)
{
	uint32_t ttl_s = UINT32_MAX;

	for (unsigned i = 0; i <= LIMIT_DNS_CHAIN; i++) {
		const struct record *alias;
		size_t end;

		if (!find_addresses(r, records, name, ttl_s, out))
			return DNS_MALFORMED;
		alias = find_alias(r, records, name);
		if (alias == NULL)
			return DNS_ANSWERED;
		/* An alias has no address of its own (RFC 2181 10.1). */
		if (out->address_count > 0 || !read_name(r, alias->data, name, &end) ||
		    end != alias->data + alias->data_len)
			return DNS_MALFORMED;
		if (alias->ttl_s < ttl_s)
			ttl_s = alias->ttl_s;
	}
	return DNS_MALFORMED; /* in a circle, or as long as one */
}

/* ---- the message ---- */

/* False: it is too short for one. Of the question it says nothing yet. */
static bool
read_header(const struct reader *r, struct dns_head *out)
{
	uint16_t flags;

	if (r->size < HEADER_BYTES)
		return false;
	flags = u16_at(r, 2);
	*out = (struct dns_head){
	    .id = u16_at(r, 0),
	    .answer = (flags & FLAG_RESPONSE) != 0,
	    .truncated = (flags & FLAG_TRUNCATED) != 0,
	    .opcode = (uint8_t)((flags & FLAG_OPCODE) >> 11),
	    .rcode = (uint8_t)(flags & FLAG_RCODE),
	};
	return true;
}

/* The only question, of a message that has a header; *out_end: see struct dns_head. */
static bool
read_asked(const struct reader *r, struct name *name, size_t *out_end)
{
	size_t at;

	*out_end = 0;
	if (u16_at(r, 4) != 1)
		return true;
	if (!read_name(r, HEADER_BYTES, name, &at) || r->size - at < 4)
		return false;
	*out_end = at + 4;
	return true;
}

bool
dns_type_teaches(unsigned type)
{
	return type == DNS_A || type == DNS_AAAA || type == DNS_SVCB ||
	       type == DNS_HTTPS;
}

/* Whether it is about addresses of a name that policy can write; *at is what is behind. */
static enum dns_result
read_question(const struct reader *r, const struct dns_head *head, struct name *name,
    enum dns_type *out_type, size_t *at)
{
	uint16_t type;

	if (head->opcode != DNS_OPCODE_QUERY)
		return DNS_NOTHING;
	if (!read_asked(r, name, at))
		return DNS_MALFORMED;
	if (*at == 0 || name->odd)
		return DNS_NOTHING;
	type = u16_at(r, *at - 4);
	if (!dns_type_teaches(type) || u16_at(r, *at - 2) != CLASS_IN)
		return DNS_NOTHING;
	*out_type = (enum dns_type)type;
	return DNS_ANSWERED;
}

bool
dns_read_head(const uint8_t *message, size_t size, struct dns_head *out)
{
	const struct reader r = {message, size};
	struct name name;

	if (!read_header(&r, out) || !read_asked(&r, &name, &out->question_end))
		return false;
	if (out->question_end != 0)
		out->type = u16_at(&r, out->question_end - 4);
	return true;
}

/* No length of a label looks like a letter, and a first name has no pointer. */
bool
dns_same_question(const uint8_t *a, const uint8_t *b, size_t end)
{
	size_t name_end = end - 4;

	for (size_t i = HEADER_BYTES; i < name_end; i++) {
		if (lower(a[i]) != lower(b[i]))
			return false;
	}
	return memcmp(a + name_end, b + name_end, end - name_end) == 0;
}

static void
put_u16(uint8_t *out, unsigned value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

void
dns_set_id(uint8_t *message, uint16_t id)
{
	put_u16(message, id);
}

size_t
dns_refuse(const uint8_t *query, const struct dns_head *head, enum dns_rcode rcode,
    uint8_t out[DNS_REFUSAL_BYTES])
{
	unsigned flags = (unsigned)query[2] << 8 | query[3];

	memset(out, 0, HEADER_BYTES);
	put_u16(out, head->id);
	put_u16(out + 2, FLAG_RESPONSE | (flags & (FLAG_OPCODE | FLAG_DESIRED)) |
			     FLAG_AVAILABLE | (unsigned)rcode);
	if (head->question_end == 0)
		return HEADER_BYTES;
	put_u16(out + 4, 1);
	memcpy(out + HEADER_BYTES, query + HEADER_BYTES,
	    head->question_end - HEADER_BYTES);
	return head->question_end;
}

size_t
dns_say_little(
    const uint8_t *query, const struct dns_head *head, uint8_t out[DNS_LITTLE_BYTES])
{
	size_t size = dns_refuse(query, head, (enum dns_rcode)0, out);
	uint8_t *at = out + size;

	put_u16(out + 6, 1);
	put_u16(at, 0xc000u | HEADER_BYTES); /* the name of the question */
	put_u16(at + 2, TYPE_HINFO);
	memcpy(at + 4, query + head->question_end - 2, 2);
	put_u16(at + 6, 0);
	put_u16(at + 8, LITTLE_TTL_S);
	put_u16(at + 10, sizeof(LITTLE_CPU)); /* its NUL is the empty second text */
	memcpy(at + 12, LITTLE_CPU, sizeof(LITTLE_CPU));
	return size + 12 + sizeof(LITTLE_CPU);
}

enum dns_result
dns_read_question(const uint8_t *message, size_t size, struct dns_question *out)
{
	const struct reader r = {message, size};
	struct dns_head head;
	struct name name;
	enum dns_result result;
	size_t at;

	if (!read_header(&r, &head))
		return DNS_MALFORMED;
	out->id = head.id;
	out->answer = head.answer;
	result = read_question(&r, &head, &name, &out->type, &at);
	if (result == DNS_ANSWERED)
		memcpy(out->name, name.text, sizeof(out->name));
	return result;
}

enum dns_result
dns_read(const uint8_t *message, size_t size, struct dns_answer *out)
{
	const struct reader r = {message, size};
	struct records records = {.count = 0};
	struct dns_head head;
	struct name name;
	enum dns_result result;
	size_t at;

	out->address_count = 0;
	if (!read_header(&r, &head))
		return DNS_MALFORMED;
	out->id = head.id;
	out->truncated = head.truncated;
	if (!head.answer || head.rcode != 0)
		return DNS_NOTHING;
	result = read_question(&r, &head, &name, &out->type, &at);
	if (result != DNS_ANSWERED)
		return result;
	memcpy(out->name, name.text, sizeof(out->name));
	for (unsigned i = 0; i < u16_at(&r, 6); i++) {
		/* A truncated message may end early. */
		if (at == size && out->truncated)
			break;
		if (!read_record(&r, &at, &records))
			return DNS_MALFORMED;
	}
	out->truncated = out->truncated || records.cut;
	return follow(&r, &records, &name, out);
}
