/*
 * Classes against signatures, address by address: no rule tells apart what has one.
 */
#include "compile_fixture.h"
#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/table/table_walk.h"

static const char world[] = PODS POD("w2", "n1", "10.1.0.4", "web") POD("l2", "n3",
    "10.1.0.5", "lb") POD("d2", "n3", "10.1.0.130", "db") POD("o", "n3", "10.2.0.1",
    "other") "---\n{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {z: a}}, "
	     "status: {addresses: [{type: InternalIP, address: 10.1.0.200}]}}\n" NATIVE(
		 "p", "/shop",
		 "workloads: {matchLabels: {app: web}}, default: {ingress: ["
		 "{action: deny, from: [{cidr: 10.1.0.128/25}]}, "
		 "{action: allow, from: [{workloads: {matchLabels: {app: lb}}}]}, "
		 "{action: deny, from: [{workloads: {matchLabels: {app: db}}}, {cidr: "
		 "10.1.0.0/30}]}, "
		 "{action: pass, from: [{node: {matchLabels: {z: a}}}]}, "
		 "{action: deny, from: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], "
		 "ports: "
		 "[80/tcp]}]}");

static uint32_t
class_of(const struct compiled *c, const struct ip_addr *addr)
{
	struct table_element key = {0};
	const struct table_element *e;

	memcpy(key.addr, addr->bytes, 4);
	e = table_find(&c->content, SET_PEER4_IN, &key);
	if (e == NULL)
		e = table_find(&c->content, SET_PEER4_IN_NET, &key);
	return e != NULL ? e->value : 0;
}

/* Which of the policy's rules would match the address. */
static unsigned
signature(const struct compiled *c, const struct policy *p, const struct ip_addr *addr)
{
	struct endpoint peer = endpoint_of_addr(c->l->m, *addr);
	const struct rule_list *list = &p->defaults[DIR_INGRESS];
	unsigned bits = 0;

	for (size_t i = 0; i < list->count; i++)
		bits |= (unsigned)rule_matches_peer(
			    &list->rules[i], &peer, &(struct knower){0})
			<< i;
	return bits;
}

START_TEST(classes_are_the_addresses_that_no_rule_tells_apart)
{
	struct compiled *c = compiled(world);
	const struct policy *p = policy(c, "p");
	uint32_t classes[32] = {0};
	bool seen[32] = {false};

	for (unsigned i = 0; i < 4 * 256; i++) {
		static const uint8_t thirds[][2] = {{1, 0}, {1, 1}, {2, 0}, {255, 255}};
		struct ip_addr addr = {.family = IP_V4,
		    .bytes = {10, thirds[i / 256][0], thirds[i / 256][1],
			(uint8_t)(i % 256)}};
		unsigned bits = signature(c, p, &addr);
		uint32_t class = class_of(c, &addr);

		ck_assert_uint_lt(bits, 32);
		if (!seen[bits])
			classes[bits] = class;
		seen[bits] = true;
		ck_assert_uint_eq(classes[bits], class);
	}
	ck_assert(seen[0]);
	ck_assert_uint_eq(classes[0], 0);
	for (unsigned i = 0; i < 32; i++) {
		for (unsigned j = 0; j < i; j++)
			ck_assert(!seen[i] || !seen[j] || classes[i] != classes[j]);
	}
	compiled_free(c);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("compile_classes");
	TCase *tc = tcase_create("compile_classes");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, classes_are_the_addresses_that_no_rule_tells_apart);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
