/*
 * Where etcd is, and who we are there, as bytes.
 */
#include "authn/wire/etcd.h"

#define MEMBERS_MAX 64u

void
etcd_options_encode(struct buf *out, const struct etcd_options *o)
{
	proc_put_u32(out, (uint32_t)o->endpoint_count);
	for (size_t i = 0; i < o->endpoint_count; i++) {
		proc_put_str(out, o->endpoints[i]);
		proc_put_str(out, o->resolve != NULL ? o->resolve[i] : STR(""));
	}
	proc_put_str(out, o->identity.ca);
	proc_put_str(out, o->identity.certificate);
	proc_put_str(out, o->user);
	proc_put_str(out, o->password);
	proc_put_u32(out, o->timeout_ms);
}

bool
etcd_options_decode(struct arena *arena, struct proc_reader *r, struct etcd_options *o)
{
	const uint32_t count = proc_get_u32(r);
	struct str *endpoints, *resolve;

	if (!r->ok || count > MEMBERS_MAX)
		return false;
	endpoints = ARENA_ARRAY(arena, count, struct str);
	resolve = ARENA_ARRAY(arena, count, struct str);
	for (uint32_t i = 0; i < count; i++) {
		endpoints[i] = str_dup(arena, proc_get_str(r));
		resolve[i] = str_dup(arena, proc_get_str(r));
	}
	*o = (struct etcd_options){
	    .endpoints = endpoints, .endpoint_count = count, .resolve = resolve};
	o->identity.ca = str_dup(arena, proc_get_str(r));
	o->identity.certificate = str_dup(arena, proc_get_str(r));
	o->user = str_dup(arena, proc_get_str(r));
	o->password = str_dup(arena, proc_get_str(r));
	o->timeout_ms = proc_get_u32(r);
	return r->ok;
}
