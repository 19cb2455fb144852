/*
 * Indexes of the audit log. First byte even: the rest are lines; the index made of them
 * admits each of them. Odd: the rest is an index; what is accepted has blocks that follow
 * each other. Sums are made right first, or nothing would get past them.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/audit_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
fuzz_lines(struct str text)
{
	struct audit_index_builder builder = {0};
	struct audit_index index;
	struct audit_index_block block;
	struct buf out = {0};
	struct str rest = text;

	audit_index_begin(&builder, 7);
	while (rest.ptr != NULL && text.len != 0) {
		struct str line = str_split(&rest, '\n');

		audit_index_add(&builder, line);
	}
	audit_index_finish(&builder, &out);
	require(audit_index_parse(&index, buf_str(&out), NULL) == 0);
	rest = text;
	while (rest.ptr != NULL && text.len != 0) {
		struct str line = str_split(&rest, '\n');
		bool admitted = false;

		for (uint32_t i = 0; i < index.count && !admitted; i++) {
			audit_index_block(&index, i, &block);
			admitted = audit_index_admits(&block, line);
		}
		require(admitted);
	}
	audit_index_fini(&builder);
	buf_free(&out);
}

static void
fuzz_index(struct str data)
{
	struct audit_index_block block;
	struct audit_index index;
	struct buf copy = {0};
	uint8_t sum[32];
	uint64_t at = 0, admitted = 0;

	buf_add_str(&copy, data);
	require(EVP_Digest(data.ptr, data.len, sum, NULL, EVP_sha256(), NULL) == 1);
	buf_add(&copy, sum, sizeof(sum));
	if (audit_index_parse(&index, buf_str(&copy), NULL) == 0) {
		for (uint32_t i = 0; i < index.count; i++) {
			audit_index_block(&index, i, &block);
			require(block.start == at && block.end > at);
			at = block.end;
			admitted += audit_index_admits(&block, STR("{\"a\":\"/b/c\"}"));
		}
		require(at == index.segment_bytes && admitted <= index.count);
	}
	buf_free(&copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = {(const char *)data + 1, size > 0 ? size - 1 : 0};

	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		fuzz_lines(rest);
	else
		fuzz_index(rest);
	return 0;
}
