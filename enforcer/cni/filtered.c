#include "enforcer/cni/filtered.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/cni/bridge.h"

/* ---- the container's end ---- */

static bool
look_there(int there, int here, const char *interface, struct cni_link *out)
{
	bool ok;
	int error;

	if (setns(there, CLONE_NEWNET) != 0)
		return false;
	ok = cni_link_look(interface, 0, out);
	error = errno;
	if (setns(here, CLONE_NEWNET) != 0)
		base_die("cannot return to the node's network namespace");
	errno = error;
	return ok;
}

static bool
look_inside(const struct cni_request *r, const char *netns, struct cni_link *out)
{
	char name[IF_NAMESIZE];
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(netns, O_RDONLY | O_CLOEXEC);
	bool ok = false;
	int error;

	(void)snprintf(name, sizeof(name), "%.*s", STR_ARG(r->interface));
	if (here >= 0 && there >= 0)
		ok = look_there(there, here, name, out);
	error = errno;
	if (here >= 0)
		(void)close(here);
	if (there >= 0)
		(void)close(there);
	errno = error;
	return ok;
}

/* ---- the node's end ---- */

static bool
judge_bridge(const struct cni_request *r, const struct cni_link *bridge, char *why)
{
	for (size_t i = 0; i < r->addr_count; i++) {
		const enum ip_family family = r->addrs[i].family;

		if (bridge_filters(bridge, family))
			continue;
		(void)snprintf(why, CNI_TEXT_BYTES,
		    "containers of the bridge %s reach each other past policy: load "
		    "the "
		    "module br_netfilter and set net.bridge.%s = 1",
		    bridge->name, bridge_setting(family));
		return false;
	}
	return true;
}

static bool
judge_master(const struct cni_request *r, uint32_t number, char *why)
{
	struct cni_link master;

	if (!cni_link_look(NULL, number, &master)) {
		(void)snprintf(why, CNI_TEXT_BYTES,
		    "what its interface hangs on cannot be looked at: %s",
		    strerror(errno));
		return false;
	}
	if (strcmp(master.kind, "bridge") == 0)
		return judge_bridge(r, &master, why);
	if (strcmp(master.kind, "vrf") == 0)
		return true; /* it is routed */
	(void)snprintf(why, CNI_TEXT_BYTES,
	    "its interface hangs on %s, a %s: what that switches passes no policy",
	    master.name, master.kind);
	return false;
}

bool
cni_is_filtered(const struct cni_request *r, const char *netns, char *why)
{
	struct cni_link inside, outside;

	if (!look_inside(r, netns, &inside)) {
		(void)snprintf(why, CNI_TEXT_BYTES,
		    "the container's interface %.*s cannot be looked at: %s",
		    STR_ARG(r->interface), strerror(errno));
		return false;
	}
	if (strcmp(inside.kind, "veth") != 0) {
		(void)snprintf(why, CNI_TEXT_BYTES,
		    "its interface is no veth but %s%s, which has no end on the node: "
		    "nothing of it passes policy",
		    inside.kind[0] != '\0' ? "a " : "a device", inside.kind);
		return false;
	}
	if (!cni_link_look(NULL, inside.peer, &outside)) {
		(void)snprintf(why, CNI_TEXT_BYTES,
		    "the node's end of its interface cannot be looked at: %s",
		    strerror(errno));
		return false;
	}
	return outside.master == 0 || judge_master(r, outside.master, why);
}
