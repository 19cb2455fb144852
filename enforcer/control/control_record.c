#include "enforcer/control/control_record.h"

#include <sys/random.h>
#include <sys/socket.h>

/* Names of containers and pods are shorter. */
#define WORDS_MOST 512

bool
control_window_takes(
    struct control_window *w, monotime_t now, uint64_t *out_passed_over)
{
	if (w->since.ns == 0 || now.ns - w->since.ns >= CONTROL_RECORD_MINUTES) {
		w->since = now;
		w->count = 0;
	}
	if (w->count == CONTROL_RECORDS_MOST) {
		w->passed_over++;
		return false;
	}
	w->count++;
	*out_passed_over = w->passed_over;
	w->passed_over = 0;
	return true;
}

void
control_record(struct control_window *w, const struct asked *a)
{
	struct engine *e = asked_engine(a);
	const struct ucred peer = server_conn_peer(a->conn);
	struct audit_asked event = {
	    .node = e->settings.node,
	    .question = a->words[0],
	    .uid = peer.uid,
	    .pid = peer.pid,
	    .now = walltime_now(),
	};
	struct buf words = {0}, line = {0};
	uint8_t id[16];

	if (!control_window_takes(w, monotime_now(), &event.passed_over)) {
		e->audit.passed_over++;
		return;
	}
	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		base_die("getrandom");
	for (size_t i = 1; i < a->count; i++) {
		buf_add_cstr(&words, i > 1 ? " " : "");
		buf_add_str(&words, a->words[i]);
	}
	event.words = str_slice(buf_str(&words), 0, WORDS_MOST);
	audit_event_asked(&line, id, &event);
	(void)engine_audit_send(e, buf_str(&line), false); /* lost lines are counted */
	buf_free(&words);
	buf_free(&line);
}
