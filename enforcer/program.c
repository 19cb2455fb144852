#include "enforcer/program.h"

#include <string.h>

#include "policy-lang/load.h"

/* What struct model_options.clusters points to. */
struct cluster {
	struct str name, path;
};

static void
set_model_options(
    struct program *p, const struct engine_settings *s, struct model_options *out)
{
	struct cluster *clusters =
	    ARENA_ARRAY(p->arena, s->source_count, struct cluster);
	size_t count = 0;

	for (size_t i = 0; i < s->source_count; i++) {
		if (s->sources[i].cluster.len == 0)
			continue;
		clusters[count++] =
		    (struct cluster){str_dup(p->arena, s->sources[i].cluster),
			str_dup(p->arena, s->sources[i].directory)};
	}
	*out = (struct model_options){
	    .default_deny = s->default_deny,
	    .ip_blocks_skip_pods = s->ip_blocks_skip_pods,
	    .clusters = (const void *)clusters,
	    .cluster_count = count,
	};
}

static bool
compile(struct program *p, const struct engine_settings *s, const struct model *model,
    struct diag_list *diags, struct table_content *out)
{
	struct ip_prefix *networks =
	    ARENA_ARRAY(p->arena, s->workload_network_count, struct ip_prefix);
	const struct compile_options options = {
	    .node = str_dup(p->arena, s->node),
	    .settings = {.log_group = s->flow_group, .reject = s->reject},
	    .workload_networks = networks,
	    .workload_network_count = s->workload_network_count,
	};

	if (s->workload_network_count != 0)
		memcpy(networks, s->workload_networks,
		    s->workload_network_count * sizeof(*networks));
	return compile_node(p->arena, model, &options, diags, out);
}

static void
count_local(struct program *p, const struct engine_settings *s)
{
	for (size_t i = 0; i < p->model->workload_count; i++) {
		const struct workload *w = p->model->workloads[i];

		p->local_workloads +=
		    !w->is_template && !w->host_network && str_eq(w->node, s->node);
	}
}

/* The same documents, but that what is only watched is enforced. Mistakes in them have been
 * told; a program that would be too large is one that cannot be watched. */
static void
compile_shadow(
    struct program *p, const struct engine_settings *s, struct model_options *options)
{
	struct diag_list diags;
	struct model *model;

	diag_list_init(&diags, p->arena);
	options->audit_enforced = true;
	p->has_shadow = model_load(p->arena, &p->bundle, options, &diags, &model) &&
			compile(p, s, model, &diags, &p->shadow);
	if (!p->has_shadow)
		diag_warn(&p->diags, "not-watched", (struct loc){0},
		    "what policies with \"enforcement: audit\" would deny cannot be "
		    "told: their program is too large");
}

static void
load_and_compile(struct program *p, const struct engine_settings *s)
{
	struct model_options options;
	monotime_t start = monotime_now();
	monotime_t loaded;

	set_model_options(p, s, &options);
	p->ok = model_load(p->arena, &p->bundle, &options, &p->diags, &p->model);
	loaded = monotime_now();
	p->load_us = monotime_since(start, loaded) / 1000;
	if (p->ok)
		p->ok = compile(p, s, p->model, &p->diags, &p->content);
	p->compile_us = monotime_since(loaded, monotime_now()) / 1000;
	if (p->ok && p->model->audit_count != 0)
		compile_shadow(p, s, &options);
	if (p->ok)
		count_local(p, s);
	diag_sort(&p->diags);
}

static struct program *
new_program(size_t source_count)
{
	struct arena *arena = arena_new();
	struct program *p = ARENA_NEW(arena, struct program);

	p->arena = arena;
	p->source_count = source_count;
	p->first_file = ARENA_ARRAY(arena, source_count + 1, size_t);
	diag_list_init(&p->diags, arena);
	return p;
}

static bool
open_bundles(struct program *p, struct arena *texts, const int *bundle_fds,
    struct bundle *parts, size_t count)
{
	struct err err = ERR_INIT;
	size_t files = 0;

	for (size_t i = 0; i < count; i++) {
		if (bundle_open(texts, bundle_fds[i], &parts[i], &err) != 0) {
			diag_error(&p->diags, "bundle", (struct loc){0},
			    "a source did not arrive: %s", err.msg);
			return false;
		}
		p->first_file[i] = files;
		files += parts[i].count;
	}
	p->first_file[count] = files;
	return true;
}

struct program *
program_make(
    const struct engine_settings *settings, const int *bundle_fds, size_t count)
{
	struct program *p = new_program(count);
	struct bundle *parts = ARENA_ARRAY(p->arena, count, struct bundle);
	struct arena *texts = arena_new();

	if (!open_bundles(p, texts, bundle_fds, parts, count)) {
		arena_free(texts);
		return p;
	}
	p->bundle.count = p->first_file[count];
	p->bundle.sources = ARENA_ARRAY(p->arena, p->bundle.count, struct source);
	for (size_t i = 0; i < count; i++) {
		if (parts[i].count != 0)
			memcpy(p->bundle.sources + p->first_file[i], parts[i].sources,
			    parts[i].count * sizeof(struct source));
	}
	for (size_t i = 0; i < p->bundle.count; i++)
		p->bundle.sources[i].name =
		    str_dup(p->arena, p->bundle.sources[i].name);
	load_and_compile(p, settings);
	/* What was read is many times what was made of it, and places need names only. */
	for (size_t i = 0; i < p->bundle.count; i++)
		p->bundle.sources[i].text = STR("");
	arena_free(texts);
	return p;
}

struct program *
program_make_skeleton(const struct engine_settings *settings)
{
	struct program *p = new_program(0);

	p->skeleton = true;
	load_and_compile(p, settings);
	return p;
}

void
program_free(struct program *p)
{
	if (p != NULL)
		arena_free(p->arena);
}

void
program_set_midstream(struct program *p, enum table_midstream what)
{
	struct table_content *c = &p->content;
	struct table_rule_chain *chains =
	    ARENA_ARRAY(p->arena, c->rule_chain_count, struct table_rule_chain);

	if (c->rule_chain_count != 0)
		memcpy(chains, c->rule_chains, c->rule_chain_count * sizeof(*chains));
	table_set_midstream(chains, c->rule_chain_count, what);
	c->rule_chains = chains;
}

static const struct table_rule_chain *
find_rule(const struct table_content *c, uint32_t number)
{
	size_t low = 0, high = c->rule_chain_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct table_rule_chain *chain = &c->rule_chains[middle];

		if (chain->number == number)
			return chain;
		if (chain->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct table_rule_chain *
program_rule(const struct program *p, uint32_t number)
{
	return find_rule(&p->content, number);
}

const struct table_rule_chain *
program_shadow_rule(const struct program *p, uint32_t number)
{
	return p->has_shadow ? find_rule(&p->shadow, number) : NULL;
}

size_t
program_source_of(const struct program *p, struct loc loc)
{
	const struct source *files = p->bundle.sources;

	if (loc.source == NULL || loc.source < files ||
	    loc.source >= files + p->bundle.count)
		return p->source_count;
	for (size_t i = 0; i < p->source_count; i++) {
		if (loc.source < files + p->first_file[i + 1])
			return i;
	}
	return p->source_count;
}
