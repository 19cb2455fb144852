/*
 * Reservations of others, whatever they are: what can be read is the same when it is written and
 * read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/budget/budget_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct budget_kind kinds[] = {
    {{"apps", 4}, {"deployments", 11}}, {{"", 0}, {"pods", 4}}};
static const struct budget_key keys[] = {
    {{"count/deployments.apps", 22}, 0, MEASURE_COUNT, {"", 0}},
    {{"pods", 4}, 1, MEASURE_POD, {"", 0}},
};
static const struct budget_plan plan = {keys, 2, kinds, 2};

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json =
	    json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	uint64_t amounts[2], again[2];
	struct budget_object o, other;
	struct buf text = {NULL, 0, 0};
	bool is_new, was_new;
	json_t *copy;

	if (budget_record_get(&plan, json, amounts, &o, &is_new) == BUDGET_RECORD_OK) {
		budget_record_put(&text, &plan, &o, is_new);
		copy = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
		require(budget_record_get(&plan, copy, again, &other, &was_new) ==
			BUDGET_RECORD_OK);
		require(was_new == is_new && other.kind == o.kind &&
			other.version == o.version && str_eq(other.name, o.name) &&
			str_eq(other.namespace, o.namespace) &&
			str_eq(other.uid, o.uid) &&
			memcmp(amounts, again, sizeof(amounts)) == 0);
		json_decref(copy);
	}
	buf_free(&text);
	json_decref(json);
	return 0;
}
