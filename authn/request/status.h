/*
 * Kubernetes Status bodies (meta/v1), word for word as kube-apiserver writes them, so
 * that clients understand the gate's own refusals. Pure.
 */
#ifndef AUTHN_STATUS_H
#define AUTHN_STATUS_H

#include "authn/request/requestinfo.h"
#include "common/str.h"

/* A failure. Empty strings are left out. */
struct status {
	int code;           /* HTTP status */
	const char *reason; /* NULL: the one that goes with the code */
	struct str message;
	bool has_details;             /* write "details":{} even when it is empty */
	struct str name, group, kind; /* of details */
	uint32_t retry_after_s;       /* 0: none */
};

/* Appends the JSON body, with its newline. */
void status_encode(struct buf *out, const struct status *status);
/* The reason for an HTTP status, "" where Kubernetes has none. */
MUST_CHECK const char *status_reason(int code);
/* The phrase of an HTTP/1.1 status line. */
MUST_CHECK const char *status_phrase(int code);

/* 403 as the API server words it. Strings live in the arena. */
struct status status_forbidden(
    struct arena *arena, struct str user, const struct request_info *info);
/* 403 for a client that asks to be somebody else. */
struct status status_impersonation(
    struct arena *arena, struct str user, struct str target);

#endif
