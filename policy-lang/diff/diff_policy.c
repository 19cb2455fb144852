#include "policy-lang/diff/diff_policy.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/diff/diff_internal.h"
#include "policy-lang/diff/diff_routes.h"
#include "policy-lang/model/label_index.h"
#include "policy-lang/model/peer_key.h"

/* Something with a name and a content. */
struct entry {
	const char *title;
	struct str content;
	struct str key; /* what the content shortens; mostly nothing */
	struct loc loc;
	/* Of a policy: where in its content each direction begins. */
	const struct policy *policy;
	size_t begin[DIRECTION_COUNT];
};

struct entries {
	struct arena *arena;
	struct entry *items;
	size_t count, cap;
};

static struct entry *
add_entry(struct entries *e, const char *title, struct str content, struct loc loc)
{
	if (e->count == e->cap) {
		e->cap = e->cap == 0 ? 64 : 2 * e->cap;
		e->items = xreallocarray(e->items, e->cap, sizeof(*e->items));
	}
	e->items[e->count] = (struct entry){
	    .title = title, .content = str_dup(e->arena, content), .loc = loc};
	return &e->items[e->count++];
}

static int
entry_cmp(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->title, y->title);

	return order != 0 ? order : str_cmp(x->content, y->content);
}

static void
sort_entries(struct entries *e)
{
	if (e->count > 1)
		qsort(e->items, e->count, sizeof(*e->items), entry_cmp);
}

/* ---- policies ---- */

void
diff_add_match(struct buf *key, const struct workload_match *match)
{
	key_add_u32(key, match->cluster.ptr != NULL);
	key_add_str(key, match->cluster);
	key_add_str(key, match->subtree != NULL ? match->subtree->path : STR("/"));
	key_add_str(key, match->kube != NULL ? match->kube->cluster : STR("-"));
	key_add_str(key, match->kube != NULL ? match->kube->name : STR("-"));
	selector_add_key(key, match->ns_selector);
	selector_add_key(key, match->selector);
	key_add_str(key, match->service_account);
	key_add_u32(key, match->nodes != NULL);
	if (match->nodes != NULL) {
		key_add_str(key, match->nodes->node_name);
		selector_add_key(key, match->nodes->node_selector);
	}
}

void
diff_add_ports(struct buf *key, const struct port_match *ports, size_t count)
{
	key_add_u32(key, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		key_add_u32(key, (uint32_t)ports[i].kind << 8 | ports[i].proto);
		key_add_u32(key, (uint32_t)ports[i].lo << 16 | ports[i].hi);
		key_add_str(key, ports[i].name);
	}
}

static void
add_rule(struct arena *arena, struct buf *key, const struct rule *rule)
{
	key_add_str(key, rule->name);
	key_add_u32(key, (uint32_t)rule->action);
	key_add_u32(key, (uint32_t)rule->any_peer << 1 | rule->any_port);
	key_add_str(key, peer_key_of_rule(arena, rule));
	diff_add_ports(key, rule->ports, rule->port_count);
}

static void
add_direction(
    struct arena *arena, struct buf *key, const struct policy *p, enum direction d)
{
	const struct rule_list *lists[] = {
	    &p->mandatory[d], &p->allow[d], &p->defaults[d]};

	key_add_u32(key, p->isolates[d]);
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		key_add_u32(key, (uint32_t)lists[l]->count);
		for (size_t i = 0; i < lists[l]->count; i++)
			add_rule(arena, key, &lists[l]->rules[i]);
	}
}

static void
add_policy(struct entries *e, struct buf *key, const struct policy *p)
{
	size_t begin[DIRECTION_COUNT];
	struct entry *entry;

	buf_clear(key);
	key_add_str(key, p->cluster);
	key_add_u32(key, (uint32_t)p->priority);
	key_add_str(key, p->level->path);
	diff_add_match(key, &p->subject);
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		begin[d] = key->len;
		add_direction(e->arena, key, p, (enum direction)d);
	}
	entry = add_entry(e, policy_title(e->arena, p), buf_str(key), p->loc);
	entry->policy = p;
	memcpy(entry->begin, begin, sizeof(begin));
}

static struct entries
policies_of(struct arena *arena, const struct model *m)
{
	struct entries e = {.arena = arena};
	struct buf key = {0};

	for (size_t i = 0; i < m->policy_count; i++)
		add_policy(&e, &key, m->policies[i]);
	buf_free(&key);
	sort_entries(&e);
	return e;
}

/* What a policy says in one direction. */
static struct str
direction_of(const struct entry *e, enum direction d)
{
	size_t end = d + 1 < DIRECTION_COUNT ? e->begin[d + 1] : e->content.len;

	return str_slice(e->content, e->begin[d], end);
}

