/* Who has which address, against an array. */
#include "policy-lang/model/address_map.h"

#include <check.h>
#include <stdlib.h>

#include "policy-lang/model/model.h"

#define WORKLOADS 97
#define EACH      16 /* addresses of a workload; the next one has half of them, too */
#define ADDRESSES (WORKLOADS * EACH / 2 + EACH)
#define STEPS     20000

static uint64_t random_state;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

/* Of both families: the bytes are the number's. */
static struct ip_addr
address(uint32_t number)
{
	struct ip_addr addr = {.family = number % 2 == 0 ? IP_V4 : IP_V6};

	addr.bytes[2] = (uint8_t)(number >> 8);
	addr.bytes[3] = (uint8_t)number;
	return addr;
}

static struct workload workloads[WORKLOADS];
static struct ip_addr ips[WORKLOADS][EACH];

static void
make_workloads(void)
{
	for (uint32_t i = 0; i < WORKLOADS; i++) {
		for (uint32_t j = 0; j < EACH; j++)
			ips[i][j] = address(i * (EACH / 2) + j);
		workloads[i].ips = ips[i];
		workloads[i].ip_count = EACH;
	}
}

static void
compare(const struct address_map *m, struct workload *const *owners, unsigned seed)
{
	size_t len = 0;

	for (uint32_t i = 0; i < ADDRESSES; i++) {
		const struct ip_addr addr = address(i);
		const struct address_entry *e = address_map_find(m, &addr);

		len += owners[i] != NULL;
		if (address_map_get(m, &addr) != owners[i])
			ck_abort_msg("seed %u: address %u", seed, i);
		ck_assert((e != NULL) == (owners[i] != NULL));
		if (e != NULL)
			ck_assert(ip_eq(&e->workload->ips[e->ip], &addr));
	}
	ck_assert_uint_eq(m->len, len);
}

/* It grows, shrinks, grows again; sometimes it was told how far. */
START_TEST(map_equals_array_after_random_changes)
{
	struct workload *owners[ADDRESSES] = {NULL};
	struct address_map m = {0};
	const unsigned seed = 1u + (unsigned)_i;

	random_state = seed;
	make_workloads();
	if (_i % 2 == 0)
		address_map_reserve(&m, random_below(ADDRESSES));
	for (uint32_t step = 0; step < STEPS; step++) {
		const bool grows = step / 4000 % 2 == 0;
		const uint32_t i = random_below(WORKLOADS), j = random_below(EACH);
		const uint32_t number = i * (EACH / 2) + j;

		if (random_below(4) != 0 ? grows : !grows) {
			address_map_set(&m, &workloads[i], j);
			owners[number] = &workloads[i];
		} else {
			address_map_remove(&m, &ips[i][j]);
			owners[number] = NULL;
		}
		if (step % 500 == 0)
			compare(&m, owners, seed);
	}
	compare(&m, owners, seed);
	address_map_fini(&m);
}
END_TEST

START_TEST(what_was_reserved_is_enough)
{
	struct address_map m = {0};
	const struct address_entry *slots;

	make_workloads();
	address_map_reserve(&m, ADDRESSES);
	slots = m.slots;
	for (uint32_t i = 0; i < WORKLOADS; i++) {
		for (uint32_t j = 0; j < EACH; j++)
			address_map_set(&m, &workloads[i], j);
	}
	ck_assert_uint_eq(m.len, ADDRESSES - EACH / 2);
	ck_assert_ptr_eq(m.slots, slots);
	ck_assert_uint_le(m.slot_count, 2 * ADDRESSES);
	address_map_fini(&m);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("address_map");
	TCase *tc = tcase_create("address_map");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_loop_test(tc, map_equals_array_after_random_changes, 0, 8);
	tcase_add_test(tc, what_was_reserved_is_enough);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
