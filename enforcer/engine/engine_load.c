/*
 * Sources to programs. A program is made on a thread of its own, so that packets, questions
 * and drift do not wait for it. Whatever is wrong is told, and what is in force stays.
 */
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/map.h"
#include "enforcer/engine/engine_state.h"
#include "policy-lang/model/fail_safe.h"

#define LOGGED_WARNINGS 20
/* Far more than the largest load takes on the slowest node: whoever asks may end us. */
#define STUCK_NS (600 * UINT64_C(1000000000))

static const char *const state_names[] = {
    [SOURCE_UNKNOWN] = "unknown",
    [SOURCE_GOOD] = "good",
    [SOURCE_BAD] = "bad",
    [SOURCE_UNREADABLE] = "unreadable",
};

const char *
source_state_name(enum source_state state)
{
	return state_names[state];
}

void
engine_load_init(struct engine *e)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++)
		e->sources[i].bundle_fd = -1;
}

static void
close_run_fds(struct engine_load *l)
{
	for (size_t i = 0; i < l->fd_count; i++)
		(void)close(l->fds[i]); /* only read from */
	l->fd_count = 0;
}

void
engine_load_fini(struct engine *e)
{
	for (size_t i = 0; i < ENFORCER_MAX_SOURCES; i++) {
		engine_source_spend(&e->sources[i]);
		arena_free(e->sources[i].arena);
		engine_refused_forgive_all(&e->sources[i]);
	}
	close_run_fds(&e->load);
	arena_free(e->load.arena);
	program_free(e->load.result);
	program_recompiled_free(&e->load.recompiled);
}

/* ---- states of sources ---- */

static void
set_state(struct engine_source *s, enum source_state state)
{
	if (s->state != state)
		s->since = walltime_now();
	s->state = state;
	arena_free(s->arena);
	s->arena = NULL;
	s->errors = NULL;
	s->error_count = 0;
	s->error_total = 0;
}

static void
add_error(struct engine_source *s, struct str text)
{
	if (s->arena == NULL) {
		s->arena = arena_new();
		s->errors = ARENA_ARRAY(s->arena, ENGINE_STATUS_ERRORS, const char *);
	}
	s->error_total++;
	if (s->error_count < ENGINE_STATUS_ERRORS)
		s->errors[s->error_count++] =
		    arena_strndup(s->arena, text.ptr, text.len);
}

bool
engine_sources_good(const struct engine *e)
{
	for (size_t i = 0; i < e->settings.source_count; i++) {
		if (e->sources[i].state != SOURCE_GOOD)
			return false;
	}
	return true;
}

void
engine_source_failed(struct engine *e, size_t index, struct str why)
{
	struct engine_source *s = &e->sources[index];
	struct str rest = why;

	s->wanted = false;
	set_state(s, SOURCE_UNREADABLE);
	while (rest.ptr != NULL && rest.len != 0) {
		struct str line = str_split(&rest, '\n');

		add_error(s, line);
		log_error("source-unreadable", "source=%s detail=%s",
		    log_quote(e->settings.sources[index].directory), log_quote(line));
	}
}

void
engine_source_spend(struct engine_source *s)
{
	if (s->bundle_fd >= 0)
		(void)close(s->bundle_fd); /* only read from */
	s->bundle_fd = -1;
	s->spent = true;
}

void
engine_source_arrived(struct engine *e, size_t index, int bundle_fd)
{
	struct engine_source *s = &e->sources[index];

	if (s->bundle_fd >= 0)
		(void)close(s->bundle_fd); /* only read from */
	s->bundle_fd = bundle_fd;
	s->spent = s->wanted = false;
	engine_edits_drop(e, index);
	if (s->state == SOURCE_UNREADABLE)
		set_state(s, SOURCE_UNKNOWN); /* until it has been loaded */
	if (e->load.arrived.ns == 0)
		e->load.arrived = monotime_now();
	engine_load_whole(e);
}

