/*
 * ringfence-can-i: what Access says of one request, from policy files, and why. It asks no
 * server: scopes of tokens and the API server's own rules are left out.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/rights.h"
#include "common/bundle.h"
#include "policy-lang/load/load.h"

enum {
	EXIT_ALLOW = 0,
	EXIT_DENY = 1,
	EXIT_MISTAKE = 2,
};

#define GROUPS_MAX 256

static const char usage[] =
    "usage: ringfence can-i [options] PATH... -- VERB RESOURCE [NAME]\n"
    "       ringfence can-i [options] PATH... -- VERB /URL\n"
    "\n"
    "PATH: policy files, directories, - for standard input\n"
    "RESOURCE: as in Access documents: pods, pods/exec, deployments.apps\n"
    "\n"
    "  --as USER         who asks\n"
    "  --as-group GROUP  a group of his; may be repeated\n"
    "  -n NAMESPACE      the Kubernetes namespace; without it, cluster-scoped, or\n"
    "                    for list and watch: across namespaces\n"
    "  --explain         every rule that matches, in order, and what it does\n"
    "  -o text|json\n"
    "\n"
    "exit 0: allowed; 1: denied; 2: no answer\n";

static const struct option options[] = {
    {"as", required_argument, NULL, 'u'},
    {"as-group", required_argument, NULL, 'g'},
    {"namespace", required_argument, NULL, 'n'},
    {"explain", no_argument, NULL, 'e'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct question {
	struct arena *arena;
	struct str user;
	struct str groups[GROUPS_MAX];
	size_t group_count;
	struct request_info info;
	bool explain, json;
	struct model *model;
	struct access_levels levels;
};

/* ---- reading ---- */

static bool
load(struct question *q, char **paths, size_t count)
{
	const struct model_options model_options = {.default_deny = false};
	struct bundle bundle;
	struct diag_list diags;
	struct buf text = {NULL, 0, 0};
	bool ok;

	diag_list_init(&diags, q->arena);
	ok = bundle_read(q->arena, (const char *const *)paths, count, &diags, &bundle);
	ok = model_load(q->arena, &bundle, &model_options, &diags, &q->model) && ok;
	if (!ok) {
		diag_sort(&diags);
		diag_render(&text, &diags, DIAG_TEXT);
		fputs(text.data, stderr);
		buf_free(&text);
		return false;
	}
	access_levels_find(q->arena, q->model, &q->levels);
	return true;
}

/* RESOURCE[.GROUP][/SUBRESOURCE] */
static void
take_resource(struct request_info *info, const char *word, const char *name)
{
	struct str sub = str_from(word);
	struct str group = str_split(&sub, '/');

	info->is_resource = true;
	info->resource = str_split(&group, '.');
	info->api_group = group.ptr != NULL ? group : STR("");
	info->subresource = sub.ptr != NULL ? sub : STR("");
	if (name != NULL)
		info->name = str_from(name);
	/* As the API server has it: a namespace is in itself. */
	if (info->api_group.len == 0 && str_is(info->resource, "namespaces") &&
	    info->namespace.len == 0)
		info->namespace = info->name;
}

static bool
take_words(struct question *q, char **words, size_t count)
{
	bool is_path = count >= 2 && words[1][0] == '/';

	if (count < 2 || count > (is_path ? 2u : 3u) || words[0][0] == '\0' ||
	    words[1][0] == '\0')
		return false;
	q->info.verb = str_from(words[0]);
	if (is_path)
		q->info.path = str_from(words[1]);
	else
		take_resource(&q->info, words[1], count == 3 ? words[2] : NULL);
	request_info_derive(&q->info);
	return true;
}

/* ---- explaining ---- */

enum effect {
	EFFECT_DECIDES,
	EFFECT_PASSES, /* leaves the level to the next one */
	EFFECT_WOULD_PASS,
	EFFECT_PASSED,    /* not asked, because its level was left */
	EFFECT_OTHERWISE, /* would decide, but for the one that does */
	EFFECT_NOT_ASKED,
};

static const char *const effects[] = {
    [EFFECT_DECIDES] = "decides",
    [EFFECT_PASSES] = "passes on",
    [EFFECT_WOULD_PASS] = "would pass on otherwise",
    [EFFECT_PASSED] = "is not asked, its level was passed",
    [EFFECT_OTHERWISE] = "would decide otherwise",
    [EFFECT_NOT_ASKED] = "is not asked",
};

struct explanation {
	const struct question *q;
	struct buf *out;
	size_t count;
	bool decided, otherwise;
	const struct ns *left; /* the level that was passed ... */
	enum phase left_phase; /* ... in this phase */
};

