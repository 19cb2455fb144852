/*
 * Patterns: what is said to be covered is allowed, request by request, over random rules; and
 * parts lie within the pattern.
 */
#include <check.h>
#include <stdlib.h>

#include "policy-lang/evaluate/access_pattern.h"
#include "policy-lang/load/load.h"

static const char *const verbs[] = {"get", "list", "create", "*"};
static const char *const groups[] = {"", "apps", "*"};
static const char *const resources[] = {"pods", "secrets", "*"};
static const char *const subresources[] = {"", "exec", "*"};
static const char *const names[] = {"a", "b", ""};
static const char *const entries[] = {
    "pods", "secrets", "pods/exec", "pods.apps", "*", "*/exec", "secrets.apps/exec"};
static const char *const urls[] = {"/x", "/x/*", "/x/y", "*", "/x/y/*"};
static const char *const actions[] = {"allow", "allow", "deny", "pass"};
static const char *const paths[] = {"/", "/a", "/a/b"};

#define PICK(array)         ((array)[(size_t)rand() % ARRAY_LEN(array)])
#define PICK_ALL_BUT(array) ((array)[(size_t)rand() % (ARRAY_LEN(array) - 1)])

static void
add_rules(struct buf *text, const char *phase)
{
	buf_printf(text, "  %s:\n", phase);
	for (int n = 1 + rand() % 3; n > 0; n--) {
		buf_printf(text, "    - { action: %s, verbs: [\"%s\", \"%s\"], ",
		    PICK(actions), PICK(verbs), PICK_ALL_BUT(verbs));
		if (rand() % 5 == 0)
			buf_printf(text, "nonResourceURLs: [\"%s\"] }\n", PICK(urls));
		else if (rand() % 4 == 0)
			buf_printf(text, "resources: [\"%s\"], resourceNames: [%s] }\n",
			    PICK(entries), PICK_ALL_BUT(names));
		else
			buf_printf(text, "resources: [\"%s\", \"%s\"] }\n",
			    PICK(entries), PICK(entries));
	}
}

static struct model *
load(struct arena *arena)
{
	const struct model_options options = {.default_deny = false};
	struct source *source = ARENA_NEW(arena, struct source);
	struct bundle bundle = {source, 1};
	struct buf text = {NULL, 0, 0}, problem = {NULL, 0, 0};
	struct diag_list diags;
	struct model *model;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		buf_printf(&text,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Access\n"
		    "metadata: { name: doc, namespace: \"%s\" }\n"
		    "spec:\n  users: [%s]\n",
		    paths[i], rand() % 4 ? "ann" : "bob");
		add_rules(&text, "default");
		if (rand() % 2)
			add_rules(&text, "mandatory");
	}
	buf_add_cstr(&text,
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
	    "metadata: { name: /a/b }\nspec: { kubernetes: { namespaces: [k] } }\n");
	*source = (struct source){STR("test.yaml"), str_dup(arena, buf_str(&text))};
	diag_list_init(&diags, arena);
	if (!model_load(arena, &bundle, &options, &diags, &model)) {
		diag_render(&problem, &diags, DIAG_TEXT);
		ck_abort_msg("%s\n%s", text.data, problem.data);
	}
	buf_free(&text);
	return model;
}

static const struct access_subject ann = {.user = {"ann", 3}};

static bool
matches(struct str pattern, const char *value)
{
	return str_is(pattern, "*") || str_is(pattern, value);
}

/* Calls for every request of the small world that is within the pattern; false as soon as
 * one is not allowed. */
static bool
all_allowed(const struct model *m, const struct access_pattern *p)
{
	for (size_t v = 0; v < ARRAY_LEN(verbs) - 1; v++)
		for (size_t g = 0; g < ARRAY_LEN(groups) - 1; g++)
			for (size_t r = 0; r < ARRAY_LEN(resources) - 1; r++)
				for (size_t s = 0; s < ARRAY_LEN(subresources) - 1; s++)
					for (size_t n = 0; n < ARRAY_LEN(names) - 1;
					     n++) {
						const struct access_request request = {
						    .is_resource = true,
						    .verb = str_from(verbs[v]),
						    .api_group = str_from(groups[g]),
						    .resource = str_from(resources[r]),
						    .subresource =
							str_from(subresources[s]),
						    .name = str_from(names[n]),
						    .namespace = STR("k"),
						};

						if (!matches(p->verb, verbs[v]) ||
						    !matches(p->api_group, groups[g]) ||
						    !matches(
							p->resource, resources[r]) ||
						    !matches(p->subresource,
							subresources[s]) ||
						    (p->name.len != 0 &&
							!str_is(p->name, names[n])))
							continue;
						if (!access_decide(
							m, &ann, &request, STR(""))
							 .allow)
							return false;
					}
	return true;
}

