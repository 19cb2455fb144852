/* What an answer says, as the engine reads it from the role that forwards DNS. */
#include <string.h>

#include "enforcer/dns/dns_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_reader r = {.data = data, .len = size, .ok = true};
	struct dns_lesson lesson, same;
	struct buf again = {0};

	/* What is accepted means the same when it is written again. */
	if (!dns_lesson_decode(&r, &lesson))
		return 0;
	dns_lesson_encode(&again, lesson.ticket, &lesson.client, &lesson.answer);
	r = (struct proc_reader){
	    .data = (const uint8_t *)again.data, .len = again.len, .ok = true};
	if (!dns_lesson_decode(&r, &same) ||
	    memcmp(&lesson, &same, sizeof(lesson)) != 0)
		__builtin_trap();
	buf_free(&again);
	return 0;
}
