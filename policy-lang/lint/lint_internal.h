/*
 * Between lint*.c only: one run over a model. Each file asks one kind of question.
 */
#ifndef POLICY_LANG_LINT_INTERNAL_H
#define POLICY_LANG_LINT_INTERNAL_H

#include <inttypes.h>

#include "policy-lang/lint/lint.h"
#include "policy-lang/lint/lint_space.h"
#include "policy-lang/lint/lint_world.h"
#include "policy-lang/model/codes.h"

/* Comparisons of rules that one run may make: about half a second of them. What is left
 * out then is counted, and said. */
#define LINT_WORK 20000000u

/* Lints that ask until the work is done or too much; see lint_stops. */
enum lint_part {
	LINT_DNS,
	LINT_API,
	LINT_TENANTS,
	LINT_DEFAULTS,
	LINT_SERVICE_ADDRESSES,
	LINT_HOST_NETWORK,
	LINT_ROUTES,
	LINT_PARTS
};

struct lint {
	const struct model *m;
	const struct source *only; /* what is asked about; NULL: everything */
	struct diag_list *diags;
	struct arena *arena; /* until the run is over */
	struct lint_world world;
	struct space space;
	struct map port_names; /* of all workloads, once somebody asked for them */
	uint64_t work;         /* comparisons made */
	unsigned given_up;     /* rules that were not compared to the end */
	unsigned ties_cut;     /* policies that tie with more than are said */
	bool stopped[LINT_PARTS];
	unsigned said[DIAG_CODE_COUNT];
	struct diag scratch; /* what lint_say returns for what is not given */
};

/* True if the policy is asked about. */
MUST_CHECK static inline bool
lint_asks(const struct lint *lint, const struct policy *p)
{
	return lint->only == NULL || p->loc.source == lint->only;
}

/* As diag_say, up to LINT_PER_CODE of one code. */
struct diag *lint_say(struct lint *lint, enum diag_code code, struct loc loc,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* As diag_hint and diag_note, of what lint_say returned. */
void lint_hint(struct lint *lint, struct diag *d, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void lint_note(struct lint *lint, struct diag *d, struct loc loc, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* As diag_figure, of what lint_say returned. */
void lint_figure(struct lint *lint, struct diag *d, const char *name, uint64_t value);
/* False for what lint_say returned of what is not given: nothing more need be known. */
MUST_CHECK bool lint_is_given(const struct lint *lint, const struct diag *d);
/* True if there has been too much work to ask on; that is said in the end. */
MUST_CHECK bool lint_stops(struct lint *lint, enum lint_part part);
/* "rule \"x\"" of policies, for messages; in the arena. */
MUST_CHECK const char *lint_rule_name(struct lint *lint, const struct rule *rule);
MUST_CHECK const char *lint_policy_name(struct lint *lint, const struct policy *p);
/* Calls `each` for every rule that is asked about. */
void lint_each_rule(
    struct lint *lint, void (*each)(struct lint *lint, const struct rule *rule));
/* The first workload of a set; NULL if it is empty. */
MUST_CHECK const struct workload *lint_first_of(
    const struct lint *lint, const struct roaring_bitmap_s *bits);

void lint_rules(struct lint *lint);      /* shadowed, unreachable, redundant */
void lint_priorities(struct lint *lint); /* order that only names decide */
void lint_lists(struct lint *lint);      /* entries of one list twice */
void lint_selectors(struct lint *lint);  /* selectors that match nothing */
void lint_ports(struct lint *lint);      /* names of ports */
void lint_networks(struct lint *lint);   /* address prefixes */
void lint_services(struct lint *lint);
void lint_reach(struct lint *lint); /* DNS, the API server, tenants, isolation */
void lint_access(struct lint *lint);
void lint_quotas(struct lint *lint);
void lint_limits(struct lint *lint);
void lint_routes(struct lint *lint); /* routes that lead nowhere, and their order */

#endif
