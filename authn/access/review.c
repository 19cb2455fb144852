#include "authn/access/review.h"

#include <jansson.h>
#include <string.h>

#define AUTHORIZATION "authorization.k8s.io"

enum review_kind
review_kind_of(const struct request_info *info)
{
	if (!info->is_self_review)
		return REVIEW_NONE;
	if (str_is(info->resource, "selfsubjectaccessreviews"))
		return REVIEW_ACCESS;
	return str_is(info->resource, "selfsubjectrulesreviews") ? REVIEW_RULES
								 : REVIEW_SUBJECT;
}

/* ---- the attributes, in both encodings ---- */

/* ResourceAttributes: the number is protobuf's. */
static const struct {
	unsigned number;
	const char *name;
	size_t offset;
} attributes[] = {
    {1, "namespace", offsetof(struct request_info, namespace)},
    {2, "verb", offsetof(struct request_info, verb)},
    {3, "group", offsetof(struct request_info, api_group)},
    {4, "version", offsetof(struct request_info, api_version)},
    {5, "resource", offsetof(struct request_info, resource)},
    {6, "subresource", offsetof(struct request_info, subresource)},
    {7, "name", offsetof(struct request_info, name)},
};

static struct str *
attribute(struct request_info *info, size_t i)
{
	return (struct str *)(void *)((char *)info + attributes[i].offset);
}

/* ---- JSON ---- */

/* Absent and null are "". */
static bool
read_string(struct arena *arena, const json_t *map, const char *name, struct str *out)
{
	const json_t *value = json_object_get(map, name);

	if (value == NULL || json_is_null(value))
		return true;
	if (!json_is_string(value))
		return false;
	*out = str_dup(
	    arena, (struct str){json_string_value(value), json_string_length(value)});
	return true;
}

static bool
read_json_access(struct arena *arena, const json_t *spec, struct request_info *about)
{
	const json_t *resource = json_object_get(spec, "resourceAttributes");
	const json_t *path = json_object_get(spec, "nonResourceAttributes");

	if (json_is_object(resource) == json_is_object(path))
		return false;
	if (json_is_object(path))
		return read_string(arena, path, "path", &about->path) &&
		       read_string(arena, path, "verb", &about->verb);
	about->is_resource = true;
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (!read_string(
			arena, resource, attributes[i].name, attribute(about, i)))
			return false;
	}
	return true;
}

static bool
read_json(
    struct arena *arena, enum review_kind kind, struct str body, struct review *review)
{
	json_t *root = json_loadb(
	    body.ptr != NULL ? body.ptr : "", body.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *spec = json_object_get(root, "spec");
	bool ok = json_is_object(spec);

	if (ok && kind == REVIEW_ACCESS)
		ok = read_json_access(arena, spec, &review->about);
	else if (ok)
		ok = read_string(arena, spec, "namespace", &review->about.namespace);
	json_decref(root);
	return ok;
}

/* ---- protobuf ---- */

#define MAGIC "k8s"

struct proto_field {
	unsigned number;
	struct str bytes; /* of a length-delimited one; else empty */
};

static bool
read_varint(struct str *rest, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && rest->len != 0; shift += 7) {
		uint8_t byte = (uint8_t)rest->ptr[0];

		*rest = str_slice(*rest, 1, rest->len);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*out = value;
			return true;
		}
	}
	return false;
}

/* The next field; false for anything malformed. */
static bool
next_field(struct str *rest, struct proto_field *out)
{
	static const uint8_t fixed[] = {[1] = 8, [5] = 4};
	uint64_t tag, value;

	if (!read_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > 1000)
		return false;
	*out = (struct proto_field){.number = (unsigned)(tag >> 3)};
	switch (tag & 7) {
	case 0:
		return read_varint(rest, &value);
	case 2:
		if (!read_varint(rest, &value) || value > rest->len)
			return false;
		out->bytes = str_slice(*rest, 0, (size_t)value);
		*rest = str_slice(*rest, (size_t)value, rest->len);
		return true;
	case 1:
	case 5:
		if (rest->len < fixed[tag & 7])
			return false;
		*rest = str_slice(*rest, fixed[tag & 7], rest->len);
		return true;
	default:
		return false;
	}
}

