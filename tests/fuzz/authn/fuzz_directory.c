/*
 * What a directory, and DNS, can make us read: times and states of accounts, ranges of
 * values, diagnostics, SRV records. The first byte chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/directory/directory.h"
#include "authn/directory/directory_account.h"
#include "authn/directory/directory_ldap.h"
#include "authn/directory/directory_srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
srv(struct str text)
{
	static const uint32_t random[SRV_TARGETS_MAX] = {7, 1000, 3};
	struct srv_answer answer;
	struct err err = ERR_INIT;
	/* A copy of its own size, so that reading past it is seen. */
	uint8_t *copy = xmalloc(text.len + 1);

	memcpy(copy, text.ptr, text.len);
	if (srv_parse(copy, text.len, STR("example.org"), random, &answer, &err) == 0 &&
	    (answer.count == 0 || answer.count > SRV_TARGETS_MAX))
		abort();
	free(copy);
}

static void
account(struct str text)
{
	const struct account_policy policy = {true, 60, 3600, false};
	struct account_values values = {.v = {{NULL, 0}}};
	walltime_t t;

	for (size_t i = 0; i < ACCOUNT_ATTRS; i++)
		values.v[i] = str_split(&text, '\n');
	(void)!account_time(values.v[0], &t);
	(void)!account_problem(&values, &policy, (walltime_t){1795708200000000000});
	(void)!account_bind_problem(values.v[0]);
}

static void
names(struct str text)
{
	struct arena *arena = arena_new();
	struct str first = str_split(&text, '\n');
	size_t next = 1;
	struct str name;

	/* Where the next range begins lies behind where this one does. */
	if (dir_parse_range(first, STR("member"), 7, &next) && next != 0 && next <= 7)
		abort();
	name = directory_bind_name(arena, STR("uid={},dc=x"), text);
	/* Nothing in it ends the value, or begins another. */
	for (size_t i = 4; i + 5 < name.len; i++) {
		if (strchr(",+\"<>;=#", name.ptr[i]) != NULL)
			abort();
	}
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(struct str) = {srv, account, names};

	if (size == 0)
		return 0;
	readers[data[0] % ARRAY_LEN(readers)](
	    (struct str){(const char *)data + 1, size - 1});
	return 0;
}
