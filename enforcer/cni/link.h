/*
 * What the kernel says of one interface of the present network namespace.
 */
#ifndef ENFORCER_CNI_LINK_H
#define ENFORCER_CNI_LINK_H

#include <net/if.h>

#include "common/str.h"

struct cni_link {
	char name[IF_NAMESIZE];
	char kind[16];   /* "veth", "bridge", "macvlan"; "": hardware */
	uint32_t peer;   /* of a veth: the number of its other end, where that is */
	bool peer_away;  /* ... which is in another network namespace */
	uint32_t master; /* 0: none */
	bool filters4,
	    filters6; /* a bridge that hands its packets to netfilter by itself */
};

/* Looks at one, by its name, or by its number where that is NULL. False: there is none, and errno
 * says why. */
MUST_CHECK bool cni_link_look(
    const char *name, uint32_t number, struct cni_link *out_link);
/* Reads the kernel's answer, a message of RTM_NEWLINK. Pure. */
MUST_CHECK bool cni_link_parse(struct str message, struct cni_link *out_link);

#endif
