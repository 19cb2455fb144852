/* What a domain name in policy takes in. */
#include "policy-lang/model/fqdn.h"

#include "load_fixture.h"

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const struct {
	const char *pattern, *name;
	bool match;
} match_rows[] = {
    /* The examples of AdminNetworkPolicy's DomainName. */
    {"kubernetes.io", "kubernetes.io", true},
    {"kubernetes.io", "www.kubernetes.io", false},
    {"kubernetes.io", "my-kubernetes.io", false},
    {"kubernetes.io", "wikipedia.org", false},
    {"blog.kubernetes.io", "blog.kubernetes.io", true},
    {"blog.kubernetes.io", "kubernetes.io", false},
    {"*.kubernetes.io", "www.kubernetes.io", true},
    {"*.kubernetes.io", "latest.blog.kubernetes.io", true},
    {"*.kubernetes.io", "kubernetes.io", false},
    {"*.kubernetes.io", "wikipedia.org", false},
    /* Whole labels only. */
    {"*.kubernetes.io", "my-kubernetes.io", false},
    {"*.kubernetes.io", ".kubernetes.io", false},
    {"*.kubernetes.io", "a..kubernetes.io", false},
    {"*.kubernetes.io", "*.kubernetes.io", true}, /* a label as any other */
    {"kubernetes.io", "*.kubernetes.io", false},
    /* Dots at the end, and case. */
    {"example.org.", "example.org", true},
    {"example.org", "example.org.", true},
    {"example.org", "example.org..", false},
    {"*.example.org", "WWW.Example.ORG.", true},
    {"API.example.org", "api.EXAMPLE.org", true},
    {"_sip._tcp.example.org", "_SIP._tcp.example.org", true},
    {"xn--bcher-kva.example", "XN--BCHER-KVA.example", true},
    {"xn--bcher-kva.example",
	"b\xc3\xbc"
	"cher.example",
	false},
    /* What is no name. */
    {"*.example.org", "", false},
    {"*.example.org", ".", false},
    {"*.example.org", LABEL_63 ".example.org", true},
    {"*.example.org", LABEL_63 "h.example.org", false},
    {"*.example.org", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".example.org",
	false},
    {"example.org", "example.org.attacker.net", false},
    {"*.example.org", "www.example.org.attacker.net", false},
};

START_TEST(fqdn_match_knows_whole_labels)
{
	ck_assert_msg(fqdn_match(str_from(match_rows[_i].pattern),
			  str_from(match_rows[_i].name)) == match_rows[_i].match,
	    "%s %s", match_rows[_i].pattern, match_rows[_i].name);
}
END_TEST

/* No name holds a NUL or ends early at one. */
START_TEST(fqdn_match_takes_nul_for_a_byte)
{
	ck_assert(!fqdn_match(STR("example.org"), STR("example.org\0x")));
	ck_assert(!fqdn_match(STR("*.example.org"), STR("a.example.org\0")));
}
END_TEST

START_TEST(fqdn_canonical_makes_equal_names_equal)
{
	char a[FQDN_BYTES], b[FQDN_BYTES];

	assert_str(fqdn_canonical(STR("*.Example.ORG."), a), "*.example.org");
	ck_assert(
	    str_eq(fqdn_canonical(STR("A.b"), a), fqdn_canonical(STR("a.B."), b)));
	ck_assert_uint_eq(
	    fqdn_canonical(STR(LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63), a).len,
	    0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fqdn");
	TCase *tc = tcase_create("fqdn");

	tcase_add_loop_test(
	    tc, fqdn_match_knows_whole_labels, 0, (int)ARRAY_LEN(match_rows));
	tcase_add_test(tc, fqdn_match_takes_nul_for_a_byte);
	tcase_add_test(tc, fqdn_canonical_makes_equal_names_equal);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
