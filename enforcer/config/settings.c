#include "enforcer/config/settings.h"

#include <poll.h>
#include <string.h>

#include "common/limits.h"
#include "enforcer/wire/messages.h"
#include "policy-lang/compile/compile.h"
#include "policy-lang/model/fail_safe.h"

static void
put_role(struct buf *out, const struct role_settings *s)
{
	proc_put_u32(out, s->uid);
	proc_put_u32(out, s->gid);
	proc_put_u8(out, (uint8_t)s->log_level);
	proc_put_u8(out, (uint8_t)s->log_format);
}

static void
get_role(struct proc_reader *r, struct role_settings *out)
{
	out->uid = proc_get_u32(r);
	out->gid = proc_get_u32(r);
	out->log_level = (enum log_level)proc_get_u8(r);
	out->log_format = (enum log_format)proc_get_u8(r);
	if (out->log_level > LOG_DEBUG || out->log_format > LOG_FORMAT_JSON)
		r->ok = false;
}

static void
put_prefix(struct buf *out, const struct ip_prefix *p)
{
	proc_put_ip(out, &p->addr);
	proc_put_u8(out, p->len);
}

static void
get_prefix(struct proc_reader *r, struct ip_prefix *out)
{
	out->addr = proc_get_ip(r);
	out->len = proc_get_u8(r);
	if (out->len > ip_bits(out->addr.family))
		r->ok = false;
}

static void
put_networks(struct buf *out, const struct ip_prefix *all, size_t count)
{
	proc_put_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		put_prefix(out, &all[i]);
}

static bool
get_networks(struct arena *arena, struct proc_reader *r, struct ip_prefix **out,
    size_t *out_count)
{
	const uint32_t count = proc_get_u32(r);

	if (!r->ok || count > r->len)
		return false;
	*out = ARENA_ARRAY(arena, count, struct ip_prefix);
	*out_count = count;
	for (size_t i = 0; i < count; i++)
		get_prefix(r, &(*out)[i]);
	return true;
}

static void
put_addresses(struct buf *out, const struct ip_addr *all, size_t count)
{
	proc_put_u8(out, (uint8_t)count);
	for (size_t i = 0; i < count; i++)
		put_prefix(out, &(struct ip_prefix){.addr = all[i]});
}

static bool
get_addresses(struct arena *arena, struct proc_reader *r, const struct ip_addr **out,
    size_t *out_count)
{
	const uint8_t count = proc_get_u8(r);
	struct ip_addr *all;

	if (!r->ok || count > LIMIT_DNS_RESOLVERS)
		return false;
	all = ARENA_ARRAY(arena, count, struct ip_addr);
	for (size_t i = 0; i < count; i++) {
		struct ip_prefix one = {.len = 0};

		get_prefix(r, &one);
		all[i] = one.addr;
	}
	*out = all;
	*out_count = count;
	return r->ok;
}

/* Once each, whatever ports it has. */
static void
put_listeners(struct buf *out, const struct enforcer_config *c)
{
	struct ip_addr all[LIMIT_DNS_LISTENERS];
	size_t count = 0;

	for (size_t i = 0; i < c->dns_listener_count; i++) {
		bool there = false;

		for (size_t j = 0; j < count; j++)
			there = there || ip_eq(&all[j], &c->dns_listeners[i].addr);
		if (!there)
			all[count++] = c->dns_listeners[i].addr;
	}
	put_addresses(out, all, count);
}

void
kernel_settings_encode(struct buf *out, const struct kernel_settings *s)
{
	put_role(out, &s->role);
	proc_put_u16(out, s->flow_group);
	proc_put_u16(out, s->names_group);
	proc_put_u8(out, s->own_table);
	proc_put_u32(out, (uint32_t)s->address_place_count);
	for (size_t i = 0; i < s->address_place_count; i++) {
		put_prefix(out, &s->address_places[i].network);
		buf_add(out, s->address_places[i].interface,
		    sizeof(s->address_places[i].interface));
	}
	steering_encode(out, &s->steering);
}

