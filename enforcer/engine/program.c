#include "enforcer/engine/program.h"

#include <string.h>

#include "common/sorted.h"
#include "policy-lang/load/load.h"
#include "policy-lang/model/fail_safe.h"

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
	    .nodes_unprotected = !s->host_protection,
	    .fail_safe = fail_safe_copy(p->arena, &s->fail_safe),
	    .learnt = s->learnt,
	    .default_deny = s->default_deny,
	    .ip_blocks_skip_pods = s->ip_blocks_skip_pods,
	    .clusters = (const void *)clusters,
	    .cluster_count = count,
	};
}

/* What it was told of this node and of pods here; the model refers to it. */
static void
announce(struct program *p, const struct engine_settings *s, struct model_options *out)
{
	struct announced_pod *pods =
	    ARENA_ARRAY(p->arena, s->announced_count, struct announced_pod);
	struct ip_addr *own = ARENA_ARRAY(p->arena, s->own_count, struct ip_addr);

	for (size_t i = 0; i < s->announced_count; i++) {
		const struct announced_pod *from = &s->announced[i];
		struct ip_addr *ips =
		    ARENA_ARRAY(p->arena, from->ip_count, struct ip_addr);

		memcpy(ips, from->ips, from->ip_count * sizeof(*ips));
		pods[i] = (struct announced_pod){str_dup(p->arena, from->namespace),
		    str_dup(p->arena, from->name), ips, from->ip_count};
	}
	out->here = str_dup(p->arena, s->node);
	out->announced = pods;
	out->announced_count = s->announced_count;
	if (s->own_count != 0)
		memcpy(own, s->own, s->own_count * sizeof(*own));
	out->own = own;
	out->own_count = s->own_count;
}

static void
set_options(struct program *p, const struct engine_settings *s)
{
	struct ip_prefix *networks =
	    ARENA_ARRAY(p->arena, s->workload_network_count, struct ip_prefix);
	struct interface_pattern *interfaces = ARENA_ARRAY(
	    p->arena, s->workload_interface_count, struct interface_pattern);
	struct interface_pattern *uplinks =
	    ARENA_ARRAY(p->arena, s->uplink_count, struct interface_pattern);

	if (s->uplink_count != 0)
		memcpy(uplinks, s->uplinks, s->uplink_count * sizeof(*uplinks));
	if (s->workload_interface_count != 0)
		memcpy(interfaces, s->workload_interfaces,
		    s->workload_interface_count * sizeof(*interfaces));
	if (s->workload_network_count != 0)
		memcpy(networks, s->workload_networks,
		    s->workload_network_count * sizeof(*networks));
	p->allowed = allowed_copy(p->arena, &s->allowed);
	p->options = (struct compile_options){
	    .node = str_dup(p->arena, s->node),
	    .settings = {.log_group = s->flow_group,
		.names_group = s->names_group,
		.reject = s->reject,
		.steer_mask = s->steering.mask,
		.no_nat = s->no_nat,
		.validate_sources = engine_settings_validate(s)},
	    .workload_networks = networks,
	    .workload_network_count = s->workload_network_count,
	    .has_route_networks = true,
	    .route_networks = route_networks_copy(
		p->arena, s->route_networks, s->route_network_count),
	    .route_network_count = s->no_nat ? 0 : s->route_network_count,
	    .way_count = s->steering.way_count,
	    .route_tables = route_tables_copy(
		p->arena, s->steering.tables, s->steering.table_count),
	    .route_table_count = s->steering.table_count,
	    .workload_interfaces = interfaces,
	    .workload_interface_count = s->workload_interface_count,
	    .uplinks = uplinks,
	    .uplink_count = s->uplink_count,
	};
	p->node = (struct node){.name = p->options.node, .cluster = STR("")};
}

bool
program_counts_local(const struct program *p, const struct workload *w)
{
	return w != NULL && !w->is_template && !w->host_network &&
	       compile_is_of_node(w, p->options.node);
}

bool
program_knows_node(const struct program *p)
{
	return p->local_workloads != 0 || p->model->workload_count == 0 ||
	       model_node(p->model, p->options.node) != NULL;
}

void
program_take_chains(struct program_side *side)
{
	struct arena *arena = arena_new();

	compile_state_chains(side->state, arena, &side->chains, &side->chain_count);
	arena_free(side->chain_arena);
	side->chain_arena = arena;
}

void
program_free_side(struct program_side *side)
{
	compile_state_free(side->state);
	live_free(side->live);
	arena_free(side->chain_arena);
	*side = (struct program_side){.live = NULL};
}

void
program_free_former(struct program_former *former)
{
	compile_state_free(former->state);
	arena_free(former->chain_arena);
	*former = (struct program_former){.state = NULL};
}

/* Each compilation tells in a list of its own: one has room for so many errors, and what they are
 * of is set aside. */
static void
compile_side(struct program *p, struct program_side *side, struct diag_list *diags)
{
	struct diag_list found;
	bool again;

	diag_list_init(&found, p->arena);
	do {
		side->state =
		    compile_state_new(live_model(side->live), &p->options, &found);
		again = side == &p->real && side->state == NULL &&
			program_set_aside(p, &found, found.first);
		diag_take(diags, &found);
	} while (again);
}

