/*
 * Texts in what jansson has parsed, borrowed from it. What is no string, or not there, is "".
 */
#ifndef AUTHN_JSON_TEXT_H
#define AUTHN_JSON_TEXT_H

#include <jansson.h>

#include "common/str.h"

MUST_CHECK static inline struct str
json_text(const json_t *value)
{
	return json_is_string(value)
		   ? (struct str){json_string_value(value), json_string_length(value)}
		   : STR("");
}

MUST_CHECK static inline struct str
json_text_at(const json_t *object, const char *key)
{
	return json_text(json_object_get(object, key));
}

#endif
