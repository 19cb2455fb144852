/*
 * Single files that have changed -> what changes in the program in force. Edits wait in a
 * queue until what came before them is in the kernel; whatever has come meanwhile goes
 * together. A file with mistakes is told of, and what it said before goes on: other files'
 * edits are taken all the same. What an edit cannot tell the effect of takes a load of all
 * sources, as does every edit once such a load was refused, or by the kernel what came of one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

/* More of them than that are better read as a whole. */
#define QUEUE_MOST 4096

/* ---- the queue ---- */

static void
free_queued(struct queued_edit *q)
{
	(void)close(q->bundle_fd); /* only read from */
	arena_free(q->arena);
}

/* What came as a whole is all of a source only with what is in the queue. */
static void
clear_queue(struct engine_edits *x)
{
	struct engine *e = CONTAINER_OF(x, struct engine, edits);

	for (size_t i = 0; i < x->count; i++) {
		engine_source_spend(&e->sources[x->queue[i].source]);
		free_queued(&x->queue[i]);
	}
	x->count = 0;
	x->arrived.ns = 0;
	engine_kube_taken(e);
}

void
engine_edits_forget(struct engine *e)
{
	clear_queue(&e->edits);
}

void
engine_edits_fini(struct engine *e)
{
	clear_queue(&e->edits);
	free(e->edits.queue);
}

void
engine_edits_drop(struct engine *e, size_t source)
{
	struct engine_edits *x = &e->edits;
	size_t kept = 0;

	for (size_t i = 0; i < x->count; i++) {
		if (x->queue[i].source == source)
			free_queued(&x->queue[i]);
		else
			x->queue[kept++] = x->queue[i];
	}
	x->count = kept;
	if (kept == 0)
		x->arrived.ns = 0;
	engine_kube_taken(e);
}

/* All that is in the queue comes as a whole. */
static void
take_whole(struct engine *e, const char *why)
{
	monotime_t arrived = e->edits.arrived;

	log_info("edits-beyond", "detail=%s", log_quote(str_from(why)));
	e->edits.beyond++;
	clear_queue(&e->edits);
	if (e->load.arrived.ns == 0)
		e->load.arrived = arrived;
	engine_load_whole(e);
}

void
engine_edits_announced(struct engine *e)
{
	struct engine_edits *x = &e->edits;

	if (!x->announced)
		x->announced_at = monotime_now();
	x->announced = true;
	engine_apply_step(e);
}

void
engine_edits_own(struct engine *e)
{
	struct engine_edits *x = &e->edits;

	if (!x->own)
		x->own_at = monotime_now();
	x->own = true;
	engine_apply_step(e);
}

bool
engine_edits_wait(const struct engine *e)
{
	return e->edits.count != 0 || e->edits.announced || e->edits.own ||
	       engine_names_wait(e) || engine_asides_are_due(e);
}

/* Why nothing can be put into the program in force; NULL: it can, or will be. */
static const char *
why_whole(const struct engine *e)
{
	const struct engine_apply *a = &e->apply;

	if (e->load.behind)
		return "the last load was refused";
	if (a->refusal[0] != '\0' && (a->candidate != NULL || (a->ahead && a->changed)))
		return "the kernel has refused what came before";
	return NULL;
}

void
engine_edits_catch_up(struct engine *e)
{
	struct engine_edits *x = &e->edits;
	/* What a load is told of; else it is put in what there is. */
	const bool announced = (x->announced || x->own) && e->apply.ahead;
	const char *why = why_whole(e);

	if (why == NULL || e->load.running || e->load.dirty ||
	    (x->count == 0 && !announced))
		return;
	x->announced = x->announced && !announced;
	x->own = x->own && !announced;
	take_whole(e, why);
}

void
engine_source_edited(struct engine *e, const struct queued_edit *edit)
{
	struct engine_edits *x = &e->edits;

	if (x->count == x->cap) {
		x->cap = x->cap != 0 ? x->cap * 2 : 16;
		x->queue = xreallocarray(x->queue, x->cap, sizeof(*x->queue));
	}
	x->queue[x->count++] = *edit;
	if (x->arrived.ns == 0)
		x->arrived = monotime_now();
	if (x->count > QUEUE_MOST)
		take_whole(e, "too many wait");
	else
		engine_apply_step(e);
}

