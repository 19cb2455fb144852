#include "authn/wire/peer_poll.h"

#include <stdlib.h>

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

int
peer_poll_open(uv_loop_t *loop, struct proc_channel *channel, int fd, const char *role,
    void *data, uv_poll_t **out_poll, struct err *err)
{
	uv_poll_t *poll = xcalloc(1, sizeof(*poll));
	int rc;

	*out_poll = NULL;
	proc_channel_init(channel, fd);
	rc = uv_poll_init(loop, poll, fd);
	if (rc != 0) {
		free(poll);
		proc_channel_close(channel);
		return err_set(err, ERR_SYSTEM, "watch %s: %s", role, uv_strerror(rc));
	}
	poll->data = data;
	*out_poll = poll;
	return 0;
}

void
peer_poll_close(uv_poll_t **poll, struct proc_channel *channel)
{
	if (*poll != NULL) {
		(*poll)->data = NULL;
		uv_close((uv_handle_t *)*poll, free_handle);
		*poll = NULL;
	}
	proc_channel_close(channel);
}
