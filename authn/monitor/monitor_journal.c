/*
 * Opens the files of the budget role's journal, which has no directory of its own. That of the
 * state is the roles', so nothing in it is followed.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/monitor/monitor.h"

static int
open_one(int directory, const char *name, int *out_fd, struct err *err)
{
	struct stat st;

	*out_fd = openat(directory, name,
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (*out_fd < 0 || fstat(*out_fd, &st) != 0)
		return err_sys(err, "%s", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return err_set(err, ERR_INVALID, "%s: a regular file it must be", name);
	return 0;
}

int
monitor_journal_open(
    const struct monitor *m, int out_fds[BUDGET_JOURNAL_FILES], struct err *err)
{
	static const char *const names[BUDGET_JOURNAL_FILES] = {
	    "budget.journal.0", "budget.journal.1"};
	const int directory = open(m->plan->config->state_directory,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = 0;

	for (size_t i = 0; i < BUDGET_JOURNAL_FILES; i++)
		out_fds[i] = -1;
	if (directory < 0)
		return err_sys(err, "%s", m->plan->config->state_directory);
	for (size_t i = 0; i < BUDGET_JOURNAL_FILES && rc == 0; i++)
		rc = open_one(directory, names[i], &out_fds[i], err);
	(void)close(directory); /* nothing was written to it */
	return rc;
}

void
monitor_journal_close(int fds[BUDGET_JOURNAL_FILES])
{
	for (size_t i = 0; i < BUDGET_JOURNAL_FILES; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]); /* nothing was written here */
		fds[i] = -1;
	}
}
