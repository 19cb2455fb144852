/*
 * Times as directories write them, what account attributes mean, and where servers are by
 * DNS. Expected values are from RFC 4517, RFC 2782, RFC 4514 and Active Directory's documentation.
 */
#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/directory/directory.h"
#include "authn/directory/directory_account.h"
#include "authn/directory/directory_ldap.h"
#include "authn/directory/directory_srv.h"

#define S 1000000000ll

static struct arena *arena;
static struct err err;

static void
setup(void)
{
	arena = arena_new();
	err = (struct err)ERR_INIT;
}

static void
teardown(void)
{
	arena_free(arena);
}

/* ---- times ---- */

static const struct {
	const char *text;
	bool ok;
	int64_t s;
} times[] = {
    {"19700101000000Z", true, 0},
    {"20000229120000Z", true, 951825600}, /* date -ud '2000-02-29 12:00' +%s */
    {"20261126155000Z", true, 1795708200},
    {"2026112615Z", true, 1795705200},
    {"202611261550Z", true, 1795708200},
    {"20261126155000.25Z", true, 1795708200},
    {"20261126155000,25Z", true, 1795708200},
    {"20261126165000+0100", true, 1795708200},
    {"20261126105000-05", true, 1795708200},
    {"19691231235959Z", true, -1},
    {"99991231235959Z", true, 8000000000},
    {"20261126155060Z", true, 1795708260}, /* a leap second */
    {"", false, 0},
    {"20261126155000", false, 0},
    {"20261326155000Z", false, 0},
    {"20261100155000Z", false, 0},
    {"20261126245000Z", false, 0},
    {"20261126156000Z", false, 0},
    {"20261126155000.Z", false, 0},
    {"20261126155000+01:00", false, 0},
    {"20261126155000+2400", false, 0},
    {"20261126155000Zx", false, 0},
    {"2026-11-26T15:50:00Z", false, 0},
    {"000001010000Z", false, 0},
    {"+0261126155000Z", false, 0},
};

START_TEST(time_is_read_as_rfc_4517_has_it)
{
	walltime_t t = {-7};

	ck_assert_int_eq(account_time(str_from(times[_i].text), &t), times[_i].ok);
	if (times[_i].ok)
		ck_assert_int_eq(t.ns / S, times[_i].s);
}
END_TEST

/* ---- states ---- */

#define NOW 1795708200ll

static const struct {
	enum account_attr attr;
	const char *value;
	struct account_policy policy;
	const char *problem; /* NULL: none */
} states[] = {
    {ACCOUNT_UAC, "66048", {.known = false}, NULL},
    {ACCOUNT_UAC, "66050", {.known = false}, "the account is disabled"},
    {ACCOUNT_UAC, "-2147483646", {.known = false}, "the account is disabled"},
    {ACCOUNT_UAC, "2x", {.known = false}, "cannot be understood"},
    {ACCOUNT_EXPIRES, "9223372036854775807", {.known = false}, NULL},
    {ACCOUNT_EXPIRES, "-1", {.known = false}, "cannot be understood"},
    {ACCOUNT_EXPIRES, "134401818000000000", {.known = false},
	"the account has expired"},
    {ACCOUNT_EXPIRES, "134401818010000000", {.known = false}, NULL},
    {ACCOUNT_PPOLICY_LOCKED, "000001010000Z", {true, 60, 0, false},
	"the account is locked"},
    {ACCOUNT_PPOLICY_LOCKED, "20261126154901Z", {true, 60, 0, false},
	"the account is locked"},
    {ACCOUNT_PPOLICY_LOCKED, "20261126154900Z", {true, 60, 0, false}, NULL},
    {ACCOUNT_PPOLICY_LOCKED, "20261126154900Z", {true, 0, 0, false},
	"the account is locked"},
    {ACCOUNT_PPOLICY_LOCKED, "20261126154900Z", {.known = false},
	"the account is locked"},
    {ACCOUNT_PPOLICY_CHANGED, "20261126154900Z", {true, 0, 60, false}, "has expired"},
    {ACCOUNT_PPOLICY_CHANGED, "20261126154901Z", {true, 0, 60, false}, NULL},
    {ACCOUNT_PPOLICY_CHANGED, "20261126154900Z", {true, 0, 60, true}, NULL},
    {ACCOUNT_PPOLICY_CHANGED, "20001126154900Z", {.known = false}, NULL},
    {ACCOUNT_PPOLICY_START, "20261126155001Z", {.known = false}, "not in use yet"},
    {ACCOUNT_PPOLICY_START, "20261126155000Z", {.known = false}, NULL},
    {ACCOUNT_PPOLICY_END, "20261126155000Z", {.known = false},
	"the account has expired"},
    {ACCOUNT_PPOLICY_RESET, "TRUE", {.known = false}, "must be changed"},
    {ACCOUNT_PPOLICY_RESET, "FALSE", {.known = false}, NULL},
    {ACCOUNT_NS_LOCK, "true", {.known = false}, "the account is disabled"},
    {ACCOUNT_SHADOW_EXPIRE, "20783", {.known = false}, "the account has expired"},
    {ACCOUNT_SHADOW_EXPIRE, "20784", {.known = false}, NULL},
    {ACCOUNT_SHADOW_EXPIRE, "0", {.known = false}, "the account has expired"},
};

