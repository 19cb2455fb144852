/*
 * One record a message: what is told is aggregated already, and a record lost is one record.
 */
#include "enforcer/flows/ipfix.h"

#include <string.h>

#define VERSION      10
#define HEADER_BYTES 16
#define SEQUENCE_AT  8
#define SET_TEMPLATE 2
#define VARIABLE     65535  /* a length that stands in the record */
#define ENTERPRISE   0x8000 /* the element is not of the standard */
#define STRING_MOST  200    /* so that a message stays below IPFIX_MESSAGE_BYTES */

/* Elements of the standard (IANA's registry). */
enum {
	IE_PACKET_DELTA_COUNT = 2,
	IE_PROTOCOL = 4,
	IE_SOURCE_PORT = 7,
	IE_SOURCE_IPV4 = 8,
	IE_DESTINATION_PORT = 11,
	IE_DESTINATION_IPV4 = 12,
	IE_SOURCE_IPV6 = 27,
	IE_DESTINATION_IPV6 = 28,
	IE_FLOW_DIRECTION = 61,
	IE_FLOW_START_MS = 152,
	IE_FIREWALL_EVENT = 233,
	IE_SELECTOR_ID = 302,
	IE_SELECTOR_NAME = 335,
};

/* Values of firewallEvent. */
enum {
	EVENT_CREATED = 1,
	EVENT_DELETED = 2,
	EVENT_DENIED = 3,
	EVENT_ALERT = 4,
};

struct field {
	uint16_t element, length;
};

#define COMMON_FIELDS                                                                  \
	{IE_FLOW_START_MS, 8}, {IE_PACKET_DELTA_COUNT, 8}, {IE_FIREWALL_EVENT, 1},     \
	    {IE_SELECTOR_ID, 8},                                                       \
	{                                                                              \
		IE_SELECTOR_NAME, VARIABLE                                             \
	}
#define END_FIELDS(source, destination, bytes)                                         \
	{source, bytes}, {destination, bytes}, {IE_SOURCE_PORT, 2},                    \
	    {IE_DESTINATION_PORT, 2}, {IE_PROTOCOL, 1},                                \
	{                                                                              \
		IE_FLOW_DIRECTION, 1                                                   \
	}

static const struct field ipv4_fields[] = {
    END_FIELDS(IE_SOURCE_IPV4, IE_DESTINATION_IPV4, 4), COMMON_FIELDS};
static const struct field ipv6_fields[] = {
    END_FIELDS(IE_SOURCE_IPV6, IE_DESTINATION_IPV6, 16), COMMON_FIELDS};
static const struct field crowd_fields[] = {COMMON_FIELDS};

static const struct {
	uint16_t id;
	const struct field *fields;
	size_t count;
	bool own; /* with elements of our own */
} templates[] = {
    {IPFIX_TEMPLATE_IPV4, ipv4_fields, ARRAY_LEN(ipv4_fields), true},
    {IPFIX_TEMPLATE_IPV6, ipv6_fields, ARRAY_LEN(ipv6_fields), true},
    {IPFIX_TEMPLATE_CROWD, crowd_fields, ARRAY_LEN(crowd_fields), false},
};

/* ---- bytes ---- */

static void
put(struct buf *out, uint64_t value, unsigned bytes)
{
	while (bytes-- > 0)
		buf_add_char(out, (char)(value >> (8 * bytes)));
}

static void
put_string(struct buf *out, struct str s)
{
	s = str_slice(s, 0, s.len < STRING_MOST ? s.len : STRING_MOST);
	put(out, s.len, 1); /* below 255 */
	buf_add_str(out, s);
}

/* Where a length stands that is known only later. */
static size_t
begin(struct buf *out, uint16_t id)
{
	put(out, id, 2);
	put(out, 0, 2);
	return out->len - 4;
}

static void
end(struct buf *out, size_t start)
{
	size_t len = out->len - start;

	out->data[start + 2] = (char)(len >> 8);
	out->data[start + 3] = (char)len;
}

static size_t
begin_message(
    struct buf *out, const struct ipfix *x, uint32_t sequence, walltime_t wall)
{
	size_t start = begin(out, VERSION);

	put(out, (uint64_t)wall.ns / 1000000000, 4);
	put(out, sequence, 4);
	put(out, x->domain, 4);
	return start;
}

/* ---- templates ---- */

