#include "enforcer/steer/probe.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(packet_is_read_as_it_was_written)
{
	const struct probe_packet packet = {
	    PROBE_ANSWER, true, UINT64_C(0x1122334455667788), 0x99aabbcc};
	uint8_t data[PROBE_BYTES + 1] = {0};
	struct probe_packet out;

	probe_encode(&packet, data);
	ck_assert(probe_decode(data, PROBE_BYTES, &out));
	ck_assert_int_eq(out.kind, PROBE_ANSWER);
	ck_assert(out.in_force);
	ck_assert(out.secret == packet.secret);
	ck_assert_uint_eq(out.number, packet.number);
	ck_assert(!probe_decode(data, PROBE_BYTES - 1, &out));
	ck_assert(!probe_decode(data, PROBE_BYTES + 1, &out));
	data[4] = 3;
	ck_assert(!probe_decode(data, PROBE_BYTES, &out));
	data[4] = PROBE_ASK;
	data[5] = 2;
	ck_assert(!probe_decode(data, PROBE_BYTES, &out));
	data[5] = 0;
	data[0] = 'X';
	ck_assert(!probe_decode(data, PROBE_BYTES, &out));
}
END_TEST

/* Ticks as if so many intervals had passed; an answer of oneself is one that comes. */
static unsigned
ticks_until_change(struct probe *p, monotime_t *now, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		now->ns += PROBE_INTERVAL_MS * UINT64_C(1000000);
		probe_read(p);
		if (probe_tick(p, *now))
			return i;
	}
	return most;
}

/* At the loopback whoever is asked answers at once. */
START_TEST(gateway_is_down_after_three_misses_and_up_after_fifteen_answers)
{
	struct ip_addr self, nobody;
	struct err err = ERR_INIT;
	struct probe *p = NULL;
	monotime_t now = {.ns = UINT64_C(1000000000000)};
	uint16_t port = 20000 + (uint16_t)(getpid() % 20000);

	while (probe_open(&p, port, &err) != 0 && port < 60000) {
		probe_close(p);
		port++;
	}
	ck_assert(ip_parse(STR("127.0.0.1"), &self));
	ck_assert(ip_parse(STR("192.0.2.1"), &nobody));
	ck_assert(!probe_is_up(p, &self, false));
	ck_assert(probe_is_up(p, &self, true));
	probe_want(p, &self, 1);
	ck_assert(probe_is_up(p, &self, false));
	/* Answers, but not as one where policy is in force. */
	ck_assert_uint_eq(ticks_until_change(p, &now, 9), PROBE_MISSES);
	ck_assert(!probe_is_up(p, &self, true));
	probe_set_in_force(p, true);
	/* One question had been answered in the former way. */
	ck_assert_uint_le(ticks_until_change(p, &now, 40), PROBE_GOODS + 1);
	ck_assert(probe_is_up(p, &self, false));
	/* What is known stays when there are others to be asked. */
	probe_want(p, (struct ip_addr[]){nobody, self}, 2);
	probe_set_in_force(p, false);
	ck_assert_uint_le(ticks_until_change(p, &now, 9), PROBE_MISSES + 1);
	probe_want(p, NULL, 0);
	ck_assert_int_eq(probe_wait_ms(p, now, 77), 77);
	probe_close(p);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("probe");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, packet_is_read_as_it_was_written);
	tcase_add_test(
	    tc, gateway_is_down_after_three_misses_and_up_after_fifteen_answers);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
