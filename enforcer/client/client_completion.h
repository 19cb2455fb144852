/*
 * Completion of ringfence-enforcer for shells, made from the table of its options.
 */
#ifndef ENFORCER_CLIENT_COMPLETION_H
#define ENFORCER_CLIENT_COMPLETION_H

#include "common/base.h"

/* `ringfence-enforcer completion SHELL`: argv[0] is its name. Returns the exit status. */
MUST_CHECK int client_completion_run(int argc, char **argv);

#endif
