/*
 * What a rule's from/to says, as bytes: equal for rules that speak of the same peers, so
 * that these are looked for once.
 */
#ifndef POLICY_LANG_PEER_KEY_H
#define POLICY_LANG_PEER_KEY_H

#include "policy-lang/model/model.h"

/* All peers of the rule together: sorted, each once; the same bytes in every process. In
 * the arena; empty if the rule has no peer that could match. */
MUST_CHECK struct str peer_key_of_rule(struct arena *arena, const struct rule *rule);

#endif
