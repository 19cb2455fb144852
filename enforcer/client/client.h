/*
 * The client of the control socket: `ringfence-enforcer status|rules|flows|diff|explain`.
 */
#ifndef ENFORCER_CLIENT_H
#define ENFORCER_CLIENT_H

#include "common/base.h"

/* True if there is a command of that name. */
MUST_CHECK bool client_knows(const char *name);
/* Runs it; argv[0] is its name. Exit status: 0; 1: `diff` found differences, or `status`
 * that nothing is in force; 2: a mistake, or the daemon does not answer. */
int client_run(int argc, char **argv);
/* Appends a line for each command. */
void client_help(void);

#endif
