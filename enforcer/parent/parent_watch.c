/*
 * Roles that hang: each is asked now and then whether it still reads what it is sent. One
 * that does not for long is ended, and the next takes its place. Turns are counted, not time:
 * if all of us were stopped, or the machine was asleep, nobody is to blame.
 */
#include "enforcer/parent/parent_state.h"

#include "common/log.h"

#define WATCH_MS 10000
/* In a row, without an answer: what any of them does at a time takes seconds, on a machine with
 * a processor to spare. Where it takes longer it would never be done: one that was ended because
 * of it has twice the time when it begins again, until it has answered for long. */
#define SILENT_MOST  6u
#define DOUBLED_MOST 4
#define GOOD_MOST    60

static void
watch(struct parent *p, struct supervised *role)
{
	const unsigned patience = SILENT_MOST << role->hangs;

	if (role->child.pid == 0 || !role->answers)
		return;
	if (role->silent == patience) {
		log_error("role-hangs", "role=%s silent-s=%u",
		    parent_role(role->id)->name, patience * (WATCH_MS / 1000));
		if (role->hangs < DOUBLED_MOST)
			role->hangs++;
		role->silent = 0; /* the kernel may be slow to let it end, too */
		role->good = 0;
		parent_end_role(role);
		return;
	}
	role->good = role->silent == 0 ? role->good + 1 : 0;
	if (role->good == GOOD_MOST)
		role->hangs = role->good = 0;
	role->silent++;
	parent_send(p, role->id, MSG_PING, NULL, -1);
}

void
parent_watch_roles(struct parent *p)
{
	for (size_t i = 0; i < ROLE_SLOTS; i++)
		watch(p, &p->roles[i]);
}

static void
on_turn(uv_timer_t *timer)
{
	parent_watch_roles(timer->data);
}

void
parent_watch_init(struct parent *p)
{
	p->watch_timer.data = p;
	if (uv_timer_init(&p->loop, &p->watch_timer) != 0 ||
	    uv_timer_start(&p->watch_timer, on_turn, WATCH_MS, WATCH_MS) != 0)
		base_die("cannot make a timer");
}

void
parent_watch_fini(struct parent *p)
{
	uv_close((uv_handle_t *)&p->watch_timer, NULL);
}
