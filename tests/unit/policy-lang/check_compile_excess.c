/*
 * Programs that are too large are refused, and those documents are told that make them so: whoever
 * has no part in it is not to wait for it.
 */
#include "compile_fixture.h"

#include "policy-lang/compile/compile_space.h"

#define OBJECT(kind)                                                                   \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: " kind ", metadata: "

static void
add_workloads(
    struct buf *text, const char *namespace_path, unsigned third, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buf_printf(text,
		    OBJECT(
			"Workload") "{name: w%u, namespace: %s}, spec: {node: n1, ips: "
				    "[10.%u.%u.%u]}}\n",
		    i, namespace_path, third, i / 250, i % 250 + 1);
}

/* Each of the namespace's workloads has so many wide ranges of ports, for these. */
static void
add_ranges_of(struct buf *text, const char *namespace_path, const char *direction,
    const char *peers, unsigned count)
{
	buf_printf(text,
	    OBJECT("Policy") "{name: p, namespace: %s}, spec: {default: {%s: "
			     "[{action: deny, %sports: [",
	    namespace_path, direction, peers);
	for (unsigned i = 0; i < count; i++)
		buf_printf(
		    text, "%s%u-%u/udp", i > 0 ? ", " : "", 1 + 100 * i, 50 + 100 * i);
	buf_add_cstr(text, "]}]}}}\n");
}

static void
add_ranges(
    struct buf *text, const char *namespace_path, const char *from, unsigned count)
{
	add_ranges_of(text, namespace_path, "ingress", from, count);
}

/* `culprit` is told, and nobody else. */
static void
refuses(const char *a, const char *b, const char *culprit, const char *what)
{
	const struct compile_options options = {.node = STR("n1")};
	struct table_content content;
	struct loaded *l =
	    load_files(NULL, (const char *const[]){"a.yaml", a, "b.yaml", b, NULL});

	ck_assert_msg(l->ok, "%s", loaded_text(l));
	ck_assert(!compile_node(l->arena, l->m, &options, &l->diags, &content));
	ck_assert_uint_ge(l->diags.errors, 1);
	for (const struct diag *d = l->diags.first; d != NULL; d = d->next) {
		if (d->severity != DIAG_ERROR)
			continue;
		ck_assert_str_eq(d->code, "program-too-large");
		ck_assert_ptr_nonnull(strstr(d->msg, what));
		ck_assert(str_is(d->loc.source->name, culprit));
	}
	loaded_free(l);
}

/* 401 workloads with 100 wide ranges are more than 40,000, and 40 with 100 are not: whichever
 * comes first. */
START_TEST(who_has_most_port_ranges_is_told)
{
	struct buf few = {0}, many = {0};

	add_workloads(&few, _i == 0 ? "/a" : "/b", 1, 40);
	add_ranges(&few, _i == 0 ? "/a" : "/b", "", 100);
	add_workloads(&many, _i == 0 ? "/b" : "/a", 2, 401);
	add_ranges(&many, _i == 0 ? "/b" : "/a", "", 100);
	if (_i == 0)
		refuses(few.data, many.data, "b.yaml", "40000 port ranges");
	else
		refuses(many.data, few.data, "a.yaml", "40000 port ranges");
	buf_free(&few);
	buf_free(&many);
}
END_TEST

/* 200 ranges of /b for one network, times 250 parts that /a's rules cut it in. */
START_TEST(who_cuts_the_peers_of_others_is_told)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 1);
	buf_add_cstr(&a, OBJECT("Policy") "{name: p, namespace: /a}, spec: {default: "
					  "{ingress: [");
	for (unsigned i = 0; i < 250; i++)
		buf_printf(&a,
		    "%s{action: allow, from: [{cidr: 10.9.%u.0/25}], ports: [%u/tcp]}",
		    i > 0 ? ", " : "", i, i + 1);
	buf_add_cstr(&a, "]}}}\n");
	add_workloads(&b, "/b", 2, 20);
	add_ranges(&b, "/b", "from: [{cidr: 10.9.0.0/16}], ", 10);
	refuses(a.data, b.data, "a.yaml", "port ranges");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* 10 wide ranges of /b for one network, times 250 parts that /a's rules cut it in, each of which
 * says more than that network: so all of /a's sets have more parts than /b's. */
