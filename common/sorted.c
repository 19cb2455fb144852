#include "common/sorted.h"

#include <stdlib.h>

void *
u32_find(uint32_t number, const void *array, size_t count, size_t size)
{
	/* An empty array may have no place at all. */
	return count == 0 ? NULL : bsearch(&number, array, count, size, u32_cmp);
}