static bool
load_side(struct program *p, struct program_side *side,
    const struct model_options *options, const struct load_reading *reading,
    struct diag_list *diags)
{
	monotime_t start = monotime_now(), loaded;

	side->live = live_load(p->arena, &p->bundle, options, reading, diags);
	loaded = monotime_now();
	p->load_us += monotime_since(start, loaded) / 1000;
	if (side == &p->real)
		p->loaded = loaded;
	if (side->live == NULL)
		return false;
	compile_side(p, side, diags);
	if (side->state != NULL)
		program_take_chains(side);
	p->compile_us += monotime_since(loaded, monotime_now()) / 1000;
	return side->state != NULL;
}

void
program_warn_not_watched(struct diag_list *diags)
{
	diag_warn(diags, "not-watched", (struct loc){0},
	    "what policies with \"enforcement: audit\" would deny cannot be told: "
	    "their program is too large");
}

/* The same documents, but that what is only watched is enforced. Mistakes in them have been
 * told; a program that would be too large is one that cannot be watched. */
static void
load_shadow(struct program *p, struct model_options *options,
    const struct load_reading *reading)
{
	struct diag_list diags;

	diag_list_init(&diags, p->arena);
	options->audit_enforced = true;
	if (load_side(p, &p->shadow, options, reading, &diags)) {
		live_keep_texts(p->shadow.live);
		return;
	}
	program_free_side(&p->shadow);
	program_warn_not_watched(&p->diags);
}

static void
load_and_compile(struct program *p, const struct engine_settings *s,
    const struct load_reading *reading)
{
	struct model_options options;

	set_model_options(p, s, &options);
	announce(p, s, &options);
	set_options(p, s);
	p->ok = load_side(p, &p->real, &options, reading, &p->diags);
	if (p->ok) {
		program_keep_uses(p, 0);
		live_keep_texts(p->real.live);
		p->model = live_model(p->real.live);
		for (size_t i = 0; i < p->model->workload_count; i++)
			p->local_workloads +=
			    program_counts_local(p, p->model->workloads[i]);
	}
	if (p->ok && p->model->audit_count != 0)
		load_shadow(p, &options, reading);
	diag_sort(&p->diags);
}

static struct program *
new_program(size_t source_count)
{
	struct arena *arena = arena_new();
	struct program *p = ARENA_NEW(arena, struct program);

	p->arena = arena;
	p->source_count = source_count;
	p->directories = ARENA_ARRAY(arena, source_count, struct str);
	diag_list_init(&p->diags, arena);
	return p;
}

/* Bundles of which no more is in memory than the file that is read. */
struct texts {
	struct arena *arena;
	struct bundle_map *maps;
	size_t count;
};

static void
has_read(void *ctx, const struct source *source)
{
	const struct texts *t = ctx;

	for (size_t i = 0; i < t->count; i++)
		bundle_map_drop(&t->maps[i], source->text);
}

static void
close_bundles(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		bundle_unmap(&t->maps[i]);
	arena_free(t->arena);
}

static bool
open_bundles(struct program *p, struct texts *texts, const int *bundle_fds,
    struct bundle *parts, size_t count)
{
	struct err err = ERR_INIT;

	texts->arena = arena_new();
	texts->count = count;
	texts->maps = ARENA_ARRAY(texts->arena, count, struct bundle_map);
	for (size_t i = 0; i < count; i++) {
		if (bundle_open_mapped(texts->arena, bundle_fds[i], &parts[i],
			&texts->maps[i], &err) != 0) {
			diag_error(&p->diags, "bundle", (struct loc){0},
			    "a source did not arrive: %s", err.msg);
			return false;
		}
		p->bundle.count += parts[i].count;
	}
	return true;
}

/* One for each source, in the arena; NULL: nothing is kept. */
static struct load_kept *
take_kept(struct program *p, struct arena *arena, const struct map *kept)
{
	struct load_kept *list;

	if (kept == NULL || kept->len == 0)
		return NULL;
	list = ARENA_ARRAY(arena, p->bundle.count, struct load_kept);
	for (size_t i = 0; i < p->bundle.count; i++) {
		const struct load_kept *k = map_get(kept, p->bundle.sources[i].name);

		if (k == NULL)
			continue;
		list[i] = *k;
		p->bundle.sources[i].text = k->text;
	}
	return list;
}

