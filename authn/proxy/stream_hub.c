/*
 * Whose turn it is: streams that have something to send, that OpenSSL holds more bytes of, or whose
 * time is up.
 */
#include <stdlib.h>

#include "authn/proxy/stream_internal.h"

static void
prepare_flush(struct stream_hub *hub)
{
	if (hub->before_flush != NULL)
		hub->before_flush(hub->arg);
}

static void
flush_dirty(struct stream_hub *hub)
{
	prepare_flush(hub);
	/* Ends, because flushing only moves what has been received already. */
	while (hub->dirty != NULL) {
		struct stream *s = hub->dirty;

		hub->dirty = s->dirty_next;
		s->dirty = false;
		stream_flush_now(s);
		prepare_flush(hub); /* flushing may have ended further answers */
	}
}

/* One turn for each that is on the list now; who wants still more is at its end again. */
static void
run_again(struct stream_hub *hub)
{
	size_t turns = 0;

	for (const struct stream *s = hub->again; s != NULL; s = s->again_next)
		turns++;
	for (; turns != 0 && hub->again != NULL; turns--) {
		struct stream *s = hub->again;

		hub->again = s->again_next;
		s->again = false;
		if (s->state == STREAM_OPEN || s->state == STREAM_LINGER)
			stream_read(s);
	}
	if (hub->again == NULL)
		(void)uv_idle_stop(&hub->idle);
}

static void
on_idle(uv_idle_t *handle)
{
	(void)handle; /* run_again does the work after polling */
}

static void
on_prepare(uv_prepare_t *handle)
{
	struct stream_hub *hub = handle->data;

	flush_dirty(hub);
}

static void
on_check(uv_check_t *handle)
{
	struct stream_hub *hub = handle->data;

	run_again(hub);
	flush_dirty(hub);
}

static void
on_tick(uv_timer_t *handle)
{
	struct stream_hub *hub = handle->data;
	monotime_t now = monotime_now();
	struct stream *next;

	for (struct stream *s = hub->all; s != NULL; s = next) {
		next = s->next;
		if (s->state == STREAM_CLOSED || s->deadline.ns == 0 ||
		    s->deadline.ns > now.ns)
			continue;
		s->deadline.ns = 0;
		if (s->state == STREAM_LINGER)
			stream_close(s);
		else
			s->ops->failed(s, NULL);
	}
	if (hub->second != NULL)
		hub->second(hub->arg);
}

void
stream_hub_init(struct stream_hub *hub, uv_loop_t *loop)
{
	*hub = (struct stream_hub){.loop = loop};
	hub->staging = xmalloc(STREAM_RECORD_BYTES);
	hub->scratch = xmalloc(STREAM_SCRATCH_BYTES);
	hub->wire = xmalloc(STREAM_WIRE_BYTES);
	(void)uv_prepare_init(loop, &hub->prepare);
	(void)uv_check_init(loop, &hub->check);
	(void)uv_idle_init(loop, &hub->idle);
	(void)uv_timer_init(loop, &hub->tick);
	hub->prepare.data = hub->check.data = hub->idle.data = hub->tick.data = hub;
	hub->idle.idle_cb = on_idle;
	(void)uv_prepare_start(&hub->prepare, on_prepare);
	(void)uv_check_start(&hub->check, on_check);
	(void)uv_timer_start(&hub->tick, on_tick, 1000, 1000);
}

void
stream_hub_fini(struct stream_hub *hub)
{
	uv_close((uv_handle_t *)&hub->prepare, NULL);
	uv_close((uv_handle_t *)&hub->check, NULL);
	uv_close((uv_handle_t *)&hub->idle, NULL);
	uv_close((uv_handle_t *)&hub->tick, NULL);
	free(hub->staging);
	free(hub->scratch);
	free(hub->wire);
	hub->staging = hub->scratch = NULL;
}
