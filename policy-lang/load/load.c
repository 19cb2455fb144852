/*
 * The loader's frame: what one load goes through, stage by stage, for all sources or for
 * one against a model that is there.
 */
#include "policy-lang/load/load.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/load/load_internal.h"

/* Of scratch memory for a source of a few objects. */
#define PART_CHUNK_BYTES 4096

/* What has been read may give its memory back. */
static void
has_read(const struct loader *l, const struct source *source)
{
	if (l->note != NULL && l->note->reading.has_read != NULL)
		l->note->reading.has_read(l->note->reading.ctx, source);
}

static void
run_stage(struct loader *l, enum load_stage stage)
{
	l->stage = stage;
	for (size_t i = 0; i < l->waiting_count; i++) {
		if ((l->waiting[i].stages & 1u << stage) == 0)
			continue;
		load_source_again(l, l->waiting[i].source);
		has_read(l, l->waiting[i].source);
	}
	for (size_t i = 0; i < l->items.count; i++) {
		const struct load_object *o = l->items.items[i];

		if (o->kind->stage == stage)
			o->kind->load(l, o);
	}
}

static void
remember(struct loader *l, size_t count)
{
	l->recent.texts = ARENA_ARRAY(l->scratch, count, struct str);
	l->recent.labels = ARENA_ARRAY(l->scratch, count, struct load_seen_labels);
	l->recent.count = count;
}

static void
loader_fini(struct loader *l)
{
	struct ptr_vec *vecs[] = {&l->items, &l->workloads, &l->policies};
	struct map *maps[] = {&l->texts, &l->arrays, &l->objects, &l->externals,
	    &l->placings, &l->skipped};

	for (size_t i = 0; i < l->nodes.len; i++) {
		struct node_draft *d = l->nodes.entries[i].value;

		ptr_vec_fini(&d->addresses);
	}
	map_fini(&l->nodes);
	map_fini(&l->warned);
	for (size_t i = 0; i < ARRAY_LEN(vecs); i++)
		ptr_vec_fini(vecs[i]);
	for (size_t i = 0; i < OTHER_KINDS; i++)
		ptr_vec_fini(&l->others[i]);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		map_fini(maps[i]);
	free(l->waiting);
	arena_free(l->scratch);
	arena_free(l->pages);
}

/* Files that never met an API server may hold what it would refuse, where nothing depends
 * on it or it can only mean one thing. Who asks for the server's judgement gets it. */
static const enum diag_code tolerated[] = {CODE_ABSENT_SELECTOR, CODE_ODD_NAME};

static void
refuse_tolerated(struct loader *l)
{
	for (struct diag *d = l->diags->first; d != NULL; d = d->next) {
		for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
			if (d->severity != DIAG_WARNING ||
			    strcmp(d->code, diag_code_table[tolerated[i]].code) != 0)
				continue;
			d->severity = DIAG_ERROR;
			l->diags->warnings--;
			l->diags->errors++;
		}
	}
}

static void
take_pods(struct loader *l, const struct source *source, const struct load_kept *kept)
{
	for (size_t i = 0; i < kept->pod_count; i++)
		load_kept_pod(l, source, kept->pods[i]);
}

static void
read_sources(struct loader *l, const struct bundle *bundle)
{
	const struct load_reading none = {0};
	const struct load_reading *how = l->note != NULL ? &l->note->reading : &none;
	const struct load_kept *kept = how->kept;

	for (size_t i = 0; i < bundle->count; i++) {
		if (kept != NULL && kept[i].pod_count != 0)
			take_pods(l, &bundle->sources[i], &kept[i]);
		else
			load_source(l, &bundle->sources[i]);
		has_read(l, &bundle->sources[i]);
	}
}

bool
load_whole(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct load_note *note, struct model **out_model)
{
	struct loader l = {
	    .note = note,
	    .arena = arena,
	    .scratch = arena_new(),
	    .pages = arena_new(),
	    .diags = diags,
	    .told = diags,
	    .reads_again = note != NULL && note->reading.has_read != NULL,
	};
	unsigned errors = diags->errors;

	remember(&l, LOAD_RECENT_WHOLE);
	l.m = ARENA_NEW(arena, struct model);
	l.m->arena = arena;
	if (options != NULL)
		l.m->options = *options;
	l.m->root = load_ns(&l, STR("/"));
	read_sources(&l, bundle);
	for (unsigned stage = STAGE_TREE; stage < STAGE_COUNT; stage++) {
		run_stage(&l, (enum load_stage)stage);
		if (stage == STAGE_TREE)
			load_settle_kube(&l);
	}
	load_finish(&l);
	load_report_skipped(&l);
	if (l.m->options.as_the_server)
		refuse_tolerated(&l);
	loader_fini(&l);
	*out_model = l.m;
	return !l.failed && diags->errors == errors;
}

bool
model_load(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct model **out_model)
{
	return load_whole(arena, bundle, options, diags, NULL, out_model);
}

/* ---- one source ---- */

static void
take_nodes(struct loader *l, struct load_objects *out)
{
	out->nodes = ARENA_ARRAY(l->arena, l->nodes.len, struct node *);
	for (size_t i = 0; i < l->nodes.len; i++) {
		struct node_draft *d = l->nodes.entries[i].value;

		if (!d->declared)
			continue;
		load_finish_node(l->arena, d);
		out->nodes[out->node_count++] = &d->node;
	}
}

static void
take_objects(struct loader *l, struct load_objects *out)
{
	*out = (struct load_objects){
	    .workloads = ptr_vec_copy(l->arena, &l->workloads),
	    .workload_count = l->workloads.count,
	    .policies = ptr_vec_copy(l->arena, &l->policies),
	    .policy_count = l->policies.count,
	};
	for (size_t i = 0; i < out->workload_count; i++) {
		struct workload *w = out->workloads[i];

		if (w->kube != NULL)
			w->ns = w->kube->ns;
	}
	take_nodes(l, out);
	for (size_t i = 0; i < OTHER_KINDS; i++) {
		out->others[i] = ptr_vec_copy(l->arena, &l->others[i]);
		out->other_count[i] = l->others[i].count;
	}
	load_number_alone(l, out);
}

bool
load_part(struct arena *arena, const struct source *source, const struct model *model,
    struct diag_list *diags, struct load_note *note, struct load_objects *out)
{
	struct model seen = *model; /* its maps are only looked into */
	struct loader *l = xcalloc(1, sizeof(*l));
	unsigned errors = diags->errors;
	bool ok;

	*l = (struct loader){
	    .note = note,
	    .arena = arena,
	    .scratch = arena_new_sized(PART_CHUNK_BYTES),
	    .pages = arena_new_sized(PART_CHUNK_BYTES),
	    .diags = diags,
	    .told = diags,
	    .m = &seen,
	    .placed = true,
	};
	remember(l, LOAD_RECENT_PART);
	note->part = true;
	load_source(l, source);
	for (unsigned stage = STAGE_TREE; stage < STAGE_COUNT; stage++)
		run_stage(l, (enum load_stage)stage);
	ok = !l->failed && diags->errors == errors;
	take_objects(l, out);
	loader_fini(l);
	free(l);
	return ok;
}