/* ---- reading what is queued ---- */

static void
log_diags(const struct diag_list *diags)
{
	struct arena *arena = arena_new_sized(1024);

	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		if (d->severity != DIAG_NOTE)
			engine_log_diag(arena, d);
	}
	arena_free(arena);
}

/* One file; false: it takes a whole load. */
static bool
read_file(struct engine *e, struct program_edit *edit, size_t source, struct str name,
    struct str text, size_t *taken)
{
	struct engine_source *s = &e->sources[source];
	struct arena *arena = arena_new_sized(1024);
	struct diag_list diags;
	enum live_answer answer;

	diag_list_init(&diags, arena);
	answer = program_edit_read(edit, name, text, &diags);
	e->edits.files++;
	if (answer != LIVE_BEYOND) {
		log_diags(&diags);
		if (answer == LIVE_REFUSED)
			engine_refused_add(e, s, name, &diags);
		else
			engine_refused_forgive(s, name);
	}
	*taken += answer == LIVE_READ;
	arena_free(arena);
	return answer != LIVE_BEYOND;
}

static bool
read_queued(struct engine *e, struct program_edit *edit, const struct queued_edit *q,
    size_t *taken)
{
	struct arena *texts = arena_new();
	struct bundle files = {0};
	struct err err = ERR_INIT;
	bool ok = true;

	if (bundle_open(texts, q->bundle_fd, &files, &err) != 0) {
		log_error("edit", "detail=%s", log_quote(str_from(err.msg)));
		ok = false;
	}
	for (size_t i = 0; i < files.count && ok; i++)
		ok = read_file(e, edit, q->source, files.sources[i].name,
		    files.sources[i].text, taken);
	for (size_t i = 0; i < q->gone_count && ok; i++)
		ok = read_file(e, edit, q->source, q->gone[i], (struct str){0}, taken);
	arena_free(texts);
	return ok;
}

static bool
read_queue(struct engine *e, struct program_edit *edit, size_t *taken)
{
	struct engine_edits *x = &e->edits;
	bool read[ENFORCER_MAX_SOURCES] = {false};

	for (size_t i = 0; i < x->count; i++) {
		if (!read_queued(e, edit, &x->queue[i], taken))
			return false;
		read[x->queue[i].source] = true;
	}
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		const unsigned waits = engine_refused_waits_for(&e->sources[i]);

		if (read[i])
			engine_source_judged(e, i);
		if (((waits & WAITS_FOR_NAME) != 0 &&
			program_edit_brings_names(edit)) ||
		    ((waits & WAITS_FOR_LESS) != 0 && program_edit_frees_names(edit)))
			return false;
	}
	return true;
}

/* ---- taking it ---- */

/* The program in force has changed: what it is now is to be in the kernel. */
static void
follow(struct engine *e, enum program_answer answer, const struct compile_delta *delta,
    monotime_t arrived)
{
	if (answer == PROGRAM_SAME)
		return;
	engine_apply_ahead(e, delta);
	engine_gone_note(e,
	    (const struct table_element *const *)delta->removed + SET_OWN4,
	    delta->removed_count + SET_OWN4);
	if (answer == PROGRAM_CHANGED) {
		e->edits.incremental++;
		engine_apply_changed(e, arrived);
	} else {
		e->edits.anew++;
		engine_load_recompile(e, arrived);
	}
}

/* Policy that is set aside until that is found out again. */
static void
tell_excess(struct engine *e, const struct diag_list *diags)
{
	if (diags->errors == 0)
		return;
	engine_refused_excess(e, e->apply.current, diags);
	for (size_t i = 0; i < e->settings.source_count; i++) {
		if (e->sources[i].state != SOURCE_UNREADABLE)
			engine_source_judged(e, i);
	}
}

