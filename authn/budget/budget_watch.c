/*
 * What exists of the kinds that budgets count, into the ledger.
 */
#include "authn/budget/budget_state.h"
#include "authn/policy/kind_watch.h"
#include "common/log.h"

static void
lock(struct budget_role *role)
{
	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
}

static void
unlock(struct budget_role *role)
{
	(void)pthread_mutex_unlock(&role->lock); /* the same */
}

static bool
take_object(struct budget_role *role, size_t kind, const json_t *object, bool gone)
{
	uint64_t amounts[BUDGET_KEYS_MAX];
	struct budget_object o;
	const char *why = NULL;

	if (!admission_object(&role->plan, kind, object, amounts, &o, &why) ||
	    !admission_version(object, &o.version)) {
		log_error("budget-object", "resource=%s name=%s detail=%s",
		    log_quote(role->kinds.kinds[kind].resource), log_quote(o.name),
		    log_quote(str_from(why != NULL ? why : "no resourceVersion")));
		return false;
	}
	if (gone)
		budget_ledger_gone(role->ledger, &o);
	else
		budget_ledger_seen(role->ledger, &o);
	return true;
}

static bool
on_object(void *arg, size_t kind, const json_t *object, bool gone)
{
	bool ok;

	lock(arg);
	ok = take_object(arg, kind, object, gone);
	unlock(arg);
	return ok;
}

static void
on_list_begin(void *arg, size_t kind)
{
	struct budget_role *role = arg;

	lock(role);
	budget_ledger_list_begin(role->ledger, kind);
	role->relists++;
	unlock(role);
}

static void
on_list_end(void *arg, size_t kind)
{
	struct budget_role *role = arg;

	lock(role);
	budget_ledger_list_end(role->ledger, kind, monotime_now());
	unlock(role);
}

static void
on_heard(void *arg, size_t kind)
{
	struct budget_role *role = arg;

	lock(role);
	budget_ledger_heard(role->ledger, kind, monotime_now());
	unlock(role);
}

int
budget_watch_start(struct budget_role *role, struct err *err)
{
	static const struct kind_watch_handler handler = {
	    on_list_begin, on_object, on_list_end, on_heard};
	int rc = 0;

	for (size_t i = 0; i < role->kinds.kind_count && rc == 0; i++) {
		const struct kind_watch_target target = {
		    .group = role->kinds.kinds[i].group,
		    .resource = role->kinds.kinds[i].resource};

		rc = kind_watch_start(&role->settings, &target, i, &handler, role, err);
	}
	return rc;
}
