/*
 * The run: what the lints share, and their order (what weighs most comes first, for
 * the list of diagnostics has an end).
 */
#include "policy-lang/lint/lint_internal.h"

#include <roaring/roaring.h>

struct diag *
lint_say(struct lint *lint, enum diag_code code, struct loc loc, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	if (lint->only != NULL && loc.source != lint->only)
		return &lint->scratch;
	if (!diag_wants(lint->diags, diag_code_table[code].severity,
		diag_code_table[code].code, loc))
		return &lint->scratch;
	if (lint->said[code]++ >= LINT_PER_CODE)
		return &lint->scratch;
	va_start(ap, fmt);
	text = diag_format(lint->arena, fmt, ap);
	va_end(ap);
	return diag_say(lint->diags, code, loc, "%s", text);
}

void
lint_hint(struct lint *lint, struct diag *d, const char *fmt, ...)
{
	va_list ap;

	if (!lint_is_given(lint, d))
		return;
	va_start(ap, fmt);
	diag_hint(lint->diags, d, "%s", diag_format(lint->arena, fmt, ap));
	va_end(ap);
}

void
lint_note(struct lint *lint, struct diag *d, struct loc loc, const char *fmt, ...)
{
	va_list ap;

	if (!lint_is_given(lint, d))
		return;
	va_start(ap, fmt);
	diag_note(lint->diags, d, loc, "%s", diag_format(lint->arena, fmt, ap));
	va_end(ap);
}

void
lint_figure(struct lint *lint, struct diag *d, const char *name, uint64_t value)
{
	if (lint_is_given(lint, d))
		diag_figure(lint->diags, d, name, value);
}

bool
lint_is_given(const struct lint *lint, const struct diag *d)
{
	return d != &lint->scratch;
}

bool
lint_stops(struct lint *lint, enum lint_part part)
{
	if (lint->work <= LINT_WORK)
		return false;
	lint->stopped[part] = true;
	return true;
}

const char *
lint_policy_name(struct lint *lint, const struct policy *p)
{
	return arena_printf(
	    lint->arena, "%s \"%.*s\"", policy_kind_name(p->kind), STR_ARG(p->name));
}

const char *
lint_rule_name(struct lint *lint, const struct rule *rule)
{
	const char *policy = lint_policy_name(lint, rule->policy);

	if (rule->name.len > 0)
		return arena_printf(
		    lint->arena, "rule \"%.*s\" of %s", STR_ARG(rule->name), policy);
	return arena_printf(lint->arena, "rule %u of %s", rule->index + 1, policy);
}

void
lint_each_rule(
    struct lint *lint, void (*each)(struct lint *lint, const struct rule *rule))
{
	for (size_t i = 0; i < lint->m->policy_count; i++) {
		const struct policy *p = lint->m->policies[i];

		if (!lint_asks(lint, p))
			continue;
		for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
			for (unsigned ph = PHASE_MANDATORY; ph <= PHASE_DEFAULT; ph++) {
				const struct rule_list *list =
				    policy_rules(p, (enum phase)ph, (enum direction)d);

				for (size_t j = 0; j < list->count; j++)
					each(lint, &list->rules[j]);
			}
		}
	}
}

const struct workload *
lint_first_of(const struct lint *lint, const struct roaring_bitmap_s *bits)
{
	return roaring_bitmap_is_empty(bits)
		   ? NULL
		   : lint->world.slots[roaring_bitmap_minimum(bits)];
}

/* What was left out, so that nothing is passed over in silence. */
static void
say_what_is_missing(struct lint *lint)
{
	static const char *const parts[LINT_PARTS] = {
	    [LINT_DNS] = "not all workloads were asked whether they can reach DNS",
	    [LINT_API] = "not all workloads were asked whether they can reach the API "
			 "server",
	    [LINT_TENANTS] = "not all rules were asked which tenants they open",
	    [LINT_DEFAULTS] = "the pairs of workloads that policy is silent about were "
			      "not counted",
	    [LINT_SERVICE_ADDRESSES] = "not all networks were compared with the "
				       "addresses of Services and nodes",
	    [LINT_HOST_NETWORK] = "not all selectors were compared with workloads on "
				  "their nodes' network",
	    [LINT_ROUTES] = "not all Routes were compared with each other, and with "
			    "what they lead to",
	};

	for (size_t i = 0; i < LINT_PARTS; i++) {
		if (lint->stopped[i])
			diag_say(lint->diags, CODE_LINT_LIMIT, (struct loc){0},
			    "%s: there is too much to compare", parts[i]);
	}
	if (lint->ties_cut > 0)
		diag_say(lint->diags, CODE_LINT_LIMIT, (struct loc){0},
		    "%u policies decide differently from more policies of their "
		    "priority than are shown",
		    lint->ties_cut);
	if (lint->given_up > 0)
		diag_say(lint->diags, CODE_LINT_LIMIT, (struct loc){0},
		    "%u rules were not compared with all others: there are too many",
		    lint->given_up);
	for (size_t i = 0; i < DIAG_CODE_COUNT; i++) {
		if (lint->said[i] > LINT_PER_CODE)
			diag_say(lint->diags, CODE_LINT_LIMIT, (struct loc){0},
			    "%u more of [%s] are not shown",
			    lint->said[i] - LINT_PER_CODE, diag_code_table[i].code);
	}
}

static void
run(struct lint *lint, void (*const lints[])(struct lint *), size_t count)
{
	world_init(&lint->world, lint->arena, lint->m, lint->only);
	lint->space = (struct space){
	    .arena = lint->arena,
	    .work = &lint->work,
	    .ns_rank = lint->world.ns_rank,
	    .ns_rank_end = lint->world.ns_rank_end,
	};
	for (size_t i = 0; i < count; i++)
		lints[i](lint);
	say_what_is_missing(lint);
	map_fini(&lint->port_names);
	space_fini(&lint->space);
	world_fini(&lint->world);
	arena_free(lint->arena);
}

void
model_lint(const struct model *model, struct diag_list *diags)
{
	static void (*const lints[])(struct lint *) = {
	    lint_reach,
	    lint_priorities,
	    lint_selectors,
	    lint_ports,
	    lint_networks,
	    lint_services,
	    lint_routes,
	    lint_rules,
	    lint_access,
	    lint_quotas,
	    lint_limits,
	    lint_lists,
	};
	struct lint lint = {.m = model, .diags = diags, .arena = arena_new()};

	run(&lint, lints, ARRAY_LEN(lints));
}

void
model_lint_source(
    const struct model *model, const struct source *source, struct diag_list *diags)
{
	static void (*const lints[])(struct lint *) = {
	    lint_reach,
	    lint_priorities,
	    lint_selectors,
	    lint_ports,
	    lint_networks,
	    lint_rules,
	    lint_lists,
	};
	struct lint lint = {
	    .m = model, .only = source, .diags = diags, .arena = arena_new()};

	run(&lint, lints, ARRAY_LEN(lints));
}

void
model_lint_routes(const struct model *model, struct diag_list *diags)
{
	static void (*const lints[])(struct lint *) = {lint_routes};
	struct lint lint = {.m = model, .diags = diags, .arena = arena_new()};

	run(&lint, lints, ARRAY_LEN(lints));
}
