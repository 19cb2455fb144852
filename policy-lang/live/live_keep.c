/*
 * What sources said, for a load that is to take it where what they say now is wrong. Pods,
 * which are nearly all that there is, refer to nothing by what they are: they are taken
 * from the model. Of everything else the text is kept, so that what it refers to is looked
 * up again.
 */
#include "policy-lang/live/live_internal.h"

/* People who write policies do not write files like this. */
#define KEPT_MOST_BYTES ((size_t)1024 * 1024)

bool
live_is_of_pods(const struct live_file *f)
{
	const struct live_said *said = live_said(f);

	if (said->other || said->others != NULL || said->node_count != 0 ||
	    said->policy_count + said->left_out + said->space_count != 0)
		return false;
	for (size_t i = 0; i < f->workload_count; i++) {
		const struct workload *w = live_workloads_of(f)[i];

		if (w->kube == NULL || w->is_template)
			return false;
	}
	return f->workload_count != 0;
}

void
live_keep_text(struct live *l, struct live_file *f, struct str text)
{
	struct arena *arena = f->arena != NULL ? f->arena : l->arena;

	if (l->keeps_texts && text.len <= KEPT_MOST_BYTES && !live_is_of_pods(f))
		live_say(l, f)->text = str_dup(arena, text);
}

void
live_keep_texts(struct live *l)
{
	l->keeps_texts = true;
	for (size_t i = 0; i < l->base_count; i++) {
		struct live_file *f = &l->base[i];

		live_keep_text(l, f, f->source->text);
	}
}

bool
live_former(const struct live *l, struct str name, struct load_kept *out)
{
	const struct live_former *former = map_get(&l->former, name);

	*out = (struct load_kept){.taken = true, .text = STR("")};
	if (former != NULL && former->file != NULL)
		out->text = live_said(former->file)->text;
	return former != NULL && out->text.ptr != NULL;
}

bool
live_kept(const struct live *l, struct str name, struct load_kept *out)
{
	const struct live_file *f = live_files_get(&l->files, name);

	*out = (struct load_kept){.taken = true, .text = STR("")};
	if (f == NULL)
		return true;
	if (live_is_of_pods(f)) {
		out->pods = live_workloads_of(f);
		out->pod_count = f->workload_count;
		return true;
	}
	out->text = live_said(f)->text;
	return live_said(f)->text.ptr != NULL;
}
