#include "common/audit_index.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/audit_store.h"
#include "common/limits.h"
#include "common/map.h"

#define MAGIC       "RFIDX1\n" /* with its NUL */
#define MAGIC_BYTES 8u
#define HEAD_BYTES  (MAGIC_BYTES + 8 + 8 + 4)
#define BLOCK_BYTES (8u + 4 + 8 + 8 + AUDIT_INDEX_FILTER_BYTES)
#define SUM_BYTES   32u
#define FILTER_BITS (AUDIT_INDEX_FILTER_BYTES * 8)
#define PROBES      6u
#define PATH_LEVELS LIMIT_PATH_DEPTH
#define TIME_KEY    "stageTimestamp"
/* Fixed: every reader must find what the writer noted. */
#define HASH_KEY0 UINT64_C(0x52494e4746454e43)
#define HASH_KEY1 UINT64_C(0x61756469742d6964)

/* ---- words of a line ---- */

/* What is done with each word, and with the time. */
struct visitor {
	bool (*word)(void *arg, struct str word); /* false: enough */
	bool (*time)(void *arg, walltime_t time);
	void *arg;
};

/* The quote that ends the string whose text begins at `from`; line.len if none does. */
static size_t
string_end(struct str line, size_t from)
{
	for (size_t at = from; at < line.len; at++) {
		const char *quote = memchr(line.ptr + at, '"', line.len - at);
		size_t slashes = 0;

		if (quote == NULL)
			break;
		at = (size_t)(quote - line.ptr);
		while (at - slashes > from && quote[-1 - (ptrdiff_t)slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			return at;
	}
	return line.len;
}

/* A value, and if it is a path each path above it: one that is too long has ancestors that
 * are not. */
static bool
visit_word(const struct visitor *v, struct str word)
{
	size_t at = 1;

	if (word.len == 0)
		return true;
	if (word.len <= AUDIT_INDEX_WORD_BYTES && !v->word(v->arg, word))
		return false;
	if (word.ptr[0] != '/')
		return true;
	for (unsigned level = 0; level < PATH_LEVELS; level++) {
		at = str_find(word, '/', at);
		if (at >= word.len || at > AUDIT_INDEX_WORD_BYTES)
			break;
		if (!v->word(v->arg, str_slice(word, 0, at)))
			return false;
		at++;
	}
	return true;
}

static bool
visit_time(const struct visitor *v, struct str text)
{
	walltime_t time;

	return !walltime_parse_str(text, &time) || v->time(v->arg, time);
}

/* Walks over a line of JSON; anything else gives some words or none. */
static bool
visit_line(const struct visitor *v, struct str line)
{
	bool time_next = false;
	size_t depth = 0;

	for (size_t i = 0; i < line.len; i++) {
		char c = line.ptr[i];
		struct str text;

		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if (c != '"')
			continue;
		text = str_slice(line, i + 1, string_end(line, i + 1));
		i += text.len + 1;
		if (i + 1 < line.len && line.ptr[i + 1] == ':') {
			time_next = depth == 1 && str_is(text, TIME_KEY);
			continue;
		}
		if ((time_next && !visit_time(v, text)) || !visit_word(v, text))
			return false;
		time_next = false;
	}
	return true;
}

/* ---- the filter ---- */

static bool
bits_of(uint8_t *set, const uint8_t *tested, struct str word)
{
	uint64_t hash = map_siphash(HASH_KEY0, HASH_KEY1, word);
	uint32_t at = (uint32_t)hash, step = (uint32_t)(hash >> 32) | 1;

	for (unsigned i = 0; i < PROBES; i++, at += step) {
		uint32_t bit = at % FILTER_BITS;
		uint8_t mask = (uint8_t)(1u << (bit % 8));

		if (set != NULL)
			set[bit / 8] |= mask;
		else if ((tested[bit / 8] & mask) == 0)
			return false;
	}
	return true;
}

/* True if the open block's filter has the word, as far as that is remembered; it is from now on. */
static bool
is_recent(struct audit_index_builder *b, struct str word)
{
	struct audit_index_recent *r;
	unsigned at = 0;

	if (word.len == 0 || word.len > AUDIT_INDEX_RECENT_WORD)
		return false;
	/* The ends of names tell them apart. */
	for (size_t i = word.len > 4 ? word.len - 4 : 0; i < word.len; i++)
		at = at * 31 + (unsigned char)word.ptr[i];
	r = &b->recent[(at + (unsigned)word.len * 7) % AUDIT_INDEX_RECENT];
	if (r->len == word.len && memcmp(r->text, word.ptr, word.len) == 0)
		return true;
	r->len = (uint8_t)word.len;
	memcpy(r->text, word.ptr, word.len);
	return false;
}

static bool
note_word(void *arg, struct str word)
{
	struct audit_index_builder *b = arg;

	return is_recent(b, word) || bits_of(b->filter, NULL, word);
}

static bool
note_time(void *arg, walltime_t time)
{
	struct audit_index_builder *b = arg;

	if (time.ns < b->first_ns)
		b->first_ns = time.ns;
	if (time.ns > b->last_ns)
		b->last_ns = time.ns;
	return true;
}

/* ---- building ---- */

static void
put(struct buf *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		buf_add_char(out, (char)(value >> (8 * i)));
}

static void
begin_block(struct audit_index_builder *b)
{
	b->block_start = b->offset;
	b->lines = 0;
	b->first_ns = INT64_MAX;
	b->last_ns = INT64_MIN;
	memset(b->filter, 0, sizeof(b->filter));
	memset(b->recent, 0, sizeof(b->recent));
}

static void
end_block(struct audit_index_builder *b)
{
	if (b->lines == 0)
		return;
	put(&b->blocks, b->offset, 8);
	put(&b->blocks, b->lines, 4);
	put(&b->blocks, (uint64_t)b->first_ns, 8);
	put(&b->blocks, (uint64_t)b->last_ns, 8);
	buf_add(&b->blocks, b->filter, sizeof(b->filter));
	b->count++;
	begin_block(b);
}

void
audit_index_begin(struct audit_index_builder *b, uint64_t first_line)
{
	buf_clear(&b->blocks);
	b->first_line = first_line;
	b->offset = 0;
	b->count = 0;
	begin_block(b);
}

void
audit_index_add(struct audit_index_builder *b, struct str line)
{
	const struct visitor visitor = {note_word, note_time, b};

	(void)visit_line(&visitor, line); /* goes on to the end: both say true */
	b->offset += line.len + 1;
	b->lines++;
	if (b->offset - b->block_start >= AUDIT_INDEX_BLOCK_BYTES)
		end_block(b);
}

static void
sum(struct str data, uint8_t out_sum[SUM_BYTES])
{
	if (EVP_Digest(data.ptr, data.len, out_sum, NULL, EVP_sha256(), NULL) != 1)
		base_die("libcrypto cannot hash");
}

void
audit_index_finish(struct audit_index_builder *b, struct buf *out)
{
	uint8_t digest[SUM_BYTES];
	size_t start = out->len;

	end_block(b);
	buf_add(out, MAGIC, MAGIC_BYTES);
	put(out, b->offset, 8);
	put(out, b->first_line, 8);
	put(out, b->count, 4);
	buf_add_str(out, buf_str(&b->blocks));
	sum(str_slice(buf_str(out), start, out->len), digest);
	buf_add(out, digest, sizeof(digest));
}

void
audit_index_fini(struct audit_index_builder *b)
{
	buf_free(&b->blocks);
}

/* ---- reading ---- */

static uint64_t
get(const char *at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)(uint8_t)at[i] << (8 * i);
	return value;
}

static uint64_t
block_end(const struct audit_index *index, uint32_t i)
{
	return get(index->data.ptr + HEAD_BYTES + (size_t)i * BLOCK_BYTES, 8);
}

static bool
blocks_follow(const struct audit_index *index)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < index->count; i++) {
		uint64_t end = block_end(index, i);

		if (end <= before)
			return false;
		before = end;
	}
	return before == index->segment_bytes;
}

