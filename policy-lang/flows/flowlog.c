/*
 * The JSON forms. A field that is absent is not there to be judged; one of the wrong type
 * makes the line a bad one.
 */
#include "policy-lang/flows/flowlog.h"

#include "common/doc.h"

/* One line being read. */
struct reading {
	struct arena *scratch;
	struct flowlog_record *record;
	const char *why; /* NULL: nothing wrong so far */
};

static void
wrong(struct reading *r, const char *what, const char *must)
{
	if (r->why == NULL)
		r->why = arena_printf(r->scratch, "\"%s\" must be %s", what, must);
}

/* A member that is a string; empty if it is absent or wrong (reported). */
static struct str
text_of(struct reading *r, const struct doc_node *map, const char *key)
{
	const struct doc_node *node = doc_value(map, key);

	if (node == NULL)
		return (struct str){0};
	if (node->kind != DOC_STRING) {
		wrong(r, key, "a string");
		return (struct str){0};
	}
	return node->text;
}

static const struct doc_node *
map_of(struct reading *r, const struct doc_node *map, const char *key)
{
	const struct doc_node *node = doc_value(map, key);

	if (node == NULL || node->kind == DOC_MAP)
		return node;
	wrong(r, key, "an object");
	return NULL;
}

/* A whole number from `min` to `max`; `absent` if it is not there. */
static uint64_t
number_of(struct reading *r, const struct doc_node *map, const char *key, int64_t min,
    int64_t max, uint64_t absent)
{
	const struct doc_node *node = doc_value(map, key);

	if (node == NULL)
		return absent;
	if (node->kind != DOC_INT || node->u.integer < min || node->u.integer > max) {
		wrong(r, key,
		    arena_printf(r->scratch, "a number from %lld to %lld",
			(long long)min, (long long)max));
		return absent;
	}
	return (uint64_t)node->u.integer;
}

static void
address_of(struct reading *r, const struct doc_node *map, const char *key,
    struct flowlog_end *end)
{
	struct str text = text_of(r, map, key);

	if (text.len == 0)
		return;
	end->has_addr = ip_parse(text, &end->addr);
	if (!end->has_addr)
		wrong(r, key, "an address");
}

/* ---- Ringfence's own ---- */

/* PATH/NAME, or node/NAME. */
static void
own_end(struct reading *r, const struct doc_node *map, struct flowlog_end *end)
{
	struct str workload = text_of(r, map, "workload");
	struct str path = text_of(r, map, "namespace");
	struct str node = text_of(r, map, "node");

	address_of(r, map, "address", end);
	if (workload.len > 0)
		end->name =
		    str_from(arena_printf(r->scratch, "%.*s%s%.*s", STR_ARG(path),
			str_ends(path, STR("/")) ? "" : "/", STR_ARG(workload)));
	else if (node.len > 0)
		end->name =
		    str_from(arena_printf(r->scratch, "node/%.*s", STR_ARG(node)));
}

/* "tcp", or a number where the protocol has no name. */
static void
own_protocol(struct reading *r, const struct doc_node *top)
{
	struct str text = text_of(r, top, "protocol");
	uint64_t number;

	if (proto_parse(text, &r->record->proto))
		return;
	if (str_to_u64(text, UINT8_MAX, &number))
		r->record->proto = (uint8_t)number;
	else
		wrong(r, "protocol", "a protocol's name or number");
}

static enum flowlog_result
read_own(struct reading *r, const struct doc_node *top)
{
	struct flowlog_record *record = r->record;
	struct str verdict = text_of(r, top, "verdict");
	const struct doc_node *src = map_of(r, top, "src");
	const struct doc_node *dst = map_of(r, top, "dst");

	record->time = text_of(r, top, "time");
	record->count = number_of(r, top, "count", 1, INT64_MAX, 1);
	if (str_is(verdict, "allow"))
		record->verdict = FLOWLOG_ALLOW;
	else if (str_is(verdict, "deny"))
		record->verdict = FLOWLOG_DENY;
	else
		wrong(r, "verdict", "allow or deny");
	if (r->why == NULL && (src == NULL || dst == NULL))
		return FLOWLOG_CROWD;
	own_end(r, src, &record->src);
	own_end(r, dst, &record->dst);
	own_protocol(r, top);
	if (proto_has_ports(record->proto))
		record->port = (uint16_t)number_of(r, dst, "port", 1, UINT16_MAX, 0);
	return FLOWLOG_RECORD;
}

/* ---- Hubble ---- */

static void
hubble_end(struct reading *r, const struct doc_node *flow, const char *side,
    struct flowlog_end *end)
{
	const struct doc_node *map = map_of(r, flow, side);
	const struct doc_node *workloads = doc_value(map, "workloads");
	struct str ns = text_of(r, map, "namespace");
	struct str pod = text_of(r, map, "pod_name");
	struct str owner = {0};

	address_of(r, map_of(r, flow, "IP"), side, end);
	if (workloads != NULL && workloads->kind == DOC_LIST && workloads->count > 0)
		owner = text_of(r, workloads->u.items[0], "name");
	if (ns.len > 0 && pod.len > 0)
		end->name = str_from(
		    arena_printf(r->scratch, "%.*s/%.*s", STR_ARG(ns), STR_ARG(pod)));
	if (ns.len > 0 && owner.len > 0)
		end->owner = str_from(
		    arena_printf(r->scratch, "%.*s/%.*s", STR_ARG(ns), STR_ARG(owner)));
}

static const struct {
	const char *name;
	uint8_t proto;
} hubble_protocols[] = {
    {"TCP", PROTO_TCP},
    {"UDP", PROTO_UDP},
    {"SCTP", PROTO_SCTP},
    {"ICMPv4", PROTO_ICMP},
    {"ICMPv6", PROTO_ICMPV6},
};

