/*
 * A program: everything that follows from the sources. Bundles are read into it, the model
 * is loaded, the node's table compiled; all of it dies with it. Making one is pure, so that
 * it can be done on a thread of its own; then it follows edits of single files.
 */
#ifndef ENFORCER_PROGRAM_H
#define ENFORCER_PROGRAM_H

#include "common/bundle.h"
#include "common/clock.h"
#include "enforcer/config/settings.h"
#include "enforcer/engine/plan_cold.h"
#include "policy-lang/live/live.h"
#include "policy-lang/table/table_walk.h"

/* Which changes of what there is may make room for policy that is set aside. */
enum program_due {
	DUE_NOTHING,
	DUE_OTHERS, /* others' than of the tenants that it is of */
	DUE_OWN,
};

/* A model, and the node's table as it follows from it. */
struct program_side {
	struct live *live; /* NULL: there is none */
	struct compile_state *state;
	struct arena *chain_arena;
	struct table_rule_chain *chains; /* in it; of rules in use */
	size_t chain_count;
};

/* What it said before a change, as far as that is another. */
struct program_former {
	struct compile_state *state;     /* NULL: it is the same */
	struct arena *chain_arena;       /* NULL: the same */
	struct table_rule_chain *chains; /* in it */
	size_t chain_count;
};

struct program {
	struct arena *arena;
	struct bundle bundle; /* of all sources, one after the other; without texts */
	struct str *directories; /* of sources */
	size_t source_count;
	struct diag_list diags;
	bool ok;       /* false: see diags; nothing below is to be used */
	bool skeleton; /* only closes: made before policy was read */
	const struct model *model;
	struct program_side real;
	struct program_side
	    shadow; /* with the policies that are only watched enforced */
	struct program_former former; /* of the real one; until program_sweep */
	/* In the arena. The settings' uses are those of the table made for it: all that it
	 * has, and what it had before (program_keep_uses). */
	struct compile_options options;
	struct allowed allowed; /* of whom chains log as well; in the arena */
	struct node node;       /* this one, as far as no document speaks of it */
	size_t local_workloads;
	struct program_aside *asides; /* program_aside.c; NULL: there are none */
	bool asides_wait; /* set by the engine: they are not found out again */
	enum program_due asides_due; /* changes since they were found out */
	/* Set by the engine: */
	uint64_t
	    number; /* 1 is the first that this process put in force; 0 a skeleton */
	walltime_t since;
	uint64_t load_us, compile_us;
	monotime_t loaded;  /* the model was there, and nothing compiled */
	monotime_t arrived; /* the first of what is new in it */
};

/* Makes a program of sealed bundles, one for each source, in the settings' order. Files
 * that are in `kept` (struct load_kept by name; NULL: none) say what is kept of them. Never
 * NULL; borrows nothing. The descriptors stay the caller's. */
MUST_CHECK struct program *program_make(const struct engine_settings *settings,
    const int *bundle_fds, size_t count, const struct map *kept);
/* The program of a node that knows nothing yet: everything that is a workload's is
 * closed. */
MUST_CHECK struct program *program_make_skeleton(
    const struct engine_settings *settings);
void program_free(struct program *p);

/* ---- what it says ---- */

/* False if all workloads are of other nodes, and no document speaks of this one: more likely its
 * name is misspelt. */
MUST_CHECK bool program_knows_node(const struct program *p);
/* The node's table, in the arena; costs as much as it is long. TCP in mid-stream is dealt
 * with as `midstream` says. Good until the program changes. */
void program_content(const struct program *p, struct arena *arena,
    enum table_midstream midstream, struct table_content *out);
/* The same of a program that is long, by and by: compile_state_rest, then
 * compile_state_some of each set that it leaves out. */
void program_rest(const struct program *p, struct arena *arena,
    enum table_midstream midstream, struct table_content *out);
MUST_CHECK size_t program_some(const struct program *p, enum table_set_id set,
    uint32_t *at, struct table_element *out, size_t most);
/* What there are to be rules for: what the program has a use for, and `before`. */
void program_keep_uses(struct program *p, uint32_t before);
/* Elements of each set. */
void program_counts(const struct program *p, size_t out[SET_COUNT]);
/* table_walk, over the table and over the shadow's (which must be there). */
MUST_CHECK struct table_verdict program_walk(
    const struct program *p, const struct table_packet *packet);
MUST_CHECK struct table_verdict program_shadow_walk(
    const struct program *p, const struct table_packet *packet);
MUST_CHECK bool program_has_shadow(const struct program *p);
/* The rule chain that bears a number; NULL if there is none. */
MUST_CHECK const struct table_rule_chain *program_rule(
    const struct program *p, uint32_t number);
MUST_CHECK const struct table_rule_chain *program_shadow_rule(
    const struct program *p, uint32_t number);
/* Whether what the workload at an address gets from DNS teaches something: some rule that it
 * is held to has names. */
MUST_CHECK bool program_asks(const struct program *p, const struct ip_addr *addr);
/* The index of the source that a place is in; source_count: none. */
MUST_CHECK size_t program_source_of(const struct program *p, struct loc loc);

/* ---- edits (program_edit.c) ---- */

/* Files that change together. */
struct program_edit;

