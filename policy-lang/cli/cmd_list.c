/*
 * `ringfence list`: every allowed connection, pair by pair or in groups.
 */
#include <stdio.h>
#include <string.h>

#include "policy-lang/cli/form.h"
#include "policy-lang/connectivity/connectivity_exposure.h"
#include "policy-lang/connectivity/connectivity_focus.h"
#include "policy-lang/connectivity/connectivity_group.h"
#include "policy-lang/explain/route_list.h"

/* Above so many pairs groups are told unless pairs are asked for. */
#define LIST_PAIRS_MAX 1000000u
#define FLUSH_BYTES    (64u * 1024)

/* Texts of an option that may be given again. */
struct texts {
	const char *items[64];
	size_t count;
};

struct list_args {
	struct form form;
	bool exposure, routes;
	struct texts focus, peers, namespaces, ports;
	const char *direction;
};

/* ---- printing ---- */

struct printing {
	const struct cli *cli;
	struct buf text;
	bool any, failed;
};

static void
print_pair(void *ctx, const struct conn_end *src, const struct conn_end *dst,
    const struct conn_set *set)
{
	struct printing *p = ctx;

	if (p->failed)
		return;
	connectivity_print_line(
	    &p->text, form_format(p->cli), !p->any, src->display, dst->display, set);
	p->any = true;
	if (p->text.len >= FLUSH_BYTES)
		p->failed = !cli_write(p->cli, &p->text);
}

static bool
print_pairs(const struct cli *cli, const struct conn_relation *relation)
{
	struct printing p = {.cli = cli};

	connectivity_print_head(&p.text, form_format(cli));
	conn_relation_pairs(relation, print_pair, &p);
	connectivity_print_tail(&p.text, form_format(cli));
	if (!p.failed)
		p.failed = !cli_write(cli, &p.text);
	buf_free(&p.text);
	return !p.failed;
}

static bool
print_groups(const struct cli *cli, const struct conn_relation *relation)
{
	struct conn_groups groups;
	struct buf text = {0};
	bool ok;

	conn_groups_make(relation, NULL, &groups);
	connectivity_print_groups(&text, &groups, form_format(cli));
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok;
}

static bool
print(const struct cli *cli, const struct conn_relation *relation)
{
	const struct list_args *args = cli->args;
	uint64_t pairs;

	if (args->form.ends == FORM_GROUPS)
		return print_groups(cli, relation);
	if (args->form.ends == FORM_PAIRS)
		return print_pairs(cli, relation);
	pairs = conn_relation_pair_count(relation);
	if (pairs <= LIST_PAIRS_MAX)
		return print_pairs(cli, relation);
	(void)fprintf(stderr,
	    "ringfence list: %llu connections, told in groups; --pairs tells each\n",
	    (unsigned long long)pairs);
	return print_groups(cli, relation);
}

static bool
print_exposure(
    const struct cli *cli, struct conn_world *world, const struct conn_focus *focus)
{
	struct buf text = {0};
	bool *want = NULL;
	bool ok;

	if (focus->some) {
		want = ARENA_ARRAY(cli->arena, world->party_count, bool);
		for (uint32_t i = 0; i < world->party_count; i++)
			want[i] = conn_focus_has(focus, i);
	}
	conn_exposure_print(&text, world, want, form_format(cli));
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok;
}

/* ---- focus ---- */

typedef bool focus_fn(struct conn_focus *focus, struct str text, struct buf *why);

static bool
add_focus(struct conn_focus *focus, struct str text, struct buf *why)
{
	return conn_focus_add(focus, text, false, why);
}

static bool
add_peer(struct conn_focus *focus, struct str text, struct buf *why)
{
	return conn_focus_add(focus, text, true, why);
}

/* Each text is names with commas between. */
static bool
each_name(struct cli *cli, struct conn_focus *focus, const struct texts *texts,
    const char *option, focus_fn *add)
{
	for (size_t i = 0; i < texts->count; i++) {
		struct str rest = str_from(texts->items[i]);
		struct buf why = {0};

		while (rest.ptr != NULL) {
			struct str name = str_trim(str_split(&rest, ','));

			if (add(focus, name, &why))
				continue;
			(void)cli_fail(cli, "--%s: %s", option, why.data);
			buf_free(&why);
			return false;
		}
		buf_free(&why);
	}
	return true;
}

