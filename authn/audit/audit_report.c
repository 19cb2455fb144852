#include "authn/audit/audit_report.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/map.h"

#define MAX_COLUMNS 12
#define KIND(k)     (UINT32_C(1) << (k))
#define REQUESTS                                                                       \
	(KIND(AUDIT_KIND_READ) | KIND(AUDIT_KIND_CHANGE) | KIND(AUDIT_KIND_POLICY) |   \
	    KIND(AUDIT_KIND_ADMIN))
#define TIME_BYTES 40

/* Cells that are no text of the record as it is. */
enum special {
	CELL_TARGET = AUDIT_FIELD_COUNT, /* pods/exec, deployments.apps, or the path */
	CELL_ACCESS,                     /* read or change */
	CELL_ACTION,                     /* of a token: created, rotated, revoked */
	CELL_TOKEN_ID,                   /* ... which */
	CELL_TENANT,                     /* "/" where none is noted */
	CELL_ACCOUNT,                    /* suspended or restored */
	CELL_END
};

/*
 * One table: which records are in it, and what of them. A grouped one has a row for each
 * combination of its cells, and then how many records, from when to when; and, of flows, how many
 * connections they stand for.
 */
struct section {
	const char *id, *title, *about;
	uint32_t kinds; /* 0: see belongs */
	bool grouped, flows;
	const char *heads[MAX_COLUMNS];
	int cells[MAX_COLUMNS]; /* enum audit_field or special; CELL_END at the end */
};

enum {
	SECTION_TOKEN_USE = 6,
	SECTION_UNFINISHED = 15,
};

#define GROUP_HEADS "Records", "First", "Last"
#define FLOW_HEADS  "Records", "First", "Last", "Connections"

