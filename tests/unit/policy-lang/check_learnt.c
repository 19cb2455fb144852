/* What DNS answers taught, and for how long. */
#include "policy-lang/model/learnt.h"

#include "common/limits.h"
#include "load_fixture.h"

#define S UINT64_C(1000)

static struct ip_addr
addr_of(unsigned number)
{
	return (struct ip_addr){IP_V4, {192, 0, 2, (uint8_t)number}};
}

static enum learnt_result
add(struct learnt *t, const char *tenant, const char *name, unsigned addr,
    uint32_t ttl_s, uint64_t now_ms)
{
	struct ip_addr a = addr_of(addr);

	return learnt_add(t, str_from(tenant), str_from(name), &a, ttl_s, now_ms);
}

/* Texts of what is told, sorted by nobody. */
static void
note(void *ctx, const struct learnt_entry *entry)
{
	char text[IP_TEXT_BYTES];

	buf_printf(ctx, "%.*s %.*s %s;", STR_ARG(entry->tenant), STR_ARG(entry->name),
	    ip_format(&entry->addr, text));
}

static void
assert_names(struct learnt *t, const char *tenant, unsigned addr, const char *want)
{
	struct ip_addr a = addr_of(addr);
	struct buf told = {0};

	learnt_names(t, str_from(tenant), &a, note, &told);
	ck_assert_str_eq(told.data != NULL ? told.data : "", want);
	buf_free(&told);
}

START_TEST(add_keeps_names_by_tenant_and_address)
{
	struct learnt *t = learnt_new(10);

	ck_assert_int_eq(add(t, "/acme", "API.bank.example.", 1, 100, 0), LEARNT_NEW);
	ck_assert_int_eq(
	    add(t, "/acme", "api.bank.example", 1, 100, 0), LEARNT_RENEWED);
	ck_assert_int_eq(add(t, "/acme", "www.bank.example", 1, 100, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "/acme", "api.bank.example", 2, 100, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "/globex", "evil.example", 1, 100, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "/acme", ".", 3, 100, 0), LEARNT_FULL);
	ck_assert_uint_eq(learnt_count(t), 4);
	assert_names(t, "/acme", 1,
	    "/acme www.bank.example 192.0.2.1;/acme api.bank.example 192.0.2.1;");
	assert_names(t, "/globex", 1, "/globex evil.example 192.0.2.1;");
	assert_names(t, "/globex", 2, "");
	learnt_free(t);
}
END_TEST

START_TEST(ttl_has_a_floor_and_a_cap)
{
	struct learnt *t = learnt_new(10);

	ck_assert_uint_eq(learnt_ttl_s(0), LIMIT_DNS_TTL_FLOOR_S);
	ck_assert_uint_eq(learnt_ttl_s(LIMIT_DNS_TTL_FLOOR_S + 1), 61);
	ck_assert_uint_eq(learnt_ttl_s(UINT32_MAX), LIMIT_DNS_TTL_CAP_S);
	ck_assert_uint_eq(learnt_next_ms(t), UINT64_MAX);
	(void)add(t, "/a", "x.example", 1, 0, 5 * S);
	ck_assert_uint_eq(learnt_next_ms(t), (5 + LIMIT_DNS_TTL_FLOOR_S) * S);
	ck_assert_uint_eq(learnt_expire(t, 64 * S, NULL, NULL, NULL), 0);
	ck_assert_uint_eq(learnt_expire(t, 65 * S, NULL, NULL, NULL), 1);
	ck_assert_uint_eq(learnt_count(t), 0);
	learnt_free(t);
}
END_TEST

/* A shorter answer does not take away what a longer one promised. */
START_TEST(renewal_only_lengthens)
{
	struct learnt *t = learnt_new(10);

	(void)add(t, "/a", "x.example", 1, 1000, 0);
	(void)add(t, "/a", "x.example", 1, 100, 0);
	ck_assert_uint_eq(learnt_next_ms(t), 1000 * S);
	(void)add(t, "/a", "x.example", 1, 100, 950 * S);
	ck_assert_uint_eq(learnt_next_ms(t), 1050 * S);
	learnt_free(t);
}
END_TEST