void
engine_source_readable(struct engine *e, size_t index)
{
	struct engine_source *s = &e->sources[index];

	if (s->state != SOURCE_UNREADABLE)
		return;
	if ((s->bundle_fd >= 0 || s->spent) && !e->load.behind) {
		engine_source_judged(e, index);
		return;
	}
	set_state(s, SOURCE_UNKNOWN); /* until it has been loaded */
	/* What is wrong with it was forgotten meanwhile, and perhaps nothing new comes; a run that
	 * compiles anew does not find it again. */
	if (e->load.behind && (!e->load.running || e->load.recompiles))
		engine_load_whole(e);
}

/* The files of it that were refused are all that is wrong with it. */
void
engine_source_judged(struct engine *e, size_t index)
{
	struct engine_source *s = &e->sources[index];

	set_state(s, s->refused.len != 0 ? SOURCE_BAD : SOURCE_GOOD);
	for (size_t i = 0; i < s->refused.len; i++) {
		const struct refused_file *f = s->refused.entries[i].value;

		for (size_t j = 0; j < f->count; j++)
			add_error(s, str_from(f->errors[j]));
		s->error_total += f->total - (unsigned)f->count;
	}
}

/* ---- what a run found ---- */

/* A message with its advice, and the other place that it speaks of, on one line. */
static const char *
diag_line(struct arena *arena, const struct diag *d)
{
	const char *line = d->msg;

	if (d->hint != NULL)
		line = arena_printf(arena, "%s (%s)", line, d->hint);
	if (d->note != NULL)
		line = arena_printf(
		    arena, "%s (%s: %s)", line, d->note, loc_text(arena, d->note_loc));
	return line;
}

const char *
engine_error_text(struct arena *arena, const struct diag *d)
{
	return arena_printf(arena, "%s: error: %s [%s]", loc_text(arena, d->loc),
	    diag_line(arena, d), d->code);
}

void
engine_log_diag(struct arena *arena, const struct diag *d)
{
	bool error = d->severity == DIAG_ERROR;

	log_write(error ? LOG_ERROR : LOG_WARN,
	    error ? "policy-error" : "policy-warning", "at=%s code=%s message=%s",
	    log_quote(str_from(loc_text(arena, d->loc))), d->code,
	    log_quote(str_from(diag_line(arena, d))));
}

/* Tells the same warnings of the same places apart from others. */
static uint64_t
hash_warnings(const struct program *p)
{
	uint64_t sum = p->diags.warnings;

	for (const struct diag *d = p->diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING)
			sum = sum * 31 + map_hash(str_from(d->msg)) + d->loc.line;
	}
	return sum;
}

/* Warnings are told when they are others than before. */
static void
log_diags(struct engine_load *l, struct program *p)
{
	uint64_t hash = hash_warnings(p);
	bool again = l->loads != 0 && hash == l->warnings_hash;
	unsigned warnings = 0;

	l->warnings_hash = hash;
	for (const struct diag *d = p->diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_NOTE ||
		    (d->severity == DIAG_WARNING &&
			(again || ++warnings > LOGGED_WARNINGS)))
			continue;
		engine_log_diag(p->arena, d);
	}
	if (warnings > LOGGED_WARNINGS)
		log_warn("policy-warnings", "more=%u", warnings - LOGGED_WARNINGS);
	if (p->diags.dropped != 0)
		log_warn("policy-errors", "more=%u", p->diags.dropped);
}

static void
note_error(struct engine *e, struct program *p, const struct diag *d)
{
	size_t index = program_source_of(p, d->loc);
	const char *text = engine_error_text(p->arena, d);

	/* What has no place concerns all of them; the first is as good as any. */
	if (index >= e->settings.source_count)
		index = 0;
	if (d->loc.source != NULL &&
	    engine_refused_says(&e->sources[index], d->loc.source->name, text))
		return; /* it has been told */
	if (e->sources[index].state != SOURCE_BAD)
		set_state(&e->sources[index], SOURCE_BAD);
	add_error(&e->sources[index], str_from(text));
}

