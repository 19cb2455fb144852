/*
 * Copies of an audit log that leave the machine: lines as soon as a checkpoint signs them, and
 * checkpoints. What is copied is on disk and signed: no crash of the writer can take it back,
 * so a copy never knows more than the log. Whoever changes the log later must change every
 * copy too (audit_verify_against).
 */
#ifndef AUTHN_AUDIT_COPY_H
#define AUTHN_AUDIT_COPY_H

#include "common/audit_store.h"

/* Where copies go. */
struct audit_sink {
	const struct audit_sink_ops *ops;
};

struct audit_sink_ops {
	/* Opens or reopens it; sets how many lines it has already, as far as it knows. */
	int (*open)(struct audit_sink *s, uint64_t *out_lines, struct err *err);
	/* The line that the reader has just given; NULL: a store of checkpoints, which wants
	 * none. */
	int (*line)(struct audit_sink *s, const struct audit_reader *at,
	    struct str line, struct err *err);
	int (*checkpoint)(struct audit_sink *s, struct str note, struct err *err);
	/* What was given is on its way, or on the other side's disk. */
	int (*settle)(struct audit_sink *s, uint64_t lines, struct err *err);
	/* Nothing more comes: all of it is with the other side. May be NULL. */
	int (*finish)(struct audit_sink *s, uint64_t lines, struct err *err);
	void (*close)(struct audit_sink *s);
	void (*free)(struct audit_sink *s);
};

/* A directory: log-N.jsonl as in the log, only ever appended to; checkpoints, one behind the
 * other; key.pub. `source`: the log's own directory. */
struct audit_sink *audit_sink_directory(const char *path, int source);

struct audit_syslog_options {
	struct str host; /* name or address, without brackets */
	struct str port;
	bool tls;
	const char *ca;                /* NULL: the system's */
	const char *certificate, *key; /* files, ours; NULL: none */
	/* Remembers between runs how many lines have arrived; NULL: starts with the first. */
	const char *state;
};
/* RFC 5424 over TCP (RFC 6587, octet counting) or TLS (RFC 5425). */
struct audit_sink *audit_sink_syslog(const struct audit_syslog_options *options);

/* Reads "syslog://HOST:PORT" or "syslog+tls://HOST:PORT"; 0: it is none; ERR_INVALID: it is
 * one and wrong; 1. Texts are views. */
MUST_CHECK int audit_syslog_parse(
    struct str target, struct audit_syslog_options *out, struct err *err);

#endif
