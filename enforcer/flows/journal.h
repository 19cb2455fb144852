/*
 * Flow records for systemd's journal, in its native protocol (systemd.io/JOURNAL_NATIVE_
 * PROTOCOL): fields, one datagram an entry. Pure. Why not libsystemd: it opens its socket
 * itself, which the engine cannot.
 */
#ifndef ENFORCER_JOURNAL_H
#define ENFORCER_JOURNAL_H

#include "enforcer/flows/flow_view.h"

/* Identifies the kind of entry: `journalctl MESSAGE_ID=...`. */
#define JOURNAL_FLOW_ID "6c0f7f8f5f0e4b6fa1a2b9e2a3d9c0b7"

/* Appends one entry. */
void journal_add(struct buf *out, const struct flow_view *view);

#endif
