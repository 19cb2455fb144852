/*
 * Quota documents, and Kubernetes' quantities.
 */
#include <math.h>

#include "policy-lang/load/load_internal.h"

/* ---- quantities: apimachinery's pkg/api/resource ---- */

/* What a suffix multiplies by: 2^binary or 10^decimal. */
static const struct {
	const char *suffix;
	int binary, decimal;
} suffixes[] = {
    {"", 0, 0},
    {"n", 0, -9},
    {"u", 0, -6},
    {"m", 0, -3},
    {"k", 0, 3},
    {"M", 0, 6},
    {"G", 0, 9},
    {"T", 0, 12},
    {"P", 0, 15},
    {"E", 0, 18},
    {"Ki", 10, 0},
    {"Mi", 20, 0},
    {"Gi", 30, 0},
    {"Ti", 40, 0},
    {"Pi", 50, 0},
    {"Ei", 60, 0},
};

__extension__ typedef unsigned __int128 wide;

/* Far above any result that fits, far below what 128 bits hold. */
#define WIDE_LIMIT ((wide)1 << 100)

static bool
wide_multiply(wide *value, unsigned by)
{
	*value *= by;
	return *value < WIDE_LIMIT;
}

/* "12.50" -> 1250 with two decimals. Returns how much of s it took; 0: no number. */
static size_t
read_digits(struct str s, wide *out_value, int *out_decimals)
{
	bool point = false, any = false;
	size_t i = 0;

	*out_value = 0;
	*out_decimals = 0;
	for (; i < s.len; i++) {
		if (s.ptr[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			break;
		any = true;
		if (!wide_multiply(out_value, 10))
			return 0;
		*out_value += (unsigned)(s.ptr[i] - '0');
		*out_decimals += point;
	}
	return any ? i : 0;
}

/* "e3", "E-2": the exponent; false if `s` is none. */
static bool
read_exponent(struct str s, int *out_exponent)
{
	bool negative;
	uint64_t value;

	if (s.len < 2 || (s.ptr[0] != 'e' && s.ptr[0] != 'E'))
		return false;
	s = str_slice(s, 1, s.len);
	negative = s.ptr[0] == '-';
	if (negative || s.ptr[0] == '+')
		s = str_slice(s, 1, s.len);
	while (s.len > 1 && s.ptr[0] == '0')
		s = str_slice(s, 1, s.len);
	if (!str_to_u64(s, 1000, &value))
		return false;
	*out_exponent = negative ? -(int)value : (int)value;
	return true;
}

/* value * 2^binary * 10^decimal, rounded up. */
static bool
scale(wide value, int binary, int decimal, uint64_t *out)
{
	bool rest = false;

	for (; binary > 0; binary--) {
		if (!wide_multiply(&value, 2))
			return false;
	}
	for (; decimal > 0 && value != 0; decimal--) {
		if (!wide_multiply(&value, 10))
			return false;
	}
	for (; decimal < 0; decimal++) {
		rest = rest || value % 10 != 0;
		value /= 10;
		if (value == 0 && !rest)
			break;
		if (value == 0)
			decimal = -1; /* nothing more can change */
	}
	value += rest;
	if (value >= UINT64_MAX)
		return false;
	*out = (uint64_t)value;
	return true;
}

bool
quantity_parse(struct str text, uint64_t *out_milli)
{
	int decimals, exponent;
	size_t digits;
	struct str rest;
	wide value;

	if (text.len != 0 && text.ptr[0] == '+')
		text = str_slice(text, 1, text.len);
	digits = read_digits(text, &value, &decimals);
	if (digits == 0)
		return false;
	rest = str_slice(text, digits, text.len);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		if (str_is(rest, suffixes[i].suffix))
			return scale(value, suffixes[i].binary,
			    suffixes[i].decimal - decimals + 3, out_milli);
	}
	if (!read_exponent(rest, &exponent))
		return false;
	return scale(value, 0, exponent - decimals + 3, out_milli);
}

/* ---- the document ---- */

enum {
	LIM_PER_SECOND,
	LIM_BURST,
	LIM_IN_FLIGHT,
	LIM_WATCHES,
	LIM_PER_DAY,
	LIM_BODY
};

static const struct schema_field limit_fields[] = {
    [LIM_PER_SECOND] = {"perSecond", TYPE_NUMBER, false, NULL},
    [LIM_BURST] = {"burst", TYPE_INT, false, NULL},
    [LIM_IN_FLIGHT] = {"inFlight", TYPE_INT, false, NULL},
    [LIM_WATCHES] = {"watches", TYPE_INT, false, NULL},
    [LIM_PER_DAY] = {"perDay", TYPE_INT, false, NULL},
    [LIM_BODY] = {"bodyBytes", TYPE_NUMBER | TYPE_STRING, false, NULL},
};

#define COUNT_MAX (INT64_MAX / 2)
#define COUNT_VALUE(text)                                                              \
	{                                                                              \
		.about = (text), .bounded = true, .min = 0, .max = COUNT_MAX           \
	}
#define AMOUNT_VALUE(text)                                                             \
	{                                                                              \
		.about = (text), .grammar = &grammar_quantity, .bounded = true,        \
		.max = COUNT_MAX                                                       \
	}
/* Digits with a suffix or an exponent; numbers are not negative. */
static const struct grammar grammar_quantity = {
    {{"^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$"}},
    0, NULL, NULL};
static const struct schema_value limit_values[] = {
    [LIM_PER_SECOND] = {.about = "Requests per second, over time.",
	.bounded = true,
	.max = COUNT_MAX},
    [LIM_BURST] = COUNT_VALUE("Requests that may come at once."),
    [LIM_IN_FLIGHT] = COUNT_VALUE("Requests that may wait for an answer."),
    [LIM_WATCHES] = COUNT_VALUE("Watches that may be open."),
    [LIM_PER_DAY] = COUNT_VALUE("Requests in one day, which is UTC's."),
    [LIM_BODY] = AMOUNT_VALUE("Bytes of one request's body, as in 3Mi."),
};
static const struct schema requests_schema =
    SCHEMA_TOLD("\"requests\"", limit_fields, limit_values);
static const struct schema per_user_schema =
    SCHEMA_TOLD("\"perUser\"", limit_fields, limit_values);
static const struct schema per_token_schema =
    SCHEMA_TOLD("\"perToken\"", limit_fields, limit_values);

static bool
bad_quantity(struct loader *l, const struct doc_node *node)
{
	diag_say(l->diags, CODE_BAD_QUANTITY, node->loc,
	    "\"%.*s\" is not an amount such as 64, 500m, 256Gi or 1e3",
	    STR_ARG(node->text));
	return false;
}

static bool
read_amount(struct loader *l, const struct doc_node *node, uint64_t *out_milli)
{
	return quantity_parse(node->text, out_milli) || bad_quantity(l, node);
}

static bool
read_bytes(struct loader *l, const struct doc_node *node, uint64_t *out)
{
	uint64_t milli;

	if (node == NULL)
		return true;
	if (!read_amount(l, node, &milli))
		return false;
	*out = milli / 1000 + (milli % 1000 != 0);
	return true;
}

static bool
read_count(
    struct loader *l, const struct doc_node *node, const char *what, uint64_t *out)
{
	int64_t value;

	if (node == NULL)
		return true;
	if (!schema_int(l->diags, node, what, 0, COUNT_MAX, &value))
		return false;
	*out = (uint64_t)value;
	return true;
}

static bool
read_limits(struct loader *l, const struct schema *schema, const struct doc_node *node,
    struct quota_limits *out)
{
	uint64_t *const counts[] = {
	    [LIM_BURST] = &out->burst,
	    [LIM_IN_FLIGHT] = &out->in_flight,
	    [LIM_WATCHES] = &out->watches,
	    [LIM_PER_DAY] = &out->per_day,
	};
	const struct doc_node *v[ARRAY_LEN(limit_fields)];
	bool ok = schema_read(l->diags, schema, node, v);

	for (size_t i = LIM_BURST; i <= LIM_PER_DAY; i++)
		ok &= read_count(l, v[i], limit_fields[i].name, counts[i]);
	if (v[LIM_PER_SECOND] != NULL)
		ok &= read_amount(l, v[LIM_PER_SECOND], &out->per_second_milli);
	return read_bytes(l, v[LIM_BODY], &out->body_bytes) && ok;
}

enum {
	NET_PER_SECOND,
	NET_BURST,
	NET_CONNECTIONS,
	NET_EGRESS,
	NET_INGRESS,
	NET_GUARANTEED
};

static const struct schema_field network_fields[] = {
    [NET_PER_SECOND] = {"connectionsPerSecond", TYPE_NUMBER, false, NULL},
    [NET_BURST] = {"burst", TYPE_INT, false, NULL},
    [NET_CONNECTIONS] = {"connections", TYPE_INT, false, NULL},
    [NET_EGRESS] = {"egressBytesPerSecond", TYPE_NUMBER | TYPE_STRING, false, NULL},
    [NET_INGRESS] = {"ingressBytesPerSecond", TYPE_NUMBER | TYPE_STRING, false, NULL},
    [NET_GUARANTEED] = {"guaranteedPercent", TYPE_INT, false, NULL},
    {"bandwidth", 0, false,
	"write egressBytesPerSecond or ingressBytesPerSecond, as in 100M"},
};
static const struct schema_value network_values[ARRAY_LEN(network_fields)] = {
    [NET_PER_SECOND] = {.about = "New connections per second, over time.",
	.bounded = true,
	.max = COUNT_MAX},
    [NET_BURST] = COUNT_VALUE("New connections that may come at once."),
    [NET_CONNECTIONS] = COUNT_VALUE("Connections that may be open."),
    [NET_EGRESS] = AMOUNT_VALUE("Bytes that may leave in a second, as in 100M."),
    [NET_INGRESS] = AMOUNT_VALUE("Bytes that may come in in a second, as in 100M."),
    [NET_GUARANTEED] = {.about = "How much of each limit the workloads have in equal "
				 "parts, each to itself; 25 when absent.",
	.bounded = true,
	.min = 0,
	.max = 100},
};
static const struct schema network_schema =
    SCHEMA_TOLD("\"network\"", network_fields, network_values);

static bool
read_network(struct loader *l, const struct doc_node *node, struct quota_network *out)
{
	static const int fields[NETLIM_KINDS] = {
	    [NETLIM_RATE] = NET_PER_SECOND,
	    [NETLIM_COUNT] = NET_CONNECTIONS,
	    [NETLIM_OUT] = NET_EGRESS,
	    [NETLIM_IN] = NET_INGRESS,
	};
	const struct doc_node *v[ARRAY_LEN(network_fields)];
	bool ok = schema_read(l->diags, &network_schema, node, v);
	int64_t percent;

	for (size_t i = 0; i < NETLIM_KINDS; i++) {
		if (v[fields[i]] != NULL)
			out->loc[i] = v[fields[i]]->loc;
	}
	if (v[NET_GUARANTEED] != NULL) {
		if (schema_int(l->diags, v[NET_GUARANTEED], "guaranteedPercent", 0, 100,
			&percent))
			out->guaranteed_percent = (uint64_t)percent;
		else
			ok = false;
	}
	if (v[NET_PER_SECOND] != NULL)
		ok &= read_amount(l, v[NET_PER_SECOND], &out->per_second_milli);
	ok &= read_count(l, v[NET_BURST], "burst", &out->burst);
	ok &= read_count(l, v[NET_CONNECTIONS], "connections", &out->connections);
	ok &= read_bytes(l, v[NET_EGRESS], &out->egress_bytes_per_second);
	return read_bytes(l, v[NET_INGRESS], &out->ingress_bytes_per_second) && ok;
}

/* "pods", "requests.cpu", "count/deployments.apps", "requests.nvidia.com/gpu". */
static bool
is_resource_name(struct str s)
{
	size_t slash = str_find(s, '/', 0);

	if (slash == s.len)
		return name_is_qualified(s);
	return name_is_qualified(str_slice(s, 0, slash)) &&
	       name_is_qualified(str_slice(s, slash + 1, s.len));
}

static bool
read_objects(struct loader *l, const struct doc_node *map, struct quota *q)
{
	struct quota_object *objects =
	    ARENA_ARRAY(l->arena, map->count, struct quota_object);
	bool ok = true;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct doc_entry *e = &map->u.entries[i];
		struct quota_object *object = &objects[q->object_count];

		if (!is_resource_name(e->key->text)) {
			diag_say(l->diags, CODE_BAD_NAME, e->key->loc,
			    "\"%.*s\" is not the name of a resource",
			    STR_ARG(e->key->text));
			ok = false;
		} else if (!schema_type(l->diags, e->value, "an amount",
			       TYPE_NUMBER | TYPE_STRING) ||
			   !read_amount(l, e->value, &object->amount_milli)) {
			ok = false;
		} else {
			object->resource = load_text(l, e->key->text);
			q->object_count++;
		}
	}
	q->objects = objects;
	return ok;
}