static const struct section sections[] = {
    {"access", "Who accessed what",
	"Requests that were allowed, by user, place and resource.", REQUESTS, true,
	false, {"User", "Tenant", "Resource", "Access", GROUP_HEADS},
	{AUDIT_FIELD_USER, CELL_TENANT, CELL_TARGET, CELL_ACCESS, CELL_END}},
    {"denied", "Denied attempts",
	"Requests that were refused for want of identity (401) or permission (403).",
	KIND(AUDIT_KIND_DENIED), true, false,
	{"User", "Source", "Tenant", "Verb", "Resource", "Name", "Status", "Decided by",
	    GROUP_HEADS},
	{AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, CELL_TENANT, AUDIT_FIELD_VERB,
	    CELL_TARGET, AUDIT_FIELD_NAME, AUDIT_FIELD_CODE, AUDIT_FIELD_DECIDED_BY,
	    CELL_END}},
    {"limited", "Requests beyond a quota", "Requests that were refused with 429.",
	KIND(AUDIT_KIND_LIMITED), true, false,
	{"User", "Tenant", "Resource", GROUP_HEADS},
	{AUDIT_FIELD_USER, CELL_TENANT, CELL_TARGET, CELL_END}},
    {"policy", "Policy changes",
	"Changes of what says who may connect to whom, and configurations put in "
	"force.",
	KIND(AUDIT_KIND_POLICY), false, false,
	{"Time", "User", "Source", "Tenant", "Verb", "Resource", "Name", "Status",
	    "Detail"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, CELL_TENANT,
	    AUDIT_FIELD_VERB, CELL_TARGET, AUDIT_FIELD_NAME, AUDIT_FIELD_CODE,
	    AUDIT_FIELD_DETAIL, CELL_END}},
    {"admin", "Administrative actions",
	"Changes of the tree, of rights, quotas and of the cluster itself.",
	KIND(AUDIT_KIND_ADMIN), false, false,
	{"Time", "User", "Source", "Tenant", "Verb", "Resource", "Name", "Status"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, CELL_TENANT,
	    AUDIT_FIELD_VERB, CELL_TARGET, AUDIT_FIELD_NAME, AUDIT_FIELD_CODE,
	    CELL_END}},
    {"tokens", "Tokens created, rotated and revoked", "By their ids.",
	KIND(AUDIT_KIND_TOKEN), false, false,
	{"Time", "User", "Source", "Action", "Token"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, CELL_ACTION,
	    CELL_TOKEN_ID, CELL_END}},
    [SECTION_TOKEN_USE] = {"token-use", "Tokens used",
	"Requests that were made with each token, whatever became of them.", 0, true,
	false, {"Token", "User", GROUP_HEADS},
	{AUDIT_FIELD_TOKEN, AUDIT_FIELD_USER, CELL_END}},
    {"logins-failed", "Failed logins", "Passwords that were refused.",
	KIND(AUDIT_KIND_LOGIN_FAILED), true, false,
	{"User", "Source", "Status", GROUP_HEADS},
	{AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, AUDIT_FIELD_CODE, CELL_END}},
    {"logins", "Logins", "Users who signed in.", KIND(AUDIT_KIND_LOGIN), true, false,
	{"User", "Source", GROUP_HEADS},
	{AUDIT_FIELD_USER, AUDIT_FIELD_SOURCE, CELL_END}},
    {"failed", "Requests that failed", "Answers of 500 and above.",
	KIND(AUDIT_KIND_FAILED), true, false,
	{"User", "Tenant", "Verb", "Resource", "Status", GROUP_HEADS},
	{AUDIT_FIELD_USER, CELL_TENANT, AUDIT_FIELD_VERB, CELL_TARGET, AUDIT_FIELD_CODE,
	    CELL_END}},
    {"applied", "Policy put in force on nodes", "Programs that enforcers applied.",
	KIND(AUDIT_KIND_APPLIED), false, false,
	{"Time", "Node", "Generation", "Status", "Detail"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_NAME, AUDIT_FIELD_GENERATION, AUDIT_FIELD_CODE,
	    AUDIT_FIELD_DETAIL, CELL_END}},
    {"healed", "Drift healed", "Tables that somebody else had changed on a node.",
	KIND(AUDIT_KIND_HEALED), false, false,
	{"Time", "Node", "Generation", "Status", "Detail"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_NAME, AUDIT_FIELD_GENERATION, AUDIT_FIELD_CODE,
	    AUDIT_FIELD_DETAIL, CELL_END}},
    {"flows-denied", "Connections denied", "By workload, and by the rule that decided.",
	KIND(AUDIT_KIND_FLOW_DENIED), true, true,
	{"Tenant", "Direction", "Source", "Destination", "Service", "Reason",
	    "Decided by", FLOW_HEADS},
	{CELL_TENANT, AUDIT_FIELD_DIRECTION, AUDIT_FIELD_FLOW_SOURCE,
	    AUDIT_FIELD_FLOW_DESTINATION, AUDIT_FIELD_SERVICE, AUDIT_FIELD_REASON,
	    AUDIT_FIELD_DECIDED_BY, CELL_END}},
    {"flows-watched", "Connections that watched policies would deny",
	"They were let through: the policy is not enforced.",
	KIND(AUDIT_KIND_FLOW_WATCHED), true, true,
	{"Tenant", "Direction", "Source", "Destination", "Service", "Decided by",
	    FLOW_HEADS},
	{CELL_TENANT, AUDIT_FIELD_DIRECTION, AUDIT_FIELD_FLOW_SOURCE,
	    AUDIT_FIELD_FLOW_DESTINATION, AUDIT_FIELD_SERVICE, AUDIT_FIELD_DECIDED_BY,
	    CELL_END}},
    {"gaps", "Gaps", "The log could not be written for a while before each of these.",
	KIND(AUDIT_KIND_GAP), false, false, {"Time", "Writer"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_USER, CELL_END}},
    [SECTION_UNFINISHED] = {"unfinished", "Changes without an end",
	"Changes that began in the period and have no last record in it: what became "
	"of "
	"them is not known.",
	0, false, false, {"Time", "User", "Tenant", "Verb", "Request", "Audit id"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_USER, CELL_TENANT, AUDIT_FIELD_VERB,
	    AUDIT_FIELD_URI, AUDIT_FIELD_ID, CELL_END}},
    {"accounts", "Accounts suspended and restored",
	"What the directory had made of accounts, and so of their tokens and "
	"certificates.",
	KIND(AUDIT_KIND_ACCOUNT), false, false, {"Time", "Account", "Action", "Reason"},
	{AUDIT_FIELD_TIME, AUDIT_FIELD_NAME, CELL_ACCOUNT, AUDIT_FIELD_DETAIL,
	    CELL_END}},
};

