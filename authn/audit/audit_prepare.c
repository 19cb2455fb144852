/*
 * The audit role before its first record: what it is told, and the log in a directory beyond which
 * it sees nothing.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "authn/audit/audit_recent.h"
#include "authn/audit/audit_role.h"
#include "common/audit.h"
#include "common/audit_store.h"

#define CHECKPOINT_MS 1000 /* how often the signed checkpoint is renewed */

void
audit_role_settings_encode(struct buf *out, const struct audit_role_settings *s)
{
	proc_put_str(out, s->directory);
	proc_put_str(out, s->origin);
	proc_put_u8(out, s->required);
	proc_put_u32(out, s->uid);
	proc_put_u32(out, s->gid);
}

bool
audit_role_settings_decode(struct proc_reader *r, struct audit_role_settings *out)
{
	out->directory = proc_get_str(r);
	out->origin = proc_get_str(r);
	out->required = proc_get_u8(r) != 0;
	out->uid = proc_get_u32(r);
	out->gid = proc_get_u32(r);
	return proc_reader_done(r);
}

/* Its directory becomes all that the role can see. */
static int
enter(struct str directory, struct err *err)
{
	char path[4096];

	if (directory.len >= sizeof(path))
		return err_set(
		    err, ERR_LIMIT, "the audit directory's name is too long");
	memcpy(path, directory.ptr, directory.len);
	path[directory.len] = '\0';
	/* OpenSSL reads its own configuration before there is no file to be seen. */
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	if (chdir(path) != 0 || (geteuid() == 0 && chroot(".") != 0))
		return err_sys(err, "%s", path);
	return 0;
}

/* What the console may ask for is in the last segment; a failure only leaves it shorter. */
static void
recall(struct audit_recent *recent)
{
	int dirfd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct audit_reader r;
	struct str line;
	int rc;

	if (dirfd < 0)
		return;
	rc = audit_reader_init(&r, dirfd, NULL);
	if (rc == 0 && r.segment_count != 0)
		rc = audit_reader_seek(&r, r.segment_count - 1, 0, 0, NULL);
	while (rc == 0 && audit_reader_next(&r, &line, NULL) == 1)
		audit_recent_add(recent, line);
	audit_recent_settle(recent, true);
	audit_reader_fini(&r);
	(void)close(dirfd); /* read only */
}

int
audit_role_prepare(const struct audit_role_settings *settings,
    struct audit_recent *recent, struct audit_log **out_log, struct err *err)
{
	const struct proc_sandbox user = {
	    .uid = settings->uid,
	    .gid = settings->gid,
	};
	/* Opening takes more system calls than writing does. */
	const struct proc_sandbox filter = {
	    .syscalls = proc_syscalls_basic,
	    .more_syscalls = audit_syscalls,
	};
	char origin[256];
	const struct audit_options options = {.directory = ".",
	    .origin = origin,
	    .checkpoint_interval_ms = CHECKPOINT_MS};
	int rc;

	if (settings->origin.len >= sizeof(origin))
		return err_set(err, ERR_LIMIT, "the origin is too long");
	memcpy(origin, settings->origin.ptr, settings->origin.len);
	origin[settings->origin.len] = '\0';
	rc = enter(settings->directory, err);
	if (rc == 0)
		rc = proc_confine(&user, err);
	if (rc == 0)
		rc = audit_open(&options, out_log, err);
	if (rc == 0)
		recall(recent);
	if (rc == 0)
		rc = proc_confine(&filter, err);
	return rc;
}
