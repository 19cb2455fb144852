/* What a runtime hands to the CNI plugin. The first byte is the command; then the pod's and
 * the container's words up to a line's end; then standard input. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "enforcer/cni/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct cni_request *r)
{
	bool waits = r->command == CNI_ADD || r->command == CNI_CHECK;

	if (waits && (r->addr_count == 0 || r->previous == NULL))
		__builtin_trap();
	if (r->addr_count > CNI_ADDRESSES)
		__builtin_trap();
	if (r->command != CNI_VERSION &&
	    (r->version == NULL || r->socket == NULL || r->timeout_s == 0 ||
		r->timeout_s > CNI_TIMEOUT_MOST))
		__builtin_trap();
	/* Nothing that would be more than a word to the daemon. */
	for (size_t i = 0; waits && i < r->container.len; i++) {
		if (strchr(" ,/\n", r->container.ptr[i]) != NULL)
			__builtin_trap();
	}
	for (size_t i = 0; waits && i < r->interface.len; i++) {
		if (strchr(" ,/\n", r->interface.ptr[i]) != NULL)
			__builtin_trap();
	}
	if (strpbrk(r->pod, " ,/\n") != NULL || strpbrk(r->namespace, " ,/\n") != NULL)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const commands[] = {
	    "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "", NULL};
	struct str rest = {(const char *)data, size};
	struct arena *arena = arena_new();
	struct cni_environment env = {
	    .netns = "/proc/1/ns/net", .path = "/usr/lib/cni"};
	struct cni_request request;
	struct cni_error error;
	struct str line;

	if (size == 0) {
		arena_free(arena);
		return 0;
	}
	env.command = commands[data[0] % (sizeof(commands) / sizeof(commands[0]))];
	rest = str_slice(rest, 1, size);
	line = str_split(&rest, '\n');
	env.args = arena_strndup(arena, line.ptr, line.len);
	env.container = arena_strndup(arena, line.ptr, line.len > 3 ? 3 : line.len);
	env.interface = "eth0";
	if (rest.ptr == NULL)
		rest = STR("");
	if (cni_request_read(&env, rest, &request, &error))
		check(&request);
	else if (error.code == CNI_OK || error.msg[0] == '\0')
		__builtin_trap();
	cni_request_fini(&request);
	arena_free(arena);
	return 0;
}
