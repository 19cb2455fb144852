/* Grammars of names, as the API server's validation has them. */
#include "load_fixture.h"
#include "policy-lang/load/load_names.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"
#define A64 A63 "a"
#define A253                                                                           \
	A60 "." A60 "." A60 "." A60 "."                                                \
	    "aaaaaaaaa"

static const struct {
	bool (*is)(struct str);
	const char *text;
	bool ok;
} rows[] = {
    {name_is_shown, "", true},
    {name_is_shown, "nobody else does: \"x\" \xc3\xbc", true},
    {name_is_shown, A253, true},
    {name_is_shown, "a\tb", false},
    {name_is_shown, "a\x1b[31m", false},
    {name_is_shown, "a\xc2\x9b", false},
    {name_is_shown, "a\xe2\x80\xae", false},
    {name_is_label, "a", true},
    {name_is_label, "a-1", true},
    {name_is_label, "1a", true},
    {name_is_label, A63, true},
    {name_is_label, A64, false},
    {name_is_label, "", false},
    {name_is_label, "-a", false},
    {name_is_label, "a-", false},
    {name_is_label, "A", false},
    {name_is_label, "a.b", false},
    {name_is_label, "a_b", false},
    {name_is_subdomain, "a.b-c.1", true},
    {name_is_subdomain, A64, true},
    {name_is_subdomain, A253, true},
    {name_is_subdomain, A253 "a", false},
    {name_is_subdomain, "a..b", false},
    {name_is_subdomain, ".a", false},
    {name_is_subdomain, "a.", false},
    {name_is_subdomain, "a.-b", false},
    {name_is_subdomain, "", false},
    {name_is_qualified, "app", true},
    {name_is_qualified, "App_1.x", true},
    {name_is_qualified, "example.org/app", true},
    {name_is_qualified, "kubernetes.io/metadata.name", true},
    {name_is_qualified, A253 "/" A63, true},
    {name_is_qualified, A253 "a/" A63, false},
    {name_is_qualified, A64, false},
    {name_is_qualified, "", false},
    {name_is_qualified, "/a", false},
    {name_is_qualified, "a/", false},
    {name_is_qualified, "a/b/c", false},
    {name_is_qualified, "Example.org/a", false},
    {name_is_qualified, "-a", false},
    {name_is_qualified, "a b", false},
    {name_is_qualified, "\xc3\x9cn\xc3\xaf", false},
    {name_is_label_value, "", true},
    {name_is_label_value, "A-1_b.c", true},
    {name_is_label_value, A63, true},
    {name_is_label_value, A64, false},
    {name_is_label_value, "a/b", false},
    {name_is_label_value, "a-", false},
    {name_is_label_value, "_", false},
    {name_is_port, "http", true},
    {name_is_port, "a", true},
    {name_is_port, "1a", true},
    {name_is_port, "http-8080", true},
    {name_is_port, "abcdefghijklmno", true},
    {name_is_port, "abcdefghijklmnop", false},
    {name_is_port, "8080", false},
    {name_is_port, "80-80", false},
    {name_is_port, "a--b", false},
    {name_is_port, "-a", false},
    {name_is_port, "a-", false},
    {name_is_port, "Http", false},
    {name_is_port, "", false},
    {name_is_domain, "example.org", true},
    {name_is_domain, "*.example.org", true},
    {name_is_domain, "example.org.", true},
    {name_is_domain, "WWW.Example.org", true},
    {name_is_domain, "a_b.example.org", true},
    {name_is_domain, "org", false},
    {name_is_domain, "*", false},
    {name_is_domain, "*.org", false},
    {name_is_domain, "*.*.org", false},
    {name_is_domain, "a.*.org", false},
    {name_is_domain, "a..org", false},
    {name_is_domain, "-a.org", false},
    {name_is_domain, "", false},
    {name_is_path_step, "shop-prod", true},
    {name_is_path_step, "v1.2_x", true},
    {name_is_path_step, ".", false},
    {name_is_path_step, "..", false},
    {name_is_path_step, "", false},
    {name_is_path_step, "Shop", false},
    {name_is_path_step, "a/b", false},
    {name_is_path_step, A64, false},
    {name_is_printable, "acme-admins", true},
    {name_is_printable, "a b", false},
    {name_is_printable, "", false},
};

START_TEST(name_is_judged_as_the_server_judges_it)
{
	ck_assert_msg(rows[_i].is(str_from(rows[_i].text)) == rows[_i].ok, "\"%s\"",
	    rows[_i].text);
}
END_TEST

START_TEST(nul_byte_is_in_no_name)
{
	ck_assert(!name_is_label(STR("a\0b")));
	ck_assert(!name_is_subdomain(STR("a\0b")));
	ck_assert(!name_is_qualified(STR("a\0b")));
	ck_assert(!name_is_label_value(STR("a\0b")));
	ck_assert(!name_is_port(STR("a\0b")));
	ck_assert(!name_is_path_step(STR("a\0b")));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_names");
	TCase *tc = tcase_create("load_names");

	tcase_add_loop_test(
	    tc, name_is_judged_as_the_server_judges_it, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tc, nul_byte_is_in_no_name);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
