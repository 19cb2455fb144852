/*
 * The texts of help/CODE.md; codes_help.cmake makes a source file of them. codes.c hands
 * them out.
 */
#ifndef POLICY_LANG_CODES_HELP_H
#define POLICY_LANG_CODES_HELP_H

#include <stddef.h>

struct diag_help {
	const char *code;
	const char *text;
};

extern const struct diag_help diag_help_texts[];
extern const size_t diag_help_count;

#endif