START_TEST(who_cuts_the_peers_of_others_by_wider_ones_is_told)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 1);
	buf_add_cstr(&a, OBJECT("Policy") "{name: p, namespace: /a}, spec: {default: "
					  "{ingress: [");
	for (unsigned i = 0; i < 260; i++)
		buf_printf(&a,
		    "{action: allow, from: [{cidr: 20.%u.0.0/17}]}, {action: allow, "
		    "from: [{cidr: 20.0.0.0/7}, {cidr: 10.9.%u.0/25}]}, ",
		    i % 256, i % 250);
	buf_add_cstr(&a, "]}}}\n");
	add_workloads(&b, "/b", 2, 20);
	add_ranges(&b, "/b", "from: [{cidr: 10.9.0.0/16}], ", 10);
	refuses(a.data, b.data, "a.yaml", "port ranges");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* 410 times 98 ranges are too many, of which no policy has more than 410; /a's one has 800. */
START_TEST(tenant_is_told_however_many_policies_he_has)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 40);
	add_ranges(&a, "/a", "", 20);
	add_workloads(&b, "/b", 2, 410);
	for (unsigned i = 0; i < 98; i++)
		buf_printf(&b,
		    OBJECT(
			"Policy") "{name: p%u, namespace: /b}, spec: {default: "
				  "{ingress: [{action: deny, ports: [%u-%u/udp]}]}}}\n",
		    i, 1 + 100 * i, 50 + 100 * i);
	refuses(a.data, b.data, "b.yaml", "port ranges");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* 30,000 in one direction are not too many, and 40,180 in the other are. */
START_TEST(tenant_is_told_by_what_is_in_that_set)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 300);
	add_ranges(&a, "/a", "", 100);
	add_workloads(&b, "/b", 2, 410);
	add_ranges_of(&b, "/b", "egress", "", 98);
	refuses(a.data, b.data, "b.yaml", "port ranges");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* 21,000 of policy at /, which cannot be set aside, and 20,000 of a tenant's. */
START_TEST(tenant_is_told_where_policy_at_the_root_leaves_too_little)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 210);
	buf_add_cstr(&a, OBJECT("Namespace") "{name: /a}}\n");
	add_ranges(&a, "/", "", 100);
	add_workloads(&b, "/b", 2, 200);
	add_ranges(&b, "/b", "", 100);
	refuses(a.data, b.data, "b.yaml", "port ranges");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* Each of 1,200 parts of the network is in all but one of 1,200 sets. */
START_TEST(who_overlaps_most_is_told)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 40);
	add_ranges(&a, "/a", "from: [{cidr: 10.9.0.0/16}], ", 10);
	add_workloads(&b, "/b", 2, 1);
	buf_add_cstr(&b, OBJECT("Policy") "{name: p, namespace: /b}, spec: {allow: "
					  "{ingress: [");
	for (unsigned i = 0; i < 1200; i++)
		buf_printf(&b, "%s{from: [{cidr: 0.0.0.0/0, except: [20.%u.%u.0/25]}]}",
		    i > 0 ? ", " : "", i / 200, i % 200);
	buf_add_cstr(&b, "]}}}\n");
	refuses(a.data, b.data, "b.yaml", "overlaps of peers");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

#ifndef RINGFENCE_SANITIZED

