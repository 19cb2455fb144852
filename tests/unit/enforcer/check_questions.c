/* DNS questions and what counts as their answers. */
#include "enforcer/engine/questions.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct ip_addr
client_of(unsigned number)
{
	return (struct ip_addr){
	    IP_V4, {10, 1, (uint8_t)(number >> 8), (uint8_t)number}};
}

static struct dns_question
question_of(const char *name, enum dns_type type, uint16_t id)
{
	struct dns_question q = {.id = id, .type = type};

	(void)snprintf(q.name, sizeof(q.name), "%s", name);
	return q;
}

static void
ask(struct questions *q, unsigned client, uint16_t port, const char *name, uint16_t id,
    uint64_t now_ms)
{
	struct ip_addr addr = client_of(client);
	struct dns_question question = question_of(name, DNS_A, id);

	questions_ask(q, &addr, port, &question, now_ms);
}

static bool
answered(struct questions *q, unsigned client, uint16_t port, const char *name,
    enum dns_type type, uint16_t id, uint64_t now_ms)
{
	struct ip_addr addr = client_of(client);
	struct dns_question question = question_of(name, type, id);

	return questions_answer(q, &addr, port, &question, now_ms);
}

START_TEST(answer_is_one_to_all_of_the_question)
{
	struct questions *q = questions_new();

	ask(q, 1, 4000, "a.example", 7, 0);
	ck_assert(!answered(q, 2, 4000, "a.example", DNS_A, 7, 1));
	ck_assert(!answered(q, 1, 4001, "a.example", DNS_A, 7, 1));
	ck_assert(!answered(q, 1, 4000, "b.example", DNS_A, 7, 1));
	ck_assert(!answered(q, 1, 4000, "a.example", DNS_AAAA, 7, 1));
	ck_assert(!answered(q, 1, 4000, "a.example", DNS_A, 8, 1));
	ck_assert_uint_eq(questions_count(q), 1);
	ck_assert(answered(q, 1, 4000, "a.example", DNS_A, 7, 1));
	ck_assert(!answered(q, 1, 4000, "a.example", DNS_A, 7, 1));
	ck_assert_uint_eq(questions_count(q), 0);
	questions_free(q);
}
END_TEST

START_TEST(question_waits_for_a_while)
{
	struct questions *q = questions_new();

	ask(q, 1, 4000, "a.example", 7, 0);
	ask(q, 1, 4000, "b.example", 8, 0);
	ask(q, 1, 4000, "b.example", 8, 5000); /* again */
	ck_assert_uint_eq(questions_count(q), 2);
	ck_assert(!answered(q, 1, 4000, "a.example", DNS_A, 7, QUESTIONS_WAIT_MS));
	ck_assert(
	    answered(q, 1, 4000, "b.example", DNS_A, 8, QUESTIONS_WAIT_MS + 4999));
	ask(q, 1, 4000, "a.example", 7, 20000);
	ask(q, 1, 4000, "b.example", 8, 40000); /* which makes room */
	ck_assert_uint_eq(questions_count(q), 1);
	questions_free(q);
}
END_TEST

START_TEST(nobody_crowds_out_another)
{
	struct questions *q = questions_new();

	ask(q, 1, 4000, "a.example", 1, 0);
	ask(q, 2, 4000, "a.example", 0, 0);
	for (unsigned i = 0; i < 3 * QUESTIONS_OF_ONE; i++)
		ask(q, 2, 4000, "b.example", (uint16_t)i, 0);
	ck_assert_uint_eq(questions_count(q), 1 + QUESTIONS_OF_ONE);
	ck_assert(answered(q, 1, 4000, "a.example", DNS_A, 1, 1));
	ck_assert(!answered(q, 2, 4000, "a.example", DNS_A, 0, 1));
	ck_assert(!answered(q, 2, 4000, "b.example", DNS_A, 0, 1));
	ck_assert(answered(
	    q, 2, 4000, "b.example", DNS_A, (uint16_t)(3 * QUESTIONS_OF_ONE - 1), 1));
	questions_free(q);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("questions");
	TCase *tcase = tcase_create("questions");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, answer_is_one_to_all_of_the_question);
	tcase_add_test(tcase, question_waits_for_a_while);
	tcase_add_test(tcase, nobody_crowds_out_another);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
