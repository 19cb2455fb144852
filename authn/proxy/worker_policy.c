#include <stdlib.h>

#include "authn/proxy/exchange_list.h"
#include "authn/proxy/worker_state.h"
#include "common/bundle.h"
#include "policy-lang/load/load.h"

static void
add_rules(struct worker_policy *p, const struct access_policy *access,
    const struct access_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct str *text = ARENA_NEW(p->arena, struct str);
		const struct access_rule **key =
		    ARENA_NEW(p->arena, const struct access_rule *);

		*key = &rules[i];
		*text = str_from(arena_printf(p->arena, "Access %.*s/%.*s rule %u %s",
		    STR_ARG(access->level->depth == 0 ? STR("") : access->level->path),
		    STR_ARG(access->name), rules[i].index,
		    loc_text(p->arena, rules[i].loc)));
		(void)map_set(
		    &p->decisions, (struct str){(const char *)key, sizeof(*key)}, text);
	}
}

/* The words for each decision are made once, not for each request. */
static void
word_decisions(struct worker_policy *p)
{
	for (size_t n = 0; n < p->model->ns_count; n++) {
		const struct ns *ns = p->model->namespaces[n];

		for (size_t i = 0; i < ns->access_count; i++) {
			const struct access_policy *a = ns->access[i];

			add_rules(p, a, a->mandatory, a->mandatory_count);
			add_rules(p, a, a->defaults, a->default_count);
		}
	}
}

struct str
worker_policy_decision(
    const struct worker_policy *policy, const struct access_rule *rule)
{
	const struct str *text = map_get(
	    &policy->decisions, (struct str){(const char *)&rule, sizeof(rule)});

	return text != NULL ? *text : STR("");
}

struct worker_policy *
worker_policy_load(int bundle_fd, struct buf *out_problem)
{
	const struct model_options options = {.default_deny = false};
	struct arena *arena = arena_new();
	struct worker_policy *policy = NULL;
	struct err err = ERR_INIT;
	struct model *model = NULL;
	struct diag_list diags;
	struct bundle bundle;

	diag_list_init(&diags, arena);
	if (bundle_open(arena, bundle_fd, &bundle, &err) != 0) {
		buf_printf(out_problem, "policy: %s\n", err.msg);
		goto out;
	}
	if (!model_load(arena, &bundle, &options, &diags, &model)) {
		diag_sort(&diags);
		diag_render(out_problem, &diags, DIAG_TEXT);
		goto out;
	}
	policy = xcalloc(1, sizeof(*policy));
	policy->arena = arena;
	policy->model = model;
	arena = NULL;
	word_decisions(policy);
	access_levels_find(policy->arena, model, &policy->levels);
out:
	arena_free(arena);
	return policy;
}

void
worker_policy_free(struct worker_policy *policy)
{
	if (policy == NULL)
		return;
	map_fini(&policy->decisions);
	arena_free(policy->arena);
	free(policy);
}

/* A read that was not answered yet is refused; what the client has seen the beginning of
 * is cut, and so is a change, which may have been made. */
static void
withdraw(struct exchange *x, const char *why, const struct status *refusal)
{
	if (x->res_sent || x->info.is_mutation)
		exchange_end_stream(x, why);
	else
		exchange_answer_instead(x, refusal);
}

void
worker_end_credentials(struct exchange *x)
{
	const struct status unauthorized = {
	    .code = 401, .reason = "Unauthorized", .message = STR("Unauthorized")};

	withdraw(x, "the credentials are not valid any more", &unauthorized);
}

static void
withdraw_permission(struct exchange *x)
{
	const struct status s = status_forbidden(x->arena, x->id->user, &x->info);

	withdraw(x, "the permission has been withdrawn", &s);
}

void
worker_recheck_streams(struct worker *w, bool policy_changed)
{
	walltime_t now = walltime_now();
	struct exchange *next;

	for (struct exchange *x = w->exchanges; x != NULL; x = next) {
		next = x->next;
		if (x->id == NULL || x->state != EXCHANGE_UPSTREAM)
			continue;
		if (exchange_signed_out(x, now))
			worker_end_credentials(x);
		else if (policy_changed && !exchange_still_permitted(x))
			withdraw_permission(x);
		else if (policy_changed && x->list != NULL)
			exchange_list_policy_changed(x);
	}
}
