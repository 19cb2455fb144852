/*
 * What becomes of accounts goes on record, once for each change: who has tokens and comes by
 * certificate, too, is judged as the one and as the other.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "authn/wire/messages.h"
#include "common/log.h"

#define NOTED_MAX 10000u

struct noted {
	char name[IDENTITY_USER_BYTES + 1];
	bool suspended;
};

static void
put_on_record(
    struct auth_role *role, struct str user, bool suspended, struct str reason)
{
	struct buf body = {NULL, 0, 0};

	if (suspended)
		log_info("account-suspended", "user=%s reason=%s", log_quote(user),
		    log_quote(reason));
	else
		log_info("account-restored", "user=%s", log_quote(user));
	proc_put_u8(&body, suspended);
	proc_put_str(&body, user);
	proc_put_str(&body, reason);
	monitor_link_send(role->monitor.channel, MSG_ACCOUNT_NOTE, 0, buf_str(&body));
	buf_free(&body);
}

static struct noted *
noted_of(struct auth_role *role, struct str user)
{
	struct noted *n = map_get(&role->noted, user);

	if (n != NULL)
		return n;
	if (role->noted.len >= NOTED_MAX) { /* it may then be told a second time */
		n = map_remove(&role->noted, role->noted.entries[0].key);
		free(n);
	}
	n = xcalloc(1, sizeof(*n));
	memcpy(n->name, user.ptr, user.len);               /* of a valid length */
	(void)map_set(&role->noted, str_from(n->name), n); /* nothing is there */
	return n;
}

void
auth_note_account(struct auth_role *role, struct str user, bool suspended, bool changed,
    struct str reason)
{
	struct noted *n = map_get(&role->noted, user);

	if (n != NULL && n->suspended == suspended)
		return;
	if (!changed && (n == NULL || suspended))
		return;
	noted_of(role, user)->suspended = suspended;
	put_on_record(role, user, suspended, reason);
}
