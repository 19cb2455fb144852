/*
 * Indexes of segments: a search with them finds what a search without them finds, whatever
 * is in the lines; and one that would hide something is found by audit_verify.
 */
#include "audit_fixture.h"

#include "common/audit_index.h"
#include "common/audit_scan.h"
#include <openssl/evp.h>

#define SEGMENT_BYTES (AUDIT_INDEX_BLOCK_BYTES * 3)

static uint64_t state;

static uint64_t
next_random(uint64_t below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (state >> 33) % below;
}

static void
add_line(struct buf *out, unsigned n)
{
	char time[WALLTIME_TEXT_BYTES];
	walltime_t t = {(int64_t)n * 1000000000};

	buf_clear(out);
	buf_printf(out,
	    "{\"auditID\":\"id-%u\",\"user\":{\"username\":\"u%llu\"},"
	    "\"requestObject\":{"
	    "\"stageTimestamp\":\"1999-01-01T00:00:00Z\",\"x\":\"a\\\\\\\"b\"},"
	    "\"stageTimestamp\":\"%s\",\"annotations\":{\"tenant\":\"/t%u/a/"
	    "%u\"},\"pad\":\"%"
	    "0*d\"}",
	    n, (unsigned long long)next_random(5000), walltime_format(t, time), n / 40,
	    n, (int)next_random(700) + 1, 0);
}

static void
make_log(unsigned lines)
{
	struct audit_log *log = must_open(dir, SEGMENT_BYTES, 0);
	struct buf line = {0};

	for (unsigned i = 0; i < lines; i++) {
		add_line(&line, i);
		ck_assert_int_eq(audit_append(log, buf_str(&line), NULL), 0);
		if (i % 500 == 0)
			ck_assert_int_eq(audit_sync(log, NULL), 0);
	}
	ck_assert_int_eq(audit_sync(log, NULL), 0);
	audit_close(log);
	buf_free(&line);
}

struct found {
	const char *text; /* the line must contain it */
	struct audit_probe probe;
	struct buf all;
	uint64_t last;
	unsigned complaints;
};

static bool
collect(void *arg, uint64_t index, struct str line)
{
	struct found *f = arg;
	struct str key = STR("},\"stageTimestamp\":\"");
	const char *at = memmem(line.ptr, line.len, key.ptr, key.len);
	char text[WALLTIME_TEXT_BYTES] = "";
	walltime_t time = {0};

	if (at == NULL) /* an assertion that holds costs more than the search */
		ck_abort_msg("no time: %.*s", STR_ARG(line));
	memcpy(text, at + key.len, 27);
	if (!walltime_parse(text, &time))
		ck_abort_msg("no time: %s", text);
	/* What a search does with each line that it is given. */
	if (memmem(line.ptr, line.len, f->text, strlen(f->text)) != NULL &&
	    !(f->probe.has_since && time.ns < f->probe.since.ns) &&
	    !(f->probe.has_until && time.ns >= f->probe.until.ns)) {
		buf_printf(&f->all, "%llu ", (unsigned long long)index);
		if (index < f->last)
			ck_abort_msg("out of order");
		f->last = index;
	}
	return true;
}

static void
complain(void *arg, const char *what)
{
	struct found *f = arg;

	(void)what;
	f->complaints++;
}

static struct audit_scan
search(struct found *f, bool no_index)
{
	struct audit_scan scan = {.directory = dir,
	    .probe = f->probe,
	    .no_index = no_index,
	    .each = collect,
	    .complain = complain,
	    .arg = f};
	struct err err = ERR_INIT;

	f->last = 0;
	ck_assert_msg(audit_scan(&scan, &err) == 0, "%s", err.msg);
	return scan;
}

/* Both ways, and what was passed over. */
static uint64_t
compare(const char *text, struct audit_probe probe)
{
	struct found with = {.text = text, .probe = probe};
	struct found without = with;
	struct audit_scan quick = search(&with, false), full = search(&without, true);

	ck_assert_msg(str_eq(buf_str(&with.all), buf_str(&without.all)), "%s: %s\n%s",
	    text, with.all.data, without.all.data);
	ck_assert(with.all.len != 0 || str_is(str_from(text), "nobody-at-all") ||
		  text[1] == 'u' || probe.has_until);
	ck_assert_uint_eq(full.bytes_passed, 0);
	ck_assert_uint_eq(quick.bytes_read + quick.bytes_passed, full.bytes_read);
	ck_assert_uint_eq(with.complaints, 0);
	buf_free(&with.all);
	buf_free(&without.all);
	return quick.bytes_passed;
}

