/*
 * Heads and chunks of HTTP/1 requests: what is accepted is read in exactly one way, everything
 * else is refused.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/proxy/http1_parse.h"

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
}

static void
teardown(void)
{
	arena_free(arena);
}

static enum http1_problem
parse(const char *text, size_t len, struct http1_request *r)
{
	return http1_parse_head(arena, arena_strndup(arena, text, len), len, r);
}

#define HOST "Host: x\r\n"

static const struct {
	const char *head;
	const char *method, *target;
	bool chunked, keep_alive, upgrade;
	int64_t length;
} good[] = {
    {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", false, true, false, -1},
    {"GET /a?b#c HTTP/1.1\r\n" HOST "\r\n", "GET", "/a?b#c", false, true, false, -1},
    {"GET / HTTP/1.0\r\n\r\n", "GET", "/", false, false, false, -1},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", false, true, false,
	-1},
    {"GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n", "GET", "/", false, false,
	false, -1},
    {"GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, close\r\n\r\n", "GET", "/",
	false, false, false, -1},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/", false, true,
	false, 0},
    {"POST / HTTP/1.1\r\n" HOST "content-LENGTH:  17 \r\n\r\n", "POST", "/", false,
	true, false, 17},
    {"PATCH / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", "PATCH", "/",
	true, true, false, -1},
    {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n",
	"GET", "/", false, true, true, -1},
    {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\n\r\n", "GET", "/", false, true,
	false, -1},
    {"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n", "GET", "/", false, true,
	false, -1},
    {"GET / HTTP/1.1\r\nHost: [::1]:8443\r\nEmpty:\r\n\r\n", "GET", "/", false, true,
	false, -1},
};

START_TEST(head_is_read_when_it_is_well_formed)
{
	struct http1_request r;

	ck_assert_int_eq(parse(good[_i].head, strlen(good[_i].head), &r), HTTP1_OK);
	ck_assert(str_is(r.method, good[_i].method));
	ck_assert(str_is(r.target, good[_i].target));
	ck_assert_int_eq(r.chunked, good[_i].chunked);
	ck_assert_int_eq(r.keep_alive, good[_i].keep_alive);
	ck_assert_int_eq(r.wants_upgrade, good[_i].upgrade);
	ck_assert_int_eq(r.content_length, good[_i].length);
}
END_TEST

#define TEXT(s) (s), sizeof(s) - 1

static const struct {
	const char *head;
	size_t len;
	enum http1_problem problem;
} bad[] = {
    {TEXT("\r\n\r\n"), HTTP1_BAD_LINE},
    {TEXT("GET /\r\n" HOST "\r\n"), HTTP1_BAD_LINE},
    {TEXT("GET / HTTP/1.1 \r\n" HOST "\r\n"), HTTP1_BAD_LINE},
    {TEXT("GET  / HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_LINE},
    {TEXT("GE(T / HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_LINE},
    {TEXT("GET / http/1.1\r\n" HOST "\r\n"), HTTP1_BAD_LINE},
    {TEXT("GET / HTTP/1.2\r\n" HOST "\r\n"), HTTP1_VERSION},
    {TEXT("GET / HTTP/2.0\r\n" HOST "\r\n"), HTTP1_VERSION},
    {TEXT("PRI * HTTP/2.0\r\n\r\n"), HTTP1_VERSION},
    {TEXT("get / HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_METHOD},
    {TEXT("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_METHOD},
    {TEXT("TRACE / HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_METHOD},
    {TEXT("GET http://a/ HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_TARGET},
    {TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_TARGET},
    {TEXT("GET /\x7f HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_TARGET},
    {TEXT("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_TARGET},
    {TEXT("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), HTTP1_BAD_TARGET},
    {TEXT("GET / HTTP/1.1\r\nHost x\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A\t: b\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: b\r\n\tc: d\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A_B: c\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A\xe9: c\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: b\nc: d\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: b\0\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n"), HTTP1_BAD_HEADER},
    {TEXT("GET / HTTP/1.1\r\n\r\n"), HTTP1_BAD_HOST},
    {TEXT("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), HTTP1_BAD_HOST},
    {TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), HTTP1_BAD_HOST},
    {TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), HTTP1_BAD_HOST},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\t\r\n\r\n"), HTTP1_DISAGREE},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n"), HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 01\r\n\r\n"), HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 1a\r\n\r\n"), HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST
	  "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;a\r\n\r\n"),
	HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n"), HTTP1_BAD_FRAMING},
    {TEXT("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"),
	HTTP1_BAD_FRAMING},
};

START_TEST(head_is_refused_when_it_could_be_read_in_two_ways)
{
	struct http1_request r;

	ck_assert_msg(parse(bad[_i].head, bad[_i].len, &r) == bad[_i].problem, "%s",
	    bad[_i].head);
}
END_TEST

START_TEST(head_is_refused_when_it_exceeds_64_kib)
{
	struct http1_request r;
	struct buf head = {NULL, 0, 0};

	buf_add_cstr(&head, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 1800; i++) /* few bytes, but 32 more count for each line */
		buf_add_cstr(&head, "A: b\r\n");
	buf_add_cstr(&head, "\r\n");
	ck_assert_int_eq(parse(head.data, head.len, &r), HTTP1_OK);
	head.len -= 2;
	for (int i = 0; i < 200; i++)
		buf_add_cstr(&head, "A: b\r\n");
	buf_add_cstr(&head, "\r\n");
	ck_assert_int_eq(parse(head.data, head.len, &r), HTTP1_TOO_LARGE);
	buf_free(&head);
}
END_TEST

