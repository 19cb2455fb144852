/*
 * The auth role's settings as bytes.
 */
#include <string.h>

#include "authn/auth/auth_role.h"

#define SERVERS_MAX 64

static void
put_strs(struct buf *out, const struct str *items, size_t count)
{
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		proc_put_str(out, items[i]);
}

static void
put_share(struct buf *out, const struct token_share_settings *s)
{
	etcd_options_encode(out, &s->etcd);
	proc_put_str(out, s->prefix);
	proc_put_u32(out, s->keep_ms);
}

void
auth_role_settings_encode(struct buf *out, const struct auth_role_settings *s)
{
	const struct gate_ldap *l = &s->ldap;

	proc_put_str(out, s->directory);
	proc_put_str(out, s->database);
	proc_put_u32(out, s->uid);
	proc_put_u32(out, s->gid);
	proc_put_u64(out, s->login_ttl_s);
	proc_put_u64(out, s->max_ttl_s);
	proc_put_u64(out, s->idle_ttl_s);
	proc_put_u32(out, s->tokens_per_user);
	proc_put_u8(out, s->has_ldap);
	put_strs(out, l->servers, l->server_count);
	proc_put_u8(out, l->start_tls);
	proc_put_u8(out, l->insecure);
	proc_put_str(out, l->bind_dn);
	proc_put_str(out, l->user_base);
	proc_put_str(out, l->user_filter);
	proc_put_str(out, l->user_name_attr);
	proc_put_str(out, l->group_base);
	proc_put_str(out, l->group_filter);
	proc_put_str(out, l->group_name_attr);
	proc_put_str(out, l->group_member_of);
	proc_put_u8(out, (uint8_t)l->nested);
	proc_put_u32(out, l->timeout_ms);
	proc_put_u32(out, l->login_timeout_ms);
	proc_put_str(out, l->user_bind_as);
	proc_put_u8(out, l->group_by_name);
	proc_put_str(out, l->password_policy);
	proc_put_u64(out, l->check_interval_s);
	proc_put_u64(out, l->check_grace_s);
	proc_put_u32(out, l->lockout_attempts);
	proc_put_u64(out, l->lockout_window_s);
	proc_put_str(out, s->bind_password);
	proc_put_str(out, s->ca_pem);
	put_share(out, &s->share);
}

static struct str
get_str(struct arena *arena, struct proc_reader *r)
{
	return str_dup(arena, proc_get_str(r));
}

static bool
get_strs(struct arena *arena, struct proc_reader *r, const struct str **out_items,
    size_t *out_count)
{
	const uint32_t count = proc_get_u32(r);
	struct str *items;

	if (!r->ok || count > SERVERS_MAX)
		return false;
	items = ARENA_ARRAY(arena, count, struct str);
	for (uint32_t i = 0; i < count; i++)
		items[i] = get_str(arena, r);
	*out_items = items;
	*out_count = count;
	return true;
}

static bool
get_share(struct arena *arena, struct proc_reader *r, struct token_share_settings *s)
{
	if (!etcd_options_decode(arena, r, &s->etcd))
		return false;
	s->prefix = get_str(arena, r);
	s->keep_ms = proc_get_u32(r);
	return true;
}

bool
auth_role_settings_decode(
    struct arena *arena, struct proc_reader *r, struct auth_role_settings *s)
{
	struct gate_ldap *l = &s->ldap;
	memset(s, 0, sizeof(*s));
	s->directory = get_str(arena, r);
	s->database = get_str(arena, r);
	s->uid = proc_get_u32(r);
	s->gid = proc_get_u32(r);
	s->login_ttl_s = proc_get_u64(r);
	s->max_ttl_s = proc_get_u64(r);
	s->idle_ttl_s = proc_get_u64(r);
	s->tokens_per_user = proc_get_u32(r);
	s->has_ldap = proc_get_u8(r) != 0;
	if (!get_strs(arena, r, &l->servers, &l->server_count))
		return false;
	l->start_tls = proc_get_u8(r) != 0;
	l->insecure = proc_get_u8(r) != 0;
	l->bind_dn = get_str(arena, r);
	l->user_base = get_str(arena, r);
	l->user_filter = get_str(arena, r);
	l->user_name_attr = get_str(arena, r);
	l->group_base = get_str(arena, r);
	l->group_filter = get_str(arena, r);
	l->group_name_attr = get_str(arena, r);
	l->group_member_of = get_str(arena, r);
	l->nested = (enum ldap_nested)proc_get_u8(r);
	l->timeout_ms = proc_get_u32(r);
	l->login_timeout_ms = proc_get_u32(r);
	l->user_bind_as = get_str(arena, r);
	l->group_by_name = proc_get_u8(r) != 0;
	l->password_policy = get_str(arena, r);
	l->check_interval_s = proc_get_u64(r);
	l->check_grace_s = proc_get_u64(r);
	l->lockout_attempts = proc_get_u32(r);
	l->lockout_window_s = proc_get_u64(r);
	s->bind_password = proc_get_str(r); /* borrowed: goes into a secret at once */
	s->ca_pem = get_str(arena, r);
	if (!get_share(arena, r, &s->share))
		return false;
	return proc_reader_done(r) && l->nested < LDAP_NESTED_COUNT;
}
