/*
 * What native documents look like, for those who do not run the loader: JSON Schema
 * (draft 2020-12) for editors, CustomResourceDefinitions for API servers. Both are made
 * from the tables that the loader reads documents by.
 */
#ifndef POLICY_LANG_JSON_SCHEMA_H
#define POLICY_LANG_JSON_SCHEMA_H

#include "policy-lang/load/load_kinds.h"

/* One kind; or, with NULL, any document: a native one by its kind, others as they are. */
void json_schema_print(struct buf *out, const struct native_kind *kind);

/* The CustomResourceDefinition of one kind, or of all, as YAML documents. */
void json_schema_print_crds(struct buf *out, const struct native_kind *kind);

#endif
