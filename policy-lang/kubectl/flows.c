/*
 * What nodes denied: asked of their enforcers, each by `kubectl exec` in its own pod, so that who
 * asks needs the right to do so and nothing listens for it.
 */
#include <stdio.h>
#include <string.h>

#include "policy-lang/flows/flowlog.h"
#include "policy-lang/kubectl/plugin.h"

#define ENFORCER_LABEL "app.kubernetes.io/name=ringfence-enforcer"
#define CONTAINER      "enforcer"
#define ADDRESSES_MAX  8
#define LAST_FLOWS     "1000"

struct pod {
	const char *node;
	struct ip_addr addresses[ADDRESSES_MAX];
	size_t count;
};

/* ---- pods ---- */

static void
add_address(struct pod *pod, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text != NULL && pod->count < ADDRESSES_MAX &&
	    ip_parse(str_from(text), &pod->addresses[pod->count]))
		pod->count++;
}

static bool
read_pod(struct plugin *p, const char *end, struct pod *out)
{
	const char *slash = strchr(end, '/');
	const char *path = arena_printf(p->arena, "/api/v1/namespaces/%.*s/pods/%s",
	    (int)(slash - end), end, slash + 1);
	const char *why, *node;
	json_t *pod = server_get(p, path, &why), *item;
	const json_t *status;
	size_t i;

	*out = (struct pod){.node = NULL};
	status = json_object_get(pod, "status");
	node = json_string_value(
	    json_object_get(json_object_get(pod, "spec"), "nodeName"));
	if (node != NULL)
		out->node = str_dup(p->arena, str_from(node)).ptr;
	add_address(out, json_object_get(status, "podIP"));
	json_array_foreach(json_object_get(status, "podIPs"), i, item)
	{
		add_address(out, json_object_get(item, "ip"));
	}
	if (pod == NULL)
		(void)plugin_fail("%s: %s", end, why);
	else if (node == NULL)
		(void)plugin_fail("%s is on no node yet", end);
	json_decref(pod);
	return out->node != NULL;
}

/* ---- enforcers ---- */

struct enforcers {
	struct plugin *p;
	const char **names;
	size_t count, cap;
};

static bool
take_enforcer(void *arg, json_t *object)
{
	struct enforcers *e = arg;
	const char *name = json_string_value(
	    json_object_get(json_object_get(object, "metadata"), "name"));

	if (name == NULL)
		return true;
	if (e->count == e->cap) {
		const char **more;

		e->cap = e->cap != 0 ? 2 * e->cap : 16;
		more = ARENA_ARRAY(e->p->arena, e->cap, const char *);
		if (e->count != 0)
			memcpy(more, e->names, e->count * sizeof(*more));
		e->names = more;
	}
	e->names[e->count++] = str_dup(e->p->arena, str_from(name)).ptr;
	return true;
}

/* Of one node, or (NULL) of all. */
static bool
find_enforcers(struct plugin *p, const char *node, struct enforcers *out)
{
	const char *path =
	    arena_printf(p->arena, "/api/v1/namespaces/%s/pods", p->enforcers);
	const char *query = arena_printf(p->arena, "&labelSelector=%s%s%s",
	    ENFORCER_LABEL, node != NULL ? "&fieldSelector=spec.nodeName=" : "",
	    node != NULL ? node : "");
	const char *why;

	*out = (struct enforcers){.p = p};
	if (!fetch_list(p, path, query, take_enforcer, out, &why))
		return plugin_fail("the enforcers' pods cannot be read: %s", why) == 0;
	if (out->count != 0)
		return true;
	if (node != NULL)
		return plugin_fail("there is no enforcer on %s in the namespace %s",
			   node, p->enforcers) == 0;
	return plugin_fail("there is no enforcer in the namespace %s", p->enforcers) ==
	       0;
}

/* `out` NULL: to where we write. */
static int
ask_enforcer(const struct plugin *p, const char *pod, const char *count, bool follow,
    struct buf *out)
{
	const char *words[16] = {"exec", "--namespace", p->enforcers, pod,
	    "--container", CONTAINER, "--", "ringfence-enforcer", "flows"};
	size_t n = 9;

	if (count != NULL) {
		words[n++] = "--count";
		words[n++] = count;
	}
	if (follow)
		words[n++] = "--follow";
	return call_kubectl(p, words, out, NULL);
}

/* ---- lines ---- */

