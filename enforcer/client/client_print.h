/*
 * The control socket's answers as text for people.
 */
#ifndef ENFORCER_CLIENT_PRINT_H
#define ENFORCER_CLIENT_PRINT_H

#include <jansson.h>

#include "enforcer/client/client_options.h"

/* Why there is no answer, if that is what the answer says; else NULL. Lives as long as the
 * answer. */
MUST_CHECK const char *client_error_of(const json_t *answer);

/* Replaces what texts in an answer hide from who reads them at a terminal, as diagnostics do. */
void client_make_plain(json_t *answer);
/* Print to standard output. */
void client_print_status(const json_t *root);
void client_print_rules(const json_t *root);
void client_print_diff(const json_t *root);
void client_print_trace(const json_t *root);
/* What is their exit status: `status` says that policy is in force, `diff` found something. */
MUST_CHECK bool client_status_in_force(const json_t *root);
MUST_CHECK bool client_diff_found(const json_t *root);
/* Prints a value as JSON, an item of a list a line, or as YAML. */
void client_print_value(const json_t *value, enum client_format format);

/* The rules that counted most between two answers to `rules`, at most `most`, of those that
 * the filter wants. */
void client_print_top(const json_t *before, const json_t *after, double seconds,
    size_t most, const struct client_options *c);

#endif
