#include "enforcer/client/client_filter.h"

#include <string.h>

#include "enforcer/client/client_record.h"
#include "enforcer/config/subtree.h"
#include "policy-lang/model/proto.h"

#define PORT_MOST 65535

/* ---- what options are given ---- */

bool
client_filter_end(struct client_end *set, const char *text)
{
	struct str s = str_from(text);
	struct ip_addr addr;

	*set = (struct client_end){.text = text};
	if (ip_prefix_parse(s, &set->network, NULL)) {
		set->is_network = true;
	} else if (ip_parse(s, &addr)) {
		set->network = (struct ip_prefix){addr, (uint8_t)ip_bits(addr.family)};
		set->is_network = true;
	} else {
		/* A path, a node, or a name without a slash. */
		return s.len != 0 &&
		       (s.ptr[0] == '/' ||
			   (str_starts(s, STR("node/")) && s.len > strlen("node/")) ||
			   str_find(s, '/', 0) == s.len);
	}
	return true;
}

bool
client_filter_port(struct client_filter *f, const char *text)
{
	struct str proto = str_from(text);
	struct str port = str_split(&proto, '/');
	uint64_t number;
	uint8_t parsed;

	if (str_to_u64(port, PORT_MOST, &number) && number != 0) {
		f->has_port = true;
		f->port = (uint16_t)number;
		if (proto.ptr == NULL)
			return true;
	} else if (proto.ptr == NULL) {
		proto = port;
	} else {
		return false;
	}
	if (!proto_parse(proto, &parsed))
		return false;
	(void)proto_name(parsed, f->protocol); /* as records have it */
	return true;
}

bool
client_filter_since(struct client_filter *f, const char *text, walltime_t now)
{
	uint64_t seconds;
	walltime_t since;

	if (duration_parse(str_from(text), &seconds))
		since.ns = now.ns - (int64_t)seconds * NS_PER_S;
	else if (!walltime_parse(text, &since))
		return false;
	(void)walltime_format(since, f->since); /* returns what it is given */
	return true;
}

/* ---- what answers say ---- */

static bool
is(const char *wanted, const char *text)
{
	return wanted == NULL || strcmp(wanted, text) == 0;
}

/* At or below a path of the tree, as people write it; "" is nowhere. */
static bool
is_below(const char *path, struct str top)
{
	while (top.len > 1 && top.ptr[top.len - 1] == '/')
		top.len--;
	return path[0] != '\0' && subtree_has(top, str_from(path));
}

static bool
is_policy(const char *wanted, const char *space, const char *name)
{
	struct buf path = {0};
	bool same;

	if (wanted[0] != '/')
		return strcmp(wanted, name) == 0;
	record_add_path(&path, space, name);
	same = str_is(buf_str(&path), wanted);
	buf_free(&path);
	return same;
}

/* Some text has it: the address, the place, the node, or a name that DNS told. */
static bool
is_end(const struct client_end *wanted, const json_t *end)
{
	const char *workload = record_text(end, "workload");
	struct ip_addr addr;
	struct buf path = {0};
	bool same;

	if (wanted->text == NULL)
		return true;
	if (end == NULL)
		return false;
	if (wanted->is_network)
		return ip_parse(str_from(record_text(end, "address")), &addr) &&
		       ip_in_prefix(&addr, &wanted->network);
	if (wanted->text[0] != '/') {
		buf_printf(&path, "node/%s", record_text(end, "node"));
		same = str_is(buf_str(&path), wanted->text) ||
		       strcmp(wanted->text, record_text(end, "name")) == 0 ||
		       strcmp(wanted->text, workload) == 0;
	} else {
		record_add_path(&path, record_text(end, "namespace"), workload);
		same =
		    workload[0] != '\0' && is_below(path.data, str_from(wanted->text));
	}
	buf_free(&path);
	return same;
}

static bool
is_port(const struct client_filter *f, const json_t *record)
{
	const json_t *port = json_object_get(json_object_get(record, "dst"), "port");

	return (f->protocol[0] == '\0' ||
		   is(f->protocol, record_text(record, "protocol"))) &&
	       (!f->has_port || (port != NULL && json_integer_value(port) == f->port));
}

bool
client_filter_flow(const struct client_filter *f, const json_t *record)
{
	const json_t *src = json_object_get(record, "src");
	const json_t *dst = json_object_get(record, "dst");
	const json_t *policy = json_object_get(record, "policy");

	if (!is(f->verdict, record_text(record, "verdict")) ||
	    !is(f->direction, record_text(record, "direction")) ||
	    !is_port(f, record) || !is_end(&f->from, src) || !is_end(&f->to, dst))
		return false;
	if (f->since[0] != '\0' && strcmp(record_text(record, "time"), f->since) < 0)
		return false; /* both of one form, in UTC */
	if (f->policy != NULL && !is_policy(f->policy, record_text(policy, "namespace"),
				     record_text(policy, "name")))
		return false;
	return f->space == NULL ||
	       is_below(record_text(src, "namespace"), str_from(f->space)) ||
	       is_below(record_text(dst, "namespace"), str_from(f->space));
}

bool
client_filter_rule(const struct client_filter *f, const json_t *rule)
{
	bool used = json_integer_value(json_object_get(rule, "packets")) != 0;

	if (!is(f->verdict, record_text(rule, "action")) ||
	    !is(f->direction, record_text(rule, "direction")) || (f->used && !used) ||
	    (f->unused && used))
		return false;
	if (f->policy != NULL && !is_policy(f->policy, record_text(rule, "namespace"),
				     record_text(rule, "policy")))
		return false;
	return f->space == NULL ||
	       is_below(record_text(rule, "namespace"), str_from(f->space));
}

json_t *
client_filter_rules(const struct client_filter *f, json_t *rules)
{
	json_t *wanted = json_array();
	json_t *rule;
	size_t i;

	json_array_foreach(rules, i, rule)
	{
		if (client_filter_rule(f, rule) && json_array_append(wanted, rule) != 0)
			base_die("out of memory");
	}
	return wanted;
}
