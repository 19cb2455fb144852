/*
 * Listings and differences against the evaluator: pairs of random models, the second
 * often the first with a document less, or with other words in it. For every pair of
 * ends, and addresses of the outside, what is listed must be what the walk says, port by
 * port; groups expanded by their names must be the sets that they stand for; and a
 * difference must be exactly what tells the second listing from the first. Options:
 * --cases N --seed S. What fails is printed with its seed.
 */
#include <roaring/roaring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load.h"
#include "tests/property/conn_trial.h"

#define CASES_DEFAULT DICE_CASES(150)
#define CASES_MORE    200

bool
trial_fail(const struct trial *t, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "seed %llu: ", (unsigned long long)t->seed);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < 2; i++) {
		const struct cluster_texts *texts = &t->texts[i];

		(void)fprintf(
		    stderr, "\n#### %s\n%s", i == 0 ? "old" : "new", texts->tree.data);
		for (unsigned c = 0; c < texts->clusters; c++)
			(void)fprintf(stderr, "#### cluster %s\n%s", cluster_names[c],
			    texts->kube[c].data);
	}
	return false;
}

/* ---- a case ---- */

static bool
load(struct trial *t, unsigned which)
{
	static const struct {
		struct str name, path;
	} clusters[CLUSTER_MAX] = {
	    {{"east", 4}, {"east.yaml", 9}}, {{"west", 4}, {"west.yaml", 9}}};
	const struct cluster_texts *texts = &t->texts[which];
	struct model_options options = {
	    .default_deny = t->seed % 5 == 0,
	    .clusters = (const void *)clusters,
	    .cluster_count = texts->clusters,
	};
	struct source *sources =
	    ARENA_ARRAY(t->arena, 1 + texts->clusters, struct source);
	struct bundle *bundle = ARENA_NEW(t->arena, struct bundle);
	struct diag_list diags;

	sources[0] = (struct source){STR("tree.yaml"), buf_str(&texts->tree)};
	for (unsigned c = 0; c < texts->clusters; c++)
		sources[1 + c] =
		    (struct source){clusters[c].path, buf_str(&texts->kube[c])};
	*bundle = (struct bundle){sources, 1 + texts->clusters};
	diag_list_init(&diags, t->arena);
	return model_load(t->arena, bundle, &options, &diags, &t->models[which]);
}

/* ---- groups ---- */

/* Marks the parties that a name stands for, knowing names alone. */
static void add_named(
    const struct conn_groups *g, struct str name, uint8_t *parties, uint8_t value);

static void
add_words(
    const struct conn_groups *g, const struct conn_group_set *set, uint8_t *parties)
{
	const struct conn_relation *r = g->relation;

	if (set->base.len > 0)
		add_named(g, set->base, parties, 1);
	for (uint32_t i = 0; set->all && i < r->atom_count; i++) {
		if (g->atom_names[i].ptr != NULL)
			add_named(g, g->atom_names[i], parties, 1);
	}
	for (size_t i = 0; i < set->with_count; i++)
		add_named(g, set->with[i], parties, 1);
	for (size_t i = 0; i < set->without_count; i++)
		add_named(g, set->without[i], parties, 0);
}

static void
add_named(const struct conn_groups *g, struct str name, uint8_t *parties, uint8_t value)
{
	const struct conn_world *world = g->relation->world;

	for (uint32_t i = 0; i < world->party_count; i++) {
		if (str_eq(world->parties[i].end->display, name))
			parties[i] = value;
	}
	for (size_t i = 0; i < g->group_count; i++) {
		for (uint32_t j = 0; str_eq(g->groups[i].name, name) &&
				     j < g->groups[i].atom->party_count;
		     j++)
			parties[g->groups[i].atom->parties[j]] = value;
	}
	for (size_t i = 0; i < g->set_count; i++) {
		uint8_t *own;

		if (!str_eq(g->sets[i].name, name))
			continue;
		own = xcalloc((size_t)world->party_count + 1, 1);
		add_words(g, &g->sets[i], own);
		for (uint32_t j = 0; j < world->party_count; j++) {
			if (own[j] != 0)
				parties[j] = value;
		}
		free(own);
	}
}

