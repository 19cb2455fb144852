/* What the files of common/proc share. Private to them. */
#ifndef COMMON_PROC_INTERNAL_H
#define COMMON_PROC_INTERNAL_H

#include "common/proc.h"

/* Limits the process to those files for ever; sets no_new_privs. Without Landlock in the kernel
 * it does nothing and returns 0. */
MUST_CHECK int proc_landlock(enum proc_files files, struct err *err);

#endif