static enum effect
effect_of(struct explanation *e, const struct access_match *m)
{
	if (e->left == m->level && e->left_phase == m->phase)
		return EFFECT_PASSED;
	if (m->rule->action == ACTION_PASS && !e->otherwise) {
		e->left = m->level;
		e->left_phase = m->phase;
		return e->decided ? EFFECT_WOULD_PASS : EFFECT_PASSES;
	}
	if (!e->decided) {
		e->decided = true;
		return EFFECT_DECIDES;
	}
	if (e->otherwise)
		return EFFECT_NOT_ASKED;
	e->otherwise = true;
	return EFFECT_OTHERWISE;
}

static void
explain_text(struct explanation *e, const struct access_match *m, enum effect effect)
{
	buf_printf(e->out, "  %-9s %-5s by Access %.*s/%.*s rule %u, %s: %s\n",
	    phase_name(m->phase), action_name(m->rule->action),
	    STR_ARG(m->level->depth == 0 ? STR("") : m->level->path),
	    STR_ARG(m->policy->name), m->rule->index,
	    loc_text(e->q->arena, m->rule->loc), effects[effect]);
}

static void
explain_json(struct explanation *e, const struct access_match *m, enum effect effect)
{
	buf_add_cstr(e->out, e->count == 0 ? "{\"level\":" : ",{\"level\":");
	buf_add_json(e->out, m->level->path);
	buf_add_cstr(e->out, ",\"name\":");
	buf_add_json(e->out, m->policy->name);
	buf_add_cstr(e->out, ",\"place\":");
	buf_add_json(e->out, str_from(loc_text(e->q->arena, m->rule->loc)));
	buf_printf(e->out,
	    ",\"phase\":\"%s\",\"rule\":%u,\"action\":\"%s\",\"effect\":\"%s\"}",
	    phase_name(m->phase), m->rule->index, action_name(m->rule->action),
	    effects[effect]);
}

static void
on_match(void *arg, const struct access_match *m)
{
	struct explanation *e = arg;
	enum effect effect = effect_of(e, m);

	if (e->q->json)
		explain_json(e, m, effect);
	else
		explain_text(e, m, effect);
	e->count++;
}

static void
explain_rules(const struct question *q, const struct access_subject *subject,
    const struct access_request *request, const struct access_verdict *v,
    struct buf *out)
{
	struct explanation e = {.q = q, .out = out};

	access_trace(v->level, subject, request, on_match, &e);
	if (e.count == 0 && !q->json)
		buf_add_cstr(out, "  no rule matches: denied\n");
}

/* Of a list across namespaces: where it is allowed. */
static void
explain_levels(const struct question *q, const struct rights *r, struct buf *out)
{
	uint8_t *allowed = ARENA_ARRAY(q->arena, q->levels.count, uint8_t);
	const struct access_request request = rights_question(&q->info);
	struct access_extent extent =
	    access_extent(&q->levels, &r->subject, &request, allowed);

	(void)extent;
	for (size_t i = 0; i < q->levels.count; i++) {
		struct str path = q->levels.levels[i]->path;

		if (i != 0 && allowed[i] == allowed[q->levels.above[i]])
			continue;
		if (!q->json) {
			buf_printf(out, "  %-5s at %.*s and below\n",
			    allowed[i] ? "allow" : "deny", STR_ARG(path));
			continue;
		}
		buf_add_cstr(out, i == 0 ? "{\"level\":" : ",{\"level\":");
		buf_add_json(out, path);
		buf_printf(out, ",\"allow\":%s}", allowed[i] ? "true" : "false");
	}
}

/* ---- answering ---- */

static const char *
why(const struct question *q, const struct access_verdict *v, bool across)
{
	if (q->info.is_discovery)
		return "discovery is open to everyone signed in";
	if (q->info.is_self_review)
		return "open to everyone signed in";
	if (across)
		return "each namespace is judged by itself, and only what is allowed "
		       "shown";
	if (v->policy == NULL)
		return "no rule matches";
	return arena_printf(q->arena, "Access %.*s/%.*s rule %u, %s",
	    STR_ARG(v->policy->level->depth == 0 ? STR("") : v->policy->level->path),
	    STR_ARG(v->policy->name), v->rule->index, loc_text(q->arena, v->rule->loc));
}