/* 3,000 addresses in 4,000 sets each are 12 million: of eight it is clear who has most. */
START_TEST(overlaps_are_counted_no_further_than_needed)
{
	const struct compile_options options = {.node = STR("n1")};
	struct table_content content;
	struct buf b = {0};
	struct loaded *l;

	add_workloads(&b, "/b", 2, 1);
	buf_add_cstr(&b, OBJECT("Policy") "{name: p, namespace: /b}, spec: {allow: "
					  "{ingress: [");
	for (unsigned i = 0; i < 4000; i++)
		buf_printf(&b, "{from: [{cidr: 20.0.0.0/8}, {cidr: 30.%u.%u.0/32}]}, ",
		    i / 250, i % 250);
	for (unsigned i = 0; i < 3000; i++)
		buf_printf(&b, "{from: [{cidr: 20.%u.%u.0/32}]}, ", i / 250, i % 250);
	buf_add_cstr(&b, "]}}}\n");
	l = load_files(NULL, (const char *const[]){"b.yaml", b.data, NULL});
	ck_assert_msg(l->ok, "%s", loaded_text(l));
	ck_assert(!compile_node(l->arena, l->m, &options, &l->diags, &content));
	ck_assert_ptr_nonnull(strstr(loaded_text(l), "this document has 80"));
	loaded_free(l);
	buf_free(&b);
}
END_TEST

#endif

/* Every other address of 200 is in a second set: two kinds, whose sets are gone through once. */
START_TEST(parts_of_the_same_sets_are_of_a_kind)
{
	struct addr_range all = {.hi = UINT32_MAX}, some[100];
	struct peer_set first = {0}, second = {0};
	struct peer_set *sets[] = {&first, &second};
	const struct side side = {.sets = sets, .set_count = 2};
	struct space *space;
	struct space_part part;
	unsigned parts = 0, news = 0;

	for (unsigned i = 0; i < 100; i++)
		some[i].lo = some[i].hi = 2 * i + 1;
	first.nets[0] = (struct addrset){.ranges = &all, .count = 1};
	second.nets[0] = (struct addrset){.ranges = some, .count = 100};
	space = space_new(&side, 0);
	while (space_next(space, &part)) {
		ck_assert(part.lo == parts);
		ck_assert(part.hi == (parts == 200 ? UINT32_MAX : parts));
		ck_assert_uint_eq(part.count, 1 + parts % 2);
		ck_assert_uint_eq(part.sets[part.count - 1], parts % 2);
		ck_assert_uint_eq(part.kind, parts % 2);
		news += part.is_new;
		parts++;
	}
	ck_assert_uint_eq(parts, 201);
	ck_assert_uint_eq(news, 2);
	space_free(space);
}
END_TEST

/* ---- a tenant's part ---- */

/* 80 workloads of 250 addresses each: every port, and every part of the peers that a rule for
 * them all tells apart, is 20,000 elements. */
static void
add_addresses(struct buf *text, const char *namespace_path, unsigned second)
{
	for (unsigned i = 0; i < 80; i++) {
		buf_printf(text,
		    OBJECT("Workload") "{name: w%u, namespace: %s}, spec: {node: n1, "
				       "ips: [",
		    i, namespace_path);
		for (unsigned j = 0; j < 250; j++)
			buf_printf(
			    text, "%s10.%u.%u.%u", j > 0 ? ", " : "", second, i, j + 1);
		buf_add_cstr(text, "]}}\n");
	}
}

static void
add_ports(
    struct buf *text, const char *namespace_path, const char *from, unsigned count)
{
	buf_printf(text,
	    OBJECT("Policy") "{name: p, namespace: %s}, spec: {default: {ingress: "
			     "[{action: deny, %sports: [",
	    namespace_path, from);
	for (unsigned i = 0; i < count; i++)
		buf_printf(text, "%s%u/tcp", i > 0 ? ", " : "", 2 * i + 1);
	buf_add_cstr(text, "]}]}}}\n");
}

