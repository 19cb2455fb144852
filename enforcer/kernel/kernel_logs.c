#include <unistd.h>

#include "common/log.h"
#include "enforcer/kernel/kernel_state.h"
#include "enforcer/kernel/nflog.h"

static void
send_log(struct kernel *k, enum enforcer_nflog which)
{
	struct buf body = {0};

	proc_put_u8(&body, (uint8_t)which);
	kernel_answer(k, MSG_NFLOG, 0, &body, k->logs[which].fd);
	buf_free(&body);
}

static void
bind_log(struct kernel *k, enum enforcer_nflog which)
{
	static const uint32_t copy_bytes[] = {
	    [NFLOG_FLOWS] = NFLOG_HEADERS, [NFLOG_NAMES] = NFLOG_WHOLE};
	struct logged *log = &k->logs[which];
	struct err err = ERR_INIT;

	if (log->bound || log->fd < 0)
		return;
	if (nflog_bind(log->fd, log->group, copy_bytes[which], &err) != 0) {
		if (!log->complained)
			log_error("flows-not-read", "group=%u detail=%s",
			    (unsigned)log->group, log_quote(str_from(err.msg)));
		log->complained = true;
		return;
	}
	if (log->complained)
		log_info("flows-read", "group=%u", (unsigned)log->group);
	log->bound = true;
	send_log(k, which);
}

void
kernel_logs_bind(struct kernel *k)
{
	for (unsigned i = 0; i < NFLOG_COUNT; i++)
		bind_log(k, (enum enforcer_nflog)i);
}

int
kernel_logs_open(struct kernel *k, struct err *err)
{
	int rc = nflog_open(&k->logs[NFLOG_FLOWS].fd, err);

	k->logs[NFLOG_FLOWS].group = k->settings.flow_group;
	k->logs[NFLOG_NAMES].group = k->settings.names_group;
	if (rc == 0 && k->settings.names_group != 0)
		rc = nflog_open(&k->logs[NFLOG_NAMES].fd, err);
	return rc;
}

void
kernel_logs_give(struct kernel *k)
{
	for (unsigned i = 0; i < NFLOG_COUNT; i++) {
		if (k->logs[i].bound)
			send_log(k, (enum enforcer_nflog)i);
	}
}

void
kernel_logs_close(struct kernel *k)
{
	for (unsigned i = 0; i < NFLOG_COUNT; i++) {
		if (k->logs[i].fd >= 0)
			(void)close(k->logs[i].fd); /* unbinds the group */
	}
}
