/*
 * The parent: reads files, starts the roles, starts them again when they die, ends them
 * when it ends. It parses no policy, and asks the kernel by netlink for links alone.
 */
#ifndef ENFORCER_PARENT_H
#define ENFORCER_PARENT_H

#include "common/proc.h"

struct parent_options {
	const char *config_path;
	int ready_fd; /* -1: none */
};

extern const struct proc_role enforcer_roles[];

/* Runs the daemon; returns its exit status. */
int parent_run(const struct parent_options *options);

#endif
