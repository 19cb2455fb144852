/*
 * Keys of session tickets: made here, the same for all workers, so that a client may come back to
 * another one; replaced every TLS_TICKET_PERIOD_S.
 */
#include "authn/monitor/monitor.h"
#include "authn/wire/messages.h"
#include "common/secret.h"

#define PERIOD_MS (TLS_TICKET_PERIOD_S * UINT64_C(1000))

static void
send_key(struct slot *s, const uint8_t *key)
{
	const struct proc_msg msg = {
	    .type = MSG_TICKET_KEY, .data = key, .len = TLS_TICKET_KEY_BYTES};

	slot_send(s, &msg);
}

void
monitor_tickets_tell(struct slot *s)
{
	const struct tls_tickets *t = &s->monitor->tickets;

	for (size_t i = t->count; i > 0; i--) /* the newest last */
		send_key(s, t->keys[i - 1]);
}

static void
add_key(struct monitor *m)
{
	uint8_t key[TLS_TICKET_KEY_BYTES];

	secret_random(key, sizeof(key));
	tls_tickets_add(&m->tickets, key);
	for (size_t i = SLOT_WORKER; i < m->slot_count; i++)
		send_key(&m->slots[i], key);
	secret_wipe(key, sizeof(key));
}

static void
on_period(uv_timer_t *timer)
{
	add_key(timer->data);
}

int
monitor_tickets_start(struct monitor *m, struct err *err)
{
	add_key(m);
	m->tickets_timer.data = m;
	if (uv_timer_init(&m->loop, &m->tickets_timer) != 0 ||
	    uv_timer_start(&m->tickets_timer, on_period, PERIOD_MS, PERIOD_MS) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a timer");
	return 0;
}