enum {
	SPEC_REQUESTS,
	SPEC_PER_USER,
	SPEC_PER_TOKEN,
	SPEC_OBJECTS,
	SPEC_NETWORK
};

static const struct schema_field spec_fields[] = {
    [SPEC_REQUESTS] = {"requests", TYPE_MAP, false, NULL},
    [SPEC_PER_USER] = {"perUser", TYPE_MAP, false, NULL},
    [SPEC_PER_TOKEN] = {"perToken", TYPE_MAP, false, NULL},
    [SPEC_OBJECTS] = {"objects", TYPE_MAP, false, NULL},
    [SPEC_NETWORK] = {"network", TYPE_MAP, false, NULL},
};
static const struct grammar grammar_objects = {
    {{"^" RE_NAME "(/(" RE_SUBDOMAIN "/)?" RE_NAME ")?$"}}, 0, NULL, NULL};
static const struct schema_value spec_values[] = {
    [SPEC_REQUESTS] = {.about = "What all requests to the subtree share.",
	.map = &requests_schema},
    [SPEC_PER_USER] = {.about = "What each user has of it at most.",
	.map = &per_user_schema},
    [SPEC_PER_TOKEN] = {.about = "What each token has of it at most.",
	.map = &per_token_schema},
    [SPEC_OBJECTS] = {.about =
			  "How many objects, or how much of a resource, the subtree "
			  "may hold: pods, services, requests.cpu, requests.memory.",
	.keys = &grammar_objects,
	.each = &(const struct schema_value){.types = TYPE_NUMBER | TYPE_STRING,
	    .grammar = &grammar_quantity,
	    .bounded = true,
	    .max = COUNT_MAX}},
    [SPEC_NETWORK] = {.about = "What the subtree's workloads may use of the network.",
	.map = &network_schema},
};
const struct schema load_quota_schema =
    SCHEMA_TOLD("a Quota's spec", spec_fields, spec_values);

