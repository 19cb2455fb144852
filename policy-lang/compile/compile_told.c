/*
 * What compiling warns of: who takes changes one by one is told what was not so before. A
 * compilation anew tells all of it again.
 */
#include "policy-lang/compile/compile_state.h"

static struct str
key_of(struct arena *arena, const struct diag *d)
{
	return str_from(arena_printf(arena, "%.*s:%u:%u: %s %s",
	    d->loc.source != NULL ? (int)d->loc.source->name.len : 0,
	    d->loc.source != NULL ? d->loc.source->name.ptr : "", d->loc.line,
	    d->loc.col, d->code, d->msg));
}

void
state_remember_told(struct compile_state *s, const struct diag *first)
{
	struct arena *arena = arena_new_sized(1024);

	state_forget_told(s);
	s->told_arena = arena;
	for (const struct diag *d = first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING)
			(void)map_set(&s->told, key_of(arena, d), arena);
	}
}

void
state_forget_told(struct compile_state *s)
{
	map_fini(&s->told);
	s->told = (struct map){0};
	arena_free(s->told_arena);
	s->told_arena = NULL;
}

void
tell_again(struct diag_list *to, const struct diag *d)
{
	struct diag *now = diag_add(to, d->severity, d->code, d->loc, "%s", d->msg);

	if (d->hint != NULL)
		diag_hint(to, now, "%s", d->hint);
	if (d->note != NULL)
		diag_note(to, now, d->note_loc, "%s", d->note);
}

void
state_tell(struct compile_state *s, const struct diag_list *found, struct diag_list *to)
{
	struct arena *scratch = arena_new_sized(1024);

	for (const struct diag *d = found->first; d != NULL; d = d->next) {
		if (d->severity == DIAG_WARNING &&
		    map_get(&s->told, key_of(scratch, d)) == NULL)
			tell_again(to, d);
	}
	arena_free(scratch);
	state_remember_told(s, found->first);
}
