/*
 * Run-time errors: a function returns 0 or a negative `enum err_code`, and the
 * detail is written once, where it happened, into the `struct err` that is its
 * last parameter. Callers on the way up may prefix it. Errors in input are not
 * this: see diag.h.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/base.h"

enum err_code {
	ERR_NONE = 0,
	ERR_SYSTEM = -1,  /* a system call failed; err.sys is its errno */
	ERR_INVALID = -2, /* malformed or not allowed here */
	ERR_LIMIT = -3,   /* over a named limit */
	ERR_NOT_FOUND = -4,
	ERR_EXISTS = -5,
	ERR_DENIED = -6,
	ERR_UNAVAILABLE = -7, /* a peer is down or does not answer; try again later */
	ERR_UNSUPPORTED = -8, /* the kernel or a library has not got it */
	ERR_PROTOCOL = -9,    /* a peer broke the protocol */
	ERR_STALE = -10,      /* somebody else changed it; read again */
};

struct err {
	enum err_code code;
	int sys; /* errno, or 0 */
	char msg[512];
};

#define ERR_INIT                                                                       \
	(struct err)                                                                   \
	{                                                                              \
		.code = ERR_NONE                                                       \
	}

/* Fills *err (NULL: nothing) and returns `code`. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* As err_set with ERR_SYSTEM and the present errno; ": strerror" is appended. */
int err_sys(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "prefix: " before the message; returns err->code. */
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
