/*
 * One transaction that adds many elements, and one that deletes them, by each sender.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/plan.h"
#include "tests/bench/bench_kernel.h"

static struct op_batch
one_op(struct arena *arena, enum op_kind kind, const struct table_element *elements,
    size_t count)
{
	struct op_batch batch = {.ops = ARENA_NEW(arena, struct op), .count = 1};

	batch.ops[0] = (struct op){.kind = kind,
	    .set = SET_PEER4_IN,
	    .elements = elements,
	    .element_count = count};
	return batch;
}

/* Of each run of each way, adding and deleting. nft(8) takes many times as long as the others
 * and is not compared with them turn by turn: it has fewer. */
#define NFT_RUNS 5
struct commit_runs {
	size_t count, nft_count;
	struct bench_cost *ours[2], *bare[2];
	double *nft[2];
};

static void
time_ours(struct nft *nft, const struct op_batch batches[2], struct bench_cost *out[2],
    size_t run)
{
	for (size_t d = 0; d < 2; d++) {
		double cpu = bench_cpu_us();
		monotime_t began = monotime_now();

		bench_send_ours(nft, &batches[d]);
		out[d][run] =
		    (struct bench_cost){bench_us_since(began), bench_cpu_us() - cpu};
	}
}

static void
time_all(struct nft *nft, struct nft *bare, const struct op_batch batches[2],
    struct commit_runs *r)
{
	for (size_t i = 0; i < r->count; i++) {
		/* What ran before has left the caches cold for whoever is first. */
		for (size_t d = 0; d < 2; d++)
			bench_send_ours(nft, &batches[d]);
		if (i % 2 == 0)
			time_ours(nft, batches, r->ours, i);
		for (size_t d = 0; d < 2; d++)
			r->bare[d][i] = bench_send_bare(bare, &batches[d]);
		if (i % 2 != 0)
			time_ours(nft, batches, r->ours, i);
		for (size_t d = 0; d < 2 && i < r->nft_count; d++)
			r->nft[d][i] = bench_send_nft(&batches[d]);
	}
}

static void
print_way(const char *way, const struct commit_runs *r, size_t d)
{
	double *one = xcalloc(r->count, sizeof(*one));
	const struct {
		const char *before, *after; /* the way */
		bool bare, ratio, cpu;
	} figures[] = {
	    {"", "_us", false, false, false},
	    {"bare_", "_us", true, false, false},
	    {"", "_cpu_us", false, false, true},
	    {"bare_", "_cpu_us", true, false, true},
	    {"", "_of_bare", false, true, false},
	    {"", "_cpu_of_bare", false, true, true},
	};
	char name[64];

	for (size_t f = 0; f < ARRAY_LEN(figures); f++) {
		for (size_t i = 0; i < r->count; i++) {
			const struct bench_cost *ours = &r->ours[d][i],
						*bare = &r->bare[d][i];
			double mine = figures[f].cpu ? ours->cpu_us : ours->us;
			double other = figures[f].cpu ? bare->cpu_us : bare->us;

			one[i] = figures[f].ratio  ? other / mine
				 : figures[f].bare ? other
						   : mine;
		}
		(void)snprintf(name, sizeof(name), "%s%s%s", figures[f].before, way,
		    figures[f].after);
		bench_print_number(name, bench_percentile(one, r->count, 50));
	}
	(void)snprintf(name, sizeof(name), "nft_%s_us", way);
	bench_print_number(name, bench_percentile(r->nft[d], r->nft_count, 50));
	free(one);
}

int
bench_commit(size_t count, size_t runs)
{
	static const struct table_content empty;
	struct table_content will_be = empty;
	struct arena *arena = arena_new();
	struct table_element *elements =
	    ARENA_ARRAY(arena, count, struct table_element);
	struct commit_runs r = {
	    .count = runs, .nft_count = runs < NFT_RUNS ? runs : NFT_RUNS};
	struct nft *nft = bench_new_nft(), *bare = bench_new_nft();
	struct op_batch all, batches[2];

	for (size_t i = 0; i < count; i++) {
		const uint8_t addr[4] = {
		    10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

		memcpy(elements[i].addr, addr, sizeof(addr));
		elements[i].value = (uint32_t)(4096 + i % 100);
	}
	plan_make(arena, NULL, &empty, &all);
	/* With the room that a table of so many is made with: else the kernel, too, makes
	 * room, by and by, in the turn of whoever comes just then. */
	will_be.element_count[SET_PEER4_IN] = count;
	all.ops[0].room = plan_room(arena, &will_be);
	bench_apply(nft, &all);
	batches[0] = one_op(arena, OP_ADD, elements, count);
	batches[1] = one_op(arena, OP_DELETE, elements, count);
	for (size_t d = 0; d < 2; d++) {
		r.ours[d] = xcalloc(runs, sizeof(struct bench_cost));
		r.bare[d] = xcalloc(runs, sizeof(struct bench_cost));
		r.nft[d] = xcalloc(runs, sizeof(double));
	}
	time_all(nft, bare, batches, &r);
	bench_print_number("elements", (double)count);
	print_way("add", &r, 0);
	print_way("delete", &r, 1);
	printf("}\n");
	for (size_t d = 0; d < 2; d++) {
		free(r.ours[d]);
		free(r.bare[d]);
		free(r.nft[d]);
	}
	nft_close(nft);
	nft_close(bare);
	arena_free(arena);
	return 0;
}
