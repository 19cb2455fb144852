/*
 * A program: everything that follows from one state of the sources. Bundles are read into
 * it, the model is loaded, the node's table compiled; all of it is in one arena and dies
 * with it. Pure, so that it can be made on a thread of its own.
 */
#ifndef ENFORCER_PROGRAM_H
#define ENFORCER_PROGRAM_H

#include "common/bundle.h"
#include "common/clock.h"
#include "enforcer/settings.h"
#include "policy-lang/compile.h"

struct program {
	struct arena *arena;
	struct bundle bundle; /* of all sources, one after the other; without texts */
	size_t *first_file;   /* of each source, and one past the last */
	size_t source_count;
	struct diag_list diags;
	bool ok;       /* false: see diags; nothing below is to be used */
	bool skeleton; /* only closes: made before policy was read */
	struct model *model;
	struct table_content content;
	/* With the policies that are only watched, were they enforced. */
	bool has_shadow;
	struct table_content shadow;
	size_t local_workloads;
	/* Set by the engine: */
	uint64_t
	    number; /* 1 is the first that this process put in force; 0 a skeleton */
	walltime_t since;
	uint64_t load_us, compile_us;
	monotime_t arrived; /* the first of what is new in it */
};

/* Makes a program of sealed bundles, one for each source, in the settings' order. Never
 * NULL; borrows nothing. The descriptors stay the caller's. */
MUST_CHECK struct program *program_make(
    const struct engine_settings *settings, const int *bundle_fds, size_t count);
/* The program of a node that knows nothing yet: everything that is a workload's is
 * closed. */
MUST_CHECK struct program *program_make_skeleton(
    const struct engine_settings *settings);
void program_free(struct program *p);

/* What becomes of TCP in mid-stream, from now on; the content as it was goes on saying what
 * it said, as long as the program lives. */
void program_set_midstream(struct program *p, enum table_midstream what);
/* The rule chain that bears a number; NULL if there is none. */
MUST_CHECK const struct table_rule_chain *program_rule(
    const struct program *p, uint32_t number);
MUST_CHECK const struct table_rule_chain *program_shadow_rule(
    const struct program *p, uint32_t number);
/* The index of the source that a place is in; source_count: none. */
MUST_CHECK size_t program_source_of(const struct program *p, struct loc loc);

#endif