static bool
read_focus(struct cli *cli, struct conn_focus *focus)
{
	const struct list_args *args = cli->args;

	if (args->direction != NULL)
		focus->not [strcmp(args->direction, "egress") == 0 ? DIR_INGRESS
								   : DIR_EGRESS] = true;
	if (!each_name(cli, focus, &args->focus, "focus", add_focus) ||
	    !each_name(cli, focus, &args->peers, "focus-peer", add_peer) ||
	    !each_name(
		cli, focus, &args->namespaces, "namespace", conn_focus_add_namespace) ||
	    !each_name(cli, focus, &args->ports, "port", conn_focus_port))
		return false;
	if (!focus->some && (args->direction != NULL || focus->some_peer)) {
		(void)cli_fail(cli,
		    "--focus-direction and --focus-peer go with --focus or "
		    "--namespace");
		return false;
	}
	return true;
}

/* ---- routes ---- */

/* The one namespace that is asked about; NULL and true: all. */
static bool
find_namespace(struct cli *cli, const struct texts *names, const struct ns **out)
{
	struct str name = {0};

	*out = NULL;
	if (names->count == 0)
		return true;
	name = str_from(names->items[0]);
	*out = model_ns(cli->model, name);
	if (*out == NULL) {
		const struct kube_ns *kube = model_kube_ns(cli->model, STR(""), name);

		*out = kube != NULL ? kube->ns : NULL;
	}
	if (*out == NULL)
		(void)cli_fail(
		    cli, "--namespace: there is no namespace \"%.*s\"", STR_ARG(name));
	return *out != NULL;
}

static int
list_routes(struct cli *cli)
{
	const struct list_args *args = cli->args;
	const struct ns *within;
	struct buf text = {0};
	bool ok;

	if (form_format(cli) == CONNECTIVITY_DOT)
		return cli_fail(cli, "--routes is told as txt, json, csv or md");
	if (args->exposure || args->focus.count > 0 || args->peers.count > 0 ||
	    args->ports.count > 0 || args->direction != NULL ||
	    args->namespaces.count > 1)
		return cli_fail(
		    cli, "--routes goes with one --namespace, and no other choice");
	if (!cli_load(cli) || !find_namespace(cli, &args->namespaces, &within))
		return CLI_ERROR;
	route_list_print(&text, cli->model, within, form_format(cli));
	ok = cli_write(cli, &text);
	buf_free(&text);
	return ok ? CLI_OK : CLI_ERROR;
}

/* A node can be in focus only if nodes are ends. */
static bool
names_node(const struct texts *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		struct str rest = str_from(texts->items[i]);

		while (rest.ptr != NULL) {
			if (str_starts(str_trim(str_split(&rest, ',')), STR("node/")))
				return true;
		}
	}
	return false;
}

#define NAMED_RULES_MAX 20 /* that are told one by one */

/* "  allow: Policy /acme/pay rule 0 (a.yaml:7:9): api.cards.example, *.example.org" */
static void
say_named_rule(struct arena *a, struct buf *out, const struct rule *rule)
{
	const char *between = ": ";

	buf_printf(out, "  %s: %s (%s)", action_name(rule->action), rule_title(a, rule),
	    loc_text(a, rule->loc));
	for (size_t i = 0; i < rule->peer_count; i++) {
		for (size_t j = 0; j < rule->peers[i].fqdn_count; j++) {
			buf_printf(
			    out, "%s%.*s", between, STR_ARG(rule->peers[i].fqdns[j]));
			between = ", ";
		}
	}
	buf_add_char(out, '\n');
}

static void
tell_named_rules(const struct cli *cli, size_t most)
{
	struct buf out = {0};
	size_t told = 0;

	for (size_t i = 0; i < cli->model->policy_count; i++) {
		for (unsigned k = 0; k < 3 * DIRECTION_COUNT; k++) {
			const struct rule_list *list =
			    policy_rules(cli->model->policies[i], (enum phase)(k % 3),
				(enum direction)(k / 3));

			for (size_t j = 0; j < list->count && told < most; j++) {
				if (!rule_has_names(&list->rules[j]))
					continue;
				say_named_rule(cli->arena, &out, &list->rules[j]);
				told++;
			}
		}
	}
	(void)fwrite(out.data, 1, out.len, stderr); /* nobody to tell */
	buf_free(&out);
}

