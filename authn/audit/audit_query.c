#include "authn/audit/audit_query.h"

#include <stdio.h>
#include <string.h>

struct filter_kind {
	const char *name;
	/* Reads the value; NULL: any text. */
	int (*read)(struct audit_query *q, struct str value, struct err *err);
	enum audit_field field; /* that must be equal; AUDIT_FIELD_COUNT: see matches */
	/* What a match has in its line: "VALUE" is JSON, quotes and all. */
	bool is_word;
};

/* ---- values ---- */

static int
read_time(struct str value, walltime_t *out, struct err *err)
{
	if (walltime_parse_str(value, out))
		return 0;
	return err_set(err, ERR_INVALID,
	    "\"%.*s\" is no time: write 2026-01-31T12:00:00Z", STR_ARG(value));
}

static int
read_since(struct audit_query *q, struct str value, struct err *err)
{
	return read_time(value, &q->since, err);
}

static int
read_until(struct audit_query *q, struct str value, struct err *err)
{
	return read_time(value, &q->until, err);
}

static int
read_tenant(struct audit_query *q, struct str value, struct err *err)
{
	(void)q;
	if (value.len == 0 || value.ptr[0] != '/' ||
	    (value.len > 1 && value.ptr[value.len - 1] == '/'))
		return err_set(err, ERR_INVALID,
		    "\"%.*s\" is no path of the tree: write /acme/shop",
		    STR_ARG(value));
	return 0;
}

/* "403", or a class: "4xx". */
static int
read_code(struct audit_query *q, struct str value, struct err *err)
{
	uint64_t code;

	if (value.len == 3 && str_ends(value, STR("xx")) && value.ptr[0] >= '1' &&
	    value.ptr[0] <= '5') {
		q->code_from = (unsigned)(value.ptr[0] - '0') * 100;
		q->code_to = q->code_from + 99;
		return 0;
	}
	if (!str_to_u64(value, 999, &code))
		return err_set(err, ERR_INVALID,
		    "\"%.*s\" is no status: write 403 or 4xx", STR_ARG(value));
	q->code_from = q->code_to = (unsigned)code;
	return 0;
}

static int
read_source(struct audit_query *q, struct str value, struct err *err)
{
	struct ip_addr address;
	bool canonical;

	if (ip_parse(value, &address)) {
		q->source =
		    (struct ip_prefix){address, (uint8_t)ip_bits(address.family)};
		return 0;
	}
	if (ip_prefix_parse(value, &q->source, &canonical))
		return 0;
	return err_set(
	    err, ERR_INVALID, "\"%.*s\" is no address and no CIDR", STR_ARG(value));
}

/* What every line of a kind has; kinds that are not here are told by reading alone. */
static const struct {
	enum audit_kind kind;
	struct str needle;
} kind_needles[] = {
    {AUDIT_KIND_DENIED, {"\"code\":401", 10}},
    {AUDIT_KIND_DENIED, {"\"code\":403", 10}},
    {AUDIT_KIND_LOGIN_FAILED, {"\"/ringfence/v1/login", 20}},
    {AUDIT_KIND_LOGIN, {"\"/ringfence/v1/login", 20}},
    {AUDIT_KIND_TOKEN, {"\"/ringfence/v1/tokens", 21}},
    {AUDIT_KIND_TOKEN, {"\"/ringfence/v1/serviceaccounttokens", 35}},
    {AUDIT_KIND_LIMITED, {"\"code\":429", 10}},
    {AUDIT_KIND_FAILED, {"\"code\":5", 8}},
    {AUDIT_KIND_APPLIED, {"\"verb\":\"apply\"", 14}},
    {AUDIT_KIND_HEALED, {"\"verb\":\"heal\"", 13}},
    {AUDIT_KIND_FLOW_DENIED, {"-flow\"", 6}},
    {AUDIT_KIND_FLOW_ALLOWED, {"\"allow-flow\"", 12}},
    {AUDIT_KIND_FLOW_WATCHED, {"\"audit-flow\"", 12}},
    {AUDIT_KIND_GAP, {"\"audit-resumed\"", 15}},
    {AUDIT_KIND_ACCOUNT, {"-account\"", 9}},
};

_Static_assert(ARRAY_LEN(kind_needles) <= AUDIT_KIND_NEEDLES, "each kind's needles");

static void
add_kind_needles(struct audit_query *q)
{
	uint32_t covered = 0;

	for (size_t i = 0; i < ARRAY_LEN(kind_needles); i++) {
		uint32_t bit = UINT32_C(1) << kind_needles[i].kind;

		if ((q->kinds & bit) != 0)
			q->any_needles[q->any_count++] = kind_needles[i].needle;
		covered |= bit;
	}
	if ((q->kinds & ~covered) != 0)
		q->any_count = 0; /* some line of some kind may have none of them */
}

