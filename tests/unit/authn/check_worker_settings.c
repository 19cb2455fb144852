/*
 * What the monitor tells a worker arrives unchanged; anything else is refused.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "authn/proxy/worker_settings.h"

static struct arena *arena;
static struct ip_addr addresses[2];
static struct worker_upstream upstreams[2];
static struct worker_settings settings;

static void
setup(void)
{
	arena = arena_new();
	ck_assert(ip_parse(STR("192.0.2.1"), &addresses[0]));
	ck_assert(ip_parse(STR("2001:db8::1"), &addresses[1]));
	upstreams[0] = (struct worker_upstream){STR("api.example"), 6443, addresses, 2};
	upstreams[1] =
	    (struct worker_upstream){STR("2001:db8::1"), 443, &addresses[1], 1};
	settings = (struct worker_settings){
	    .index = 3,
	    .tls_certificate = STR("certificate"),
	    .client_ca = STR(""),
	    .list_seed = {1, 2, 3},
	    .upstreams = upstreams,
	    .upstream_count = 2,
	    .upstream_ca = STR("ca"),
	    .upstream_certificate = STR("front proxy"),
	    .identity = IDENTITY_IMPERSONATE,
	    .lists_as = STR("lister"),
	    .audit_required = true,
	    .certificate_accounts = true,
	    .client_crl = STR("crl"),
	    .shares_lists = true,
	    .confine = true,
	    .uid = 65534,
	    .gid = 65533,
	};
	worker_limits_default(&settings.limits);
}

static void
teardown(void)
{
	arena_free(arena);
}

static void
check_equal(const struct worker_settings *got)
{
	ck_assert_uint_eq(got->index, 3);
	ck_assert(str_is(got->tls_certificate, "certificate"));
	ck_assert_uint_eq(got->client_ca.len, 0);
	ck_assert_int_eq(
	    memcmp(got->list_seed, settings.list_seed, LIST_SEED_BYTES), 0);
	ck_assert_uint_eq(got->upstream_count, 2);
	ck_assert(str_is(got->upstreams[0].host, "api.example"));
	ck_assert_uint_eq(got->upstreams[0].port, 6443);
	ck_assert_uint_eq(got->upstreams[0].address_count, 2);
	ck_assert(ip_eq(&got->upstreams[0].addresses[0], &addresses[0]));
	ck_assert(ip_eq(&got->upstreams[1].addresses[0], &addresses[1]));
	ck_assert(str_is(got->upstream_ca, "ca"));
	ck_assert(str_is(got->upstream_certificate, "front proxy"));
	ck_assert_int_eq(got->identity, IDENTITY_IMPERSONATE);
	ck_assert(str_is(got->lists_as, "lister"));
	ck_assert(got->audit_required && got->confine && got->certificate_accounts);
	ck_assert(str_is(got->client_crl, "crl"));
	ck_assert(got->shares_lists);
	ck_assert_uint_eq(got->uid, 65534);
	ck_assert_uint_eq(got->gid, 65533);
	ck_assert_int_eq(
	    memcmp(&got->limits, &settings.limits, sizeof(settings.limits)), 0);
}

START_TEST(settings_arrive_unchanged)
{
	struct worker_settings got;
	struct err err = ERR_INIT;
	int fd;

	ck_assert_int_eq(worker_settings_seal(&settings, &fd, &err), 0);
	ck_assert_msg(worker_settings_open(arena, fd, &got, &err) == 0, "%s", err.msg);
	check_equal(&got);
	/* Sealed: nobody changes them behind the reader's back. */
	ck_assert_int_eq((int)write(fd, "x", 1), -1);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(settings_are_refused_when_cut_or_extended_anywhere)
{
	struct buf text = {NULL, 0, 0};
	struct worker_settings got;
	struct err err = ERR_INIT;

	worker_settings_encode(&text, &settings);
	for (size_t len = 0; len < text.len; len++)
		ck_assert_int_ne(worker_settings_decode(
				     arena, (struct str){text.data, len}, &got, &err),
		    0);
	ck_assert_int_eq(worker_settings_decode(arena, buf_str(&text), &got, &err), 0);
	buf_add_char(&text, 'x');
	ck_assert_int_ne(worker_settings_decode(arena, buf_str(&text), &got, &err), 0);
	buf_free(&text);
}
END_TEST

START_TEST(settings_are_refused_when_not_sealed)
{
	struct worker_settings got;
	struct err err = ERR_INIT;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(worker_settings_open(arena, fd, &got, &err), ERR_PROTOCOL);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(host_is_resolved_when_it_is_an_address_or_a_name)
{
	struct worker_upstream u = {.host = STR("::1")};
	struct err err = ERR_INIT;
	struct ip_addr want;

	ck_assert_int_eq(worker_upstream_resolve(arena, &u, &err), 0);
	ck_assert(ip_parse(STR("::1"), &want));
	ck_assert_uint_eq(u.address_count, 1);
	ck_assert(ip_eq(&u.addresses[0], &want));
	u.host = STR("no such host.invalid");
	ck_assert_int_ne(worker_upstream_resolve(arena, &u, &err), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("worker_settings");
	TCase *tc = tcase_create("worker_settings");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, settings_arrive_unchanged);
	tcase_add_test(tc, settings_are_refused_when_cut_or_extended_anywhere);
	tcase_add_test(tc, settings_are_refused_when_not_sealed);
	tcase_add_test(tc, host_is_resolved_when_it_is_an_address_or_a_name);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
