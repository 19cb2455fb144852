/*
 * What a reviewer hands in: the records of a period, counted and grouped into tables. One
 * pass, bounded memory, no clock and no file; how it is printed is audit_report_print.c's.
 */
#ifndef AUTHN_AUDIT_REPORT_H
#define AUTHN_AUDIT_REPORT_H

#include "authn/audit/audit_record.h"

struct audit_row {
	const struct str *cells;
};

struct audit_table {
	const char *id, *title;
	const char *about; /* one sentence */
	const char *const *heads;
	size_t column_count;
	struct audit_row *rows; /* in order */
	size_t row_count;
	uint64_t records; /* that the rows stand for */
	uint64_t omitted; /* records beyond LIMIT_AUDIT_REPORT_ROWS */
};

struct audit_summary {
	uint64_t by_kind[AUDIT_KIND_COUNT];
	uint64_t records;
	uint64_t first_index, last_index; /* of the records, if there is any */
};

struct audit_reporter;

MUST_CHECK struct audit_reporter *audit_reporter_new(void);
void audit_reporter_free(struct audit_reporter *r);
void audit_reporter_add(struct audit_reporter *r, const struct audit_record *record);
/* Sorts the tables; they live as long as the reporter. Nothing may be added afterwards. */
const struct audit_table *audit_reporter_finish(
    struct audit_reporter *r, size_t *out_count, struct audit_summary *out_summary);

/* ---- printing ---- */

struct audit_fact {
	const char *name;
	struct str value;
};

/* All that a report says. */
struct audit_paper {
	struct str title;
	const struct audit_fact *facts; /* period, filters */
	size_t fact_count;
	const struct audit_fact *integrity;
	size_t integrity_count;
	bool intact;
	struct audit_summary summary;
	const struct audit_table *tables;
	size_t table_count;
};

void audit_paper_html(struct buf *out, const struct audit_paper *paper);
void audit_paper_csv(struct buf *out, const struct audit_paper *paper);
void audit_paper_json(struct buf *out, const struct audit_paper *paper);

#endif