static void
get_places(struct arena *arena, struct proc_reader *r, struct kernel_settings *out)
{
	uint32_t count = proc_get_u32(r);
	struct address_place *places;

	if (!r->ok || count > ADDRESS_PLACES_MAX) {
		r->ok = false;
		return;
	}
	places = ARENA_ARRAY(arena, count, struct address_place);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *name;

		get_prefix(r, &places[i].network);
		name = proc_get_bytes(r, sizeof(places[i].interface));
		if (name != NULL)
			memcpy(
			    places[i].interface, name, sizeof(places[i].interface) - 1);
	}
	out->address_places = places;
	out->address_place_count = count;
}

bool
kernel_settings_decode(
    struct arena *arena, struct proc_reader *r, struct kernel_settings *out_settings)
{
	get_role(r, &out_settings->role);
	out_settings->flow_group = proc_get_u16(r);
	out_settings->names_group = proc_get_u16(r);
	out_settings->own_table = proc_get_u8(r) != 0;
	get_places(arena, r, out_settings);
	steering_decode(arena, r, &out_settings->steering);
	return proc_reader_done(r);
}

void
audit_settings_encode(struct buf *out, const struct audit_settings *s)
{
	put_role(out, &s->role);
	proc_put_str(out, s->directory);
	proc_put_str(out, s->origin);
}

bool
audit_settings_decode(
    struct arena *arena, struct proc_reader *r, struct audit_settings *out_settings)
{
	get_role(r, &out_settings->role);
	out_settings->directory = str_dup(arena, proc_get_str(r));
	out_settings->origin = str_dup(arena, proc_get_str(r));
	return proc_reader_done(r);
}

void
kube_settings_encode(struct buf *out, const struct kube_settings *s)
{
	put_role(out, &s->role);
	proc_put_u32(out, s->index);
	proc_put_str(out, s->cluster);
	proc_put_u32(out, s->silent_s);
	proc_put_u32(out, s->report_s);
	proc_put_str(out, s->node);
}

bool
kube_settings_decode(
    struct arena *arena, struct proc_reader *r, struct kube_settings *out_settings)
{
	get_role(r, &out_settings->role);
	out_settings->index = proc_get_u32(r);
	out_settings->cluster = str_dup(arena, proc_get_str(r));
	out_settings->silent_s = proc_get_u32(r);
	out_settings->report_s = proc_get_u32(r);
	out_settings->node = str_dup(arena, proc_get_str(r));
	return proc_reader_done(r);
}

static void
put_established(struct buf *out, const struct established *e)
{
	proc_put_u8(out, e->keep);
	proc_put_u32(out, e->adopt_seconds);
	proc_put_u32(out, (uint32_t)e->exception_count);
	for (size_t i = 0; i < e->exception_count; i++) {
		proc_put_str(out, e->exceptions[i].path);
		proc_put_u8(out, e->exceptions[i].keep);
	}
}

static void
put_fail_safe(struct buf *out, const struct fail_safe *safe)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		proc_put_u32(out, (uint32_t)safe->count[d]);
		for (size_t i = 0; i < safe->count[d]; i++) {
			proc_put_u8(out, safe->ports[d][i].proto);
			proc_put_u16(out, safe->ports[d][i].lo);
			proc_put_u16(out, safe->ports[d][i].hi);
		}
	}
}

static bool
get_fail_safe(struct arena *arena, struct proc_reader *r, struct fail_safe *out)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		uint32_t count = proc_get_u32(r);
		struct fail_safe_port *ports;

		if (!r->ok || count > FAIL_SAFE_MOST)
			return false;
		ports = ARENA_ARRAY(arena, count, struct fail_safe_port);
		for (uint32_t i = 0; i < count; i++) {
			ports[i].proto = proc_get_u8(r);
			ports[i].lo = proc_get_u16(r);
			ports[i].hi = proc_get_u16(r);
		}
		out->ports[d] = ports;
		out->count[d] = count;
	}
	return r->ok;
}

