/*
 * Services. No policy names one; what is read is what lints and listings need: the
 * addresses and ports that clients dial, and the pods and ports behind them. Checked as
 * the API server checks these fields (pkg/apis/core/validation ValidateService); the
 * others are nobody's business here.
 */
#include "policy-lang/load/load_internal.h"

/* clusterIPs of the two families; externalIPs as a balancer may have them. */
#define CLUSTER_IPS_MAX  2
#define EXTERNAL_IPS_MAX 256

static const char *const type_names[] = {
    "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
enum {
	TYPE_CLUSTER_IP,
	TYPE_EXTERNAL_NAME = 3
};

/* ---- ports ---- */

enum {
	PORT_NAME,
	PORT_PROTOCOL,
	PORT_PORT,
	PORT_TARGET
};

static const struct schema_field port_fields[] = {
    [PORT_NAME] = {"name", TYPE_STRING, false, NULL},
    [PORT_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
    [PORT_PORT] = {"port", TYPE_INT, true, NULL},
    [PORT_TARGET] = {"targetPort", TYPE_INT | TYPE_STRING, false, NULL},
};
static const struct schema port_schema = SCHEMA_OPEN("a Service's port", port_fields);

/* Absent, 0 and "" are the port itself. */
static bool
read_target(struct loader *l, const struct doc_node *node, struct service_port *out)
{
	uint64_t number;
	struct diag *d;
	int64_t port;

	out->target = out->port;
	if (node == NULL ||
	    (node->kind == DOC_INT ? node->u.integer == 0 : node->text.len == 0))
		return true;
	if (node->kind == DOC_INT) {
		if (!schema_int(l->diags, node, "\"targetPort\"", 1, UINT16_MAX, &port))
			return false;
		out->target = (uint16_t)port;
		return true;
	}
	if (!name_is_port(node->text)) {
		d = diag_say(l->diags, CODE_BAD_PORT, node->loc,
		    "a port's name must be %s", NAME_PORT_RULE);
		if (str_to_u64(node->text, UINT16_MAX, &number))
			diag_hint(l->diags, d, "for the number, leave out the quotes");
		return false;
	}
	out->target = 0;
	out->target_name = load_text(l, node->text);
	return true;
}

/* Several ports need names; files that never met an API server do without. */
static bool
read_name(struct loader *l, const struct doc_node *name, const struct doc_node *port,
    bool needed, struct service_port *out)
{
	out->name = STR("");
	if (name == NULL || name->text.len == 0) {
		if (needed)
			diag_say(l->diags, CODE_ODD_NAME,
			    name != NULL ? name->loc : port->loc,
			    "the API server wants a \"name\" for each of several ports "
			    "of a Service");
		return true;
	}
	if (!name_is_label(name->text)) {
		diag_say(l->diags, CODE_BAD_PORT, name->loc,
		    "a Service's port name must be %s", NAME_LABEL_RULE);
		return false;
	}
	out->name = load_text(l, name->text);
	return true;
}

static bool
read_port(struct loader *l, const struct doc_node *node, bool name_needed,
    struct service_port *out)
{
	static const char *const protocols[] = {"TCP", "UDP", "SCTP"};
	const struct doc_node *v[ARRAY_LEN(port_fields)];
	size_t protocol = 0;
	int64_t port;
	bool ok;

	if (!schema_read(l->diags, &port_schema, node, v) ||
	    !schema_int(l->diags, v[PORT_PORT], "\"port\"", 1, UINT16_MAX, &port))
		return false;
	out->port = (uint16_t)port;
	out->loc = node->loc;
	ok = read_name(l, v[PORT_NAME], node, name_needed, out);
	ok &= read_target(l, v[PORT_TARGET], out);
	if (v[PORT_PROTOCOL] != NULL && v[PORT_PROTOCOL]->text.len != 0)
		ok &= schema_enum(l->diags, v[PORT_PROTOCOL], "\"protocol\"", protocols,
		    ARRAY_LEN(protocols), &protocol);
	return proto_parse(str_from(protocols[protocol]), &out->proto) && ok;
}

/* What a client dials, or a port's name, may be there once. */
static bool
check_unique(struct loader *l, struct service_port *p, struct map *seen)
{
	const char *keys[] = {
	    arena_printf(l->scratch, "%u/%u", (unsigned)p->port, (unsigned)p->proto),
	    arena_printf(l->scratch, "name %.*s", STR_ARG(p->name))};
	size_t count = p->name.len != 0 ? 2 : 1;

	for (size_t i = 0; i < count; i++) {
		const struct service_port *first = map_get(seen, str_from(keys[i]));
		struct diag *d;

		if (first == NULL) {
			map_set(seen, str_from(keys[i]), p);
			continue;
		}
		d = diag_say(l->diags, CODE_DUPLICATE_VALUE, p->loc,
		    i == 0 ? "the Service has this port and protocol twice"
			   : "the Service has two ports of this name");
		diag_note(l->diags, d, first->loc, "the first one is here");
		return false;
	}
	return true;
}

static bool
read_ports(struct loader *l, const struct doc_node *list, struct service *s)
{
	struct service_port *ports =
	    ARENA_ARRAY(l->arena, list->count, struct service_port);
	struct map seen = {0};
	bool ok = true;

	s->ports = ports;
	for (uint32_t i = 0; i < list->count; i++) {
		if (!read_port(
			l, list->u.items[i], list->count > 1, &ports[s->port_count]) ||
		    !check_unique(l, &ports[s->port_count], &seen))
			ok = false;
		else
			s->port_count++;
	}
	map_fini(&seen);
	return ok;
}

/* ---- the pods behind ---- */

/* A plain map of labels. One without entries is none: an API server forgets it. */
static bool
read_selector(struct loader *l, const struct doc_node *map, struct service *s)
{
	struct selector *selector;
	struct requirement *reqs;
	struct label_set labels;

	if (map->count == 0)
		return true;
	if (!load_labels(l, map, &labels))
		return false;
	selector = ARENA_NEW(l->arena, struct selector);
	reqs = ARENA_ARRAY(l->arena, labels.count, struct requirement);
	for (size_t i = 0; i < labels.count; i++)
		reqs[i] = (struct requirement){.key = labels.items[i].key,
		    .op = REQ_IN,
		    .values = &labels.items[i].value,
		    .value_count = 1};
	*selector = (struct selector){reqs, labels.count, map->loc};
	s->selector = selector;
	return true;
}

/* ---- addresses ---- */

/* Reads a list of addresses; an empty text is none. */
static bool
read_ips(struct loader *l, const struct doc_node *list, const char *what, size_t max,
    struct ip_addr **out, size_t *out_count)
{
	struct ip_addr *ips;
	bool ok = true;

	if (list->count > max) {
		diag_say(l->diags, CODE_TOO_MANY, list->loc,
		    "\"%s\" has more than %zu addresses", what, max);
		return false;
	}
	ips = ARENA_ARRAY(l->arena, list->count, struct ip_addr);
	*out = ips;
	*out_count = 0;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		if (load_address(l, item, &ips[*out_count]))
			(*out_count)++;
		else
			ok &= item->kind == DOC_STRING && item->text.len == 0;
	}
	return ok;
}

static bool
is_none(const struct doc_node *node)
{
	return node->kind == DOC_STRING && str_is(node->text, "None");
}

/* clusterIP repeats the first of clusterIPs; "None" is headless. */
static bool
read_cluster_ips(struct loader *l, const struct doc_node *one,
    const struct doc_node *many, struct service *s, bool *out_headless)
{
	struct doc_node *const *first =
	    many != NULL && many->count != 0 ? &many->u.items[0] : NULL;
	struct ip_addr *ips;
	bool ok = true;

	*out_headless =
	    (one != NULL && is_none(one)) || (first != NULL && is_none(*first));
	if (first != NULL && one != NULL && !str_eq(one->text, (*first)->text)) {
		diag_say(l->diags, CODE_BAD_VALUE, (*first)->loc,
		    "the first of \"clusterIPs\" must be \"clusterIP\"");
		return false;
	}
	if (*out_headless || (first == NULL && (one == NULL || one->text.len == 0)))
		return true;
	if (first != NULL) {
		ok = read_ips(
		    l, many, "clusterIPs", CLUSTER_IPS_MAX, &ips, &s->ip_count);
	} else {
		ips = ARENA_NEW(l->arena, struct ip_addr);
		ok = load_address(l, one, ips);
		s->ip_count = ok;
	}
	if (!ok)
		s->ip_count = 0;
	s->ips = ips;
	if (s->ip_count == 2 && ips[0].family == ips[1].family) {
		diag_say(l->diags, CODE_BAD_VALUE, many->loc,
		    "two \"clusterIPs\" must be of different families");
		ok = false;
	}
	return ok;
}

/* The addresses in status.loadBalancer.ingress; those that have names are left out. */
static size_t
count_balancers(const struct doc_node *list)
{
	return list != NULL && list->kind == DOC_LIST ? list->count : 0;
}

static bool
read_external_ips(struct loader *l, const struct doc_node *list,
    const struct doc_node *doc, struct service *s)
{
	const struct doc_node *status = doc_value(doc, "status");
	const struct doc_node *lb =
	    status != NULL ? doc_value(status, "loadBalancer") : NULL;
	const struct doc_node *balancers = lb != NULL ? doc_value(lb, "ingress") : NULL;
	struct ip_addr *ips = NULL;
	struct ip_prefix *prefixes;
	size_t count = 0;
	bool ok = true;

	if (list != NULL)
		ok = read_ips(l, list, "externalIPs", EXTERNAL_IPS_MAX, &ips, &count);
	prefixes =
	    ARENA_ARRAY(l->arena, count + count_balancers(balancers), struct ip_prefix);
	s->external_ips = prefixes;
	for (size_t i = 0; i < count; i++)
		prefixes[s->external_ip_count++] =
		    (struct ip_prefix){ips[i], (uint8_t)ip_bits(ips[i].family)};
	for (size_t i = 0; i < count_balancers(balancers); i++) {
		const struct doc_node *ip = doc_value(balancers->u.items[i], "ip");
		struct ip_addr addr;

		if (ip != NULL && load_address(l, ip, &addr))
			prefixes[s->external_ip_count++] =
			    (struct ip_prefix){addr, (uint8_t)ip_bits(addr.family)};
	}
	return ok;
}

/* ---- the document ---- */

enum {
	SPEC_TYPE,
	SPEC_SELECTOR,
	SPEC_PORTS,
	SPEC_CLUSTER_IP,
	SPEC_CLUSTER_IPS,
	SPEC_EXTERNAL_IPS
};

static const struct schema_field spec_fields[] = {
    [SPEC_TYPE] = {"type", TYPE_STRING, false, NULL},
    [SPEC_SELECTOR] = {"selector", TYPE_MAP, false, NULL},
    [SPEC_PORTS] = {"ports", TYPE_LIST, false, NULL},
    [SPEC_CLUSTER_IP] = {"clusterIP", TYPE_STRING, false, LOAD_ADVICE_IP},
    [SPEC_CLUSTER_IPS] = {"clusterIPs", TYPE_LIST, false, NULL},
    [SPEC_EXTERNAL_IPS] = {"externalIPs", TYPE_LIST, false, NULL},
};
static const struct schema spec_schema = SCHEMA_OPEN("a Service's spec", spec_fields);

static bool
read_spec(struct loader *l, const struct doc_node *doc, const struct doc_node *spec,
    struct service *s)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	size_t type = TYPE_CLUSTER_IP;
	bool ok, headless = false;

	if (!schema_read(l->diags, &spec_schema, spec, v))
		return false;
	ok = v[SPEC_TYPE] == NULL || v[SPEC_TYPE]->text.len == 0 ||
	     schema_enum(l->diags, v[SPEC_TYPE], "\"type\"", type_names,
		 ARRAY_LEN(type_names), &type);
	s->type = str_from(type_names[type]);
	ok &= read_external_ips(l, v[SPEC_EXTERNAL_IPS], doc, s);
	if (v[SPEC_PORTS] != NULL)
		ok &= read_ports(l, v[SPEC_PORTS], s);
	if (type == TYPE_EXTERNAL_NAME)
		return ok; /* a name for somewhere else: no address, no pods */
	ok &=
	    read_cluster_ips(l, v[SPEC_CLUSTER_IP], v[SPEC_CLUSTER_IPS], s, &headless);
	if (v[SPEC_SELECTOR] != NULL)
		ok &= read_selector(l, v[SPEC_SELECTOR], s);
	if (headless || (v[SPEC_PORTS] != NULL && v[SPEC_PORTS]->count != 0))
		return ok;
	diag_say(l->diags, CODE_MISSING_FIELD,
	    v[SPEC_PORTS] != NULL ? v[SPEC_PORTS]->loc : spec->loc,
	    "a Service needs \"ports\", unless it is headless or an ExternalName");
	return false;
}

void
load_service(struct loader *l, const struct load_object *o)
{
	struct service *s = ARENA_NEW(l->arena, struct service);
	const struct doc_node *spec = doc_value(o->doc, "spec");
	struct kube_node *kube;
	struct meta meta;

	if (!load_meta(l, o, META_NAMESPACED, true, &meta) ||
	    (!meta.generated &&
		!load_claim(l, "Service", o->cluster, meta.ns, meta.name, meta.loc)))
		return;
	if (!meta.generated && (!name_is_label(meta.name) || meta.name.ptr[0] < 'a'))
		diag_say(l->diags, CODE_ODD_NAME, meta.loc,
		    "the API server wants a Service's name to be a DNS label that "
		    "begins with a letter");
	if (spec == NULL) {
		diag_say(
		    l->diags, CODE_MISSING_FIELD, meta.loc, "Service needs \"spec\"");
		return;
	}
	kube = load_kube_ns(l, o->cluster, meta.ns);
	kube_node_known(kube);
	s->kube = &kube->kube;
	s->name = meta.name;
	s->loc = meta.loc;
	if (read_spec(l, o->doc, spec, s))
		ptr_vec_push(&l->others[OTHER_SERVICE], s);
}
