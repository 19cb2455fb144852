#include "authn/auth/service_account.h"

#include <string.h>

#include "policy-lang/load/load_names.h"

bool
service_path_ok(struct str path)
{
	struct str rest = str_slice(path, 1, path.len);

	if (path.len < 2 || path.len > SERVICE_PATH_BYTES || path.ptr[0] != '/' ||
	    path.ptr[path.len - 1] == '/')
		return false;
	while (rest.len != 0) {
		if (!name_is_path_step(str_split(&rest, '/')))
			return false;
	}
	return true;
}

struct str
service_path_node(struct str path)
{
	size_t end = path.len;

	while (end > 1 && path.ptr[end - 1] != '/')
		end--;
	return str_slice(path, 0, end > 1 ? end - 1 : end);
}

struct str
service_account_path(struct str user)
{
	const struct str prefix = STR(SERVICE_ACCOUNT_PREFIX);

	if (!str_starts(user, prefix) ||
	    !service_path_ok(str_slice(user, prefix.len, user.len)))
		return STR("");
	return str_slice(user, prefix.len, user.len);
}

static bool
owned(const struct ns *node, const struct str *groups, size_t group_count)
{
	for (; node != NULL; node = node->parent) {
		for (size_t i = 0; i < node->owner_count; i++) {
			for (size_t n = 0; n < group_count; n++) {
				if (str_eq(node->owners[i], groups[n]))
					return true;
			}
		}
	}
	return false;
}

bool
service_node_owned(const struct model *m, struct str node, const struct str *groups,
    size_t group_count)
{
	return owned(model_ns(m, node), groups, group_count);
}

bool
service_account_at_home(struct str user, const struct identity *id,
    const struct access_request *request, const struct ns *level)
{
	const struct str path = service_account_path(user);
	struct str node;

	if (path.len == 0)
		return true;
	node = service_path_node(path);
	/* What is in no namespace is the root's. */
	if (request->namespace.len == 0 && !str_is(node, "/"))
		return false;
	while (level != NULL && !str_eq(level->path, node))
		level = level->parent;
	return level != NULL &&
	       (id == NULL || owned(level, id->maker_groups, id->maker_group_count));
}
