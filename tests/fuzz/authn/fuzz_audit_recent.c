/*
 * A worker's question for recent records: refused, or read as it was written.
 */
#include <stdlib.h>

#include "authn/audit/audit_recent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct proc_msg msg = {.data = data, .len = size};
	struct arena *arena = arena_new();
	struct audit_recent_question question;
	struct proc_reader r;
	struct buf again = {0};

	proc_reader_init(&r, &msg);
	if (audit_recent_question_decode(arena, &r, &question)) {
		audit_recent_question_encode(&again, &question);
		if (again.len != size)
			abort();
	}
	buf_free(&again);
	arena_free(arena);
	return 0;
}
