/*
 * Quotas combine by minimum along the path: one above a lower one is never reached.
 */
#include "policy-lang/lint/lint_internal.h"

struct limit_field {
	const char *name;
	size_t offset; /* in struct quota_limits */
};

static const struct limit_field fields[] = {
    {"perSecond", offsetof(struct quota_limits, per_second_milli)},
    {"burst", offsetof(struct quota_limits, burst)},
    {"inFlight", offsetof(struct quota_limits, in_flight)},
    {"watches", offsetof(struct quota_limits, watches)},
    {"perDay", offsetof(struct quota_limits, per_day)},
    {"bodyBytes", offsetof(struct quota_limits, body_bytes)},
};

static uint64_t
field_value(const struct quota_limits *limits, const struct limit_field *f)
{
	return *(const uint64_t *)(const void *)((const char *)limits + f->offset);
}

static void
say_no_effect(struct lint *lint, const struct quota *q, const struct quota *above,
    const char *block, struct str field)
{
	struct diag *d = lint_say(lint, CODE_QUOTA_NO_EFFECT, q->loc,
	    "%s.%.*s of Quota \"%.*s\" has no effect: %.*s has a lower one", block,
	    STR_ARG(field), STR_ARG(q->name), STR_ARG(above->level->path));

	lint_note(lint, d, above->loc, "Quota \"%.*s\"", STR_ARG(above->name));
}

static const struct {
	const char *name;
	size_t offset; /* in struct quota */
} blocks[] = {
    {"requests", offsetof(struct quota, requests)},
    {"perUser", offsetof(struct quota, per_user)},
    {"perToken", offsetof(struct quota, per_token)},
};

static const struct quota_limits *
limits_of(const struct quota *q, size_t block)
{
	return (const void *)((const char *)q + blocks[block].offset);
}

/* A quota above with a lower limit; NULL if there is none. */
static const struct quota *
lower_above(const struct quota *q, size_t block, const struct limit_field *f)
{
	uint64_t value = field_value(limits_of(q, block), f);

	for (const struct ns *s = q->level->parent; s != NULL && value != QUOTA_UNSET;
	     s = s->parent) {
		for (size_t i = 0; i < s->quota_count; i++) {
			if (field_value(limits_of(s->quotas[i], block), f) < value)
				return s->quotas[i];
		}
	}
	return NULL;
}

static const struct quota *
lower_object_above(const struct quota *q, const struct quota_object *object)
{
	for (const struct ns *s = q->level->parent; s != NULL; s = s->parent) {
		for (size_t i = 0; i < s->quota_count; i++) {
			const struct quota *above = s->quotas[i];

			for (size_t j = 0; j < above->object_count; j++) {
				if (str_eq(
					above->objects[j].resource, object->resource) &&
				    above->objects[j].amount_milli <
					object->amount_milli)
					return above;
			}
		}
	}
	return NULL;
}

static void
lint_quota(struct lint *lint, const struct quota *q)
{
	const struct quota *above;

	for (size_t i = 0; i < ARRAY_LEN(fields) * ARRAY_LEN(blocks); i++) {
		const size_t block = i / ARRAY_LEN(fields);
		const struct limit_field *f = &fields[i % ARRAY_LEN(fields)];

		above = lower_above(q, block, f);
		if (above != NULL)
			say_no_effect(
			    lint, q, above, blocks[block].name, str_from(f->name));
	}
	for (size_t i = 0; i < q->object_count; i++) {
		above = lower_object_above(q, &q->objects[i]);
		if (above != NULL)
			say_no_effect(
			    lint, q, above, "objects", q->objects[i].resource);
	}
}

void
lint_quotas(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->ns_count; i++) {
		const struct ns *ns = lint->m->namespaces[i];

		for (size_t j = 0; j < ns->quota_count; j++)
			lint_quota(lint, ns->quotas[j]);
	}
}
