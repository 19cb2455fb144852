/*
 * gate.yaml: the documented example is read as it says; every mistake is told at its place.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authn/config/config.h"

static struct arena *arena;
static struct diag_list diags;
static char directory[] = "/tmp/ringfence-config.XXXXXX";
static char path[64];

static void
setup(void)
{
	arena = arena_new();
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/gate.yaml", directory);
}

static void
teardown(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
	arena_free(arena);
}

static struct gate_config *
load(const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	diag_list_init(&diags, arena);
	return gate_config_load(arena, path, &diags);
}

#define LISTEN "listen: [ \"0.0.0.0:8443\" ]\n"
#define TLS                                                                            \
	"tls: { certificate: gate.crt, key: /abs/gate.key, clientCA: users-ca.crt }\n"
#define UPSTREAM                                                                       \
	"upstream: { servers: [ https://10.0.0.1:6443 ], ca: cluster-ca.crt, "         \
	"identity: front-proxy, certificate: fp.crt, key: fp.key }\n"
#define LDAP                                                                           \
	"ldap:\n"                                                                      \
	"  servers: [ ldaps://ldap1.example.org, ldaps://ldap2.example.org ]\n"        \
	"  ca: ldap-ca.crt\n"                                                          \
	"  bind: { dn: \"cn=ringfence,dc=example,dc=org\", passwordFile: "             \
	"ldap.secret }\n"                                                              \
	"  users: { base: \"ou=people,dc=example,dc=org\", filter: \"(uid={})\", "     \
	"name: uid }\n"                                                                \
	"  groups: { base: \"ou=groups,dc=example,dc=org\", filter: "                  \
	"\"(member={})\", name: cn, nested: walk }\n"
#define REST                                                                           \
	"policy: [ /etc/ringfence/policy.d ]\n"                                        \
	"state: { directory: /var/lib/ringfence }\n"                                   \
	"audit: { directory: /var/log/ringfence/audit, mode: required }\n"             \
	"control: /run/ringfence/gate.sock\n"                                          \
	"metrics: 127.0.0.1:9478\n"

START_TEST(documented_example_is_read)
{
	struct gate_config *c = load(LISTEN TLS UPSTREAM LDAP REST);
	char expected[96];

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->listen_count, 1);
	ck_assert(str_is(c->listen[0].host, "0.0.0.0"));
	ck_assert_uint_eq(c->listen[0].port, 8443);
	(void)snprintf(expected, sizeof(expected), "%s/gate.crt", directory);
	ck_assert_str_eq(c->tls_certificate, expected);
	ck_assert_str_eq(c->tls_key, "/abs/gate.key");
	ck_assert_uint_eq(c->upstream_count, 1);
	ck_assert(str_is(c->upstreams[0].host, "10.0.0.1"));
	ck_assert_uint_eq(c->upstreams[0].port, 6443);
	ck_assert_int_eq(c->identity, IDENTITY_FRONT_PROXY);
	ck_assert(c->has_ldap && c->certificate_accounts && c->tls_crl == NULL);
	ck_assert_uint_eq(c->ldap.server_count, 2);
	ck_assert(str_is(c->ldap.servers[1], "ldaps://ldap2.example.org"));
	ck_assert(str_is(c->ldap.bind_dn, "cn=ringfence,dc=example,dc=org"));
	ck_assert(str_is(c->ldap.user_filter, "(uid={})"));
	ck_assert(str_is(c->ldap.group_name_attr, "cn"));
	ck_assert_int_eq(c->ldap.nested, LDAP_NESTED_WALK);
	ck_assert_uint_eq(c->ldap.timeout_ms, 5000);
	ck_assert_uint_eq(c->ldap.login_timeout_ms, 10000);
	ck_assert_uint_eq(c->ldap.check_interval_s, 60);
	ck_assert_uint_eq(c->ldap.check_grace_s, 12 * 3600);
	ck_assert_str_eq(c->policy_paths[0], "/etc/ringfence/policy.d");
	ck_assert(c->audit_required && c->audit_policy == NULL);
	ck_assert(str_is(c->audit_origin, "ringfence-gate"));
	ck_assert(c->has_metrics);
	ck_assert_uint_eq(c->metrics.port, 9478);
	ck_assert_uint_eq(c->login_ttl_s, 12 * 3600);
	ck_assert_uint_eq(c->max_ttl_s, 30 * 24 * 3600);
	ck_assert_uint_eq(c->tokens_per_user, 200);
}
END_TEST

START_TEST(other_spellings_are_read)
{
	struct gate_config *c = load(
	    "listen: [ \"[::1]:1\", \":65535\" ]\n" TLS
	    "upstream: { servers: [ \"https://api\", \"https://[fd00::1]:6443\" ], ca: "
	    "a, identity: impersonate, certificate: b, key: c, listsAs: lister }\n"
	    "policy: [ p ]\naudit: { mode: best-effort, origin: east/gate, policy: "
	    "a.yaml }\nworkers: 3\n"
	    "tokens: { loginTTL: 90m, maxTTL: 1h30m, maxPerUser: 7 }\n");

	ck_assert_ptr_nonnull(c);
	ck_assert(str_is(c->listen[0].host, "::1"));
	ck_assert_uint_eq(c->listen[1].host.len, 0);
	ck_assert_uint_eq(c->listen[1].port, 65535);
	ck_assert(str_is(c->upstreams[0].host, "api"));
	ck_assert_uint_eq(c->upstreams[0].port, 443);
	ck_assert(str_is(c->upstreams[1].host, "fd00::1"));
	ck_assert_int_eq(c->identity, IDENTITY_IMPERSONATE);
	ck_assert(str_is(c->lists_as, "lister"));
	ck_assert(!c->has_ldap && !c->certificate_accounts);
	ck_assert(!c->audit_required && !c->has_metrics);
	ck_assert(str_is(c->audit_origin, "east/gate"));
	ck_assert_str_eq(c->audit_policy + strlen(c->audit_policy) - 7, "/a.yaml");
	ck_assert_uint_eq(c->workers, 3);
	ck_assert_uint_eq(c->login_ttl_s, 5400);
	ck_assert_uint_eq(c->max_ttl_s, 5400);
	ck_assert_uint_eq(c->tokens_per_user, 7);
}
END_TEST

/* The system chooses; families do not meet; the longest path that there is. */
START_TEST(addresses_that_only_look_alike_are_read)
{
	struct gate_config *c = load(
	    "listen: [ \"127.0.0.1:0\", \"127.0.0.1:0\", \"0.0.0.0:1\", \"[::]:1\" "
	    "]\n" TLS UPSTREAM "policy: [ a ]\ncontrol: "
	    "/123456789/123456789/123456789/123456789/123456789/123456789/123456789/"
	    "123456789/123456789/123456789/123456\n");

	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->listen_count, 4);
	ck_assert_uint_eq(strlen(c->control_socket), 107);
}
END_TEST