START_TEST(tenant_is_bounded_alone)
{
	struct learnt *t = learnt_new(2);

	ck_assert_int_eq(add(t, "/a", "x.example", 1, 100, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "/a", "y.example", 1, 200, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "/a", "z.example", 1, 100, 0), LEARNT_FULL);
	ck_assert_int_eq(add(t, "/a", "x.example", 1, 100, 0), LEARNT_RENEWED);
	ck_assert_int_eq(add(t, "/b", "z.example", 1, 100, 0), LEARNT_NEW);
	ck_assert_uint_eq(learnt_expire(t, 100 * S, NULL, NULL, NULL), 2);
	ck_assert_int_eq(add(t, "/a", "z.example", 1, 100, 100 * S), LEARNT_NEW);
	learnt_free(t);
}
END_TEST

struct use {
	unsigned in_use; /* this address */
	struct buf gone;
};

static bool
is_used(void *ctx, const struct learnt_entry *entry)
{
	return entry->addr.bytes[3] == ((struct use *)ctx)->in_use;
}

static void
note_gone(void *ctx, const struct learnt_entry *entry)
{
	note(&((struct use *)ctx)->gone, entry);
}

START_TEST(what_is_in_use_stays)
{
	struct learnt *t = learnt_new(10);
	struct use use = {.in_use = 2};

	for (unsigned i = 1; i <= 3; i++)
		(void)add(t, "/a", "x.example", i, 100, 0);
	ck_assert_uint_eq(learnt_expire(t, 99 * S, is_used, note_gone, &use), 0);
	ck_assert_uint_eq(learnt_expire(t, 100 * S, is_used, note_gone, &use), 2);
	assert_names(t, "/a", 1, "");
	assert_names(t, "/a", 2, "/a x.example 192.0.2.2;");
	/* Asked about again when the shortest TTL is over, and for as long as it takes. */
	ck_assert_uint_eq(learnt_next_ms(t), (100 + LIMIT_DNS_TTL_FLOOR_S) * S);
	ck_assert_uint_eq(learnt_expire(t, 900 * S, is_used, note_gone, &use), 0);
	use.in_use = 0;
	ck_assert_uint_eq(learnt_expire(t, 959 * S, is_used, note_gone, &use), 0);
	ck_assert_uint_eq(learnt_expire(t, 960 * S, is_used, note_gone, &use), 1);
	ck_assert_uint_eq(learnt_count(t), 0);
	buf_free(&use.gone);
	learnt_free(t);
}
END_TEST