/* Sources that cannot be read stay so: what was judged is what they were before. */
static void
note_states(struct engine *e, struct program *p)
{
	for (size_t i = 0; i < e->settings.source_count; i++) {
		if (e->sources[i].state != SOURCE_UNREADABLE)
			engine_source_judged(e, i);
	}
	for (const struct diag *d = p->diags.first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR)
			note_error(e, p, d);
	}
}

/* What a cluster's role sent is many times what was made of it, in memory for as long as
 * somebody holds it; and the role has all of it, to send again. */
static void
drop_loaded(struct engine *e)
{
	for (size_t i = 0; i < e->settings.source_count && !e->load.dirty; i++) {
		struct engine_source *s = &e->sources[i];

		if (e->settings.sources[i].kubernetes && s->bundle_fd >= 0)
			engine_source_spend(s);
	}
}

static void
finish_run(struct engine *e, struct program *p)
{
	log_diags(&e->load, p);
	engine_refused_settle(e);
	if (p->ok) {
		engine_refused_excess(e, p, &p->diags);
		engine_asides_found(e, p);
	}
	note_states(e, p);
	e->load.loads++;
	e->edits.wholes++;
	e->load.behind = !p->ok;
	if (p->ok) {
		e->load.unfit = false;
		drop_loaded(e);
		engine_apply_offer(e, p);
		return;
	}
	e->load.failures++;
	log_error("program-refused", "errors=%u in-force=%llu", p->diags.errors,
	    (unsigned long long)(e->apply.current != NULL ? e->apply.current->number
							  : 0));
	program_free(p);
}

/* ---- a run ---- */

static void after_work(uv_work_t *request, int status);

static void
work(uv_work_t *request)
{
	struct engine_load *l = request->data;
	const struct engine *e = CONTAINER_OF(l, struct engine, load);

	if (l->recompiles)
		program_recompile(e->apply.current, &l->recompiled);
	else
		l->result = program_make(&l->settings, l->fds, l->fd_count, &l->kept);
}

/* A run with mistakes is done again with what was kept of the files that they are in,
 * unless something newer has come: true, it runs. */
static bool
go_on(struct engine *e, struct program *p)
{
	struct engine_load *l = &e->load;

	if (p->ok || l->dirty || !engine_refused_go_on(e, p))
		return false;
	log_diags(l, p);
	program_free(p);
	l->running = uv_queue_work(&e->loop, &l->work, work, after_work) == 0;
	if (l->running)
		return true;
	close_run_fds(l);
	l->dirty = true; /* with whatever comes next */
	engine_refused_end(e);
	log_error("program-refused", "detail=\"cannot start a thread\"");
	return true;
}

static bool start_recompile(struct engine *e);

/* The model in force is too large for a program, but without some policies; true: it is
 * compiled without them. */
static bool
recompile_without(struct engine *e)
{
	struct engine_load *l = &e->load;
	struct program_recompiled *r = &l->recompiled;

	if (r->ok || !program_set_aside(e->apply.current, &r->diags, r->diags.first))
		return false;
	for (const struct diag *d = r->diags.first; d != NULL; d = d->next)
		engine_log_diag(r->arena, d);
	engine_refused_excess(e, e->apply.current, &r->diags);
	program_recompiled_free(r);
	return start_recompile(e);
}

/* If it is too large all the same, what is in the kernel stays, and another load tells when it
 * no longer is. */
