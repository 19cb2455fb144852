/*
 * Random clusters, larger and odder than worlds: pods and native workloads of both
 * families, hostNetwork pods, shared and missing addresses, port names that mean
 * different things, every kind of policy, networks that overlap. As YAML.
 */
#ifndef TESTS_PROPERTY_CLUSTER_H
#define TESTS_PROPERTY_CLUSTER_H

#include "tests/property/world.h"

#define CLUSTER_NODES 3 /* "node-0" and so on */

void cluster_print(struct buf *out, struct dice *dice);

#endif
