#include "policy-lang/model/portset.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 65536

/* The same walk, port by port. */
struct naive {
	uint32_t number[PORT_COLUMNS][PORTS];
	uint32_t passed[PORT_COLUMNS][PORTS];
	uint32_t level;
};

static uint64_t random_state;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

static void
naive_apply(struct naive *n, size_t column, uint32_t lo, uint32_t hi,
    enum action action, uint32_t number)
{
	for (uint32_t p = lo; p <= hi; p++) {
		if (n->number[column][p] != 0 || n->passed[column][p] == n->level)
			continue;
		if (action == ACTION_PASS)
			n->passed[column][p] = n->level;
		else
			n->number[column][p] = number;
	}
}

static void
compare(const struct portset *ps, const struct naive *n, unsigned seed)
{
	for (size_t c = 0; c < PORT_COLUMNS; c++) {
		const struct port_list *list = &ps->columns[c];
		uint32_t next = 0;

		for (size_t i = 0; i < list->count; i++) {
			const struct port_segment *s = &list->items[i];

			ck_assert_uint_eq(s->lo, next);
			ck_assert_uint_le(s->lo, s->hi);
			/* An assertion for each port would take minutes. */
			for (uint32_t p = s->lo; p <= s->hi; p++) {
				if (s->number != n->number[c][p])
					ck_abort_msg(
					    "seed %u column %zu port %u: %u, not %u",
					    seed, c, p, s->number, n->number[c][p]);
			}
			next = s->hi + 1u;
		}
		ck_assert_uint_eq(next, PORTS);
	}
}

/* Ports near the ends, near each other and anywhere. */
static uint16_t
random_port(void)
{
	switch (random_below(4)) {
	case 0:
		return (uint16_t)random_below(4);
	case 1:
		return (uint16_t)(PORTS - 1 - random_below(4));
	case 2:
		return (uint16_t)(8000 + random_below(12));
	default:
		return (uint16_t)random_below(PORTS);
	}
}

static void
apply_random(struct portset *ps, struct naive *n, uint32_t number)
{
	enum port_column column = (enum port_column)random_below(PORT_COLUMNS);
	enum action action = (enum action)random_below(3);
	uint16_t a = random_port(), b = random_port();
	uint16_t lo = a < b ? a : b, hi = a < b ? b : a;
	bool whole = !port_column_has_ports(column);

	if (random_below(20) == 0) {
		for (size_t c = 0; c < PORT_COLUMNS; c++)
			naive_apply(n, c, 0, PORTS - 1, action, number);
		portset_apply_all(ps, action, number);
		return;
	}
	naive_apply(n, column, whole ? 0 : lo, whole ? PORTS - 1 : hi, action, number);
	portset_apply(ps, column, lo, hi, action, number);
}

START_TEST(walk_equals_naive_walk)
{
	struct portset ps = {0};
	struct naive *n = calloc(1, sizeof(*n));
	unsigned seed = 1000u + (unsigned)_i;
	uint32_t count;

	ck_assert_ptr_nonnull(n);
	random_state = seed;
	n->level = 1;
	portset_reset(&ps);
	count = 1 + random_below(60);
	for (uint32_t i = 1; i <= count; i++) {
		if (random_below(4) == 0) {
			portset_next_level(&ps);
			n->level++;
		}
		apply_random(&ps, n, i);
	}
	compare(&ps, n, seed);
	portset_next_level(&ps);
	n->level++;
	portset_apply_all(&ps, ACTION_DENY, 999);
	for (size_t c = 0; c < PORT_COLUMNS; c++)
		naive_apply(n, c, 0, PORTS - 1, ACTION_DENY, 999);
	ck_assert(portset_decided(&ps));
	compare(&ps, n, seed);
	portset_join(&ps);
	compare(&ps, n, seed);
	for (size_t c = 0; c < PORT_COLUMNS; c++) {
		for (size_t i = 1; i < ps.columns[c].count; i++)
			ck_assert_uint_ne(ps.columns[c].items[i - 1].number,
			    ps.columns[c].items[i].number);
	}
	portset_fini(&ps);
	free(n);
}
END_TEST

START_TEST(decided_only_when_every_port_is)
{
	struct portset ps = {0};

	portset_reset(&ps);
	ck_assert(!portset_decided(&ps));
	portset_apply(&ps, PORTS_TCP, 1, 65535, ACTION_ALLOW, 7);
	for (unsigned c = PORTS_UDP; c < PORT_COLUMNS; c++)
		portset_apply(&ps, (enum port_column)c, 0, 65535, ACTION_ALLOW, 7);
	ck_assert(!portset_decided(&ps));
	portset_apply(&ps, PORTS_TCP, 0, 0, ACTION_DENY, 8);
	ck_assert(portset_decided(&ps));
	portset_reset(&ps);
	ck_assert(!portset_decided(&ps));
	portset_fini(&ps);
}
END_TEST

START_TEST(pass_holds_to_the_end_of_the_level)
{
	struct portset ps = {0};

	portset_reset(&ps);
	portset_apply(&ps, PORTS_UDP, 53, 53, ACTION_PASS, 5);
	portset_apply_all(&ps, ACTION_DENY, 6);
	ck_assert(!portset_decided(&ps));
	portset_next_level(&ps);
	portset_apply_all(&ps, ACTION_ALLOW, 7);
	ck_assert(portset_decided(&ps));
	portset_join(&ps);
	ck_assert_uint_eq(ps.columns[PORTS_UDP].count, 3);
	ck_assert_uint_eq(ps.columns[PORTS_UDP].items[0].number, 6);
	ck_assert_uint_eq(ps.columns[PORTS_UDP].items[1].lo, 53);
	ck_assert_uint_eq(ps.columns[PORTS_UDP].items[1].hi, 53);
	ck_assert_uint_eq(ps.columns[PORTS_UDP].items[1].number, 7);
	ck_assert_uint_eq(ps.columns[PORTS_TCP].count, 1);
	portset_fini(&ps);
}
END_TEST

START_TEST(columns_are_protocols)
{
	static const uint8_t protos[] = {6, 17, 132, 1, 58};

	for (size_t i = 0; i < sizeof(protos); i++)
		ck_assert_uint_eq(
		    port_column_proto(port_column_of(protos[i])), protos[i]);
	ck_assert_int_eq(port_column_of(47), PORTS_OTHER);
	ck_assert_int_eq(port_column_of(0), PORTS_OTHER);
}
END_TEST

static Suite *
portset_suite(void)
{
	Suite *suite = suite_create("portset");
	TCase *tc = tcase_create("portset");

	tcase_add_loop_test(tc, walk_equals_naive_walk, 0, 40);
	tcase_add_test(tc, decided_only_when_every_port_is);
	tcase_add_test(tc, pass_holds_to_the_end_of_the_level);
	tcase_add_test(tc, columns_are_protocols);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(portset_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