static walltime_t
second(unsigned n)
{
	return (walltime_t){(int64_t)n * 1000000000};
}

START_TEST(search_finds_the_same_with_and_without)
{
	const struct str id = STR("id-17"), nobody = STR("nobody-at-all"),
			 subtree = STR("/t7/a");

	make_log(6000);
	ck_assert(exists(in(dir, "log-0.idx")) && exists(in(dir, "log-1.idx")));
	ck_assert_uint_eq(compare("", (struct audit_probe){0}), 0);
	ck_assert_uint_gt(
	    compare("\"id-17\"", (struct audit_probe){.words = &id, .word_count = 1}),
	    0);
	ck_assert_uint_gt(compare("nobody-at-all",
			      (struct audit_probe){.words = &nobody, .word_count = 1}),
	    0);
	ck_assert_uint_gt(compare("\"/t7/a/",
			      (struct audit_probe){.words = &subtree, .word_count = 1}),
	    0);
	ck_assert_uint_gt(
	    compare("", (struct audit_probe){.has_until = true, .until = second(40)}),
	    0);
	ck_assert_uint_gt(compare("", (struct audit_probe){.has_since = true,
					  .since = second(2000),
					  .has_until = true,
					  .until = second(2001)}),
	    0);
	for (unsigned i = 0; i < 30; i++) {
		char word[32], text[40];
		int n = snprintf(
		    word, sizeof(word), "u%llu", (unsigned long long)next_random(5000));
		struct str w = {word, (size_t)n};

		(void)snprintf(text, sizeof(text), "\"%s\"", word);
		(void)compare(text, (struct audit_probe){.words = &w, .word_count = 1});
	}
}
END_TEST

/* A path of 16 levels is longer than any word of a filter. */
static void
append_deep_line(void)
{
	struct audit_log *log = must_open(dir, SEGMENT_BYTES, 0);
	struct buf line = {0};

	buf_add_cstr(&line, "{\"auditID\":\"deep\",\"user\":{},"
			    "\"stageTimestamp\":\"1970-01-01T00:00:00.000000Z\","
			    "\"annotations\":{\"tenant\":\"/deep");
	for (unsigned level = 1; level < 16; level++)
		buf_printf(&line, "/%060u", level);
	buf_add_cstr(&line, "\"}}");
	ck_assert_int_eq(audit_append(log, buf_str(&line), NULL), 0);
	ck_assert_int_eq(audit_sync(log, NULL), 0);
	audit_close(log);
	buf_free(&line);
}

START_TEST(search_finds_what_is_deep_below_a_subtree)
{
	const struct str top = STR("/deep");
	struct buf below = {0};
	struct str word;

	append_deep_line();
	make_log(4000);
	ck_assert(exists(in(dir, "log-0.idx")));
	ck_assert_uint_gt(
	    compare("\"/deep/", (struct audit_probe){.words = &top, .word_count = 1}),
	    0);
	buf_printf(&below, "/deep/%060u/%060u", 1u, 2u);
	word = buf_str(&below);
	ck_assert_uint_gt(
	    compare("\"/deep/", (struct audit_probe){.words = &word, .word_count = 1}),
	    0);
	buf_free(&below);
	expect_intact(dir, 4001, 4001);
}
END_TEST

START_TEST(verify_accepts_indexes_of_the_writer)
{
	make_log(4000);
	expect_intact(dir, 4000, 4000);
}
END_TEST

/* The filter of a block, to be damaged; `sum_again` then. */
static char *
filter_of(struct buf *b, bool last)
{
	struct audit_index index;
	struct audit_index_block block;

	ck_assert_int_eq(audit_index_parse(&index, buf_str(b), NULL), 0);
	audit_index_block(&index, last ? index.count - 1 : 1, &block);
	return b->data + ((const char *)block.filter - b->data);
}

