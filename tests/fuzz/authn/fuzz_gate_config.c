/*
 * gate.yaml: any text is a configuration or gives at least one diagnostic.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "authn/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct buf text = {NULL, 0, 0};
	struct gate_config *config;
	struct diag_list diags;
	char path[32];
	int fd = memfd_create("gate.yaml", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	diag_list_init(&diags, arena);
	config = gate_config_load(arena, path, &diags);
	if ((config != NULL) != (diags.errors == 0))
		abort();
	if (config != NULL &&
	    (config->listen_count == 0 || config->upstream_count == 0 ||
		config->tls_key == NULL || config->workers == 0 ||
		config->login_ttl_s > config->max_ttl_s))
		abort();
	diag_render_text(&text, &diags);
	buf_free(&text);
	(void)close(fd);
	arena_free(arena);
	return 0;
}
