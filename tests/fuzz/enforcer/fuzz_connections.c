/* Lists of connections, as the kernel role reads them from the engine. */
#include <stddef.h>
#include <stdint.h>

#include "enforcer/wire/connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_reader r = {.data = data, .len = size, .ok = true};
	struct arena *arena = arena_new();
	struct connection *list;
	struct buf again = {NULL, 0, 0};
	size_t count;

	/* What is accepted means the same when it is written again. */
	if (connections_get(arena, &r, &list, &count)) {
		connections_put(&again, list, count);
		r = (struct proc_reader){
		    .data = (const uint8_t *)again.data, .len = again.len, .ok = true};
		if (!connections_get(arena, &r, &list, &count))
			__builtin_trap();
	}
	buf_free(&again);
	arena_free(arena);
	return 0;
}
