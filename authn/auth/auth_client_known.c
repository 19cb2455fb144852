/*
 * What this worker knows of users: tokens that are good, by their id, and accounts of those who
 * came by certificate. Only good ones are kept.
 */
#include "authn/auth/auth_client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_messages.h"

#define KNOWN_MAX    65536u
#define ACCOUNTS_MAX 4096u
#define EVICT_TRIES  64

static void
known_free(struct known *k)
{
	if (k == NULL)
		return;
	identity_unref(k->identity);
	free(k);
}

void
auth_client_known_revoke(struct auth_client *c, struct str token_id)
{
	struct known *k = map_remove(&c->known, token_id);

	if (k == NULL)
		return;
	k->identity->revoked = true;
	if (c->callbacks.revoked != NULL)
		c->callbacks.revoked(c->callbacks.arg, k->identity);
	known_free(k);
}

/* ---- users by certificate ---- */

void
auth_client_account_drop(struct auth_client *c, struct account *a)
{
	(void)map_remove(&c->accounts, str_from(a->name)); /* `a` */
	identity_unref(a->identity);
	free(a);
}

void
auth_client_account_revoke(struct auth_client *c, struct str user)
{
	struct account *a = map_get(&c->accounts, user);

	if (a == NULL)
		return;
	a->identity->revoked = true;
	if (c->callbacks.revoked != NULL)
		c->callbacks.revoked(c->callbacks.arg, a->identity);
	auth_client_account_drop(c, a);
}

struct identity *
auth_client_account_learn(struct auth_client *c, struct identity *id)
{
	struct account *a = map_get(&c->accounts, id->user);

	if (a != NULL && identity_same(a->identity, id))
		return a->identity;
	auth_client_account_revoke(c, id->user);
	if (c->accounts.len >= ACCOUNTS_MAX)
		auth_client_account_revoke(c, c->accounts.entries[0].key);
	a = xcalloc(1, sizeof(*a));
	memcpy(a->name, id->user.ptr, id->user.len); /* of a valid length */
	a->identity = id;
	identity_ref(id);
	(void)map_set(&c->accounts, str_from(a->name), a); /* nothing is there now */
	return id;
}

/* Makes room: one that nobody uses now will be asked for again. One in use must not outlive
 * its place here, where its revocation would look for it. */
static void
known_evict(struct auth_client *c)
{
	size_t at = 0;

	for (size_t i = 0; i < EVICT_TRIES && i < c->known.len; i++) {
		const struct known *k = c->known.entries[i].value;

		if (k->identity->refs == 1) {
			at = i;
			break;
		}
	}
	auth_client_known_revoke(c, c->known.entries[at].key);
}

void
auth_client_known_add(
    struct auth_client *c, const struct token_parts *parts, struct identity *id)
{
	struct known *k;

	if (c->known.len >= KNOWN_MAX)
		known_evict(c);
	k = xcalloc(1, sizeof(*k));
	k->parts = *parts;
	k->identity = id;
	k->learnt = walltime_now();
	k->used = true;
	identity_ref(id);
	/* The key lies in the value that is replaced: remove first. */
	known_free(map_remove(&c->known, str_from(k->parts.id)));
	(void)map_set(&c->known, str_from(k->parts.id), k); /* nothing is there now */
}

void
auth_client_forget(struct auth_client *c, struct str id)
{
	if (id.len != 0 && id.ptr[0] == AUTH_ACCOUNT_MARK)
		auth_client_account_revoke(c, str_slice(id, 1, id.len));
	else
		auth_client_known_revoke(c, id);
}

void
auth_client_known_fini(struct auth_client *c)
{
	while (c->accounts.len != 0)
		auth_client_account_drop(
		    c, c->accounts.entries[c->accounts.len - 1].value);
	map_fini(&c->accounts);
	for (size_t i = 0; i < c->known.len; i++)
		known_free(c->known.entries[i].value);
	map_fini(&c->known);
}
