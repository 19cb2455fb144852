#include "policy-lang/model/config_file.h"

#include <string.h>
#include <sys/stat.h>

#include "common/bundle.h"
#include "common/secret.h"

/* Its one document; NULL, and reported, if it has not one. */
static const struct doc_node *
one_document(struct arena *arena, struct bundle *bundle, const char *what,
    const char *code, struct diag_list *diags)
{
	const unsigned errors = diags->errors;
	struct loc start = {NULL, 1, 1, 0};
	struct doc_list docs;

	start.source = bundle->count != 0 ? &bundle->sources[0] : NULL;
	if (bundle->count == 1 && doc_read(arena, &bundle->sources[0], diags, &docs) &&
	    docs.count == 1)
		return docs.docs[0];
	if (diags->errors == errors)
		diag_error(
		    diags, code, start, "%s is one YAML document in one file", what);
	return NULL;
}

static bool
take_bundle(struct arena *arena, const char *path, const char *what, const char *code,
    struct bundle *bundle, struct diag_list *diags, struct config_file *out)
{
	const char *slash = strrchr(path, '/');

	if (slash != NULL)
		out->directory = arena_strndup(arena, path, (size_t)(slash - path) + 1);
	out->root = one_document(arena, bundle, what, code, diags);
	if (bundle->count == 1)
		out->source = &bundle->sources[0];
	return out->root != NULL;
}

/* Of a directory all files would be read. */
static bool
is_no_directory(
    const char *path, const char *what, const char *code, struct diag_list *diags)
{
	const struct loc nowhere = {NULL, 0, 0, 0};
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return true; /* reading tells what else may be wrong */
	diag_error(
	    diags, code, nowhere, "%s is one file, and %s is a directory", what, path);
	return false;
}

bool
config_file_read(struct arena *arena, const char *path, const char *what,
    const char *code, struct diag_list *diags, struct config_file *out)
{
	struct bundle bundle;

	*out = (struct config_file){.directory = ""};
	return is_no_directory(path, what, code, diags) &&
	       bundle_read(arena, &path, 1, diags, &bundle) &&
	       take_bundle(arena, path, what, code, &bundle, diags, out);
}

bool
config_file_read_owned(struct arena *arena, const char *path, const char *what,
    const char *code, struct diag_list *diags, struct config_file *out)
{
	struct bundle bundle;

	*out = (struct config_file){.directory = ""};
	return is_no_directory(path, what, code, diags) &&
	       bundle_read_owned(arena, path, diags, &bundle) &&
	       take_bundle(arena, path, what, code, &bundle, diags, out);
}

void
config_file_wipe(struct config_file *file)
{
	if (file->source == NULL)
		return;
	secret_wipe((void *)(uintptr_t)file->source->text.ptr, file->source->text.len);
	file->source->text = STR("");
}

const char *
config_file_path(struct arena *arena, const struct config_file *file,
    const struct doc_node *n, const char *code, struct diag_list *diags)
{
	if (n->text.len == 0)
		diag_error(diags, code, n->loc, "a path cannot be empty");
	if (n->text.len != 0 && n->text.ptr[0] == '/')
		return arena_strndup(arena, n->text.ptr, n->text.len);
	return arena_printf(arena, "%s%.*s", file->directory, STR_ARG(n->text));
}

bool
config_host_port(struct str text, struct str *out_host, uint16_t *out_port)
{
	size_t colon = text.len;
	uint64_t port;

	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0 || !str_to_u64(str_slice(text, colon, text.len), 65535, &port))
		return false;
	*out_host = str_slice(text, 0, colon - 1);
	*out_port = (uint16_t)port;
	if (out_host->len >= 2 && out_host->ptr[0] == '[' &&
	    out_host->ptr[out_host->len - 1] == ']') {
		*out_host = str_slice(*out_host, 1, out_host->len - 1);
		return out_host->len != 0; /* "[]" is not everywhere */
	}
	return str_find(*out_host, ':', 0) == out_host->len; /* IPv6 needs brackets */
}