#define SECTION_COUNT ARRAY_LEN(sections)

struct group {
	struct str cells[MAX_COLUMNS];
	uint64_t records, connections, order;
	char first[TIME_BYTES], last[TIME_BYTES];
};

/* A change that has no last record so far. */
struct begun {
	char *id;
	struct buf line;
	uint64_t index;
};

struct growing {
	struct map by_key; /* of grouped ones: cells -> struct group */
	struct group **groups;
	size_t count, cap;
	uint64_t records, omitted;
};

struct audit_reporter {
	struct arena *arena;
	struct growing growing[SECTION_COUNT];
	struct map begun; /* audit id -> struct begun */
	struct audit_summary summary;
	struct audit_table tables[SECTION_COUNT];
};

struct audit_reporter *
audit_reporter_new(void)
{
	struct audit_reporter *r = xcalloc(1, sizeof(*r));

	r->arena = arena_new();
	return r;
}

static void
free_begun(struct begun *b)
{
	free(b->id);
	buf_free(&b->line);
	free(b);
}

void
audit_reporter_free(struct audit_reporter *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		map_fini(&r->growing[i].by_key);
		free(r->growing[i].groups);
	}
	for (size_t i = 0; i < r->begun.len; i++)
		free_begun(r->begun.entries[i].value);
	map_fini(&r->begun);
	arena_free(r->arena);
	free(r);
}

/* ---- cells ---- */

static struct str
token_action(const struct audit_record *r)
{
	if (str_is(r->text[AUDIT_FIELD_VERB], "delete"))
		return STR("revoked");
	return str_ends(r->text[AUDIT_FIELD_URI], STR("/rotate")) ? STR("rotated")
								  : STR("created");
}

static struct str
cell_of(const struct audit_record *r, int cell, struct arena *scratch)
{
	switch (cell) {
	case CELL_TARGET:
		return audit_record_target(r, scratch);
	case CELL_ACCESS:
		return r->kind == AUDIT_KIND_READ ? STR("read") : STR("change");
	case CELL_ACTION:
		return token_action(r);
	case CELL_TOKEN_ID:
		return r->text[AUDIT_FIELD_TOKEN_ISSUED].len != 0
			   ? r->text[AUDIT_FIELD_TOKEN_ISSUED]
			   : r->text[AUDIT_FIELD_NAME];
	case CELL_TENANT:
		return r->text[AUDIT_FIELD_TENANT].len != 0
			   ? r->text[AUDIT_FIELD_TENANT]
			   : STR("/");
	case CELL_ACCOUNT:
		return str_starts(r->text[AUDIT_FIELD_VERB], STR("suspend"))
			   ? STR("suspended")
			   : STR("restored");
	default:
		return r->text[cell];
	}
}

static size_t
cell_count(const struct section *s)
{
	size_t n = 0;

	while (s->cells[n] != CELL_END)
		n++;
	return n;
}

/* ---- adding ---- */

