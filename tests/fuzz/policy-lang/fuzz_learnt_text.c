/*
 * Any lines as what tenants know: what is taken is printed, and printed it reads the same.
 */
#include <stdlib.h>

#include "common/limits.h"
#include "policy-lang/load/learnt_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns how many lines were taken. */
static size_t
read_lines(struct learnt *table, struct str text)
{
	struct buf why = {0};
	size_t taken = 0;

	while (text.ptr != NULL) {
		struct str line = str_split(&text, '\n');
		bool ok = learnt_read_line(table, line, 0, &why);

		if (!ok && why.len == 0)
			abort(); /* refused without a word */
		taken += ok;
		buf_clear(&why);
	}
	buf_free(&why);
	return taken;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct learnt *one = learnt_new(LIMIT_DNS_LEARNT);
	struct learnt *two = learnt_new(LIMIT_DNS_LEARNT);
	struct buf first = {0}, second = {0};

	(void)read_lines(one, (struct str){(const char *)data, size});
	learnt_print(&first, one, 0);
	(void)read_lines(two, buf_str(&first));
	learnt_print(&second, two, 0);
	if (!str_eq(buf_str(&first), buf_str(&second)))
		abort();
	buf_free(&first);
	buf_free(&second);
	learnt_free(one);
	learnt_free(two);
	return 0;
}
