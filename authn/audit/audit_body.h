/*
 * Bodies for the audit log: one JSON object on one line, of bounded size, and without
 * secrets. What cannot be shown so is not shown, and why is said. Pure.
 */
#ifndef AUTHN_AUDIT_BODY_H
#define AUTHN_AUDIT_BODY_H

#include "authn/request/requestinfo.h"
#include "common/str.h"

#define AUDIT_BODY_BYTES (32u * 1024) /* of one body, before and after */

/*
 * Appends what may be shown of `body`, without white space. Left out: managedFields. Replaced by
 * "REDACTED": the data of Secrets and ConfigMaps, whatever kubectl keeps of what was applied,
 * environment values, and strings under names such as token and password. NULL, or why there
 * is nothing: "not a JSON object", "not UTF-8"; *out is then as before.
 */
MUST_CHECK const char *audit_body_redact(
    struct buf *out, struct str body, const struct request_info *info);

#endif
