#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench_kernel.h"

extern char **environ;

struct nft *
bench_new_nft(void)
{
	struct err err = ERR_INIT;
	int fd;

	bench_must(nft_socket(&fd, &err), &err, "socket");
	return nft_new(fd);
}

void
bench_apply(struct nft *nft, const struct op_batch *batch)
{
	struct nft_refusal refusal;
	struct err err = ERR_INIT;
	uint32_t generation;

	bench_must(
	    nft_apply(nft, batch, 0, &generation, &refusal, &err), &err, "commit");
}

void
bench_send_ours(struct nft *nft, const struct op_batch *batch)
{
	struct arena *arena = arena_new();
	struct err err = ERR_INIT;
	struct op_batch decoded;
	struct buf data = {0};

	op_encode(&data, batch);
	bench_must(
	    op_decode(arena, (const uint8_t *)data.data, data.len, &decoded, &err),
	    &err, "decode");
	bench_apply(nft, &decoded);
	buf_free(&data);
	arena_free(arena);
}

struct bench_cost
bench_send_bare(struct nft *nft, const struct op_batch *batch)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	struct nft_build b;
	struct bench_cost cost;
	monotime_t began;
	struct nlmsghdr *last;
	ssize_t n;
	int room;

	nft_begin(nft, &b, batch->settings, &nft->copies, 0);
	for (size_t i = 0; i < batch->count; i++)
		nft_build_op(&b, batch, i);
	last = (struct nlmsghdr *)(void *)(b.bytes.data + b.last_at);
	last->nlmsg_flags |= NLM_F_ACK;
	nft_build_batch(&b, false, 0);
	nft->seq += (uint32_t)b.count + 2;
	room = 4 * (int)b.bytes.len + 65536;
	(void)setsockopt(nft->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	cost.cpu_us = bench_cpu_us();
	began = monotime_now();
	n = send(nft->fd, b.bytes.data, b.bytes.len, 0);
	if (n == (ssize_t)b.bytes.len)
		n = recv(nft->fd, answer, sizeof(answer), 0);
	cost.us = bench_us_since(began);
	cost.cpu_us = bench_cpu_us() - cost.cpu_us;
	last = (struct nlmsghdr *)(void *)answer;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) ||
	    ((struct nlmsgerr *)NLMSG_DATA(last))->error != 0) {
		(void)fprintf(stderr, "bench-kernel: the bare sender failed\n");
		exit(1);
	}
	nft_build_fini(&b);
	return cost;
}

/* ---- nft(8) ---- */

static void
print_elements(FILE *file, const char *verb, const struct op *op)
{
	const char *name = table_sets[op->set].name;

	(void)fprintf(file, "%s element inet ringfence %s {", verb, name);
	for (size_t i = 0; i < op->element_count; i++) {
		const struct table_element *e = &op->elements[i];
		struct ip_addr addr = {
		    table_sets[op->set].key[0] == FIELD_IPV6 ? IP_V6 : IP_V4, {0}};
		char text[IP_TEXT_BYTES];

		memcpy(addr.bytes, e->addr, sizeof(addr.bytes));
		(void)fprintf(
		    file, "%s%s", i == 0 ? " " : ", ", ip_format(&addr, text));
		if (table_sets[op->set].value != FIELD_NONE && strcmp(verb, "add") == 0)
			(void)fprintf(file, " : %x:%x", (unsigned)(e->value >> 16),
			    (unsigned)(e->value & 0xffff));
	}
	(void)fprintf(file, " }\n");
}

bool
bench_is_plain(const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		if ((op->kind != OP_ADD && op->kind != OP_DELETE) ||
		    table_sets[op->set].key[1] != FIELD_NONE ||
		    table_sets[op->set].interval || op->set == SET_RULES)
			return false;
	}
	return batch->count != 0;
}

double
bench_send_nft(const struct op_batch *batch)
{
	char path[] = "/tmp/bench-kernel-XXXXXX";
	char *argv[] = {(char[]){"nft"}, (char[]){"-f"}, path, NULL};
	int fd = mkstemp(path), status;
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	monotime_t began;
	double took;
	pid_t pid;

	if (file == NULL)
		exit(1);
	for (size_t i = 0; i < batch->count; i++)
		print_elements(file, batch->ops[i].kind == OP_ADD ? "add" : "delete",
		    &batch->ops[i]);
	(void)fclose(file);
	began = monotime_now();
	if (posix_spawnp(&pid, "nft", NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		(void)fprintf(stderr, "bench-kernel: nft failed\n");
		exit(1);
	}
	took = bench_us_since(began);
	(void)unlink(path);
	return took;
}
