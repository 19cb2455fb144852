#include "authn/audit/audit_record.h"

#include "common/json_scan.h"

/* What holds a text: the event itself, or a member of it. */
enum place {
	IN_EVENT,
	IN_USER,
	IN_SOURCES, /* a list, of which the first counts */
	IN_REF,
	IN_STATUS,
	IN_ANNOTATIONS,
	IN_NOTHING
};

static const char *const holders[] = {
    [IN_EVENT] = "",
    [IN_USER] = "user",
    [IN_SOURCES] = "sourceIPs",
    [IN_REF] = "objectRef",
    [IN_STATUS] = "responseStatus",
    [IN_ANNOTATIONS] = "annotations",
};

/* Where texts are: a member of the event, or of an object in it. Annotations are
 * ringfence.dev/NAME. */
static const struct {
	enum place in;
	const char *key, *name;
} places[AUDIT_FIELD_COUNT] = {
    [AUDIT_FIELD_LEVEL] = {IN_EVENT, "level", "level"},
    [AUDIT_FIELD_ID] = {IN_EVENT, "auditID", "auditID"},
    [AUDIT_FIELD_STAGE] = {IN_EVENT, "stage", "stage"},
    [AUDIT_FIELD_URI] = {IN_EVENT, "requestURI", "requestURI"},
    [AUDIT_FIELD_VERB] = {IN_EVENT, "verb", "verb"},
    [AUDIT_FIELD_USER] = {IN_USER, "username", "user"},
    [AUDIT_FIELD_SOURCE] = {IN_SOURCES, "", "source"},
    [AUDIT_FIELD_AGENT] = {IN_EVENT, "userAgent", "userAgent"},
    [AUDIT_FIELD_RESOURCE] = {IN_REF, "resource", "resource"},
    [AUDIT_FIELD_SUBRESOURCE] = {IN_REF, "subresource", "subresource"},
    [AUDIT_FIELD_NAMESPACE] = {IN_REF, "namespace", "namespace"},
    [AUDIT_FIELD_NAME] = {IN_REF, "name", "name"},
    [AUDIT_FIELD_GROUP] = {IN_REF, "apiGroup", "apiGroup"},
    [AUDIT_FIELD_CODE] = {IN_STATUS, "code", "code"},
    [AUDIT_FIELD_REASON] = {IN_STATUS, "reason", "reason"},
    [AUDIT_FIELD_MESSAGE] = {IN_STATUS, "message", "message"},
    [AUDIT_FIELD_RECEIVED] = {IN_EVENT, "requestReceivedTimestamp", "received"},
    [AUDIT_FIELD_TIME] = {IN_EVENT, "stageTimestamp", "time"},
    [AUDIT_FIELD_TENANT] = {IN_ANNOTATIONS, "ringfence.dev/tenant", "tenant"},
    [AUDIT_FIELD_DECIDED_BY] = {IN_ANNOTATIONS, "ringfence.dev/decided-by",
	"decidedBy"},
    [AUDIT_FIELD_TOKEN] = {IN_ANNOTATIONS, "ringfence.dev/token", "token"},
    [AUDIT_FIELD_TOKEN_ISSUED] = {IN_ANNOTATIONS, "ringfence.dev/token-issued",
	"tokenIssued"},
    [AUDIT_FIELD_DIRECTION] = {IN_ANNOTATIONS, "ringfence.dev/direction", "direction"},
    [AUDIT_FIELD_FLOW_SOURCE] = {IN_ANNOTATIONS, "ringfence.dev/source", "flowSource"},
    [AUDIT_FIELD_FLOW_DESTINATION] = {IN_ANNOTATIONS, "ringfence.dev/destination",
	"flowDestination"},
    [AUDIT_FIELD_SERVICE] = {IN_ANNOTATIONS, "ringfence.dev/service", "service"},
    [AUDIT_FIELD_DETAIL] = {IN_ANNOTATIONS, "ringfence.dev/detail", "detail"},
    [AUDIT_FIELD_GENERATION] = {IN_ANNOTATIONS, "ringfence.dev/generation",
	"generation"},
    [AUDIT_FIELD_COUNT_OF] = {IN_ANNOTATIONS, "ringfence.dev/count", "count"},
};