/* Against a plain list, over random additions and times. */
START_TEST(table_agrees_with_a_list)
{
	struct {
		unsigned tenant, name, addr;
		uint64_t until_ms;
	} list[512];
	static const char *const tenants[] = {"/a", "/b", ""};
	struct learnt *t = learnt_new(40);
	uint32_t dice = 12345;
	size_t count = 0;

	for (unsigned step = 0; step < 1000; step++) {
		uint64_t now = step * S, gone = 0;
		unsigned r = (dice = dice * 1664525u + 1013904223u) >> 8;
		unsigned tenant = r % 3, name = r / 3 % 7, addr = r / 21 % 11;
		uint32_t ttl = 60 + r / 231 % 100;
		size_t at = 0, mine = 0;
		char text[32];

		for (size_t i = 0; i < count;) {
			if (list[i].until_ms > now) {
				i++;
				continue;
			}
			list[i] = list[--count];
			gone++;
		}
		ck_assert_uint_eq(learnt_expire(t, now, NULL, NULL, NULL), gone);
		for (size_t i = 0; i < count; i++)
			mine += list[i].tenant == tenant;
		while (
		    at < count && (list[at].tenant != tenant || list[at].name != name ||
				      list[at].addr != addr))
			at++;
		(void)snprintf(text, sizeof(text), "n%u.example", name);
		ck_assert_int_eq(add(t, tenants[tenant], text, addr, ttl, now),
		    at < count   ? LEARNT_RENEWED
		    : mine == 40 ? LEARNT_FULL
				 : LEARNT_NEW);
		if (at == count && mine < 40) {
			list[count].tenant = tenant;
			list[count].name = name;
			list[count].addr = addr;
			list[count++].until_ms = now + ttl * S;
		} else if (at < count && list[at].until_ms < now + ttl * S) {
			list[at].until_ms = now + ttl * S;
		}
		ck_assert_uint_eq(learnt_count(t), count);
		for (unsigned i = 0; i < 11; i++) {
			struct ip_addr a = addr_of(i);
			struct buf told = {0};
			size_t want = 0, got = 0;

			learnt_names(t, str_from(tenants[tenant]), &a, note, &told);
			for (size_t j = 0; j < told.len; j++)
				got += told.data[j] == ';';
			for (size_t j = 0; j < count; j++)
				want += list[j].tenant == tenant && list[j].addr == i;
			ck_assert_uint_eq(got, want);
			buf_free(&told);
		}
	}
	learnt_free(t);
}
END_TEST

START_TEST(table_explains_what_it_knows)
{
	const struct str patterns[] = {STR("*.bank.example"), STR("x.example")};
	struct learnt *t = learnt_new(10);
	struct ip_addr known = addr_of(1), resolver = addr_of(9), other = addr_of(2);

	ck_assert(!learnt_has(NULL, &known));
	ck_assert(!learnt_matches(NULL, STR("a"), &known, patterns, 2));
	ck_assert(!learnt_explains(NULL, STR("a"), &known));
	ck_assert_int_eq(add(t, "a", "api.bank.example", 1, 60, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "a", "bank.example", 2, 60, 0), LEARNT_NEW);
	ck_assert_int_eq(add(t, "b", "bank.example", 1, 60, 0), LEARNT_NEW);
	learnt_set_resolvers(t, &resolver, 1);
	ck_assert(learnt_matches(t, STR("a"), &known, patterns, 2));
	ck_assert(!learnt_matches(t, STR("a"), &known, patterns + 1, 1));
	ck_assert(!learnt_matches(t, STR("b"), &known, patterns, 2));
	ck_assert(!learnt_matches(t, STR("a"), &other, patterns, 2));
	ck_assert(learnt_explains(t, STR("a"), &other));
	ck_assert(!learnt_explains(t, STR("b"), &other));
	ck_assert(learnt_explains(t, STR("b"), &resolver));
	ck_assert(learnt_has(t, &resolver));
	ck_assert_uint_eq(learnt_count_of(t, STR("a")), 2);
	/* What one forgets another may know still. */
	ck_assert_int_eq(add(t, "b", "bank.example", 1, 100, 0), LEARNT_RENEWED);
	ck_assert_uint_eq(learnt_expire(t, 60 * S, NULL, NULL, NULL), 2);
	ck_assert(learnt_has(t, &known) && !learnt_has(t, &other));
	learnt_set_resolvers(t, NULL, 0);
	ck_assert(!learnt_has(t, &resolver));
	ck_assert_uint_eq(learnt_expire(t, 100 * S, NULL, NULL, NULL), 1);
	ck_assert(!learnt_has(t, &known));
	learnt_free(t);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("learnt");
	TCase *tc = tcase_create("learnt");

	tcase_add_test(tc, add_keeps_names_by_tenant_and_address);
	tcase_add_test(tc, ttl_has_a_floor_and_a_cap);
	tcase_add_test(tc, renewal_only_lengthens);
	tcase_add_test(tc, tenant_is_bounded_alone);
	tcase_add_test(tc, what_is_in_use_stays);
	tcase_add_test(tc, table_agrees_with_a_list);
	tcase_add_test(tc, table_explains_what_it_knows);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