START_TEST(state_is_judged_by_its_attribute)
{
	struct account_values values = {.v = {{NULL, 0}}};
	const char *problem;

	ck_assert_ptr_null(
	    account_problem(&values, &states[_i].policy, (walltime_t){NOW * S}));
	values.v[states[_i].attr] = str_from(states[_i].value);
	problem = account_problem(&values, &states[_i].policy, (walltime_t){NOW * S});
	if (states[_i].problem == NULL)
		ck_assert_msg(problem == NULL, "%s", problem);
	else
		ck_assert_msg(
		    problem != NULL && strstr(problem, states[_i].problem) != NULL,
		    "got %s", problem);
}
END_TEST

START_TEST(password_that_never_ages_need_not_have_been_set)
{
	struct account_values values = {.v = {{NULL, 0}}};
	const struct account_policy unknown = {.known = false};

	values.v[ACCOUNT_PWD_LAST_SET] = STR("0");
	ck_assert_ptr_nonnull(
	    account_problem(&values, &unknown, (walltime_t){NOW * S}));
	values.v[ACCOUNT_UAC] = STR("66048");
	ck_assert_ptr_null(account_problem(&values, &unknown, (walltime_t){NOW * S}));
}
END_TEST

/* ---- ranges and names ---- */

static const struct {
	const char *attribute, *name;
	size_t low;
	bool ok;
	size_t next;
} ranges[] = {
    {"member;range=0-1499", "member", 0, true, 1500},
    {"Member;Range=1500-*", "member", 1500, true, 0},
    {"member;range=0-0", "member", 0, true, 1},
    {"member;range=0-1499", "member", 1500, false, 0},
    {"member;range=5-4", "member", 5, false, 0},
    {"member;range=0-", "member", 0, false, 0},
    {"member;range=-1", "member", 0, false, 0},
    {"member;range=0", "member", 0, false, 0},
    {"member", "member", 0, false, 0},
    {"member;binary", "member", 0, false, 0},
    {"memberOf;range=0-1", "member", 0, false, 0},
    {"member;range=0-99999999999999999999", "member", 0, false, 0},
};

START_TEST(range_goes_forward_only)
{
	size_t next = 77;

	ck_assert_int_eq(dir_parse_range(str_from(ranges[_i].attribute),
			     str_from(ranges[_i].name), ranges[_i].low, &next),
	    ranges[_i].ok);
	if (ranges[_i].ok)
		ck_assert_uint_eq(next, ranges[_i].next);
}
END_TEST

static const struct {
	const char *template;
	struct str value;
	const char *expected;
} names[] = {
    {"uid={},dc=x", {"alice", 5}, "uid=alice,dc=x"},
    {"uid={},dc=x", {"a,dc=y", 6}, "uid=a\\2cdc\\3dy,dc=x"},
    {"uid={},dc=x", {" a#+\"\\<>;", 9}, "uid=\\20a\\23\\2b\\22\\5c\\3c\\3e\\3b,dc=x"},
    {"uid={},dc=x", {"a\0b", 3}, "uid=a\\00b,dc=x"},
    {"uid={},dc=x", {"\xc3\xa9", 2}, "uid=\\c3\\a9,dc=x"},
    {"{}@example.org", {"alice", 5}, "alice@example.org"},
    {"{}@example.org", {"a@evil.org", 10}, ""},
    {"EXAMPLE\\{}", {"OTHER\\a", 7}, ""},
    {"{}@example.org", {"cn=a", 4}, ""},
    {"{}@example.org", {"a\0b", 3}, ""},
    {"{}@example.org", {"a b", 3}, ""},
};

START_TEST(bind_name_is_one_value)
{
	struct str got =
	    directory_bind_name(arena, str_from(names[_i].template), names[_i].value);

	ck_assert_msg(str_is(got, names[_i].expected), "got %.*s", STR_ARG(got));
}
END_TEST

START_TEST(diagnostics_of_active_directory_are_told)
{
	ck_assert_str_eq(
	    account_bind_problem(STR("80090308: LdapErr: DSID-0C090447, comment: "
				     "AcceptSecurityContext error, data 775, v3839")),
	    "the account is locked");
	ck_assert_ptr_null(account_bind_problem(STR("data 999")));
	ck_assert_ptr_null(account_bind_problem(STR("data 77")));
	ck_assert_ptr_null(account_bind_problem((struct str){NULL, 0}));
}
END_TEST