static const struct quota_limits no_limits = {
    QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET};

static const struct quota_network no_network = {
    .per_second_milli = QUOTA_UNSET,
    .burst = QUOTA_UNSET,
    .connections = QUOTA_UNSET,
    .egress_bytes_per_second = QUOTA_UNSET,
    .ingress_bytes_per_second = QUOTA_UNSET,
    .guaranteed_percent = QUOTA_UNSET,
};

void
load_quota(struct loader *l, const struct load_object *o)
{
	struct quota *q = ARENA_NEW(l->arena, struct quota);
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	q->level = load_home(l, o, &meta);
	if (!ok || q->level == NULL || !load_claim_native(l, o, &meta))
		return;
	q->name = meta.name;
	q->loc = meta.loc;
	q->requests = q->per_user = q->per_token = no_limits;
	q->network = no_network;
	if (spec == NULL) {
		diag_say(
		    l->diags, CODE_MISSING_FIELD, meta.loc, "Quota needs \"spec\"");
		return;
	}
	/* What is wrong is no limit, and the document is refused. */
	ok = schema_read(l->diags, &load_quota_schema, spec, v);
	if (v[SPEC_REQUESTS] != NULL)
		ok &= read_limits(l, &requests_schema, v[SPEC_REQUESTS], &q->requests);
	if (v[SPEC_PER_USER] != NULL)
		ok &= read_limits(l, &per_user_schema, v[SPEC_PER_USER], &q->per_user);
	if (v[SPEC_PER_TOKEN] != NULL)
		ok &=
		    read_limits(l, &per_token_schema, v[SPEC_PER_TOKEN], &q->per_token);
	if (v[SPEC_OBJECTS] != NULL)
		ok &= read_objects(l, v[SPEC_OBJECTS], q);
	if (v[SPEC_NETWORK] != NULL)
		ok &= read_network(l, v[SPEC_NETWORK], &q->network);
	if (ok)
		ptr_vec_push(&l->others[OTHER_QUOTA], q);
}
