#include "authn/budget/budget_record.h"

#include <string.h>

static void
put_member(struct buf *out, const char *name, struct str text)
{
	buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
	buf_add_json(out, text);
}

void
budget_record_put(struct buf *out, const struct budget_plan *plan,
    const struct budget_object *o, bool is_new)
{
	const char *comma = "";

	buf_add_char(out, '{');
	put_member(out, "group", plan->kinds[o->kind].group);
	put_member(out, "resource", plan->kinds[o->kind].resource);
	put_member(out, "namespace", o->namespace);
	put_member(out, "name", o->name);
	put_member(out, "uid", o->uid);
	buf_printf(out, ",\"new\":%s,\"version\":\"%llu\",\"amounts\":{",
	    is_new ? "true" : "false", (unsigned long long)o->version);
	for (size_t k = 0; k < plan->key_count; k++) {
		if (o->amounts[k] == 0)
			continue;
		buf_add_cstr(out, comma);
		buf_add_json(out, plan->keys[k].name);
		buf_printf(out, ":\"%llu\"", (unsigned long long)o->amounts[k]);
		comma = ",";
	}
	buf_add_cstr(out, "}}");
}

static bool
get_text(const json_t *record, const char *name, struct str *out)
{
	const json_t *value = json_object_get(record, name);

	if (!json_is_string(value))
		return false;
	*out = (struct str){json_string_value(value), json_string_length(value)};
	return true;
}

/* Numbers of 64 bits, as text: what reads JSON may know fewer. */
static bool
get_u64(const json_t *value, uint64_t *out)
{
	return json_is_string(value) &&
	       str_to_u64(
		   (struct str){json_string_value(value), json_string_length(value)},
		   UINT64_MAX, out);
}

static bool
get_amounts(const struct budget_plan *plan, const json_t *amounts, uint64_t *out)
{
	const char *name;
	json_t *value;
	uint64_t amount;

	memset(out, 0, plan->key_count * sizeof(*out));
	if (!json_is_object(amounts))
		return false;
	json_object_foreach((json_t *)(uintptr_t)amounts, name, value)
	{
		const size_t key = budget_plan_key(plan, str_from(name));

		if (!get_u64(value, &amount))
			return false;
		if (key != SIZE_MAX)
			out[key] = amount;
	}
	return true;
}

enum budget_record_result
budget_record_get(const struct budget_plan *plan, const json_t *record,
    uint64_t *amounts, struct budget_object *out, bool *out_is_new)
{
	const json_t *is_new = json_object_get(record, "new");
	struct str group, resource;

	*out = (struct budget_object){.amounts = amounts};
	if (!get_text(record, "group", &group) ||
	    !get_text(record, "resource", &resource) ||
	    !get_text(record, "namespace", &out->namespace) ||
	    !get_text(record, "name", &out->name) ||
	    !get_text(record, "uid", &out->uid) || !json_is_boolean(is_new) ||
	    !get_u64(json_object_get(record, "version"), &out->version) ||
	    out->name.len == 0 ||
	    !get_amounts(plan, json_object_get(record, "amounts"), amounts))
		return BUDGET_RECORD_MALFORMED;
	*out_is_new = json_is_true(is_new);
	out->kind = budget_plan_kind(plan, group, resource);
	return out->kind != SIZE_MAX ? BUDGET_RECORD_OK : BUDGET_RECORD_OTHER;
}
