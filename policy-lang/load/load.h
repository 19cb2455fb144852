/*
 * Loading: bundles of files -> model. Every document is checked field by field;
 * each mistake is a diagnostic at its place, and loading goes on.
 */
#ifndef POLICY_LANG_LOAD_H
#define POLICY_LANG_LOAD_H

#include "common/bundle.h"
#include "policy-lang/model/model.h"

/*
 * Reads every document of the bundle into a new model in the arena (which, like the
 * bundle, must outlive it). Returns true if there was no error; then *out_model is
 * complete. With errors *out_model is still a consistent model of what was understood,
 * for tools that answer anyway (check, lints); enforcing and judging must not use it.
 */
MUST_CHECK bool model_load(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, struct diag_list *diags,
    struct model **out_model);

/* How Kubernetes' policies say what native ones say in "enforcement". */
#define ENFORCEMENT_ANNOTATION "ringfence.dev/enforcement"

/* True if objects of the kind say who may connect, and no more: what others mean does not depend
 * on them. */
MUST_CHECK bool load_is_policy(struct str api_version, struct str kind);

/* What a source said when it was good last, for a load that takes this in place of what it
 * says now (live.h). Borrows from the live model that it is of. */
struct load_kept {
	bool taken;      /* else the source is read as it is */
	struct str text; /* "": there was no such source */
	/* Of pods alone no text is kept: they are taken as they are. */
	struct workload *const *pods;
	size_t pod_count;
};

/* How sources are read; {0}: just so. */
struct load_reading {
	const struct load_kept *kept; /* one for each source; NULL: none */
	/* Called when a source has been read, whose text is not needed now; or NULL. Then what
	 * waits for others is read again later, in the order of the sources, rather than held
	 * meanwhile as what it was read into, which is some eight times its text. */
	void (*has_read)(void *ctx, const struct source *source);
	void *ctx;
};

#endif