/* The one field of that number; absent: empty. Two of one number would be merged: refused. */
static bool
find_field(struct str message, unsigned number, bool *out_found, struct str *out_bytes)
{
	*out_found = false;
	*out_bytes = STR("");
	while (message.len != 0) {
		struct proto_field field;

		if (!next_field(&message, &field))
			return false;
		if (field.number != number)
			continue;
		if (*out_found)
			return false;
		*out_found = true;
		*out_bytes = field.bytes;
	}
	return true;
}

static bool
read_proto_access(struct str spec, struct request_info *about)
{
	struct str resource, path;
	bool is_resource, is_path, found;

	if (!find_field(spec, 1, &is_resource, &resource) ||
	    !find_field(spec, 2, &is_path, &path) || is_resource == is_path)
		return false;
	about->is_resource = is_resource;
	if (is_path)
		return find_field(path, 1, &found, &about->path) &&
		       find_field(path, 2, &found, &about->verb);
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (!find_field(
			resource, attributes[i].number, &found, attribute(about, i)))
			return false;
	}
	return true;
}

/* runtime.Unknown behind the magic bytes; its `raw` is the review. */
static bool
read_proto(enum review_kind kind, struct str body, struct review *review)
{
	struct str raw, spec;
	bool found;

	if (!str_starts(body, (struct str){MAGIC, 4}) ||
	    !find_field(str_slice(body, 4, body.len), 2, &found, &raw) || !found ||
	    !find_field(raw, 2, &found, &spec))
		return false;
	if (kind == REVIEW_ACCESS)
		return read_proto_access(spec, &review->about);
	return find_field(spec, 1, &found, &review->about.namespace);
}

/* ---- the whole ---- */

static bool
media_is(struct str content_type, const char *media)
{
	struct str name = str_trim(str_split(&content_type, ';'));

	return name.len == strlen(media) && strncasecmp(name.ptr, media, name.len) == 0;
}

enum review_problem
review_parse(struct arena *arena, enum review_kind kind, struct str content_type,
    struct str body, struct review *out_review)
{
	bool ok;

	*out_review = (struct review){.about = {.is_resource = false}};
	if (content_type.len == 0 || media_is(content_type, "application/json"))
		ok = read_json(arena, kind, body, out_review);
	else if (media_is(content_type, "application/vnd.kubernetes.protobuf"))
		ok = read_proto(kind, body, out_review);
	else
		return REVIEW_MEDIA;
	request_info_derive(&out_review->about);
	return ok ? REVIEW_OK : REVIEW_MALFORMED;
}

/* ---- the answer ---- */

static void
add_spec(struct buf *out, const struct review *review)
{
	struct request_info about = review->about;
	bool first = true;

	if (!about.is_resource) {
		buf_add_cstr(out, "{\"nonResourceAttributes\":{\"path\":");
		buf_add_json(out, about.path);
		buf_add_cstr(out, ",\"verb\":");
		buf_add_json(out, about.verb);
		buf_add_cstr(out, "}}");
		return;
	}
	buf_add_cstr(out, "{\"resourceAttributes\":{");
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		struct str value = *attribute(&about, i);

		if (value.len == 0)
			continue;
		buf_printf(out, "%s\"%s\":", first ? "" : ",", attributes[i].name);
		buf_add_json(out, value);
		first = false;
	}
	buf_add_cstr(out, "}}");
}

void
review_refusal(struct buf *out, const struct request_info *info,
    const struct review *review, struct str reason, bool denied)
{
	buf_printf(out,
	    "{\"kind\":\"SelfSubjectAccessReview\",\"apiVersion\":\"" AUTHORIZATION
	    "/%.*s\",\"metadata\":{\"creationTimestamp\":null},\"spec\":",
	    STR_ARG(info->api_version));
	add_spec(out, review);
	buf_printf(
	    out, ",\"status\":{\"allowed\":false%s", denied ? ",\"denied\":true" : "");
	if (reason.len != 0) {
		buf_add_cstr(out, ",\"reason\":");
		buf_add_json(out, reason);
	}
	buf_add_cstr(out, "}}\n");
}
