#include "policy-lang/model/model_policy.h"

const char *
direction_name(enum direction d)
{
	return d == DIR_INGRESS ? "ingress" : "egress";
}

const char *
phase_name(enum phase p)
{
	static const char *const names[] = {
	    [PHASE_MANDATORY] = "mandatory",
	    [PHASE_ALLOW] = "allow",
	    [PHASE_DEFAULT] = "default",
	};

	return names[p];
}

const char *
action_name(enum action a)
{
	static const char *const names[] = {
	    [ACTION_ALLOW] = "allow",
	    [ACTION_DENY] = "deny",
	    [ACTION_PASS] = "pass",
	};

	return names[a];
}

const char *
policy_kind_name(enum policy_kind k)
{
	static const char *const names[] = {
	    [POLICY_NATIVE] = "Policy",
	    [POLICY_NETWORK_POLICY] = "NetworkPolicy",
	    [POLICY_ADMIN] = "AdminNetworkPolicy",
	    [POLICY_BASELINE] = "BaselineAdminNetworkPolicy",
	    [POLICY_CLUSTER] = "ClusterNetworkPolicy",
	};

	return names[k];
}

const struct rule_list *
policy_rules(const struct policy *p, enum phase phase, enum direction dir)
{
	switch (phase) {
	case PHASE_MANDATORY:
		return &p->mandatory[dir];
	case PHASE_ALLOW:
		return &p->allow[dir];
	case PHASE_DEFAULT:
		break;
	}
	return &p->defaults[dir];
}

bool
rule_has_names(const struct rule *rule)
{
	for (size_t i = 0; !rule->any_peer && i < rule->peer_count; i++) {
		if (rule->peers[i].fqdn_count > 0)
			return true;
	}
	return false;
}

size_t
policy_rules_by_name(const struct policy *policy)
{
	size_t count = 0;

	for (unsigned i = 0; i < 3 * DIRECTION_COUNT; i++) {
		const struct rule_list *list =
		    policy_rules(policy, (enum phase)(i % 3), (enum direction)(i / 3));

		for (size_t j = 0; j < list->count; j++)
			count += rule_has_names(&list->rules[j]);
	}
	return count;
}

const char *
policy_title(struct arena *a, const struct policy *p)
{
	const char *in = p->cluster.len != 0 ? "/" : "";
	const char *slash =
	    p->namespace_text.len != 0 && !str_is(p->namespace_text, "/") ? "/" : "";

	return arena_printf(a, "%s %.*s%s%.*s%s%.*s", policy_kind_name(p->kind),
	    STR_ARG(p->cluster), in, STR_ARG(p->namespace_text), slash,
	    STR_ARG(p->name));
}

const char *
rule_title(struct arena *a, const struct rule *r)
{
	const char *text = arena_printf(
	    a, "%s rule %u", policy_title(a, r->policy), (unsigned)r->index);

	if (r->name.len == 0)
		return text;
	return arena_printf(a, "%s \"%.*s\"", text, STR_ARG(r->name));
}

static void
close_list(struct rule_list *list, struct rule *deny)
{
	size_t first = 0;

	while (first < list->count && list->rules[first].action == ACTION_ALLOW)
		first++;
	if (first == list->count) {
		*list = (struct rule_list){.count = 0};
		return;
	}
	*deny = list->rules[first];
	deny->name = STR("program-too-large");
	deny->action = ACTION_DENY;
	deny->any_peer = deny->any_port = true;
	deny->peers = NULL;
	deny->ports = NULL;
	deny->peer_count = deny->port_count = 0;
	*list = (struct rule_list){.rules = deny, .count = 1};
}

void
policy_set_aside(struct policy *p, struct policy_aside *room)
{
	struct rule *deny = room->denies;

	room->said = *p;
	p->said = &room->said;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		close_list(&p->mandatory[d], deny++);
		close_list(&p->allow[d], deny++);
		close_list(&p->defaults[d], deny++);
	}
}

void
policy_restore(struct policy *p)
{
	*p = *p->said;
}
