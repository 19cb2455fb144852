/*
 * What is in a segment that is full, block by block, so that a search need not read it:
 * which times, and a Bloom filter over the strings of its lines. It is written beside the
 * segment (log-N.idx) when the next one begins. An index only ever says "surely not here";
 * nobody needs one, and nobody trusts one: audit_verify checks that it hides no line.
 *
 *     "RFIDX1\n\0"  u64 bytes of the segment  u64 lines before it  u32 blocks
 *     blocks:  u64 offset behind it  u32 lines  i64 first and last time, ns  the filter
 *     SHA-256 of all that                                          (little-endian)
 *
 * Words are the string values of a line as they are written there, without quotes, at any
 * depth, and for a value such as /acme/shop its ancestors too, so that a subtree can be
 * asked for. The time of a line is its member stageTimestamp.
 */
#ifndef COMMON_AUDIT_INDEX_H
#define COMMON_AUDIT_INDEX_H

#include "common/clock.h"
#include "common/err.h"
#include "common/str.h"

#define AUDIT_INDEX_BLOCK_BYTES  (256u * 1024) /* of lines, at least, in one block */
#define AUDIT_INDEX_FILTER_BYTES 4096u
#define AUDIT_INDEX_WORD_BYTES   256u /* longer ones are in no filter */

/* What a search is about; {0} is everything. */
struct audit_probe {
	const struct str *words; /* every line wanted has all of them */
	size_t word_count;
	bool has_since, has_until;
	walltime_t since, until; /* [since, until) */
};

/* Lines are much alike: words that the open block's filter has are told without a hash. */
#define AUDIT_INDEX_RECENT      128u
#define AUDIT_INDEX_RECENT_WORD 62u
struct audit_index_recent {
	uint8_t len; /* 0: none */
	char text[AUDIT_INDEX_RECENT_WORD];
};

/* Grows with a segment. {0} is empty. */
struct audit_index_builder {
	struct buf blocks; /* encoded, without the open one */
	uint64_t first_line;
	uint64_t offset;      /* of the segment, so far */
	uint64_t block_start; /* of the open block */
	uint32_t count;       /* blocks that are closed */
	uint32_t lines;       /* in the open one */
	int64_t first_ns, last_ns;
	uint8_t filter[AUDIT_INDEX_FILTER_BYTES];
	struct audit_index_recent recent[AUDIT_INDEX_RECENT];
};

/* Begins a segment that has so many lines before it. */
void audit_index_begin(struct audit_index_builder *b, uint64_t first_line);
void audit_index_add(struct audit_index_builder *b, struct str line);
/* Appends the whole index; nothing may be added afterwards. */
void audit_index_finish(struct audit_index_builder *b, struct buf *out);
void audit_index_fini(struct audit_index_builder *b);

/* One that was read; borrows its bytes. */
struct audit_index {
	struct str data;
	uint64_t segment_bytes, first_line;
	uint32_t count;
};

struct audit_index_block {
	uint64_t start, end; /* offsets in the segment */
	uint32_t lines;
	int64_t first_ns, last_ns; /* first > last: no line has a time */
	const uint8_t *filter;
};

/* ERR_INVALID for what is none, or is damaged. */
MUST_CHECK int audit_index_parse(
    struct audit_index *index, struct str data, struct err *err);
/* Reads log-N.idx of a segment that has so many lines before it into `data`, which *index then
 * borrows. ERR_NOT_FOUND: there is none; ERR_INVALID, also for one of another segment. */
MUST_CHECK int audit_index_load(int dirfd, uint64_t segment, uint64_t first_line,
    struct buf *data, struct audit_index *index, struct err *err);
/* Blocks follow each other from 0 to segment_bytes without a gap. */
void audit_index_block(
    const struct audit_index *index, uint32_t i, struct audit_index_block *out);
/* False: no line of the block is wanted. */
MUST_CHECK bool audit_index_may(
    const struct audit_index_block *block, const struct audit_probe *probe);
/* False: the block hides that line from some search. */
MUST_CHECK bool audit_index_admits(
    const struct audit_index_block *block, struct str line);

/* "log-N.idx" into `out` of AUDIT_SEGMENT_NAME_BYTES; returns it. */
const char *audit_index_name(uint64_t segment, char *out);

#endif