int
audit_index_parse(struct audit_index *index, struct str data, struct err *err)
{
	uint8_t digest[SUM_BYTES];
	size_t body;

	if (data.len < HEAD_BYTES + SUM_BYTES ||
	    memcmp(data.ptr, MAGIC, MAGIC_BYTES) != 0)
		return err_set(err, ERR_INVALID, "no index of an audit log");
	body = data.len - SUM_BYTES;
	sum(str_slice(data, 0, body), digest);
	if (memcmp(digest, data.ptr + body, SUM_BYTES) != 0)
		return err_set(err, ERR_INVALID, "damaged");
	*index = (struct audit_index){
	    .data = data,
	    .segment_bytes = get(data.ptr + MAGIC_BYTES, 8),
	    .first_line = get(data.ptr + MAGIC_BYTES + 8, 8),
	    .count = (uint32_t)get(data.ptr + MAGIC_BYTES + 16, 4),
	};
	if ((body - HEAD_BYTES) % BLOCK_BYTES != 0 ||
	    (body - HEAD_BYTES) / BLOCK_BYTES != index->count || !blocks_follow(index))
		return err_set(err, ERR_INVALID, "its blocks do not make up a segment");
	return 0;
}

int
audit_index_load(int dirfd, uint64_t segment, uint64_t first_line, struct buf *data,
    struct audit_index *index, struct err *err)
{
	char name[AUDIT_SEGMENT_NAME_BYTES];
	int rc;

