/*
 * What was counted of a day, as it lies in a file: it is refused, or taken over whole.
 */
#include <stdlib.h>

#include "authn/quota/quota.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const walltime_t today = {86400ll * 20000 * 1000000000};
	const monotime_t now = {UINT64_C(1000000000000)};
	static struct quota_table *table; /* large, and empty between two inputs */
	struct buf again = {NULL, 0, 0};
	struct quota_day days[64];
	size_t count;

	if (table == NULL) {
		table = xcalloc(1, quota_table_bytes());
		quota_table_init(table);
	}
	if (!quota_days_decode(
		table, (struct str){(const char *)data, size}, now, today))
		return 0;
	/* As many as it has places for; those of another day are none. */
	count = quota_days(table, today, days, ARRAY_LEN(days));
	if (count > (size - 20) / 16)
		abort();
	quota_days_encode(table, today, &again);
	quota_table_init(table);
	if (!quota_days_decode(table, buf_str(&again), now, today) ||
	    quota_days(table, today, days, ARRAY_LEN(days)) != count)
		abort();
	quota_table_init(table);
	buf_free(&again);
	return 0;
}