static void
put_template(struct buf *out, const struct ipfix *x, size_t index)
{
	bool own = templates[index].own && x->enterprise != 0;

	put(out, templates[index].id, 2);
	put(out, templates[index].count + (own ? IPFIX_OWN_REASON : 0), 2);
	for (size_t i = 0; i < templates[index].count; i++) {
		put(out, templates[index].fields[i].element, 2);
		put(out, templates[index].fields[i].length, 2);
	}
	for (unsigned i = IPFIX_OWN_SOURCE; own && i <= IPFIX_OWN_REASON; i++) {
		put(out, ENTERPRISE | i, 2);
		put(out, VARIABLE, 2);
		put(out, x->enterprise, 4);
	}
}

/* Where a message's number stands. */
static uint32_t
sequence_of(struct str message)
{
	uint32_t sequence = 0;

	for (size_t i = SEQUENCE_AT; i < SEQUENCE_AT + 4; i++)
		sequence = sequence << 8 | (uint8_t)message.ptr[i];
	return sequence;
}

void
ipfix_begin(struct buf *out, const struct ipfix *x, struct str next, walltime_t wall)
{
	uint32_t sequence = next.len > HEADER_BYTES ? sequence_of(next) : x->sequence;
	size_t message = begin_message(out, x, sequence, wall);
	size_t set = begin(out, SET_TEMPLATE);

	for (size_t i = 0; i < ARRAY_LEN(templates); i++)
		put_template(out, x, i);
	end(out, set);
	end(out, message);
}

static void
add_templates(struct buf *out, struct ipfix *x, monotime_t now, walltime_t wall)
{
	if (x->stream || (x->has_template &&
			     monotime_since(x->template_sent, now) < IPFIX_TEMPLATE_NS))
		return;
	ipfix_begin(out, x, STR(""), wall);
	x->has_template = true;
	x->template_sent = now;
}

/* ---- records ---- */

static uint8_t
event_of(const struct flow_view *v)
{
	if (v->record->packet.cut)
		return EVENT_DELETED;
	if (v->record->packet.audit)
		return EVENT_ALERT;
	return v->allow ? EVENT_CREATED : EVENT_DENIED;
}

static void
put_ends(struct buf *out, const struct flow_view *v)
{
	const struct nflog_packet *p = &v->record->packet;

	buf_add(out, p->src.bytes, ip_bytes(p->src.family));
	buf_add(out, p->dst.bytes, ip_bytes(p->src.family));
	put(out, p->has_ports ? p->src_port : 0, 2);
	put(out, p->has_ports ? p->dst_port : 0, 2);
	put(out, p->proto, 1);
	put(out, v->direction == DIR_EGRESS, 1);
}

static void
put_common(struct buf *out, const struct flow_view *v)
{
	put(out, (uint64_t)v->record->time.ns / 1000000, 8);
	put(out, v->record->count, 8);
	put(out, event_of(v), 1);
	put(out, v->record->packet.number, 8);
	put_string(out, str_from(v->rule != NULL ? v->rule->comment : ""));
}

static void
put_own(struct buf *out, const struct flow_view *v)
{
	struct buf src = {0}, dst = {0};

	flow_view_end(&src, v, true);
	flow_view_end(&dst, v, false);
	put_string(out, buf_str(&src));
	put_string(out, buf_str(&dst));
	put_string(out, v->tenant);
	put_string(out, str_from(flow_view_verdict(v)));
	put_string(out, str_from(flow_reason_name(v->reason)));
	buf_free(&src);
	buf_free(&dst);
}

void
ipfix_add(struct buf *out, struct ipfix *x, const struct flow_view *view,
    monotime_t now, walltime_t wall)
{
	bool crowd = view->record->crowd;
	uint16_t id = crowd                                      ? IPFIX_TEMPLATE_CROWD
		      : view->record->packet.src.family == IP_V4 ? IPFIX_TEMPLATE_IPV4
								 : IPFIX_TEMPLATE_IPV6;
	size_t message, set;

	add_templates(out, x, now, wall);
	message = begin_message(out, x, x->sequence, wall);
	set = begin(out, id);
	if (!crowd)
		put_ends(out, view);
	put_common(out, view);
	if (!crowd && x->enterprise != 0)
		put_own(out, view);
	end(out, set);
	end(out, message);
	x->sequence++;
}
