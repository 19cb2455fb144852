/*
 * The tables of the three dialects, and how each writes ports.
 */
#include "policy-lang/load/load_admin.h"

static const char *const protocol_names[] = {"TCP", "UDP", "SCTP"};
static const uint8_t protocol_numbers[] = {PROTO_TCP, PROTO_UDP, PROTO_SCTP};

static bool
read_number(
    struct loader *l, const struct doc_node *node, const char *what, uint16_t *out)
{
	int64_t value;

	if (!schema_int(l->diags, node, what, 1, UINT16_MAX, &value))
		return false;
	*out = (uint16_t)value;
	return true;
}

/* ---- v1alpha1: portNumber, portRange, namedPort ---- */

enum {
	OLD_NUMBER,
	OLD_RANGE,
	OLD_NAMED
};

static const struct schema_field old_port_fields[] = {
    [OLD_NUMBER] = {"portNumber", TYPE_MAP, false, NULL},
    [OLD_RANGE] = {"portRange", TYPE_MAP, false, NULL},
    [OLD_NAMED] = {"namedPort", TYPE_STRING, false, NULL},
};
static const struct schema old_port_schema = SCHEMA("a port", old_port_fields);

enum {
	NUMBER_PROTOCOL,
	NUMBER_PORT
};

static const struct schema_field number_fields[] = {
    [NUMBER_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
    [NUMBER_PORT] = {"port", TYPE_INT, true, NULL},
};
static const struct schema number_schema = SCHEMA("\"portNumber\"", number_fields);

enum {
	RANGE_PROTOCOL,
	RANGE_START,
	RANGE_END
};

static const struct schema_field range_fields[] = {
    [RANGE_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
    [RANGE_START] = {"start", TYPE_INT, true, NULL},
    [RANGE_END] = {"end", TYPE_INT, true, NULL},
};
static const struct schema range_schema = SCHEMA("\"portRange\"", range_fields);

/* The CRD takes any protocol; what is none of the three makes the rule fail closed. */
static bool
read_protocol(struct loader *l, const struct doc_node *node, uint8_t *out)
{
	const char *nearest;
	struct diag *d;

	*out = PROTO_TCP;
	if (node == NULL)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(protocol_names); i++) {
		if (str_is(node->text, protocol_names[i])) {
			*out = protocol_numbers[i];
			return true;
		}
	}
	d = diag_say(l->diags, CODE_ODD_PROTOCOL, node->loc,
	    "\"%.*s\" is not TCP, UDP or SCTP: the rule fails closed",
	    STR_ARG(node->text));
	nearest = nearest_of(node->text, protocol_names, ARRAY_LEN(protocol_names));
	if (nearest != NULL)
		diag_hint(l->diags, d, "did you mean \"%s\"?", nearest);
	return false;
}

static bool
read_old_number(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(number_fields)];

	if (!schema_read(l->diags, &number_schema, node, v) ||
	    !read_number(l, v[NUMBER_PORT], "\"port\"", &out->lo))
		return false;
	out->hi = out->lo;
	return read_protocol(l, v[NUMBER_PROTOCOL], &out->proto);
}

static bool
read_old_range(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(range_fields)];
	bool ok = schema_read(l->diags, &range_schema, node, v);

	if (!ok || !read_number(l, v[RANGE_START], "\"start\"", &out->lo) ||
	    !read_number(l, v[RANGE_END], "\"end\"", &out->hi))
		return false;
	if (out->lo > out->hi)
		diag_say(l->diags, CODE_EMPTY_RANGE, node->loc,
		    "the range ends before it starts: it matches nothing");
	return read_protocol(l, v[RANGE_PROTOCOL], &out->proto);
}

static bool
read_old_port(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(old_port_fields)];
	size_t which;

	if (!admin_read_one(l, &old_port_schema, node, v, &which))
		return false;
	if (which == OLD_NUMBER)
		return read_old_number(l, v[which], out);
	if (which == OLD_RANGE)
		return read_old_range(l, v[which], out);
	out->kind = PORT_NAMED;
	out->name = load_text(l, v[OLD_NAMED]->text);
	return true;
}

/* ---- v1alpha2: tcp, udp, sctp, destinationNamedPort ---- */

enum {
	NEW_NAMED = ARRAY_LEN(protocol_names)
};

static const struct schema_field new_port_fields[] = {
    /* As protocol_names orders them. */
    {"tcp", TYPE_MAP, false, NULL},
    {"udp", TYPE_MAP, false, NULL},
    {"sctp", TYPE_MAP, false, NULL},
    [NEW_NAMED] = {"destinationNamedPort", TYPE_STRING, false, NULL},
};
static const struct schema new_port_schema = SCHEMA("a protocol", new_port_fields);

static const struct schema_field match_fields[] = {
    {"destinationPort", TYPE_MAP, true, NULL},
};
static const struct schema match_schemas[] = {
    SCHEMA("\"tcp\"", match_fields),
    SCHEMA("\"udp\"", match_fields),
    SCHEMA("\"sctp\"", match_fields),
};

enum {
	DEST_NUMBER,
	DEST_RANGE
};

static const struct schema_field dest_fields[] = {
    [DEST_NUMBER] = {"number", TYPE_INT, false, NULL},
    [DEST_RANGE] = {"range", TYPE_MAP, false, NULL},
};
static const struct schema dest_schema = SCHEMA("\"destinationPort\"", dest_fields);

enum {
	DRANGE_START,
	DRANGE_END
};

