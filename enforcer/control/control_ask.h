/*
 * Between control*.c: one question, and the ways to end it.
 */
#ifndef ENFORCER_CONTROL_ASK_H
#define ENFORCER_CONTROL_ASK_H

#include "enforcer/control/control.h"
#include "enforcer/control/server.h"
#include "enforcer/engine/engine_state.h"

#define CONTROL_WORDS 6

struct asked {
	struct control *control;
	struct server_conn *conn;
	struct str words[CONTROL_WORDS];
	size_t count;
};

MUST_CHECK struct engine *asked_engine(const struct asked *a);
/* The connection of a question that waits; NULL: it is over. */
MUST_CHECK struct server_conn *control_find(struct control *c, uint64_t conn_id);
/* {"error": ...} */
void asked_refuse(struct asked *a, const char *why);
/* {} */
void asked_done(struct asked *a);

/* control_attach.c */
void ask_attach(struct asked *a);
void ask_detach(struct asked *a);
void ask_keep(struct asked *a);

/* control_explain.c */
void ask_explain(struct asked *a);
void ask_explain_text(struct asked *a);

#endif
