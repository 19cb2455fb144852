/*
 * The filter: whatever somebody types as a name, it is one value of one assertion (RFC 4515).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <ldap.h>

#include "authn/directory/directory.h"

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
}

static void
teardown(void)
{
	arena_free(arena);
}

static const struct {
	const char *filter;
	struct str value;
	const char *expected;
} filters[] = {
    {"(uid={})", {"alice", 5}, "(uid=alice)"},
    {"(uid={})", {"*", 1}, "(uid=\\2a)"},
    {"(uid={})", {"a)(uid=*", 8}, "(uid=a\\29\\28uid=\\2a)"},
    {"(uid={})", {"a\\2a", 4}, "(uid=a\\5c2a)"},
    {"(uid={})", {"a\0b", 3}, "(uid=a\\00b)"},
    {"(uid={})", {"caf\xc3\xa9", 5}, "(uid=caf\\c3\\a9)"},
    {"(uid={})", {"\x7f\n", 2}, "(uid=\\7f\\0a)"},
    {"(uid={})", {"{}", 2}, "(uid={})"},
    {"(uid={})", {"", 0}, "(uid=)"},
    {"(&(objectClass=person)(uid={}))", {"a", 1}, "(&(objectClass=person)(uid=a))"},
    {"(member={})", {"cn=O'Hara\\2C Kim,dc=x", 21},
	"(member=cn=O'Hara\\5c2C Kim,dc=x)"},
};

START_TEST(value_is_escaped)
{
	struct str got =
	    directory_filter(arena, str_from(filters[_i].filter), filters[_i].value);

	ck_assert_msg(str_is(got, filters[_i].expected), "got %.*s", STR_ARG(got));
}
END_TEST

/* libldap reads back, as one equality assertion, the very bytes that went in. */
START_TEST(libldap_agrees_for_any_bytes)
{
	srand((unsigned)_i + 1);
	for (int turn = 0; turn < 500; turn++) {
		char value[24], unescaped[256];
		const size_t len = (size_t)(rand() % 23) + 1;
		struct str got;
		BerElement *ber = ber_alloc_t(LBER_USE_DER);

		for (size_t i = 0; i < len; i++)
			value[i] = (char)(rand() >> 5);
		got =
		    directory_filter(arena, STR("(uid={})"), (struct str){value, len});
		memcpy(unescaped, got.ptr, got.len);
		unescaped[got.len] = '\0';
		ck_assert_uint_eq(strlen(unescaped), got.len);
		ck_assert_int_ge(ldap_put_vrFilter(ber, unescaped), 0);
		{
			struct berval encoded;

			ck_assert_int_eq(ber_flatten2(ber, &encoded, 0), 0);
			/* A sequence of one [3] equalityMatch: "uid", then the value. */
			ck_assert_int_eq((unsigned char)encoded.bv_val[2], 0xa3);
			ck_assert_uint_eq(encoded.bv_len, 2 + 2 + 5 + 2 + len);
			ck_assert_mem_eq(encoded.bv_val + 11, value, len);
		}
		ber_free(ber, 1);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("directory");
	TCase *tc = tcase_create("filter");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, value_is_escaped, 0, (int)ARRAY_LEN(filters));
	tcase_add_loop_test(tc, libldap_agrees_for_any_bytes, 0, 4);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
