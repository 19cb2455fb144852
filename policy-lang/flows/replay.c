#include "policy-lang/flows/replay.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/map.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/flows/flow_ends.h"

/* A policy to ask. */
struct side {
	const struct model *model; /* NULL: there is none */
	struct resolver *resolver;
	struct judge *judge;
};

struct replay {
	struct arena *arena;
	struct side candidate, baseline;
	struct map rows; /* key -> struct replay_row */
	struct buf key;
	struct replay_report report;
};

static void
side_init(struct side *side, struct arena *arena, const struct model *m)
{
	side->model = m;
	if (m == NULL)
		return;
	side->resolver = resolver_new(arena, m);
	side->judge = judge_new(m);
}

static void
side_fini(struct side *side)
{
	judge_free(side->judge);
	resolver_free(side->resolver);
}

struct replay *
replay_new(
    struct arena *arena, const struct model *candidate, const struct model *baseline)
{
	struct replay *replay = ARENA_NEW(arena, struct replay);

	replay->arena = arena;
	side_init(&replay->candidate, arena, candidate);
	side_init(&replay->baseline, arena, baseline);
	return replay;
}

void
replay_free(struct replay *replay)
{
	if (replay == NULL)
		return;
	side_fini(&replay->candidate);
	side_fini(&replay->baseline);
	map_fini(&replay->rows);
	buf_free(&replay->key);
}

/* ---- judging ---- */

enum asked {
	ASKED,
	ASKED_UNKNOWN, /* an end is not known */
	ASKED_INCOMPARABLE,
};

struct answer {
	bool allow;
	struct flow flow;
	const struct flowlog_end *unknown;
};

static enum asked
ask(const struct side *side, const struct flowlog_record *record, struct answer *out)
{
	struct endpoint src, dst;
	bool comparable;

	if (!flow_ends_find(
		side->resolver, side->model, record, &src, &dst, &out->unknown))
		return ASKED_UNKNOWN;
	out->allow = judge_connection_flow(side->judge, &src, &dst, record->proto,
	    record->port, flow_ends_family(record), &comparable, &out->flow);
	return comparable ? ASKED : ASKED_INCOMPARABLE;
}

static enum flowlog_verdict
what_was(const struct replay *replay, const struct flowlog_record *record)
{
	struct answer answer;

	if (replay->baseline.model == NULL)
		return record->verdict;
	if (ask(&replay->baseline, record, &answer) != ASKED)
		return FLOWLOG_UNSAID;
	return answer.allow ? FLOWLOG_ALLOW : FLOWLOG_DENY;
}

static enum replay_change
change_of(enum flowlog_verdict was, bool allow)
{
	if (was == FLOWLOG_UNSAID)
		return REPLAY_UNSAID;
	if ((was == FLOWLOG_ALLOW) == allow)
		return REPLAY_SAME;
	return allow ? REPLAY_OPENED : REPLAY_CLOSED;
}

/* The verdict to tell: who denies; of an allowed flow a rule rather than no policy. */
static void
find_decider(const struct replay *replay, struct replay_row *row)
{
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];
		struct verdict verdict =
		    judge_direction(replay->candidate.judge, &row->flow, dir);
		bool better = d == 0 || !verdict.allow ||
			      verdict.reason == REASON_RULE ||
			      row->decider.reason == REASON_NO_POLICY;

		if (better) {
			row->decider = verdict;
			row->dir = dir;
		}
		if (!verdict.allow)
			return;
	}
}

/* ---- rows ---- */

static void
make_key(struct replay *replay, const struct replay_row *row)
{
	struct buf *key = &replay->key;

	buf_clear(key);
	endpoint_print(key, &row->flow.src);
	buf_add_char(key, '\0');
	endpoint_print(key, &row->flow.dst);
	buf_printf(key, "%c%u/%u %d %d %d %d ", '\0', (unsigned)row->port,
	    (unsigned)row->proto, row->was, row->allow, row->dir,
	    (int)row->decider.reason);
	buf_add(key, &row->decider.rule, sizeof(row->decider.rule));
	buf_add(key, &row->decider.policy, sizeof(row->decider.policy));
}

static void
keep_row(struct replay *replay, const struct replay_row *row)
{
	struct replay_row *kept = map_get(&replay->rows, buf_str(&replay->key));
	struct buf text = {0};

	if (kept != NULL) {
		kept->count += row->count;
		return;
	}
	if (replay->rows.len >= LIMIT_REPLAY_ROWS) {
		replay->report.beyond[row->change] += row->count;
		return;
	}
	kept = ARENA_NEW(replay->arena, struct replay_row);
	*kept = *row;
	endpoint_print(&text, &row->flow.src);
	kept->src = str_dup(replay->arena, buf_str(&text));
	buf_clear(&text);
	endpoint_print(&text, &row->flow.dst);
	kept->dst = str_dup(replay->arena, buf_str(&text));
	buf_free(&text);
	(void)map_set(&replay->rows, str_dup(replay->arena, buf_str(&replay->key)),
	    kept); /* new */
}

static void
count_unknown(struct replay *replay, const struct flowlog_record *record,
    const struct flowlog_end *unknown, unsigned long line)
{
	struct replay_report *report = &replay->report;
	struct str name = unknown->name.len > 0 ? unknown->name : unknown->owner;

	if (report->unknown == 0)
		report->unknown_example = str_from(arena_printf(
		    replay->arena, "\"%.*s\", line %lu", STR_ARG(name), line));
	report->unknown += record->count;
}

void
replay_add(
    struct replay *replay, const struct flowlog_record *record, unsigned long line)
{
	struct answer answer;
	struct replay_row row = {
	    .proto = record->proto,
	    .port = record->port,
	    .count = record->count,
	    .line = line,
	};

	switch (ask(&replay->candidate, record, &answer)) {
	case ASKED:
		break;
	case ASKED_UNKNOWN:
		count_unknown(replay, record, answer.unknown, line);
		return;
	case ASKED_INCOMPARABLE:
		replay->report.incomparable += record->count;
		return;
	}
	row.allow = answer.allow;
	row.flow = answer.flow;
	row.was = what_was(replay, record);
	row.change = change_of(row.was, row.allow);
	find_decider(replay, &row);
	replay->report.flows[row.change] += row.count;
	make_key(replay, &row);
	keep_row(replay, &row);
}

/* ---- the end ---- */

static int
compare_rows(const void *a, const void *b)
{
	const struct replay_row *const *pa = a, *const *pb = b;
	const struct replay_row *x = *pa, *y = *pb;
	int order = (x->change > y->change) - (x->change < y->change);

	if (order == 0)
		order = (x->count < y->count) - (x->count > y->count);
	if (order == 0)
		order = str_cmp(x->src, y->src);
	if (order == 0)
		order = str_cmp(x->dst, y->dst);
	if (order == 0)
		order = (x->proto > y->proto) - (x->proto < y->proto);
	if (order == 0)
		order = (x->port > y->port) - (x->port < y->port);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

void
replay_finish(struct replay *replay, struct replay_report *out_report)
{
	struct replay_report *report = &replay->report;

	report->count = replay->rows.len;
	report->rows = ARENA_ARRAY(replay->arena, report->count, struct replay_row *);
	for (size_t i = 0; i < report->count; i++)
		report->rows[i] = replay->rows.entries[i].value;
	if (report->count > 1)
		qsort(report->rows, report->count, sizeof(*report->rows), compare_rows);
	*out_report = *report;
}
