/*
 * Kubernetes' quantities: "64", "500m", "256Gi", "1e3".
 */
#ifndef POLICY_LANG_QUANTITY_H
#define POLICY_LANG_QUANTITY_H

#include "common/str.h"

/* Times 1,000, rounded up; false for what is no quantity, is negative, or does not fit. */
MUST_CHECK bool quantity_parse(struct str text, uint64_t *out_milli);

#endif
