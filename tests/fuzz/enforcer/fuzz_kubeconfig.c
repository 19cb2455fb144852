/* A kubeconfig, judged without the files that it names: the first line is the context. And, as a
 * message between processes, what the parent makes of one. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enforcer/kube/kube_access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
judge(const char *path, struct str context, unsigned *out_errors)
{
	const struct kube_place place = {path, context};
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct buf text = {0};
	bool ok;

	diag_list_init(&diags, arena);
	ok = kube_access_check(arena, &place, &diags);
	diag_render_text(&text, &diags);
	*out_errors = diags.errors;
	buf_free(&text);
	arena_free(arena);
	return ok;
}

static void
check_file(struct str input)
{
	struct str context = str_split(&input, '\n');
	unsigned errors = 0, again = 0;
	char path[64];
	int fd = memfd_create("kubeconfig", MFD_CLOEXEC);
	bool ok;

	if (fd < 0 ||
	    (input.len != 0 && write(fd, input.ptr, input.len) != (ssize_t)input.len))
		__builtin_trap();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ok = judge(path, context, &errors);
	if (ok != (errors == 0))
		__builtin_trap();
	if (judge(path, context, &again) != ok || again != errors)
		__builtin_trap();
	(void)close(fd);
}

/* What is read is what was written. */
static void
check_message(struct str input)
{
	struct arena *arena = arena_new();
	struct proc_reader r = {
	    .data = (const uint8_t *)input.ptr, .len = input.len, .ok = true};
	struct kube_access access;
	struct buf copy = {0};

	if (kube_access_decode(arena, &r, &access) && proc_reader_done(&r)) {
		kube_access_encode(&copy, &access);
		if (!str_eq(buf_str(&copy), input))
			__builtin_trap();
	}
	buf_free(&copy);
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = {(const char *)data, size};

	if (size > 65536)
		return 0;
	check_file(input);
	check_message(input);
	return 0;
}
