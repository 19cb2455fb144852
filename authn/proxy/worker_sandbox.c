#include "authn/proxy/worker_sandbox.h"

#include <seccomp.h>

#include "common/proc.h"

/* Beyond what every role needs: connections of its own, and those of clients. */
static const int allowed[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(accept4), -1};

int
worker_confine(const struct worker_settings *settings, struct err *err)
{
	struct proc_sandbox sandbox = {
	    .uid = settings->uid,
	    .gid = settings->gid,
	    .empty_root = settings->uid != 0,
	    .files = PROC_FILES_NONE,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = allowed,
	    /* each connection and its upstream, and some */
	    .max_files = (uint64_t)settings->limits.connections * 2 + 1024,
	};

	return settings->confine ? proc_confine(&sandbox, err) : 0;
}
