/*
 * The key role: the one process that holds the gate's private keys while it serves. It
 * signs TLS handshakes for the other roles, for each with the keys that it uses and nothing else
 * (key_messages.h), and for each on a thread of its own: one's requests are signed one after the
 * other, and keep no other's waiting.
 *
 * Protocol with the monitor:
 *   at start  MSG_CONFIG with fds[0] a key bundle, body u32 uid, u32 gid; answered by MSG_READY
 *   reload    the same; the keys before it are good for a while yet, for whoever does not know of
 *             the new ones
 *   MSG_PEER_WORKER, MSG_PEER_AUTH, MSG_PEER_BUDGET with fds[0] a socket to such a role;
 *   MSG_STATUS is answered by a JSON object
 */
#ifndef AUTHN_KEY_ROLE_H
#define AUTHN_KEY_ROLE_H

#include "common/proc.h"

/* A proc_role's run, without descriptors. */
int key_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count);

#endif