static void
finish_recompile(struct engine *e)
{
	struct engine_load *l = &e->load;
	struct program_recompiled *r = &l->recompiled;

	if (recompile_without(e))
		return;
	l->recompiles = false;
	l->unfit = !r->ok;
	if (r->ok && l->looks)
		engine_asides_found(e, e->apply.current);
	if (r->ok) {
		for (size_t i = 0; i < e->settings.source_count; i++) {
			if (e->sources[i].state != SOURCE_UNREADABLE)
				engine_source_judged(e, i);
		}
		for (const struct diag *d = r->told.first; d != NULL; d = d->next)
			engine_log_diag(r->arena, d);
		engine_apply_recompiled(e, r, l->taken);
		*r = (struct program_recompiled){.ok = false};
		return;
	}
	l->behind = true;
	l->failures++;
	e->apply.current->diags = r->diags;
	log_diags(l, e->apply.current);
	note_states(e, e->apply.current);
	diag_list_init(&e->apply.current->diags, e->apply.current->arena);
	log_error("program-refused", "errors=%u in-force=%llu", r->diags.errors,
	    (unsigned long long)e->apply.current->number);
	program_recompiled_free(r);
	/* Which sets aside what is wrong: nothing else may come for long. */
	if (l->arrived.ns == 0)
		l->arrived = l->taken;
	engine_load_whole(e);
}

static void start_run(struct engine *e);

static void
after_work(uv_work_t *request, int status)
{
	struct engine_load *l = request->data;
	struct engine *e = CONTAINER_OF(l, struct engine, load);
	struct program *p = l->result;
	bool void_run = status != 0 || e->stopping;

	l->result = NULL;
	l->running = false;
	(void)malloc_trim(0); /* what loading took is many times what is left of it */
	/* With other sources than there are now it was made for nothing. */
	if (!l->recompiles && p != NULL)
		void_run |= p->source_count != e->settings.source_count;
	if (!void_run && !l->recompiles && go_on(e, p))
		return;
	close_run_fds(l);
	if (void_run) {
		program_free(p);
		engine_refused_end(e);
	} else if (l->recompiles) {
		finish_recompile(e);
	} else {
		p->arrived = l->taken;
		finish_run(e, p);
	}
	if (e->stopping)
		return;
	start_run(e);
	engine_apply_step(e); /* edits that waited for this */
}

uint64_t
engine_load_ns(const struct engine *e, monotime_t now)
{
	return e->load.running ? monotime_since(e->load.began, now) : 0;
}

const char *
engine_load_ill(const struct engine *e, monotime_t now)
{
	return engine_load_ns(e, now) >= STUCK_NS ? "a load does not end" : NULL;
}

/* The run has its own settings and descriptors: ours may change meanwhile. */
static int
copy_input(struct engine *e, struct err *err)
{
	struct engine_load *l = &e->load;
	struct ip_addr *own;

	if (l->arena == NULL)
		l->arena = arena_new();
	arena_reset(l->arena);
	l->settings = e->settings;
	l->settings.node = str_dup(l->arena, e->settings.node);
	l->settings.fail_safe = fail_safe_copy(l->arena, &e->settings.fail_safe);
	l->settings.allowed = allowed_copy(l->arena, &e->settings.allowed);
	engine_attach_copy(
	    e, l->arena, &l->settings.announced, &l->settings.announced_count);
	own = ARENA_ARRAY(l->arena, e->settings.own_count, struct ip_addr);
	if (e->settings.own_count != 0)
		memcpy(own, e->settings.own, e->settings.own_count * sizeof(*own));
	l->settings.own = own;
	l->settings.sources =
	    ARENA_ARRAY(l->arena, e->settings.source_count, struct settings_source);
	for (size_t i = 0; i < e->settings.source_count; i++) {
		const struct settings_source *from = &e->settings.sources[i];

		l->settings.sources[i].directory = str_dup(l->arena, from->directory);
		l->settings.sources[i].cluster = str_dup(l->arena, from->cluster);
		l->settings.sources[i].kubernetes = from->kubernetes;
		l->fds[i] = fcntl(e->sources[i].bundle_fd, F_DUPFD_CLOEXEC, 0);
		if (l->fds[i] < 0)
			return err_sys(err, "cannot read a source");
		l->fd_count = i + 1;
	}
	l->settings.workload_networks =
	    ARENA_ARRAY(l->arena, e->settings.workload_network_count, struct ip_prefix);
	if (e->settings.workload_network_count != 0)
		memcpy(l->settings.workload_networks, e->settings.workload_networks,
		    e->settings.workload_network_count * sizeof(struct ip_prefix));
	l->settings.route_networks = route_networks_copy(
	    l->arena, e->settings.route_networks, e->settings.route_network_count);
	l->settings.steering = steering_copy(l->arena, &e->settings.steering);
	l->settings.workload_interfaces = ARENA_ARRAY(
	    l->arena, e->settings.workload_interface_count, struct interface_pattern);
	if (e->settings.workload_interface_count != 0)
		memcpy(l->settings.workload_interfaces, e->settings.workload_interfaces,
		    e->settings.workload_interface_count *
			sizeof(struct interface_pattern));
	return 0;
}

