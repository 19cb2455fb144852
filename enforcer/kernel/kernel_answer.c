#include <unistd.h>

#include "common/log.h"
#include "enforcer/kernel/kernel_state.h"
#include "enforcer/wire/blob.h"

void
kernel_engine_lost(struct kernel *k)
{
	proc_channel_close(&k->engine);
}

void
kernel_answer(
    struct kernel *k, uint32_t type, uint32_t id, const struct buf *body, int fd)
{
	struct proc_msg msg = {.type = type,
	    .id = id,
	    .data = (const uint8_t *)body->data,
	    .len = body->len,
	    .fds = {fd},
	    .fd_count = fd >= 0};
	struct err err = ERR_INIT;

	if (k->engine.fd >= 0 && proc_send(&k->engine, &msg, &err) != 0) {
		/* The parent tells of its end; here it is of no interest. */
		log_debug("engine-link", "detail=%s", log_quote(str_from(err.msg)));
		kernel_engine_lost(k);
	}
}

void
kernel_put_outcome(struct buf *body, int rc, const struct err *err)
{
	proc_put_str(body, rc == 0 ? STR("") : str_from(err->msg));
}

/* A blob that cannot be made is an outcome too: then the answer has an empty one. */
static int
put_blob(struct buf *body, const struct buf *data, int *rc, struct err *err)
{
	int fd = -1;
	int failed = blob_put(body, buf_str(data), &fd, err);

	if (failed != 0) {
		int none = blob_put(body, STR(""), &fd, NULL);

		(void)none; /* nothing can fail with nothing in it */
		*rc = failed;
	}
	return fd;
}

void
kernel_answer_blob(struct kernel *k, uint32_t type, uint32_t id, int rc,
    struct buf *head, struct buf *data, struct err *err)
{
	struct buf blob = {0}, body = {0};
	int fd = put_blob(&blob, data, &rc, err);

	proc_put_u32(&body, (uint32_t)rc);
	buf_add_str(&body, buf_str(head));
	buf_add_str(&body, buf_str(&blob));
	kernel_put_outcome(&body, rc, err);
	kernel_answer(k, type, id, &body, fd);
	if (fd >= 0)
		(void)close(fd); /* the engine has its own */
	buf_free(&body);
	buf_free(&blob);
	buf_free(head);
	buf_free(data);
}
