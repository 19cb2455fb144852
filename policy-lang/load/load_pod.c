/*
 * Kubernetes' pods, and what makes pods. Of their hundreds of fields only those that
 * policy depends on are read and checked.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load_pod.h"

/* ---- the parts of a pod ---- */

enum {
	CPORT_NAME,
	CPORT_PORT,
	CPORT_PROTOCOL
};

static const struct schema_field cport_fields[] = {
    [CPORT_NAME] = {"name", TYPE_STRING, false, NULL},
    [CPORT_PORT] = {"containerPort", TYPE_INT, true, NULL},
    [CPORT_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
};
static const struct schema cport_schema = SCHEMA_OPEN("a container port", cport_fields);

enum {
	CONTAINER_PORTS
};

static const struct schema_field container_fields[] = {
    [CONTAINER_PORTS] = {"ports", TYPE_LIST, false, NULL},
};
static const struct schema container_schema =
    SCHEMA_OPEN("a container", container_fields);

enum {
	POD_NODE,
	POD_HOST_NETWORK,
	POD_ACCOUNT,
	POD_OLD_ACCOUNT,
	POD_CONTAINERS,
	POD_INIT
};

static const struct schema_field pod_fields[] = {
    [POD_NODE] = {"nodeName", TYPE_STRING, false, NULL},
    [POD_HOST_NETWORK] = {"hostNetwork", TYPE_BOOL, false, NULL},
    [POD_ACCOUNT] = {"serviceAccountName", TYPE_STRING, false, NULL},
    [POD_OLD_ACCOUNT] = {"serviceAccount", TYPE_STRING, false, NULL},
    [POD_CONTAINERS] = {"containers", TYPE_LIST, false, NULL},
    [POD_INIT] = {"initContainers", TYPE_LIST, false, NULL},
};
static const struct schema pod_schema = SCHEMA_OPEN("a pod's spec", pod_fields);

enum {
	STATUS_PHASE,
	STATUS_IP,
	STATUS_IPS,
	STATUS_HOST_IP,
	STATUS_HOST_IPS,
	STATUS_CONDITIONS
};

static const struct schema_field status_fields[] = {
    [STATUS_PHASE] = {"phase", TYPE_STRING, false, NULL},
    [STATUS_IP] = {"podIP", TYPE_STRING, false, LOAD_ADVICE_IP},
    [STATUS_IPS] = {"podIPs", TYPE_LIST, false, NULL},
    [STATUS_HOST_IP] = {"hostIP", TYPE_STRING, false, LOAD_ADVICE_IP},
    [STATUS_HOST_IPS] = {"hostIPs", TYPE_LIST, false, NULL},
    [STATUS_CONDITIONS] = {"conditions", TYPE_LIST, false, NULL},
};
static const struct schema status_schema = SCHEMA_OPEN("a pod's status", status_fields);

enum {
	OWNER_KIND,
	OWNER_NAME
};

static const struct schema_field owner_fields[] = {
    [OWNER_KIND] = {"kind", TYPE_STRING, false, NULL},
    [OWNER_NAME] = {"name", TYPE_STRING, false, NULL},
};
static const struct schema owner_schema =
    SCHEMA_OPEN("an owner reference", owner_fields);

/* ---- ports ---- */

static bool
read_container_port(
    struct loader *l, const struct doc_node *node, struct named_port *out)
{
	static const char *const protocols[] = {"TCP", "UDP", "SCTP"};
	const struct doc_node *v[ARRAY_LEN(cport_fields)];
	size_t protocol = 0;
	int64_t port;

	if (!schema_read(l->diags, &cport_schema, node, v) ||
	    !schema_int(
		l->diags, v[CPORT_PORT], "\"containerPort\"", 1, UINT16_MAX, &port))
		return false;
	if (v[CPORT_PROTOCOL] != NULL &&
	    !schema_enum(l->diags, v[CPORT_PROTOCOL], "\"protocol\"", protocols,
		ARRAY_LEN(protocols), &protocol))
		return false;
	if (!proto_parse(str_from(protocols[protocol]), &out->proto))
		return false;
	if (v[CPORT_NAME] == NULL || v[CPORT_NAME]->text.len == 0)
		return false; /* nothing that a rule could refer to */
	if (!name_is_port(v[CPORT_NAME]->text)) {
		diag_say(l->diags, CODE_BAD_PORT, v[CPORT_NAME]->loc,
		    "a port's name must be %s", NAME_PORT_RULE);
		return false;
	}
	out->name = load_text(l, v[CPORT_NAME]->text);
	out->port = (uint16_t)port;
	return true;
}

/* How many ports a list of containers has, at most; what is wrong is reported later. */
static size_t
count_ports(const struct doc_node *containers)
{
	size_t count = 0;

	for (uint32_t i = 0; containers != NULL && i < containers->count; i++) {
		const struct doc_node *ports =
		    doc_value(containers->u.items[i], "ports");

		count += ports != NULL ? ports->count : 0;
	}
	return count;
}

static int
port_name_cmp(const void *a, const void *b)
{
	const struct named_port *const *x = a, *const *y = b;
	int order = str_cmp((*x)->name, (*y)->name);

	return order != 0 ? order : (*x > *y) - (*x < *y);
}

const struct named_port *
load_named_ports(struct loader *l, const struct named_port *ports, size_t count)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct named_port *sorted = ARENA_ARRAY(l->scratch, count, struct named_port);
	const struct named_port **order =
	    ARENA_ARRAY(l->scratch, count, const struct named_port *);
	const struct named_port *shared;

	for (size_t i = 0; i < count; i++)
		order[i] = &ports[i];
	if (count > 1)
		qsort(order, count, sizeof(*order), port_name_cmp);
	for (size_t i = 0; i < count; i++)
		memcpy(&sorted[i], order[i], sizeof(*sorted)); /* its padding, too */
	shared = load_shared(l, sorted, count * sizeof(*sorted));
	arena_rewind(l->scratch, &mark);
	return shared;
}