struct program *
program_make(const struct engine_settings *settings, const int *bundle_fds,
    size_t count, const struct map *kept)
{
	struct program *p = new_program(count);
	struct bundle *parts = ARENA_ARRAY(p->arena, count, struct bundle);
	struct texts texts = {0};
	struct load_reading reading = {.has_read = has_read, .ctx = &texts};
	size_t at = 0;

	for (size_t i = 0; i < count; i++)
		p->directories[i] = str_dup(p->arena, settings->sources[i].directory);
	if (!open_bundles(p, &texts, bundle_fds, parts, count)) {
		p->bundle.count = 0;
		close_bundles(&texts);
		return p;
	}
	p->bundle.sources = ARENA_ARRAY(p->arena, p->bundle.count, struct source);
	for (size_t i = 0; i < count; i++) {
		if (parts[i].count != 0)
			memcpy(p->bundle.sources + at, parts[i].sources,
			    parts[i].count * sizeof(struct source));
		at += parts[i].count;
	}
	for (size_t i = 0; i < p->bundle.count; i++) {
		struct source *source = &p->bundle.sources[i];

		source->name = str_dup(p->arena, source->name);
		has_read(&texts, source);
	}
	reading.kept = take_kept(p, texts.arena, kept);
	load_and_compile(p, settings, &reading);
	/* What was read is many times what was made of it, and places need names only. */
	for (size_t i = 0; i < p->bundle.count; i++)
		p->bundle.sources[i].text = STR("");
	close_bundles(&texts);
	arena_settle(p->arena);
	return p;
}

struct program *
program_make_skeleton(const struct engine_settings *settings)
{
	struct program *p = new_program(0);

	p->skeleton = true;
	load_and_compile(p, settings, NULL);
	return p;
}

void
program_free(struct program *p)
{
	if (p == NULL)
		return;
	program_free_former(&p->former); /* which refers to the model */
	program_free_side(&p->real);
	program_free_side(&p->shadow);
	program_free_asides(p);
	arena_free(p->arena);
}

/* ---- what it says ---- */

void
program_complete(const struct program *p, enum table_midstream midstream,
    struct table_content *content)
{
	content->settings = p->options.settings;
	table_set_midstream(content->rule_chains, content->rule_chain_count, midstream);
	allowed_set_logs(&p->allowed, content->rule_chains, content->rule_chain_count);
}

void
program_content_of(const struct program *p, const struct compile_state *state,
    struct arena *arena, enum table_midstream midstream, struct table_content *out)
{
	compile_state_content(state, arena, out);
	program_complete(p, midstream, out);
}

void
program_content(const struct program *p, struct arena *arena,
    enum table_midstream midstream, struct table_content *out)
{
	program_content_of(p, p->real.state, arena, midstream, out);
}

void
program_rest(const struct program *p, struct arena *arena,
    enum table_midstream midstream, struct table_content *out)
{
	compile_state_rest(p->real.state, arena, out);
	program_complete(p, midstream, out);
}

size_t
program_some(const struct program *p, enum table_set_id set, uint32_t *at,
    struct table_element *out, size_t most)
{
	return compile_state_some(p->real.state, set, at, out, most);
}

void
program_keep_uses(struct program *p, uint32_t before)
{
	size_t counts[SET_COUNT];

	program_counts(p, counts);
	p->options.settings.uses = table_uses(counts) | before;
}

void
program_counts(const struct program *p, size_t out[SET_COUNT])
{
	compile_state_counts(p->real.state, out);
}

static bool
find_element(const void *arg, enum table_set_id set, const struct table_element *key,
    struct table_element *out)
{
	const struct program_side *side = arg;

	return compile_state_find(side->state, set, key, out);
}

static struct table_verdict
walk(const struct program_side *side, const struct table_packet *packet)
{
	const struct table_view view = {
	    .find = find_element,
	    .arg = side,
	    .rule_chains = side->chains,
	    .rule_chain_count = side->chain_count,
	};

	return table_walk_view(&view, packet);
}

struct table_verdict
program_walk(const struct program *p, const struct table_packet *packet)
{
	return walk(&p->real, packet);
}

struct table_verdict
program_shadow_walk(const struct program *p, const struct table_packet *packet)
{
	return walk(&p->shadow, packet);
}

bool
program_asks(const struct program *p, const struct ip_addr *addr)
{
	struct table_element key = {0}, found;

	memcpy(key.addr, addr->bytes, ip_bytes(addr->family));
	return compile_state_find(p->real.state,
	    addr->family == IP_V4 ? SET_ASKER4 : SET_ASKER6, &key, &found);
}

bool
program_has_shadow(const struct program *p)
{
	return p->shadow.state != NULL;
}

static const struct table_rule_chain *
find_rule(const struct program_side *side, uint32_t number)
{
	return u32_find(number, side->chains, side->chain_count, sizeof(*side->chains));
}

const struct table_rule_chain *
program_rule(const struct program *p, uint32_t number)
{
	return find_rule(&p->real, number);
}

const struct table_rule_chain *
program_shadow_rule(const struct program *p, uint32_t number)
{
	return find_rule(&p->shadow, number);
}

static bool
is_below(struct str name, struct str directory)
{
	while (directory.len > 1 && directory.ptr[directory.len - 1] == '/')
		directory.len--;
	return str_starts(name, directory) &&
	       (name.len == directory.len || name.ptr[directory.len] == '/' ||
		   str_is(directory, "/"));
}

size_t
program_source_of(const struct program *p, struct loc loc)
{
	size_t found = p->source_count;

	for (size_t i = 0; i < p->source_count && loc.source != NULL; i++) {
		if (is_below(loc.source->name, p->directories[i]) &&
		    (found == p->source_count ||
			p->directories[i].len > p->directories[found].len))
			found = i;
	}
	return found;
}
