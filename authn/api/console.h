/*
 * The console: a page over the gate's own API, and what it is made of. Static; whoever asks
 * gets it, because it holds nothing.
 */
#ifndef AUTHN_CONSOLE_H
#define AUTHN_CONSOLE_H

#include "authn/proxy/exchange.h"

/* Answers if the path is one of the console's; else false. */
MUST_CHECK bool console_reply(struct exchange *x, struct str path);

#endif
