/*
 * What the tests of documents share. Functions that a test does not use are fine.
 */
#ifndef TESTS_UNIT_COMMON_DOC_HELPERS_H
#define TESTS_UNIT_COMMON_DOC_HELPERS_H

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/doc_tree.h"

static struct arena *arena;
static struct diag_list diags;
static struct source source;
static struct doc_list docs;
static const struct diag *fault;

UNUSED static void
setup(void)
{
	arena = arena_new();
	diag_list_init(&diags, arena);
	source = (struct source){.name = STR("t.yaml")};
}

UNUSED static void
teardown(void)
{
	arena_free(arena);
}

UNUSED static bool
read_text(struct str text)
{
	source.text = text;
	return doc_read(arena, &source, &diags, &docs);
}

UNUSED static const char *
messages(void)
{
	struct buf out = {0};
	const char *copy;

	diag_render(&out, &diags, DIAG_TEXT);
	copy = str_dup(arena, buf_str(&out)).ptr;
	buf_free(&out);
	return copy;
}

/* The only document of a text that must be without fault. */
UNUSED static const struct doc_node *
good(const char *text)
{
	ck_assert_msg(read_text(str_from(text)), "%s: %s", text, messages());
	ck_assert_uint_eq(docs.count, 1);
	return docs.docs[0];
}

/* Text with errors; the first one must have the code. It is in `fault`. */
UNUSED static void
bad(struct str text, const char *code)
{
	ck_assert_msg(!read_text(text), "accepted: %.*s", STR_ARG(text));
	ck_assert_uint_gt(diags.errors, 0);
	diag_sort(&diags);
	fault = diags.first;
	while (fault->severity != DIAG_ERROR)
		fault = fault->next;
	ck_assert_msg(strcmp(fault->code, code) == 0, "%s", messages());
}

/* A tree in one line, for comparing: strings as JSON, integers bare, floats with f. */
UNUSED static void
write_tree(struct buf *out, const struct doc_node *node)
{
	bool map = node->kind == DOC_MAP;

	switch (node->kind) {
	case DOC_NULL:
		buf_add_cstr(out, "null");
		break;
	case DOC_BOOL:
		buf_add_cstr(out, node->u.boolean ? "true" : "false");
		break;
	case DOC_INT:
		buf_printf(out, "%lld", (long long)node->u.integer);
		break;
	case DOC_FLOAT:
		buf_printf(out, "%.17gf", node->u.real);
		break;
	case DOC_STRING:
		ck_assert_int_eq(node->text.ptr[node->text.len], '\0');
		buf_add_json(out, node->text);
		break;
	case DOC_LIST:
	case DOC_MAP:
	default:
		buf_add_char(out, map ? '{' : '[');
		for (uint32_t i = 0; i < node->count; i++) {
			if (i != 0)
				buf_add_char(out, ',');
			if (map) {
				ck_assert_int_eq(
				    node->u.entries[i].key->kind, DOC_STRING);
				write_tree(out, node->u.entries[i].key);
				buf_add_char(out, ':');
			}
			write_tree(
			    out, map ? node->u.entries[i].value : node->u.items[i]);
		}
		buf_add_char(out, map ? '}' : ']');
		break;
	}
}

UNUSED static const char *
tree(const struct doc_node *node)
{
	struct buf out = {0};
	const char *copy;

	write_tree(&out, node);
	copy = str_dup(arena, buf_str(&out)).ptr;
	buf_free(&out);
	return copy;
}

UNUSED static struct str
file_text(const char *path)
{
	struct buf text = {0};
	struct str copy;
	char chunk[4096];
	size_t n;
	FILE *f = fopen(path, "rb");

	ck_assert_msg(f != NULL, "%s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&text, chunk, n);
	(void)fclose(f);
	copy = str_dup(arena, buf_str(&text));
	buf_free(&text);
	return copy;
}

#endif
