/*
 * What the console shows of the audit log and of the tree: to everyone what is his own, and to
 * the owners of a subtree what concerns it.
 */
#ifndef AUTHN_API_AUDIT_H
#define AUTHN_API_AUDIT_H

#include "authn/proxy/exchange.h"

/* GET /ringfence/v1/audit, and /audit/refused: see audit_recent_answer. Not with a token that
 * is limited to a scope: what is in the log is wider than any. */
void api_audit_list(struct exchange *x);
/* GET /ringfence/v1/tenants: { tenants: [ { path, owners, kubernetes, quota } ] } of all that
 * the user owns: at or below a node whose owners he is among. */
void api_audit_tenants(struct exchange *x);

/* GET /ringfence/v1/quotas: { quotas: [ { namespace, name, requests, inFlight, watches, today,
 * admitted, refused } ] }: the Quota documents of nodes where the user has some right or that
 * he owns, with what all requests there come to. */
void api_audit_quotas(struct exchange *x);

#endif
