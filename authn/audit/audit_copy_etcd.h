/*
 * Checkpoints of an audit log in etcd: PREFIX/NAME+ID/SIZE (20 digits) holds the signed note of
 * so many lines, under the log's own name and the id of its key. A note that is there is never
 * replaced, so that of two logs under one key, or of one that was cut off and goes on, the second is
 * refused. The newest speaks for every line up to its own, so that of older ones only so many stay.
 * etcd itself has no right to add alone: who has the copy's credentials can remove.
 */
#ifndef AUTHN_AUDIT_COPY_ETCD_H
#define AUTHN_AUDIT_COPY_ETCD_H

#include "authn/audit/audit_copy.h"
#include "authn/wire/etcd.h"
#include "common/audit_note.h"

struct audit_tool;

struct audit_etcd {
	struct etcd_options etcd;
	struct str prefix; /* ends with '/' */
	uint64_t keep;     /* checkpoints that stay, the newest; 0: all */
};

/* "etcd://HOST:PORT[,HOST:PORT...][/PREFIX/]", with the tool's --ca and --etcd-... Returns as
 * audit_syslog_parse. Everything lives in the tool's arena. */
MUST_CHECK int audit_etcd_parse(const struct audit_tool *t, struct str target,
    struct audit_etcd *out, struct err *err);
/* A store of checkpoints. Borrows both. */
struct audit_sink *audit_sink_etcd(
    const struct audit_etcd *options, const struct audit_key *key);
/* Appends every note below the prefix, of whatever log. */
MUST_CHECK int audit_etcd_fetch(
    const struct audit_etcd *options, struct buf *out, struct err *err);

#endif