START_TEST(head_end_is_found_wherever_the_bytes_are_split)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nmore";
	long whole = (long)strlen(text) - 4;

	for (size_t split = 0; split <= strlen(text); split++) {
		long first = http1_head_length(text, split, 0);

		ck_assert_int_eq(first, (long)split >= whole ? whole : 0);
		if (first == 0)
			ck_assert_int_eq(
			    http1_head_length(text, strlen(text), split), whole);
	}
	ck_assert_int_eq(http1_head_length("GET / HTTP/1.1\n", 15, 0), -1);
	ck_assert_int_eq(http1_head_length("\n", 1, 0), -1);
}
END_TEST

static const struct {
	const char *text;
	const char *body; /* NULL: refused */
	const char *rest;
} chunks[] = {
    {"0\r\n\r\n", "", ""},
    {"3\r\nabc\r\n0\r\n\r\n", "abc", ""},
    {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", "abcde", "GET"},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
    {"00003\r\nabc\r\n000\r\n\r\n", "abc", ""},
    {"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\nx", "a", "x"},
    {"x\r\n", NULL, ""},
    {"\r\n", NULL, ""},
    {"-1\r\n", NULL, ""},
    {"0x1\r\na\r\n0\r\n\r\n", NULL, ""},
    {"1 \r\na\r\n0\r\n\r\n", NULL, ""},
    {"1;a=b\r\na\r\n0\r\n\r\n", NULL, ""},
    {"1\na\r\n0\r\n\r\n", NULL, ""},
    {"1\rXa\r\n0\r\n\r\n", NULL, ""},
    {"1\r\nab\r\n0\r\n\r\n", NULL, ""},
    {"1\r\na\n0\r\n\r\n", NULL, ""},
    {"1\r\na\rX0\r\n\r\n", NULL, ""},
    {"0\r\n\n", NULL, ""},
    {"0\n\r\n", NULL, ""},
    {"0\r\nA: b\n\r\n", NULL, ""},
    {"0\r\n A: b\r\n\r\n", NULL, ""},
    {"0\r\nA: \x01\r\n\r\n", NULL, ""},
    {"0\r\nA\r\n\r\n", NULL, ""},
    {"0\r\nA[: b\r\n\r\n", NULL, ""},
    {"0\r\n: b\r\n\r\n", NULL, ""},
    {"1234567890abc\r\n", NULL, ""},
};

/* Feeds the text in pieces of `step` bytes. */
static void
decode(const char *text, size_t step, struct http1_chunks *c, struct buf *body,
    size_t *used)
{
	size_t len = strlen(text);

	*c = (struct http1_chunks){.state = CHUNK_SIZE_FIRST};
	*used = 0;
	while (*used < len && c->state != CHUNK_DONE && c->state != CHUNK_BAD) {
		struct str data = str_slice(str_from(text), *used, *used + step);
		size_t given = data.len;
		struct str piece;

		while ((piece = http1_chunks_next(c, &data)).len != 0)
			buf_add_str(body, piece);
		*used += given - data.len;
	}
}

START_TEST(chunks_are_decoded_or_refused_however_they_arrive)
{
	for (size_t step = 1; step <= 64; step = step * 2 + 1) {
		struct http1_chunks c;
		struct buf body = {NULL, 0, 0};
		size_t used;

		decode(chunks[_i].text, step, &c, &body, &used);
		if (chunks[_i].body == NULL) {
			ck_assert_msg(c.state == CHUNK_BAD, "%s", chunks[_i].text);
		} else {
			ck_assert_int_eq(c.state, CHUNK_DONE);
			ck_assert(str_is(buf_str(&body), chunks[_i].body));
			ck_assert_str_eq(chunks[_i].text + used, chunks[_i].rest);
		}
		buf_free(&body);
	}
}
END_TEST

START_TEST(chunks_are_refused_when_trailers_do_not_end)
{
	struct http1_chunks c = {.state = CHUNK_SIZE_FIRST};
	struct str first = STR("0\r\n");

	(void)http1_chunks_next(&c, &first).len;
	for (int i = 0; i < 10000 && c.state != CHUNK_BAD; i++) {
		struct str line = STR("A: bcdefgh\r\n");

		(void)http1_chunks_next(&c, &line).len;
	}
	ck_assert_int_eq(c.state, CHUNK_BAD);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("http1");
	TCase *tc = tcase_create("http1");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, head_is_read_when_it_is_well_formed, 0, (int)ARRAY_LEN(good));
	tcase_add_loop_test(tc, head_is_refused_when_it_could_be_read_in_two_ways, 0,
	    (int)ARRAY_LEN(bad));
	tcase_add_test(tc, head_is_refused_when_it_exceeds_64_kib);
	tcase_add_test(tc, head_end_is_found_wherever_the_bytes_are_split);
	tcase_add_loop_test(tc, chunks_are_decoded_or_refused_however_they_arrive, 0,
	    (int)ARRAY_LEN(chunks));
	tcase_add_test(tc, chunks_are_refused_when_trailers_do_not_end);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
