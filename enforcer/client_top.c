/*
 * `ringfence-enforcer top`: the busiest rules, out of two readings of all counters.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "enforcer/client_print.h"

#define EXIT_MISTAKE 2

struct busy {
	const json_t *rule;
	double packets, bytes; /* in a second */
};

/* The rule of that number in a reading; NULL. Both are sorted by number. */
static const json_t *
find_rule(const json_t *rules, json_int_t number, size_t *at)
{
	while (*at < json_array_size(rules)) {
		const json_t *rule = json_array_get(rules, *at);
		json_int_t here = json_integer_value(json_object_get(rule, "number"));

		if (here == number)
			return rule;
		if (here > number)
			return NULL;
		++*at;
	}
	return NULL;
}

static double
rate(const json_t *before, const json_t *after, const char *key, double seconds)
{
	json_int_t old = json_integer_value(json_object_get(before, key));
	json_int_t new = json_integer_value(json_object_get(after, key));

	/* A counter that began anew says what came since. */
	return (double)(new >= old ? new - old : new) / seconds;
}

static int
compare_busy(const void *a, const void *b)
{
	const struct busy *x = a, *y = b;

	if (x->packets != y->packets)
		return x->packets < y->packets ? 1 : -1;
	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void
print_text(const struct busy *all, size_t count)
{
	(void)printf("%12s %14s  %-7s %s\n", "PACKETS/S", "BYTES/S", "VERDICT", "RULE");
	for (size_t i = 0; i < count; i++)
		(void)printf("%12.1f %14.0f  %-7s %s\n", all[i].packets, all[i].bytes,
		    json_string_value(json_object_get(all[i].rule, "action")),
		    json_string_value(json_object_get(all[i].rule, "comment")));
}

static void
print_json(const struct busy *all, size_t count)
{
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < count; i++) {
		json_t *rule = json_deep_copy(all[i].rule);

		/* What fails for want of memory shows in the output. */
		(void)json_object_set_new(
		    rule, "packetsPerSecond", json_real(all[i].packets));
		(void)json_object_set_new(
		    rule, "bytesPerSecond", json_real(all[i].bytes));
		(void)json_array_append_new(list, rule);
	}
	text = json_dumps(list, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	(void)printf("%s\n", text != NULL ? text : "[]");
	free(text);
	json_decref(list);
}

int
client_print_top(
    struct str before, struct str after, double seconds, size_t most, bool json)
{
	json_t *old = json_loadb(before.ptr, before.len, 0, NULL);
	json_t *new = json_loadb(after.ptr, after.len, 0, NULL);
	struct busy *all;
	size_t count = 0, at = 0, i;
	json_t *rule;

	if (!json_is_array(old) || !json_is_array(new)) {
		(void)fprintf(
		    stderr, "ringfence-enforcer: the answer cannot be read\n");
		json_decref(old);
		json_decref(new);
		return EXIT_MISTAKE;
	}
	all = xcalloc(json_array_size(new) + 1, sizeof(*all));
	json_array_foreach(new, i, rule)
	{
		json_int_t number = json_integer_value(json_object_get(rule, "number"));
		const json_t *was = find_rule(old, number, &at);
		struct busy b = {rule, rate(was, rule, "packets", seconds),
		    rate(was, rule, "bytes", seconds)};

		if (b.packets > 0)
			all[count++] = b;
	}
	qsort(all, count, sizeof(*all), compare_busy);
	if (count > most)
		count = most;
	if (json)
		print_json(all, count);
	else
		print_text(all, count);
	free(all);
	json_decref(old);
	json_decref(new);
	return 0;
}
