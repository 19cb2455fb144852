#include "common/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

NORETURN void
base_die(const char *what)
{
	fprintf(stderr, "fatal: %s\n", what);
	abort();
}

void *
xmalloc(size_t size)
{
	void *p = malloc(size != 0 ? size : 1);

	if (p == NULL)
		base_die("out of memory");
	return p;
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = calloc(count != 0 ? count : 1, size != 0 ? size : 1);

	if (p == NULL)
		base_die("out of memory");
	return p;
}

void *
xreallocarray(void *ptr, size_t count, size_t size)
{
	void *p = reallocarray(ptr, count != 0 ? count : 1, size != 0 ? size : 1);

	if (p == NULL)
		base_die("out of memory");
	return p;
}

char *
xstrdup(const char *s)
{
	char *copy = strdup(s);

	if (copy == NULL)
		base_die("out of memory");
	return copy;
}

int
u32_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}
