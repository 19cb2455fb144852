#include "enforcer/wire/link.h"

#include <stdlib.h>

#include "common/log.h"
#include "enforcer/wire/messages.h"

#define READ_BATCH 64 /* messages taken at a time: others want their turn */

struct link {
	uv_poll_t poll;
	struct proc_channel *channel;
	const struct link_handler *handler;
	void *arg;
	bool freed;
};

static void
on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
link_free(struct link *link)
{
	if (link == NULL || link->freed)
		return;
	link->freed = true;
	(void)uv_poll_stop(&link->poll); /* of an open handle: cannot fail */
	uv_close((uv_handle_t *)&link->poll, on_closed);
}

/* Returns as proc_recv. */
static int
take_message(struct link *link)
{
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = proc_recv(link->channel, &msg, &err);

	if (rc == 1) {
		if (!link->handler->message(link->arg, &msg)) {
			log_error("message-refused", "type=%u", (unsigned)msg.type);
			rc = ERR_PROTOCOL;
		}
		proc_msg_close_fds(&msg);
	} else if (rc < 0 && err.code != ERR_UNAVAILABLE) {
		log_error("message", "detail=%s", log_quote(str_from(err.msg)));
	}
	return rc;
}

/* The handle's memory lives until the loop's next turn, so that it may be looked at after a
 * handler has freed the link. */
static void
on_readable(uv_poll_t *poll, int status, int events)
{
	struct link *link = poll->data;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	(void)events; /* only readability is watched */
	for (unsigned n = 0; n < READ_BATCH && rc == 1 && !link->freed; n++)
		rc = take_message(link);
	if (rc < 0 && !link->freed) {
		(void)uv_poll_stop(poll); /* of an open handle: cannot fail */
		link->handler->lost(link->arg);
	}
}

int
link_new(uv_loop_t *loop, struct proc_channel *channel,
    const struct link_handler *handler, void *arg, struct link **out_link,
    struct err *err)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->channel = channel;
	link->handler = handler;
	link->arg = arg;
	link->poll.data = link;
	if (uv_poll_init(loop, &link->poll, channel->fd) != 0) {
		free(link);
		return err_set(err, ERR_SYSTEM, "cannot watch a channel");
	}
	if (uv_poll_start(&link->poll, UV_READABLE, on_readable) != 0) {
		link_free(link);
		return err_set(err, ERR_SYSTEM, "cannot watch a channel");
	}
	*out_link = link;
	return 0;
}

int
link_take_fd(struct proc_msg *msg)
{
	if (msg->fd_count != 1)
		return -1;
	msg->fd_count = 0;
	return msg->fds[0];
}

int
link_send(struct proc_channel *channel, uint32_t type, uint32_t id,
    const struct buf *body, int fd, struct err *err)
{
	struct proc_msg msg = {.type = type,
	    .id = id,
	    .data = body != NULL ? (const uint8_t *)body->data : NULL,
	    .len = body != NULL ? body->len : 0,
	    .fds = {fd},
	    .fd_count = fd >= 0};

	if (channel->fd < 0)
		return err_set(err, ERR_UNAVAILABLE, "there is nobody to send to");
	return proc_send(channel, &msg, err);
}

void
link_pong(struct proc_channel *channel)
{
	struct err err = ERR_INIT;

	if (link_send(channel, MSG_PONG, 0, NULL, -1, &err) != 0)
		log_debug("pong", "detail=%s", log_quote(str_from(err.msg)));
}