static bool
get_established(struct arena *arena, struct proc_reader *r, struct established *out)
{
	struct established_exception *all;
	uint32_t count;

	out->keep = proc_get_u8(r) != 0;
	out->adopt_seconds = proc_get_u32(r);
	count = proc_get_u32(r);
	if (!r->ok || count > r->len)
		return false;
	all = ARENA_ARRAY(arena, count, struct established_exception);
	for (uint32_t i = 0; i < count; i++) {
		all[i].path = str_dup(arena, proc_get_str(r));
		all[i].keep = proc_get_u8(r) != 0;
	}
	out->exceptions = all;
	out->exception_count = count;
	return r->ok;
}

void
engine_settings_encode(
    struct buf *out, const struct role_settings *role, const struct enforcer_config *c)
{
	size_t networks = c->boot_closed ? c->workload_network_count : 0;
	size_t interfaces = c->boot_closed ? c->workload_interface_count : 0;

	put_role(out, role);
	proc_put_str(out, c->node);
	proc_put_u8(out, c->default_deny);
	proc_put_u8(out, c->ip_blocks_skip_pods);
	proc_put_u8(out, c->boot_closed);
	proc_put_u8(out, c->reject);
	proc_put_u16(out, c->flow_group);
	proc_put_u8(out, c->audit_directory != NULL);
	proc_put_u8(out, c->audit_directory != NULL && c->audit_required);
	proc_put_u32(out, (uint32_t)c->source_count);
	for (size_t i = 0; i < c->source_count; i++) {
		proc_put_str(out, str_from(c->sources[i].directory));
		proc_put_str(out, c->sources[i].cluster);
		proc_put_u8(out, c->sources[i].kubernetes);
	}
	put_networks(out, c->workload_networks, networks);
	proc_put_u32(out, (uint32_t)c->address_place_count);
	for (size_t i = 0; i < c->address_place_count; i++) {
		put_prefix(out, &c->address_places[i].network);
		proc_put_str(out, c->address_places[i].subtree);
		proc_put_u8(out, c->address_places[i].interface[0] != '\0');
	}
	proc_put_u32(out, (uint32_t)interfaces);
	for (size_t i = 0; i < interfaces; i++) {
		buf_add(out, c->workload_interfaces[i].first, INTERFACE_NAME_BYTES);
		buf_add(out, c->workload_interfaces[i].last, INTERFACE_NAME_BYTES);
	}
	proc_put_u8(out, c->validate_sources);
	put_established(out, &c->established);
	allowed_encode(out, &c->allowed);
	proc_put_u8(out, c->host_protection);
	put_fail_safe(out, &c->fail_safe);
	steering_encode(out, &c->steering);
	proc_put_u16(out, c->names_group);
	proc_put_u8(out, c->dns_listener_count != 0);
	if (c->dns_listener_count != 0)
		put_listeners(out, c);
	else
		put_addresses(out, c->resolvers, c->resolver_count);
}

static bool
get_resolvers(struct arena *arena, struct proc_reader *r, struct engine_settings *s)
{
	s->names_group = proc_get_u16(r);
	s->names_held = proc_get_u8(r) != 0;
	return get_addresses(arena, r, &s->resolvers, &s->resolver_count);
}

void
dns_settings_encode(
    struct buf *out, const struct role_settings *role, const struct enforcer_config *c)
{
	put_role(out, role);
	put_addresses(out, c->resolvers, c->resolver_count);
	put_networks(out, c->workload_networks, c->workload_network_count);
}

bool
dns_settings_decode(
    struct arena *arena, struct proc_reader *r, struct dns_settings *out_settings)
{
	struct ip_prefix *networks;

	get_role(r, &out_settings->role);
	if (!get_addresses(
		arena, r, &out_settings->resolvers, &out_settings->resolver_count) ||
	    !get_networks(arena, r, &networks, &out_settings->network_count))
		return false;
	out_settings->networks = networks;
	return proc_reader_done(r);
}

