/*
 * What the rules of every kind of policy share.
 */
#include "policy-lang/load/load_internal.h"

void
rule_list_init(
    const struct rule_context *c, struct rule_list *list, const struct doc_node *node)
{
	list->rules = ARENA_ARRAY(c->l->arena, node->count, struct rule);
	list->count = node->count;
	for (uint32_t i = 0; i < node->count; i++) {
		list->rules[i] = (struct rule){
		    .name = STR(""),
		    .index = i,
		    .phase = c->phase,
		    .dir = c->dir,
		    .policy = c->policy,
		    .loc = node->u.items[i]->loc,
		};
	}
}

void
rule_fail_closed(struct rule *rule)
{
	bool allow = rule->action == ACTION_ALLOW;

	rule->action = allow ? ACTION_ALLOW : ACTION_DENY;
	rule->any_peer = !allow;
	rule->peer_count = 0;
	rule->any_port = !allow;
	rule->port_count = 0;
}

const char *const load_enforcements[ENFORCEMENT_COUNT] = {
    [ENFORCEMENT_ENFORCE] = "enforce", [ENFORCEMENT_AUDIT] = "audit"};

void
load_enforcement(struct loader *l, const struct doc_node *node, struct policy *p)
{
	size_t value;

	if (schema_enum(l->diags, node, "\"enforcement\"", load_enforcements,
		ENFORCEMENT_COUNT, &value))
		p->audit = value == ENFORCEMENT_AUDIT;
}

struct policy *
load_policy_new(struct loader *l, enum policy_kind kind, const struct meta *meta,
    struct ns *level, struct loc loc)
{
	struct policy *p = ARENA_NEW(l->arena, struct policy);

	p->kind = kind;
	p->name = meta->name;
	p->namespace_text = meta->ns.ptr != NULL ? meta->ns : STR("");
	p->cluster = meta->cluster.ptr != NULL ? meta->cluster : STR("");
	p->level = level;
	p->loc = loc;
	p->subject.subtree = level;
	if (kind != POLICY_NATIVE && meta->enforcement != NULL &&
	    meta->enforcement->kind == DOC_STRING) /* of the wrong type: reported */
		load_enforcement(l, meta->enforcement, p);
	if (level != NULL)
		ptr_vec_push(&l->policies, p);
	return p;
}
