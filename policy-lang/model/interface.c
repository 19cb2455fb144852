#include "policy-lang/model/interface.h"

#include <stdlib.h>
#include <string.h>

bool
interface_pattern_parse(struct str text, struct interface_pattern *out_pattern)
{
	bool open = text.len != 0 && text.ptr[text.len - 1] == '*';
	struct str name = str_slice(text, 0, text.len - (open ? 1 : 0));

	memset(out_pattern, 0, sizeof(*out_pattern));
	if (name.len == 0 || name.len >= INTERFACE_NAME_BYTES || str_is(name, ".") ||
	    str_is(name, ".."))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		/* Linux takes more; nft does not print it so that it loads again. */
		if (c <= ' ' || c > '~' || strchr("/:*\"\\,", c) != NULL)
			return false;
	}
	memcpy(out_pattern->first, name.ptr, name.len);
	if (open)
		memset(out_pattern->last, UINT8_MAX, sizeof(out_pattern->last));
	memcpy(out_pattern->last, name.ptr, name.len);
	return true;
}

static int
compare(const void *a, const void *b)
{
	const struct interface_pattern *x = a, *y = b;
	int order = memcmp(x->first, y->first, sizeof(x->first));

	/* What takes in more comes first. */
	return order != 0 ? order : memcmp(y->last, x->last, sizeof(x->last));
}

size_t
interface_patterns_normalise(struct interface_pattern *patterns, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(patterns, count, sizeof(*patterns), compare);
	for (size_t i = 0; i < count; i++) {
		/* Two patterns are apart, or one is within the other. */
		if (kept != 0 && memcmp(patterns[i].first, patterns[kept - 1].last,
				     INTERFACE_NAME_BYTES) <= 0)
			continue;
		patterns[kept++] = patterns[i];
	}
	return kept;
}

bool
interface_pattern_has(const struct interface_pattern *pattern, const char *name)
{
	uint8_t bytes[INTERFACE_NAME_BYTES] = {0};
	size_t len = strlen(name);

	if (len >= sizeof(bytes))
		return false;
	memcpy(bytes, name, len);
	return memcmp(pattern->first, bytes, sizeof(bytes)) <= 0 &&
	       memcmp(bytes, pattern->last, sizeof(bytes)) <= 0;
}