/* All of a source that is no longer at hand must come again. False: something has yet to. */
static bool
has_all(struct engine *e)
{
	struct err err = ERR_INIT;
	bool all = true;

	for (size_t i = 0; i < e->settings.source_count; i++) {
		struct engine_source *s = &e->sources[i];
		struct buf body = {0};

		if (s->bundle_fd >= 0)
			continue;
		all = false; /* better what is in force than not all of it */
		if (!s->spent || s->wanted)
			continue;
		if (e->settings.sources[i].kubernetes) {
			s->wanted = engine_kube_want(e, i);
			continue;
		}
		proc_put_u32(&body, (uint32_t)i);
		if (link_send(e->parent, MSG_SOURCE_WANTED, 0, &body, -1, &err) == 0)
			s->wanted = true;
		else
			log_error(
			    "parent-link", "detail=%s", log_quote(str_from(err.msg)));
		buf_free(&body);
	}
	return all;
}

void
engine_load_whole(struct engine *e)
{
	e->load.dirty = true;
	start_run(e);
}

void
engine_load_tick(struct engine *e)
{
	if (e->load.starved)
		start_run(e);
	if (engine_asides_are_due(e))
		engine_apply_step(e);
}

static bool
start_recompile(struct engine *e)
{
	struct engine_load *l = &e->load;

	l->work.data = l;
	l->recompiles = true;
	l->recompiled = (struct program_recompiled){.midstream = e->apply.midstream,
	    .uses = e->apply.current->options.settings.uses,
	    .delta = &e->apply.delta};
	l->running = uv_queue_work(&e->loop, &l->work, work, after_work) == 0;
	return l->running;
}

void
engine_load_recompile(struct engine *e, monotime_t arrived)
{
	struct engine_load *l = &e->load;

	l->looks = !engine_asides_wait(e);
	if (l->looks) {
		program_restore_asides(e->apply.current);
		engine_refused_excess_over(e);
	}
	l->taken = arrived;
	l->began = monotime_now();
	if (start_recompile(e))
		return;
	/* The model has changed, and nothing says what that means: load it. */
	l->recompiles = false;
	l->behind = true;
	log_error("program-refused", "detail=\"cannot start a thread\"");
	engine_load_whole(e);
}

/* Makes a program of what there is, if anything is new and every source has come. */
static void
start_run(struct engine *e)
{
	struct engine_load *l = &e->load;
	struct err err = ERR_INIT;
	int rc;

	if (l->running || !l->dirty || e->stopping || !has_all(e))
		return;
	l->work.data = l;
	l->dirty = false;
	engine_names_settle(e);
	rc = copy_input(e, &err);
	if (rc == 0 && uv_queue_work(&e->loop, &l->work, work, after_work) != 0)
		rc = err_set(&err, ERR_SYSTEM, "cannot start a thread");
	if (rc != 0) {
		close_run_fds(l);
		l->dirty = true;
		if (!l->starved)
			log_error(
			    "program-held", "detail=%s", log_quote(str_from(err.msg)));
		l->starved = true;
		return;
	}
	l->starved = false;
	l->taken = l->arrived;
	l->arrived.ns = 0;
	l->began = monotime_now();
	l->running = true;
}
