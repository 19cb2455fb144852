/* Sources whose documents are not held until their stage, but read once more then: what they say
 * and what is told of them is the same, and told once. */
#include <check.h>
#include <string.h>

#include "policy-lang/live/live.h"
#include "policy-lang/table/table.h"

#define POD(name)                                                                      \
	"apiVersion: v1\nkind: Pod\nmetadata: { name: " name                           \
	", namespace: shop, labels: { app: " name " } }\nspec: { nodeName: n1 }\n"     \
	"status: { podIP: 10.1.0.1 }\n"
#define PLACED                                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: /a "   \
	"}\n"                                                                          \
	"spec: { kubernetes: { namespaces: [ shop ] } }\n"
#define NETPOL(name, peer)                                                             \
	"{ apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: { "        \
	"name: " name                                                                  \
	", namespace: shop }, spec: { podSelector: {}, ingress: [ { from: [ " peer     \
	" ] } ] } }"
#define GOOD "{ podSelector: { matchLabels: { app: b } } }"
#define POLICY                                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: p, "      \
	"namespace: /a }\nspec: { allow: { egress: [ { to: [ { external: card } ] } "  \
	"] "                                                                           \
	"} }\n"
#define CARD                                                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\nmetadata: { "      \
	"name: card, namespace: / }\nspec: { cidrs: [ 192.0.2.0/24 ] }\n"
#define OTHER       "apiVersion: v1\nkind: Secret\nmetadata: { name: s }\n"
#define LIST(items) "apiVersion: v1\nkind: List\nitems: [ " items " ]\n"
#define DOC         "---\n"

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
}

static void
teardown(void)
{
	arena_free(arena);
}

/* How often each source was read. */
struct seen {
	const struct bundle *bundle;
	unsigned times[4];
};

static void
has_read(void *ctx, const struct source *source)
{
	struct seen *seen = ctx;

	seen->times[source - seen->bundle->sources]++;
}

/* Everything that is told, and the node's table. */
static const char *
load(const struct bundle *bundle, const struct load_reading *reading)
{
	static const struct compile_options options = {.node = {"n1", 2}};
	struct diag_list diags;
	struct live *live;
	struct buf out = {0};
	const char *text;

	diag_list_init(&diags, arena);
	live = live_load(arena, bundle, NULL, reading, &diags);
	diag_sort(&diags);
	buf_printf(&out, "%u %u\n", diags.errors, diags.warnings);
	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		buf_printf(
		    &out, "%s: %s [%s]\n", loc_text(arena, d->loc), d->msg, d->code);
	if (live != NULL) {
		struct table_content content;

		ck_assert(
		    compile_node(arena, live_model(live), &options, &diags, &content));
		table_print_json(&out, &content);
	}
	live_free(live);
	text = arena_strndup(arena, out.data, out.len);
	buf_free(&out);
	return text;
}

static const struct {
	const char *texts[4];
	unsigned stages; /* that the first has objects of, beside pods' */
} cases[] = {
    {{POD("a"), POD("b"), PLACED, NETPOL("n", GOOD)}, 0},
    {{PLACED DOC POD("a") DOC OTHER DOC POLICY DOC CARD}, 3},
    {{LIST(NETPOL("n", GOOD) ", " NETPOL("m", GOOD)), PLACED, POD("b")}, 1},
    /* Mistakes of objects, the same name twice, a name that nobody has. */
    {{NETPOL("n", "{ ipBlock: { cidr: nonsense } }"), POD("a")}, 1},
    {{NETPOL("n", GOOD), NETPOL("n", GOOD), POLICY}, 1},
    /* Mistakes of documents: what stands before them counts. */
    {{NETPOL("n", GOOD) "\n" DOC "kind: [\n", POD("b")}, 1},
    {{LIST(NETPOL("n", GOOD) ", 7") DOC OTHER, OTHER}, 1},
    {{NETPOL("n", GOOD) "\n" DOC
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolice\n" DOC
			"yes: 1\n"},
	1},
};

START_TEST(what_is_read_again_says_the_same)
{
	struct source sources[4];
	struct bundle bundle = {.sources = sources};
	struct seen seen = {.bundle = &bundle};
	const struct load_reading reading = {.has_read = has_read, .ctx = &seen};
	const char *held, *again;

	for (size_t i = 0; i < 4 && cases[_i].texts[i] != NULL; i++)
		sources[bundle.count++] =
		    (struct source){str_from(arena_printf(arena, "%zu", i)),
			str_from(cases[_i].texts[i])};
	held = load(&bundle, NULL);
	again = load(&bundle, &reading);
	ck_assert_str_eq(again, held);
	ck_assert_uint_eq(seen.times[0], 1 + cases[_i].stages);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("load, again");
	TCase *tcase = tcase_create("sources");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(
	    tcase, what_is_read_again_says_the_same, 0, (int)ARRAY_LEN(cases));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