static struct group *
new_group(struct audit_reporter *r, struct growing *g)
{
	struct group *group;

	if (g->count == LIMIT_AUDIT_REPORT_ROWS)
		return NULL;
	if (g->count == g->cap) {
		g->cap = g->cap != 0 ? 2 * g->cap : 64;
		g->groups = xreallocarray(g->groups, g->cap, sizeof(struct group *));
	}
	group = ARENA_NEW(r->arena, struct group);
	group->order = g->count;
	g->groups[g->count++] = group;
	return group;
}

/* The row of that record: one that is there already, or a new one; NULL: no more. */
static struct group *
find_group(struct audit_reporter *r, size_t section, const struct str *cells, size_t n)
{
	struct growing *g = &r->growing[section];
	struct group *group = NULL;
	struct buf key = {0};

	if (sections[section].grouped) {
		for (size_t i = 0; i < n; i++) {
			/* A cell may have any byte in it: its length comes first. */
			buf_printf(&key, "%zu:", cells[i].len);
			buf_add_str(&key, cells[i]);
		}
		group = map_get(&g->by_key, buf_str(&key));
	}
	if (group == NULL && (group = new_group(r, g)) != NULL) {
		for (size_t i = 0; i < n; i++)
			group->cells[i] = str_dup(r->arena, cells[i]);
		if (sections[section].grouped)
			map_set(&g->by_key, str_dup(r->arena, buf_str(&key)), group);
	}
	buf_free(&key);
	return group;
}

static void
set_time(char out[TIME_BYTES], struct str time)
{
	size_t len = time.len < TIME_BYTES ? time.len : TIME_BYTES - 1;

	memcpy(out, len != 0 ? time.ptr : "", len);
	out[len] = '\0';
}

static void
add_row(struct audit_reporter *r, size_t section, const struct audit_record *record)
{
	struct growing *g = &r->growing[section];
	struct str time = record->text[AUDIT_FIELD_TIME];
	struct str cells[MAX_COLUMNS];
	struct arena *scratch = arena_new_sized(1024);
	size_t n = cell_count(&sections[section]);
	struct group *group;
	uint64_t connections;

	for (size_t i = 0; i < n; i++)
		cells[i] = cell_of(record, sections[section].cells[i], scratch);
	group = find_group(r, section, cells, n);
	arena_free(scratch);
	g->records++;
	if (group == NULL) {
		g->omitted++;
		return;
	}
	if (group->records++ == 0 || str_cmp(time, str_from(group->first)) < 0)
		set_time(group->first, time);
	if (str_cmp(time, str_from(group->last)) > 0)
		set_time(group->last, time);
	if (!str_to_u64(record->text[AUDIT_FIELD_COUNT_OF], UINT32_MAX, &connections))
		connections = 1;
	group->connections += connections;
}

/* A change has two records; when the second comes, the first is forgotten. */
static void
track_change(struct audit_reporter *r, const struct audit_record *record)
{
	struct str id = record->text[AUDIT_FIELD_ID];
	struct begun *begun = map_get(&r->begun, id);

	if (record->kind != AUDIT_KIND_STARTED) {
		if (begun != NULL) {
			map_remove(&r->begun, id);
			free_begun(begun);
		}
		return;
	}
	if (!str_is(record->text[AUDIT_FIELD_STAGE], "RequestReceived") ||
	    begun != NULL)
		return;
	if (r->begun.len == LIMIT_AUDIT_REPORT_ROWS) {
		r->growing[SECTION_UNFINISHED].omitted++;
		return;
	}
	begun = xcalloc(1, sizeof(*begun));
	begun->id = xmalloc(id.len + 1);
	memcpy(begun->id, id.len != 0 ? id.ptr : "", id.len);
	buf_add_str(&begun->line, record->line);
	begun->index = record->index;
	map_set(&r->begun, (struct str){begun->id, id.len}, begun);
}

