/*
 * Looking up in sorted arrays.
 */
#ifndef COMMON_SORTED_H
#define COMMON_SORTED_H

#include "common/base.h"

/* In an array of what begins with a uint32_t, sorted by that (u32_cmp): the one that begins with
 * the number; NULL. */
MUST_CHECK void *u32_find(
    uint32_t number, const void *array, size_t count, size_t size);

#endif
