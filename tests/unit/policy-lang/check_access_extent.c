/*
 * Where a request would be allowed, over random trees, against one decision after another.
 */
#include <check.h>
#include <stdlib.h>

#include "policy-lang/evaluate/access.h"
#include "policy-lang/load/load.h"

#define PATHS 7

static const char *const paths[PATHS] = {
    "/", "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f"};

/* Kubernetes namespaces: k0 .. k6 stand at the paths (or elsewhere, once moved); `a` and
 * `e` are nobody's but by name; `x` has no place at all. */
static const char *const names[] = {
    "k0", "k1", "k2", "k3", "k4", "k5", "k6", "a", "e", "x"};

struct tree {
	struct arena *arena;
	struct model *model;
	struct access_levels levels;
};

static void
add_text(struct buf *text, unsigned rotate)
{
	static const char *const actions[] = {"allow", "deny", "pass"};

	for (size_t i = 0; i < PATHS; i++)
		buf_printf(text,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"
		    "metadata: { name: \"%s\" }\n"
		    "spec: { kubernetes: { namespaces: [k%zu] } }\n",
		    paths[i], (i + rotate) % PATHS);
	for (size_t i = 0; i < PATHS; i++) {
		if (rand() % 2)
			continue;
		buf_printf(text,
		    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Access\n"
		    "metadata: { name: doc, namespace: \"%s\" }\n"
		    "spec:\n  users: [%s]\n  %s:\n"
		    "    - { action: %s, verbs: [list], resources: [%s] }\n",
		    paths[i], rand() % 4 ? "ann" : "bob",
		    rand() % 3 ? "default" : "mandatory", actions[rand() % 3],
		    rand() % 4 ? "pods" : "secrets");
	}
}

static void
load(struct tree *p, unsigned rotate)
{
	const struct model_options options = {.default_deny = false};
	struct source *source;
	struct diag_list diags;
	struct bundle bundle;
	struct buf text = {NULL, 0, 0};

	p->arena = arena_new();
	add_text(&text, rotate);
	source = ARENA_NEW(p->arena, struct source);
	*source = (struct source){STR("test.yaml"), str_dup(p->arena, buf_str(&text))};
	buf_free(&text);
	bundle = (struct bundle){source, 1};
	diag_list_init(&diags, p->arena);
	ck_assert(model_load(p->arena, &bundle, &options, &diags, &p->model));
	access_levels_find(p->arena, p->model, &p->levels);
}

static const struct access_subject ann = {.user = {"ann", 3}};
static const struct access_request list_pods = {
    .is_resource = true, .verb = {"list", 4}, .resource = {"pods", 4}};

/* One bit for each namespace, in the order of `names`. */
static unsigned
allowed(const struct tree *p)
{
	struct access_request request = list_pods;
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		request.namespace = str_from(names[i]);
		if (access_decide(p->model, &ann, &request, STR("")).allow)
			bits |= 1u << i;
	}
	return bits;
}

static struct access_extent
extent_of(const struct tree *p)
{
	uint8_t scratch[PATHS];

	ck_assert_uint_le(p->levels.count, PATHS);
	return access_extent(&p->levels, &ann, &list_pods, scratch);
}

START_TEST(extent_is_the_sum_of_decisions)
{
	const char *seed_text = getenv("RINGFENCE_SEED");
	unsigned seed = seed_text != NULL ? (unsigned)atoi(seed_text) : 1;
	const unsigned all = (1u << ARRAY_LEN(names)) - 1;
	unsigned partial = 0, same = 0;

	srand(seed);
	for (int i = 0; i < 400; i++) {
		struct tree one, two;
		struct access_extent a, b;
		unsigned one_bits, two_bits;

		load(&one, 0);
		load(&two, rand() % 4 ? 0 : 1);
		a = extent_of(&one);
		b = extent_of(&two);
		one_bits = allowed(&one);
		two_bits = allowed(&two);
		ck_assert_msg(
		    a.somewhere == (one_bits != 0), "seed %u round %d", seed, i);
		ck_assert_msg(
		    a.everywhere == (one_bits == all), "seed %u round %d", seed, i);
		/* Equal digests: the same namespaces. Never taken for equal if they differ. */
		ck_assert_msg(a.digest != b.digest || one_bits == two_bits,
		    "seed %u round %d: %x %x", seed, i, one_bits, two_bits);
		partial += a.somewhere && !a.everywhere;
		same += a.digest == b.digest;
		arena_free(one.arena);
		arena_free(two.arena);
	}
	ck_assert_uint_gt(partial, 100);
	ck_assert_uint_gt(same, 20);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("access_extent");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, extent_is_the_sum_of_decisions);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
