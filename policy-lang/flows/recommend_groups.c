/*
 * Groups of workloads, and the smallest set of labels that selects each. A selector that
 * took in more than what was seen would allow more than was seen.
 */
#include <stdlib.h>

#include "policy-lang/flows/recommend_internal.h"

struct groups {
	struct arena *arena;
	const struct model *model;
	bool by_kube;
	struct group **by_workload; /* by index; NULL: hostNetwork */
	struct map by_owner;
	struct map by_label; /* "key=value" -> struct group (its members bear it) */
};

struct group *
group_root(struct group *group)
{
	while (group != NULL && group->into != NULL)
		group = group->into;
	return group;
}

struct group *
groups_of(struct groups *groups, const struct workload *w)
{
	return group_root(groups->by_workload[w->index]);
}

static void
add_member(struct group *group, const struct workload *w)
{
	if (group->count == group->cap) {
		group->cap = group->cap == 0 ? 4 : 2 * group->cap;
		group->members =
		    xreallocarray(group->members, group->cap, sizeof(*group->members));
	}
	group->members[group->count++] = w;
}

static struct group *
group_at(struct groups *groups, struct map *map, const char *key)
{
	struct group *group = map_get(map, str_from(key));

	if (group == NULL) {
		group = ARENA_NEW(groups->arena, struct group);
		(void)map_set(map, str_from(key), group); /* new */
	}
	return group;
}

/* Labels that say which pod or which revision, not which application. */
static bool
is_of_one_pod(struct str key)
{
	static const char *const keys[] = {"pod-template-hash",
	    "controller-revision-hash", "pod-template-generation", "controller-uid",
	    "job-name", "batch.kubernetes.io/controller-uid",
	    "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
	    "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (str_is(key, keys[i]))
			return true;
	}
	return false;
}

static const char *
label_key(struct arena *a, const struct label *label)
{
	return arena_printf(a, "%.*s=%.*s", STR_ARG(label->key), STR_ARG(label->value));
}

static void
add_workload(struct groups *groups, const struct workload *w)
{
	struct group *group = group_at(groups, &groups->by_owner,
	    arena_printf(groups->arena, "%.*s %.*s", STR_ARG(w->ns->path),
		STR_ARG(w->shape->display)));

	if (group->count == 0) {
		group->name = workload_owner(w);
		group->home = w->ns;
		group->kube = groups->by_kube ? w->kube : NULL;
	}
	add_member(group, w);
	groups->by_workload[w->index] = group;
	for (size_t i = 0; i < w->shape->labels.count; i++) {
		if (!is_of_one_pod(w->shape->labels.items[i].key))
			add_member(
			    group_at(groups, &groups->by_label,
				label_key(groups->arena, &w->shape->labels.items[i])),
			    w);
	}
}

struct groups *
groups_new(struct arena *arena, const struct model *m, bool by_kube)
{
	struct groups *groups = ARENA_NEW(arena, struct groups);

	groups->arena = arena;
	groups->model = m;
	groups->by_kube = by_kube;
	groups->by_workload = ARENA_ARRAY(arena, m->workload_count, struct group *);
	for (size_t i = 0; i < m->workload_count; i++) {
		if (!m->workloads[i]->host_network)
			add_workload(groups, m->workloads[i]);
	}
	return groups;
}

void
groups_free(struct groups *groups)
{
	struct map *maps[] = {&groups->by_owner, &groups->by_label};

	for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
		for (size_t i = 0; i < maps[m]->len; i++) {
			struct group *group = maps[m]->entries[i].value;

			free(group->members);
		}
		map_fini(maps[m]);
	}
}

/* ---- what a selector takes in ---- */

static bool
has_label(const struct workload *w, const struct label *label)
{
	for (size_t i = 0; i < w->shape->labels.count; i++) {
		if (str_eq(w->shape->labels.items[i].key, label->key))
			return str_eq(w->shape->labels.items[i].value, label->value);
	}
	return false;
}

static bool
selects(const struct group *at, const struct label *labels, size_t count,
    const struct workload *w)
{
	if (w->host_network ||
	    (at->kube != NULL ? w->kube != at->kube : !ns_within(w->ns, at->home)))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!has_label(w, &labels[i]))
			return false;
	}
	return true;
}

/* The fewest workloads among which all that the labels select must be. */
static const struct workload *const *
candidates(const struct groups *groups, const struct label *labels, size_t count,
    size_t *out_count)
{
	const struct workload *const *best =
	    (const struct workload *const *)groups->model->workloads;

	*out_count = groups->model->workload_count;
	for (size_t i = 0; i < count; i++) {
		struct buf key = {0};
		const struct group *bearers;

		buf_printf(&key, "%.*s=%.*s", STR_ARG(labels[i].key),
		    STR_ARG(labels[i].value));
		bearers = map_get(&groups->by_label, buf_str(&key));
		buf_free(&key);
		if (bearers != NULL && bearers->count < *out_count) {
			*out_count = bearers->count;
			best = bearers->members;
		}
	}
	return best;
}

static size_t
count_selected(const struct groups *groups, const struct group *at,
    const struct label *labels, size_t count)
{
	size_t among, selected = 0;
	const struct workload *const *list = candidates(groups, labels, count, &among);

	for (size_t i = 0; i < among; i++)
		selected += selects(at, labels, count, list[i]);
	return selected;
}

/* ---- choosing labels ---- */

