/*
 * The node before and after policy. Before: closes the workload networks and is done, so that a unit that is
 * ordered before the network leaves no moment without it. The daemon comes later.
 */
#ifndef ENFORCER_BOOT_H
#define ENFORCER_BOOT_H

/* Makes the closed table, unless there is one with rules of ours already or the configuration says
 * that nothing is closed at boot. Returns the exit status: 0; 1 if the kernel did not take
 * it; 2 for a configuration that is wrong. */
int boot_run(const char *config_path);
/* Deletes the table, for a node that is to be rid of us: what it denied passes then. Returns the
 * exit status: 0, also when there is none; 1 if the kernel refuses, as it does while a daemon
 * owns the table. */
int boot_remove(const char *config_path);

#endif
