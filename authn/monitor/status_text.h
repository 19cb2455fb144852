/*
 * What the status role is asked and what it says: a request's first line, and reports as
 * JSON and as Prometheus text. Pure; parses what other roles and anybody on the metrics
 * listener send.
 */
#ifndef AUTHN_STATUS_TEXT_H
#define AUTHN_STATUS_TEXT_H

#include "common/proc.h"

enum status_page {
	STATUS_PAGE_HEALTH,
	STATUS_PAGE_READY,
	STATUS_PAGE_METRICS,
	STATUS_PAGE_STATUS,
};

/* 0: the head is not complete yet; 200: it asks for *out_page; else the status to answer. */
MUST_CHECK int status_page_request(struct str head, enum status_page *out_page);

struct status_report;

MUST_CHECK struct status_report *status_report_new(void);
void status_report_free(struct status_report *r); /* NULL is fine */
/* Adds one message of the monitor. True once everything that was announced is there. */
MUST_CHECK bool status_report_add(struct status_report *r, const struct proc_msg *msg);
/* Appends the body; returns the HTTP status. */
MUST_CHECK int status_page_render(const struct status_report *r, enum status_page page,
    struct buf *out, const char **out_type);
MUST_CHECK const char *status_page_reason(int status);

#endif
