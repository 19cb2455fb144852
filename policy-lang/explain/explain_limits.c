#include "policy-lang/explain/explain_limits.h"

#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/model/net_limit.h"

/* What of a workload is charged, in the order of the kernel. */
static const struct {
	enum net_limit kind;
	bool opens;         /* only who opens a connection */
	const char *before; /* around the workload's name */
	const char *after;
} charges[] = {
    {NETLIM_COUNT, true, "connections that ", " opens"},
    {NETLIM_RATE, true, "connections that ", " opens"},
    {NETLIM_OUT, false, "bytes that leave ", ""},
    {NETLIM_IN, false, "bytes that come to ", ""},
};

struct charge {
	size_t what; /* in charges */
	enum net_limit kind;
	const struct workload *workload;
	const struct ns *level;
	const struct quota *quota;
	const char *end; /* "src", "dst" */
};

typedef void (*charge_fn)(void *arg, const struct charge *charge);

/* Each limit, nearest first. */
static void
each_charge(
    const struct workload *w, const char *end, bool opens, charge_fn each, void *arg)
{
	for (size_t i = 0; w != NULL && i < ARRAY_LEN(charges); i++) {
		struct charge c = {
		    .what = i, .kind = charges[i].kind, .workload = w, .end = end};

		if (charges[i].opens && !opens)
			continue;
		for (c.level = net_limit_from(w->ns, c.kind); c.level != NULL;
		     c.level = net_limit_from(c.level->parent, c.kind)) {
			c.quota = net_limit_at(c.level, c.kind);
			each(arg, &c);
		}
	}
}

static const struct workload *
workload_of(const struct endpoint *end)
{
	return end->kind == ENDPOINT_WORKLOAD ? end->workload : NULL;
}

static void
each_of_flow(const struct flow *flow, charge_fn each, void *arg)
{
	const struct workload *src = workload_of(&flow->src);
	const struct workload *dst = workload_of(&flow->dst);

	if (src != NULL && src == dst)
		return; /* a workload to itself */
	each_charge(src, "src", true, each, arg);
	each_charge(dst, "dst", false, each, arg);
}

/* ---- text ---- */

/* As it is written. */
static void
print_amount(struct buf *out, const struct charge *c)
{
	uint64_t value = net_limit_value(c->quota, c->kind);
	const uint64_t milli = c->kind == NETLIM_RATE ? value % 1000 : 0;

	if (c->kind == NETLIM_RATE)
		value /= 1000;
	buf_printf(out, "%llu", (unsigned long long)value);
	if (milli != 0)
		buf_printf(out, ".%03u", (unsigned)milli);
}

struct text {
	struct arena *arena;
	struct buf *out;
	const struct workload *workload; /* of the last line; NULL: there is none */
	const char *before;
};

/* "  connections that shop/web[Pod] opens:", once for each. */
static void
print_heading(struct text *t, const struct charge *c)
{
	const struct endpoint end = {
	    .kind = ENDPOINT_WORKLOAD, .workload = c->workload};
	const char *before = charges[c->what].before;

	if (t->workload == NULL)
		buf_add_cstr(t->out, "limits, with all others there on its node:\n");
	if (t->workload == c->workload && str_is(str_from(before), t->before))
		return;
	t->workload = c->workload;
	t->before = before;
	buf_printf(t->out, "  %s", before);
	endpoint_print(t->out, &end);
	buf_printf(t->out, "%s:\n", charges[c->what].after);
}

/* "    connections 30 at /acme: Quota /acme/acme (q.yaml:12:3)" */
static void
print_charge(void *arg, const struct charge *c)
{
	struct text *t = arg;
	const struct str path = c->level->depth > 0 ? c->level->path : STR("");

	print_heading(t, c);
	buf_printf(t->out, "    %s ", net_limit_name(c->kind));
	print_amount(t->out, c);
	if (c->kind == NETLIM_RATE)
		buf_printf(t->out, " (burst %llu)",
		    (unsigned long long)net_limit_burst(c->quota));
	buf_printf(t->out, " at %.*s: Quota %.*s/%.*s (%s)\n", STR_ARG(c->level->path),
	    STR_ARG(path), STR_ARG(c->quota->name),
	    loc_text(t->arena, c->quota->network.loc[c->kind]));
}

void
explain_limits_text(struct arena *a, struct buf *out, const struct flow *flow)
{
	struct text t = {.arena = a, .out = out};

	each_of_flow(flow, print_charge, &t);
}

void
explain_limits_workload_text(struct arena *a, struct buf *out, const struct workload *w)
{
	struct text t = {.arena = a, .out = out};

	each_charge(w, "src", true, print_charge, &t);
}

/* ---- JSON ---- */

struct json {
	struct buf *out;
	bool some;
};

static void
add_charge(void *arg, const struct charge *c)
{
	struct json *j = arg;
	struct buf *out = j->out;
	const struct loc loc = c->quota->network.loc[c->kind];

	buf_add_cstr(out, j->some ? ",\n {" : ", \"limits\": [\n {");
	j->some = true;
	explain_json_member(out, "end", str_from(c->end));
	buf_add_cstr(out, ", ");
	explain_json_member(out, "limit", str_from(net_limit_name(c->kind)));
	buf_add_cstr(out, ", \"value\": ");
	print_amount(out, c);
	if (c->kind == NETLIM_RATE)
		buf_printf(out, ", \"burst\": %llu",
		    (unsigned long long)net_limit_burst(c->quota));
	buf_add_cstr(out, ", ");
	explain_json_member(out, "namespace", c->level->path);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "quota", c->quota->name);
	if (loc.source != NULL) {
		buf_add_cstr(out, ", ");
		explain_json_member(out, "file", loc.source->name);
		buf_printf(out, ", \"line\": %u, \"column\": %u", (unsigned)loc.line,
		    (unsigned)loc.col);
	}
	buf_add_char(out, '}');
}

static void
end_json(struct json *j)
{
	if (j->some)
		buf_add_char(j->out, ']');
}

void
explain_limits_json(struct buf *out, const struct flow *flow)
{
	struct json j = {.out = out};

	each_of_flow(flow, add_charge, &j);
	end_json(&j);
}

void
explain_limits_workload_json(struct buf *out, const struct workload *w)
{
	struct json j = {.out = out};

	each_charge(w, "src", true, add_charge, &j);
	end_json(&j);
}
