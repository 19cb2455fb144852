/*
 * Getting the auth role ready: its directory becomes its working directory, while it may
 * still pass through the ones above; then it gives everything up, and opens its files as
 * the user that it stays. libldap and the resolver read files of the system at any time, so the
 * root stays; writing anywhere else (by Landlock too, where there is one), executing, and
 * other processes do not.
 */
#include "authn/auth/auth_role.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <seccomp.h>

#define CA_NAME "ldap-ca.pem"

static const int syscalls[] = {
    /* connections to the directory, and to name servers */
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind),
    SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(select), SCMP_SYS(pselect6),
    /* files: the store's, the resolver's, GnuTLS's */
    SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(stat), SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    SCMP_SYS(getdents64), SCMP_SYS(fstatfs), SCMP_SYS(statfs), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(fchmod), SCMP_SYS(fchown), SCMP_SYS(flock),
    SCMP_SYS(pwritev), SCMP_SYS(preadv), SCMP_SYS(umask), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2),
    /* name service modules are loaded when first needed */
    SCMP_SYS(mmap), SCMP_SYS(mprotect),
    /* SASL asks who it is; the resolver's netlink socket */
    SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(times),
    SCMP_SYS(getrusage), -1};

/* A file, because libldap takes nothing else. */
static int
write_ca(struct str pem, struct err *err)
{
	int fd = open(CA_NAME ".new",
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t done = 0;
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(err, CA_NAME);
	while (done < pem.len && n > 0) {
		n = write(fd, pem.ptr + done, pem.len - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (close(fd) != 0 || done != pem.len || rename(CA_NAME ".new", CA_NAME) != 0)
		return err_sys(err, CA_NAME);
	return 0;
}

static int
enter(struct str directory, struct err *err)
{
	char path[4096];

	if (directory.len >= sizeof(path))
		return err_set(
		    err, ERR_LIMIT, "the state directory's name is too long");
	memcpy(path, directory.ptr, directory.len);
	path[directory.len] = '\0';
	return chdir(path) == 0 ? 0 : err_sys(err, "%s", path);
}

static int
open_store(
    const struct auth_role_settings *s, struct token_store **out, struct err *err)
{
	char name[64];

	if (s->database.len >= sizeof(name))
		return err_set(err, ERR_LIMIT, "the store's name is too long");
	memcpy(name, s->database.ptr, s->database.len);
	name[s->database.len] = '\0';
	return token_store_open(name, out, err);
}

int
auth_role_prepare(const struct auth_role_settings *settings,
    const struct secret *bind_password, struct token_store **out_store,
    struct directory **out_directory, struct err *err)
{
	const struct proc_sandbox sandbox = {
	    .uid = settings->uid,
	    .gid = settings->gid,
	    .files = PROC_FILES_WRITE_HERE,
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = syscalls,
	    .max_files = 1024,
	};
	const bool own_ca = settings->ca_pem.len != 0;
	int rc = enter(settings->directory, err);

	*out_store = NULL;
	*out_directory = NULL;
	(void)umask(077); /* cannot fail */
	if (rc == 0)
		rc = proc_confine(&sandbox, err);
	if (rc == 0)
		rc = open_store(settings, out_store, err);
	if (rc != 0 || !settings->has_ldap)
		return rc;
	if (own_ca)
		rc = write_ca(settings->ca_pem, err);
	if (rc == 0)
		rc = directory_new(&settings->ldap, bind_password,
		    own_ca ? CA_NAME : NULL, out_directory, err);
	return rc;
}
