/*
 * Bridges on which workloads hang and whose packets netfilter does not see: what those workloads
 * send each other passes policy by. Nobody tells when that changes; it is looked at twice a
 * minute, and told.
 */
#include <ifaddrs.h>
#include <string.h>

#include "common/ip_socket.h"
#include "common/log.h"
#include "enforcer/cni/bridge.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/parent/parent_state.h"

#define LOOK_MS 30000

struct found {
	size_t count;
	struct {
		char name[IF_NAMESIZE];
		enum ip_family family;
	} bridges[ENGINE_MAX_BRIDGES];
};

static void
add(struct found *f, const struct cni_link *bridge, enum ip_family family)
{
	if (strcmp(bridge->kind, "bridge") != 0 || bridge_filters(bridge, family) ||
	    f->count == ARRAY_LEN(f->bridges))
		return;
	for (size_t i = 0; i < f->count; i++) {
		if (strcmp(f->bridges[i].name, bridge->name) == 0 &&
		    f->bridges[i].family == family)
			return;
	}
	memcpy(f->bridges[f->count].name, bridge->name, sizeof(bridge->name));
	f->bridges[f->count++].family = family;
}

/* ---- by address: the bridge is its workloads' way out ---- */

static bool
is_workloads(const struct enforcer_config *c, const struct ip_addr *addr)
{
	for (size_t i = 0; i < c->workload_network_count; i++) {
		if (ip_in_prefix(addr, &c->workload_networks[i]))
			return true;
	}
	return false;
}

/* ---- by name: an interface behind which there are workloads ---- */

static void
look_behind(const char *name, struct found *f)
{
	struct cni_link link, master;

	if (!cni_link_look(name, 0, &link) || link.master == 0 ||
	    !cni_link_look(NULL, link.master, &master))
		return;
	add(f, &master, IP_V4);
	add(f, &master, IP_V6);
}

static void
look_at(const struct enforcer_config *c, const struct ifaddrs *item, struct found *f)
{
	struct ip_addr addr;
	struct cni_link link;

	if (ip_from_socket(item->ifa_addr, &addr, NULL) && is_workloads(c, &addr) &&
	    cni_link_look(item->ifa_name, 0, &link))
		add(f, &link, addr.family);
	/* Each interface is there once without an address of these. */
	if (item->ifa_addr == NULL || item->ifa_addr->sa_family != AF_PACKET)
		return;
	for (size_t i = 0; i < c->workload_interface_count; i++) {
		if (interface_pattern_has(&c->workload_interfaces[i], item->ifa_name))
			look_behind(item->ifa_name, f);
	}
}

/* ---- telling ---- */

void
parent_bridge_tell(struct parent *p)
{
	if (p->unfiltered.len != 0)
		parent_send(p, ROLE_ENGINE, MSG_UNFILTERED, &p->unfiltered, -1);
}

static void
take(struct parent *p, const struct found *f)
{
	struct buf body = {0};

	proc_put_u8(&body, !p->config->allow_unfiltered);
	proc_put_u32(&body, (uint32_t)f->count);
	for (size_t i = 0; i < f->count; i++) {
		proc_put_str(&body, str_from(f->bridges[i].name));
		proc_put_u8(&body, (uint8_t)f->bridges[i].family);
	}
	if (str_eq(buf_str(&body), buf_str(&p->unfiltered))) {
		buf_free(&body);
		return;
	}
	for (size_t i = 0; i < f->count; i++)
		log_warn("unfiltered",
		    "bridge=%s message=\"its workloads reach each other past policy: "
		    "load "
		    "br_netfilter and set net.bridge.%s = 1\"",
		    log_quote(str_from(f->bridges[i].name)),
		    bridge_setting(f->bridges[i].family));
	if (f->count == 0 && p->unfiltered.len != 0)
		log_info("filtered", "message=\"policy sees what bridges switch\"");
	buf_free(&p->unfiltered);
	p->unfiltered = body;
	parent_bridge_tell(p);
}

void
parent_bridge_look(struct parent *p)
{
	struct found f = {0};
	struct ifaddrs *all;

	if (p->stopping || getifaddrs(&all) != 0)
		return; /* the next time */
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		look_at(p->config, i, &f);
	freeifaddrs(all);
	take(p, &f);
}

static void
on_look(uv_timer_t *timer)
{
	parent_bridge_look(timer->data);
}

void
parent_bridge_init(struct parent *p)
{
	p->bridge_timer.data = p;
	if (uv_timer_init(&p->loop, &p->bridge_timer) != 0 ||
	    uv_timer_start(&p->bridge_timer, on_look, LOOK_MS, LOOK_MS) != 0)
		base_die("cannot make a timer");
}

void
parent_bridge_fini(struct parent *p)
{
	uv_close((uv_handle_t *)&p->bridge_timer, NULL);
	buf_free(&p->unfiltered);
}