/* What is not in the list, and may be allowed all the same. */
static void
tell_names(const struct cli *cli)
{
	size_t count = 0;

	for (size_t i = 0; i < cli->model->policy_count; i++)
		count += policy_rules_by_name(cli->model->policies[i]);
	if (count == 0)
		return;
	(void)fprintf(stderr,
	    "ringfence list: %zu rule%s by domain name, of which only a node knows the "
	    "addresses: what %s by name is not told\n",
	    count, count == 1 ? "" : "s", count == 1 ? "it allows" : "they allow");
	tell_named_rules(cli, NAMED_RULES_MAX);
	if (count > NAMED_RULES_MAX)
		(void)fprintf(stderr, "  and %zu more\n", count - NAMED_RULES_MAX);
}

static int
run(struct cli *cli)
{
	const struct list_args *args = cli->args;
	struct connectivity_options options = {
	    .family = cli->family,
	    .nodes = args->form.nodes || names_node(&args->focus) ||
		     names_node(&args->peers),
	};
	struct conn_pool pool;
	struct conn_world *world;
	struct conn_relation *relation;
	struct conn_focus focus;
	bool ok;

	if (args->routes)
		return list_routes(cli);
	if (args->exposure && form_format(cli) != CONNECTIVITY_TXT &&
	    form_format(cli) != CONNECTIVITY_JSON)
		return cli_fail(cli, "--exposure is told as txt or json");
	if (!cli_load(cli))
		return CLI_ERROR;
	tell_names(cli);
	conn_pool_init(&pool, cli->arena, conn_names_portless(cli->model));
	world = conn_world_new(cli->arena, cli->model, &options, &pool);
	conn_focus_init(&focus, world);
	ok = read_focus(cli, &focus);
	if (ok && args->exposure) {
		ok = print_exposure(cli, world, &focus);
	} else if (ok) {
		relation = conn_relation_new(world, false);
		conn_focus_apply(&focus, relation);
		ok = print(cli, relation);
		conn_relation_free(relation);
	}
	conn_focus_fini(&focus);
	conn_world_free(world);
	conn_pool_fini(&pool);
	return ok ? CLI_OK : CLI_ERROR;
}

/* ---- options ---- */

static bool
set_exposure(struct cli *cli, const char *arg UNUSED)
{
	((struct list_args *)cli->args)->exposure = true;
	return true;
}

static bool
set_routes(struct cli *cli, const char *arg UNUSED)
{
	((struct list_args *)cli->args)->routes = true;
	return true;
}

static bool
add_text(struct cli *cli, struct texts *texts, const char *arg)
{
	if (texts->count == ARRAY_LEN(texts->items)) {
		(void)cli_fail(cli, "an option is given more than %zu times",
		    ARRAY_LEN(texts->items));
		return false;
	}
	texts->items[texts->count++] = arg;
	return true;
}

static bool
set_focus(struct cli *cli, const char *arg)
{
	return add_text(cli, &((struct list_args *)cli->args)->focus, arg);
}

static bool
set_focus_peer(struct cli *cli, const char *arg)
{
	return add_text(cli, &((struct list_args *)cli->args)->peers, arg);
}

static bool
set_namespace(struct cli *cli, const char *arg)
{
	return add_text(cli, &((struct list_args *)cli->args)->namespaces, arg);
}

static bool
set_port(struct cli *cli, const char *arg)
{
	return add_text(cli, &((struct list_args *)cli->args)->ports, arg);
}

static bool
set_focus_direction(struct cli *cli, const char *arg)
{
	((struct list_args *)cli->args)->direction = arg;
	return true;
}

static const struct cli_option list_options[] = {
    {"exposure", NULL, "what workloads that do not exist yet could exchange with these",
	set_exposure},
    {"routes", NULL, "the rules of Routes, and what they do", set_routes},
    {"focus", "NAME[,NAME...]", "only lines with one of these ends", set_focus},
    {"namespace", "NAMESPACE[,...]", "only lines with an end at or below",
	set_namespace},
    {"focus-direction", "ingress|egress", "as their destination, or source, alone",
	set_focus_direction},
    {"focus-peer", "NAME[,NAME...]", "and only with these at the other end",
	set_focus_peer},
    {"port", "PORT/PROTO", "only connections with it, cut to it", set_port},
    {0},
};

const struct cli_command cmd_list = {
    .name = "list",
    .summary = "print every allowed connection",
    .usage = "[options] PATH...",
    .options = {cli_model_options, cli_family_options, form_options, list_options},
    .outputs = form_outputs,
    .paths_min = 1,
    .paths_max = CLI_PATHS_ANY,
    .args_size = sizeof(struct list_args),
    .run = run,
};
