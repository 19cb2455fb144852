/*
 * What an API server says, decoded in pieces of every size.
 */
#include "enforcer/kube/kube_decode.h"

#include <check.h>
#include <string.h>

enum {
	NAMESPACES,
	NODES,
	PODS,
	POLICIES
};

struct heard {
	struct buf text; /* one line for each object */
	size_t most;     /* objects that are wanted */
};

static bool
hear(void *arg, const struct kube_object *o)
{
	static const char *const events[] = {
	    "listed", "added", "modified", "deleted", "bookmark", "error"};
	struct heard *h = arg;

	buf_printf(&h->text, "%s %.*s/%.*s@%llu%s %.*s\n", events[o->event],
	    STR_ARG(o->namespace), STR_ARG(o->name), (unsigned long long)o->version,
	    o->finished ? "!" : "", STR_ARG(o->text));
	return h->most == 0 || --h->most != 0;
}

/* "" if it was decoded to its end, else why not. */
static const char *
decode(size_t kind, bool watch, const char *text, size_t step, struct heard *h)
{
	struct kube_decode d;
	const size_t len = strlen(text);
	const char *why = "";
	bool ok = true;

	kube_decode_init(&d, &kube_kinds[kind], watch, hear, h);
	for (size_t at = 0; at < len && ok; at += step)
		ok = kube_decode_feed(&d, text + at, step < len - at ? step : len - at);
	if (!ok)
		why = d.why;
	else if (!kube_decode_complete(&d))
		why = "incomplete";
	else if (!watch)
		buf_printf(&h->text, "list@%llu %.*s\n", (unsigned long long)d.version,
		    STR_ARG(buf_str(&d.token)));
	kube_decode_free(&d);
	return why;
}

#define POD_HEAD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\""

static const struct {
	size_t kind;
	bool watch;
	const char *input, *output, *why;
} cases[] = {
    /* Of a pod only what policy depends on stays; lists are stepped through. */
    {PODS, false,
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":"
	"\"7\",\"continue\":\"abc=\",\"remainingItemCount\":3},\"items\":[ {"
	"\"metadata\":{\"name\":\"web\",\"uid\":\"u\",\"namespace\":\"shop\","
	"\"resourceVersion\":\"5\",\"labels\" : {\"a\":\"b\\u00e4\", \"c\":\"\"},"
	"\"managedFields\":[{\"x\":{\"name\":\"no\"}}],\"ownerReferences\":[{\"kind\":"
	"\"Set\",\"name\":\"s\",\"uid\":\"1\"}]},\"spec\":{\"nodeName\":\"n\","
	"\"volumes\":[[1,{}],true],\"hostNetwork\":true,\"containers\":[{\"env\":[],"
	"\"ports\":[{\"name\":\"p\",\"containerPort\":80}]},{\"image\":\"i\"},7,[8]]},"
	"\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"qosClass\":\"B\"}},"
	"{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"}}]}",
	"listed shop/web@5 " POD_HEAD
	",\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"labels\":{\"a\":"
	"\"b\\u00e4\", \"c\":\"\"},\"ownerReferences\":[{\"kind\":\"Set\",\"name\":"
	"\"s\"}]},\"spec\":{\"nodeName\":\"n\",\"hostNetwork\":true,\"containers\":[{"
	"\"ports\":[{\"name\":\"p\",\"containerPort\":80}]},{}]},\"status\":{\"podIP\":"
	"\"10.0.0.1\"}}\n"
	"listed n/x@0 " POD_HEAD ",\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"}}\n"
	"list@7 abc=\n",
	""},
    /* Of conditions the one that says whether it is ready. */
    {PODS, false,
	"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":["
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"status\":{\"conditions\":"
	"["
	"{\"type\":\"Initialized\",\"status\":\"True\"},{\"message\":\"\\\"type\\\":"
	"\\\"Ready\\\"\",\"type\":\"ContainersReady\",\"status\":\"False\"},"
	"{\"lastProbeTime\":null,\"status\" : \"False\",\"type\" : \"Ready\"},"
	"{\"type\":\"PodScheduled\",\"status\":\"True\"}]}},"
	"{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"},\"status\":{\"conditions\":"
	"["
	"{\"type\":\"Ready\",\"status\":\"True\"}],\"podIP\":\"10.0.0.1\"}},"
	"{\"metadata\":{\"name\":\"c\",\"namespace\":\"n\"},\"status\":{\"conditions\":"
	"["
	"{\"type\":\"Initialized\",\"status\":\"True\"}]}}]}",
	"listed n/a@0 " POD_HEAD ",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},"
	"\"status\":{\"conditions\":["
	"{\"status\":\"False\",\"type\":\"Ready\"}]}}\n"
	"listed n/b@0 " POD_HEAD ",\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"},"
	"\"status\":{\"conditions\":["
	"{\"type\":\"Ready\",\"status\":\"True\"}],\"podIP\":\"10.0.0.1\"}}\n"
	"listed n/c@0 " POD_HEAD ",\"metadata\":{\"name\":\"c\",\"namespace\":\"n\"},"
	"\"status\":{\"conditions\":["
	"]}}\n"
	"list@1 \n",
	""},
    /* The order of keys is nobody's to choose; an empty list may be null. */
    {NODES, false,
	"{\"items\":null,\"extra\":[{}],\"metadata\":{\"resourceVersion\":\"1\"}}",
	"list@1 \n", ""},
    /* What people wrote stays as they wrote it, but for what servers add. */
    {POLICIES, true,
	"{\"type\":\"ADDED\",\"object\":{\"kind\":\"NetworkPolicy\",\"metadata\":{"
	"\"name\":\"p\",\"namespace\":\"n\",\"resourceVersion\":\"9\",\"generation\":"
	"1,\"annotations\":{\"a\":\"b\",\"ringfence.dev/"
	"enforcement\":\"audit\"}},\"spec\":{\"podSelector\":{},\"odd\":[1.5e3,null]}}}"
	"\n"
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":"
	"\"12\"}}}\n"
	"{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"p\",\"namespace\":"
	"\"n\",\"resourceVersion\":\"13\"}}}\n",
	"added n/p@9 {\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":"
	"\"NetworkPolicy\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\","
	"\"annotations\":{\"ringfence.dev/enforcement\":\"audit\"}},\"spec\":{"
	"\"podSelector\":{},\"odd\":[1.5e3,null]}}\n"
	"bookmark /@12 {\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":"
	"\"NetworkPolicy\",\"metadata\":{}}\n"
	"deleted n/p@13 {\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":"
	"\"NetworkPolicy\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"}}\n",
	""},
    {PODS, true,
	"{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"p\",\"namespace\":"
	"\"n\",\"resourceVersion\":\"2\"},\"status\":{\"phase\":\"Succeeded\"}}}",
	"modified n/p@2! " POD_HEAD
	",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},\"status\":{}}\n",
	""},
    {PODS, true,
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"a\":[{}]}}",
	"error /@0 {\"kind\":\"Status\",\"code\":410,\"a\":[{}]}\n", ""},
    /* What is no list, no event, or no object of the kind. */
    {PODS, false, "{\"metadata\":{\"resourceVersion\":\"1\"}}", "", "neither a list"},
    {PODS, false, "{\"items\":[],\"metadata\":{\"resourceVersion\":\"x\"}}", "",
	"no number"},
    {PODS, false, "{\"items\":[],\"items\":[],\"metadata\":{}}", "", "twice"},
    {PODS, false, "{\"items\":[3],\"metadata\":{}}", "", "no object"},
    {PODS, false, "{\"items\":[{\"metadata\":{\"name\":\"a\"}}]}", "",
	"without a name"},
    {NODES, false, "{\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}]}",
	"", "without a name"},
    {NODES, false, "{\"items\":[{\"metadata\":{\"name\":\"a/b\"}}]}", "",
	"without a name"},
    {NODES, false, "{\"items\":[{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}]}", "",
	"metadata"},
    {NODES, false, "{\"items\":[{\"metadata\":{\"name\":{}}}]}", "", "metadata"},
    {NODES, false, "{\"items\":[{\"metadata\":[]}]}", "", "without a name"},
    {PODS, false, "{\"items\":[", "", "incomplete"},
    {PODS, false, "{\"items\":[}", "", "no JSON"},
    {PODS, false, "{} {}", "", "neither a list"},
    {PODS, true, "{\"object\":{\"metadata\":{}},\"type\":\"ADDED\"}", "", "neither"},
    {PODS, true, "{\"type\":\"SOMETHING\"}", "", "no known type"},
    {PODS, true, "{\"type\":\"ADDED\"}", "", "neither"},
    {PODS, true,
	"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"p\",\"namespace\":"
	"\"n\"}}}",
	"", "without a resourceVersion"},
};