/* `a` as it was, `b` as it is; one may be NULL. */
static void
tell_policy(struct diff_documents *out, const struct entry *a, const struct entry *b)
{
	const struct entry *e = b != NULL ? b : a;
	struct diff_document *doc = &out->policies[out->policy_count++];
	bool both = a != NULL && b != NULL;
	/* To whom it applies, and when, stands before what it says. */
	bool same_head = both && str_eq(str_slice(a->content, 0, a->begin[0]),
				     str_slice(b->content, 0, b->begin[0]));

	*doc = (struct diff_document){
	    .change = both        ? DIFF_DOC_CHANGED
		      : a != NULL ? DIFF_DOC_REMOVED
				  : DIFF_DOC_ADDED,
	    .title = e->title,
	    .loc = e->loc,
	    .old = a != NULL ? a->policy : NULL,
	    .new = b != NULL ? b->policy : NULL,
	};
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		doc->differs[d] =
		    !same_head || !str_eq(direction_of(a, (enum direction)d),
				      direction_of(b, (enum direction)d));
}

static void
compare_policies(struct arena *arena, const struct model *old_model,
    const struct model *new_model, struct diff_documents *out)
{
	struct entries a = policies_of(arena, old_model);
	struct entries b = policies_of(arena, new_model);
	size_t i = 0, j = 0;

	out->policies = ARENA_ARRAY(arena, a.count + b.count, struct diff_document);
	while (i < a.count || j < b.count) {
		const struct entry *x = i < a.count ? &a.items[i] : NULL;
		const struct entry *y = j < b.count ? &b.items[j] : NULL;
		int order = x == NULL ? 1 : y == NULL ? -1 : strcmp(x->title, y->title);

		if (order != 0 || !str_eq(x->content, y->content))
			tell_policy(out, order <= 0 ? x : NULL, order >= 0 ? y : NULL);
		i += order <= 0;
		j += order >= 0;
	}
	free(a.items);
	free(b.items);
}

/* ---- access ---- */

static void
add_list(struct buf *text, const char *before, const struct str *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(text, "%s%.*s", i == 0 ? before : ", ", STR_ARG(items[i]));
}

static void
add_grant(struct entries *e, const struct access_policy *p, const struct access_rule *r,
    const char *phase, const char *kind, struct str who)
{
	static const char *const verbs[] = {
	    [ACTION_ALLOW] = "may",
	    [ACTION_DENY] = "may not",
	    [ACTION_PASS] = "is passed on for",
	};
	struct buf text = {0};

	buf_printf(&text, "%s %.*s %s", kind, STR_ARG(who), verbs[r->action]);
	add_list(&text, " ", r->verbs, r->verb_count);
	add_list(&text, " ", r->resources, r->resource_count);
	add_list(&text, " named ", r->names, r->name_count);
	add_list(&text, " ", r->urls, r->url_count);
	buf_printf(&text, " at and below %.*s (%s, priority %d, Access %.*s rule %u)",
	    STR_ARG(p->level->path), phase, (int)p->priority, STR_ARG(p->name),
	    (unsigned)r->index);
	(void)add_entry(
	    e, arena_strndup(e->arena, text.data, text.len), (struct str){0}, r->loc);
	buf_free(&text);
}

static void
add_rules(struct entries *e, const struct access_policy *p,
    const struct access_rule *rules, size_t count, const char *phase)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < p->group_count; j++)
			add_grant(e, p, &rules[i], phase, "group", p->groups[j]);
		for (size_t j = 0; j < p->user_count; j++)
			add_grant(e, p, &rules[i], phase, "user", p->users[j]);
	}
}

static struct entries
access_of(struct arena *arena, const struct model *m)
{
	struct entries e = {.arena = arena};

	for (size_t i = 0; i < m->ns_count; i++) {
		const struct ns *ns = m->namespaces[i];

		for (size_t j = 0; j < ns->access_count; j++) {
			const struct access_policy *p = ns->access[j];

			add_rules(&e, p, p->mandatory, p->mandatory_count, "mandatory");
			add_rules(&e, p, p->defaults, p->default_count, "default");
		}
		for (size_t j = 0; j < ns->owner_count; j++)
			(void)add_entry(&e,
			    arena_printf(arena,
				"group %.*s owns %.*s: may write policy at and below",
				STR_ARG(ns->owners[j]), STR_ARG(ns->path)),
			    (struct str){0}, ns->loc);
	}
	sort_entries(&e);
	return e;
}

/* ---- quotas ---- */

static void
add_limit(struct entries *e, const struct quota *q, const char *what, uint64_t value,
    unsigned divisor)
{
	struct buf number = {0};

	if (value == QUOTA_UNSET)
		return;
	buf_printf(&number, "%llu", (unsigned long long)(value / divisor));
	if (value % divisor != 0)
		buf_printf(&number, ".%03u", (unsigned)(value % divisor));
	(void)add_entry(e,
	    arena_printf(e->arena, "Quota %.*s at %.*s: %s", STR_ARG(q->name),
		STR_ARG(q->level->path), what),
	    buf_str(&number), q->loc);
	buf_free(&number);
}

