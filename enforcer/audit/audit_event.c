#include "enforcer/audit/audit_event.h"

#include "common/uuid.h"

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\":", key);
	buf_add_json(out, value);
}

static void
add_id(struct buf *out, const uint8_t id[16])
{
	char text[UUID_TEXT_BYTES];

	uuid_format(id, text);
	buf_printf(out, ",\"auditID\":\"%s\"", text);
}

/* Up to and with the user. */
static void
add_head_by(struct buf *out, const uint8_t id[16], const char *stage, const char *verb,
    struct str user)
{
	buf_add_cstr(out, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\","
			  "\"level\":\"Metadata\"");
	add_id(out, id);
	buf_printf(
	    out, ",\"stage\":\"%s\",\"requestURI\":\"\",\"verb\":\"%s\",", stage, verb);
	buf_add_cstr(out, "\"user\":{");
	add_member(out, "username", user);
	buf_add_cstr(out, "},");
}

/* What the node's own enforcer does. */
static void
add_head(struct buf *out, const uint8_t id[16], const char *stage, const char *verb,
    struct str node)
{
	struct buf user = {0};

	buf_printf(&user, "ringfence:node:%.*s", STR_ARG(node));
	add_head_by(out, id, stage, verb, buf_str(&user));
	buf_free(&user);
}

static void
add_times(struct buf *out, walltime_t began, walltime_t now)
{
	char text[WALLTIME_TEXT_BYTES];

	buf_add_char(out, ',');
	add_member(
	    out, "requestReceivedTimestamp", str_from(walltime_format(began, text)));
	buf_add_char(out, ',');
	add_member(out, "stageTimestamp", str_from(walltime_format(now, text)));
}

static void
add_count(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(
	    out, ",\"ringfence.dev/%s\":\"%llu\"", key, (unsigned long long)value);
}

void
audit_event_change(struct buf *out, const uint8_t id[16], const struct audit_change *c)
{
	add_head(out, id, c->stage, c->verb, c->node);
	buf_add_cstr(out, "\"objectRef\":{\"resource\":\"programs\",");
	add_member(out, "name", c->node);
	buf_add_cstr(out, ",\"apiGroup\":\"ringfence.dev\"}");
	if (str_is(str_from(c->stage), "ResponseComplete"))
		buf_printf(
		    out, ",\"responseStatus\":{\"code\":%d}", c->failed ? 500 : 200);
	add_times(out, c->now, c->now);
	buf_printf(out, ",\"annotations\":{\"ringfence.dev/generation\":\"%llu\"",
	    (unsigned long long)c->number);
	add_count(out, "workloads", c->workloads);
	add_count(out, "policies", c->policies);
	add_count(out, "routes", c->routes);
	add_count(out, "rules", c->rules);
	if (c->detail.len != 0) {
		buf_add_char(out, ',');
		add_member(out, "ringfence.dev/detail", c->detail);
	}
	buf_add_cstr(out, "}}");
}

static void
add_object(struct buf *out, const struct flow_view *v)
{
	const struct workload *w = v->subject;

	if (w == NULL)
		return;
	buf_add_cstr(out, "\"objectRef\":{\"resource\":\"workloads\",");
	add_member(out, "namespace", w->ns->path);
	buf_add_char(out, ',');
	add_member(out, "name", w->name);
	buf_add_cstr(out, ",\"apiGroup\":\"ringfence.dev\"},");
}

static void
add_end(struct buf *out, const char *key, const struct flow_view *v, bool source)
{
	struct buf text = {0};

	flow_view_end(&text, v, source);
	buf_add_char(out, ',');
	add_member(out, key, buf_str(&text));
	buf_free(&text);
}

static void
add_service(struct buf *out, const struct nflog_packet *p)
{
	char proto[8];

	if (p->has_ports)
		buf_printf(out, ",\"ringfence.dev/service\":\"%u/%s\"",
		    (unsigned)p->dst_port, proto_name(p->proto, proto));
	else
		buf_printf(out, ",\"ringfence.dev/service\":\"%s\"",
		    proto_name(p->proto, proto));
}

void
audit_event_flow(
    struct buf *out, const uint8_t id[16], struct str node, const struct flow_view *v)
{
	const struct flows_record *record = v->record;
	char address[IP_TEXT_BYTES];
	struct buf verb = {0};