static int
read_kinds(struct audit_query *q, struct str value, struct err *err)
{
	struct str rest = value;

	q->kinds = 0;
	while (rest.ptr != NULL) {
		struct str name = str_split(&rest, ',');
		enum audit_kind kind;

		if (!audit_kind_parse(name, &kind))
			return err_set(err, ERR_INVALID, "\"%.*s\" is no kind of event",
			    STR_ARG(name));
		q->kinds |= UINT32_C(1) << kind;
	}
	add_kind_needles(q);
	return 0;
}

static const struct filter_kind filters[AUDIT_FILTER_COUNT] = {
    [AUDIT_FILTER_SINCE] = {"since", read_since, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_UNTIL] = {"until", read_until, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_USER] = {"user", NULL, AUDIT_FIELD_USER, true},
    [AUDIT_FILTER_TENANT] = {"tenant", read_tenant, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_VERB] = {"verb", NULL, AUDIT_FIELD_VERB, true},
    [AUDIT_FILTER_RESOURCE] = {"resource", NULL, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_NAMESPACE] = {"namespace", NULL, AUDIT_FIELD_NAMESPACE, true},
    [AUDIT_FILTER_NAME] = {"name", NULL, AUDIT_FIELD_NAME, true},
    [AUDIT_FILTER_CODE] = {"code", read_code, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_SOURCE] = {"source", read_source, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_KIND] = {"kind", read_kinds, AUDIT_FIELD_COUNT, false},
    [AUDIT_FILTER_STAGE] = {"stage", NULL, AUDIT_FIELD_STAGE, true},
    [AUDIT_FILTER_ID] = {"id", NULL, AUDIT_FIELD_ID, true},
    [AUDIT_FILTER_TOKEN] = {"token", NULL, AUDIT_FIELD_COUNT, true},
    [AUDIT_FILTER_TEXT] = {"text", NULL, AUDIT_FIELD_COUNT, false},
};

const char *
audit_filter_name(enum audit_filter filter)
{
	return filter < AUDIT_FILTER_COUNT ? filters[filter].name : NULL;
}

/* ---- the query ---- */

void
audit_query_init(struct audit_query *q, struct arena *arena)
{
	*q = (struct audit_query){.arena = arena};
}

/* The resource alone: "pods" of "pods/exec" and of "pods.metrics.k8s.io". */
static struct str
plain_resource(struct str value)
{
	size_t end = str_find(value, '.', 0), slash = str_find(value, '/', 0);

	return str_slice(value, 0, slash < end ? slash : end);
}

static void
add_needle(struct audit_query *q, struct str before, struct str value, struct str after)
{
	struct buf text = {0};

	buf_add_json(&text, value);
	q->needles[q->needle_count++] = STR_CONCAT(
	    q->arena, before, str_slice(buf_str(&text), 0, text.len - 1), after);
	buf_free(&text);
}

/* As it stands in a line, between its quotes. */
static void
add_word(struct audit_query *q, struct str value)
{
	struct buf text = {0};

	buf_add_json(&text, value);
	q->words[q->word_count++] =
	    str_dup(q->arena, str_slice(buf_str(&text), 1, text.len - 1));
	buf_free(&text);
}

int
audit_query_add(
    struct audit_query *q, enum audit_filter filter, struct str value, struct err *err)
{
	const struct filter_kind *kind = &filters[filter];
	int rc = 0;

	value = str_dup(q->arena, value);
	if (q->value[filter].ptr != NULL)
		return err_set(err, ERR_INVALID, "given twice");
	if (kind->read != NULL)
		rc = kind->read(q, value, err);
	if (rc != 0)
		return rc;
	q->value[filter] = value;
	if (filter == AUDIT_FILTER_TEXT) {
		q->needles[q->needle_count++] = value;
	} else if (filter == AUDIT_FILTER_TENANT && value.len > 1) {
		add_needle(q, STR("\"ringfence.dev/tenant\":"), value, STR(""));
		add_word(q, value);
	} else if (filter == AUDIT_FILTER_RESOURCE) {
		add_needle(q, STR(""), plain_resource(value), STR("\""));
		add_word(q, plain_resource(value));
	} else if (filter == AUDIT_FILTER_CODE && q->code_from == q->code_to &&
		   q->code_from != 0) {
		q->needles[q->needle_count++] =
		    STR_CONCAT(q->arena, STR("\"code\":"), value);
	} else if (kind->is_word && value.len != 0) {
		add_needle(q, STR(""), value, STR("\""));
		add_word(q, value);
	}
	return 0;
}

bool
audit_query_may(const struct audit_query *q, struct str line)
{
	for (size_t i = 0; i < q->needle_count; i++) {
		struct str needle = q->needles[i];

		if (memmem(line.ptr, line.len, needle.ptr, needle.len) == NULL)
			return false;
	}
	for (size_t i = 0; i < q->any_count; i++) {
		struct str needle = q->any_needles[i];

		if (memmem(line.ptr, line.len, needle.ptr, needle.len) != NULL)
			return true;
	}
	return q->any_count == 0;
}

/* ---- matching ---- */

