/*
 * The table as JSON, for tests and tools: what varies of it.
 */
#include "policy-lang/model/net_limit.h"
#include "policy-lang/table/table_text.h"

static void
json_field(struct buf *out, const struct table_set *set, enum table_field field,
    const struct table_element *e)
{
	switch (field) {
	case FIELD_CLASSID:
		buf_printf(out, "\"class\": %u", (unsigned)e->class_id);
		break;
	case FIELD_IPV4:
	case FIELD_IPV6:
		buf_add_cstr(out, "\"address\": \"");
		table_text_addr(out, field, e->addr);
		if (table_set_ranges(set)) {
			buf_add_cstr(out, "\", \"lastAddress\": \"");
			table_text_addr(out, field, e->addr_end);
		}
		buf_add_char(out, '"');
		break;
	case FIELD_IFNAME:
		buf_add_cstr(out, "\"interface\": ");
		table_text_interface(out, e);
		break;
	case FIELD_NFPROTO:
	case FIELD_PROTO:
		buf_printf(out, "\"protocol\": %u", (unsigned)e->proto);
		break;
	case FIELD_SERVICE:
		buf_printf(out, "\"port\": %u", (unsigned)e->port_lo);
		if (set->interval)
			buf_printf(out, ", \"lastPort\": %u", (unsigned)e->port_hi);
		break;
	case FIELD_SLOT:
		buf_printf(out, "\"slot\": %u", (unsigned)e->port_lo);
		break;
	case FIELD_MARK:
		buf_printf(out, "\"mark\": %u", (unsigned)table_element_mark(e));
		break;
	case FIELD_NONE:
	case FIELD_VERDICT:
	case FIELD_IPV4_PORT:
	case FIELD_IPV6_PORT:
		break;
	}
}

static void
json_end(struct buf *out, enum table_field value, const struct table_element *e)
{
	buf_add_cstr(out, ", \"to\": \"");
	table_text_addr(out, value, e->addr_end);
	buf_add_char(out, '"');
	if (table_value_has_port(value))
		buf_printf(out, ", \"toPort\": %u", (unsigned)e->port_hi);
}

static void
json_loc(struct buf *out, struct loc loc)
{
	if (loc.source == NULL)
		return;
	buf_add_cstr(out, ", \"file\": ");
	buf_add_json(out, loc.source->name);
	buf_printf(out, ", \"line\": %u", (unsigned)loc.line);
}

static void
json_element(
    struct buf *out, const struct table_set *set, const struct table_element *e)
{
	buf_add_char(out, '{');
	for (size_t i = 0; i < TABLE_KEY_FIELDS && set->key[i] != FIELD_NONE; i++) {
		if (i != 0)
			buf_add_cstr(out, ", ");
		json_field(out, set, set->key[i], e);
	}
	if (table_value_is_address(set->value))
		json_end(out, set->value, e);
	else if (set->value != FIELD_NONE)
		buf_printf(out, ", \"value\": %u", (unsigned)e->value);
	json_loc(out, e->loc);
	buf_add_char(out, '}');
}

static void
json_limit(struct buf *out, const struct table_limit *l)
{
	if (l->form == LIMIT_NONE)
		return;
	buf_printf(out, ", \"limit\": {\"kind\": \"%s\", \"own\": %s, ",
	    net_limit_name(l->kind), l->form == LIMIT_OWN ? "true" : "false");
	if (l->nothing)
		buf_add_cstr(out, "\"nothing\": true, ");
	else if (l->kind == NETLIM_COUNT)
		buf_printf(out, "\"count\": %u, ", (unsigned)l->count);
	else
		buf_printf(out, "\"rate\": %llu, \"seconds\": %u, \"burst\": %u, ",
		    (unsigned long long)l->bucket.rate, (unsigned)l->bucket.unit_s,
		    (unsigned)l->bucket.burst);
	buf_printf(out, "\"deny\": %u, \"first\": %u, \"next\": %u}", (unsigned)l->deny,
	    (unsigned)l->first, (unsigned)l->next);
}

static void
json_rule(struct buf *out, const struct table_rule_chain *chain)
{
	buf_printf(out, "{\"number\": %u, \"action\": \"%s\", \"log\": %s, ",
	    (unsigned)chain->number, action_name(chain->action),
	    chain->log ? "true" : "false");
	buf_printf(out, "\"direction\": \"%s\", \"phase\": \"%s\", ",
	    direction_name(chain->dir), phase_name(chain->phase));
	buf_add_cstr(out, "\"kind\": ");
	buf_add_json(out, str_from(chain->policy_kind));
	buf_add_cstr(out, ", \"namespace\": ");
	buf_add_json(out, chain->namespace_path);
	buf_add_cstr(out, ", \"policy\": ");
	buf_add_json(out, chain->policy);
	buf_add_cstr(out, ", \"rule\": ");
	buf_add_json(out, chain->rule_name);
	buf_printf(out, ", \"index\": %u, \"isolation\": %s, \"comment\": ",
	    (unsigned)chain->rule_index, chain->isolation ? "true" : "false");
	buf_add_json(out, str_from(chain->comment));
	json_limit(out, &chain->limit);
	json_loc(out, chain->loc);
	buf_add_char(out, '}');
}

/* "," before every item but the first, then a new line with the item's indent. */
static void
json_next(struct buf *out, size_t index, const char *indent)
{
	buf_printf(out, "%s\n%s", index != 0 ? "," : "", indent);
}

void
table_print_json(struct buf *out, const struct table_content *content)
{
	buf_add_cstr(out, "{\n  \"sets\": {");
	for (size_t i = 0; i < SET_COUNT; i++) {
		json_next(out, i, "    ");
		buf_printf(out, "\"%s\": [", table_sets[i].name);
		for (size_t j = 0; j < content->element_count[i]; j++) {
			json_next(out, j, "      ");
			json_element(out, &table_sets[i], &content->elements[i][j]);
		}
		buf_add_char(out, ']');
	}
	buf_add_cstr(out, "\n  },\n  \"rules\": [");
	for (size_t i = 0; i < content->rule_chain_count; i++) {
		json_next(out, i, "    ");
		json_rule(out, &content->rule_chains[i]);
	}
	buf_add_cstr(out, "]\n}\n");
}