/* ---- DNS ---- */

/* An answer about _ldap._tcp.example.org: three records, one of them elsewhere. */
static size_t
srv_message(uint8_t *out, const uint8_t id[2])
{
	static const uint8_t head[] = {0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0, 5, '_', 'l',
	    'd', 'a', 'p', 4, '_', 't', 'c', 'p', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e',
	    3, 'o', 'r', 'g', 0, 0, 33, 0, 1,
	    /* 20 0 636 b.example.org, for 300 s */
	    0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 0x2c, 0, 10, 0, 20, 0, 0, 2, 0x7c, 1, 'b',
	    0xc0, 23,
	    /* 10 5 389 a.example.org, for 60 s */
	    0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 10, 0, 10, 0, 5, 1, 0x85, 1, 'a',
	    0xc0, 23,
	    /* 0 0 389 evil.net */
	    0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 1, 0, 16, 0, 0, 0, 0, 1, 0x85, 4, 'e', 'v',
	    'i', 'l', 3, 'n', 'e', 't', 0};

	memcpy(out, id, 2);
	memcpy(out + 2, head, sizeof(head));
	return sizeof(head) + 2;
}

static void
assert_answer(const struct srv_answer *a)
{
	ck_assert_uint_eq(a->count, 2);
	ck_assert_str_eq(a->targets[0].host, "a.example.org");
	ck_assert_uint_eq(a->targets[0].port, 389);
	ck_assert_str_eq(a->targets[1].host, "b.example.org");
	ck_assert_uint_eq(a->targets[1].port, 636);
	ck_assert_uint_eq(a->ttl_s, 60);
}

START_TEST(servers_come_by_priority_and_from_the_domain_alone)
{
	static const uint32_t random[SRV_TARGETS_MAX];
	uint8_t message[512];
	struct srv_answer answer;
	const size_t len = srv_message(message, (const uint8_t *)"id");

	ck_assert_int_eq(
	    srv_parse(message, len, STR("example.org"), random, &answer, &err), 0);
	assert_answer(&answer);
	ck_assert_int_eq(
	    srv_parse(message, len, STR("ample.org"), random, &answer, &err),
	    ERR_NOT_FOUND);
	for (size_t cut = 0; cut < len; cut++)
		ck_assert_int_lt(
		    srv_parse(message, cut, STR("example.org"), random, &answer, &err),
		    0);
}
END_TEST

START_TEST(weights_share_the_first_place)
{
	uint8_t message[512];
	struct srv_answer answer;
	size_t first_b = 0;
	const size_t len = srv_message(message, (const uint8_t *)"id");
	const size_t b = 2 + 38 - 2 + 2 + 12; /* the priority of b */

	message[b + 1] = 10; /* b: the same priority, and three times the weight */
	message[b + 3] = 15;
	for (uint32_t dice = 0; dice < 21; dice++) {
		const uint32_t random[SRV_TARGETS_MAX] = {dice};

		ck_assert_int_eq(
		    srv_parse(message, len, STR("example.org"), random, &answer, &err),
		    0);
		first_b += strcmp(answer.targets[0].host, "b.example.org") == 0;
	}
	ck_assert_uint_eq(first_b, 15);
}
END_TEST

static void *
answer_once(void *arg)
{
	const int fd = *(const int *)arg;
	uint8_t question[512], answer[512];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(
	    fd, question, sizeof(question), 0, (struct sockaddr *)&from, &from_len);

	if (n > 2)
		(void)!sendto(fd, answer, srv_message(answer, question), 0,
		    (struct sockaddr *)&from, from_len);
	return NULL;
}

START_TEST(resolver_is_asked)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct srv_answer answer;
	pthread_t thread;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	srv_use_resolver(ntohs(address.sin_port));
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_once, &fd), 0);
	ck_assert_int_eq(srv_lookup(STR("example.org"), &answer, &err), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_answer(&answer);
	srv_use_resolver(0);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("directory_account");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, time_is_read_as_rfc_4517_has_it, 0, (int)ARRAY_LEN(times));
	tcase_add_loop_test(
	    tc, state_is_judged_by_its_attribute, 0, (int)ARRAY_LEN(states));
	tcase_add_test(tc, password_that_never_ages_need_not_have_been_set);
	tcase_add_loop_test(tc, range_goes_forward_only, 0, (int)ARRAY_LEN(ranges));
	tcase_add_loop_test(tc, bind_name_is_one_value, 0, (int)ARRAY_LEN(names));
	tcase_add_test(tc, diagnostics_of_active_directory_are_told);
	tcase_add_test(tc, servers_come_by_priority_and_from_the_domain_alone);
	tcase_add_test(tc, weights_share_the_first_place);
	tcase_add_test(tc, resolver_is_asked);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
