/*
 * Files that are bad. What such a file said before goes on, in edits and in loads of all
 * sources: a load that finds mistakes is done again with what was kept of the files that
 * they are in, until what is left is right. Where nothing was kept, or what was kept does
 * not go with what others say now, something that is closed takes the place of what a tenant
 * wrote in a cluster (kube_closed.h): nobody can stop the policy of others by a mistake. Where a
 * mistake is in a file of a directory, or is the cluster's own, all of the former program stays.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/kube/kube_closed.h"
#include "policy-lang/model/codes.h"

/* What is kept of one file may need that of another, hardly ever of a third; but of very many
 * mistakes a load finds only some. */
#define ROUNDS_MOST 64

/* ---- records ---- */

static void
forget(struct map *refused, struct str name)
{
	struct refused_file *f = map_remove(refused, name);

	if (f != NULL)
		arena_free(f->arena); /* in which it is */
}

void
engine_refused_forgive(struct engine_source *s, struct str name)
{
	forget(&s->refused, name);
}

static void
forget_all(struct map *refused)
{
	while (refused->len != 0)
		forget(refused, refused->entries[0].key);
	map_fini(refused);
}

void
engine_refused_forgive_all(struct engine_source *s)
{
	forget_all(&s->refused);
}

static unsigned
waits_for(const struct diag *d)
{
	static const struct {
		enum diag_code code;
		enum refused_wait wait;
	} waits[] = {
	    {CODE_UNKNOWN_EXTERNAL, WAITS_FOR_NAME},
	    {CODE_DUPLICATE_OBJECT, WAITS_FOR_LESS},
	    {CODE_PLACED_TWICE, WAITS_FOR_LESS},
	};

	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		if (strcmp(d->code, diag_code_table[waits[i].code].code) == 0)
			return waits[i].wait;
	}
	return 0;
}

/* `all`: every error is of the file; else those that have their place there. */
static struct refused_file *
new_refused(struct str name, const struct diag_list *diags, bool all)
{
	struct arena *arena = arena_new_sized(1024);
	struct refused_file *f = ARENA_NEW(arena, struct refused_file);

	f->arena = arena;
	f->name = str_dup(arena, name);
	f->since = walltime_now();
	f->errors = ARENA_ARRAY(arena, ENGINE_STATUS_ERRORS, const char *);
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity != DIAG_ERROR ||
		    (!all &&
			(d->loc.source == NULL || !str_eq(d->loc.source->name, name))))
			continue;
		f->total++;
		f->waits_for |= waits_for(d);
		if (f->count < ENGINE_STATUS_ERRORS)
			f->errors[f->count++] = engine_error_text(arena, d);
	}
	return f;
}

static bool
same_errors(const struct refused_file *a, const struct refused_file *b)
{
	bool same = a->total == b->total && a->count == b->count;

	for (size_t i = 0; i < a->count && same; i++)
		same = strcmp(a->errors[i], b->errors[i]) == 0;
	return same;
}

static void
audit_refusal(struct engine *e, const struct refused_file *f)
{
	const struct program *p = e->apply.current; /* NULL: the first load */
	struct audit_change change = {
	    .verb = "edit",
	    .stage = "ResponseComplete",
	    .node = e->settings.node,
	    .detail = f->count != 0 ? str_from(f->errors[0]) : f->name,
	    .failed = true,
	    .number = e->apply.programs,
	    .now = walltime_now(),
	};
	uint8_t id[16];
	struct buf line = {0};

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		base_die("getrandom");
	if (p != NULL) {
		change.workloads = p->local_workloads;
		change.policies = p->model->policy_count;
		change.routes = p->model->route_count;
		change.rules = p->real.chain_count;
	}
	audit_event_change(&line, id, &change);
	(void)engine_audit_send(e, buf_str(&line), false); /* nobody waits for it */
	buf_free(&line);
}

/* Puts it among those of its source. What is as bad as it was is not told again. */
static void
put(struct engine *e, struct engine_source *s, struct refused_file *f)
{
	const struct refused_file *old = map_get(&s->refused, f->name);
	bool again = old != NULL && same_errors(old, f);

	if (old != NULL)
		f->since = old->since;
	forget(&s->refused, f->name);
	(void)map_set(&s->refused, f->name, f); /* new */
	if (again)
		return;
	e->edits.refused++;
	e->load.failures++;
	log_error("edit-refused", "file=%s errors=%u in-force=%llu", log_quote(f->name),
	    f->total,
	    (unsigned long long)(e->apply.current != NULL ? e->apply.current->number
							  : 0));
	audit_refusal(e, f);
}

void
engine_refused_excess_over(struct engine *e)
{
	for (size_t i = 0; i < e->settings.source_count; i++) {
		struct map *refused = &e->sources[i].refused;

		for (size_t j = refused->len; j > 0; j--) {
			const struct refused_file *f = refused->entries[j - 1].value;

			if (f->excess)
				forget(refused, f->name);
		}
	}
}

void
engine_refused_excess(
    struct engine *e, const struct program *p, const struct diag_list *diags)
{
	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		const size_t source = program_source_of(p, d->loc);
		struct refused_file *f;

		if (d->severity != DIAG_ERROR || source >= e->settings.source_count ||
		    map_get(&e->sources[source].refused, d->loc.source->name) != NULL)
			continue; /* it has been told */
		f = new_refused(d->loc.source->name, diags, false);
		f->excess = true;
		put(e, &e->sources[source], f);
	}
}