static void
sum_again(struct buf *b)
{
	uint8_t digest[32];

	ck_assert_int_eq(
	    EVP_Digest(b->data, b->len - 32, digest, NULL, EVP_sha256(), NULL), 1);
	memcpy(b->data + b->len - 32, digest, 32);
}

START_TEST(verify_finds_an_index_that_hides)
{
	struct audit_report report;
	struct buf b;

	make_log(4000);
	b = slurp(in(dir, "log-1.idx"));
	memset(filter_of(&b, false), 0, 8); /* some word is hidden */
	sum_again(&b);
	spit(in(dir, "log-1.idx"), b.data, b.len);
	ck_assert_int_eq(verify(dir, NULL, NULL, &report), AUDIT_BROKEN);
	ck_assert_ptr_nonnull(strstr(report.problem, "log-1.idx hides line "));
	buf_free(&b);
}
END_TEST

/* The lines of a block, one more than there are: what follows would have wrong numbers. */
START_TEST(verify_finds_an_index_that_counts_too_many)
{
	struct audit_report report;
	struct buf b;
	char *count;

	make_log(4000);
	b = slurp(in(dir, _i == 0 ? "log-0.idx" : "log-1.idx"));
	count = filter_of(&b, _i != 0) - 20; /* little-endian */
	if (++count[0] == 0)
		count[1]++;
	sum_again(&b);
	spit(in(dir, _i == 0 ? "log-0.idx" : "log-1.idx"), b.data, b.len);
	ck_assert_int_eq(verify(dir, NULL, NULL, &report), AUDIT_BROKEN);
	ck_assert_msg(
	    strstr(report.problem, "where it is not") != NULL, "%s", report.problem);
	buf_free(&b);
}
END_TEST

START_TEST(search_reads_all_when_an_index_is_damaged)
{
	const struct str id = STR("id-3999");
	struct found f = {
	    .text = "\"id-3999\"", .probe = {.words = &id, .word_count = 1}};
	struct buf b;

	make_log(4000);
	b = slurp(in(dir, "log-0.idx"));
	b.data[b.len / 2] ^= 1;
	spit(in(dir, "log-0.idx"), b.data, b.len);
	/* And one of another segment. */
	copy_file(in(dir, "log-0.idx"), in(dir, "x"));
	b.data[b.len / 2] ^= 1;
	spit(in(dir, "log-1.idx"), b.data, b.len);
	(void)search(&f, false);
	ck_assert_str_eq(f.all.data, "3999 ");
	ck_assert_uint_eq(f.complaints, 2);
	buf_free(&f.all);
	buf_free(&b);
}
END_TEST

START_TEST(open_writes_an_index_that_is_missing)
{
	struct buf before, after;

	make_log(4000);
	before = slurp(in(dir, "log-0.idx"));
	ck_assert_int_eq(unlink(in(dir, "log-0.idx")), 0);
	audit_close(must_open(dir, SEGMENT_BYTES, 0));
	after = slurp(in(dir, "log-0.idx"));
	ck_assert(str_eq(buf_str(&before), buf_str(&after)));
	buf_free(&before);
	buf_free(&after);
}
END_TEST

static Suite *
suite(void)
{
	Suite *s = suite_create("audit_index");
	TCase *tc = tcase_create("audit_index");

	tcase_add_unchecked_fixture(tc, setup_base, teardown_base);
	tcase_add_checked_fixture(tc, setup_dir, NULL);
	tcase_add_test(tc, search_finds_the_same_with_and_without);
	tcase_add_test(tc, search_finds_what_is_deep_below_a_subtree);
	tcase_add_test(tc, verify_accepts_indexes_of_the_writer);
	tcase_add_test(tc, verify_finds_an_index_that_hides);
	tcase_add_loop_test(tc, verify_finds_an_index_that_counts_too_many, 0, 2);
	tcase_add_test(tc, search_reads_all_when_an_index_is_damaged);
	tcase_add_test(tc, open_writes_an_index_that_is_missing);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	state = (uint64_t)getpid();
	printf("seed %llu\n", (unsigned long long)state);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