static void
add_limits(struct entries *e, const struct quota *q, const char *of,
    const struct quota_limits *limits)
{
	const struct {
		const char *name;
		uint64_t value;
		unsigned divisor;
	} all[] = {
	    {"perSecond", limits->per_second_milli, 1000},
	    {"burst", limits->burst, 1},
	    {"inFlight", limits->in_flight, 1},
	    {"watches", limits->watches, 1},
	    {"perDay", limits->per_day, 1},
	    {"bodyBytes", limits->body_bytes, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		add_limit(e, q, arena_printf(e->arena, "%s.%s", of, all[i].name),
		    all[i].value, all[i].divisor);
}

static void
add_network(struct entries *e, const struct quota *q)
{
	const struct quota_network *n = &q->network;

	add_limit(e, q, "network.connectionsPerSecond", n->per_second_milli, 1000);
	add_limit(e, q, "network.burst", n->burst, 1);
	add_limit(e, q, "network.connections", n->connections, 1);
	add_limit(e, q, "network.egressBytesPerSecond", n->egress_bytes_per_second, 1);
	add_limit(
	    e, q, "network.ingressBytesPerSecond", n->ingress_bytes_per_second, 1);
}

static struct entries
quotas_of(struct arena *arena, const struct model *m)
{
	struct entries e = {.arena = arena};

	for (size_t i = 0; i < m->ns_count; i++) {
		for (size_t j = 0; j < m->namespaces[i]->quota_count; j++) {
			const struct quota *q = m->namespaces[i]->quotas[j];

			add_limits(&e, q, "requests", &q->requests);
			add_limits(&e, q, "perUser", &q->per_user);
			add_limits(&e, q, "perToken", &q->per_token);
			add_network(&e, q);
			for (size_t k = 0; k < q->object_count; k++)
				add_limit(&e, q,
				    arena_printf(arena, "objects.%.*s",
					STR_ARG(q->objects[k].resource)),
				    q->objects[k].amount_milli, 1000);
		}
	}
	sort_entries(&e);
	return e;
}

/* ---- routes ---- */

static void
add_route(void *ctx, const struct diff_route_line *line)
{
	struct entries *e = ctx;
	struct entry *entry =
	    add_entry(e, line->title, buf_str(&line->words), line->loc);

	entry->key = str_dup(e->arena, buf_str(&line->key));
}

static struct entries
routes_of(struct arena *arena, const struct model *m)
{
	struct entries e = {.arena = arena};

	diff_routes_each(arena, m, add_route, &e);
	sort_entries(&e);
	return e;
}

/* ---- sentences ---- */

/* Of one side alone, or of what the two sides say differently. */
static struct diff_sentence
tell(struct arena *arena, enum diff_change change, const struct entry *e,
    const struct entry *before)
{
	struct diff_sentence s = {.change = change, .text = e->title, .loc = e->loc};

	if (before != NULL)
		s.text = arena_printf(arena, "%s%s %.*s -> %.*s", e->title,
		    e->key.len > 0 ? ":" : "", STR_ARG(before->content),
		    STR_ARG(e->content));
	else if (e->content.len > 0)
		s.text = arena_printf(arena, "%s%s %.*s", e->title,
		    e->key.len > 0 ? ":" : "", STR_ARG(e->content));
	return s;
}

static struct diff_sentence *
compare_sentences(
    struct arena *arena, struct entries a, struct entries b, size_t *out_count)
{
	struct diff_sentence *out =
	    ARENA_ARRAY(arena, a.count + b.count, struct diff_sentence);
	size_t i = 0, j = 0, count = 0;

	while (i < a.count || j < b.count) {
		int order = i == a.count ? 1 : -1;

		if (i < a.count && j < b.count)
			order = strcmp(a.items[i].title, b.items[j].title);
		if (order < 0)
			out[count++] = tell(arena, DIFF_DOC_REMOVED, &a.items[i], NULL);
		else if (order > 0)
			out[count++] = tell(arena, DIFF_DOC_ADDED, &b.items[j], NULL);
		else if (!str_eq(a.items[i].content, b.items[j].content) ||
			 !str_eq(a.items[i].key, b.items[j].key))
			out[count++] =
			    tell(arena, DIFF_DOC_CHANGED, &b.items[j], &a.items[i]);
		i += order <= 0;
		j += order >= 0;
	}
	free(a.items);
	free(b.items);
	*out_count = count;
	return out;
}

void
diff_documents_find(struct arena *arena, const struct model *old_model,
    const struct model *new_model, struct diff_documents *out)
{
	*out = (struct diff_documents){0};
	compare_policies(arena, old_model, new_model, out);
	out->access = compare_sentences(arena, access_of(arena, old_model),
	    access_of(arena, new_model), &out->access_count);
	out->quotas = compare_sentences(arena, quotas_of(arena, old_model),
	    quotas_of(arena, new_model), &out->quota_count);
	out->routes = compare_sentences(arena, routes_of(arena, old_model),
	    routes_of(arena, new_model), &out->route_count);
}