static size_t
read_ports(struct loader *l, const struct doc_node *containers, struct named_port *out)
{
	size_t count = 0;

	for (uint32_t i = 0; containers != NULL && i < containers->count; i++) {
		const struct doc_node *v[ARRAY_LEN(container_fields)];

		if (!schema_read(
			l->diags, &container_schema, containers->u.items[i], v) ||
		    v[CONTAINER_PORTS] == NULL)
			continue;
		for (uint32_t j = 0; j < v[CONTAINER_PORTS]->count; j++)
			count += read_container_port(
			    l, v[CONTAINER_PORTS]->u.items[j], &out[count]);
	}
	return count;
}

/* Ports of init containers count too: those that go on running serve. */
static void
read_pod_ports(
    struct loader *l, const struct doc_node *const *v, struct workload_shape *shape)
{
	size_t room = count_ports(v[POD_CONTAINERS]) + count_ports(v[POD_INIT]);
	struct arena_mark mark = arena_mark(l->scratch);
	struct named_port *ports = ARENA_ARRAY(l->scratch, room, struct named_port);

	shape->port_count = read_ports(l, v[POD_CONTAINERS], ports);
	shape->port_count += read_ports(l, v[POD_INIT], ports + shape->port_count);
	shape->ports = load_named_ports(l, ports, shape->port_count);
	arena_rewind(l->scratch, &mark);
}

/* ---- addresses ---- */

static size_t
add_address(struct ip_addr *ips, size_t count, const struct ip_addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_eq(&ips[i], addr))
			return count;
	}
	ips[count] = *addr;
	return count + 1;
}

/* The addresses in `one` and in the list `many` of {ip: ...}. */
static size_t
collect_addresses(struct loader *l, const struct doc_node *one,
    const struct doc_node *many, struct ip_addr ips[1 + LIMIT_ADDRESSES])
{
	struct ip_addr addr;
	size_t count = 0;

	if ((one == NULL && many == NULL) ||
	    (many != NULL && load_too_many_addresses(l, many)))
		return 0;
	if (one != NULL && load_address(l, one, &addr))
		count = add_address(ips, count, &addr);
	for (uint32_t i = 0; many != NULL && i < many->count; i++) {
		const struct doc_node *ip = doc_value(many->u.items[i], "ip");

		if (ip != NULL && load_address(l, ip, &addr))
			count = add_address(ips, count, &addr);
	}
	return count;
}

/* The same, in the arena. */
static size_t
read_addresses(struct loader *l, const struct doc_node *one,
    const struct doc_node *many, struct ip_addr **out)
{
	struct ip_addr ips[1 + LIMIT_ADDRESSES];
	size_t count = collect_addresses(l, one, many, ips);

	*out = ARENA_ARRAY(l->arena, count, struct ip_addr);
	if (count != 0)
		memcpy(*out, ips, count * sizeof(*ips));
	return count;
}

