/*
 * A network configuration of a container runtime, and ringfence-cni at the end of its chain: text
 * to text, as the Container Network Interface says. Pure; a fuzz target.
 */
#ifndef ENFORCER_CNI_CHAIN_H
#define ENFORCER_CNI_CHAIN_H

#include "enforcer/cni/request.h"

/* What is written of the plugin. */
struct chain_plugin {
	const char *socket; /* NULL: the plugin's default */
	unsigned timeout_s; /* 0: the plugin's default */
	bool allow_unfiltered;
};

enum chain_answer {
	CHAIN_SAME, /* nothing is to be changed */
	CHAIN_CHANGED,
	CHAIN_BAD, /* `why` says what is wrong with it; nothing must be changed */
};

/* Puts the plugin behind all others. `list`: the text is a list of plugins (*.conflist), else one
 * plugin (*.conf, *.json), which becomes a list of two. Everything else stays as it is, and in its
 * order. CHAIN_CHANGED: the new text is in *out. `why` has CNI_TEXT_BYTES. */
MUST_CHECK enum chain_answer chain_insert(struct str text, bool list,
    const struct chain_plugin *plugin, struct buf *out, char *why);
/* Takes the plugin out of a list. */
MUST_CHECK enum chain_answer chain_remove(struct str text, struct buf *out, char *why);
/* Whether a list is what chain_insert makes of one plugin: it has no other. */
MUST_CHECK bool chain_is_of_one(struct str text);

#endif
