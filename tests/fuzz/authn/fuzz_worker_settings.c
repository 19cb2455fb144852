/*
 * Any bytes as worker settings: refused, or read and written back unchanged.
 */
#include <stdint.h>
#include <stdlib.h>

#include "authn/proxy/worker_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct arena *arena = arena_new();
	struct worker_settings settings;
	struct buf again = {NULL, 0, 0};
	struct err err = ERR_INIT;

	if (worker_settings_decode(arena, text, &settings, &err) == 0) {
		struct worker_settings second;

		worker_settings_encode(&again, &settings);
		if (worker_settings_decode(arena, buf_str(&again), &second, &err) !=
			0 ||
		    second.upstream_count != settings.upstream_count)
			abort();
	}
	buf_free(&again);
	arena_free(arena);
	return 0;
}