/* What was read, in the program in force. */
static void
commit(struct engine *e, struct program_edit *edit)
{
	struct arena *arena = engine_apply_delta_arena(e);
	monotime_t arrived = e->edits.arrived;
	struct compile_delta delta;
	struct diag_list diags;
	enum program_answer answer;

	diag_list_init(&diags, arena);
	answer = program_edit_commit(edit, arena, &diags, &delta);
	if (answer == PROGRAM_BEYOND) {
		take_whole(e, "a name or a number is another file's");
		return;
	}
	clear_queue(&e->edits);
	log_diags(&diags);
	tell_excess(e, &diags);
	follow(e, answer, &delta, arrived);
}

/* Pods that were announced; true: something began. */
static bool
take_announced(struct engine *e)
{
	struct arena *arena = engine_apply_delta_arena(e);
	struct arena *pods_arena = arena_new_sized(1024);
	const struct announced_pod *pods;
	struct compile_delta delta;
	struct diag_list diags;
	enum program_answer answer;
	size_t count;

	e->edits.announced = false;
	diag_list_init(&diags, arena);
	engine_attach_copy(e, pods_arena, &pods, &count);
	answer = program_announce(e->apply.current, pods, count, arena, &diags, &delta);
	arena_free(pods_arena);
	log_diags(&diags);
	follow(e, answer, &delta, e->edits.announced_at);
	return answer != PROGRAM_SAME;
}

/* Addresses of the node; true: something began. */
static bool
take_own(struct engine *e)
{
	struct arena *arena = engine_apply_delta_arena(e);
	const struct engine_settings *s = &e->settings;
	struct compile_delta delta;
	struct diag_list diags;
	enum program_answer answer;

	e->edits.own = false;
	diag_list_init(&diags, arena);
	answer =
	    program_own(e->apply.current, s->own, s->own_count, arena, &diags, &delta);
	log_diags(&diags);
	follow(e, answer, &delta, e->edits.own_at);
	return answer != PROGRAM_SAME;
}

/* Addresses that tenants learnt by name, or forgot; true: something began. */
static bool
take_names(struct engine *e)
{
	struct compile_delta delta;
	struct diag_list diags;
	enum program_answer answer;
	struct arena *arena;
	monotime_t since;
	size_t count;
	const struct compile_change *changes = engine_names_changes(e, &count, &since);

	if (count == 0)
		return false;
	arena = engine_apply_delta_arena(e);
	diag_list_init(&diags, arena);
	answer = program_learn(e->apply.current, changes, count, arena, &diags, &delta);
	engine_names_told(e);
	follow(e, answer, &delta, since);
	return answer != PROGRAM_SAME;
}

/* Changes that may make room for what is set aside. */
static void
take_asides(struct engine *e)
{
	const struct compile_delta delta = {.anew = true};

	follow(e, PROGRAM_COMPILES, &delta, monotime_now());
}

/* Files that were edited; false: nothing began. */
static bool
take_files(struct engine *e)
{
	struct program_edit *edit = program_edit_new(e->apply.current);
	size_t taken = 0;
	bool read = read_queue(e, edit, &taken);
	bool began = !read || taken != 0; /* else all are refused */

	if (!read)
		take_whole(e, "a file says what others depend on");
	else if (began)
		commit(e, edit);
	else
		clear_queue(&e->edits);
	program_edit_free(edit);
	return began;
}

bool
engine_edits_take(struct engine *e)
{
	struct engine_apply *a = &e->apply;
	monotime_t start = monotime_now();
	bool began;

	if (!engine_edits_wait(e) || e->load.running || e->load.dirty ||
	    a->current == NULL || a->current->skeleton || !a->table_known || a->ahead)
		return false;
	e->edits.held = false;
	a->current->asides_wait = engine_asides_wait(e);
	/* Somebody waits for these. */
	began = e->edits.announced && take_announced(e);
	began = began || (e->edits.own && take_own(e));
	began = began || take_names(e);
	if (!began && engine_asides_are_due(e)) {
		take_asides(e);
		began = true;
	}
	if (!began && e->edits.count == 0)
		return false;
	if (!began && program_is_worn(a->current)) {
		take_whole(e, "to save memory");
		return true;
	}
	began = began || take_files(e);
	histogram_add(
	    &e->edits.durations, monotime_since(start, monotime_now()) / 1000);
	return began;
}
