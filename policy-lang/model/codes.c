#include "policy-lang/model/codes.h"

#include <string.h>

#include "policy-lang/model/codes_help.h"

const struct diag_code_info diag_code_table[DIAG_CODE_COUNT] = {
#define DIAG_CODE_ROW(id, code, severity, text) [id] = {code, severity, text},
    DIAG_CODES(DIAG_CODE_ROW)
#undef DIAG_CODE_ROW
};

const struct diag_code_info diag_reading_table[] = {
    {"file-read", DIAG_ERROR, "A file or directory cannot be read."},
    {"file-limit", DIAG_ERROR, "A file, or all files together, are too large."},
    {"file-skipped", DIAG_WARNING, "A link to a directory is not followed."},
    {"file-none", DIAG_WARNING, "A directory has no YAML or JSON file in it."},
    {"yaml-syntax", DIAG_ERROR, "The file is not YAML."},
    {"yaml-text", DIAG_ERROR, "The file has bytes that are no text in UTF-8 or 16."},
    {"yaml-limit", DIAG_ERROR, "A document is too deep, or has too many nodes."},
    {"yaml-alias", DIAG_ERROR, "An alias names no anchor, or repeats too much."},
    {"yaml-tag", DIAG_ERROR, "A tag asks for a type that policy has no use for."},
    {"yaml-number", DIAG_ERROR, "A number is too large to be read exactly."},
    {"yaml-key", DIAG_WARNING,
	"A key of a map is a boolean, which is read as a text (warning), or is no text "
	"at all (error)."},
    {"yaml-merge", DIAG_WARNING,
	"A merge (<<) replaces what stands before it (warning), or has no map "
	"(error)."},
    {"duplicate-key", DIAG_ERROR, "A map has the same key twice."},
};

const size_t diag_reading_count = ARRAY_LEN(diag_reading_table);

static const struct diag_code_info *
find_in(const struct diag_code_info *table, size_t count, const char *code)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].code, code) == 0)
			return &table[i];
	}
	return NULL;
}

const struct diag_code_info *
diag_code_find(const char *code)
{
	const struct diag_code_info *found =
	    find_in(diag_code_table, DIAG_CODE_COUNT, code);

	return found != NULL ? found
			     : find_in(diag_reading_table, diag_reading_count, code);
}

const char *
diag_code_help(const char *code)
{
	for (size_t i = 0; i < diag_help_count; i++) {
		if (strcmp(diag_help_texts[i].code, code) == 0)
			return diag_help_texts[i].text;
	}
	return NULL;
}

bool
diag_code_describe(const char *code, struct diag_rule *out_rule)
{
	const struct diag_code_info *info = diag_code_find(code);

	if (info == NULL)
		return false;
	*out_rule = (struct diag_rule){
	    .severity = info->severity,
	    .summary = info->text,
	    .help = diag_code_help(code),
	};
	return true;
}

struct diag *
diag_say(
    struct diag_list *list, enum diag_code code, struct loc loc, const char *fmt, ...)
{
	const struct diag_code_info *info = &diag_code_table[code];
	struct buf text = {0};
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	d = diag_add(list, info->severity, info->code, loc, "%s",
	    text.data != NULL ? text.data : "");
	buf_free(&text);
	return d;
}
