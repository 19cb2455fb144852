/*
 * What is taken in the place of a tenant's document with mistakes, where nothing that it said before
 * can go on: nobody else's policy may wait for it, and nothing may be open by it. Pure.
 */
#ifndef ENFORCER_KUBE_CLOSED_H
#define ENFORCER_KUBE_CLOSED_H

#include "common/arena.h"
#include "common/str.h"

/*
 * `source` is a name of kube_store.h's. In the place of policy there is one that closes where it
 * stands, wholly: the Kubernetes namespace, or what is at and below its place in the tree; in that
 * of a Route one that lets nothing leave there. Of what policy refers to there is nothing ("", in the
 * arena or static). False: of this kind nothing can be missed; it is written by who administers
 * the cluster.
 */
MUST_CHECK bool kube_closed_text(
    struct arena *arena, struct str source, struct str *out_text);

#endif
