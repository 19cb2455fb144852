/*
 * AdmissionReviews, whatever they are: an answer is JSON and names the review, and what one
 * review is admitted, twice, is counted at least once and at most twice.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/policy/admission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static const struct budget_kind kinds[] = {
    {{"", 0}, {"namespaces", 10}}, {{"", 0}, {"pods", 4}}};
static const struct budget_key keys[] = {
    {{"count/namespaces", 16}, 0, MEASURE_COUNT, {"", 0}},
    {{"pods", 4}, 1, MEASURE_POD, {"", 0}},
    {{"requests.cpu", 12}, 1, MEASURE_POD_REQUEST, {"cpu", 3}},
};
static const struct budget_plan plan = {keys, 3, kinds, 2};
static const struct quota_object limits[] = {
    {{"pods", 4}, 5000}, {{"requests.cpu", 12}, 1500}};

static void
ask(struct budget_ledger *ledger, struct str body)
{
	struct buf out = {NULL, 0, 0};
	const enum admission_result result =
	    admission_review(ledger, &plan, body, (monotime_t){1}, &out);

	if (result != ADMISSION_MALFORMED) {
		json_t *tree = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
		const json_t *response = json_object_get(tree, "response");

		require(json_is_string(json_object_get(response, "uid")));
		require(json_is_true(json_object_get(response, "allowed")) ==
			(result == ADMISSION_ALLOWED));
		json_decref(tree);
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ns root = {.path = {"/", 1}};
	static struct quota quota = {.name = {"q", 1},
	    .level = &root,
	    .objects = limits,
	    .object_count = ARRAY_LEN(limits)};
	static struct quota *quotas[] = {&quota};
	static struct ns *namespaces[] = {&root};
	static struct model model = {
	    .root = &root, .namespaces = namespaces, .ns_count = 1};
	struct budget_ledger *ledger;
	const struct budget_line *lines;
	size_t count;

	root.quotas = quotas;
	root.quota_count = 1;
	ledger = budget_ledger_new(&model, &plan, 1000);
	for (size_t i = 0; i < plan.kind_count; i++) {
		budget_ledger_list_begin(ledger, i);
		budget_ledger_list_end(ledger, i, (monotime_t){1});
	}
	for (int i = 0; i < 2; i++)
		ask(ledger, (struct str){(const char *)data, size});
	lines = budget_ledger_lines(ledger, &count);
	for (size_t i = 0; i < count; i++)
		require(lines[i].used <= lines[i].limit->amount_milli);
	budget_ledger_free(ledger);
	return 0;
}
