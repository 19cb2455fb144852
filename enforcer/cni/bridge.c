#include "enforcer/cni/bridge.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Of the network namespace that reads it. They are there with br_netfilter only. */
#define CALL4 "/proc/sys/net/bridge/bridge-nf-call-iptables"
#define CALL6 "/proc/sys/net/bridge/bridge-nf-call-ip6tables"

static const char *
path_of(enum ip_family family)
{
	return family == IP_V4 ? CALL4 : CALL6;
}

static char
first_letter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = '\0';

	if (fd < 0)
		return '\0';
	if (read(fd, &c, 1) != 1)
		c = '\0';
	(void)close(fd); /* only read from */
	return c;
}

/* Without the module nothing is filtered, whatever the bridge says. */
bool
bridge_filters(const struct cni_link *bridge, enum ip_family family)
{
	const char all = first_letter(path_of(family));

	return all == '1' ||
	       (all == '0' && (family == IP_V4 ? bridge->filters4 : bridge->filters6));
}

const char *
bridge_setting(enum ip_family family)
{
	return strrchr(path_of(family), '/') + 1;
}
