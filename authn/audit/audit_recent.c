#include "authn/audit/audit_recent.h"

#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_record.h"
#include "common/limits.h"

struct audit_recent {
	struct buf lines[AUDIT_RECENT_LINES]; /* a ring; [first, first + count) */
	size_t first, count;
	size_t unsettled; /* the last of them */
	size_t bytes;
};

struct audit_recent *
audit_recent_new(void)
{
	return xcalloc(1, sizeof(struct audit_recent));
}

void
audit_recent_free(struct audit_recent *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < AUDIT_RECENT_LINES; i++)
		buf_free(&r->lines[i]);
	free(r);
}

static struct buf *
line_at(struct audit_recent *r, size_t i)
{
	return &r->lines[(r->first + i) % AUDIT_RECENT_LINES];
}

static void
drop_first(struct audit_recent *r)
{
	struct buf *line = line_at(r, 0);

	r->bytes -= line->len;
	buf_free(line);
	r->first = (r->first + 1) % AUDIT_RECENT_LINES;
	r->count--;
	if (r->unsettled > r->count)
		r->unsettled = r->count;
}

static bool
contains(struct str line, struct str needle)
{
	return memmem(line.ptr, line.len, needle.ptr, needle.len) != NULL;
}

void
audit_recent_add(struct audit_recent *r, struct str line)
{
	if (line.len > AUDIT_RECENT_LINE ||
	    !contains(line, STR("\"stage\":\"ResponseComplete\"")))
		return;
	while (r->count != 0 && (r->count == AUDIT_RECENT_LINES ||
				    r->bytes + line.len > AUDIT_RECENT_BYTES))
		drop_first(r);
	buf_add_str(line_at(r, r->count), line);
	r->bytes += line.len;
	r->count++;
	r->unsettled++;
}

void
audit_recent_settle(struct audit_recent *r, bool ok)
{
	for (; !ok && r->unsettled != 0; r->unsettled--) {
		struct buf *line = line_at(r, --r->count);

		r->bytes -= line->len;
		buf_free(line);
	}
	r->unsettled = 0;
}

/* ---- questions ---- */

void
audit_recent_question_encode(
    struct buf *out, const struct audit_recent_question *question)
{
	proc_put_str(out, question->user);
	proc_put_u8(out, question->refused);
	proc_put_u32(out, (uint32_t)question->subtree_count);
	for (size_t i = 0; i < question->subtree_count; i++)
		proc_put_str(out, question->subtrees[i]);
}

bool
audit_recent_question_decode(struct arena *arena, struct proc_reader *r,
    struct audit_recent_question *out_question)
{
	struct str *subtrees;
	uint32_t count;

	out_question->user = proc_get_str(r);
	out_question->refused = proc_get_u8(r) != 0;
	count = proc_get_u32(r);
	if (!r->ok || count > AUDIT_RECENT_SUBTREES)
		return false;
	subtrees = ARENA_ARRAY(arena, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		subtrees[i] = proc_get_str(r);
	out_question->subtrees = subtrees;
	out_question->subtree_count = count;
	return proc_reader_done(r);
}

/* ---- answers ---- */

/* What a line must contain to be worth reading; "" each: nothing. */
struct needles {
	struct str user;
	struct str *tenants;
};

static struct str
make_needle(struct arena *arena, const char *key, struct str value)
{
	struct buf text = {0};
	struct str needle;

	buf_printf(&text, "\"%s\":", key);
	buf_add_json(&text, value);
	text.len--; /* what follows is compared exactly, later */
	needle = str_dup(arena, buf_str(&text));
	buf_free(&text);
	return needle;
}

static void
make_needles(
    struct arena *arena, const struct audit_recent_question *q, struct needles *out)
{
	out->user = make_needle(arena, "username", q->user);
	out->tenants = ARENA_ARRAY(arena, q->subtree_count, struct str);
	for (size_t i = 0; i < q->subtree_count; i++)
		out->tenants[i] =
		    make_needle(arena, "ringfence.dev/tenant", q->subtrees[i]);
}

static bool
may_see(const struct audit_recent_question *q, const struct needles *n, struct str line)
{
	if (q->refused && !contains(line, STR("\"forbid\"")))
		return false;
	if (contains(line, n->user))
		return true;
	for (size_t i = 0; i < q->subtree_count; i++) {
		if (contains(line, n->tenants[i]))
			return true;
	}
	return false;
}

static bool
sees(const struct audit_recent_question *q, const struct audit_record *r)
{
	if (q->refused && r->code != 401 && r->code != 403 && r->code != 429)
		return false;
	if (q->user.len != 0 && str_eq(r->text[AUDIT_FIELD_USER], q->user))
		return true;
	for (size_t i = 0; i < q->subtree_count; i++) {
		if (audit_path_within(r->text[AUDIT_FIELD_TENANT], q->subtrees[i]))
			return true;
	}
	return false;
}

static void
add_entry(struct buf *out, const struct audit_record *r, struct arena *scratch)
{
	static const enum audit_field fields[] = {
	    AUDIT_FIELD_TIME,
	    AUDIT_FIELD_USER,
	    AUDIT_FIELD_SOURCE,
	    AUDIT_FIELD_VERB,
	    AUDIT_FIELD_NAMESPACE,
	    AUDIT_FIELD_NAME,
	    AUDIT_FIELD_TENANT,
	    AUDIT_FIELD_REASON,
	    AUDIT_FIELD_MESSAGE,
	    AUDIT_FIELD_DECIDED_BY,
	    AUDIT_FIELD_ID,
	};

	buf_printf(out,
	    "{\"kind\":\"%s\",\"status\":%u,\"resource\":", audit_kind_name(r->kind),
	    r->code);
	buf_add_json(out, audit_record_target(r, scratch));
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct str text = r->text[fields[i]];

		if (text.len == 0)
			continue;
		buf_printf(out, ",\"%s\":", audit_field_name(fields[i]));
		buf_add_json(out, text);
	}
	buf_add_char(out, '}');
}

void
audit_recent_answer(const struct audit_recent *recent,
    const struct audit_recent_question *q, struct buf *out)
{
	struct arena *arena = arena_new(), *scratch = arena_new();
	const size_t settled = recent->count - recent->unsettled;
	struct audit_record record;
	struct needles needles;
	unsigned found = 0;

	make_needles(arena, q, &needles);
	buf_add_cstr(out, "{\"entries\":[");
	for (size_t i = settled; i-- > 0 && found < AUDIT_RECENT_ANSWERS;) {
		const struct buf *kept =
		    &recent->lines[(recent->first + i) % AUDIT_RECENT_LINES];
		size_t before = out->len;

		if (!may_see(q, &needles, buf_str(kept)))
			continue;
		arena_reset(scratch);
		if (!audit_record_parse(&record, scratch, buf_str(kept), 0) ||
		    !sees(q, &record))
			continue;
		if (found++ != 0)
			buf_add_char(out, ',');
		add_entry(out, &record, scratch);
		if (out->len > LIMIT_MESSAGE_BYTES / 2) {
			out->len = before;
			break;
		}
	}
	buf_add_cstr(out, "]}\n");
	arena_free(scratch);
	arena_free(arena);
}
