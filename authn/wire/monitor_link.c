#include "authn/wire/monitor_link.h"

#include <poll.h>

#include "authn/wire/messages.h"
#include "common/log.h"

#define START_MS 10000 /* for the monitor to say what to do */

int
monitor_link_config(
    struct proc_channel *channel, struct proc_msg *out_msg, struct err *err)
{
	struct pollfd wait = {.fd = channel->fd, .events = POLLIN};

	(void)poll(&wait, 1, START_MS); /* what comes or not, the next line tells */
	if (proc_recv(channel, out_msg, err) != 1 || out_msg->type != MSG_CONFIG)
		return err_set(err, ERR_PROTOCOL, "the monitor sent no configuration");
	return 0;
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	struct monitor_link *link = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	(void)events; /* only readability is watched */
	while (rc == 1) {
		rc = proc_recv(link->channel, &msg, &err);
		if (rc != 1)
			break;
		if (!link->take(link->arg, &msg))
			rc = err_set(&err, ERR_PROTOCOL, "unexpected message");
		proc_msg_close_fds(&msg);
	}
	if (rc < 0 && link->lost != NULL)
		link->lost(link->arg, &err);
	else if (rc < 0)
		uv_stop(poll->loop);
}

int
monitor_link_start(struct monitor_link *link, uv_loop_t *loop, struct err *err)
{
	link->poll.data = link;
	if (uv_poll_init(loop, &link->poll, link->channel->fd) != 0 ||
	    uv_poll_start(&link->poll, UV_READABLE, on_readable) != 0)
		return err_set(err, ERR_SYSTEM, "cannot watch the monitor");
	return 0;
}

void
monitor_link_send(
    struct proc_channel *channel, uint32_t type, uint32_t id, struct str body)
{
	const struct proc_msg msg = {
	    .type = type, .id = id, .data = (const uint8_t *)body.ptr, .len = body.len};
	struct err err = ERR_INIT;

	if (proc_send(channel, &msg, &err) != 0)
		log_warn("monitor-send", "detail=%s", log_quote(str_from(err.msg)));
}
