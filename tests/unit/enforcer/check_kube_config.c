/*
 * Kubeconfigs: how a server is reached and as whom, and one case for each mistake with its place.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/kube/kube_access.h"

static struct arena *arena;
static struct diag_list diags;
static struct kube_access access_;
static char directory[64], path[128];

static void
write_file(const char *name, const char *text)
{
	char file[128];
	FILE *f;

	(void)snprintf(file, sizeof(file), "%s/%s", directory, name);
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void
setup(void)
{
	strcpy(directory, "/tmp/ringfence-kube.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/config", directory);
	write_file("ca.pem", "CA\n");
	write_file("token", "abc.def\n");
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static void
teardown(void)
{
	static const char *const names[] = {"ca.pem", "token", "config"};
	char file[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(file, sizeof(file), "%s/%s", directory, names[i]);
		(void)unlink(file);
	}
	(void)rmdir(directory);
	arena_free(arena);
}

static bool
load(const char *text, const char *context)
{
	const struct kube_place place = {path, str_from(context)};

	write_file("config", text);
	return kube_access_read(arena, &place, &diags, &access_);
}

#define CONTEXTS                                                                       \
	"contexts: [{name: x, context: {cluster: c, user: u}}, "                       \
	"{name: y, context: {cluster: c, user: v}}]\n"                                 \
	"current-context: x\n"
#define CLUSTER(fields) "clusters: [{name: c, cluster: {" fields "}}]\n"
#define USER(fields)                                                                   \
	"users: [{name: u, user: {" fields "}}, {name: v, user: {token: t}}]\n"
#define GOOD_CLUSTER                                                                   \
	CLUSTER("server: \"https://10.0.0.1:6443\", certificate-authority: ca.pem")
#define GOOD_USER USER("tokenFile: token")

START_TEST(context_names_server_and_user)
{
	ck_assert(load(CLUSTER("server: \"https://k.example/k8s/c-1/\", "
			       "certificate-authority-data: Q0E=, "
			       "tls-server-name: api") GOOD_USER CONTEXTS,
	    ""));
	ck_assert(str_is(access_.host, "k.example"));
	ck_assert(str_is(access_.server_name, "api"));
	ck_assert(str_is(access_.prefix, "/k8s/c-1"));
	ck_assert_uint_eq(access_.port, 443);
	ck_assert(str_is(access_.ca, "CA"));
	ck_assert(str_is(access_.token, "abc.def"));
	ck_assert(load(CLUSTER("server: \"https://[fd00::1]:6443\", "
			       "certificate-authority: ca.pem") GOOD_USER CONTEXTS,
	    "y"));
	ck_assert(str_is(access_.host, "fd00::1"));
	ck_assert_uint_eq(access_.port, 6443);
	ck_assert(str_is(access_.token, "t"));
}
END_TEST

START_TEST(access_survives_the_wire)
{
	struct proc_reader r = {.ok = true};
	struct kube_access copy;
	struct buf wire = {0};
	struct ip_addr addr;

	ck_assert(load(GOOD_CLUSTER GOOD_USER CONTEXTS, ""));
	ck_assert(ip_parse(STR("fd00::7"), &addr));
	access_.addresses = &addr;
	access_.address_count = 1;
	kube_access_encode(&wire, &access_);
	r.data = (const uint8_t *)wire.data;
	r.len = wire.len;
	ck_assert(kube_access_decode(arena, &r, &copy));
	ck_assert(proc_reader_done(&r));
	ck_assert(str_eq(copy.host, access_.host) && copy.port == 6443);
	ck_assert(str_eq(copy.token, access_.token) && str_is(copy.ca, "CA"));
	ck_assert_uint_eq(copy.address_count, 1);
	ck_assert(ip_eq(&copy.addresses[0], &addr));
	for (size_t len = 0; len < wire.len; len++) {
		struct proc_reader cut = {
		    .data = (const uint8_t *)wire.data, .len = len, .ok = true};

		ck_assert(!kube_access_decode(arena, &cut, &copy));
	}
	kube_access_wipe(&access_);
	ck_assert_uint_eq(access_.token.len, 0);
	buf_free(&wire);
}
END_TEST

static const struct {
	const char *text;
	unsigned line, col;
	const char *message;
} mistakes[] = {
    {CLUSTER("server: \"http://a\", certificate-authority: ca.pem") GOOD_USER CONTEXTS,
	1, 40, "https://"},
    {CLUSTER("server: \"https://\", certificate-authority: ca.pem") GOOD_USER CONTEXTS,
	1, 40, "no address"},
    {CLUSTER("server: \"https://a:0\", certificate-authority: ca.pem")
	    GOOD_USER CONTEXTS,
	1, 40, "no address"},
    {CLUSTER("server: \"https://a b\", certificate-authority: ca.pem")
	    GOOD_USER CONTEXTS,
	1, 40, "no address"},
    {CLUSTER("server: \"https://a\"") GOOD_USER CONTEXTS, 1, 31,
	"certificate-authority"},
    {CLUSTER("server: \"https://a\", certificate-authority: none.pem")
	    GOOD_USER CONTEXTS,
	1, 76, "none.pem"},
    {CLUSTER("server: \"https://a\", certificate-authority-data: \"?\"")
	    GOOD_USER CONTEXTS,
	1, 81, "base64"},
    {CLUSTER("server: \"https://a\", certificate-authority: ca.pem, "
	     "insecure-skip-tls-verify: true") GOOD_USER CONTEXTS,
	1, 110, "vouches"},
    {CLUSTER("server: \"https://a\", certificate-authority: ca.pem, "
	     "proxy-url: \"http://p\"") GOOD_USER CONTEXTS,
	1, 95, "proxies"},
    {CLUSTER("sever: \"https://a\", certificate-authority: ca.pem") GOOD_USER CONTEXTS,
	1, 32, "sever"},
    {GOOD_CLUSTER USER("exec: {command: aws}") CONTEXTS, 2, 32, "exec"},
    {GOOD_CLUSTER USER("username: a, password: b") CONTEXTS, 2, 36, "username"},
    {GOOD_CLUSTER USER("token: t, as: b") CONTEXTS, 2, 40, "as"},
    {GOOD_CLUSTER USER("client-key: ca.pem") CONTEXTS, 2, 25, "go together"},
    {GOOD_CLUSTER USER("token: \"a b\"") CONTEXTS, 2, 33, "no token"},
    {GOOD_CLUSTER USER("tokenFile: none") CONTEXTS, 2, 37, "none"},
    {GOOD_CLUSTER USER("") CONTEXTS, 2, 25, "neither"},
    {GOOD_CLUSTER GOOD_USER "contexts: []\ncurrent-context: z\n", 4, 18,
	"context \"z\""},
    {GOOD_CLUSTER GOOD_USER "contexts: []\n", 1, 1, "current-context"},
    {GOOD_CLUSTER GOOD_USER
	"contexts: [{name: x, context: {cluster: c, user: w}}]\ncurrent-context: x\n",
	3, 50, "user \"w\""},
    {"a: 1\n---\nb: 1\n", 1, 1, "one YAML document"},
    {"clusters: [\n", 2, 1, ""},
};

START_TEST(mistake_is_told_with_its_place)
{
	const struct diag *d;

	ck_assert(!load(mistakes[_i].text, ""));
	d = diags.first;
	ck_assert_ptr_nonnull(d);
	ck_assert_msg(strstr(d->msg, mistakes[_i].message) != NULL, "%s", d->msg);
	ck_assert_msg(
	    d->loc.line == mistakes[_i].line && d->loc.col == mistakes[_i].col,
	    "%u:%u: %s", d->loc.line, d->loc.col, d->msg);
}
END_TEST

START_TEST(no_line_with_a_secret_is_shown)
{
	struct buf text = {0};

	ck_assert(!load(GOOD_CLUSTER USER("token: hidden, exec: {}") CONTEXTS, ""));
	diag_render_text(&text, &diags);
	ck_assert_ptr_null(strstr(text.data, "hidden"));
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kube_config");
	TCase *tc = tcase_create("kubeconfig");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, context_names_server_and_user);
	tcase_add_test(tc, access_survives_the_wire);
	tcase_add_loop_test(
	    tc, mistake_is_told_with_its_place, 0, (int)ARRAY_LEN(mistakes));
	tcase_add_test(tc, no_line_with_a_secret_is_shown);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
