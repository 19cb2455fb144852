/*
 * A model that is kept up with its sources, one at a time: a file of a directory, or one
 * object of a list that is watched, by its name. A source that changed is read alone, against
 * the model as it is; what it says then replaces what it said, and what that changes is told
 * as compile_state_update wants it. After any series of edits the model means what loading
 * all the sources anew would have made.
 *
 * That works for objects of every kind: what one says changes nothing of what another is, but
 * who names an ExternalNetwork is read again when that changes. It works for labels and owners of namespaces,
 * for namespaces that nobody knew, for nodes, those that only pods speak of among them, and for
 * pods whose addresses are announced before their status has them. Kubernetes namespaces may come to be elsewhere in the tree: what is written
 * in them is then read again, from texts that are kept. Of everything else, and of whatever is
 * in doubt (a name that another source has), this only says that it takes a whole load.
 */
#ifndef POLICY_LANG_LIVE_H
#define POLICY_LANG_LIVE_H

#include "common/bundle.h"
#include "policy-lang/compile/compile_incremental.h"
#include "policy-lang/load/load.h"

struct live;

/* Loads as model_load does. The arena, the bundle's sources (their names; texts need not
 * last) and the options' clusters must outlive it. Where something is kept of a source its
 * text is what that says. `reading` may be NULL. NULL: errors, reported. */
MUST_CHECK struct live *live_load(struct arena *arena, const struct bundle *bundle,
    const struct model_options *options, const struct load_reading *reading,
    struct diag_list *diags);
/* Keeps the texts of sources, as long as the bundle has them and of edits from then on, but
 * for large ones: see live_kept. */
void live_keep_texts(struct live *live);
/* The same of one that edits have replaced or brought since live_sweep: what it said before them,
 * which lasts until live_sweep. False: there are no such edits, or its text was not kept. */
MUST_CHECK bool live_former(
    const struct live *live, struct str name, struct load_kept *out);
/* What a source says here, for another load to take. False: it was too large to be kept. */
MUST_CHECK bool live_kept(
    const struct live *live, struct str name, struct load_kept *out);
/* Frees the model, too. NULL is fine. */
void live_free(struct live *live);
/* The same for as long as the live model. Only live_commit changes it. */
MUST_CHECK const struct model *live_model(const struct live *live);
/* The source of a name; NULL: it is not among them. */
MUST_CHECK const struct source *live_source(const struct live *live, struct str name);

/* ---- edits ---- */

enum live_answer {
	LIVE_READ,
	LIVE_REFUSED, /* there are mistakes in it: what it said before goes on */
	LIVE_BEYOND,  /* takes a whole load */
};

/* Sources that change together. Of two of one name, the later counts. */
struct live_edit;

MUST_CHECK struct live_edit *live_edit_new(struct live *live);
/* Forgets what was read and not committed. NULL is fine. */
void live_edit_free(struct live_edit *edit);
/* Reads a source; `text.ptr` NULL: it is no more. The model stays as it is. Copies both
 * texts. LIVE_REFUSED: nothing of it is in the edit. Places of what is reported are good
 * until live_edit_free, and as long as the source is the model's. */
MUST_CHECK enum live_answer live_read(
    struct live_edit *edit, struct str name, struct str text, struct diag_list *diags);
/* Whether ExternalNetworks may come to be where they were not: somebody's mistake may have
 * been to name them. */
MUST_CHECK bool live_brings_names(const struct live_edit *edit);
/* Whether objects may be no more, or place nothing any more, in files of more than pods:
 * somebody's mistake may have been to give them, too. */
MUST_CHECK bool live_frees_names(const struct live_edit *edit);
/* Puts what was read into the model. False: it takes a whole load; nothing has changed.
 * *out_changes, in the arena, refer to objects that last until live_sweep. */
MUST_CHECK bool live_commit(struct live_edit *edit, struct arena *arena,
    struct diag_list *diags, struct compile_change **out_changes, size_t *out_count);

/* Pods whose addresses are known before their sources say them (struct model_options), all
 * of them, from now on; what that changes is told as by live_commit. Copies the list. */
void live_announce(struct live *live, const struct announced_pod *pods, size_t count,
    struct arena *arena, struct diag_list *diags, struct compile_change **out_changes,
    size_t *out_count);

/* The same of addresses of the node itself (struct model_options.own). */
void live_own(struct live *live, const struct ip_addr *addrs, size_t count,
    struct arena *arena, struct compile_change **out_changes, size_t *out_count);

/* Numbers the workloads again, which edits leave undone: to be called before anything looks
 * at struct workload.index, as compile_state_new does. */
void live_settle(struct live *live);
/* Frees what has been replaced. Nothing may refer to it any more: no compile_state that
 * has not been told, no loc of its elements. */
void live_sweep(struct live *live);
/* Bytes of objects that came by edits: a whole load would hold the same in less. */
MUST_CHECK size_t live_edited_bytes(const struct live *live);

#endif
