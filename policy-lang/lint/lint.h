/*
 * Lints: what is legal and probably not meant. Warnings and notes about a model that
 * loaded without error; each has a place, and a second one where that helps.
 */
#ifndef POLICY_LANG_LINT_H
#define POLICY_LANG_LINT_H

#include "common/bundle.h"
#include "policy-lang/model/model.h"

/*
 * Adds what there is to say about the whole model. Claims about rules hold whatever
 * workloads there are ("can never match"); claims about selectors, names and addresses
 * are about the workloads that the model knows, and are not made when it knows none.
 * Of one code only the first LINT_PER_CODE are given, and a note counts the rest; what the list does
 * not want (diag.h) takes no place from what it wants.
 */
void model_lint(const struct model *model, struct diag_list *diags);

#define LINT_PER_CODE 100

/*
 * Adds what of that is about one source, which has policies alone: those that say who may
 * connect. Takes the time of what is before them in the walk, not of the whole model, but
 * where the model has workloads. Others' warnings take no place from its own.
 */
void model_lint_source(
    const struct model *model, const struct source *source, struct diag_list *diags);

/* Adds what model_lint says of Routes: the only errors that lints make are among it. */
void model_lint_routes(const struct model *model, struct diag_list *diags);

/*
 * Takes warnings and notes off the list that comments in the sources ask to take off:
 * `# ringfence:ignore CODE[,CODE] reason`, at the end of the line that a diagnostic is
 * about or alone on the lines above it. Errors stay. A comment without a reason, or for a
 * code that is none or is an error's, is a warning and takes nothing off; so does, as a
 * note, one whose diagnostic is not given, if the list is complete (lints were made).
 */
void lint_ignore(const struct bundle *bundle, bool complete, struct diag_list *diags);

#endif
