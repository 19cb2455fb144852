/*
 * An NFLOG socket in the engine's loop: read a few datagrams at a time, as others want their
 * turn, and what is missing among the packets is counted.
 */
#ifndef ENFORCER_NFLOG_READER_H
#define ENFORCER_NFLOG_READER_H

#include <uv.h>

#include "enforcer/kernel/nflog.h"

struct nflog_reader {
	/* Whoever makes it sets these, and fd to -1. */
	nflog_packet_fn each;
	void (*after)(void *arg); /* after some were read */
	void *arg;
	int fd;             /* -1: none */
	uint64_t lost;      /* packets that did not fit into the socket */
	uint64_t malformed; /* that could not be understood */
	/* ---- the reader's own ---- */
	uv_poll_t *poll;
	bool has_seq;
	uint32_t next_seq;
};

/* Takes the socket over instead of the one before; -1: none. False: it cannot be watched,
 * and is closed. */
MUST_CHECK bool nflog_reader_take(struct nflog_reader *r, uv_loop_t *loop, int fd);
void nflog_reader_close(struct nflog_reader *r);

#endif
