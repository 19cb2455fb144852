#include "authn/policy/policy_review.h"

#include <string.h>

#include "authn/policy/admission_wire.h"
#include "authn/policy/policy_authority.h"
#include "authn/policy/policy_objects.h"
#include "authn/wire/json_text.h"
#include "common/utf8.h"

/* The API server's own advice, and what it cuts or drops. */
#define WARNING_CHARACTERS 120u
#define WARNINGS_BYTES     4096u
/* A refusal is for people: those that come first say enough. */
#define ERRORS_TOLD  10u
#define ERRORS_BYTES 8192u

struct reviewing {
	struct amend_base *tree;
	struct arena *arena;
	struct buf *out;
	struct admission_asked asked;
	struct policy_resource kind;
	struct policy_reviewed *reviewed;
};

/* ---- answers ---- */

static void
allow(struct reviewing *r, const json_t *warnings)
{
	const struct admission_answer answer = {.allowed = true, .warnings = warnings};

	admission_answer_print(r->out, r->asked.uid, &answer);
	r->reviewed->result = ADMISSION_ALLOWED;
	r->reviewed->warnings = (unsigned)json_array_size(warnings);
}

static void
refuse(struct reviewing *r, int code, const char *reason, struct str message,
    const json_t *details)
{
	const struct admission_answer answer = {
	    .code = code, .reason = reason, .message = message, .details = details};

	admission_answer_print(r->out, r->asked.uid, &answer);
	r->reviewed->result = code == 503 ? ADMISSION_UNKNOWN : ADMISSION_DENIED;
}

/* A message may have been cut in the middle of a character. */
static json_t *
json_words(struct arena *arena, struct str text)
{
	char *copy = arena_strndup(arena, text.ptr, text.len);
	json_t *value;

	for (size_t at = 0; at < text.len;) {
		const size_t width = utf8_width(text, at);

		if (width == 0)
			copy[at] = '?';
		at += width != 0 ? width : 1;
	}
	value = json_stringn(copy, text.len);
	if (value == NULL)
		base_die("out of memory");
	return value;
}

/* "Policy shop/web: spec.ports[0]: there is no such port [bad-port]" */
static struct str
line(struct arena *arena, const struct amend_finding *f)
{
	return str_from(arena_printf(arena, "%.*s%s%.*s%s%.*s [%s]", STR_ARG(f->object),
	    f->object.len != 0 ? ": " : "", STR_ARG(f->field),
	    f->field.len != 0 ? ": " : "", STR_ARG(f->message), f->code));
}

/* At most that many characters; the code at the end stays. */
static struct str
shorten(struct arena *arena, struct str text, const char *code)
{
	const size_t tail = strlen(code) + 6; /* "... [code]", without what is cut */
	size_t characters = 0, cut = 0;

	for (size_t at = 0; at < text.len; characters++) {
		const size_t width = utf8_width(text, at);

		if (characters + tail == WARNING_CHARACTERS)
			cut = at;
		at += width != 0 ? width : 1;
	}
	if (characters <= WARNING_CHARACTERS)
		return text;
	return str_from(arena_printf(
	    arena, "%.*s... [%s]", STR_ARG(str_slice(text, 0, cut)), code));
}

static json_t *
warnings_of(struct reviewing *r, const struct amend_judgement *j)
{
	json_t *warnings = json_array();
	size_t bytes = 0;

	for (size_t i = 0; i < j->count; i++) {
		const struct amend_finding *f = &j->findings[i];
		struct str text = shorten(r->arena, line(r->arena, f), f->code);

		bytes += text.len;
		if (bytes > WARNINGS_BYTES - WARNING_CHARACTERS)
			text = str_from(
			    arena_printf(r->arena, "and %zu more", j->count - i));
		if (json_array_append_new(warnings, json_words(r->arena, text)) != 0)
			base_die("out of memory");
		if (bytes > WARNINGS_BYTES - WARNING_CHARACTERS)
			break;
	}
	return warnings;
}

/* ---- refusals ---- */

static const char *
cause_of(const struct amend_finding *f)
{
	static const struct {
		const char *code, *cause;
	} causes[] = {
	    {"missing-field", "FieldValueRequired"},
	    {"duplicate-object", "FieldValueDuplicate"},
	    {"duplicate-value", "FieldValueDuplicate"},
	    {"unknown-external", "FieldValueNotFound"},
	    {"wrong-type", "FieldValueTypeInvalid"},
	};

	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		if (strcmp(f->code, causes[i].code) == 0)
			return causes[i].cause;
	}
	return "FieldValueInvalid";
}