/* Before all others, in this order. */
static const char *const preferred[] = {"app.kubernetes.io/name", "app", "k8s-app",
    "app.kubernetes.io/instance", "app.kubernetes.io/component", "name", "component",
    "tier", "role"};

static size_t
rank(struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(preferred); i++) {
		if (str_is(key, preferred[i]))
			return i;
	}
	return ARRAY_LEN(preferred);
}

static int
compare_labels(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	size_t rx = rank(x->key), ry = rank(y->key);

	return rx != ry ? (rx > ry) - (rx < ry) : str_cmp(x->key, y->key);
}

/* The labels that all members bear, the preferred first. */
static struct label *
common_labels(const struct groups *groups, const struct group *group, size_t *out_count)
{
	struct label_set of_first = group->members[0]->shape->labels;
	struct label *labels = ARENA_ARRAY(groups->arena, of_first.count, struct label);

	*out_count = 0;
	for (size_t i = 0; i < of_first.count; i++) {
		const struct label *label = &of_first.items[i];
		size_t bearers = 0;

		if (is_of_one_pod(label->key))
			continue;
		while (
		    bearers < group->count && has_label(group->members[bearers], label))
			bearers++;
		if (bearers == group->count)
			labels[(*out_count)++] = *label;
	}
	if (*out_count > 1)
		qsort(labels, *out_count, sizeof(*labels), compare_labels);
	return labels;
}

/* Sets of labels are tried up to this size, among so many labels; then all are taken. */
#define SET_MAX   3
#define AMONG_MAX 8

struct choice {
	const struct groups *groups;
	const struct group *group;
	const struct label *among;
	size_t count;
	struct label set[SET_MAX];
};

/* Fills set[at..size) from among[from..]; true once a set selects the group alone. */
static bool
try_sets(struct choice *c, size_t size, size_t at, size_t from)
{
	if (at == size)
		return count_selected(c->groups, c->group, c->set, size) ==
		       c->group->count;
	for (size_t i = from; i < c->count; i++) {
		c->set[at] = c->among[i];
		if (try_sets(c, size, at + 1, i + 1))
			return true;
	}
	return false;
}

static void
choose_labels(const struct groups *groups, struct group *group,
    const struct label *labels, size_t count)
{
	struct choice c = {
	    .groups = groups,
	    .group = group,
	    .among = labels,
	    .count = count < AMONG_MAX ? count : AMONG_MAX,
	};
	struct label *chosen;

	group->labels = labels;
	group->label_count = count;
	for (size_t size = 1; size <= SET_MAX && size <= count; size++) {
		if (!try_sets(&c, size, 0, 0))
			continue;
		chosen = ARENA_ARRAY(groups->arena, size, struct label);
		for (size_t i = 0; i < size; i++)
			chosen[i] = c.set[i];
		group->labels = chosen;
		group->label_count = size;
		return;
	}
}

/* ---- joining ---- */

static void
join(struct group *group, struct group *other)
{
	for (size_t i = 0; i < other->count; i++)
		add_member(group, other->members[i]);
	other->into = group;
	group->seen |= other->seen;
	if (ns_within(group->home, other->home))
		group->home = other->home; /* so that it reaches them all */
}

/* Takes in whoever all its labels select as well. False: there is nobody. */
static bool
join_selected(struct groups *groups, struct group *group, const struct label *labels,
    size_t count)
{
	size_t among;
	const struct workload *const *list = candidates(groups, labels, count, &among);
	bool joined = false;

	for (size_t i = 0; i < among; i++) {
		struct group *other;

		if (!selects(group, labels, count, list[i]))
			continue;
		other = groups_of(groups, list[i]);
		if (other == group)
			continue;
		join(group, other);
		joined = true;
	}
	return joined;
}

static void
make(struct groups *groups, struct group *group)
{
	size_t count;
	struct label *labels = common_labels(groups, group, &count);

	while (join_selected(groups, group, labels, count))
		labels = common_labels(groups, group, &count);
	group->made = true;
	choose_labels(groups, group, labels, count);
}

/* A group that was made may be taken into one that is made later, whole. */
void
groups_make(struct groups *groups)
{
	for (size_t i = 0; i < groups->by_owner.len; i++) {
		struct group *group = groups->by_owner.entries[i].value;

		if (group->into == NULL && group->seen && !group->made)
			make(groups, group);
	}
}

size_t
groups_unseen(const struct groups *groups)
{
	size_t unseen = 0;

	for (size_t i = 0; i < groups->by_owner.len; i++) {
		struct group *group = groups->by_owner.entries[i].value;

		unseen += !group_root(group)->seen;
	}
	return unseen;
}

/* ---- ports ---- */

/* 1: the name means this port alone, 0: it means others (too) or nothing. */
static bool
name_means(const struct workload *w, struct str name, uint8_t proto, uint16_t port)
{
	bool found = false;

	for (size_t i = 0; i < w->shape->port_count; i++) {
		const struct named_port *p = &w->shape->ports[i];

		if (!str_eq(p->name, name) || p->proto != proto)
			continue;
		if (p->port != port)
			return false;
		found = true;
	}
	return found;
}

struct str
group_port_name(const struct group *group, uint8_t proto, uint16_t port)
{
	const struct workload *first = group->members[0];

	for (size_t i = 0; i < first->shape->port_count; i++) {
		struct str name = first->shape->ports[i].name;
		size_t agree = 0;

		while (agree < group->count && name.len > 0 &&
		       name_means(group->members[agree], name, proto, port))
			agree++;
		if (agree == group->count)
			return name;
	}
	return (struct str){0};
}
