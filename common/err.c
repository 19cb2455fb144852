#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message that does not fit ends in "..." so that nobody takes it for whole. */
static void
mark_cut(struct err *err, int wanted)
{
	if (wanted >= (int)sizeof(err->msg))
		memcpy(err->msg + sizeof(err->msg) - 4, "...", 4);
}

int
err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	char text[sizeof(err->msg)];
	va_list ap;
	int n;

	if (err == NULL)
		return code;
	/* By way of `text`: an argument may be err->msg itself. */
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(err->msg, text, sizeof(text));
	mark_cut(err, n);
	err->code = code;
	err->sys = 0;
	return code;
}

int
err_sys(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	char text[sizeof(err->msg)], reason[128];
	va_list ap;

	if (err == NULL)
		return ERR_SYSTEM;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut shows below */
	va_end(ap);
	mark_cut(err, snprintf(err->msg, sizeof(err->msg), "%s: %s", text,
			  strerror_r(saved, reason, sizeof(reason))));
	err->code = ERR_SYSTEM;
	err->sys = saved;
	return ERR_SYSTEM;
}

int
err_wrap(struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->msg)], old[sizeof(err->msg)];
	va_list ap;

	if (err == NULL)
		return ERR_SYSTEM; /* any failure will do: nobody asked which */
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut shows below */
	va_end(ap);
	memcpy(old, err->msg, sizeof(old));
	mark_cut(err, snprintf(err->msg, sizeof(err->msg), "%s: %s", text, old));
	return err->code;
}
