/*
 * How connections are told, by the commands that list them: which ends, as pairs or in
 * groups, in which format.
 */
#ifndef POLICY_LANG_CLI_FORM_H
#define POLICY_LANG_CLI_FORM_H

#include "policy-lang/cli/cli.h"
#include "policy-lang/connectivity/connectivity.h"

enum form_ends {
	FORM_AUTO, /* pairs, unless there are too many to read */
	FORM_PAIRS,
	FORM_GROUPS,
};

/* Must be first in the arguments of a command that takes form_options. */
struct form {
	bool nodes; /* as ends, too */
	enum form_ends ends;
};

extern const struct cli_option form_options[];
/* What -o takes. */
extern const char *const form_outputs[];
MUST_CHECK enum connectivity_format form_format(const struct cli *cli);

#endif
