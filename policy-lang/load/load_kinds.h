/*
 * The native kinds as others need to know them: editors and API servers (json_schema.h),
 * and `fmt`. What each is made of is in the tables that its documents are read by.
 */
#ifndef POLICY_LANG_LOAD_KINDS_H
#define POLICY_LANG_LOAD_KINDS_H

#include "policy-lang/load/schema.h"

#define NATIVE_GROUP   "ringfence.dev"
#define NATIVE_VERSION "v1alpha1"

/* A column of `kubectl get`. */
struct native_column {
	const char *name, *path;
	const char *type; /* "string", "integer", ... */
};

#define NATIVE_COLUMNS 4

struct native_kind {
	const char *kind;
	const char *plural, *singular, *short_name; /* as the API server knows it */
	const char *about;
	const struct schema *meta, *spec;
	bool spec_required;
	/* A Namespace: of the cluster there, with its path in spec.path; in files its
	 * name may be the path. */
	bool tree;
	bool on_nodes; /* nodes hold it in force, or do not */
	struct native_column columns[NATIVE_COLUMNS];
};

extern const struct native_kind native_kinds[];
extern const size_t native_kind_count;

/* The kind of that name, or NULL. */
MUST_CHECK const struct native_kind *native_kind_find(struct str kind);

/* The fields of every object's metadata, in the order in which they are written. */
extern const struct schema *const native_meta;

#endif
