/*
 * Between bench_kernel*.c: numbers, and three ways to send a transaction.
 */
#ifndef TESTS_BENCH_KERNEL_H
#define TESTS_BENCH_KERNEL_H

#include "common/clock.h"
#include "enforcer/kernel/nft_socket.h"

/* ---- numbers (bench_kernel.c) ---- */

/* A member of the one object that is printed; the caller ends it. */
void bench_print_number(const char *name, double value);
/* Sorts them; `count` is not 0. */
MUST_CHECK double bench_percentile(double *values, size_t count, size_t percent);
MUST_CHECK double bench_us_since(monotime_t began);
/* Of this thread. */
MUST_CHECK double bench_cpu_us(void);
/* Ends the process if `rc` is not 0. */
void bench_must(int rc, const struct err *err, const char *what);

/* ---- senders (bench_kernel_senders.c): what fails ends the process ---- */

MUST_CHECK struct nft *bench_new_nft(void);
void bench_apply(struct nft *nft, const struct op_batch *batch);
/* As from the engine to the kernel role, which trusts nothing. */
void bench_send_ours(struct nft *nft, const struct op_batch *batch);
struct bench_cost {
	double us, cpu_us;
};
/* To send what has been built, and to hear that it was done. */
MUST_CHECK struct bench_cost bench_send_bare(
    struct nft *nft, const struct op_batch *batch);
/* Whether it is of sets that are keyed by an address alone: what bench_send_nft can say. */
MUST_CHECK bool bench_is_plain(const struct op_batch *batch);
/* By nft(8); microseconds. */
MUST_CHECK double bench_send_nft(const struct op_batch *batch);

/* ---- what is measured; each returns main's status ---- */

MUST_CHECK int bench_commit(size_t count, size_t runs);
MUST_CHECK int bench_churn(
    const char *node, size_t rate, size_t count, const char *directory);

#endif
