/*
 * dns: whose answers teach which addresses a name has, and whether they wait for that.
 */
#include "enforcer/config/config_internal.h"

#include <string.h>

#include "common/limits.h"

#define DEFAULT_NAMES_GROUP 101

/* Whether it is the address of one, and says all: no interface is needed beside it. */
static bool
is_of_one(const struct ip_addr *addr)
{
	static const uint8_t any[16] = {0};
	const uint8_t *b = addr->bytes;

	if (memcmp(b, any, ip_bytes(addr->family)) == 0)
		return false;
	if (addr->family == IP_V4)
		return b[0] != 0 && b[0] < 224;
	return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

static bool
is_loopback(const struct ip_addr *addr)
{
	static const uint8_t one[16] = {[15] = 1};

	return addr->family == IP_V4 ? addr->bytes[0] == 127
				     : memcmp(addr->bytes, one, sizeof(one)) == 0;
}

static bool
read_resolver(struct config_reader *r, const struct doc_node *n, struct ip_addr *all,
    size_t count)
{
	if (n->kind != DOC_STRING || !ip_parse(n->text, &all[count])) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "a resolver is the address that workloads ask");
		return false;
	}
	if (!is_of_one(&all[count])) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "a resolver is asked at one address: not any, none of many, none "
		    "of "
		    "a link");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (ip_eq(&all[i], &all[count])) {
			diag_error(
			    r->diags, CONFIG_VALUE, n->loc, "this is there twice");
			return false;
		}
	}
	return true;
}

static void
read_resolvers(struct config_reader *r, const struct doc_node *n)
{
	struct ip_addr *all = ARENA_ARRAY(r->arena, n->count, struct ip_addr);

	if (n->count == 0 || n->count > LIMIT_DNS_RESOLVERS) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"resolvers\" are 1 to %u addresses", LIMIT_DNS_RESOLVERS);
		return;
	}
	for (uint32_t i = 0; i < n->count; i++) {
		if (!read_resolver(r, n->u.items[i], all, i))
			return;
	}
	r->config->resolvers = all;
	r->config->resolver_count = n->count;
}

static void
read_listener(struct config_reader *r, const struct doc_node *n,
    const struct dns_listener *before, size_t count, struct dns_listener *out)
{
	if (n->kind != DOC_STRING ||
	    !config_address_port(n->text, &out->addr, &out->port)) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"listen\" has items ADDRESS:PORT, with an IPv6 address in "
		    "brackets");
		return;
	}
	if (!is_of_one(&out->addr))
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "workloads ask one address of the node: not every, none of many, "
		    "none of a link");
	for (size_t i = 0; i < count; i++) {
		if (ip_eq(&before[i].addr, &out->addr) && before[i].port == out->port)
			diag_error(
			    r->diags, CONFIG_VALUE, n->loc, "this is there twice");
	}
}

static void
read_listeners(struct config_reader *r, const struct doc_node *n)
{
	struct dns_listener *all = ARENA_ARRAY(r->arena, n->count, struct dns_listener);

	if (n->count == 0 || n->count > LIMIT_DNS_LISTENERS) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"listen\" has 1 to %u addresses", LIMIT_DNS_LISTENERS);
		return;
	}
	for (uint32_t i = 0; i < n->count; i++)
		read_listener(r, n->u.items[i], all, i, &all[i]);
	r->config->dns_listeners = all;
	r->config->dns_listener_count = n->count;
}

/* Copies are of packets between workloads and resolvers: to itself, nobody's come by. */
static void
check_loopback(struct config_reader *r, const struct doc_node *n)
{
	for (size_t i = 0; i < r->config->resolver_count; i++) {
		if (is_loopback(&r->config->resolvers[i]))
			diag_error(r->diags, CONFIG_VALUE, n->u.items[i]->loc,
			    "no workload asks a loopback address of the node; the node "
			    "itself may, with \"mode: hold\"");
	}
}

/* A resolver that asks itself goes round in circles. */
static void
check_circle(struct config_reader *r, const struct doc_node *n)
{
	const struct enforcer_config *c = r->config;

	for (size_t i = 0; i < c->dns_listener_count; i++) {
		for (size_t j = 0; j < c->resolver_count; j++) {
			if (ip_eq(&c->dns_listeners[i].addr, &c->resolvers[j]))
				diag_error(r->diags, CONFIG_VALUE, n->loc,
				    "what listens is no resolver that it asks");
		}
	}
}

void
config_check_dns(struct config_reader *r, const struct doc_node *n)
{
	const struct enforcer_config *c = r->config;

	if (c->dns_listener_count != 0 && c->workload_network_count == 0)
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "with \"mode: hold\" only \"workloadNetworks\" are answered: there "
		    "is none");
}

void
config_read_dns(struct config_reader *r, const struct doc_node *n)
{
	enum {
		RESOLVERS,
		MODE,
		GROUP,
		LISTEN,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [RESOLVERS] = {"resolvers", TYPE_LIST, true, NULL},
	    [MODE] = {"mode", TYPE_STRING, false, NULL},
	    [GROUP] = {"group", TYPE_INT, false, NULL},
	    [LISTEN] = {"listen", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("dns", fields);
	static const char *const modes[] = {"observe", "hold"};
	const struct doc_node *v[COUNT];
	int64_t group = DEFAULT_NAMES_GROUP;
	size_t mode = 0;

	config_fields(r, &schema, n, v);
	if (v[RESOLVERS] != NULL)
		read_resolvers(r, v[RESOLVERS]);
	if (v[MODE] != NULL &&
	    !schema_enum(r->diags, v[MODE], "mode", modes, ARRAY_LEN(modes), &mode))
		return;
	if (v[LISTEN] != NULL)
		read_listeners(r, v[LISTEN]);
	if ((mode == 1) != (v[LISTEN] != NULL))
		diag_error(r->diags, CONFIG_VALUE,
		    v[LISTEN] != NULL ? v[LISTEN]->loc : v[MODE]->loc,
		    "\"mode: hold\" and \"listen\" go together");
	else if (mode == 1)
		check_circle(r, v[LISTEN]);
	else if (v[RESOLVERS] != NULL)
		check_loopback(r, v[RESOLVERS]);
	if (v[GROUP] != NULL &&
	    !schema_int(r->diags, v[GROUP], "group", 1, 65535, &group))
		return;
	if (group == r->config->flow_group)
		diag_error(r->diags, CONFIG_VALUE,
		    v[GROUP] != NULL ? v[GROUP]->loc : n->loc,
		    "group %u is that of flows: DNS has one of its own",
		    (unsigned)group);
	r->config->names_group = (uint16_t)group;
}
