/*
 * What the directory says of one user, for the administrator who sets it up: the same code as a
 * login, with its reasons told.
 */
#ifndef AUTHN_DIRECTORY_REPORT_H
#define AUTHN_DIRECTORY_REPORT_H

#include "authn/monitor/plan.h"

enum directory_report {
	DIRECTORY_REPORT_ALLOWED = 0,
	DIRECTORY_REPORT_DENIED = 1,
	DIRECTORY_REPORT_UNUSABLE =
	    2, /* no directory is configured, no password to read */
	DIRECTORY_REPORT_UNAVAILABLE = 3
};

/* Prints to stdout. With `password_file` it also binds as the user, else only looks. The result
 * is the exit status. */
MUST_CHECK enum directory_report directory_report(
    const struct gate_plan *plan, const char *user, const char *password_file);

#endif