/* What is wrong, the line where it is told, and a part of what is told. */
static const struct {
	const char *text;
	unsigned line;
	const char *message;
} mistakes[] = {
    {"lisen: [ \":1\" ]\n" LISTEN TLS UPSTREAM REST, 1, "lisen"},
    {TLS UPSTREAM REST, 1, "listen"},
    {"listen: [ localhost:1 ]\n" TLS UPSTREAM REST, 1, "localhost"},
    {"listen: [ \"::1:443\" ]\n" TLS UPSTREAM REST, 1, "::1:443"},
    {"listen: [ \"[]:443\" ]\n" TLS UPSTREAM REST, 1, "[]:443"},
    {"listen: [ \"1.2.3.4:65536\" ]\n" TLS UPSTREAM REST, 1, "65536"},
    {"listen: []\n" TLS UPSTREAM REST, 1, "no address"},
    {"listen: 8443\n" TLS UPSTREAM REST, 1, "listen"},
    {"listen: [ \"127.0.0.1:1\",\n \"127.0.0.1:1\" ]\n" TLS UPSTREAM REST, 2,
	"listened on already"},
    {"listen: [ \"[::1]:1\",\n \":1\" ]\n" TLS UPSTREAM REST, 2, "already"},
    {"listen: [ \"[fd00::1]:1\",\n \"[fd00:0::1]:1\" ]\n" TLS UPSTREAM REST, 2,
	"already"},
    {"listen: [ \"0.0.0.0:1\",\n \"10.0.0.1:1\" ]\n" TLS UPSTREAM REST, 2, "already"},
    {"listen: [ \"127.0.0.1:9478\" ]\n" TLS UPSTREAM REST, 8,
	"\"127.0.0.1:9478\" is listened on already"},
    {LISTEN TLS UPSTREAM
	"policy: [ a ]\ncontrol: "
	"/123456789/123456789/123456789/123456789/123456789/123456789/123456789/"
	"123456789/123456789/123456789/1234567\n",
	5, "at most 107 bytes, and this one 108"},
    {LISTEN TLS "upstream: { servers: [ \"https://a:0\" ], ca: a, certificate: b, key: "
		"c }\n" REST,
	3, "\"https://a:0\" has no valid port"},
    {LISTEN TLS UPSTREAM REST "tokens: { maxPerUser: 0 }\n", 9, "maxPerUser"},
    {LISTEN "tls: { certificate: a }\n" UPSTREAM REST, 2, "key"},
    {LISTEN TLS "upstream: { servers: [ \"http://a\" ], ca: a, certificate: b, key: c "
		"}\n" REST,
	3, "https"},
    {LISTEN TLS "upstream: { servers: [ \"https://a/b\" ], ca: a, certificate: b, key: "
		"c }\n" REST,
	3, "path"},
    {LISTEN TLS "upstream: { servers: [], ca: a, certificate: b, key: c }\n" REST, 3,
	"no server"},
    {LISTEN TLS "upstream: { servers: [ \"https://a\" ], ca: a, certificate: b, key: "
		"c, identity: root }\n" REST,
	3, "front-proxy"},
    {LISTEN TLS "upstream: { servers: [ \"https://[]\" ], ca: a, certificate: b, key: "
		"c }\n" REST,
	3, "port"},
    {LISTEN TLS "upstream: { servers: [ \"https://a\" ], ca: a, certificate: b, key: "
		"c, listsAs: \"system:admin\" }\n" REST,
	3, "listsAs"},
    {LISTEN TLS UPSTREAM REST "tokens: { loginTTL: 12 }\n", 9, "loginTTL"},
    {LISTEN TLS UPSTREAM REST "tokens: { loginTTL: 12d }\n", 9, "12d"},
    {LISTEN TLS UPSTREAM REST "tokens: { maxTTL: 100000000h }\n", 9, "100000000h"},
    {LISTEN TLS UPSTREAM REST "tokens: { loginTTL: 2h, maxTTL: 1h }\n", 9, "longer"},
    {LISTEN TLS UPSTREAM REST "tokens: { idleTTL: 1m }\n", 9, "5m"},
    {LISTEN TLS UPSTREAM REST "workers: 0\n", 9, "workers"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\naudit: { origin: \"a b\" }\n", 5,
	"names no log"},
    {LISTEN TLS UPSTREAM "policy: [ \"\" ]\n", 4, "cannot be empty"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\nstate: { etcd: {} }\n", 5, "endpoints"},
    {LISTEN TLS UPSTREAM
	"policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ \"http://a\" ] } }\n",
	5, "https"},
    {LISTEN TLS UPSTREAM
	"policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ \"https://\" ] } }\n",
	5, "HOST:PORT"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ "
			 "\"https://a:65536\" ] } }\n",
	5, "HOST:PORT"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ "
			 "\"https://::1:2379\" ] } }\n",
	5, "HOST:PORT"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ "
			 "\"https://a:1\" ], prefix: x } }\n",
	5, "slash"},
    {LISTEN TLS UPSTREAM "policy: [ a ]\nstate: { etcd: { ca: a, endpoints: [ "
			 "\"https://a:1\" ], user: x } }\n",
	5, "passwordFile"},
    {LISTEN TLS UPSTREAM REST "admission: { listen: \":1\", certificate: a, key: b, "
			      "clientCA: c }\n",
	9, "listsAs"},
    {LISTEN TLS UPSTREAM REST "admission: { listen: \":1\", certificate: a, key: b, "
			      "clientCA: c, listsAs: \"system:admin\" }\n",
	9, "listsAs"},
    {LISTEN TLS UPSTREAM REST "admission: { listen: \":1\", certificate: a, key: b, "
			      "clientCA: c, listsAs: d, holdSeconds: 0 }\n",
	9, "holdSeconds"},
    {LISTEN TLS UPSTREAM REST "admission: { listen: \":1\", certificate: a, key: b, "
			      "clientCA: c, listsAs: d, callers: [] }\n",
	9, "names nobody"},
    {LISTEN TLS UPSTREAM REST "admission: { listsAs: d }\n", 9, "writesAs"},
    {LISTEN TLS UPSTREAM REST "admission: { listen: \":1\", certificate: a, key: b, "
			      "listsAs: d }\n",
	9, "clientCA"},
    {LISTEN TLS UPSTREAM REST "admission: { listsAs: d, writesAs: \"system:x\" }\n", 9,
	"writesAs"},
    {"- a\n", 1, "configuration"},
    {"", 1, "document"},
};

static bool
told(unsigned line, const char *part)
{
	for (const struct diag *d = diags.first; d != NULL; d = d->next) {
		if (d->loc.line == line &&
		    (strstr(d->msg, part) != NULL ||
			(d->hint != NULL && strstr(d->hint, part) != NULL)))
			return true;
	}
	return false;
}

START_TEST(mistakes_are_told_at_their_place)
{
	struct buf text = {NULL, 0, 0};

	ck_assert_ptr_null(load(mistakes[_i].text));
	diag_render_text(&text, &diags);
	ck_assert_msg(told(mistakes[_i].line, mistakes[_i].message),
	    "wanted line %u \"%s\", got:\n%.*s", mistakes[_i].line,
	    mistakes[_i].message, STR_ARG(buf_str(&text)));
	buf_free(&text);
}
END_TEST

static const struct {
	const char *from, *to, *message; /* NULL: this is fine */
} directories[] = {
    {"ldaps://ldap1.example.org", "ldap://ldap1.example.org", "clear text"},
    {"ldaps://ldap1.example.org", "http://ldap1.example.org", "ldaps://"},
    {"ldaps://ldap1.example.org", "\"ldaps://[::1]\"", NULL},
    {"ldaps://ldap1.example.org", "\"ldaps://[::1]:636/\"", NULL},
    {"ldaps://ldap1.example.org", "\"ldaps://::1\"", "brackets"},
    {"ldaps://ldap1.example.org", "\"ldaps://[::1\"", "brackets"},
    {"ldaps://ldap1.example.org", "\"ldaps://a:65536\"", "HOST:PORT"},
    {"ldaps://ldap1.example.org", "\"ldaps://a ldap://b\"", "no directory server"},
    {"ldaps://ldap1.example.org", "\"ldaps://a/,ldap://b\"", "no directory server"},
    {"  ca: ldap-ca.crt\n", "  insecure: true\n", NULL},
    {"(uid={})", "(uid=alice)", "{}"},
    {"(uid={})", "(|(uid={})(mail={}))", "{}"},
    {"(uid={})", "uid={}", "parentheses"},
    {"nested: walk", "nested: deep", "walk"},
    {"nested: walk", "nested: tokenGroups", NULL},
    {"nested: walk", "nested: ad, memberOf: memberOf", "without"},
    {"nested: walk", "by: name", NULL},
    {"nested: walk", "nested: walk, by: name", "do not nest"},
    {"nested: walk", "by: uid", "dn"},
    {"ldaps://ldap1.example.org", "ldaps+srv://example.org", NULL},
    {"ldaps://ldap1.example.org", "ldap+srv://example.org", "clear text"},
    {"ldaps://ldap1.example.org", "ldaps+srv://example.org:636", "no domain"},
    {"ldaps://ldap1.example.org", "ldaps+srv://", "no domain"},
    {"name: uid", "name: uid, bindAs: \"{}@example.org\"", NULL},
    {"name: uid", "name: uid, bindAs: \"uid=a,dc=x\"", "{} once"},
    {"  ca: ldap-ca.crt\n", "  accounts: { checkEvery: 5m, grace: 10m }\n", NULL},
    {"  ca: ldap-ca.crt\n", "  accounts: { checkEvery: 5m, grace: 9m }\n", "twice"},
    {"  ca: ldap-ca.crt\n", "  accounts: { checkEvery: 25h, grace: 99h }\n", "24h"},
    {"  ca: ldap-ca.crt\n", "  lockout: { attempts: 5, window: 30m }\n", NULL},
    {"  ca: ldap-ca.crt\n", "  lockout: { attempts: 1, window: 30m }\n", "attempts"},
    {"  ca: ldap-ca.crt\n", "  lockout: { attempts: 5 }\n", "window"},
    {"base: \"ou=groups,dc=example,dc=org\", ", "", "memberOf"},
    {"passwordFile: ldap.secret", "password: secret", "password"},
    {"name: uid", "name: 5", "name"},
};

START_TEST(directory_is_checked)
{
	const char *from = directories[_i].from;
	struct buf text = {NULL, 0, 0};
	const char *at = strstr(LDAP, from);
	char ldap[2048];

	ck_assert_ptr_nonnull(at);
	(void)snprintf(ldap, sizeof(ldap), "%s%.*s%s%s", LISTEN TLS UPSTREAM REST,
	    (int)(at - LDAP), LDAP, directories[_i].to, at + strlen(from));
	ck_assert_int_eq(load(ldap) != NULL, directories[_i].message == NULL);
	diag_render_text(&text, &diags);
	buf_add_char(&text, '\0');
	if (directories[_i].message != NULL)
		ck_assert_msg(strstr(text.data, directories[_i].message) != NULL,
		    "wanted \"%s\", got:\n%s", directories[_i].message, text.data);
	buf_free(&text);
}
END_TEST

/* Who says what a user by certificate may do. */
static const struct {
	const char *tls, *ldap, *message; /* message NULL: this is fine */
	bool accounts;
} users[] = {
    {"clientCA: c", LDAP, NULL, true},
    {"clientCA: c", "", NULL, false},
    {"clientCA: c, clientUsers: certificate", LDAP, NULL, false},
    {"clientCA: c, clientUsers: directory, crl: d", LDAP, NULL, true},
    {"clientCA: c, clientUsers: directory", "", "ldap.bind", false},
    {"clientCA: c, clientUsers: both", LDAP, "directory", false},
    {"crl: d", LDAP, "clientCA", false},
    {"clientUsers: directory", LDAP, "clientCA", false},
    {"clientCA: c",
	"ldap: { servers: [ ldaps://l ], users: { base: \"dc=x\", filter: "
	"\"(uid={})\", "
	"bindAs: \"{}@x\", name: uid }, groups: { memberOf: memberOf } }\n",
	"ldap.bind", false},
};

START_TEST(users_by_certificate_are_the_directory_s)
{
	struct gate_config *c;
	struct buf text = {NULL, 0, 0};
	char config[2048];

	(void)snprintf(config, sizeof(config),
	    LISTEN "tls: { certificate: a, key: b, %s }\n" UPSTREAM "%s" REST,
	    users[_i].tls, users[_i].ldap);
	c = load(config);
	diag_render_text(&text, &diags);
	buf_add_char(&text, '\0');
	ck_assert_msg((c != NULL) == (users[_i].message == NULL), "%s", text.data);
	if (c != NULL)
		ck_assert(c->certificate_accounts == users[_i].accounts);
	else
		ck_assert_msg(
		    strstr(text.data, users[_i].message) != NULL, "%s", text.data);
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, documented_example_is_read);
	tcase_add_test(tc, other_spellings_are_read);
	tcase_add_test(tc, addresses_that_only_look_alike_are_read);
	tcase_add_loop_test(
	    tc, mistakes_are_told_at_their_place, 0, (int)ARRAY_LEN(mistakes));
	tcase_add_loop_test(tc, directory_is_checked, 0, (int)ARRAY_LEN(directories));
	tcase_add_loop_test(
	    tc, users_by_certificate_are_the_directory_s, 0, (int)ARRAY_LEN(users));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
