/*
 * For tests that give an engine a file, as its parent does.
 */
#ifndef TESTS_SEALED_H
#define TESTS_SEALED_H

#include <check.h>

#include "common/bundle.h"

/* A bundle of one file; the caller closes it. */
static inline int
seal(const char *name, const char *text)
{
	struct source file = {str_from(name), str_from(text)};
	const struct bundle bundle = {&file, 1};
	struct err err = ERR_INIT;
	int fd;

	ck_assert_int_eq(bundle_seal(&bundle, &fd, &err), 0);
	return fd;
}

#endif
