/*
 * The control socket's answers as text for people.
 */
#ifndef ENFORCER_CLIENT_PRINT_H
#define ENFORCER_CLIENT_PRINT_H

#include "common/str.h"

/* Why there is no answer, if that is what the answer says; else NULL. Valid until the
 * next call. */
MUST_CHECK const char *client_error_of(struct str answer);

/* Print to standard output; return the exit status. */
int client_print_status(struct str answer);
int client_print_rules(struct str answer);
int client_print_diff(struct str answer);
int client_print_trace(struct str answer);

/* The rules that counted most between two answers to `rules`, at most `most`. */
MUST_CHECK int client_print_top(
    struct str before, struct str after, double seconds, size_t most, bool json);

#endif
