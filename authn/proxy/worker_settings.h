/*
 * What a worker is told before it starts and on reload (MSG_CONFIG): the monitor reads
 * files and resolves names, seals the result into a memfd, and the confined worker only parses it.
 *
 * Protocol with the monitor:
 *   at start  descriptors enum worker_fd, then MSG_CONFIG with fds[0] settings and fds[1]
 *             a policy bundle; answered by MSG_READY once the listeners answer
 *   reload    MSG_CONFIG with fds[0] settings (and, if it changed, fds[1] a bundle), or MSG_POLICY
 *             with fds[0] a bundle; answered by MSG_READY, or MSG_RELOAD_FAILED with the reason as
 *             text, the old state staying in force
 *   restart   MSG_PEER_AUTH, MSG_PEER_AUDIT, MSG_PEER_KEY with fds[0] the new socket; no answer
 *   MSG_TICKET_KEY brings a key for session tickets, at start and then from time to time
 *   MSG_STATUS is answered by MSG_STATUS with a JSON object
 *   MSG_DRAIN ends the worker with status 0 when what runs has ended
 * An answer carries the id of its question.
 */
#ifndef AUTHN_WORKER_SETTINGS_H
#define AUTHN_WORKER_SETTINGS_H

#include "authn/access/list_token.h"
#include "authn/config/config.h"
#include "common/err.h"
#include "common/ip.h"

/* Order of the descriptors that worker_run is given. */
enum worker_fd {
	WORKER_FD_AUTH,   /* socket to the auth role */
	WORKER_FD_AUDIT,  /* socket to the audit role */
	WORKER_FD_KEY,    /* socket to the key role */
	WORKER_FD_QUOTA,  /* memfd of quota_table_bytes(), formatted */
	WORKER_FD_LISTEN, /* one or more listening sockets (SO_REUSEPORT) */
};

struct worker_upstream {
	struct str
	    host; /* name or address, without brackets: what the certificate names */
	uint16_t port;
	const struct ip_addr *addresses; /* the host's, resolved */
	size_t address_count;
};

struct worker_limits {
	uint32_t connections; /* of clients, per worker; default 10,000 */
	uint32_t handshake_ms, header_ms, idle_ms, connect_ms, drain_ms;
	uint32_t upstream_connections; /* per server; default 64 */
	uint32_t upstream_in_flight;   /* per server, without watches; 0: no limit */
};

struct worker_settings {
	uint32_t index; /* of this worker, from 0 */
	/* PEM; client_ca and client_crl may be "". */
	struct str tls_certificate, client_ca, client_crl;
	/* Of this start of the gate, the same for all workers: what the keys of continue tokens
	 * come from where no replicas share theirs (list_token.h). */
	uint8_t list_seed[LIST_SEED_BYTES];
	const struct worker_upstream *upstreams;
	size_t upstream_count;
	struct str upstream_ca, upstream_certificate; /* PEM */
	enum gate_identity_mode identity;
	struct str lists_as;     /* "": filtered lists are asked as the user himself */
	struct str audit_policy; /* the text of its file; "": none */
	bool audit_required;
	bool certificate_accounts; /* certificates name accounts of the directory */
	bool shares_lists; /* the keys of continue tokens come from the auth role */
	bool confine;      /* drop privileges and filter system calls */
	uint32_t uid, gid; /* 0: stay */
	struct worker_limits limits;
};

/* The limits of the design, for whoever fills settings. */
void worker_limits_default(struct worker_limits *limits);

/* Looks a host up (blocking; the monitor's affair): all its addresses, in the arena. */
MUST_CHECK int worker_upstream_resolve(
    struct arena *arena, struct worker_upstream *upstream, struct err *err);

void worker_settings_encode(struct buf *out, const struct worker_settings *settings);
/* Copies everything into the arena. ERR_PROTOCOL for a malformed text. */
MUST_CHECK int worker_settings_decode(struct arena *arena, struct str text,
    struct worker_settings *out_settings, struct err *err);

/* The same by way of a sealed memfd; the caller closes it. */
MUST_CHECK int worker_settings_seal(
    const struct worker_settings *settings, int *out_fd, struct err *err);
MUST_CHECK int worker_settings_open(
    struct arena *arena, int fd, struct worker_settings *out_settings, struct err *err);

#endif