/* What he passes on is decided by nothing: it is there because of him. */
START_TEST(tenant_with_more_than_his_part_is_told)
{
	struct buf a = {0}, b = {0};

	add_addresses(&a, "/a", 1);
	buf_add_cstr(&a, OBJECT("Policy") "{name: p, namespace: /a}, spec: {mandatory: "
					  "{ingress: [{action: pass, ports: [");
	for (unsigned i = 0; i < 101; i++)
		buf_printf(&a, "%u/tcp, ", 2 * i + 1);
	buf_add_cstr(&a, "]}, {action: deny}]}}}\n");
	add_workloads(&b, "/b", 2, 40);
	add_ports(&b, "/b", "", 101);
	refuses(a.data, b.data, "a.yaml", "2000000 elements for /a");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

#ifndef RINGFENCE_SANITIZED

static void
add_networks(struct buf *text, const char *namespace_path, unsigned count)
{
	buf_printf(text,
	    OBJECT("Policy") "{name: p, namespace: %s}, spec: {default: {ingress: [",
	    namespace_path);
	for (unsigned i = 0; i < count; i++)
		buf_printf(text,
		    "%s{action: deny, from: [{cidr: 10.9.%u.0/25}], ports: [7/tcp]}",
		    i > 0 ? ", " : "", i);
	buf_add_cstr(text, "]}}}\n");
}

/* What administers all is nobody's part. */
START_TEST(policy_at_the_root_has_no_such_limit)
{
	const struct compile_options options = {.node = STR("n1")};
	struct table_content content;
	struct buf a = {0};
	struct loaded *l;

	add_addresses(&a, "/a", 1);
	add_ports(&a, "/", "", 101);
	l = load_files(NULL, (const char *const[]){"a.yaml", a.data, NULL});
	ck_assert_msg(l->ok, "%s", loaded_text(l));
	ck_assert(compile_node(l->arena, l->m, &options, &l->diags, &content));
	ck_assert_uint_gt(content.element_count[SET_CELL4_IN], 2000000);
	loaded_free(l);
	buf_free(&a);
}
END_TEST

/* One port of /b's for a network, in the 250 parts that /a's networks cut it in. */
START_TEST(who_cuts_much_for_few_ports_is_told)
{
	struct buf a = {0}, b = {0};

	add_workloads(&a, "/a", 1, 1);
	add_networks(&a, "/a", 250);
	add_addresses(&b, "/b", 2);
	add_ports(&b, "/b", "from: [{cidr: 10.9.0.0/16}], ", 1);
	refuses(a.data, b.data, "a.yaml", "2000000 elements for /a");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* 30 ports of /a's for a network that /b, who has them all for one port, cuts in 40. */
START_TEST(who_has_many_ports_in_few_parts_is_told)
{
	struct buf a = {0}, b = {0};

	add_addresses(&a, "/a", 1);
	add_ports(&a, "/a", "from: [{cidr: 10.9.0.0/16}], ", 30);
	add_workloads(&b, "/b", 2, 1);
	add_networks(&b, "/b", 40);
	refuses(a.data, b.data, "a.yaml", "2000000 elements for /a");
	buf_free(&a);
	buf_free(&b);
}
END_TEST

#endif

int
main(void)
{
	Suite *suite = suite_create("compile_excess");
	TCase *tc = tcase_create("compile_excess");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, who_has_most_port_ranges_is_told, 0, 2);
	tcase_add_test(tc, who_cuts_the_peers_of_others_is_told);
	tcase_add_test(tc, who_cuts_the_peers_of_others_by_wider_ones_is_told);
	tcase_add_test(tc, tenant_is_told_however_many_policies_he_has);
	tcase_add_test(tc, tenant_is_told_by_what_is_in_that_set);
	tcase_add_test(tc, tenant_is_told_where_policy_at_the_root_leaves_too_little);
	tcase_add_test(tc, who_overlaps_most_is_told);
#ifndef RINGFENCE_SANITIZED
	tcase_add_test(tc, overlaps_are_counted_no_further_than_needed);
#endif
	tcase_add_test(tc, parts_of_the_same_sets_are_of_a_kind);
	tcase_add_test(tc, tenant_with_more_than_his_part_is_told);
#ifndef RINGFENCE_SANITIZED /* each takes ten seconds there, in the same code */
	tcase_add_test(tc, policy_at_the_root_has_no_such_limit);
	tcase_add_test(tc, who_cuts_much_for_few_ports_is_told);
	tcase_add_test(tc, who_has_many_ports_in_few_parts_is_told);
#endif
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
