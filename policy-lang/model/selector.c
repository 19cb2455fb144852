#include "policy-lang/model/selector.h"

static const struct label *
label_find(struct label_set labels, struct str key)
{
	size_t lo = 0, hi = labels.count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = str_cmp(labels.items[mid].key, key);

		if (order == 0)
			return &labels.items[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool
requirement_has_value(const struct requirement *r, struct str value)
{
	size_t lo = 0, hi = r->value_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = str_cmp(r->values[mid], value);

		if (order == 0)
			return true;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool
requirement_matches(const struct requirement *r, struct label_set labels)
{
	const struct label *label = label_find(labels, r->key);

	switch (r->op) {
	case REQ_IN:
		return label != NULL && requirement_has_value(r, label->value);
	case REQ_NOT_IN: /* an absent key is in no list */
		return label == NULL || !requirement_has_value(r, label->value);
	case REQ_EXISTS:
		return label != NULL;
	case REQ_NOT_EXISTS:
		return label == NULL;
	}
	return false;
}

bool
selector_matches(const struct selector *s, struct label_set labels)
{
	if (s == NULL)
		return true;
	for (size_t i = 0; i < s->count; i++) {
		if (!requirement_matches(&s->reqs[i], labels))
			return false;
	}
	return true;
}

static bool
requirement_equal(const struct requirement *a, const struct requirement *b)
{
	if (a->op != b->op || a->value_count != b->value_count ||
	    !str_eq(a->key, b->key))
		return false;
	for (size_t i = 0; i < a->value_count; i++) {
		if (!str_eq(a->values[i], b->values[i]))
			return false;
	}
	return true;
}

bool
selector_equal(const struct selector *a, const struct selector *b)
{
	size_t a_count = a != NULL ? a->count : 0;
	size_t b_count = b != NULL ? b->count : 0;

	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (!requirement_equal(&a->reqs[i], &b->reqs[i]))
			return false;
	}
	return true;
}
