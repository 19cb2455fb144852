/*
 * Any bytes as JSON: what the reader takes, jansson takes too, and makes the same of.
 */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/doc_tree.h"
#include "common/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                                                                    \
	do {                                                                           \
		if (!(cond))                                                           \
			abort();                                                       \
	} while (0)

static void
check_number(const struct doc_node *node, const json_t *json)
{
	double value = json_number_value(json);

	CHECK(json_is_number(json));
	if (node->kind == DOC_INT && json_is_integer(json))
		CHECK(node->u.integer == json_integer_value(json));
	else if (node->kind == DOC_INT) /* 80.0 is 80 */
		CHECK(!(fabs((double)node->u.integer - value) > fabs(value) * 1e-15));
	else
		CHECK(!(fabs(node->u.real - value) > fabs(value) * 1e-15));
}

static void
check_value(const struct doc_node *node, const json_t *json)
{
	switch (node->kind) {
	case DOC_NULL:
		CHECK(json_is_null(json));
		break;
	case DOC_BOOL:
		CHECK(json_is_boolean(json) && json_is_true(json) == node->u.boolean);
		break;
	case DOC_INT:
	case DOC_FLOAT:
		check_number(node, json);
		break;
	case DOC_STRING:
		CHECK(json_is_string(json));
		CHECK(str_eq(node->text,
		    (struct str){json_string_value(json), json_string_length(json)}));
		break;
	case DOC_LIST:
		CHECK(json_is_array(json) && json_array_size(json) == node->count);
		for (uint32_t i = 0; i < node->count; i++)
			check_value(node->u.items[i], json_array_get(json, i));
		break;
	case DOC_MAP:
		CHECK(json_is_object(json) && json_object_size(json) == node->count);
		for (uint32_t i = 0; i < node->count; i++) {
			const struct doc_entry *e = &node->u.entries[i];
			const json_t *value = json_object_get(json, e->key->text.ptr);

			CHECK(value != NULL);
			check_value(e->value, value);
		}
		break;
	}
}

/* jansson knows no number beyond 64 bits; ours becomes a float. */
static bool
is_beyond_jansson(const json_error_t *error)
{
	return strstr(error->text, "too big") != NULL ||
	       strstr(error->text, "overflow") != NULL;
}

static void
check_document(struct doc_tree *t, struct str text)
{
	json_error_t error;
	json_t *json = json_loadb(
	    text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

	if (json == NULL) {
		CHECK(is_beyond_jansson(&error));
		return;
	}
	check_value(t->docs[0], json);
	json_decref(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = {STR("f.json"), {(const char *)data, size}};
	struct str text = source.text;
	struct arena *arena = arena_new();
	struct doc_failure failure = {.at = 0};
	struct diag_list diags;
	struct doc_list docs;
	struct doc_tree t;
	bool ok;

	diag_list_init(&diags, arena);
	ok = doc_read(arena, &source, &diags, &docs);
	CHECK(ok == (diags.errors == 0));
	/* What is no text doc_read has refused: its readers rely on that. */
	if (utf8_check(text) != text.len || str_find(text, '\0', 0) != text.len)
		goto out;
	diag_list_init(&diags, arena);
	doc_tree_init(&t, arena, &source, &diags, text);
	if (doc_json_read(&t, &failure) && !t.failed && t.doc_count == 1)
		check_document(&t, text);
	doc_tree_fini(&t);
out:
	arena_free(arena);
	return 0;
}
