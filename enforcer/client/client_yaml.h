/*
 * Answers as YAML, for those who would rather read that than JSON.
 */
#ifndef ENFORCER_CLIENT_YAML_H
#define ENFORCER_CLIENT_YAML_H

#include <jansson.h>

#include "common/str.h"

/* Appends a value in block style: what a reader of YAML makes the same value of. */
void client_yaml_add(struct buf *out, const json_t *value);

#endif
