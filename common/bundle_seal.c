/*
 * A bundle on its way between processes: a memfd whose contents nobody can change any
 * more, and its digest. Layout, little-endian: magic, u64 count, then for each
 * source u64 name length, u64 text length, the name, the text.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bundle.h"
#include "common/limits.h"

#define MAGIC        "RFBUNDL1"
#define MAGIC_BYTES  8
#define HEADER_BYTES (MAGIC_BYTES + 8)
#define ENTRY_BYTES  16 /* before its name */
#define ALL_SEALS    (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define MAX_NAME     4096 /* PATH_MAX */
#define DROP_BYTES   (1024 * 1024)
#define WRITE_BYTES  (64 * 1024)

static void
put_u64(uint8_t *out, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t
get_u64(const uint8_t *in)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)in[i] << (8 * i);
	return value;
}

static int
write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot write the bundle");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes what is gathered, once it is enough for a call: there are very many small texts. */
static int
gathered(struct buf *data, int fd, size_t enough, struct err *err)
{
	int rc = 0;

	if (data->len < enough)
		return 0;
	rc = write_all(fd, data->data, data->len, err);
	data->len = 0;
	return rc;
}

static int
write_sources(const struct bundle *bundle, bundle_text_fn text_of, void *ctx, int fd,
    struct err *err)
{
	uint8_t header[HEADER_BYTES] = MAGIC;
	struct buf data = {0};
	int rc = 0;

	put_u64(header + MAGIC_BYTES, bundle->count);
	buf_add(&data, header, sizeof(header));
	for (size_t i = 0; i < bundle->count && rc == 0; i++) {
		const struct str name = bundle->sources[i].name;
		const struct str text = text_of(ctx, i);
		uint8_t entry[ENTRY_BYTES];

		put_u64(entry, name.len);
		put_u64(entry + 8, text.len);
		buf_add(&data, entry, sizeof(entry));
		buf_add_str(&data, name);
		buf_add_str(&data, text);
		rc = gathered(&data, fd, WRITE_BYTES, err);
	}
	if (rc == 0)
		rc = gathered(&data, fd, 0, err);
	buf_free(&data);
	return rc;
}

int
bundle_seal_each(const struct bundle *names, bundle_text_fn text, void *ctx,
    int *out_fd, struct err *err)
{
	int fd = memfd_create("ringfence-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	if (fd < 0)
		return err_sys(err, "cannot create a memfd");
	rc = write_sources(names, text, ctx, fd, err);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0)
		rc = err_sys(err, "cannot seal the bundle");
	if (rc != 0) {
		(void)close(fd); /* thrown away */
		return rc;
	}
	*out_fd = fd;
	return 0;
}

static struct str
text_at(void *ctx, size_t index)
{
	const struct source *sources = ctx;

	return sources[index].text;
}

int
bundle_seal(const struct bundle *bundle, int *out_fd, struct err *err)
{
	return bundle_seal_each(bundle, text_at, bundle->sources, out_fd, err);
}

static int
check_sealed(int fd, size_t *out_size, struct err *err)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return err_set(err, ERR_INVALID, "the bundle is not sealed");
	if (fstat(fd, &st) != 0)
		return err_sys(err, "cannot look at the bundle");
	if (st.st_size < HEADER_BYTES)
		return err_set(err, ERR_INVALID, "the bundle is too short");
	if ((uint64_t)st.st_size > HEADER_BYTES + LIMIT_BUNDLE_BYTES +
				       (uint64_t)LIMIT_BUNDLE_FILES * MAX_NAME +
				       (uint64_t)LIMIT_BUNDLE_SOURCES * ENTRY_BYTES)
		return err_set(err, ERR_LIMIT, "the bundle is too large");
	*out_size = (size_t)st.st_size;
	return 0;
}

static int
read_all(int fd, uint8_t *data, size_t size, struct err *err)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read the bundle");
		if (n == 0)
			return err_set(
			    err, ERR_INVALID, "the bundle is shorter than it says");
		done += (size_t)n;
	}
	return 0;
}

/* Takes one source off the front of *rest. */
static bool
take_source(struct str *rest, struct source *out_source)
{
	uint64_t name_len, text_len;
	const uint8_t *entry = (const uint8_t *)rest->ptr;

	if (rest->len < ENTRY_BYTES)
		return false;
	name_len = get_u64(entry);
	text_len = get_u64(entry + 8);
	*rest = str_slice(*rest, ENTRY_BYTES, rest->len);
	if (name_len == 0 || name_len > MAX_NAME || name_len > rest->len ||
	    text_len > rest->len - name_len || text_len > LIMIT_FILE_BYTES)
		return false;
	out_source->name = str_slice(*rest, 0, (size_t)name_len);
	*rest = str_slice(*rest, (size_t)name_len, rest->len);
	out_source->text = str_slice(*rest, 0, (size_t)text_len);
	*rest = str_slice(*rest, (size_t)text_len, rest->len);
	return str_find(out_source->name, '\0', 0) == name_len;
}