void
engine_refused_add(struct engine *e, struct engine_source *s, struct str name,
    const struct diag_list *diags)
{
	put(e, s, new_refused(name, diags, true));
}

unsigned
engine_refused_waits_for(const struct engine_source *s)
{
	unsigned all = 0;

	for (size_t i = 0; i < s->refused.len; i++) {
		const struct refused_file *f = s->refused.entries[i].value;

		all |= f->waits_for;
	}
	return all;
}

bool
engine_refused_says(const struct engine_source *s, struct str name, const char *text)
{
	const struct refused_file *f = map_get(&s->refused, name);

	for (size_t i = 0; f != NULL && i < f->count; i++) {
		if (strcmp(f->errors[i], text) == 0)
			return true;
	}
	return false;
}

/* ---- loads ---- */

/* The newest program that files can be kept of; NULL: none. */
static struct program *
newest(const struct engine *e)
{
	struct program *p =
	    e->apply.candidate != NULL ? e->apply.candidate : e->apply.current;

	return p == NULL || p->skeleton || e->apply.current == NULL ? NULL : p;
}

/* Takes what is closed in the place of the file. */
static bool
close_file(struct engine *e, struct refused_file *f)
{
	struct load_kept kept = {.taken = true};

	if (f->closed || !e->settings.sources[f->source].kubernetes ||
	    !kube_closed_text(f->arena, f->name, &kept.text))
		return false;
	f->closed = true;
	f->kept = kept;
	(void)map_set(&e->load.kept, f->name, &f->kept);
	log_error("file-closed", "file=%s errors=%u", log_quote(f->name), f->total);
	return true;
}

/* What the file said that is in force, or on its way there. Text is copied: what lends it may be
 * swept while the load runs. */
static bool
keep(const struct engine *e, struct refused_file *f)
{
	const struct engine_load *l = &e->load;
	const struct live *live = l->lender->real.live;

	if (!l->unfit || l->lender != e->apply.current ||
	    !live_former(live, f->name, &f->kept))
		return live_kept(live, f->name, &f->kept);
	f->kept.text = str_dup(f->arena, f->kept.text);
	return true;
}

/* Whether something goes on in the place of what the file says. */
static bool
condemn(struct engine *e, const struct program *p, size_t source, struct str name)
{
	struct engine_load *l = &e->load;
	struct refused_file *f = new_refused(name, &p->diags, false);
	bool goes_on;

	f->source = source;
	if (l->lender != NULL && keep(e, f)) {
		(void)map_set(&l->kept, f->name, &f->kept);
		goes_on = true;
	} else {
		goes_on = close_file(e, f);
	}
	if (goes_on || l->lender != NULL)
		(void)map_set(&l->condemned, f->name, f); /* new */
	else
		arena_free(f->arena); /* all of it is refused, as one */
	return goes_on;
}

/* It is of one source; whether there is more that can be done about it. Of what a file says in
 * several places, once in a round. */
static bool
deal_with(struct engine *e, const struct program *p, const struct diag *d)
{
	struct engine_load *l = &e->load;
	const size_t source = program_source_of(p, d->loc);
	struct refused_file *f;

	if (d->loc.source == NULL || source >= e->settings.source_count)
		return false; /* it is nobody's alone */
	f = map_get(&l->condemned, d->loc.source->name);
	if (f == NULL && !condemn(e, p, source, d->loc.source->name))
		return false;
	if (f != NULL && f->round == l->rounds)
		return true;
	if (f != NULL && !close_file(e, f))
		return false;
	f = map_get(&l->condemned, d->loc.source->name);
	f->round = l->rounds;
	return true;
}

bool
engine_refused_go_on(struct engine *e, const struct program *p)
{
	struct engine_load *l = &e->load;

	if (l->lender == NULL)
		l->lender = newest(e);
	if (p->diags.errors == 0 || l->rounds == ROUNDS_MOST)
		return false;
	for (const struct diag *d = p->diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR && !deal_with(e, p, d))
			return false;
	}
	l->rounds++;
	return true;
}

void
engine_refused_settle(struct engine *e)
{
	struct engine_load *l = &e->load;
	struct map found = l->condemned;

	l->condemned = (struct map){.len = 0};
	for (size_t i = 0; i < e->settings.source_count; i++) {
		struct engine_source *s = &e->sources[i];

		/* All were judged anew. */
		for (size_t j = s->refused.len; j > 0; j--) {
			struct str name = s->refused.entries[j - 1].key;

			if (map_get(&found, name) == NULL)
				forget(&s->refused, name);
		}
	}
	for (size_t i = 0; i < found.len; i++) {
		struct refused_file *f = found.entries[i].value;

		f->kept = (struct load_kept){.taken = false}; /* it was borrowed */
		put(e, &e->sources[f->source], f);
	}
	map_fini(&found);
	engine_refused_end(e);
}

void
engine_refused_end(struct engine *e)
{
	struct engine_load *l = &e->load;

	forget_all(&l->condemned);
	map_fini(&l->kept);
	l->rounds = 0;
	if (l->lender_gone)
		program_free(l->lender);
	l->lender = NULL;
	l->lender_gone = false;
}

void
engine_refused_drop_program(struct engine *e, struct program *p)
{
	if (p != NULL && p == e->load.lender)
		e->load.lender_gone = true;
	else
		program_free(p);
}
