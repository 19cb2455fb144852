/*
 * Between the two files of streams.
 */
#ifndef AUTHN_STREAM_INTERNAL_H
#define AUTHN_STREAM_INTERNAL_H

#include "authn/proxy/stream.h"

#define STREAM_SCRATCH_BYTES (64 * 1024)
#define STREAM_WIRE_BYTES    (96 * 1024) /* sent at 64 KiB; records are up to 17 KiB */

/* Reads what is there, within this turn's budget. */
void stream_read(struct stream *s);
/* Writes what waits, and what the owner has to send. */
void stream_flush_now(struct stream *s);

/* ---- stream_wire.c ---- */

/* What OpenSSL reads from and writes to. */
MUST_CHECK BIO *stream_bio_new(struct stream *s);
/* Sends what this stream's records of this turn are; the rest becomes pending. */
void stream_send_wire(struct stream *s);
void stream_send_pending(struct stream *s);
void stream_drop_pending(struct stream *s);

#endif