/* The sources in the bytes of a bundle, to which they refer; `map`: if they are mapped. */
static int
take_sources(struct arena *arena, const uint8_t *data, size_t size,
    struct bundle_map *map, struct bundle *out_bundle, struct err *err)
{
	struct bundle bundle = {0};
	struct str rest;
	uint64_t count;

	count = get_u64(data + MAGIC_BYTES);
	if (memcmp(data, MAGIC, MAGIC_BYTES) != 0 || count > LIMIT_BUNDLE_SOURCES)
		return err_set(err, ERR_INVALID, "this is not a bundle");
	rest = (struct str){(const char *)data + HEADER_BYTES, size - HEADER_BYTES};
	bundle.sources = ARENA_ARRAY(arena, (size_t)count, struct source);
	for (; bundle.count < count; bundle.count++) {
		if (!take_source(&rest, &bundle.sources[bundle.count]))
			return err_set(err, ERR_INVALID,
			    "source %zu of the bundle is malformed", bundle.count);
		if (map != NULL)
			bundle_map_drop(map, bundle.sources[bundle.count].text);
	}
	if (rest.len != 0)
		return err_set(err, ERR_INVALID, "the bundle is longer than it says");
	*out_bundle = bundle;
	return 0;
}

int
bundle_open(struct arena *arena, int fd, struct bundle *out_bundle, struct err *err)
{
	uint8_t *data;
	size_t size = 0;
	int rc = check_sealed(fd, &size, err);

	if (rc != 0)
		return rc;
	data = arena_alloc(arena, size);
	rc = read_all(fd, data, size, err);
	return rc != 0 ? rc : take_sources(arena, data, size, NULL, out_bundle, err);
}

int
bundle_open_mapped(struct arena *arena, int fd, struct bundle *out_bundle,
    struct bundle_map *out_map, struct err *err)
{
	size_t size = 0;
	int rc = check_sealed(fd, &size, err);
	void *data;

	if (rc != 0)
		return rc;
	data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return err_sys(err, "cannot map the bundle");
	*out_map = (struct bundle_map){.data = data, .bytes = size};
	rc = take_sources(arena, data, size, out_map, out_bundle, err);
	if (rc != 0)
		bundle_unmap(out_map);
	return rc;
}

void
bundle_map_drop(struct bundle_map *map, struct str text)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const uintptr_t begin = (uintptr_t)map->data, first = (uintptr_t)text.ptr;
	size_t end;

	if (first < begin || first - begin > map->bytes ||
	    text.len > map->bytes - (first - begin))
		return;                   /* of another */
	if (first - begin < map->dropped) /* from the beginning once more */
		map->dropped = (first - begin) / page * page;
	end = (first - begin + text.len) / page * page;
	if (end < map->dropped + DROP_BYTES)
		return;
	/* A wish. Of many small texts hardly one has a page of its own. */
	(void)madvise(
	    (char *)map->data + map->dropped, end - map->dropped, MADV_DONTNEED);
	map->dropped = end;
}

void
bundle_unmap(struct bundle_map *map)
{
	if (map->data != NULL)
		(void)munmap(map->data, map->bytes); /* cannot fail: ours */
	*map = (struct bundle_map){.data = NULL};
}

static void
digest_str(EVP_MD_CTX *ctx, struct str s)
{
	uint8_t len[8];

	put_u64(len, s.len);
	if (EVP_DigestUpdate(ctx, len, sizeof(len)) != 1 ||
	    EVP_DigestUpdate(ctx, s.ptr, s.len) != 1)
		base_die("SHA-256 failed");
}

void
bundle_digest(const struct bundle *bundle, uint8_t out_digest[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		base_die("SHA-256 is not available");
	for (size_t i = 0; i < bundle->count; i++) {
		digest_str(ctx, bundle->sources[i].name);
		digest_str(ctx, bundle->sources[i].text);
	}
	if (EVP_DigestFinal_ex(ctx, out_digest, NULL) != 1)
		base_die("SHA-256 failed");
	EVP_MD_CTX_free(ctx);
}
