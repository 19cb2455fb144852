#include "enforcer/client/client_flows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/client/client_print.h"
#include "enforcer/client/client_record.h"
#include "enforcer/client/client_yaml.h"

/* "/acme/shop/db 10.1.0.2:5432"; an address has no name, or is a node, or what DNS said. */
static void
add_end(struct buf *out, const json_t *end)
{
	const char *address = record_text(end, "address");
	const json_t *port = json_object_get(end, "port");
	const char *workload = record_text(end, "workload");
	bool v6 = strchr(address, ':') != NULL;

	if (workload[0] != '\0') {
		record_add_path(out, record_text(end, "namespace"), workload);
		buf_add_char(out, ' ');
	} else if (record_text(end, "node")[0] != '\0') {
		buf_printf(out, "node/%s ", record_text(end, "node"));
	} else if (record_text(end, "name")[0] != '\0') {
		buf_printf(out, "%s ", record_text(end, "name"));
	}
	buf_printf(out, port != NULL && v6 ? "[%s]" : "%s", address);
	if (port != NULL)
		buf_printf(out, ":%lld", (long long)json_integer_value(port));
}

static void
add_policy(struct buf *out, const json_t *policy)
{
	const char *name = record_text(policy, "ruleName");
	const json_t *rule = json_object_get(policy, "rule");

	buf_printf(out, "%s ", record_text(policy, "kind"));
	record_add_path(
	    out, record_text(policy, "namespace"), record_text(policy, "name"));
	if (record_text(policy, "limit")[0] != '\0')
		buf_printf(out, " limit %s", record_text(policy, "limit"));
	else if (rule != NULL)
		buf_printf(out, " rule %lld", (long long)json_integer_value(rule));
	if (name[0] != '\0')
		buf_printf(out, " (%s)", name);
	if (record_text(policy, "file")[0] != '\0')
		buf_printf(out, ", %s:%lld", record_text(policy, "file"),
		    (long long)json_integer_value(json_object_get(policy, "line")));
}

static void
add_record(struct buf *out, const json_t *record)
{
	const json_t *policy = json_object_get(record, "policy");

	buf_printf(
	    out, "%s %s ", record_text(record, "time"), record_text(record, "verdict"));
	if (json_object_get(record, "src") != NULL) {
		buf_printf(out, "%s ", record_text(record, "direction"));
		add_end(out, json_object_get(record, "src"));
		buf_add_cstr(out, " > ");
		add_end(out, json_object_get(record, "dst"));
		buf_printf(out, " %s", record_text(record, "protocol"));
	} else {
		buf_add_cstr(out, "many flows");
	}
	buf_printf(out, " x%lld: %s",
	    (long long)json_integer_value(json_object_get(record, "count")),
	    record_text(record, "reason"));
	if (json_is_object(policy)) {
		buf_add_cstr(out, ", ");
		add_policy(out, policy);
	}
	buf_add_char(out, '\n');
}

/* ---- lines ---- */

static bool
write_text(struct str text)
{
	return fwrite(text.ptr, 1, text.len, stdout) == text.len;
}

/* As it came, for people, or as a document of YAML. */
static void
add_line(struct client_flows *f, struct buf *out, struct str line, json_t *record)
{
	bool readable =
	    json_is_object(record); /* what it says is better than nothing */

	if (readable && f->format == CLIENT_FORMAT_TEXT) {
		client_make_plain(record);
		add_record(out, record);
	} else if (readable && f->format == CLIENT_FORMAT_YAML) {
		buf_add_cstr(out, "---\n");
		client_yaml_add(out, record);
	} else {
		buf_add_str(out, line);
		buf_add_char(out, '\n');
	}
}

/* Prints it, or holds it in the place of the oldest. */
static bool
give(struct client_flows *f, struct buf *text)
{
	bool ok = true;

	if (f->held == NULL) {
		ok = write_text(buf_str(text));
		buf_free(text);
	} else if (f->most == 0) {
		buf_free(text);
	} else {
		buf_free(&f->held[f->next]);
		f->held[f->next] = *text;
		f->next = (f->next + 1) % f->most;
		f->count += f->count < f->most;
	}
	return ok;
}

/* Between what there was and what comes; of an earlier daemon an empty line. */
static bool
take_mark(struct client_flows *f, const json_t *mark)
{
	json_int_t engine, records, lost;

	f->place.known =
	    json_unpack((json_t *)(uintptr_t)mark, "{s:I, s:I, s:I}", "engine", &engine,
		"records", &records, "lost", &lost) == 0;
	if (f->place.known) {
		f->place.engine = (uint64_t)engine;
		f->place.records = (uint64_t)records;
		f->place.lost = (uint64_t)lost;
	}
	f->marked = true;
	return client_flows_end(f);
}

static void
count_line(struct client_flows *f)
{
	if (f->marked)
		f->place.records++;
	else
		f->told_before++;
}

static bool
take_line(struct client_flows *f, struct str line)
{
	json_t *record = json_loadb(line.ptr, line.len, 0, NULL);
	const char *why = client_error_of(record);
	struct buf text = {0};
	bool ok = why == NULL;

	if (why != NULL) {
		(void)snprintf(f->error, sizeof(f->error), "%s", why);
	} else if (line.len == 0 || json_object_get(record, "mark") != NULL) {
		ok = take_mark(f, json_object_get(record, "mark"));
	} else {
		count_line(f);
		if (!f->filter->any || client_filter_flow(f->filter, record)) {
			add_line(f, &text, line, record);
			ok = give(f, &text);
		}
	}
	json_decref(record);
	return ok;
}

void
client_flows_hold(struct client_flows *f, size_t most)
{
	f->held = xcalloc(most + 1, sizeof(*f->held));
	f->most = most;
}

bool
client_flows_take(struct client_flows *f, struct str data)
{
	bool ok = true;

	while (data.len != 0 && ok) {
		size_t end = str_find(data, '\n', 0);

		buf_add_str(&f->rest, str_slice(data, 0, end));
		if (end == data.len)
			break;
		data = str_slice(data, end + 1, data.len);
		ok = take_line(f, buf_str(&f->rest));
		buf_clear(&f->rest);
	}
	return ok && fflush(stdout) == 0;
}

/* What comes is printed at once from now on. */
static void
drop_held(struct client_flows *f)
{
	for (size_t i = 0; i < f->count; i++)
		buf_free(&f->held[i]);
	free(f->held);
	f->held = NULL;
	f->count = 0;
}

bool
client_flows_end(struct client_flows *f)
{
	size_t oldest = f->count < f->most ? 0 : f->next;
	bool ok = true;

	for (size_t i = 0; i < f->count && ok; i++)
		ok = write_text(buf_str(&f->held[(oldest + i) % f->most]));
	drop_held(f);
	return ok;
}

void
client_flows_restart(struct client_flows *f)
{
	drop_held(f);
	buf_clear(&f->rest);
	f->marked = false;
	f->told_before = 0;
}

void
client_flows_fini(struct client_flows *f)
{
	drop_held(f);
	buf_free(&f->rest);
}