static bool
all_paths_allowed(const struct model *m, const struct access_pattern *p)
{
	static const char *const some[] = {"/x", "/x/y", "/x/y/z", "/x/w", "/q", "/xx"};

	for (size_t v = 0; v < ARRAY_LEN(verbs) - 1; v++) {
		for (size_t i = 0; i < ARRAY_LEN(some); i++) {
			const struct access_request request = {
			    .verb = str_from(verbs[v]), .path = str_from(some[i])};
			struct str path = p->path;
			bool within = str_is(path, some[i]);

			if (str_ends(path, STR("*")))
				within = str_starts(str_from(some[i]),
				    str_slice(path, 0, path.len - 1));
			if (within && matches(p->verb, verbs[v]) &&
			    !access_decide(m, &ann, &request, STR("")).allow)
				return false;
		}
	}
	return true;
}

struct parts {
	const struct model *m;
	const struct ns *level;
	const struct access_pattern *whole;
	unsigned covered;
};

static void
on_part(void *arg, const struct access_pattern *part)
{
	struct parts *parts = arg;
	const struct access_pattern *w = parts->whole;

	/* Within the whole: each dimension the same, or narrower. */
	ck_assert(str_is(w->verb, "*") || str_eq(w->verb, part->verb));
	ck_assert(str_is(w->api_group, "*") || str_eq(w->api_group, part->api_group));
	ck_assert(str_is(w->resource, "*") || str_eq(w->resource, part->resource));
	ck_assert(
	    str_is(w->subresource, "*") || str_eq(w->subresource, part->subresource));
	ck_assert(w->name.len == 0 || str_eq(w->name, part->name));
	if (access_covers(parts->level, &ann, part)) {
		parts->covered++;
		ck_assert(all_allowed(parts->m, part));
	}
}

static void
check_paths(const struct model *m)
{
	struct access_pattern p = {
	    .verb = str_from(PICK(verbs)), .path = str_from(PICK(urls))};

	if (access_covers(m->root, &ann, &p))
		ck_assert(all_paths_allowed(m, &p));
}

START_TEST(covered_is_allowed)
{
	const char *seed_text = getenv("RINGFENCE_SEED");
	unsigned seed = seed_text != NULL ? (unsigned)atoi(seed_text) : 1;
	unsigned covered = 0, missed = 0, parts_covered = 0;

	srand(seed);
	for (int i = 0; i < 1500; i++) {
		struct arena *arena = arena_new();
		struct model *m = load(arena);

		for (int n = 0; n < 20; n++) {
			struct access_pattern p = {
			    .is_resource = true,
			    .verb = str_from(PICK(verbs)),
			    .api_group = str_from(PICK(groups)),
			    .resource = str_from(PICK(resources)),
			    .subresource = str_from(PICK(subresources)),
			    .name = str_from(PICK(names)),
			};
			struct parts parts = {m, model_ns(m, STR("/a/b")), &p, 0};
			bool yes = access_covers(parts.level, &ann, &p);
			bool really = all_allowed(m, &p);

			ck_assert_msg(!yes || really, "seed %u round %d", seed, i);
			covered += yes;
			missed += really && !yes;
			access_parts(parts.level, &ann, &p, on_part, &parts);
			parts_covered += parts.covered;
			/* A single request is no approximation. */
			if (!str_is(p.verb, "*") && !str_is(p.api_group, "*") &&
			    !str_is(p.resource, "*") && !str_is(p.subresource, "*") &&
			    p.name.len != 0)
				ck_assert_int_eq(yes, really);
		}
		check_paths(m);
		arena_free(arena);
	}
	ck_assert_uint_gt(covered, 1000);
	ck_assert_uint_gt(parts_covered, 1000);
	ck_assert_uint_lt(missed, covered); /* useful, too */
}
END_TEST

START_TEST(resources_are_cut_as_rbac_writes_them)
{
	static const struct {
		const char *entry, *resource, *subresource;
	} cases[] = {{"pods", "pods", ""}, {"pods/exec", "pods", "exec"},
	    {"*", "*", "*"}, {"*/scale", "*", "scale"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct access_pattern p = {.is_resource = true};

		access_pattern_resource(&p, str_from(cases[i].entry));
		ck_assert(str_is(p.resource, cases[i].resource));
		ck_assert(str_is(p.subresource, cases[i].subresource));
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("access_pattern");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, covered_is_allowed);
	tcase_add_test(tc, resources_are_cut_as_rbac_writes_them);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
