/*
 * What an API server says. The first byte chooses the kind, list or watch, and the size of the
 * pieces. In pieces it must come to the same as at once; and what is given on must be a
 * document that is JSON for another reader, too.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "enforcer/kube/kube_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(struct str name)
{
	if (name.len > 253 || memchr(name.len != 0 ? name.ptr : "", '/', name.len))
		__builtin_trap();
}

/* jansson takes less than JSON is (NUL in names, deep nesting, huge numbers): only what it
 * takes can be compared. */
static void
check_text(const struct kube_object *o)
{
	json_error_t error;
	json_t *root = json_loadb(o->text.ptr, o->text.len, 0, &error);

	if (root == NULL &&
	    json_error_code(&error) == json_error_premature_end_of_input)
		__builtin_trap();
	if (root == NULL && json_error_code(&error) == json_error_end_of_input_expected)
		__builtin_trap();
	json_decref(root);
}

static bool
hear(void *arg, const struct kube_object *o)
{
	struct buf *said = arg;

	buf_printf(said, "%d %llu %d ", (int)o->event, (unsigned long long)o->version,
	    o->finished);
	buf_add_str(said, o->namespace);
	buf_add_char(said, '/');
	buf_add_str(said, o->name);
	buf_add_str(said, o->text);
	if (o->event != KUBE_ERROR && o->event != KUBE_BOOKMARK) {
		check_name(o->name);
		check_name(o->namespace);
	}
	check_text(o);
	return true;
}

static bool
decode(size_t kind, bool watch, struct str text, size_t piece, struct buf *said)
{
	struct kube_decode d;
	bool ok = true;

	kube_decode_init(&d, &kube_kinds[kind], watch, hear, said);
	for (size_t at = 0; at < text.len && ok; at += piece)
		ok = kube_decode_feed(
		    &d, text.ptr + at, piece < text.len - at ? piece : text.len - at);
	if (ok && kube_decode_complete(&d))
		buf_printf(said, "end %llu %.*s", (unsigned long long)d.version,
		    STR_ARG(buf_str(&d.token)));
	if (!ok && (!d.failed || d.why == NULL))
		__builtin_trap();
	kube_decode_free(&d);
	return ok;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, pieces = {0};
	struct str text;
	size_t kind;
	bool watch;

	if (size < 2)
		return 0;
	kind = data[0] % KUBE_KIND_COUNT;
	watch = (data[0] & 0x80) != 0;
	text = (struct str){(const char *)data + 1, size - 1};
	if (decode(kind, watch, text, text.len, &whole) !=
		decode(kind, watch, text, data[size - 1] % 7 + 1, &pieces) ||
	    !str_eq(buf_str(&whole), buf_str(&pieces)))
		__builtin_trap();
	buf_free(&whole);
	buf_free(&pieces);
	return 0;
}
