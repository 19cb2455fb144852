/*
 * The auth role: decides who somebody is. Owns the token store and the only
 * connections to the directory. Answers questions of workers; tells all of them when a token ends.
 */
#ifndef AUTHN_AUTH_ROLE_H
#define AUTHN_AUTH_ROLE_H

#include "authn/config/config.h"
#include "authn/directory/directory.h"
#include "authn/token/token_share.h"
#include "authn/token/token_store.h"
#include "common/proc.h"

/* What the monitor tells it, in MSG_CONFIG, with the workers' quota table in fds[0]. The CA's text travels inside, since the role
 * cannot open the file. */
struct auth_role_settings {
	struct str directory; /* exists and belongs to the role's user */
	struct str database;  /* name of the token store in it */
	uint32_t uid, gid;    /* of the role's user; 0: stay */
	uint64_t login_ttl_s, max_ttl_s;
	uint64_t idle_ttl_s; /* unused so long, a token ends; 0: never */
	uint32_t tokens_per_user;
	bool has_ldap;
	struct gate_ldap ldap; /* `ca` and `bind_password_file` are not used */
	struct str bind_password;
	struct str ca_pem;
	struct token_share_settings share;
};

void auth_role_settings_encode(struct buf *out, const struct auth_role_settings *s);
MUST_CHECK bool auth_role_settings_decode(struct arena *arena, struct proc_reader *r,
    struct auth_role_settings *out_settings);

/*
 * Opens the store, prepares the directory's TLS, and confines the process: its user, no
 * capabilities, only the system calls that the directory and the store need.
 * *out_directory stays NULL without LDAP.
 */
MUST_CHECK int auth_role_prepare(const struct auth_role_settings *settings,
    const struct secret *bind_password, struct token_store **out_store,
    struct directory **out_directory, struct err *err);

/* A proc_role's run: fds are sockets to the workers; more come by MSG_PEER_WORKER. */
int auth_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
