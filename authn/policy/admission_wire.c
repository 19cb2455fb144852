#include "authn/policy/admission_wire.h"

#include <stdlib.h>

#include "authn/wire/json_text.h"

bool
admission_asked_read(const json_t *review, struct admission_asked *out)
{
	const json_t *request = json_object_get(review, "request");
	const json_t *resource = json_object_get(request, "resource");
	const json_t *user = json_object_get(request, "userInfo");

	if (!str_is(json_text_at(review, "kind"), "AdmissionReview") ||
	    !str_is(json_text_at(review, "apiVersion"), "admission.k8s.io/v1"))
		return false;
	*out = (struct admission_asked){
	    .uid = json_text_at(request, "uid"),
	    .group = json_text_at(resource, "group"),
	    .resource = json_text_at(resource, "resource"),
	    .subresource = json_text_at(request, "subResource"),
	    .namespace = json_text_at(request, "namespace"),
	    .operation = json_text_at(request, "operation"),
	    .kind = json_text_at(json_object_get(request, "kind"), "kind"),
	    .name = json_text_at(request, "name"),
	    .user = json_text_at(user, "username"),
	    .groups = json_object_get(user, "groups"),
	    .dry_run = json_is_true(json_object_get(request, "dryRun")),
	    .object = json_object_get(request, "object"),
	    .old_object = json_object_get(request, "oldObject"),
	};
	return out->uid.len != 0 && out->resource.len != 0 && out->operation.len != 0;
}

static void
add_json(struct buf *out, const char *key, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	if (text == NULL)
		base_die("out of memory");
	buf_printf(out, ",\"%s\":%s", key, text);
	free(text);
}

void
admission_answer_print(
    struct buf *out, struct str uid, const struct admission_answer *answer)
{
	buf_add_cstr(out, "{\"kind\":\"AdmissionReview\",\"apiVersion\":"
			  "\"admission.k8s.io/v1\",\"response\":{\"uid\":");
	buf_add_json(out, uid);
	buf_printf(out, ",\"allowed\":%s", answer->allowed ? "true" : "false");
	if (!answer->allowed) {
		buf_add_cstr(out, ",\"status\":{\"metadata\":{},\"status\":\"Failure\","
				  "\"message\":");
		buf_add_json(out, answer->message);
		buf_printf(out, ",\"reason\":\"%s\"", answer->reason);
		if (answer->details != NULL)
			add_json(out, "details", answer->details);
		buf_printf(out, ",\"code\":%d}", answer->code);
	}
	if (json_array_size(answer->warnings) != 0)
		add_json(out, "warnings", answer->warnings);
	buf_add_cstr(out, "}}");
}