static const char *const kind_names[AUDIT_KIND_COUNT] = {
    [AUDIT_KIND_STARTED] = "started",
    [AUDIT_KIND_READ] = "read",
    [AUDIT_KIND_CHANGE] = "change",
    [AUDIT_KIND_POLICY] = "policy",
    [AUDIT_KIND_ADMIN] = "admin",
    [AUDIT_KIND_TOKEN] = "token",
    [AUDIT_KIND_LOGIN] = "login",
    [AUDIT_KIND_LOGIN_FAILED] = "login-failed",
    [AUDIT_KIND_DENIED] = "denied",
    [AUDIT_KIND_LIMITED] = "limited",
    [AUDIT_KIND_FAILED] = "failed",
    [AUDIT_KIND_APPLIED] = "applied",
    [AUDIT_KIND_HEALED] = "healed",
    [AUDIT_KIND_FLOW_DENIED] = "flow-denied",
    [AUDIT_KIND_FLOW_ALLOWED] = "flow-allowed",
    [AUDIT_KIND_FLOW_WATCHED] = "flow-watched",
    [AUDIT_KIND_GAP] = "gap",
    [AUDIT_KIND_ACCOUNT] = "account",
};

const char *
audit_kind_name(enum audit_kind kind)
{
	return kind_names[kind];
}

bool
audit_kind_parse(struct str name, enum audit_kind *out_kind)
{
	for (size_t i = 0; i < AUDIT_KIND_COUNT; i++) {
		if (str_is(name, kind_names[i])) {
			*out_kind = (enum audit_kind)i;
			return true;
		}
	}
	return false;
}

const char *
audit_field_name(enum audit_field field)
{
	return places[field].name;
}

/* ---- kinds ---- */

struct kind_rule {
	const char *group, *resource; /* NULL: any */
	enum audit_kind kind;
};

/* What a change of these is, besides a change. The first that fits. */
static const struct kind_rule object_kinds[] = {
    {"networking.k8s.io", "networkpolicies", AUDIT_KIND_POLICY},
    {"policy.networking.k8s.io", NULL, AUDIT_KIND_POLICY},
    {"ringfence.dev", "policies", AUDIT_KIND_POLICY},
    {"ringfence.dev", "externalnetworks", AUDIT_KIND_POLICY},
    {"ringfence.dev", "routes", AUDIT_KIND_POLICY},
    {"ringfence.dev", "workloads", AUDIT_KIND_POLICY},
    {"ringfence.dev", NULL, AUDIT_KIND_ADMIN},
    {"rbac.authorization.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"admissionregistration.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"apiextensions.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"apiregistration.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"certificates.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"flowcontrol.apiserver.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"scheduling.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"storage.k8s.io", NULL, AUDIT_KIND_ADMIN},
    {"", "namespaces", AUDIT_KIND_ADMIN},
    {"", "nodes", AUDIT_KIND_ADMIN},
    {"", "persistentvolumes", AUDIT_KIND_ADMIN},
    {"", "resourcequotas", AUDIT_KIND_ADMIN},
    {"", "limitranges", AUDIT_KIND_ADMIN},
    {"", "serviceaccounts", AUDIT_KIND_ADMIN},
};

/* What we do ourselves. */
static const struct {
	const char *verb;
	enum audit_kind kind;
} verb_kinds[] = {
    {"apply", AUDIT_KIND_APPLIED},
    {"heal", AUDIT_KIND_HEALED},
    {"deny-flow", AUDIT_KIND_FLOW_DENIED},
    {"cut-flow", AUDIT_KIND_FLOW_DENIED},
    {"allow-flow", AUDIT_KIND_FLOW_ALLOWED},
    {"audit-flow", AUDIT_KIND_FLOW_WATCHED},
    {"configure", AUDIT_KIND_POLICY},
    {"audit-resumed", AUDIT_KIND_GAP},
    {"suspend-account", AUDIT_KIND_ACCOUNT},
    {"restore-account", AUDIT_KIND_ACCOUNT},
};

static struct str
path_of(const struct audit_record *r)
{
	struct str uri = r->text[AUDIT_FIELD_URI];

	return str_slice(uri, 0, str_find(uri, '?', 0));
}

static bool
is_read(struct str verb)
{
	static const char *const verbs[] = {"get", "list", "watch", "head", "options"};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (str_is(verb, verbs[i]))
			return true;
	}
	return false;
}

