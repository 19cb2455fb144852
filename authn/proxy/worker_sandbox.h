/*
 * What a worker may still do once it is set up.
 */
#ifndef AUTHN_WORKER_SANDBOX_H
#define AUTHN_WORKER_SANDBOX_H

#include "authn/proxy/worker_settings.h"

/* Drops privileges and everything but what serving needs (no files), if the settings ask
 * for it. */
MUST_CHECK int worker_confine(const struct worker_settings *settings, struct err *err);

#endif
