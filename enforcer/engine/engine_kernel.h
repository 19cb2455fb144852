/*
 * The kernel role, as the engine sees it: questions and their answers.
 */
#ifndef ENFORCER_ENGINE_KERNEL_H
#define ENFORCER_ENGINE_KERNEL_H

#include <uv.h>

#include "enforcer/engine/plan.h"
#include "enforcer/wire/link.h"
#include "enforcer/wire/ops.h"

struct engine;

/* `answer` NULL: the link was lost before it came. */
typedef void (*kernel_answer_fn)(
    struct engine *e, const struct proc_msg *answer, void *arg);

struct kernel_question {
	struct kernel_question *next;
	uint32_t id;
	uint32_t answer_type;
	monotime_t asked;
	kernel_answer_fn answered;
	void *arg;
};

struct engine_kernel {
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	struct kernel_question *questions;
	uint32_t last_id;
	bool owned;         /* the table is: others have no say in it */
	unsigned lacks;     /* of limits, enum op_lack: those are not enforced */
	uv_timer_t missing; /* ends us if no new link comes */
};

void engine_kernel_init(struct engine *e);
void engine_kernel_fini(struct engine *e);
/* Takes the socket to a new kernel role. */
void engine_kernel_connect(struct engine *e, int fd);
MUST_CHECK bool engine_kernel_connected(const struct engine *e);
/* What is wrong with us at this moment, so that only a new start helps; NULL: nothing. */
MUST_CHECK const char *engine_kernel_ill(const struct engine *e, monotime_t now);
/* Takes out of settings that have come what the kernel cannot do. */
void engine_kernel_limit(struct engine *e);
/* Asks; `answered` is called once, later, unless this fails. `fd` may be -1. */
MUST_CHECK int engine_kernel_ask(struct engine *e, uint32_t type,
    const struct buf *body, int fd, kernel_answer_fn answered, void *arg,
    struct err *err);

/* What MSG_OBSERVED says. */
struct kernel_observation {
	int code; /* 0, or an enum err_code */
	uint32_t generation;
	uint8_t digest[32];
	/* Unless code is 0, SET_OWN4 and SET_OWN6 alone. */
	struct plan_observed table;
	const char *detail;
};
/* Reads one into the arena. */
MUST_CHECK int kernel_observation_read(struct arena *arena, const struct proc_msg *msg,
    struct kernel_observation *out, struct err *err);

/* What MSG_COUNTED says: calls `each`; false if it cannot be read. `msg` may be NULL. */
MUST_CHECK bool kernel_counters_read(const struct proc_msg *msg,
    void (*each)(void *arg, uint32_t number, uint64_t packets, uint64_t bytes),
    void *arg);

#endif