/* ---- pods ---- */

struct owner {
	struct str kind, name;
};

static void
read_owner(struct loader *l, const struct meta *meta, struct owner *out)
{
	const struct doc_node *v[ARRAY_LEN(owner_fields)];

	if (meta->owners == NULL || meta->owners->count == 0)
		return;
	if (!schema_read(l->diags, &owner_schema, meta->owners->u.items[0], v) ||
	    (v[OWNER_KIND] != NULL && str_is(v[OWNER_KIND]->text, "Node")))
		return;
	/* Hand-written pods may leave half of it out. */
	if (v[OWNER_KIND] != NULL && v[OWNER_KIND]->text.len != 0)
		out->kind = v[OWNER_KIND]->text;
	if (v[OWNER_NAME] != NULL && v[OWNER_NAME]->text.len != 0)
		out->name = v[OWNER_NAME]->text;
}

static void
set_display(struct loader *l, const struct kube_ns *kube, const struct owner *owner,
    struct workload_shape *shape)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct str ns = model_display_of_kube(l->scratch, kube->cluster, kube->name);

	shape->display = load_text(l,
	    STR_CONCAT(l->scratch, ns, owner->name, STR("["), owner->kind, STR("]")));
	shape->owner_at = (uint32_t)ns.len;
	shape->owner_len = (uint32_t)owner->name.len;
	arena_rewind(l->scratch, &mark);
}

static bool
read_pod_spec(struct loader *l, const struct doc_node *spec, struct workload *w,
    struct workload_shape *shape, struct str *out_node)
{
	const struct doc_node *v[ARRAY_LEN(pod_fields)] = {NULL};
	const struct doc_node *account;
	bool ok = spec == NULL || schema_read(l->diags, &pod_schema, spec, v);

	account = v[POD_ACCOUNT] != NULL ? v[POD_ACCOUNT] : v[POD_OLD_ACCOUNT];
	shape->service_account = account != NULL && account->text.len != 0
				     ? load_text(l, account->text)
				     : STR("default");
	*out_node = v[POD_NODE] != NULL ? v[POD_NODE]->text : STR("");
	w->host_network = v[POD_HOST_NETWORK] != NULL && v[POD_HOST_NETWORK]->u.boolean;
	read_pod_ports(l, v, shape);
	w->shape = load_shape(l, shape);
	return ok;
}

/* A workload in the namespace of an object, owned by itself until told otherwise; its shape
 * is not whole. */
static struct workload *
new_workload(struct loader *l, const struct load_object *o, const struct meta *meta,
    struct workload_shape *shape)
{
	struct kube_node *kube = load_kube_ns(l, o->cluster, meta->ns);
	struct workload *w = ARENA_NEW(l->arena, struct workload);
	struct owner owner = {str_from(o->kind->kind), meta->name};

	kube_node_known(kube);
	w->name = meta->name;
	w->kube = &kube->kube; /* its namespace is not placed yet: see load_finish */
	w->loc = meta->loc;
	*shape = (struct workload_shape){.labels = meta->labels};
	read_owner(l, meta, &owner);
	set_display(l, w->kube, &owner, shape);
	return w;
}

/* A pod whose status says that it is not. Manifests say nothing of it. */
static bool
is_not_ready(const struct doc_node *conditions)
{
	for (uint32_t i = 0; conditions != NULL && i < conditions->count; i++) {
		const struct doc_node *item = conditions->u.items[i];
		const struct doc_node *type = doc_value(item, "type");
		const struct doc_node *status = doc_value(item, "status");

		if (type != NULL && status != NULL && type->kind == DOC_STRING &&
		    str_is(type->text, "Ready"))
			return status->kind != DOC_STRING ||
			       !str_is(status->text, "True");
	}
	return false;
}

const struct node_word *
pod_share_told(struct loader *l, const struct node_word *told)
{
	return told == NULL ? NULL
			    : load_shared(l, told,
				  sizeof(*told) + told->count * sizeof(told->ips[0]));
}

/* What a pod tells of its node's addresses; NULL: nothing. */
static const struct node_word *
read_told(
    struct loader *l, const struct workload *w, const struct doc_node *const *status)
{
	struct ip_addr ips[2 * (1 + LIMIT_ADDRESSES)];
	size_t count =
	    collect_addresses(l, status[STATUS_HOST_IP], status[STATUS_HOST_IPS], ips);
	struct arena_mark mark = arena_mark(l->scratch);
	const struct node_word *shared;
	struct node_word *told;