MUST_CHECK struct program_edit *program_edit_new(struct program *p);
void program_edit_free(struct program_edit *edit);
/* Reads a file, as live_read does. */
MUST_CHECK enum live_answer program_edit_read(struct program_edit *edit,
    struct str name, struct str text, struct diag_list *diags);

/* As live_brings_names and live_frees_names. */
MUST_CHECK bool program_edit_brings_names(const struct program_edit *edit);
MUST_CHECK bool program_edit_frees_names(const struct program_edit *edit);

enum program_answer {
	PROGRAM_SAME,    /* nothing follows from it */
	PROGRAM_CHANGED, /* *out_delta says how the table has */
	PROGRAM_COMPILES, /* the model has, see program_recompile; *out_delta is `anew` */
	PROGRAM_BEYOND,   /* takes a whole load; nothing has changed */
};

/* Puts into the program what was read. The delta lies in the arena. */
MUST_CHECK enum program_answer program_edit_commit(struct program_edit *edit,
    struct arena *arena, struct diag_list *diags, struct compile_delta *out_delta);

/* The pods, all of them, whose addresses its sources do not say yet; never beyond. */
MUST_CHECK enum program_answer program_announce(struct program *p,
    const struct announced_pod *pods, size_t count, struct arena *arena,
    struct diag_list *diags, struct compile_delta *out_delta);

/* The same of addresses of this node, all of them, sorted. */
MUST_CHECK enum program_answer program_own(struct program *p,
    const struct ip_addr *addrs, size_t count, struct arena *arena,
    struct diag_list *diags, struct compile_delta *out_delta);

/* What tenants know by name of some addresses is no longer what it was; never beyond. */
MUST_CHECK enum program_answer program_learn(struct program *p,
    const struct compile_change *changes, size_t count, struct arena *arena,
    struct diag_list *diags, struct compile_delta *out_delta);

/* What became of compiling anew. */
struct program_recompiled {
	/* Set before: how the table of the program as it was deals with TCP in mid-stream, the
	 * uses that it has rules for, and what has changed of it since, which lasts as long as
	 * that takes (NULL: nothing). */
	enum table_midstream midstream;
	uint32_t uses;
	const struct compile_delta *delta;
	bool ok;
	bool has_shadow;
	struct compile_state *real, *shadow; /* no shadow: see told */
	uint64_t compile_us;
	struct arena *arena;
	struct diag_list diags;
	struct diag_list told; /* of what ends with it: warnings of their own */
	/* What leads from the table as it was to the one that is to be, if it is ok. */
	struct plan_stages stages;
	struct arena *plan_arena;
};

/* Compiles both sides' models anew, and plans. Only reads the program, whose model must not
 * change meanwhile; may run on a thread of its own. */
void program_recompile(const struct program *p, struct program_recompiled *out);
/* Puts it in the place of what was. Takes it; the plan is good until program_sweep. */
void program_take(struct program *p, struct program_recompiled *r);
void program_recompiled_free(struct program_recompiled *r);
/* As program_content, of the program before the change that the delta tells of, which is all that
 * changed since program_sweep; whether it was compiled anew for that or not. */
void program_former_content(const struct program *p, const struct compile_delta *delta,
    struct arena *arena, enum table_midstream midstream, struct table_content *out);
/* Nothing but its chains. */
MUST_CHECK struct table_content program_former_chains(const struct program *p);
/* Once nothing refers to what was replaced any more. */
void program_sweep(struct program *p);
/* True when so much of it came by edits that a whole load would save memory. */
MUST_CHECK bool program_is_worn(const struct program *p);

/* ---- what makes it too large (program_aside.c) ---- */

/* Sets aside, in its model, the policies that errors (`first` and those that follow it) say
 * make the program too large, and, told in `diags`, all policy of a tenant of whom some is set
 * aside already: it can then be compiled again. False: there is none, but at /; nothing has
 * changed. */
MUST_CHECK bool program_set_aside(
    struct program *p, struct diag_list *diags, const struct diag *first);
MUST_CHECK bool program_has_asides(const struct program *p);
/* All of them say again what they say, to be compiled anew. */
void program_restore_asides(struct program *p);
/* Changes of the model, before they are compiled. True: what is set aside is to be found out
 * again. While that waits (asides_wait), policy of the same tenants that comes is set aside as
 * well, told in `diags`. */
MUST_CHECK bool program_see_changes(struct program *p,
    const struct compile_change *changes, size_t count, struct diag_list *diags);
/* Frees what nothing refers to any more: for program_sweep; and all of it. */
void program_sweep_asides(struct program *p);
void program_free_asides(struct program *p);

/* program.c, for program_edit.c: */
/* As program_content, of a state that the program is to have or has. */
void program_content_of(const struct program *p, const struct compile_state *state,
    struct arena *arena, enum table_midstream midstream, struct table_content *out);
/* What the compiler does not know of. */
void program_complete(const struct program *p, enum table_midstream midstream,
    struct table_content *content);
void program_free_side(struct program_side *side);
/* Warns that there is no shadow any more. */
void program_warn_not_watched(struct diag_list *diags);
void program_free_former(struct program_former *former);
void program_take_chains(struct program_side *side);
/* Whether it is one of local_workloads; NULL is none. */
MUST_CHECK bool program_counts_local(const struct program *p, const struct workload *w);

#endif