static const struct schema_field drange_fields[] = {
    [DRANGE_START] = {"start", TYPE_INT, true, NULL},
    [DRANGE_END] = {"end", TYPE_INT, true, NULL},
};
static const struct schema drange_schema = SCHEMA("\"range\"", drange_fields);

static bool
read_destination(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(dest_fields)];
	const struct doc_node *r[ARRAY_LEN(drange_fields)];
	size_t which;

	if (!admin_read_one(l, &dest_schema, node, v, &which))
		return false;
	if (which == DEST_NUMBER) {
		if (!read_number(l, v[DEST_NUMBER], "\"number\"", &out->lo))
			return false;
		out->hi = out->lo;
		return true;
	}
	if (!schema_read(l->diags, &drange_schema, v[DEST_RANGE], r) ||
	    !read_number(l, r[DRANGE_START], "\"start\"", &out->lo) ||
	    !read_number(l, r[DRANGE_END], "\"end\"", &out->hi))
		return false;
	if (out->lo < out->hi)
		return true;
	diag_say(l->diags, CODE_BAD_PORT, r[DRANGE_START]->loc,
	    "\"start\" must be less than \"end\"; for one port, write \"number\"");
	return false;
}

static bool
read_new_port(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(new_port_fields)];
	const struct doc_node *m[ARRAY_LEN(match_fields)];
	size_t which;

	if (!admin_read_one(l, &new_port_schema, node, v, &which))
		return false;
	if (which == NEW_NAMED) {
		out->kind = PORT_NAMED;
		out->name = load_text(l, v[which]->text);
		return true;
	}
	out->proto = protocol_numbers[which];
	return schema_read(l->diags, &match_schemas[which], v[which], m) &&
	       read_destination(l, m[0], out);
}

/* ---- rules and specs ---- */

#define RULE_FIELDS(peers, ports)                                                      \
	{                                                                              \
		{"name", TYPE_STRING, false, NULL},                                    \
		    {"action", TYPE_STRING, true, NULL},                               \
		    {peers, TYPE_LIST, true, NULL}, {ports, TYPE_LIST, false, NULL},   \
	}

static const struct schema_field old_ingress[] = RULE_FIELDS("from", "ports");
static const struct schema_field old_egress[] = RULE_FIELDS("to", "ports");
static const struct schema_field new_ingress[] = RULE_FIELDS("from", "protocols");
static const struct schema_field new_egress[] = RULE_FIELDS("to", "protocols");

#define SPEC_COMMON                                                                    \
	[ADMIN_SUBJECT] = {"subject", TYPE_MAP, true, NULL},                           \
	[ADMIN_INGRESS] = {"ingress", TYPE_LIST, false, NULL},                         \
	[ADMIN_EGRESS] = {"egress", TYPE_LIST, false, NULL}

static const struct schema_field banp_spec[] = {SPEC_COMMON};
static const struct schema_field anp_spec[] = {
    SPEC_COMMON,
    [ADMIN_PRIORITY] = {"priority", TYPE_INT, true, NULL},
};
static const struct schema_field cnp_spec[] = {
    SPEC_COMMON,
    [ADMIN_PRIORITY] = {"priority", TYPE_INT, true, NULL},
    [ADMIN_TIER] = {"tier", TYPE_STRING, true, NULL},
};

static const char *const old_actions[] = {
    [ACTION_ALLOW] = "Allow",
    [ACTION_DENY] = "Deny",
    [ACTION_PASS] = "Pass",
};
static const char *const new_actions[] = {
    [ACTION_ALLOW] = "Accept",
    [ACTION_DENY] = "Deny",
    [ACTION_PASS] = "Pass",
};

const struct admin_dialect admin_dialect_anp = {
    .kind = POLICY_ADMIN,
    .spec = SCHEMA("an AdminNetworkPolicy's spec", anp_spec),
    .rules =
	{
	    [DIR_INGRESS] = SCHEMA("an ingress rule", old_ingress),
	    [DIR_EGRESS] = SCHEMA("an egress rule", old_egress),
	},
    .actions = old_actions,
    .action_count = ARRAY_LEN(old_actions),
    .items_max = 100,
    .egress_peers = 5,
    .old_pods = true,
    .ports_name = "ports",
    .read_port = read_old_port,
};

const struct admin_dialect admin_dialect_banp = {
    .kind = POLICY_BASELINE,
    .spec = SCHEMA("a BaselineAdminNetworkPolicy's spec", banp_spec),
    .rules =
	{
	    [DIR_INGRESS] = SCHEMA("an ingress rule", old_ingress),
	    [DIR_EGRESS] = SCHEMA("an egress rule", old_egress),
	},
    .actions = old_actions,
    .action_count = ACTION_PASS, /* all before it */
    .items_max = 100,
    .egress_peers = 4,
    .old_pods = true,
    .ports_name = "ports",
    .read_port = read_old_port,
};

const struct admin_dialect admin_dialect_cnp = {
    .kind = POLICY_CLUSTER,
    .spec = SCHEMA("a ClusterNetworkPolicy's spec", cnp_spec),
    .rules =
	{
	    [DIR_INGRESS] = SCHEMA("an ingress rule", new_ingress),
	    [DIR_EGRESS] = SCHEMA("an egress rule", new_egress),
	},
    .actions = new_actions,
    .action_count = ARRAY_LEN(new_actions),
    .items_max = 25,
    .egress_peers = 5,
    .ports_name = "protocols",
    .read_port = read_new_port,
};