	for (size_t i = 0; w->host_network && i < w->ip_count; i++)
		count = add_address(ips, count, &w->ips[i]);
	if (count == 0)
		return NULL;
	told = arena_alloc(l->scratch, sizeof(*told) + count * sizeof(*ips));
	told->count = (uint32_t)count;
	memcpy(told->ips, ips, count * sizeof(*ips));
	shared = pod_share_told(l, told);
	arena_rewind(l->scratch, &mark);
	return shared;
}

void
load_pod(struct loader *l, const struct load_object *o)
{
	const struct doc_node *status_node = doc_value(o->doc, "status");
	const struct doc_node *status[ARRAY_LEN(status_fields)] = {NULL};
	const struct doc_node *phase;
	const struct node_word *told = NULL;
	struct workload_shape shape;
	struct workload *w;
	struct ip_addr *ips;
	struct str node;
	struct meta meta;

	if (!load_meta(l, o, META_NAMESPACED, true, &meta) ||
	    (!meta.generated &&
		!load_claim(l, "Pod", o->cluster, meta.ns, meta.name, meta.loc)))
		return;
	if (status_node != NULL &&
	    !schema_read(l->diags, &status_schema, status_node, status))
		return;
	phase = status[STATUS_PHASE];
	if (phase != NULL &&
	    (str_is(phase->text, "Succeeded") || str_is(phase->text, "Failed")))
		return; /* finished: its addresses may be another's by now */
	w = new_workload(l, o, &meta, &shape);
	w->generated = meta.generated;
	if (!read_pod_spec(l, doc_value(o->doc, "spec"), w, &shape, &node))
		return;
	w->ip_count = WORKLOAD_IPS(
	    read_addresses(l, status[STATUS_IP], status[STATUS_IPS], &ips));
	w->ips = ips;
	w->not_ready = is_not_ready(status[STATUS_CONDITIONS]);
	if (node.len != 0) {
		told = read_told(l, w, status);
		pod_tell_node(l, load_node_draft(l, o->cluster, node), told);
	}
	w->where = load_where(l, w->kube->cluster, node, told);
	pod_take_announced(l, w);
	ptr_vec_push(&l->workloads, w);
}

/* ---- what makes pods ---- */

/* spec.template, or spec.jobTemplate.spec.template of a CronJob. */
static const struct doc_node *
find_template(const struct doc_node *doc)
{
	const struct doc_node *spec = doc_value(doc, "spec");
	const struct doc_node *job =
	    spec != NULL ? doc_value(spec, "jobTemplate") : NULL;

	if (job != NULL)
		spec = doc_value(job, "spec");
	return spec != NULL ? doc_value(spec, "template") : NULL;
}

void
load_template(struct loader *l, const struct load_object *o)
{
	const struct doc_node *template = find_template(o->doc);
	struct load_object pod = *o;
	struct meta meta, pod_meta;
	const struct doc_node *labels, *pod_metadata;
	struct workload_shape shape;
	struct workload *w;
	struct str node; /* the pods' own matter */

	if (!load_meta(l, o, META_NAMESPACED, true, &meta) ||
	    (!meta.generated && !load_claim(l, o->kind->kind, o->cluster, meta.ns,
				    meta.name, meta.loc)))
		return;
	if (template == NULL || template->kind != DOC_MAP) {
		diag_say(l->diags, CODE_MISSING_FIELD,
		    template != NULL ? template->loc : o->doc->loc,
		    "a %s needs a pod template", o->kind->kind);
		return;
	}
	pod.doc = template;
	pod_meta = meta;
	pod_meta.labels = (struct label_set){0};
	pod_metadata = doc_value(template, "metadata");
	labels = pod_metadata != NULL ? doc_value(pod_metadata, "labels") : NULL;
	if (labels != NULL && (!schema_type(l->diags, labels, "\"labels\"", TYPE_MAP) ||
				  !load_labels(l, labels, &pod_meta.labels)))
		return;
	w = new_workload(l, &pod, &pod_meta, &shape);
	if (!read_pod_spec(l, doc_value(template, "spec"), w, &shape, &node))
		return;
	w->is_template = true;
	w->where = load_where(l, w->kube->cluster, STR(""), NULL);
	ptr_vec_push(&l->workloads, w);
}
