#include "enforcer/kube/kube_access.h"

#include <string.h>

#include "common/secret.h"

static void
wipe(struct str *secret)
{
	if (secret->len != 0)
		secret_wipe((void *)(uintptr_t)secret->ptr, secret->len);
	*secret = STR("");
}

void
kube_access_wipe(struct kube_access *access)
{
	wipe(&access->key);
	wipe(&access->token);
}

void
kube_access_encode(struct buf *out, const struct kube_access *a)
{
	const struct str texts[] = {a->host, a->server_name, a->prefix, a->ca,
	    a->certificate, a->key, a->token};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		proc_put_str(out, texts[i]);
	proc_put_u16(out, a->port);
	proc_put_u32(out, (uint32_t)a->address_count);
	for (size_t i = 0; i < a->address_count; i++)
		proc_put_ip(out, &a->addresses[i]);
}

bool
kube_access_decode(struct arena *arena, struct proc_reader *r, struct kube_access *out)
{
	struct str *const texts[] = {&out->host, &out->server_name, &out->prefix,
	    &out->ca, &out->certificate, &out->key, &out->token};
	struct ip_addr *addresses;
	uint32_t count;

	*out = (struct kube_access){.port = 0};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = str_dup(arena, proc_get_str(r));
	out->port = proc_get_u16(r);
	count = proc_get_u32(r);
	if (!r->ok || count > KUBE_ADDRESSES_MOST)
		return false;
	addresses = ARENA_ARRAY(arena, count, struct ip_addr);
	for (uint32_t i = 0; i < count; i++)
		addresses[i] = proc_get_ip(r);
	out->addresses = addresses;
	out->address_count = count;
	return r->ok;
}
