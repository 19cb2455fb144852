/*
 * Any bytes as recorded flows: nothing crashes; what is read is whole; a line that is
 * refused says why; and formats that are named agree with what is found out.
 */
#include <stdlib.h>

#include "policy-lang/flows/flowlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
check_record(const struct flowlog_record *r)
{
	require(r->count >= 1);
	require(r->src.has_addr || r->src.name.len > 0);
	require(r->dst.has_addr || r->dst.name.len > 0);
	require((r->port > 0) == proto_has_ports(r->proto));
	require(!r->src.has_addr || !r->dst.has_addr ||
		r->src.addr.family == r->dst.addr.family);
}

static void
read_line(struct arena *scratch, struct str line)
{
	for (unsigned format = FLOWLOG_AUTO; format <= FLOWLOG_CONNTRACK; format++) {
		struct flowlog_record record;
		const char *why;
		enum flowlog_result result = flowlog_read(
		    scratch, (enum flowlog_format)format, line, &record, &why);

		require((result == FLOWLOG_BAD) == (why != NULL));
		if (result == FLOWLOG_RECORD)
			check_record(&record);
	}
	arena_reset(scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data, size};
	struct arena *scratch = arena_new();

	while (rest.ptr != NULL && size > 0)
		read_line(scratch, str_split(&rest, '\n'));
	arena_free(scratch);
	return 0;
}