	buf_printf(&verb, "%s-flow", flow_view_verdict(v));
	add_head(out, id, "ResponseComplete", verb.data, node);
	buf_free(&verb);
	if (!record->crowd) {
		buf_printf(out, "\"sourceIPs\":[\"%s\"],",
		    ip_format(&record->packet.src, address));
		add_object(out, v);
	}
	buf_printf(out, "\"responseStatus\":{\"code\":%d}", v->allow ? 200 : 403);
	add_times(out, record->time, record->time);
	buf_printf(out,
	    ",\"annotations\":{\"ringfence.dev/direction\":\"%s\","
	    "\"ringfence.dev/reason\":\"%s\"",
	    direction_name(v->direction), flow_reason_name(v->reason));
	add_end(out, "ringfence.dev/source", v, true);
	add_end(out, "ringfence.dev/destination", v, false);
	if (!record->crowd)
		add_service(out, &record->packet);
	if (v->tenant.len != 0) {
		buf_add_char(out, ',');
		add_member(out, "ringfence.dev/tenant", v->tenant);
	}
	if (v->rule != NULL) {
		buf_add_char(out, ',');
		add_member(out, "ringfence.dev/decided-by", str_from(v->rule->comment));
	}
	add_count(out, "count", record->count);
	buf_add_cstr(out, "}}");
}

void
audit_event_gateway(
    struct buf *out, const uint8_t id[16], const struct audit_gateway *g)
{
	add_head(out, id, "ResponseComplete", g->up ? "gateway-up" : "gateway-down",
	    g->node);
	buf_add_cstr(out, "\"objectRef\":{\"resource\":\"nodes\",");
	add_member(out, "name", g->gateway);
	buf_add_cstr(out, "},\"responseStatus\":{\"code\":200}");
	add_times(out, g->now, g->now);
	buf_add_cstr(out, ",\"annotations\":{");
	add_member(out, "ringfence.dev/address", str_from(g->address));
	buf_add_cstr(out, "}}");
}

void
audit_event_name(struct buf *out, const uint8_t id[16], const struct audit_name *n)
{
	static const struct {
		const char *verb;
		unsigned code;
	} kinds[AUDIT_NAME_COUNT] = {
	    [AUDIT_NAME_LEARNT] = {"name-learnt", 200},
	    [AUDIT_NAME_FORGOTTEN] = {"name-forgotten", 200},
	    [AUDIT_NAME_REFUSED] = {"name-refused", 403},
	};
	struct buf path = {0};
	char address[IP_TEXT_BYTES];

	add_head(out, id, "ResponseComplete", kinds[n->kind].verb, n->node);
	buf_printf(&path, "/%.*s", STR_ARG(n->tenant));
	buf_add_cstr(out, "\"objectRef\":{\"resource\":\"names\",");
	add_member(out, "namespace", buf_str(&path));
	buf_free(&path);
	if (n->name.len != 0) {
		buf_add_char(out, ',');
		add_member(out, "name", n->name);
	}
	buf_printf(out,
	    ",\"apiGroup\":\"ringfence.dev\"},\"responseStatus\":{\"code\":%u}",
	    kinds[n->kind].code);
	add_times(out, n->now, n->now);
	buf_add_cstr(out, ",\"annotations\":{");
	add_member(out, "ringfence.dev/tenant", n->tenant);
	if (n->addr != NULL)
		buf_printf(out, ",\"ringfence.dev/address\":\"%s\"",
		    ip_format(n->addr, address));
	if (n->count != 0)
		add_count(out, "count", n->count);
	buf_add_cstr(out, "}}");
}

void
audit_event_asked(struct buf *out, const uint8_t id[16], const struct audit_asked *a)
{
	struct buf user = {0};

	buf_printf(&user, "ringfence:node:%.*s:", STR_ARG(a->node));
	if (a->uid != UINT32_MAX)
		buf_printf(&user, "uid:%u", a->uid);
	else
		buf_add_cstr(&user, "unknown");
	add_head_by(out, id, "RequestReceived", "ask", buf_str(&user));
	buf_add_cstr(out, "\"objectRef\":{\"resource\":\"questions\",");
	add_member(out, "name", a->question);
	buf_add_cstr(out, ",\"apiGroup\":\"ringfence.dev\"}");
	add_times(out, a->now, a->now);
	buf_add_cstr(out, ",\"annotations\":{");
	add_member(out, "ringfence.dev/words", a->words);
	buf_printf(out, ",\"ringfence.dev/pid\":\"%d\"", a->pid);
	if (a->passed_over != 0)
		add_count(out, "passed-over", a->passed_over);
	buf_add_cstr(out, "}}");
	buf_free(&user);
}

void
audit_event_resumed(
    struct buf *out, const uint8_t id[16], const struct audit_resumed *resumed)
{
	struct str rest = resumed->origin;

	add_head(out, id, "ResponseComplete", "audit-resumed", str_split(&rest, '/'));
	buf_add_cstr(out, "\"responseStatus\":{\"code\":200}");
	add_times(out, resumed->now, resumed->now);
	buf_add_char(out, '}');
}
