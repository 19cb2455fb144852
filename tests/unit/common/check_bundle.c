#include "common/bundle.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/limits.h"

static char root[] = "/tmp/rf-bundle-XXXXXX";
static struct arena *arena;
static struct diag_list diags;
static struct bundle bundle;
static const struct bundle_place *places;
static struct err err;

static int
remove_one(const char *path, const struct stat *st UNUSED, int type UNUSED,
    struct FTW *ftw UNUSED)
{
	return remove(path);
}

/* Unchecked fixtures run in the parent of every test: what a test leaves behind when it
 * fails is removed all the same. */
static void
make_root(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void
remove_root(void)
{
	(void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
setup(void)
{
	ck_assert_int_eq(chdir(root), 0);
	arena = arena_new();
	diag_list_init(&diags, arena);
	err = ERR_INIT;
}

static void
teardown(void)
{
	arena_free(arena);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_msg(f != NULL, "%s", path);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void
make_dir(const char *path)
{
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static bool
read_one(const char *path)
{
	return bundle_read(arena, &path, 1, &diags, &bundle);
}

static void
ck_source(size_t i, const char *name, const char *text)
{
	ck_assert_uint_lt(i, bundle.count);
	ck_assert_msg(str_is(bundle.sources[i].name, name), "%.*s",
	    STR_ARG(bundle.sources[i].name));
	ck_assert(str_is(bundle.sources[i].text, text));
}

static void
ck_first(const char *code, const char *name)
{
	ck_assert_ptr_nonnull(diags.first);
	ck_assert_str_eq(diags.first->code, code);
	ck_assert_str_eq(loc_text(arena, diags.first->loc), name);
}

/* ---- reading ---- */

START_TEST(bundle_reads_file_whatever_its_name)
{
	write_file("policy.txt", "a: 1\n");
	ck_assert(read_one("policy.txt"));
	ck_assert_uint_eq(bundle.count, 1);
	ck_source(0, "policy.txt", "a: 1\n");
}
END_TEST

START_TEST(bundle_reads_directory_sorted_without_leftovers)
{
	static const char *const files[] = {"d/b.yaml", "d/a.json", "d/c.yml",
	    "d/sub/a.yaml", "d/sub.yaml", "d/.hidden.yaml", "d/b.yaml~",
	    "d/.b.yaml.swp", "d/x.swp", "d/#c.yaml#", "d/README.md", "d/yaml",
	    "d/A.YAML", "d/.git/z.yaml"};

	make_dir("d");
	make_dir("d/sub");
	make_dir("d/.git");
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		write_file(files[i], files[i]);
	ck_assert(read_one("d///"));
	ck_assert_uint_eq(bundle.count, 5);
	ck_source(0, "d/a.json", "d/a.json");
	ck_source(1, "d/b.yaml", "d/b.yaml");
	ck_source(2, "d/c.yml", "d/c.yml");
	ck_source(3, "d/sub.yaml", "d/sub.yaml");
	ck_source(4, "d/sub/a.yaml", "d/sub/a.yaml");
	ck_assert_ptr_null(diags.first);
}
END_TEST

START_TEST(bundle_keeps_order_of_paths)
{
	const char *const paths[] = {"z.yaml", "a.yaml", "z.yaml"};

	write_file("a.yaml", "a");
	write_file("z.yaml", "z");
	ck_assert(bundle_read(arena, paths, 3, &diags, &bundle));
	ck_assert_uint_eq(bundle.count, 3);
	ck_source(0, "z.yaml", "z");
	ck_source(1, "a.yaml", "a");
	ck_source(2, "z.yaml", "z");
}
END_TEST

START_TEST(bundle_reads_what_it_can_and_reports_the_rest)
{
	const char *const paths[] = {"missing.yaml", "there.yaml", "none/"};

	write_file("there.yaml", "");
	ck_assert(!bundle_read(arena, paths, 3, &diags, &bundle));
	ck_assert_uint_eq(bundle.count, 1);
	ck_source(0, "there.yaml", "");
	ck_assert_uint_eq(diags.errors, 2);
	ck_first("file-read", "missing.yaml");
	ck_assert_str_eq(diags.first->msg, "cannot be read: No such file or directory");
}
END_TEST

START_TEST(bundle_warns_when_directory_has_nothing)
{
	make_dir("empty");
	ck_assert(read_one("empty"));
	ck_assert_uint_eq(bundle.count, 0);
	ck_assert_uint_eq(diags.warnings, 1);
	ck_first("file-none", "empty");
}
END_TEST

/* The layout of a ConfigMap's volume: files and directories at the top are links into
 * ..data, which links to a directory with a time stamp. */
START_TEST(bundle_reads_config_map_volume)
{
	make_dir("cm");
	make_dir("cm/..2026_01_02");
	make_dir("cm/..2026_01_02/sub");
	write_file("cm/..2026_01_02/a.yaml", "a");
	write_file("cm/..2026_01_02/sub/b.yaml", "b");
	ck_assert_int_eq(symlink("..2026_01_02", "cm/..data"), 0);
	ck_assert_int_eq(symlink("..data/a.yaml", "cm/a.yaml"), 0);
	ck_assert_int_eq(symlink("..data/sub", "cm/sub"), 0);
	ck_assert(read_one("cm"));
	ck_assert_uint_eq(bundle.count, 2);
	ck_source(0, "cm/a.yaml", "a");
	ck_source(1, "cm/sub/b.yaml", "b");
	ck_assert_ptr_null(diags.first);
}
END_TEST

START_TEST(bundle_does_not_follow_other_directory_links)
{
	make_dir("l");
	make_dir("outside");
	write_file("outside/x.yaml", "x");
	write_file("l/a.yaml", "a");
	ck_assert_int_eq(symlink("../outside", "l/link"), 0);
	ck_assert_int_eq(symlink(".", "l/loop"), 0);
	ck_assert_int_eq(symlink("../outside/x.yaml", "l/x.yaml"), 0);
	ck_assert(read_one("l"));
	ck_assert_uint_eq(bundle.count, 2);
	ck_source(1, "l/x.yaml", "x");
	ck_assert_uint_eq(diags.warnings, 2);
	ck_assert_str_eq(diags.first->code, "file-skipped");
}
END_TEST

START_TEST(bundle_reports_dangling_link)
{
	make_dir("dl");
	ck_assert_int_eq(symlink("nowhere", "dl/a.yaml"), 0);
	ck_assert_int_eq(symlink("nowhere", "dl/readme"), 0);
	ck_assert(!read_one("dl"));
	ck_assert_uint_eq(diags.errors, 1);
	ck_first("file-read", "dl/a.yaml");
}
END_TEST

static void
ck_unreadable(size_t i, const char *name, const char *why)
{
	struct buf text = {0};

	buf_add_str(&text, STR(SOURCE_NOT_READ));
	buf_add_cstr(&text, why);
	ck_assert_uint_lt(i, bundle.count);
	ck_assert(str_is(bundle.sources[i].name, name));
	ck_assert(str_eq(bundle.sources[i].text, buf_str(&text)));
	buf_free(&text);
}

START_TEST(bundle_below_goes_on_past_what_is_unreadable)
{
	const char *const paths[] = {"lb/fifo.yaml", "lb/ok.yaml", "lb/gone.yaml"};

	make_dir("lb");
	ck_assert_int_eq(symlink("nowhere", "lb/a.yaml"), 0);
	ck_assert_int_eq(mkfifo("lb/fifo.yaml", 0600), 0);
	write_file("lb/huge.yaml", "");
	ck_assert_int_eq(truncate("lb/huge.yaml", LIMIT_FILE_BYTES + 1), 0);
	write_file("lb/ok.yaml", "a: 1\n");
	ck_assert(bundle_read_below(arena, "lb", &diags, &bundle, &places));
	ck_assert_uint_eq(bundle.count, 4);
	ck_unreadable(
	    0, "lb/a.yaml", "file-read: cannot be read: No such file or directory");
	ck_unreadable(
	    1, "lb/fifo.yaml", "file-read: is neither a file nor a directory");
	ck_unreadable(2, "lb/huge.yaml", "file-limit: the file is too large");
	ck_source(3, "lb/ok.yaml", "a: 1\n");
	ck_assert(bundle_read_files(arena, paths, 3, &diags, &bundle));
	ck_assert_uint_eq(bundle.count, 3);
	ck_unreadable(
	    0, "lb/fifo.yaml", "file-read: is neither a file nor a directory");
	ck_source(1, "lb/ok.yaml", "a: 1\n");
	ck_unreadable(
	    2, "lb/gone.yaml", "file-read: cannot be read: No such file or directory");
	ck_assert_ptr_null(diags.first);
}
END_TEST

/* A directory that is another thing now has not lost its files. */
START_TEST(bundle_below_fails_when_the_directory_is_none)
{
	const char *const paths[] = {"nb", "nb-file", "nb-fifo"};

	write_file("nb-file", "a: 1\n");
	ck_assert_int_eq(mkfifo("nb-fifo", 0600), 0);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		ck_assert(
		    !bundle_read_below(arena, paths[i], &diags, &bundle, &places));
		ck_assert_uint_eq(diags.errors, i + 1);
	}
	ck_first("file-read", "nb");
}
END_TEST

/* What it is that is there cannot be asked: it may be a directory, whose files are not gone. */
START_TEST(bundle_below_fails_when_entries_cannot_be_looked_at)
{
	const uid_t user = geteuid();
	bool read;

	make_dir("xb");
	make_dir("xb/sub");
	write_file("xb/sub/a.yaml", "a: 1\n");
	ck_assert_int_eq(chmod(root, 0755), 0);
	ck_assert_int_eq(chmod("xb", 0444), 0);
	ck_assert(user != 0 || seteuid(65534) == 0);
	read = bundle_read_below(arena, "xb", &diags, &bundle, &places);
	ck_assert_int_eq(seteuid(user), 0);
	ck_assert_int_eq(chmod("xb", 0755), 0);
	ck_assert(!read);
	ck_first("file-read", "xb/sub");
}
END_TEST

/* None of these may block the reader. */
START_TEST(bundle_refuses_what_is_no_file)
{
	const char *const paths[] = {"special", "special/fifo.yaml", "/dev/null"};
	struct sockaddr_un address = {
	    .sun_family = AF_UNIX, .sun_path = "special/s.yaml"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	make_dir("special");
	ck_assert_int_eq(mkfifo("special/fifo.yaml", 0600), 0);
	ck_assert_int_eq(
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	ck_assert(!bundle_read(arena, paths, 3, &diags, &bundle));
	ck_assert_uint_eq(bundle.count, 0);
	ck_assert_uint_eq(diags.errors, 4);
	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		ck_assert_str_eq(d->code, "file-read");
}
END_TEST

START_TEST(bundle_refuses_deep_directories)
{
	struct buf path = {0};

	make_dir("deep");
	buf_add_cstr(&path, "deep");
	for (unsigned i = 0; i <= LIMIT_BUNDLE_DEPTH; i++) {
		buf_add_cstr(&path, "/d");
		make_dir(path.data);
	}
	ck_assert(!read_one("deep"));
	ck_first("file-limit", path.data);
	buf_free(&path);
}
END_TEST

START_TEST(bundle_refuses_file_over_limit)
{
	write_file("big.yaml", "");
	ck_assert_int_eq(truncate("big.yaml", (off_t)LIMIT_FILE_BYTES + 1), 0);
	ck_assert(!read_one("big.yaml"));
	ck_first("file-limit", "big.yaml");
	ck_assert_uint_eq(bundle.count, 0);
}
END_TEST

START_TEST(bundle_reads_standard_input_once)
{
	const char *const paths[] = {"-", "-"};
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], "a: 1\n", 5), 5);
	ck_assert_int_eq(close(fds[1]), 0);
	ck_assert_int_eq(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
	ck_assert(!bundle_read(arena, paths, 2, &diags, &bundle));
	ck_assert_uint_eq(bundle.count, 1);
	ck_source(0, "-", "a: 1\n");
	ck_first("file-read", "-");
}
END_TEST

START_TEST(bundle_reads_file_that_does_not_say_its_size)
{
	ck_assert(read_one("/proc/self/status"));
	ck_assert_uint_gt(bundle.sources[0].text.len, 100);
}
END_TEST

/* ---- sealing ---- */

static struct source samples[] = {
    {{"a.yaml", 6}, {"a: 1\n", 5}},
    {{"dir/b.yaml", 10}, {"", 0}},
    {{"c", 1}, {"x\0y", 3}},
};
static const struct bundle sample = {samples, ARRAY_LEN(samples)};

START_TEST(bundle_comes_back_as_it_was_sealed)
{
	int fd = -1;

	ck_assert_int_eq(bundle_seal(&sample, &fd, &err), 0);
	ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err), 0);
	ck_assert_uint_eq(bundle.count, sample.count);
	for (size_t i = 0; i < sample.count; i++) {
		ck_assert(str_eq(bundle.sources[i].name, samples[i].name));
		ck_assert(str_eq(bundle.sources[i].text, samples[i].text));
	}
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(bundle_may_be_empty)
{
	const struct bundle none = {0};
	int fd = -1;

	ck_assert_int_eq(bundle_seal(&none, &fd, &err), 0);
	ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err), 0);
	ck_assert_uint_eq(bundle.count, 0);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

#define SMALL_COUNT 20000 /* of as many bytes as pods have of interest */
#define SMALL_BYTES 600

/* Bytes of mapped bundles that are in this process's memory. */
static size_t
mapped_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	size_t kib = 0, sum = 0;
	bool ours = false;
	char line[512], mode;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "%*x-%*x %c", &mode) == 1)
			ours = strstr(line, "memfd:ringfence-bundle") != NULL;
		else if (sscanf(line, "Rss: %zu kB", &kib) == 1 && ours)
			sum += kib * 1024;
	}
	ck_assert_int_eq(fclose(file), 0);
	return sum;
}

