/*
 * Which names may be asserted to an API server.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/request/identity.h"

static const struct {
	const char *text;
	bool user, group;
} names[] = {
    {"alice", true, true},
    {"a", true, true},
    {"mixed.case", true, true},
    {"a_b@example.org", true, true},
    {"x-1", true, true},
    {"", false, false},
    {"Alice", false, true},
    {"two words", false, true},
    {" lead", false, false},
    {"trail ", false, false},
    {"system:admin", false, false},
    {"system:masters", false, false},
    {"system:authenticated", false, false},
    {"system:", false, false},
    {"systems", true, true},
    {"a:b", false, true},
    {"new\nline", false, false},
    {"tab\t", false, false},
    {"del\x7f", false, false},
    {"caf\xc3\xa9", false, false},
    {"a,b", false, true},
    {"a*", false, true},
    {"a/b", false, true},
};

START_TEST(names_are_allowed_as_listed)
{
	const struct str text = str_from(names[_i].text);

	ck_assert_msg(identity_user_ok(text) == names[_i].user, "user %s", text.ptr);
	ck_assert_msg(identity_group_ok(text) == names[_i].group, "group %s", text.ptr);
}
END_TEST

START_TEST(length_is_bounded)
{
	char text[300];

	memset(text, 'a', sizeof(text));
	ck_assert(identity_user_ok((struct str){text, 128}));
	ck_assert(!identity_user_ok((struct str){text, 129}));
	ck_assert(identity_group_ok((struct str){text, 256}));
	ck_assert(!identity_group_ok((struct str){text, 257}));
	ck_assert(!identity_user_ok(STR("a\0b")));
	ck_assert(!identity_group_ok(STR("a\0b")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tc = tcase_create("identity");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, names_are_allowed_as_listed, 0, (int)ARRAY_LEN(names));
	tcase_add_test(tc, length_is_bounded);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
