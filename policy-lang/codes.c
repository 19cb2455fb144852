#include "policy-lang/codes.h"

#include <string.h>

const struct diag_code_info diag_code_table[DIAG_CODE_COUNT] = {
#define DIAG_CODE_ROW(id, code, severity, text) [id] = {code, severity, text},
    DIAG_CODES(DIAG_CODE_ROW)
#undef DIAG_CODE_ROW
};

const struct diag_code_info *
diag_code_find(const char *code)
{
	for (size_t i = 0; i < DIAG_CODE_COUNT; i++) {
		if (strcmp(diag_code_table[i].code, code) == 0)
			return &diag_code_table[i];
	}
	return NULL;
}

struct diag *
diag_say(
    struct diag_list *list, enum diag_code code, struct loc loc, const char *fmt, ...)
{
	const struct diag_code_info *info = &diag_code_table[code];
	struct buf text = {0};
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	d = diag_add(list, info->severity, info->code, loc, "%s",
	    text.data != NULL ? text.data : "");
	buf_free(&text);
	return d;
}
