#include "enforcer/kube/kube_closed.h"

#include <ctype.h>

/* Its name is what whoever asks why is shown. */
#define DENY_ALL "[{\"name\":\"document-refused\",\"action\":\"deny\"}]"

/* Of kinds that have a namespace, and that whoever lives there may write. */
static const struct {
	const char *resource;
	const char *api_version, *kind; /* NULL: nothing in its place */
	const char *prefix; /* of the name: no other of that kind has one like it */
	const char *spec;
} closed[] = {
    {"networkpolicies", "networking.k8s.io/v1", "NetworkPolicy", "",
	"{\"podSelector\":{},\"policyTypes\":[\"Ingress\",\"Egress\"]}"},
    {"policies.ringfence.dev", "ringfence.dev/v1alpha1", "Policy", "",
	/* the first of its level */
	"{\"priority\":-2147483647,\"mandatory\":{\"ingress\":" DENY_ALL
	",\"egress\":" DENY_ALL "}}"},
    /* It may have led what leaves through a gateway, or forbidden to leave by another. */
    {"routes.ringfence.dev", "ringfence.dev/v1alpha1", "Policy", ".route.",
	"{\"priority\":-2147483647,\"mandatory\":{\"egress\":" DENY_ALL "}}"},
    {"externalnetworks.ringfence.dev", NULL, NULL, NULL, NULL},
    {"workloads.ringfence.dev", NULL, NULL, NULL, NULL},
};

/* As names of objects are. Given as "generateName" below they may be as long, and have a prefix
 * that no object's own name has: whoever wrote one of the same name would stop everybody. */
static bool
is_name(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		const unsigned char c = (unsigned char)text.ptr[i];

		if (!isalnum(c) && c != '-' && c != '.' && c != ':')
			return false;
	}
	return text.len != 0;
}

bool
kube_closed_text(struct arena *arena, struct str source, struct str *out)
{
	struct str rest = source;
	const struct str cluster = str_split(&rest, '/');
	const struct str resource = str_split(&rest, '/');
	const struct str ns = str_split(&rest, '/');

	if (cluster.len == 0 || !is_name(ns) || !is_name(rest))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
		if (!str_is(resource, closed[i].resource))
			continue;
		*out = STR("");
		if (closed[i].kind != NULL)
			*out = str_from(arena_printf(arena,
			    "{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":"
			    "{\"generateName\":\"%s%.*s\",\"namespace\":\"%.*s\"},"
			    "\"spec\":%s}",
			    closed[i].api_version, closed[i].kind, closed[i].prefix,
			    STR_ARG(rest), STR_ARG(ns), closed[i].spec));
		return true;
	}
	return false;
}
