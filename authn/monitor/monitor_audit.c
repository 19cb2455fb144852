/*
 * Configurations on record: which policy came into force, and when. Files are not changed
 * through the gate, so that no request tells of it.
 */
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "authn/monitor/monitor.h"
#include "authn/wire/messages.h"
#include "common/log.h"

#define SUM_BYTES 32

/* "policy sha256:..." of the sealed files, as all workers read them. */
static void
add_digest(struct buf *out, int fd)
{
	uint8_t sum[SUM_BYTES];
	struct stat st;
	void *map;

	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return; /* the record says less */
	if (EVP_Digest(map, (size_t)st.st_size, sum, NULL, EVP_sha256(), NULL) == 1) {
		buf_add_cstr(out, ", policy sha256:");
		for (size_t i = 0; i < SUM_BYTES; i++)
			buf_printf(out, "%02x", sum[i]);
	}
	(void)munmap(map, (size_t)st.st_size); /* only read */
}

void
monitor_record(struct monitor *m, const char *what, bool ok)
{
	struct proc_msg msg = {.type = MSG_AUDIT_NOTE};
	struct buf detail = {NULL, 0, 0}, body = {NULL, 0, 0};

	buf_add_cstr(&detail, what);
	if (ok)
		add_digest(&detail, m->plan->policy_fd);
	proc_put_u8(&body, ok);
	proc_put_str(&body, buf_str(&detail));
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	slot_send(&m->slots[SLOT_AUDIT], &msg);
	buf_free(&detail);
	buf_free(&body);
}

/* ---- accounts: what is there is passed on as it is; the audit role reads it ---- */

static void
send_note(struct monitor *m, const void *data, size_t len)
{
	const struct proc_msg msg = {
	    .type = MSG_AUDIT_ACCOUNT, .data = data, .len = len};

	slot_send(&m->slots[SLOT_AUDIT], &msg);
}

void
monitor_note_account(struct monitor *m, const struct proc_msg *msg)
{
	if (m->slots[SLOT_AUDIT].ready)
		send_note(m, msg->data, msg->len);
	else if (m->note_count < NOTES_MAX)
		buf_add(&m->notes[m->note_count++], msg->data, msg->len);
	else
		log_error("audit-note-lost", "detail=\"too many wait\"");
}

void
monitor_notes_flush(struct monitor *m)
{
	if (!m->slots[SLOT_AUDIT].ready)
		return;
	for (size_t i = 0; i < m->note_count; i++) {
		send_note(m, m->notes[i].data, m->notes[i].len);
		buf_free(&m->notes[i]);
	}
	m->note_count = 0;
}
