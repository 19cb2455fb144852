/*
 * Any bytes as an HTTP/1 request, in one piece and in two: whatever the strict readers
 * accept, llhttp reads in the same way (of heads the reader makes sure itself), and where the bytes
 * are split makes no difference.
 */
#include <llhttp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "authn/proxy/http1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
	struct buf body;
	bool complete;
};

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static int
on_body(llhttp_t *p, const char *at, size_t len)
{
	struct reading *r = p->data;

	buf_add(&r->body, at, len);
	return 0;
}

static int
on_message(llhttp_t *p)
{
	struct reading *r = p->data;

	r->complete = true;
	return HPE_PAUSED;
}

/* The chunked body as llhttp reads it. */
static void
read_second(const char *data, size_t len, struct reading *r)
{
	static const char head[] =
	    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
	llhttp_settings_t settings;
	llhttp_t parser;

	llhttp_settings_init(&settings);
	settings.on_body = on_body;
	settings.on_message_complete = on_message;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = r;
	(void)llhttp_execute(&parser, head, sizeof(head) - 1);
	(void)llhttp_execute(&parser, data, len);
}

static struct http1_chunks
read_chunks(const char *data, size_t len, size_t split, struct buf *body)
{
	struct http1_chunks c = {.state = CHUNK_SIZE_FIRST};
	const struct str halves[] = {{data, split}, {data + split, len - split}};

	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		struct str rest = halves[i], piece;

		while ((piece = http1_chunks_next(&c, &rest)).len != 0)
			buf_add_str(body, piece);
	}
	return c;
}

static void
check_chunks(const char *data, size_t len)
{
	struct buf whole = {NULL, 0, 0}, halves = {NULL, 0, 0};
	struct reading second = {.complete = false};
	struct http1_chunks c = read_chunks(data, len, 0, &whole);

	require(read_chunks(data, len, len / 2, &halves).state == c.state);
	require(str_eq(buf_str(&whole), buf_str(&halves)));
	if (c.state == CHUNK_DONE) {
		read_second(data, len, &second);
		/* llhttp has views on some trailers, which we only drop. */
		require(second.complete || c.trailer_bytes > 2);
		require(str_eq(buf_str(&whole), buf_str(&second.body)));
	}
	buf_free(&whole);
	buf_free(&halves);
	buf_free(&second.body);
}

static void
check_head(const char *data, size_t len)
{
	long n = http1_head_length(data, len, 0);
	struct http1_request r;
	struct arena *arena;
	char *copy;

	if (n <= 0)
		return;
	require((size_t)n <= len);
	arena = arena_new();
	copy = arena_strndup(arena, data, (size_t)n);
	if (http1_parse_head(arena, copy, (size_t)n, &r) == HTTP1_OK) {
		require(r.target.ptr[0] == '/');
		require(!r.chunked || r.content_length < 0);
		for (size_t i = 0; i < r.headers.count; i++) {
			require(header_name_ok(r.headers.items[i].name));
			require(header_value_ok(r.headers.items[i].value));
		}
	}
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_head((const char *)data, size);
	check_chunks((const char *)data, size);
	return 0;
}