static int
compare_begun(const void *a, const void *b)
{
	const struct begun *x = *(struct begun *const *)a;
	const struct begun *y = *(struct begun *const *)b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* Those that are left never ended. */
static void
add_unfinished(struct audit_reporter *r)
{
	struct begun **all = ARENA_ARRAY(r->arena, r->begun.len, struct begun *);
	struct arena *scratch = arena_new();
	struct audit_record record;

	for (size_t i = 0; i < r->begun.len; i++)
		all[i] = r->begun.entries[i].value;
	if (r->begun.len != 0)
		qsort(all, r->begun.len, sizeof(struct begun *), compare_begun);
	for (size_t i = 0; i < r->begun.len; i++) {
		if (audit_record_parse(
			&record, scratch, buf_str(&all[i]->line), all[i]->index))
			add_row(r, SECTION_UNFINISHED, &record);
		arena_reset(scratch);
	}
	arena_free(scratch);
}

static void
summarize(struct audit_reporter *r, const struct audit_record *record)
{
	struct audit_summary *s = &r->summary;

	if (s->records++ == 0)
		s->first_index = record->index;
	s->last_index = record->index;
	s->by_kind[record->kind]++;
}

void
audit_reporter_add(struct audit_reporter *r, const struct audit_record *record)
{
	summarize(r, record);
	track_change(r, record);
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		if ((sections[i].kinds >> record->kind & 1) != 0)
			add_row(r, i, record);
	}
	if (record->kind != AUDIT_KIND_STARTED &&
	    record->text[AUDIT_FIELD_TOKEN].len != 0)
		add_row(r, SECTION_TOKEN_USE, record);
}

/* ---- the tables ---- */

/* Grouped ones: the most first; others as they came. */
static int
compare_groups(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a;
	const struct group *y = *(struct group *const *)b;

	if (x->records != y->records)
		return x->records > y->records ? -1 : 1;
	for (size_t i = 0; i < MAX_COLUMNS; i++) {
		int order = str_cmp(x->cells[i], y->cells[i]);

		if (order != 0)
			return order;
	}
	return x->order < y->order ? -1 : x->order > y->order;
}

static struct str
number(struct arena *arena, uint64_t value)
{
	return str_from(arena_printf(arena, "%llu", (unsigned long long)value));
}

static void
make_row(struct audit_reporter *r, const struct section *s, const struct group *group,
    size_t columns, struct audit_row *out)
{
	struct str *cells = ARENA_ARRAY(r->arena, columns, struct str);
	size_t n = cell_count(s);

	memcpy(cells, group->cells, n * sizeof(cells[0]));
	if (s->grouped) {
		cells[n++] = number(r->arena, group->records);
		cells[n++] = str_from(group->first);
		cells[n++] = str_from(group->last);
	}
	if (s->flows)
		cells[n++] = number(r->arena, group->connections);
	out->cells = cells;
}

static void
make_table(struct audit_reporter *r, size_t i, struct audit_table *out)
{
	const struct section *s = &sections[i];
	struct growing *g = &r->growing[i];

	*out = (struct audit_table){
	    .id = s->id,
	    .title = s->title,
	    .about = s->about,
	    .heads = s->heads,
	    .column_count = cell_count(s) + (s->grouped ? 3 : 0) + (s->flows ? 1 : 0),
	    .rows = ARENA_ARRAY(r->arena, g->count, struct audit_row),
	    .records = g->records,
	    .omitted = g->omitted,
	};
	if (s->grouped && g->count != 0)
		qsort(g->groups, g->count, sizeof(g->groups[0]), compare_groups);
	for (size_t n = 0; n < g->count; n++)
		make_row(r, s, g->groups[n], out->column_count,
		    &out->rows[out->row_count++]);
}

const struct audit_table *
audit_reporter_finish(
    struct audit_reporter *r, size_t *out_count, struct audit_summary *out_summary)
{
	add_unfinished(r);
	for (size_t i = 0; i < SECTION_COUNT; i++)
		make_table(r, i, &r->tables[i]);
	*out_count = SECTION_COUNT;
	*out_summary = r->summary;
	return r->tables;
}
