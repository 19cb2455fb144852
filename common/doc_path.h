/*
 * Places in a document as those know them who never see its lines: the path of the field.
 */
#ifndef COMMON_DOC_PATH_H
#define COMMON_DOC_PATH_H

#include "common/doc.h"

/*
 * "spec.allow.ingress[0].from[1].cidr" for the value, or the key, that begins at the place, or
 * last before it; in the arena. "" for the document as a whole. Keys that are no plain words
 * are written as in ["a/b"].
 */
MUST_CHECK struct str doc_path_at(
    struct arena *arena, const struct doc_node *root, struct loc loc);

#endif