static struct bundle
make_small(void)
{
	struct bundle small = {
	    .sources = ARENA_ARRAY(arena, SMALL_COUNT, struct source)};

	for (; small.count < SMALL_COUNT; small.count++) {
		char *text = arena_alloc(arena, SMALL_BYTES);

		memset(text, 'a' + (int)(small.count % 26), SMALL_BYTES);
		small.sources[small.count] = (struct source){
		    str_from(arena_printf(arena, "pods/%zu", small.count)),
		    {text, SMALL_BYTES}};
	}
	return small;
}

START_TEST(mapped_bundle_is_never_all_in_memory_though_its_texts_are_small)
{
	const size_t most = (size_t)SMALL_COUNT * SMALL_BYTES / 4;
	const struct bundle small = make_small();
	struct bundle_map map = {0};
	int fd = -1;

	ck_assert_int_eq(bundle_seal(&small, &fd, &err), 0);
	ck_assert_int_eq(bundle_open_mapped(arena, fd, &bundle, &map, &err), 0);
	ck_assert_uint_le(mapped_bytes(), most);
	ck_assert_uint_eq(bundle.count, SMALL_COUNT);
	for (size_t i = 0; i < 2 * small.count; i++) {
		const struct source *is = &bundle.sources[i % small.count];

		ck_assert(str_eq(is->name, small.sources[i % small.count].name));
		ck_assert(str_eq(is->text, small.sources[i % small.count].text));
		bundle_map_drop(&map, is->text);
		if (i % 1000 == 0)
			ck_assert_uint_le(mapped_bytes(), most);
	}
	bundle_unmap(&map);
	ck_assert_uint_eq(mapped_bytes(), 0);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(sealed_bundle_cannot_be_changed)
{
	int fd = -1;

	ck_assert_int_eq(bundle_seal(&sample, &fd, &err), 0);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS),
	    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_lt(pwrite(fd, "x", 1, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_ptr_eq(
	    mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

static int
memfd_with(const void *data, size_t len, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define ALL_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* The sealed bytes of the samples. */
static size_t
sealed_bytes(uint8_t out[256])
{
	int fd = -1;
	ssize_t n;

	ck_assert_int_eq(bundle_seal(&sample, &fd, &err), 0);
	n = pread(fd, out, 256, 0);
	ck_assert_int_gt(n, 0);
	ck_assert_int_lt(n, 256);
	ck_assert_int_eq(close(fd), 0);
	return (size_t)n;
}

START_TEST(bundle_open_refuses_when_a_seal_is_missing)
{
	static const int seals[] = {
	    F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
	uint8_t data[256];
	size_t len = sealed_bytes(data);
	int fd = memfd_with(data, len, ALL_SEALS & ~seals[_i]);

	ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err), ERR_INVALID);
	ck_assert_str_eq(err.msg, "the bundle is not sealed");
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(bundle_open_refuses_what_is_no_memfd)
{
	int fd;

	write_file("plain", "RFBUNDL1");
	fd = open("plain", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err), ERR_INVALID);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_lt(bundle_open(arena, -1, &bundle, &err), 0);
}
END_TEST

START_TEST(bundle_open_refuses_every_other_length)
{
	uint8_t data[256] = {0};
	size_t len = sealed_bytes(data);

	for (size_t cut = 0; cut <= len + 1; cut++) {
		int fd = memfd_with(data, cut, ALL_SEALS);

		ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err),
		    cut == len ? 0 : ERR_INVALID);
		ck_assert_int_eq(close(fd), 0);
	}
}
END_TEST

/* Layout: magic 0-7, count 8-15, then name length 16-23, text length 24-31, the name. */
static const struct {
	size_t at;
	uint8_t byte;
} broken[] = {
    {0, 'X'},
    {7, '2'},
    {8, 4},
    {8, 2},
    {15, 0xff},
    {16, 0},
    {16, 7},
    {17, 1},
    {23, 0xff},
    {24, 4},
    {24, 6},
    {31, 0xff},
    {31, 0x80},
    {32, 0},
};

START_TEST(bundle_open_refuses_broken_fields)
{
	uint8_t data[256];
	size_t len = sealed_bytes(data);
	int fd;

	ck_assert_uint_ne(data[broken[_i].at], broken[_i].byte);
	data[broken[_i].at] = broken[_i].byte;
	fd = memfd_with(data, len, ALL_SEALS);
	bundle.count = 77;
	ck_assert_int_eq(bundle_open(arena, fd, &bundle, &err), ERR_INVALID);
	ck_assert_uint_eq(bundle.count, 77);
	ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(bundle_digest_covers_names_and_texts)
{
	/* printf 'len8 name len8 text ...' | sha256sum of: 1 "a" 1 "b". */
	static const uint8_t expected[32] = {
	    0xcf,
	    0x6a,
	    0xb6,
	    0x13,
	    0xe3,
	    0x94,
	    0x23,
	    0x91,
	    0xf8,
	    0x8e,
	    0xd6,
	    0x98,
	    0x55,
	    0x7e,
	    0x16,
	    0x80,
	    0xf1,
	    0x60,
	    0xbd,
	    0x10,
	    0xe8,
	    0x8c,
	    0x6b,
	    0x66,
	    0x8c,
	    0x50,
	    0x36,
	    0x0c,
	    0x10,
	    0x93,
	    0x0e,
	    0x2b,
	};
	struct source one[] = {{{"a", 1}, {"b", 1}}};
	struct source moved[] = {{{"ab", 2}, {"", 0}}};
	const struct bundle a = {one, 1}, b = {moved, 1};
	uint8_t digest[32], other[32];

	bundle_digest(&a, digest);
	ck_assert_mem_eq(digest, expected, 32);
	bundle_digest(&b, other);
	ck_assert_mem_ne(digest, other, 32);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("bundle");
	TCase *tc = tcase_create("bundle");

	tcase_add_unchecked_fixture(tc, make_root, remove_root);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bundle_reads_file_whatever_its_name);
	tcase_add_test(tc, bundle_reads_directory_sorted_without_leftovers);
	tcase_add_test(tc, bundle_keeps_order_of_paths);
	tcase_add_test(tc, bundle_reads_what_it_can_and_reports_the_rest);
	tcase_add_test(tc, bundle_warns_when_directory_has_nothing);
	tcase_add_test(tc, bundle_reads_config_map_volume);
	tcase_add_test(tc, bundle_does_not_follow_other_directory_links);
	tcase_add_test(tc, bundle_reports_dangling_link);
	tcase_add_test(tc, bundle_below_goes_on_past_what_is_unreadable);
	tcase_add_test(tc, bundle_below_fails_when_the_directory_is_none);
	tcase_add_test(tc, bundle_below_fails_when_entries_cannot_be_looked_at);
	tcase_add_test(tc, bundle_refuses_what_is_no_file);
	tcase_add_test(tc, bundle_refuses_deep_directories);
	tcase_add_test(tc, bundle_refuses_file_over_limit);
	tcase_add_test(tc, bundle_reads_standard_input_once);
	tcase_add_test(tc, bundle_reads_file_that_does_not_say_its_size);
	tcase_add_test(tc, bundle_comes_back_as_it_was_sealed);
	tcase_add_test(tc, bundle_may_be_empty);
	tcase_add_test(
	    tc, mapped_bundle_is_never_all_in_memory_though_its_texts_are_small);
	tcase_add_test(tc, sealed_bundle_cannot_be_changed);
	tcase_add_loop_test(tc, bundle_open_refuses_when_a_seal_is_missing, 0, 4);
	tcase_add_test(tc, bundle_open_refuses_what_is_no_memfd);
	tcase_add_test(tc, bundle_open_refuses_every_other_length);
	tcase_add_loop_test(
	    tc, bundle_open_refuses_broken_fields, 0, ARRAY_LEN(broken));
	tcase_add_test(tc, bundle_digest_covers_names_and_texts);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
