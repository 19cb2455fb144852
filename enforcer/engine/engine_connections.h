/*
 * Connections that are there: those that policy forbids by now, those that nobody tracked,
 * and those that a policy which is only watched would deny.
 */
#ifndef ENFORCER_ENGINE_CONNECTIONS_H
#define ENFORCER_ENGINE_CONNECTIONS_H

#include <uv.h>

#include "common/clock.h"
#include "common/map.h"
#include "enforcer/kernel/nflog_reader.h"
#include "enforcer/wire/connection.h"
#include "policy-lang/table/table_walk.h"

struct engine;
struct program;

/* What the kernel has, where the model in force says something else: a change of it is held up,
 * or refused. */
struct engine_former {
	struct arena *arena; /* NULL: there is none, or nobody has asked */
	struct table_content content;
	monotime_t committed; /* the commit that made it */
};

struct engine_cut {
	bool wanted;    /* policy has changed since the last list began */
	bool soon;      /* and those that it is about may be there */
	bool running;   /* one list at a time */
	bool began_now; /* the next question begins a list */
	monotime_t began, not_before;
	monotime_t seldom;           /* nor before this, unless it is to be soon */
	struct arena *arena;         /* of one answer and of the connections to end */
	struct engine_former former; /* of the list under way */
	struct connection *found;    /* that are to be judged */
	size_t found_count;
	bool held; /* until it is known what is in force */
	struct connection *ending;
	struct nflog_packet *records; /* of them, with the rules that end them */
	size_t ending_count;
	bool done;    /* the list has ended */
	bool failing; /* and it has been told */
	uv_timer_t timer;
	size_t listed; /* by this list, and by the last whole one: */
	size_t last_listed;
	uint64_t last_us;
	uint64_t lists, failures, cut, kept;
};

struct gone_addresses {
	struct map addresses;
	struct arena *arena;
};

/* Addresses that workloads here had: since the list under way began, and before that. */
struct engine_gone {
	struct gone_addresses since, asked;
};

/* Connections that were told of: in the last list, or in this one. */
struct shadow_seen {
	struct map told;
	struct arena *arena;
};

struct shadow_count {
	uint32_t number;
	uint64_t connections;
};

struct engine_shadow {
	struct shadow_seen before, now;
	struct shadow_count *counts; /* by rule */
	size_t count_len;
	uint64_t denied;
	uv_timer_t timer;
};

#define ENGINE_ADOPT_MOST 256

struct engine_adopt {
	bool fresh;          /* no program of an earlier run is in force */
	bool open;           /* the first program came into force a moment ago */
	uv_timer_t timer;    /* its end */
	struct map never;    /* ends of connections that were cut meanwhile */
	struct arena *arena; /* of them */
	struct connection waiting[ENGINE_ADOPT_MOST];
	size_t count;
	bool asked; /* the kernel role, for those of before */
	uint64_t adopted;
};

/* ---- engine_cut.c ---- */

void engine_cut_init(struct engine *e);
void engine_cut_fini(struct engine *e);
/* Policy has changed: connections are to be judged anew, as soon as they may; or, not so
 * `soon`, within a second or so: where workloads came or went, hardly any can be theirs. */
void engine_cut_want(struct engine *e, bool soon);
/* What is in force may be known now, where it was not; or the kernel role is gone. */
void engine_cut_decided(struct engine *e);
void engine_cut_disconnected(struct engine *e);
/* Whether the address is still a workload's of this node in the kernel, although the model has
 * lost it; while a list is judged. */
MUST_CHECK bool engine_cut_former_has(
    const struct engine *e, const struct ip_addr *addr);
/* Where the table meets what the node itself begins or ends, and everything else. */
MUST_CHECK enum table_hook engine_cut_hook(bool from_node, bool to_node);
/* What began a connection, as the table met it. */
MUST_CHECK struct table_packet engine_cut_first_packet(const struct connection *c);
/* The same for the flow log, by the rule of that number; neither cut nor audit yet. */
MUST_CHECK struct nflog_packet engine_cut_record(
    const struct connection *c, uint32_t number);
/* True if no connection is ever cut. */
MUST_CHECK bool engine_cut_never(const struct engine *e);

/* ---- engine_gone.c ---- */

void engine_gone_init(struct engine *e);
void engine_gone_fini(struct engine *e);
/* Addresses that are this node's workloads' may soon be nobody's: those of elements, IPv4 and
 * IPv6, as of SET_OWN4 and SET_OWN6; or all of a program in force. */
void engine_gone_note(struct engine *e, const struct table_element *const *elements,
    const size_t *counts);
void engine_gone_note_program(struct engine *e, const struct program *p);
/* Connections are listed, and have been. */
void engine_gone_list_begins(struct engine *e);
void engine_gone_listed(struct engine *e);
/* Whether an end of it was behind an interface of workloads, and is nobody's by now. */
MUST_CHECK bool engine_gone_had(const struct engine *e, const struct connection *c);

/* ---- engine_shadow.c ---- */

void engine_shadow_init(struct engine *e);
void engine_shadow_fini(struct engine *e);
MUST_CHECK bool engine_shadow_wanted(const struct engine *e);
/* A connection that policy in force allows, of a list; and the list's end. */
void engine_shadow_judge(struct engine *e, const struct connection *c);
void engine_shadow_listed(struct engine *e);

/* ---- engine_adopt.c ---- */

void engine_adopt_init(struct engine *e);
void engine_adopt_fini(struct engine *e);
/* What is to become of TCP in mid-stream now. */
MUST_CHECK enum table_midstream engine_adopt_midstream(const struct engine *e);
/* A program, no skeleton, has come into force. */
void engine_adopt_committed(struct engine *e);
/* A connection that is cut: what comes of it is not to bring it back. */
void engine_adopt_never(struct engine *e, const struct connection *c);
/* A packet in mid-stream. True if it belongs to a connection that policy allows, and that
 * goes on once conntrack knows it. */
MUST_CHECK bool engine_adopt_packet(
    struct engine *e, const struct nflog_packet *packet);

#endif