static bool
is_of_pod(const struct pod *pod, const struct flowlog_end *end)
{
	for (size_t i = 0; i < pod->count && end->has_addr; i++) {
		if (ip_eq(&pod->addresses[i], &end->addr))
			return true;
	}
	return false;
}

/* Calls for each record of the pod; false from it ends. */
static void
each_record(struct arena *scratch, struct str text, const struct pod *pod,
    void (*each)(void *arg, struct str line, const struct flowlog_record *record),
    void *arg)
{
	while (text.ptr != NULL) {
		const struct str line = str_split(&text, '\n');
		struct flowlog_record record;
		const char *why;

		if (flowlog_read(scratch, FLOWLOG_RINGFENCE, line, &record, &why) !=
			FLOWLOG_RECORD ||
		    (!is_of_pod(pod, &record.src) && !is_of_pod(pod, &record.dst)))
			continue;
		each(arg, line, &record);
	}
}

static void
print_line(void *arg, struct str line, const struct flowlog_record *record)
{
	(void)arg;
	(void)record;
	(void)printf("%.*s\n", STR_ARG(line));
}

int
plugin_flows(struct plugin *p)
{
	bool bad = false, follow = plugin_take_flag(p, "--follow");
	const char *count = plugin_take_option(p, "--count", &bad);
	struct pod pod = {.node = NULL};
	struct enforcers enforcers;
	int status = 0;

	if (bad || p->word_count > 1)
		return plugin_fail("flows [POD] [--follow] [--count N]");
	if (follow && p->word_count == 0)
		return plugin_fail("--follow is of one node: name a pod that is on it");
	if (p->word_count == 1 && !read_pod(p, plugin_end(p, p->words[0]), &pod))
		return PLUGIN_ERROR;
	if (!find_enforcers(p, pod.node, &enforcers))
		return PLUGIN_ERROR;
	for (size_t i = 0; i < enforcers.count; i++) {
		const bool whole = follow || pod.node == NULL;
		struct buf text = {0};

		if (ask_enforcer(p, enforcers.names[i], count, follow,
			whole ? NULL : &text) != 0)
			status = PLUGIN_ERROR;
		else if (!whole)
			each_record(p->arena, buf_str(&text), &pod, print_line, NULL);
		buf_free(&text);
	}
	return status;
}

/* ---- the last one ---- */

struct last {
	struct arena *arena;
	const char *src, *dst, *port; /* NULL: none yet */
};

static const char *
end_word(struct arena *arena, const struct flowlog_end *end)
{
	char text[IP_TEXT_BYTES];

	if (end->name.len != 0)
		return str_dup(arena, end->name).ptr;
	return arena_printf(arena, "%s", ip_format(&end->addr, text));
}

static void
keep_denied(void *arg, struct str line, const struct flowlog_record *record)
{
	struct last *last = arg;
	char proto[8];

	(void)line;
	if (record->verdict != FLOWLOG_DENY)
		return;
	last->src = end_word(last->arena, &record->src);
	last->dst = end_word(last->arena, &record->dst);
	last->port =
	    proto_has_ports(record->proto)
		? arena_printf(last->arena, "%u/%s", record->port,
		      proto_name(record->proto, proto))
		: arena_printf(last->arena, "%s", proto_name(record->proto, proto));
}

bool
flows_last_denied(struct plugin *p, const char *name, const char **out_src,
    const char **out_dst, const char **out_port)
{
	const char *end = plugin_end(p, name);
	struct last last = {.arena = p->arena};
	struct enforcers enforcers;
	struct buf text = {0};
	struct pod pod;
	bool ok;

	if (strchr(end, '/') == NULL || end[0] == '/')
		return plugin_fail("%s is no pod", name) == 0;
	ok = read_pod(p, end, &pod) && find_enforcers(p, pod.node, &enforcers) &&
	     ask_enforcer(p, enforcers.names[0], LAST_FLOWS, false, &text) == 0;
	if (ok)
		each_record(p->arena, buf_str(&text), &pod, keep_denied, &last);
	buf_free(&text);
	if (ok && last.src == NULL)
		ok = plugin_fail(
			 "%s: %s has denied nothing of it lately", end, pod.node) == 0;
	if (ok)
		(void)fprintf(stderr, "the last denied: %s -> %s %s, on %s\n", last.src,
		    last.dst, last.port, pod.node);
	*out_src = last.src;
	*out_dst = last.dst;
	*out_port = last.port;
	return ok;
}
