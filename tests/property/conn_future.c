/*
 * Exposure: workloads that are not there yet, against the evaluator.
 */
#include "tests/property/conn_trial.h"

#define FUTURES 12 /* workloads that might come, in a case */

struct future {
	struct workload workload;
	struct workload_shape shape; /* its */
	struct workload_where where; /* and its */
	struct ns ns;
	struct kube_ns kube;
	struct label labels[3], ns_labels[2];
};

/* A label that some pattern speaks of. */
static bool
roll_label(struct trial *t, const struct selector *s, struct label *out)
{
	const struct requirement *r;

	if (s == NULL || s->count == 0)
		return false;
	r = &s->reqs[dice_roll(&t->dice, (unsigned)s->count)];
	out->key = r->key;
	out->value = r->value_count > 0 && dice_roll(&t->dice, 4) != 0
			 ? r->values[dice_roll(&t->dice, (unsigned)r->value_count)]
			 : STR("other");
	return true;
}

static void
add_label(struct label *labels, size_t *count, size_t most, struct label label)
{
	for (size_t i = 0; i < *count; i++) {
		if (str_eq(labels[i].key, label.key))
			return;
	}
	if (*count == most)
		return;
	labels[(*count)++] = label;
	for (size_t i = *count - 1;
	     i > 0 && str_cmp(labels[i - 1].key, labels[i].key) > 0; i--) {
		struct label swap = labels[i];

		labels[i] = labels[i - 1];
		labels[i - 1] = swap;
	}
}

/* Somewhere that patterns speak of, or somewhere else; labelled as they have it. */
static void
roll_future(struct trial *t, const struct model *m, const struct conn_exposure *e,
    struct future *f)
{
	size_t labels = 0, ns_labels = 0;

	*f = (struct future){0};
	f->workload.name = STR("future");
	f->workload.index = UINT32_MAX;
	f->workload.shape = &f->shape;
	f->shape.service_account = STR("default");
	for (unsigned i = 0; i < 3 && e->pattern_count > 0; i++) {
		const struct workload_match *match =
		    e->patterns[dice_roll(&t->dice, (unsigned)e->pattern_count)];
		struct label label;

		if (roll_label(t, match->selector, &label))
			add_label(f->labels, &labels, 3, label);
		if (roll_label(t, match->ns_selector, &label))
			add_label(f->ns_labels, &ns_labels, 2, label);
		if (match->service_account.ptr != NULL)
			f->shape.service_account = match->service_account;
	}
	f->shape.labels = (struct label_set){f->labels, labels};
	f->where.cluster = m->workloads[0]->where->cluster;
	f->workload.where = &f->where;
	if (dice_roll(&t->dice, 2) == 0 && m->kube_count > 0) {
		f->workload.kube =
		    m->kube_namespaces[dice_roll(&t->dice, (unsigned)m->kube_count)];
		f->workload.ns = f->workload.kube->ns;
		f->where.cluster = f->workload.kube->cluster;
		return;
	}
	f->ns = (struct ns){
	    .path = STR("/future"),
	    .parent = m->namespaces[dice_roll(&t->dice, (unsigned)m->ns_count)],
	    .labels = {f->ns_labels, ns_labels},
	};
	f->ns.depth = f->ns.parent->depth + 1;
	f->workload.ns = &f->ns;
	if (dice_roll(&t->dice, 2) == 0) {
		f->kube = (struct kube_ns){
		    .name = STR("future"), .labels = f->ns.labels, .ns = &f->ns};
		f->workload.kube = &f->kube;
	}
}

static bool
pattern_applies(const struct workload_match *match, const struct endpoint *end)
{
	struct peer peer = {.kind = PEER_WORKLOADS, .workloads = *match};
	struct rule rule = {.peers = &peer, .peer_count = 1};

	return rule_matches_peer(&rule, end, &(struct knower){0});
}

/* One direction, at the party, over whatever family they will share. */
static bool
walk_says(const struct half *h, const struct conn_party *party,
    const struct endpoint *future, enum direction dir, const struct probe *s)
{
	for (uint32_t i = 0; i < party->face_count; i++) {
		const struct endpoint *self =
		    &h->relation->world->faces[party->first_face + i].end;
		struct flow flow = {
		    .src = dir == DIR_EGRESS ? *self : *future,
		    .dst = dir == DIR_EGRESS ? *future : *self,
		    .proto = s->proto,
		    .port = s->port,
		};

		if (self->has_addr && self->addr.family == IP_V6 &&
		    s->proto == PROTO_ICMP)
			continue;
		if (self->has_addr && self->addr.family == IP_V4 &&
		    s->proto == PROTO_ICMPV6)
			continue;
		if (evaluate_direction(h->model, &flow, dir).allow)
			return true;
	}
	return false;
}

static bool
check_future(struct trial *t, struct half *h, const struct conn_party *party,
    const struct conn_exposure *e, enum direction dir)
{
	uint32_t *patterns = ARENA_ARRAY(t->arena, e->pattern_count, uint32_t);
	struct future f;
	struct endpoint end = {.kind = ENDPOINT_WORKLOAD, .workload = &f.workload};
	const struct conn_set *set;
	size_t count = 0;

	roll_future(t, h->model, e, &f);
	for (uint32_t i = 0; i < e->pattern_count; i++) {
		if (pattern_applies(e->patterns[i], &end))
			patterns[count++] = i;
	}
	if (count > 1 && !e->exact)
		return true;
	set = conn_exposure_value(&h->pool, e, patterns, count);
	t->exposed_to_some += count > 0;
	for (unsigned i = 0; i < PROBES; i++) {
		struct probe s = trial_roll_probe(&t->dice);

		t->exposed++;
		if (set_has_probe(set, &s) != walk_says(h, party, &end, dir, &s))
			return trial_fail(t,
			    "%.*s, %s, a future workload, %zu patterns, %u/%u: %s",
			    STR_ARG(party->end->display), direction_name(dir), count,
			    s.port, s.proto, set->text != NULL ? set->text : "nothing");
	}
	return true;
}

bool
check_exposure(struct trial *t, struct half *h)
{
	struct conn_world *world = h->relation->world;

	for (unsigned i = 0; i < FUTURES; i++) {
		const struct conn_party *party =
		    &world->parties[dice_roll(&t->dice, world->party_count)];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			const struct conn_exposure *e =
			    conn_exposure_of(world, party, (enum direction)d);

			if (e != NULL &&
			    !check_future(t, h, party, e, (enum direction)d))
				return false;
		}
	}
	return true;
}