bool
check_groups(struct trial *t, const struct conn_groups *g)
{
	const struct conn_relation *r = g->relation;
	uint32_t count = r->world->party_count;
	uint8_t *named = xcalloc((size_t)count + 1, 1);
	bool ok = true;

	for (uint32_t s = 0; s < r->set_count && ok; s++) {
		if (g->set_names[s].ptr == NULL)
			continue;
		memset(named, 0, count);
		add_named(g, g->set_names[s], named, 1);
		for (uint32_t i = 0; i < count && ok; i++) {
			bool in =
			    r->atom_of[i] != UINT32_MAX &&
			    roaring_bitmap_contains(r->sets[s]->bits, r->atom_of[i]);

			t->grouped++;
			if (in != (named[i] != 0))
				ok = trial_fail(t, "%.*s and %.*s",
				    STR_ARG(g->set_names[s]),
				    STR_ARG(r->world->parties[i].end->display));
		}
	}
	free(named);
	return ok;
}

/* ---- all of it ---- */

static void
half_init(struct trial *t, struct half *h, const struct model *m,
    const struct connectivity_options *options)
{
	h->model = m;
	conn_pool_init(&h->pool, t->arena, conn_names_portless(m));
	h->world = conn_world_new(t->arena, m, options, &h->pool);
	h->relation = conn_relation_new(h->world, true);
}

static void
half_fini(struct half *h)
{
	conn_relation_free(h->relation);
	conn_world_free(h->world);
	conn_pool_fini(&h->pool);
}

static bool
check_relation_groups(struct trial *t)
{
	struct conn_groups groups;
	struct buf text = {0};
	bool ok;

	conn_groups_make(t->halves[1].relation, NULL, &groups);
	ok = check_groups(t, &groups);
	for (unsigned f = CONNECTIVITY_TXT; f <= CONNECTIVITY_DOT; f++)
		connectivity_print_groups(&text, &groups, (enum connectivity_format)f);
	buf_free(&text);
	return ok;
}

static bool
run_case(struct trial *t)
{
	struct connectivity_options options = {0};
	bool ok;

	dice_init(&t->dice, t->seed);
	t->arena = arena_new();
	for (unsigned i = 0; i < 2; i++) {
		buf_clear(&t->texts[i].tree);
		for (unsigned c = 0; c < CLUSTER_MAX; c++)
			buf_clear(&t->texts[i].kube[c]);
	}
	cluster_print(&t->texts[0], &t->dice);
	if (dice_roll(&t->dice, 3) == 0)
		cluster_print(&t->texts[1], &t->dice);
	else
		cluster_print_edited(&t->texts[1], &t->dice, &t->texts[0]);
	options.nodes = dice_roll(&t->dice, 2) == 0;
	/* Without a document others may not stand any more: that is no case. */
	ok = load(t, 0);
	if (!ok)
		return trial_fail(t, "the cluster is refused");
	if (load(t, 1)) {
		t->diff = diff_new(t->arena, t->models[0], t->models[1], &options);
		options.outside6 = conn_speaks_of_ipv6(t->models[0]) ||
				   conn_speaks_of_ipv6(t->models[1]);
		for (unsigned i = 0; i < 2; i++)
			half_init(t, &t->halves[i], t->models[i], &options);
		ok = check_listing(t, 0) && check_listing(t, 1) && check_diff(t) &&
		     check_relation_groups(t) && check_report(t) &&
		     check_exposure(t, &t->halves[0]) &&
		     check_exposure(t, &t->halves[1]);
		diff_free(t->diff);
		for (unsigned i = 0; i < 2; i++)
			half_fini(&t->halves[i]);
	}
	arena_free(t->arena);
	return ok;
}

/* A run that hardly asks anything is no test. Few cases may do so by chance: then there are
 * more. */
static bool
is_test(const struct trial *t, uint64_t done)
{
	return t->allowed > t->asked / 20 && t->allowed < t->asked &&
	       t->changed > done && t->grouped > done;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed(), done = 0;
	struct trial t = {0};
	const struct run_option options[] = {{"--cases", &cases}, {"--seed", &seed}};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (;
	     ok && (done < cases || (!is_test(&t, done) && done < cases + CASES_MORE));
	     done++) {
		t.seed = seed + done;
		ok = run_case(&t);
	}
	(void)printf("seeds %llu-%llu: %lu questions, %lu allowed, %lu ends changed, "
		     "%lu members named, %lu questions about futures\n",
	    (unsigned long long)seed, (unsigned long long)t.seed, t.asked, t.allowed,
	    t.changed, t.grouped, t.exposed);
	for (size_t i = 0; i < 2; i++) {
		buf_free(&t.texts[i].tree);
		for (size_t c = 0; c < CLUSTER_MAX; c++)
			buf_free(&t.texts[i].kube[c]);
		free(t.halves[i].outside);
	}
	return ok && is_test(&t, done) ? 0 : 1;
}
