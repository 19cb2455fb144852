/*
 * enforcer.yaml: any text is a configuration or gives at least one error; and what is one fits
 * into what the roles are told of it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/limits.h"
#include "enforcer/config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                               \
	do {                                                                           \
		if (!(condition))                                                      \
			abort();                                                       \
	} while (0)

static struct proc_reader
reader_of(const struct buf *body)
{
	CHECK(body->len <= LIMIT_MESSAGE_BYTES);
	return (struct proc_reader){
	    .data = (const uint8_t *)body->data, .len = body->len, .ok = true};
}

/* As the parent writes it and each role reads it. */
static void
tell_roles(struct arena *arena, const struct enforcer_config *c)
{
	const struct role_settings role = {
	    .log_level = c->log_level, .log_format = c->log_format};
	const struct kernel_settings kernel = {.role = role,
	    .flow_group = c->flow_group,
	    .address_places = c->address_places,
	    .address_place_count = c->address_place_count,
	    .steering = c->steering};
	struct kernel_settings kernel_again = {.flow_group = 0};
	struct engine_settings engine = {.flow_group = 0};
	struct dns_settings dns = {.resolver_count = 0};
	struct buf bodies[3] = {{0}, {0}, {0}};
	struct proc_reader r;

	kernel_settings_encode(&bodies[0], &kernel);
	r = reader_of(&bodies[0]);
	CHECK(kernel_settings_decode(arena, &r, &kernel_again));
	CHECK(steering_equal(&kernel_again.steering, &c->steering));
	engine_settings_encode(&bodies[1], &role, c);
	r = reader_of(&bodies[1]);
	CHECK(engine_settings_decode(arena, &r, &engine));
	CHECK(str_eq(engine.node, c->node) && engine.source_count == c->source_count);
	dns_settings_encode(&bodies[2], &role, c);
	r = reader_of(&bodies[2]);
	CHECK(dns_settings_decode(arena, &r, &dns));
	CHECK(dns.resolver_count == c->resolver_count);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		buf_free(&bodies[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct buf text = {NULL, 0, 0};
	struct enforcer_config *config;
	struct diag_list diags;
	char path[32];
	int fd = memfd_create("enforcer.yaml", MFD_CLOEXEC);

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	diag_list_init(&diags, arena);
	config = enforcer_config_load(arena, path, &diags);
	CHECK((config != NULL) == (diags.errors == 0));
	if (config != NULL) {
		CHECK(config->source_count != 0 && config->node.len != 0);
		CHECK(config->flow_group != config->names_group);
		tell_roles(arena, config);
	}
	diag_render_text(&text, &diags);
	buf_free(&text);
	(void)close(fd);
	arena_free(arena);
	return 0;
}