/* False: it is of no protocol that policy judges. */
static bool
hubble_protocol(struct reading *r, const struct doc_node *flow)
{
	const struct doc_node *l4 = map_of(r, flow, "l4");

	for (size_t i = 0; i < ARRAY_LEN(hubble_protocols); i++) {
		const struct doc_node *map = map_of(r, l4, hubble_protocols[i].name);

		if (map == NULL)
			continue;
		r->record->proto = hubble_protocols[i].proto;
		if (proto_has_ports(r->record->proto))
			r->record->port = (uint16_t)number_of(
			    r, map, "destination_port", 1, UINT16_MAX, 0);
		return true;
	}
	return false;
}

/* AUDIT: policy would have dropped it, and did not. */
static enum flowlog_verdict
hubble_verdict(struct str text)
{
	static const struct {
		const char *name;
		enum flowlog_verdict verdict;
	} known[] = {
	    {"FORWARDED", FLOWLOG_ALLOW},
	    {"REDIRECTED", FLOWLOG_ALLOW},
	    {"AUDIT", FLOWLOG_ALLOW},
	    {"TRANSLATED", FLOWLOG_ALLOW},
	    {"DROPPED", FLOWLOG_DENY},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_is(text, known[i].name))
			return known[i].verdict;
	}
	return FLOWLOG_UNSAID;
}

static enum flowlog_result
read_hubble(struct reading *r, const struct doc_node *top)
{
	const struct doc_node *flow = map_of(r, top, "flow");
	const struct doc_node *reply;

	if (flow == NULL)
		flow = doc_get(top, "IP") != NULL ? top : NULL; /* older: bare flows */
	if (flow == NULL)
		return FLOWLOG_SKIPPED; /* node status, lost events */
	reply = doc_value(flow, "is_reply");
	if (reply != NULL && reply->kind == DOC_BOOL && reply->u.boolean)
		return FLOWLOG_SKIPPED;
	hubble_end(r, flow, "source", &r->record->src);
	hubble_end(r, flow, "destination", &r->record->dst);
	r->record->time = text_of(r, flow, "time");
	r->record->verdict = hubble_verdict(text_of(r, flow, "verdict"));
	if (!hubble_protocol(r, flow))
		return FLOWLOG_SKIPPED;
	return FLOWLOG_RECORD;
}

/* ---- telling them apart ---- */

/* What Hubble's objects have at the top, whatever they are about. */
static bool
is_hubble(const struct doc_node *top)
{
	static const char *const keys[] = {"flow", "IP", "l4", "node_status",
	    "lost_events", "agent_event", "debug_event"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (doc_get(top, keys[i]) != NULL)
			return true;
	}
	return false;
}

/* Both ends, and the port where there must be one. */
static void
check_whole(struct reading *r)
{
	const struct flowlog_record *record = r->record;
	const struct flowlog_end *ends[] = {&record->src, &record->dst};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (ends[i]->name.len == 0 && !ends[i]->has_addr && r->why == NULL)
			r->why = i == 0 ? "the record does not say who the source is"
					: "the record does not say who the destination "
					  "is";
	}
	if (proto_has_ports(record->proto) && record->port == 0 && r->why == NULL)
		r->why = "the record does not say which port";
	if (record->src.has_addr && record->dst.has_addr && r->why == NULL &&
	    record->src.addr.family != record->dst.addr.family)
		r->why = "the addresses are of two families";
}

static enum flowlog_result
read_json(struct reading *r, enum flowlog_format format, struct str line)
{
	struct source *source = ARENA_NEW(r->scratch, struct source);
	struct diag_list diags;
	struct doc_list docs;
	const struct doc_node *top;

	*source = (struct source){STR("-"), line};
	diag_list_init(&diags, r->scratch);
	if (!doc_read(r->scratch, source, &diags, &docs)) {
		r->why = diags.first->msg;
		return FLOWLOG_BAD;
	}
	if (docs.count != 1 || docs.docs[0]->kind != DOC_MAP) {
		r->why = "a line must be one JSON object";
		return FLOWLOG_BAD;
	}
	top = docs.docs[0];
	if (format == FLOWLOG_AUTO)
		format = is_hubble(top) ? FLOWLOG_HUBBLE : FLOWLOG_RINGFENCE;
	return format == FLOWLOG_HUBBLE ? read_hubble(r, top) : read_own(r, top);
}

static enum flowlog_result
read_any(struct reading *r, enum flowlog_format format, struct str line)
{
	bool conntrack = format == FLOWLOG_CONNTRACK ||
			 (format == FLOWLOG_AUTO && line.ptr[0] != '{');

	if (!conntrack)
		return read_json(r, format, line);
	if (line.ptr[0] == '<')
		return flowlog_read_conntrack_xml(r->scratch, line, r->record, &r->why);
	return flowlog_read_conntrack(r->scratch, line, r->record, &r->why);
}

enum flowlog_result
flowlog_read(struct arena *scratch, enum flowlog_format format, struct str line,
    struct flowlog_record *out_record, const char **out_why)
{
	struct reading r = {.scratch = scratch, .record = out_record};
	struct str text = str_trim(line);
	enum flowlog_result result;

	*out_record = (struct flowlog_record){.count = 1};
	*out_why = NULL;
	if (text.len == 0 || text.ptr[0] == '#')
		return FLOWLOG_SKIPPED;
	result = read_any(&r, format, text);
	if (result == FLOWLOG_RECORD)
		check_whole(&r);
	*out_why = r.why;
	return r.why != NULL ? FLOWLOG_BAD : result;
}
