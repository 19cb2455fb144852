/*
 * The control socket by its name: a socket whose file somebody has deleted is reached by nobody any
 * more, so it is looked after, and made anew.
 */
#include <unistd.h>

#include "common/log.h"
#include "enforcer/parent/parent_state.h"

#define LOOK_MS 1000

static void
on_look(uv_timer_t *timer)
{
	struct parent *p = timer->data;
	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd = -1;

	if (files_control_is(p->config, &p->control_file))
		return;
	if (files_listen_control(p->config, &p->control_file, &fd, &err) != 0) {
		if (!p->control_failed)
			log_error("control-socket", "detail=%s",
			    log_quote(str_from(err.msg)));
		p->control_failed = true;
		return;
	}
	p->control_failed = false;
	log_warn("control-socket", "path=%s message=\"was gone, and is made anew\"",
	    log_quote(str_from(p->config->control_socket)));
	(void)close(p->listeners[LISTENER_CONTROL]); /* nobody can reach it */
	p->listeners[LISTENER_CONTROL] = fd;
	proc_put_u8(&body, LISTENER_CONTROL);
	parent_send(p, ROLE_ENGINE, MSG_LISTENER, &body, fd);
	buf_free(&body);
}

int
parent_control_listen(struct parent *p, struct err *err)
{
	int rc = files_listen_control(
	    p->config, &p->control_file, &p->listeners[LISTENER_CONTROL], err);

	if (rc == 0 &&
	    uv_timer_start(&p->control_timer, on_look, LOOK_MS, LOOK_MS) != 0)
		base_die("cannot start a timer");
	return rc;
}

void
parent_control_init(struct parent *p)
{
	p->control_timer.data = p;
	if (uv_timer_init(&p->loop, &p->control_timer) != 0)
		base_die("cannot make a timer");
}

void
parent_control_fini(struct parent *p)
{
	uv_close((uv_handle_t *)&p->control_timer, NULL);
	/* What is there by now may be another daemon's. */
	if (p->listeners[LISTENER_CONTROL] >= 0 &&
	    files_control_is(p->config, &p->control_file))
		(void)unlink(p->config->control_socket); /* its end is all the same */
}
