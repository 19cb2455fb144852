/*
 * The plugin on a node: its program where the runtime looks for plugins, and itself in the chain
 * that the runtime uses. Each file is replaced whole or not at all; what cannot be read as
 * configuration is left as it is.
 */
#ifndef ENFORCER_CNI_INSTALL_H
#define ENFORCER_CNI_INSTALL_H

#include "common/err.h"
#include "enforcer/cni/chain.h"

struct install_places {
	const char *bin_dir;
	const char *net_dir;
	const char
	    *file; /* of net_dir; NULL: the first, which is the one that runtimes use */
	struct chain_plugin plugin;
};

struct install_result {
	bool program_changed, chain_changed;
	char file[256]; /* of net_dir, that has the chain; "": there is none yet */
};

/* Does what is missing. ERR_NOT_FOUND: there is no configuration yet to be put into; the program
 * is installed then. */
MUST_CHECK int install_all(const struct install_places *places,
    struct install_result *out_result, struct err *err);
/* Tells what is missing, and changes nothing: 0 if nothing is. */
MUST_CHECK int install_check(const struct install_places *places, struct err *err);
/* Takes the plugin out of every chain, then removes the program. What was one plugin before
 * becomes that again. */
MUST_CHECK int install_undo(const struct install_places *places, struct err *err);

/* `ringfence-cni install` and `uninstall`: argv[0] is the command. Returns the exit status. */
MUST_CHECK int install_command(int argc, char **argv);

#endif