static enum audit_kind
kind_of_success(const struct audit_record *r)
{
	struct str group = r->text[AUDIT_FIELD_GROUP];
	struct str resource = r->text[AUDIT_FIELD_RESOURCE];
	bool of_tokens =
	    str_starts(path_of(r), STR("/ringfence/v1/tokens")) ||
	    str_starts(path_of(r), STR("/ringfence/v1/serviceaccounttokens"));

	if (str_is(path_of(r), "/ringfence/v1/login"))
		return AUDIT_KIND_LOGIN;
	if (is_read(r->text[AUDIT_FIELD_VERB]))
		return AUDIT_KIND_READ;
	if (r->code >= 400)
		return AUDIT_KIND_CHANGE; /* that was tried, and refused for its content */
	if (of_tokens)
		return AUDIT_KIND_TOKEN;
	for (size_t i = 0; resource.len != 0 && i < ARRAY_LEN(object_kinds); i++) {
		const struct kind_rule *k = &object_kinds[i];

		if (str_is(group, k->group) &&
		    (k->resource == NULL || str_is(resource, k->resource)))
			return k->kind;
	}
	return AUDIT_KIND_CHANGE;
}

/* Nobody who signs in has a name like that, and every request has a target. */
static bool
is_our_own(const struct audit_record *r)
{
	return r->text[AUDIT_FIELD_URI].len == 0 &&
	       str_starts(r->text[AUDIT_FIELD_USER], STR("ringfence:"));
}

static enum audit_kind
kind_of(const struct audit_record *r)
{
	bool is_login = str_is(path_of(r), "/ringfence/v1/login");

	if (!str_is(r->text[AUDIT_FIELD_STAGE], "ResponseComplete") &&
	    !str_is(r->text[AUDIT_FIELD_STAGE], "Panic"))
		return AUDIT_KIND_STARTED;
	for (size_t i = 0; is_our_own(r) && i < ARRAY_LEN(verb_kinds); i++) {
		if (str_is(r->text[AUDIT_FIELD_VERB], verb_kinds[i].verb))
			return verb_kinds[i].kind;
	}
	if (is_login && (r->code == 401 || r->code == 403 || r->code == 429))
		return AUDIT_KIND_LOGIN_FAILED;
	if (r->code == 401 || r->code == 403)
		return AUDIT_KIND_DENIED;
	if (r->code == 429)
		return AUDIT_KIND_LIMITED;
	if (r->code >= 500)
		return AUDIT_KIND_FAILED;
	return kind_of_success(r);
}

/* ---- reading ---- */

struct reading {
	struct audit_record *record;
	struct arena *arena;
	struct json_scan scan;
	enum place in; /* what is open, or about to be, at depth 2 */
	enum audit_field
	    next; /* where the next value goes; AUDIT_FIELD_COUNT: nowhere */
};

static enum audit_field
find_field(enum place in, struct str key)
{
	for (size_t i = 0; i < AUDIT_FIELD_COUNT; i++) {
		if (places[i].in == in && str_is(key, places[i].key))
			return (enum audit_field)i;
	}
	return AUDIT_FIELD_COUNT;
}

static enum place
find_holder(struct str key)
{
	for (size_t i = IN_USER; i < ARRAY_LEN(holders); i++) {
		if (str_is(key, holders[i]))
			return (enum place)i;
	}
	return IN_NOTHING;
}

static void
on_key(struct reading *r)
{
	struct str key = buf_str(&r->scan.text);

	if (r->scan.depth == 1) {
		r->next = find_field(IN_EVENT, key);
		r->in = find_holder(key);
	} else {
		r->next = find_field(r->in, key);
	}
	r->scan.keep = r->next != AUDIT_FIELD_COUNT;
}

