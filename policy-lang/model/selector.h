/*
 * Labels, and selectors over them, as apimachinery has them (meta/v1 LabelSelector).
 */
#ifndef POLICY_LANG_SELECTOR_H
#define POLICY_LANG_SELECTOR_H

#include "common/base.h"
#include "common/diag.h"
#include "common/str.h"

struct label {
	struct str key;
	struct str value;
};

struct label_set {
	const struct label *items; /* sorted by key, keys unique */
	size_t count;
};

enum requirement_op {
	REQ_IN,
	REQ_NOT_IN,
	REQ_EXISTS,
	REQ_NOT_EXISTS
};

struct requirement {
	struct str key;
	enum requirement_op op;
	const struct str *values; /* sorted; REQ_IN and REQ_NOT_IN only */
	size_t value_count;
};

/* All requirements must hold; none: everything matches. matchLabels become
 * REQ_IN with one value. Requirements are sorted (key, op, values), so that equal
 * selectors compare equal. */
struct selector {
	const struct requirement *reqs;
	size_t count;
	struct loc loc;
};

/* NULL is a selector without requirements. */
MUST_CHECK bool selector_matches(const struct selector *s, struct label_set labels);
MUST_CHECK bool selector_equal(const struct selector *a, const struct selector *b);

#endif
