/*
 * Any text: fmt refuses it, or its result is stable. (That it says the same is checked
 * by fmt itself.)
 */
#include <string.h>

#include "policy-lang/format/fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct source source = {STR("input"), {(const char *)data, size}};
	struct source again = {.name = STR("again")};
	struct buf once = {0}, twice = {0};
	struct diag_list diags;

	diag_list_init(&diags, arena);
	if (fmt_source(arena, &source, &diags, &once)) {
		again.text = buf_str(&once);
		if (!fmt_source(arena, &again, &diags, &twice) ||
		    !str_eq(buf_str(&once), buf_str(&twice))) {
			(void)fprintf(stderr, "unstable:\n%.*s\n--- then\n%.*s\n",
			    STR_ARG(buf_str(&once)), STR_ARG(buf_str(&twice)));
			base_die("fmt is not stable");
		}
	}
	buf_free(&once);
	buf_free(&twice);
	arena_free(arena);
	return 0;
}