START_TEST(decoded_is_the_same_in_pieces_of_every_size)
{
	const size_t len = strlen(cases[_i].input);

	for (size_t step = 1; step <= len; step += step < 40 ? 1 : 37) {
		struct heard h = {.most = 0};
		const char *why =
		    decode(cases[_i].kind, cases[_i].watch, cases[_i].input, step, &h);

		if (cases[_i].why[0] == '\0')
			ck_assert_str_eq(why, "");
		else
			ck_assert_msg(strstr(why, cases[_i].why) != NULL, "%s", why);
		if (cases[_i].why[0] == '\0')
			ck_assert_str_eq(h.text.data, cases[_i].output);
		buf_free(&h.text);
	}
}
END_TEST

START_TEST(nothing_follows_when_the_hearer_has_enough)
{
	struct heard h = {.most = 1};
	const char *why = decode(NODES, false,
	    "{\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"b\"}"
	    "}],"
	    "\"metadata\":{}}",
	    1000, &h);

	ck_assert_str_eq(why, "");
	ck_assert_ptr_nonnull(strstr(h.text.data, "/a@"));
	ck_assert_ptr_null(strstr(h.text.data, "/b@"));
	buf_free(&h.text);
}
END_TEST

START_TEST(object_is_refused_when_it_is_too_large)
{
	struct buf text = {0};
	struct heard h = {.most = 0};
	struct kube_decode d;

	buf_add_cstr(
	    &text, "{\"items\":[{\"metadata\":{\"name\":\"a\",\"labels\":{\"l\":\"");
	while (text.len <= KUBE_TEXT_BYTES)
		buf_add_cstr(&text, "0123456789012345678901234567890123456789");
	kube_decode_init(&d, &kube_kinds[NODES], false, hear, &h);
	ck_assert(!kube_decode_feed(&d, text.data, text.len));
	ck_assert_ptr_nonnull(strstr(d.why, "too large"));
	kube_decode_free(&d);
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kube_decode");
	TCase *tc = tcase_create("decode");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, decoded_is_the_same_in_pieces_of_every_size, 0, (int)ARRAY_LEN(cases));
	tcase_add_test(tc, nothing_follows_when_the_hearer_has_enough);
	tcase_add_test(tc, object_is_refused_when_it_is_too_large);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
