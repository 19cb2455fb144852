/* Batches of kernel operations, as the kernel role reads them from the engine. */
#include <stddef.h>
#include <stdint.h>

#include "enforcer/wire/ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct op_batch batch;
	struct err err = ERR_INIT;
	struct buf again = {NULL, 0, 0};

	/* What is accepted means the same when it is written again. */
	if (op_decode(arena, data, size, &batch, &err) == 0) {
		op_encode(&again, &batch);
		if (op_decode(arena, (const uint8_t *)again.data, again.len, &batch,
			&err) != 0)
			__builtin_trap();
	}
	buf_free(&again);
	arena_free(arena);
	return 0;
}
