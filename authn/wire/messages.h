/*
 * Message types between the gate's processes (common/proc.h). A role accepts only what
 * is listed as sent to it; anything else ends that peer.
 */
#ifndef AUTHN_MESSAGES_H
#define AUTHN_MESSAGES_H

enum gate_message {
	/* monitor -> role: everything a role needs to start or reload: memfds in `fds` */
	MSG_CONFIG = 1, /* body: role-specific settings */
	MSG_POLICY,     /* fd: a sealed bundle of policy files */
	MSG_PEER_AUTH, /* fd: a new socket to the restarted auth role; to key: to any */
	MSG_PEER_AUDIT,  /* fd: a new socket to the restarted audit role */
	MSG_PEER_KEY,    /* fd: a new socket to the (restarted) key role */
	MSG_PEER_BUDGET, /* to key: fd: a socket to a new budget role */
	MSG_TICKET_KEY,  /* to workers: the session tickets' next key (tls_tickets.h) */
	MSG_PEER_WORKER, /* to auth, audit and key: fd: a socket to a (new) worker; u32 its number */
	MSG_AUDIT_NOTE, /* to audit: u8 ok, str detail: a configuration is in force, or not */
	MSG_AUDIT_ACCOUNT, /* to audit: what the auth role said with MSG_ACCOUNT_NOTE */
	MSG_DRAIN,         /* finish what runs, accept nothing new, then exit */
	/* role -> monitor */
	MSG_READY,         /* configuration is in force */
	MSG_RELOAD_FAILED, /* body: diagnostics as text; the old one stays in force */
	MSG_WORKER_STUCK, /* auth -> monitor: these did not confirm a revocation: u32 count, numbers */
	MSG_ACCOUNT_NOTE, /* auth -> monitor: u8 suspended, str user, str reason */
	MSG_STATUS,       /* both ways: question, then JSON answer */
	/* worker -> auth */
	MSG_TOKEN_CHECK = 32,
	MSG_TOKEN_ISSUE,
	MSG_TOKEN_LIST,
	MSG_TOKEN_REVOKE,
	MSG_TOKEN_REVOKED_ACK,
	MSG_TOKENS_USED, /* body: ids used since the last one */
	MSG_TOKEN_ROTATE,
	MSG_ACCOUNT_CHECK,   /* of who comes by certificate */
	MSG_SERVICE_DECLARE, /* service accounts */
	MSG_SERVICE_LIST,
	MSG_SERVICE_REMOVE,
	MSG_TOKENS_HELD, /* body: ids known as good, and since when: after a restart of auth */
	/* auth -> worker */
	MSG_TOKEN_RESULT = 64,
	MSG_ANSWER,
	MSG_TOKEN_REVOKED,
	MSG_LIST_KEYS, /* body: the ring of list_token.h */
	/* worker -> audit */
	MSG_AUDIT_APPEND = 96,
	MSG_AUDIT_RECENT, /* u64 ticket, then a question (audit_recent.h) */
	/* audit -> worker */
	MSG_AUDIT_DONE = 128,
	MSG_AUDIT_STATE,         /* body: u8 writable */
	MSG_AUDIT_RECENT_ANSWER, /* u64 ticket, str JSON */
	/* role -> key, and back (key_messages.h) */
	MSG_KEY_SIGN = 160,
	MSG_KEY_SIGNED,
};

#endif