static void
answer_json(const struct question *q, const struct rights *r,
    const struct access_verdict *v, const struct access_request *asked, bool across,
    struct buf *out)
{
	buf_printf(out,
	    "{\"allow\":%s,\"filtered\":%s,\"why\":", v->allow ? "true" : "false",
	    across ? "true" : "false");
	buf_add_json(out, str_from(why(q, v, across)));
	buf_add_cstr(out, ",\"judgedAt\":");
	buf_add_json(out, v->level->path);
	if (q->explain) {
		buf_add_cstr(out, across ? ",\"levels\":[" : ",\"rules\":[");
		if (across)
			explain_levels(q, r, out);
		else
			explain_rules(q, &r->subject, asked, v, out);
		buf_add_char(out, ']');
	}
	buf_add_cstr(out, "}\n");
}

static void
answer_text(const struct question *q, const struct rights *r,
    const struct access_verdict *v, const struct access_request *asked, bool across,
    struct buf *out)
{
	buf_add_cstr(out, v->allow ? "allow\n" : "deny\n");
	if (!q->explain)
		return;
	buf_printf(out, "%s\n", why(q, v, across));
	if (!str_eq(asked->verb, q->info.verb))
		buf_printf(out,
		    "%.*s needs the right to %.*s too, whatever the method is\n",
		    STR_ARG(q->info.subresource), STR_ARG(asked->verb));
	if (across) {
		explain_levels(q, r, out);
	} else if (!q->info.is_discovery && !q->info.is_self_review) {
		buf_printf(out, "judged at %.*s; rules that match, in order:\n",
		    STR_ARG(v->level->path));
		explain_rules(q, &r->subject, asked, v, out);
	}
}

static int
answer(const struct question *q)
{
	const struct rights rights = {
	    .model = q->model,
	    .levels = &q->levels,
	    .subject = {q->user, q->groups, q->group_count},
	};
	struct buf out = {NULL, 0, 0};
	struct access_request asked;
	struct access_extent extent;
	struct access_verdict v =
	    rights_decide(&rights, &q->info, q->arena, &asked, &extent);
	bool across = extent.somewhere && !extent.everywhere;
	bool written;

	if (v.level == NULL) {
		fprintf(stderr, "ringfence can-i: no namespace has such a name: %.*s\n",
		    STR_ARG(q->info.namespace));
		return EXIT_MISTAKE;
	}
	(q->json ? answer_json : answer_text)(q, &rights, &v, &asked, across, &out);
	written =
	    fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
	buf_free(&out);
	if (!written) {
		perror("ringfence can-i");
		return EXIT_MISTAKE;
	}
	return v.allow ? EXIT_ALLOW : EXIT_DENY;
}

/* ---- options ---- */

static bool
take_option(struct question *q, int c)
{
	if (c == 'u') {
		q->user = str_from(optarg);
	} else if (c == 'g' && q->group_count < GROUPS_MAX - 1) {
		q->groups[q->group_count++] = str_from(optarg);
	} else if (c == 'n') {
		q->info.namespace = str_from(optarg);
	} else if (c == 'e') {
		q->explain = true;
	} else if (c == 'o' &&
		   (strcmp(optarg, "json") == 0 || strcmp(optarg, "text") == 0)) {
		q->json = optarg[0] == 'j';
	} else {
		return false;
	}
	return true;
}

static int
run(struct question *q, int argc, char **argv)
{
	int dashes = 0, c;

	while (dashes < argc && strcmp(argv[dashes], "--") != 0)
		dashes++;
	while ((c = getopt_long(dashes, argv, "n:o:h", options, NULL)) != -1) {
		if (c == 'h' || c == 'V') {
			fputs(c == 'h' ? usage
				       : "ringfence-can-i " RINGFENCE_VERSION "\n",
			    stdout);
			return EXIT_ALLOW;
		}
		if (!take_option(q, c)) {
			fputs(usage, stderr);
			return EXIT_MISTAKE;
		}
	}
	if (q->user.len == 0 && q->group_count == 0)
		fputs("ringfence can-i: who asks? (--as, --as-group)\n", stderr);
	if (dashes >= argc || optind >= dashes ||
	    (q->user.len == 0 && q->group_count == 0) ||
	    !take_words(q, argv + dashes + 1, (size_t)(argc - dashes - 1))) {
		fputs(usage, stderr);
		return EXIT_MISTAKE;
	}
	q->groups[q->group_count++] = STR("system:authenticated");
	if (!load(q, argv + optind, (size_t)(dashes - optind)))
		return EXIT_MISTAKE;
	return answer(q);
}

int
main(int argc, char **argv)
{
	static struct question q;
	int status;

	q.arena = arena_new();
	status = run(&q, argc, argv);
	arena_free(q.arena);
	return status;
}
