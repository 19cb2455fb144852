/*
 * `ringfence-enforcer top`: the busiest rules, out of two readings of all counters.
 */
#include <stdio.h>
#include <stdlib.h>

#include "enforcer/client/client_print.h"

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

/* The rules with their rates, as they are told otherwise. */
static void
print_values(const struct busy *all, size_t count, enum client_format format)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *rule = json_deep_copy(all[i].rule);

		/* What fails for want of memory shows in the output. */
		(void)json_object_set_new(
		    rule, "packetsPerSecond", json_real(all[i].packets));
		(void)json_object_set_new(
		    rule, "bytesPerSecond", json_real(all[i].bytes));
		(void)json_array_append_new(list, rule);
	}
	client_print_value(list, format);
	json_decref(list);
}

void
client_print_top(const json_t *before, const json_t *after, double seconds, size_t most,
    const struct client_options *c)
{
	struct busy *all = xcalloc(json_array_size(after) + 1, sizeof(*all));
	size_t count = 0, at = 0, i;
	json_t *rule;

	json_array_foreach(after, i, rule)
	{
		json_int_t number = json_integer_value(json_object_get(rule, "number"));
		const json_t *was = find_rule(before, number, &at);
		struct busy b = {rule, rate(was, rule, "packets", seconds),
		    rate(was, rule, "bytes", seconds)};

		if (b.packets > 0 && client_filter_rule(&c->filter, rule))
			all[count++] = b;
	}
	qsort(all, count, sizeof(*all), compare_busy);
	if (count > most)
		count = most;
	if (c->format == CLIENT_FORMAT_JSON || c->format == CLIENT_FORMAT_YAML)
		print_values(all, count, c->format);
	else
		print_text(all, count);
	free(all);
}
