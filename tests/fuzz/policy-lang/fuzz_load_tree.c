/*
 * Namespaces of both kinds, and where they are placed.
 */
#include "tests/fuzz/policy-lang/load_check.h"

static const char *const words[] = {"/", "/acme", "/acme/shop", "..",
    "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", "shop", "east", "[shop, k9]", "{}", "[]",
    "null", "owners", "kubernetes", "namespaces", "cluster", "labels", "path",
    "metadata", "spec"};

LOAD_TARGET(LOAD_CONTEXT, words)
