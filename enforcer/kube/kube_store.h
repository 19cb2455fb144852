/*
 * What a cluster says now: the text of each object, by its name, and which of them whoever
 * follows has yet to be told of. The names are those of a bundle's sources:
 * CLUSTER/pods/NAMESPACE/NAME, CLUSTER/nodes/NAME. Pure.
 */
#ifndef ENFORCER_KUBE_STORE_H
#define ENFORCER_KUBE_STORE_H

#include "common/bundle.h"
#include "common/map.h"
#include "enforcer/kube/kube_decode.h"

struct kube_entry;

struct kube_objects {
	struct map by_name;  /* without what all names begin with; struct kube_entry */
	uint32_t pass;       /* of the list that is being read, or was last */
	size_t count, bytes; /* of texts that are there */
	uint64_t edits;      /* of texts, so far */
};

struct kube_store {
	char *cluster; /* what all names begin with */
	struct kube_texts texts;
	struct kube_objects kinds[KUBE_KIND_COUNT];
	/* A queue, in the order of the first change; NULL: it was taken back. */
	struct kube_entry **changed;
	size_t changed_head, changed_end, changed_count, changed_cap;
};

void kube_store_init(struct kube_store *s, struct str cluster);
void kube_store_fini(struct kube_store *s);

/* One object is, or is no more (also one that has finished). */
void kube_store_put(
    struct kube_store *s, size_t kind, const struct kube_object *object);
/* Between these two, all objects of the kind are put; then those that were not are gone. */
void kube_store_list_begin(struct kube_store *s, size_t kind);
void kube_store_list_end(struct kube_store *s, size_t kind);
/* All of the kind are gone. */
void kube_store_clear(struct kube_store *s, size_t kind);

/* How many have changed since they were last told: no more than there are, and were told of. */
MUST_CHECK size_t kube_store_changed(const struct kube_store *s);
/* Everything there is, sorted by name, in the arena; it is told with this. */
struct kube_whole {
	struct bundle
	    names; /* without texts, which are many times what is held of them */
	struct kube_entry **entries; /* of these names: good until the store changes */
};
void kube_store_whole(
    struct kube_store *s, struct arena *arena, struct kube_whole *out);
/* The text of an entry, in the buffer. */
MUST_CHECK struct str kube_store_text(const struct kube_entry *e, struct buf *out);
/* At most `most` of what has changed, and names of what is gone, in the arena; texts of at most
 * `most_bytes` unless it is one. They are told with this. */
void kube_store_edit(struct kube_store *s, struct arena *arena, size_t most,
    size_t most_bytes, struct bundle *out_changed, struct str **out_gone,
    size_t *out_gone_count);

#endif
