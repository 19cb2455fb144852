/*
 * Numbers by 64-bit keys, for compile_classes.c.
 */
#ifndef POLICY_LANG_TABLE64_H
#define POLICY_LANG_TABLE64_H

#include "common/base.h"

/* {0} is an empty one. */
struct table64 {
	uint64_t *keys;
	uint32_t *values; /* UINT32_MAX: free */
	size_t slots, used;
};

/* The value under the key; if there is none, `value` is put there and returned. */
uint32_t table64_intern(struct table64 *t, uint64_t key, uint32_t value);
/* `to` is not initialised, and needs table64_fini. */
void table64_copy(struct table64 *to, const struct table64 *from);
void table64_fini(struct table64 *t);

#endif