/* What holds some text is walked through, everything else passed over. */
static void
on_begin(struct reading *r, bool object)
{
	bool wanted =
	    r->scan.depth == 1 || (r->scan.depth == 2 && r->in != IN_NOTHING &&
				      object == (r->in != IN_SOURCES));

	if (!wanted)
		r->scan.quiet = r->scan.depth;
	r->next = wanted && !object ? AUDIT_FIELD_SOURCE : AUDIT_FIELD_COUNT;
	if (r->next == AUDIT_FIELD_SOURCE)
		r->record->text[AUDIT_FIELD_SOURCE] = STR("");
	r->scan.keep = true;
}

static void
on_string(struct reading *r)
{
	if (r->next != AUDIT_FIELD_COUNT && r->next != AUDIT_FIELD_CODE)
		r->record->text[r->next] = str_dup(r->arena, buf_str(&r->scan.text));
	r->next = AUDIT_FIELD_COUNT; /* of sourceIPs only the first */
	r->scan.keep = true;
}

/* The number that ends at line[end), which only the status code is. */
static void
on_scalar(struct reading *r, size_t end)
{
	struct str line = r->record->line;
	size_t from = end;
	uint64_t code;

	while (from > 0 && line.ptr[from - 1] >= '0' && line.ptr[from - 1] <= '9')
		from--;
	if (r->next == AUDIT_FIELD_CODE) {
		struct str text = str_slice(line, from, end);

		r->record->text[AUDIT_FIELD_CODE] = str_dup(r->arena, text);
		r->record->code = str_to_u64(text, 9999, &code) ? (unsigned)code : 0;
	}
	r->next = AUDIT_FIELD_COUNT;
	r->scan.keep = true;
}

static bool
read_line(struct reading *r)
{
	struct str line = r->record->line;
	size_t at = 0;

	for (;;) {
		enum scan_event event =
		    json_scan_next(&r->scan, line.ptr, line.len, &at);

		switch (event) {
		case SCAN_BAD:
			return false;
		case SCAN_MORE:
			return json_scan_complete(&r->scan);
		case SCAN_OBJECT_BEGIN:
		case SCAN_ARRAY_BEGIN:
			on_begin(r, event == SCAN_OBJECT_BEGIN);
			break;
		case SCAN_OBJECT_END:
		case SCAN_ARRAY_END:
			r->next = AUDIT_FIELD_COUNT;
			r->scan.keep = true;
			r->scan.quiet = 0;
			break;
		case SCAN_KEY:
			on_key(r);
			break;
		case SCAN_STRING:
			on_string(r);
			break;
		case SCAN_NULL:
		case SCAN_SCALAR:
			on_scalar(r, at);
			break;
		}
	}
}

bool
audit_record_parse(
    struct audit_record *record, struct arena *arena, struct str line, uint64_t index)
{
	struct reading r = {
	    .record = record, .arena = arena, .next = AUDIT_FIELD_COUNT};
	bool ok;

	*record = (struct audit_record){.line = line, .index = index};
	json_scan_init(&r.scan, false);
	r.scan.keep = true;
	ok = read_line(&r);
	json_scan_free(&r.scan);
	record->has_time =
	    walltime_parse_str(record->text[AUDIT_FIELD_TIME], &record->time);
	record->kind = kind_of(record);
	return ok;
}

/* ---- words ---- */

struct str
audit_record_target(const struct audit_record *record, struct arena *arena)
{
	struct str resource = record->text[AUDIT_FIELD_RESOURCE];
	struct str sub = record->text[AUDIT_FIELD_SUBRESOURCE];
	struct str group = record->text[AUDIT_FIELD_GROUP];

	if (resource.len == 0)
		return path_of(record);
	return STR_CONCAT(arena, resource, group.len != 0 ? STR(".") : STR(""), group,
	    sub.len != 0 ? STR("/") : STR(""), sub);
}

bool
audit_path_within(struct str path, struct str subtree)
{
	if (str_is(subtree, "/"))
		return path.len != 0 && path.ptr[0] == '/';
	return str_starts(path, subtree) &&
	       (path.len == subtree.len || path.ptr[subtree.len] == '/');
}