static json_t *
details_of(const struct reviewing *r, const struct amend_judgement *j)
{
	const struct admission_asked *q = &r->asked;
	json_t *causes = json_array(), *details;

	for (size_t i = 0; i < j->errors && i < ERRORS_TOLD; i++) {
		const struct amend_finding *f = &j->findings[i];
		const struct str said = str_from(
		    arena_printf(r->arena, "%.*s%s%.*s [%s]", STR_ARG(f->object),
			f->object.len != 0 ? ": " : "", STR_ARG(f->message), f->code));

		if (json_array_append_new(
			causes, json_pack("{s:s, s:o, s:o}", "reason", cause_of(f),
				    "message", json_words(r->arena, said), "field",
				    json_words(r->arena, f->field))) != 0)
			base_die("out of memory");
	}
	details = json_pack("{s:o, s:o, s:s, s:o}", "name",
	    json_words(r->arena, q->name), "group", json_words(r->arena, r->kind.group),
	    "kind", r->kind.kind, "causes", causes);
	if (details == NULL)
		base_die("out of memory");
	return details;
}

/* What other objects that are under way may mend. */
static bool
may_settle(const struct amend_judgement *j)
{
	static const char *const codes[] = {"unknown-external", "placed-twice",
	    "duplicate-object", "route-conflict", "outside-subtree"};

	for (size_t i = 0; i < j->errors; i++) {
		bool found = false;

		for (size_t c = 0; c < ARRAY_LEN(codes); c++)
			found |= strcmp(j->findings[i].code, codes[c]) == 0;
		if (!found)
			return false;
	}
	return true;
}

static void
refuse_errors(struct reviewing *r, const struct amend_judgement *j)
{
	struct buf text = {0};
	json_t *details = details_of(r, j);
	size_t told = 0;

	while (told < j->errors && told < ERRORS_TOLD && text.len < ERRORS_BYTES) {
		if (told != 0)
			buf_add_cstr(&text, "; ");
		buf_add_str(&text, line(r->arena, &j->findings[told++]));
	}
	if (told < j->errors)
		buf_printf(&text, "; and %zu more", j->errors - told);
	refuse(r, 422, "Invalid", buf_str(&text), details);
	r->reviewed->may_settle = may_settle(j);
	json_decref(details);
	buf_free(&text);
}

/* ---- judging ---- */

static bool
is_deletion(const struct reviewing *r)
{
	return str_is(r->asked.operation, "DELETE");
}

/* An object that goes, or of which policy has the same to say as before. */
static bool
is_untouched(const struct reviewing *r)
{
	const struct admission_asked *q = &r->asked;
	const json_t *metadata = json_object_get(q->object, "metadata");

	if (!str_is(q->operation, "UPDATE"))
		return false;
	return json_is_string(json_object_get(metadata, "deletionTimestamp")) ||
	       str_eq(policy_object_text(r->arena, &r->kind, q->object),
		   policy_object_text(r->arena, &r->kind, q->old_object));
}

static void
judge_object(struct reviewing *r)
{
	const json_t *object = is_deletion(r) ? r->asked.old_object : r->asked.object;
	struct source source = {.name = policy_object_name(r->arena, &r->kind, object)};
	struct amend_judgement j;
	json_t *warnings;

	if (!json_is_object(object) || source.name.len == 0) {
		refuse(r, 422, "Invalid", STR("the object has no name"), NULL);
		return;
	}
	if (!is_deletion(r))
		source.text = policy_object_text(r->arena, &r->kind, object);
	amend_judge(r->tree, &source, r->arena, &j);
	if (j.errors != 0) {
		refuse_errors(r, &j);
		return;
	}
	warnings = warnings_of(r, &j);
	allow(r, warnings);
	json_decref(warnings);
}

static void
judge(struct reviewing *r)
{
	const struct admission_asked *q = &r->asked;
	const char *why;

	if (!policy_resource_find(q->group, q->resource, &r->kind) ||
	    q->subresource.len != 0 || str_is(q->operation, "CONNECT")) {
		allow(r, NULL);
		return;
	}
	if (r->tree == NULL) {
		refuse(r, 503, "ServiceUnavailable",
		    STR("the policy that there is is not known yet; try again"), NULL);
		return;
	}
	why = policy_authority(r->arena, amend_base_model(r->tree), &r->kind, q);
	if (why != NULL)
		refuse(r, 403, "Forbidden", str_from(why), NULL);
	else if (is_untouched(r) || policy_is_cleaner(q))
		allow(r, NULL);
	else
		judge_object(r);
}

void
policy_review(struct amend_base *tree, struct str body, struct buf *out,
    struct policy_reviewed *out_reviewed)
{
	struct reviewing r = {.tree = tree,
	    .arena = arena_new_sized(4096),
	    .out = out,
	    .reviewed = out_reviewed};
	json_error_t error;
	json_t *json = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);

	*out_reviewed = (struct policy_reviewed){.result = ADMISSION_MALFORMED};
	if (json == NULL)
		buf_printf(out, "not JSON: %s\n", error.text);
	else if (!admission_asked_read(json, &r.asked))
		buf_add_cstr(out, "no AdmissionReview of admission.k8s.io/v1\n");
	else
		judge(&r);
	json_decref(json);
	arena_free(r.arena);
}