	buf_clear(data);
	rc = audit_store_read(
	    dirfd, audit_index_name(segment, name), LIMIT_AUDIT_INDEX_BYTES, data, err);
	if (rc != 0)
		return rc;
	rc = audit_index_parse(index, buf_str(data), err);
	if (rc != 0)
		(void)err_wrap(err, "%s", name); /* rc is the code */
	else if (index->first_line != first_line)
		rc = err_set(err, ERR_INVALID, "%s is not of its segment", name);
	return rc;
}

void
audit_index_block(
    const struct audit_index *index, uint32_t i, struct audit_index_block *out)
{
	const char *at = index->data.ptr + HEAD_BYTES + (size_t)i * BLOCK_BYTES;

	*out = (struct audit_index_block){
	    .start = i == 0 ? 0 : block_end(index, i - 1),
	    .end = get(at, 8),
	    .lines = (uint32_t)get(at + 8, 4),
	    .first_ns = (int64_t)get(at + 12, 8),
	    .last_ns = (int64_t)get(at + 20, 8),
	    .filter = (const uint8_t *)at + 28,
	};
}

bool
audit_index_may(const struct audit_index_block *block, const struct audit_probe *probe)
{
	if ((probe->has_since && block->last_ns < probe->since.ns) ||
	    (probe->has_until && block->first_ns >= probe->until.ns))
		return false;
	for (size_t i = 0; i < probe->word_count; i++) {
		struct str word = probe->words[i];

		if (word.len != 0 && word.len <= AUDIT_INDEX_WORD_BYTES &&
		    !bits_of(NULL, block->filter, word))
			return false;
	}
	return true;
}

static bool
admits_word(void *arg, struct str word)
{
	const struct audit_index_block *block = arg;

	return bits_of(NULL, block->filter, word);
}

static bool
admits_time(void *arg, walltime_t time)
{
	const struct audit_index_block *block = arg;

	return block->first_ns <= time.ns && time.ns <= block->last_ns;
}

bool
audit_index_admits(const struct audit_index_block *block, struct str line)
{
	struct audit_index_block copy = *block;
	const struct visitor visitor = {admits_word, admits_time, &copy};

	return visit_line(&visitor, line);
}

const char *
audit_index_name(uint64_t segment, char *out)
{
	(void)snprintf(
	    out, AUDIT_SEGMENT_NAME_BYTES, "log-%llu.idx", (unsigned long long)segment);
	return out;
}
