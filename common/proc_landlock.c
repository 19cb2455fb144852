/*
 * Landlock: which files a role may reach, whatever its user may. Where the kernel has none,
 * nothing happens: the user, the empty root and the filter of system calls stand without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/proc_internal.h"

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITING                                                                        \
	(READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |    \
	    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Every access that a kernel of this version can forbid. */
static uint64_t
all_rights(long version)
{
	uint64_t first = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

	if (version >= 2)
		first |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		first |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (version >= 5)
		first |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return first;
}

static int
allow_below(int ruleset, const char *directory, uint64_t rights, struct err *err)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	int rc = 0;

	rule.parent_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return err_sys(err, "%s", directory);
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule,
		0) != 0)
		rc = err_sys(err, "landlock: %s", directory);
	(void)close(rule.parent_fd); /* nothing was written */
	return rc;
}

int
proc_landlock(enum proc_files files, struct err *err)
{
	struct landlock_ruleset_attr attr = {0};
	long version = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, rc = 0;

	if (files == PROC_FILES_ANY || version < 1)
		return 0;
	attr.handled_access_fs = all_rights(version);
	ruleset = (int)syscall(
	    SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (ruleset < 0)
		return err_sys(err, "landlock");
	if (files == PROC_FILES_WRITE_HERE) {
		rc = allow_below(ruleset, "/", READING, err);
		if (rc == 0)
			rc = allow_below(
			    ruleset, ".", WRITING & attr.handled_access_fs, err);
	}
	if (rc == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
			   syscall(SYS_landlock_restrict_self, ruleset, 0) != 0))
		rc = err_sys(err, "landlock");
	(void)close(ruleset); /* nothing was written */
	return rc;
}