static bool
resource_matches(const struct audit_record *r, struct str wanted)
{
	struct str sub = {NULL, 0}, group = {NULL, 0};
	struct str name = str_split(&wanted, '/');

	if (wanted.ptr != NULL)
		sub = wanted;
	wanted = name;
	name = str_split(&wanted, '.');
	if (wanted.ptr != NULL)
		group = wanted;
	return str_eq(name, r->text[AUDIT_FIELD_RESOURCE]) &&
	       (sub.ptr == NULL || str_eq(sub, r->text[AUDIT_FIELD_SUBRESOURCE])) &&
	       (group.ptr == NULL || str_eq(group, r->text[AUDIT_FIELD_GROUP]));
}

/* Used, made, or what the request was about. */
static bool
names_token(const struct audit_record *r, struct str id)
{
	return str_eq(id, r->text[AUDIT_FIELD_TOKEN]) ||
	       str_eq(id, r->text[AUDIT_FIELD_TOKEN_ISSUED]) ||
	       (str_is(r->text[AUDIT_FIELD_GROUP], "ringfence.dev") &&
		   str_is(r->text[AUDIT_FIELD_RESOURCE], "tokens") &&
		   str_eq(id, r->text[AUDIT_FIELD_NAME]));
}

static bool
source_matches(const struct audit_query *q, const struct audit_record *r)
{
	struct ip_addr address;

	return ip_parse(r->text[AUDIT_FIELD_SOURCE], &address) &&
	       ip_in_prefix(&address, &q->source);
}

static bool
time_matches(const struct audit_query *q, const struct audit_record *r)
{
	const bool since = q->value[AUDIT_FILTER_SINCE].ptr != NULL;
	const bool until = q->value[AUDIT_FILTER_UNTIL].ptr != NULL;

	return (!since && !until) ||
	       (r->has_time && (!since || r->time.ns >= q->since.ns) &&
		   (!until || r->time.ns < q->until.ns));
}

static bool
special_matches(
    const struct audit_query *q, enum audit_filter filter, const struct audit_record *r)
{
	struct str value = q->value[filter];

	if (filter == AUDIT_FILTER_TENANT) /* a record of no tenant is the whole's */
		return str_is(value, "/") ||
		       audit_path_within(r->text[AUDIT_FIELD_TENANT], value);
	if (filter == AUDIT_FILTER_RESOURCE)
		return resource_matches(r, value);
	if (filter == AUDIT_FILTER_CODE)
		return r->code >= q->code_from && r->code <= q->code_to;
	if (filter == AUDIT_FILTER_SOURCE)
		return source_matches(q, r);
	if (filter == AUDIT_FILTER_KIND)
		return (q->kinds >> r->kind & 1) != 0;
	if (filter == AUDIT_FILTER_TOKEN)
		return names_token(r, value);
	return true; /* times, and text, which audit_query_may looked for */
}

bool
audit_query_matches(const struct audit_query *q, const struct audit_record *record)
{
	if (!time_matches(q, record))
		return false;
	for (int i = 0; i < AUDIT_FILTER_COUNT; i++) {
		enum audit_field field = filters[i].field;

		if (q->value[i].ptr == NULL)
			continue;
		if (field != AUDIT_FIELD_COUNT
			? !str_eq(q->value[i], record->text[field])
			: !special_matches(q, (enum audit_filter)i, record))
			return false;
	}
	return true;
}

/* ---- running ---- */

struct running {
	const struct audit_query *query;
	struct audit_search *search;
	struct arena *arena; /* of one record */
};

static bool
on_line(void *arg, uint64_t index, struct str line)
{
	struct running *r = arg;
	struct audit_record record;
	char text[64];

	if (!audit_query_may(r->query, line))
		return true;
	arena_reset(r->arena);
	if (!audit_record_parse(&record, r->arena, line, index)) {
		r->search->unreadable++;
		(void)snprintf(text, sizeof(text), "line %llu is no JSON",
		    (unsigned long long)index);
		r->search->complain(r->search->arg, text);
		return true;
	}
	if (!audit_query_matches(r->query, &record))
		return true;
	r->search->matches++;
	return r->search->each(r->search->arg, &record);
}

static void
on_complaint(void *arg, const char *what)
{
	struct running *r = arg;

	r->search->complain(r->search->arg, what);
}

int
audit_query_run(
    const struct audit_query *q, struct audit_search *search, struct err *err)
{
	struct running running = {q, search, arena_new()};
	struct audit_scan scan = {
	    .directory = search->directory,
	    .no_index = search->no_index,
	    .probe =
		{
		    .words = q->words,
		    .word_count = q->word_count,
		    .has_since = q->value[AUDIT_FILTER_SINCE].ptr != NULL,
		    .has_until = q->value[AUDIT_FILTER_UNTIL].ptr != NULL,
		    .since = q->since,
		    .until = q->until,
		},
	    .each = on_line,
	    .complain = on_complaint,
	    .arg = &running,
	};
	int rc;

	rc = audit_scan(&scan, err);
	search->bytes_read = scan.bytes_read;
	search->bytes_passed = scan.bytes_passed;
	arena_free(running.arena);
	return rc;
}