static bool
get_interfaces(struct arena *arena, struct proc_reader *r, struct engine_settings *s)
{
	uint32_t count = proc_get_u32(r);

	if (!r->ok || count > r->len)
		return false;
	s->workload_interfaces = ARENA_ARRAY(arena, count, struct interface_pattern);
	s->workload_interface_count = count;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *both =
		    proc_get_bytes(r, 2 * (size_t)INTERFACE_NAME_BYTES);

		if (both == NULL)
			return false;
		memcpy(s->workload_interfaces[i].first, both, INTERFACE_NAME_BYTES);
		memcpy(s->workload_interfaces[i].last, both + INTERFACE_NAME_BYTES,
		    INTERFACE_NAME_BYTES);
	}
	return true;
}

bool
engine_settings_validate(const struct engine_settings *s)
{
	return s->validate_sources && !s->no_fib &&
	       (s->workload_network_count != 0 || s->workload_interface_count != 0);
}

bool
engine_settings_decode(
    struct arena *arena, struct proc_reader *r, struct engine_settings *out_settings)
{
	struct engine_settings *s = out_settings;
	uint32_t count;

	get_role(r, &s->role);
	s->node = str_dup(arena, proc_get_str(r));
	s->default_deny = proc_get_u8(r) != 0;
	s->ip_blocks_skip_pods = proc_get_u8(r) != 0;
	s->boot_closed = proc_get_u8(r) != 0;
	s->reject = proc_get_u8(r) != 0;
	s->flow_group = proc_get_u16(r);
	s->audit = proc_get_u8(r) != 0;
	s->audit_required = proc_get_u8(r) != 0;
	count = proc_get_u32(r);
	if (count > ENFORCER_MAX_SOURCES)
		return false;
	s->sources = ARENA_ARRAY(arena, count, struct settings_source);
	s->source_count = count;
	for (size_t i = 0; i < count; i++) {
		s->sources[i].directory = str_dup(arena, proc_get_str(r));
		s->sources[i].cluster = str_dup(arena, proc_get_str(r));
		s->sources[i].kubernetes = proc_get_u8(r) != 0;
	}
	if (!get_networks(arena, r, &s->workload_networks, &s->workload_network_count))
		return false;
	count = proc_get_u32(r);
	if (!r->ok || count > ADDRESS_PLACES_MAX)
		return false;
	s->route_networks = ARENA_ARRAY(arena, count, struct route_network);
	s->route_network_count = count;
	for (size_t i = 0; i < count; i++) {
		get_prefix(r, &s->route_networks[i].network);
		s->route_networks[i].subtree = str_dup(arena, proc_get_str(r));
		s->route_networks[i].taken = proc_get_u8(r) != 0;
	}
	if (!get_interfaces(arena, r, s))
		return false;
	s->validate_sources = proc_get_u8(r) != 0;
	if (!get_established(arena, r, &s->established) ||
	    !allowed_decode(arena, r, &s->allowed))
		return false;
	s->host_protection = proc_get_u8(r) != 0;
	if (!get_fail_safe(arena, r, &s->fail_safe))
		return false;
	steering_decode(arena, r, &s->steering);
	return get_resolvers(arena, r, s) && proc_reader_done(r);
}

int
settings_receive(struct proc_channel *parent, unsigned timeout_ms,
    struct proc_msg *out_msg, struct err *err)
{
	struct pollfd wait = {.fd = parent->fd, .events = POLLIN};

	(void)poll(
	    &wait, 1, (int)timeout_ms); /* what comes or not, the next line tells */
	if (proc_recv(parent, out_msg, err) != 1)
		return err_set(err, ERR_PROTOCOL, "the parent sent no settings");
	if (out_msg->type != MSG_SETTINGS || out_msg->fd_count != 0) {
		proc_msg_close_fds(out_msg);
		return err_set(err, ERR_PROTOCOL, "the parent sent no settings");
	}
	return 0;
}
