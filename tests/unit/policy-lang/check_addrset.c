#include "policy-lang/model/addrset.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SPACE 256

static uint64_t random_state;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

/* Adds random ranges to the set and to a bit array; `base` moves the space to where
 * the arithmetic is most delicate. */
static void
fill(struct addrset *set, bool *bits, addr_num base)
{
	uint32_t count = random_below(12);

	memset(bits, 0, SPACE);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t lo = random_below(SPACE);
		uint32_t hi = lo + random_below(SPACE - lo) / (1 + random_below(8));

		addrset_add(set, (struct addr_range){base + lo, base + hi});
		for (uint32_t p = lo; p <= hi; p++)
			bits[p] = true;
	}
	addrset_normalise(set);
}

static void
compare(const struct addrset *set, const bool *bits, addr_num base, unsigned seed)
{
	for (uint32_t p = 0; p < SPACE; p++) {
		if (addrset_has(set, base + p) != bits[p])
			ck_abort_msg("seed %u: address %u", seed, p);
	}
	for (size_t i = 0; i < set->count; i++) {
		ck_assert(set->ranges[i].lo <= set->ranges[i].hi);
		if (i > 0)
			ck_assert(set->ranges[i - 1].hi + 1 < set->ranges[i].lo);
	}
}

START_TEST(algebra_equals_bit_array)
{
	const addr_num bases[] = {
	    0, 0xffffff00u, ((addr_num)1 << 64) - 100, (addr_num)0 - SPACE};
	bool a_bits[SPACE], b_bits[SPACE];
	unsigned seed = 1u + (unsigned)_i;
	addr_num base = bases[_i % 4];

	random_state = seed;
	for (int round = 0; round < 50; round++) {
		struct addrset a = {0}, b = {0}, both = {0};

		fill(&a, a_bits, base);
		fill(&b, b_bits, base);
		compare(&a, a_bits, base, seed);
		addrset_add_set(&both, &a);
		addrset_add_set(&both, &b);
		addrset_normalise(&both);
		addrset_subtract(&a, &b);
		for (size_t p = 0; p < SPACE; p++)
			a_bits[p] = a_bits[p] && !b_bits[p];
		compare(&a, a_bits, base, seed);
		for (size_t p = 0; p < SPACE; p++)
			b_bits[p] = a_bits[p] || b_bits[p];
		compare(&both, b_bits, base, seed);
		addrset_fini(&a);
		addrset_fini(&b);
		addrset_fini(&both);
	}
}
END_TEST

static const struct {
	const char *text;
	enum ip_family family;
	uint8_t first[16], last[16];
} prefix_rows[] = {
    {"10.1.2.0/24", IP_V4, {10, 1, 2, 0}, {10, 1, 2, 255}},
    {"0.0.0.0/0", IP_V4, {0}, {255, 255, 255, 255}},
    {"255.255.255.255/32", IP_V4, {255, 255, 255, 255}, {255, 255, 255, 255}},
    {"fd00:1::/32", IP_V6, {0xfd, 0, 0, 1},
	{0xfd, 0, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}},
    {"::/0", IP_V6, {0},
	{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	    255}},
};

START_TEST(prefix_becomes_its_first_and_last_address)
{
	struct ip_prefix prefix;
	struct addr_range range;
	uint8_t bytes[16];

	ck_assert(ip_prefix_parse(str_from(prefix_rows[_i].text), &prefix, NULL));
	range = prefix_to_range(&prefix);
	addr_num_bytes(range.lo, prefix_rows[_i].family, bytes);
	ck_assert_mem_eq(bytes, prefix_rows[_i].first, 16);
	addr_num_bytes(range.hi, prefix_rows[_i].family, bytes);
	ck_assert_mem_eq(bytes, prefix_rows[_i].last, 16);
}
END_TEST

START_TEST(add_prefixes_takes_one_family)
{
	struct ip_prefix prefixes[2];
	struct addrset set = {0};

	ck_assert(ip_prefix_parse(STR("10.0.0.0/8"), &prefixes[0], NULL));
	ck_assert(ip_prefix_parse(STR("fd00::/8"), &prefixes[1], NULL));
	addrset_add_prefixes(&set, IP_V6, prefixes, 2);
	addrset_normalise(&set);
	ck_assert_uint_eq(set.count, 1);
	ck_assert(set.ranges[0].lo == (addr_num)0xfd << 120);
	addrset_fini(&set);
}
END_TEST

static Suite *
addrset_suite(void)
{
	Suite *suite = suite_create("addrset");
	TCase *tc = tcase_create("addrset");

	tcase_add_loop_test(tc, algebra_equals_bit_array, 0, 40);
	tcase_add_loop_test(tc, prefix_becomes_its_first_and_last_address, 0,
	    (int)ARRAY_LEN(prefix_rows));
	tcase_add_test(tc, add_prefixes_takes_one_family);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(addrset_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
