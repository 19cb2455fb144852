/*
 * Recorded flows from a file, for commands that read them: bad lines are told (the first
 * few) and counted, and do not end the reading.
 */
#ifndef POLICY_LANG_CLI_FLOWS_IN_H
#define POLICY_LANG_CLI_FLOWS_IN_H

#include "policy-lang/cli/cli.h"
#include "policy-lang/flows/flowlog.h"

/* `record` and its texts are borrowed. */
typedef void (*flows_in_fn)(
    void *arg, const struct flowlog_record *record, unsigned long line);

/* The format of a name that --format takes. */
#define FLOWS_IN_FORMATS "auto|ringfence|hubble|conntrack"
MUST_CHECK enum flowlog_format flows_in_format(const char *name);

/* Reads `file` ("-": standard input). False, reported: it cannot be read, or there is not
 * one flow in it. */
MUST_CHECK bool flows_in_read(const struct cli *cli, const char *file,
    enum flowlog_format format, flows_in_fn fn, void *arg);

#endif
