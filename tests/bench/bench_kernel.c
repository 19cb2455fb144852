/*
 * What the enforcer does with changes, down to the kernel, without its processes: to be run
 * in a network namespace of its own.
 *
 *     bench-kernel churn NODE RATE COUNT DIRECTORY
 *
 * COUNT pods of a large cluster, RATE a second, get another address each; every change is
 * read from YAML, put into the model, compiled, encoded as for the kernel role, checked by
 * what that runs, committed. Latency is from when a change was due. Beside it, on the same
 * table: nft(8) with the same change, and a bare sender of the same messages, made before.
 * Then pods of the node go, and others like them come, one at a time (`own_`). In the end the
 * kernel's table is compared with one that is compiled from scratch.
 *
 *     bench-kernel commit ELEMENTS RUNS
 *
 * One transaction that adds so many elements, and one that deletes them: ours, the bare
 * sender, nft(8). Ours and the bare sender's are done in turns, and compared one by one:
 * whatever else the machine does, it does to both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/bench_kernel.h"

static bool first_member = true;

void
bench_print_number(const char *name, double value)
{
	printf("%s\"%s\": %.9g", first_member ? "{" : ", ", name, value);
	first_member = false;
}

static int
double_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double
bench_percentile(double *values, size_t count, size_t percent)
{
	qsort(values, count, sizeof(*values), double_cmp);
	return values[count * percent / 100 < count ? count * percent / 100
						    : count - 1];
}

double
bench_us_since(monotime_t began)
{
	return (double)monotime_since(began, monotime_now()) / 1e3;
}

double
bench_cpu_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		exit(1);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void
bench_must(int rc, const struct err *err, const char *what)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "bench-kernel: %s: %s\n", what, err->msg);
	exit(1);
}

int
main(int argc, char **argv)
{
	uint64_t a, b;

	if (argc == 4 && strcmp(argv[1], "commit") == 0 &&
	    str_to_u64(str_from(argv[2]), 10000000, &a) &&
	    str_to_u64(str_from(argv[3]), 1000000, &b) && a != 0 && b != 0)
		return bench_commit(a, b);
	if (argc == 6 && strcmp(argv[1], "churn") == 0 &&
	    str_to_u64(str_from(argv[3]), 1000000, &a) &&
	    str_to_u64(str_from(argv[4]), 1000000, &b) && a != 0 && b != 0)
		return bench_churn(argv[2], a, b, argv[5]);
	(void)fprintf(stderr, "usage: bench-kernel churn NODE RATE COUNT DIRECTORY\n"
			      "       bench-kernel commit ELEMENTS RUNS\n");
	return 2;
}
