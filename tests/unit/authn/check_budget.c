/*
 * The ledger against an API server that commits, refuses and tells in any order: what exists is never
 * more than a limit allows, and in the end the ledger knows exactly what exists.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authn/budget/budget.h"
#include "common/bundle.h"
#include "policy-lang/load/load.h"

#define SECOND UINT64_C(1000000000)
#define HOLD   (90 * SECOND)

static struct arena *arena;
static struct model *model;
static struct budget_plan plan;
static struct budget_ledger *ledger;
static struct buf problem;

#define TREE                                                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"                        \
	"metadata: { name: /t/a }\nspec: { kubernetes: { namespaces: [a] } }\n---\n"   \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"                        \
	"metadata: { name: /t/b }\nspec: { kubernetes: { namespaces: [b] } }\n---\n"
#define QUOTA(name, at, objects)                                                       \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Quota\nmetadata: { name: " name     \
	", namespace: " at " }\nspec: { objects: { " objects " } }\n---\n"

static bool
load(const char *text)
{
	const struct model_options options = {.default_deny = false};
	struct source *source;
	struct diag_list diags;
	struct bundle bundle;

	arena = arena_new();
	source = ARENA_NEW(arena, struct source);
	source->name = STR("q.yaml");
	source->text = str_from(text);
	bundle = (struct bundle){source, 1};
	diag_list_init(&diags, arena);
	ck_assert(model_load(arena, &bundle, &options, &diags, &model));
	problem = (struct buf){NULL, 0, 0};
	return budget_plan_make(arena, model, &problem, &plan);
}

static void
make(const char *text)
{
	ck_assert_msg(load(text), "%.*s", (int)problem.len, problem.data);
	ledger = budget_ledger_new(model, &plan, HOLD);
}

static void
unmake(void)
{
	budget_ledger_free(ledger);
	ledger = NULL;
	buf_free(&problem);
	arena_free(arena);
}

static void
sync_all(monotime_t now)
{
	for (size_t i = 0; i < plan.kind_count; i++) {
		budget_ledger_list_begin(ledger, i);
		budget_ledger_list_end(ledger, i, now);
	}
}

static budget_sum_t
used_at(const char *path, const char *resource)
{
	size_t count;
	const struct budget_line *lines = budget_ledger_lines(ledger, &count);

	for (size_t i = 0; i < count; i++) {
		if (str_is(lines[i].quota->level->path, path) &&
		    str_is(lines[i].limit->resource, resource))
			return lines[i].used;
	}
	ck_abort_msg("no budget of %s at %s", resource, path);
}

/* ---- single steps ---- */

static struct budget_object
object_of(const char *namespace, const char *name, const char *uid, uint64_t version,
    const uint64_t *amounts)
{
	return (struct budget_object){.kind = 0,
	    .namespace = str_from(namespace),
	    .name = str_from(name),
	    .uid = str_from(uid),
	    .version = version,
	    .amounts = amounts};
}

static enum budget_verdict
ask(struct budget_object o, bool is_new, uint64_t now_s)
{
	struct budget_refusal refusal;

	return budget_ledger_admit(
	    ledger, &o, is_new, false, (monotime_t){now_s * SECOND}, &refusal);
}

static const uint64_t one[] = {1000}, two[] = {2000}, four[] = {4000};

START_TEST(nothing_is_admitted_before_it_is_known_what_exists)
{
	make(TREE QUOTA("q", "/t", "pods: 2"));
	ck_assert(ask(object_of("a", "x", "1", 0, one), true, 1) == BUDGET_UNKNOWN);
	sync_all((monotime_t){SECOND});
	ck_assert(ask(object_of("a", "x", "1", 0, one), true, 1) == BUDGET_FITS);
	unmake();
}
END_TEST

START_TEST(reservation_waits_for_its_time_and_for_the_watch)
{
	struct budget_object o;

	make(TREE QUOTA("q", "/t", "pods: 1"));
	sync_all((monotime_t){SECOND});
	ck_assert(ask(object_of("a", "x", "1", 0, one), true, 1) == BUDGET_FITS);
	ck_assert(ask(object_of("b", "y", "2", 0, one), true, 1) == BUDGET_FULL);
	/* The time is over, but the watch was silent: it may exist all the same. */
	budget_ledger_expire(ledger, (monotime_t){200 * SECOND});
	ck_assert(ask(object_of("b", "y", "2", 0, one), true, 200) == BUDGET_FULL);
	budget_ledger_heard(ledger, 0, (monotime_t){91 * SECOND});
	budget_ledger_expire(ledger, (monotime_t){200 * SECOND});
	ck_assert(ask(object_of("b", "y", "2", 0, one), true, 200) == BUDGET_FITS);
	/* Seen, it stays for good; gone, it makes room. */
	o = object_of("b", "y", "2", 7, one);
	budget_ledger_seen(ledger, &o);
	ck_assert_uint_eq(budget_ledger_reservations(ledger), 0);
	ck_assert(ask(object_of("a", "x", "3", 0, one), true, 201) == BUDGET_FULL);
	budget_ledger_gone(ledger, &o);
	ck_assert(ask(object_of("a", "x", "3", 0, one), true, 201) == BUDGET_FITS);
	unmake();
}
END_TEST

START_TEST(change_down_and_up_again_never_counts_less_than_either)
{
	struct budget_object o = object_of("a", "x", "1", 10, four);

	make(TREE QUOTA("q", "/t", "requests.cpu: 5"));
	sync_all((monotime_t){SECOND});
	budget_ledger_seen(ledger, &o);
	/* 4 -> 2 and 2 -> 4 are committed; then only the first is seen. */
	ck_assert(ask(object_of("a", "x", "1", 10, two), false, 1) == BUDGET_FITS);
	ck_assert(ask(object_of("a", "x", "1", 11, four), false, 1) == BUDGET_FITS);
	o = object_of("a", "x", "1", 11, two);
	budget_ledger_seen(ledger, &o);
	ck_assert(ask(object_of("b", "y", "2", 0, two), true, 1) == BUDGET_FULL);
	o = object_of("a", "x", "1", 12, four);
	budget_ledger_seen(ledger, &o);
	ck_assert_uint_eq(budget_ledger_reservations(ledger), 0);
	ck_assert(used_at("/t", "requests.cpu") == 4000);
	/* Based on what is past, it cannot be committed, and waits for nothing. */
	ck_assert(ask(object_of("a", "x", "1", 11, four), false, 1) == BUDGET_FITS);
	ck_assert_uint_eq(budget_ledger_reservations(ledger), 0);
	unmake();
}
END_TEST

START_TEST(shrinking_is_never_refused)
{
	struct budget_object o = object_of("a", "x", "1", 10, four);

	make(TREE QUOTA("q", "/t", "requests.cpu: 1"));
	sync_all((monotime_t){SECOND});
	budget_ledger_seen(ledger, &o);
	ck_assert(ask(object_of("a", "x", "1", 10, two), false, 1) == BUDGET_FITS);
	ck_assert(ask(object_of("b", "y", "2", 0, one), true, 1) == BUDGET_FULL);
	unmake();
}
END_TEST

START_TEST(refusal_names_the_limit_that_is_reached)
{
	struct budget_object o = object_of("a", "x", "1", 0, two);
	struct budget_refusal r;

	make(TREE QUOTA("low", "/t/a", "requests.cpu: 3")
		QUOTA("high", "/t", "requests.cpu: 2500m"));
	sync_all((monotime_t){SECOND});
	ck_assert(ask(o, true, 1) == BUDGET_FITS);
	o = object_of("a", "y", "2", 0, one);
	ck_assert(budget_ledger_admit(ledger, &o, true, false, (monotime_t){SECOND},
		      &r) == BUDGET_FULL);
	ck_assert(str_is(r.quota->name, "high"));
	ck_assert(r.used == 2000 && r.reserved == 2000 && r.requested == 1000);
	unmake();
}
END_TEST

START_TEST(another_policy_charges_everything_anew)
{
	struct budget_object o = object_of("a", "x", "1", 1, one);
	struct arena *first;

	make(TREE QUOTA("q", "/t/a", "pods: 5"));
	sync_all((monotime_t){SECOND});
	budget_ledger_seen(ledger, &o);
	ck_assert(ask(object_of("b", "y", "2", 0, one), true, 1) == BUDGET_FITS);
	first = arena;
	ck_assert(load(QUOTA("q", "/", "pods: 2")));
	budget_ledger_replace(ledger, model, &plan);
	arena_free(first);
	ck_assert(used_at("/", "pods") == 2000);
	ck_assert(ask(object_of("c", "z", "3", 0, one), true, 1) == BUDGET_FULL);
	budget_ledger_gone(ledger, &o);
	ck_assert(ask(object_of("c", "z", "3", 0, one), true, 1) == BUDGET_FITS);
	unmake();
}
END_TEST

START_TEST(relist_finds_what_is_gone)
{
	struct budget_object o = object_of("a", "x", "1", 1, one);

	make(TREE QUOTA("q", "/t", "pods: 5"));
	sync_all((monotime_t){SECOND});
	budget_ledger_seen(ledger, &o);
	o.name = STR("y");
	budget_ledger_seen(ledger, &o);
	ck_assert(used_at("/t", "pods") == 2000);
	budget_ledger_list_begin(ledger, 0);
	budget_ledger_seen(ledger, &o);
	budget_ledger_list_end(ledger, 0, (monotime_t){2 * SECOND});
	ck_assert(used_at("/t", "pods") == 1000);
	unmake();
}
END_TEST

/* ---- an API server ---- */

#define OBJECTS 6 /* names in each of two namespaces */
#define CALLS   8 /* admitted, not committed yet */
#define EVENTS  4096

struct server_object {
	bool exists;
	unsigned uid;
	uint64_t version, cpu;
};

struct server_call {
	bool open, is_new;
	size_t object;
	unsigned uid;
	uint64_t based, cpu, deadline_s;
};

struct server_event {
	size_t object;
	struct server_object state; /* exists: as it is now; else it is gone */
};

static struct server_object objects[2 * OBJECTS];
static struct server_call calls[CALLS];
static struct server_event events[EVENTS];
static size_t event_first, event_count;
static uint64_t next_version, now_s;
static unsigned next_uid, seed;

static unsigned
chance(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

static struct budget_object
named(
    size_t object, unsigned uid, uint64_t version, const uint64_t *amounts, char *text)
{
	(void)snprintf(text, 32, "%u", uid);
	return object_of(object < OBJECTS ? "a" : "b",
	    (const char *[]){"n0", "n1", "n2", "n3", "n4", "n5"}[object % OBJECTS],
	    text, version, amounts);
}

static void
publish(size_t object)
{
	ck_assert_uint_lt(event_count - event_first, EVENTS);
	events[event_count++ % EVENTS] = (struct server_event){object, objects[object]};
}

/* The ledger hears of the next event, sooner or later. */
static void
deliver(void)
{
	const struct server_event *e = &events[event_first++ % EVENTS];
	const uint64_t amounts[] = {e->state.cpu};
	char uid[32];
	struct budget_object o =
	    named(e->object, e->state.uid, e->state.version, amounts, uid);

	if (e->state.exists)
		budget_ledger_seen(ledger, &o);
	else
		budget_ledger_gone(ledger, &o);
}

/* A request comes; if the webhook agrees, it is committed later, or not at all. */
static void
begin_call(void)
{
	struct server_call *c = calls;
	const size_t object = chance(2 * OBJECTS);
	const struct server_object *o = &objects[object];
	uint64_t amounts[1];
	struct budget_object asked;
	char uid[32];

	while (c < calls + CALLS && c->open)
		c++;
	if (c == calls + CALLS)
		return;
	*c = (struct server_call){.is_new = !o->exists || chance(4) == 0,
	    .object = object,
	    .based = o->version,
	    .uid = o->uid,
	    .cpu = 250 * (1 + chance(8)),
	    .deadline_s = now_s + 60};
	if (c->is_new)
		c->uid = ++next_uid;
	amounts[0] = c->cpu;
	asked = named(object, c->uid, c->based, amounts, uid);
	c->open = ask(asked, c->is_new, now_s) == BUDGET_FITS;
}

static void
end_call(struct server_call *c)
{
	struct server_object *o = &objects[c->object];
	const bool stands =
	    c->is_new ? !o->exists
		      : o->exists && o->uid == c->uid && o->version == c->based;

	c->open = false;
	if (!stands || now_s > c->deadline_s || chance(5) == 0)
		return;
	*o = (struct server_object){true, c->uid, ++next_version, c->cpu};
	publish(c->object);
}

static void
delete_one(void)
{
	struct server_object *o = &objects[chance(2 * OBJECTS)];

	if (!o->exists)
		return;
	o->exists = false;
	o->version = ++next_version;
	publish((size_t)(o - objects));
}

static uint64_t
really_used(size_t from, size_t to)
{
	uint64_t sum = 0;

	for (size_t i = from; i < to; i++)
		sum += objects[i].exists ? objects[i].cpu : 0;
	return sum;
}

static void
step(void)
{
	switch (chance(8)) {
	case 0:
	case 1:
	case 2:
		begin_call();
		break;
	case 3:
	case 4: {
		struct server_call *c = &calls[chance(CALLS)];

		if (c->open)
			end_call(c);
		break;
	}
	case 5:
		delete_one();
		break;
	case 6:
		while (event_first != event_count && chance(3) != 0)
			deliver();
		break;
	default:
		now_s += chance(20);
		/* What was committed so far has come before the bookmark does. */
		if (event_first == event_count)
			budget_ledger_heard(ledger, 0, (monotime_t){now_s * SECOND});
		budget_ledger_expire(ledger, (monotime_t){now_s * SECOND});
		break;
	}
	ck_assert_uint_le(really_used(0, OBJECTS), 4000);
	ck_assert_uint_le(really_used(0, 2 * OBJECTS), 6000);
}

START_TEST(limits_hold_whatever_happens_in_whatever_order)
{
	const char *given = getenv("RINGFENCE_SEED");
	const unsigned begin =
	    given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
	uint64_t admitted = 0;

	printf("seed %u (RINGFENCE_SEED)\n", begin);
	for (unsigned run = 0; run < 40; run++) {
		seed = begin + run;
		memset(objects, 0, sizeof(objects));
		memset(calls, 0, sizeof(calls));
		event_first = event_count = 0;
		now_s = 1;
		make(TREE QUOTA("a", "/t/a", "requests.cpu: 4")
			QUOTA("t", "/t", "requests.cpu: 6"));
		sync_all((monotime_t){now_s * SECOND});
		for (unsigned i = 0; i < 3000; i++)
			step();
		for (size_t i = 0; i < CALLS; i++) {
			if (calls[i].open)
				end_call(&calls[i]);
		}
		while (event_first != event_count)
			deliver();
		budget_ledger_heard(ledger, 0, (monotime_t){(now_s + 100) * SECOND});
		budget_ledger_expire(ledger, (monotime_t){(now_s + 100) * SECOND});
		ck_assert_uint_eq(budget_ledger_reservations(ledger), 0);
		ck_assert(used_at("/t/a", "requests.cpu") == really_used(0, OBJECTS));
		ck_assert(used_at("/t", "requests.cpu") == really_used(0, 2 * OBJECTS));
		admitted += next_version;
		unmake();
	}
	ck_assert_uint_gt(admitted, 1000); /* something happened */
}
END_TEST

/* ---- names and amounts ---- */

static const struct {
	const char *name, *group, *resource; /* NULL: no budget is kept */
} names[] = {
    {"pods", "", "pods"},
    {"requests.cpu", "", "pods"},
    {"limits.memory", "", "pods"},
    {"memory", "", "pods"},
    {"hugepages-2Mi", "", "pods"},
    {"requests.nvidia.com/gpu", "", "pods"},
    {"requests.storage", "", "persistentvolumeclaims"},
    {"gold.storageclass.storage.k8s.io/requests.storage", "", "persistentvolumeclaims"},
    {"services.nodeports", "", "services"},
    {"count/deployments.apps", "apps", "deployments"},
    {"count/widgets.example.org", "example.org", "widgets"},
    {"count/pods", "", "pods"},
    {"podz", NULL, NULL},
    {"deployments.apps", NULL, NULL},
};

START_TEST(names_mean_what_resource_quotas_mean)
{
	char text[256];
	bool ok;

	(void)snprintf(
	    text, sizeof(text), QUOTA("q", "/t", "\"%s\": 1"), names[_i].name);
	ok = load(text);
	ck_assert(ok == (names[_i].resource != NULL));
	if (ok) {
		ck_assert_uint_eq(plan.kind_count, 1);
		ck_assert(str_eq(plan.kinds[0].group, str_from(names[_i].group)));
		ck_assert(str_is(plan.kinds[0].resource, names[_i].resource));
	} else {
		ck_assert_ptr_nonnull(memmem(problem.data, problem.len, "q.yaml:3", 8));
	}
	unmake();
}
END_TEST

#define CONTAINER(name, more) "{\"name\":\"" name "\"" more "}"
#define ASKS(list, what)      ",\"resources\":{\"" list "\":{" what "}}"

/* Worked out by hand from the rules of Kubernetes' documentation. */
static const struct {
	const char *key, *kind, *object;
	uint64_t milli; /* UINT64_MAX: cannot be read */
} measures[] = {
    {"pods", "pods", "{\"status\":{\"phase\":\"Running\"}}", 1000},
    {"pods", "pods", "{\"status\":{\"phase\":\"Succeeded\"}}", 0},
    {"count/pods", "pods", "{\"status\":{\"phase\":\"Failed\"}}", 1000},
    {"requests.cpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER(
	    "a", ASKS("requests", "\"cpu\":\"250m\"")) "," CONTAINER("b",
	    ASKS("requests", "\"cpu\":1")) "]}}",
	1250},
    /* init containers one after the other: the largest, if larger */
    {"cpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER("a",
	    ASKS("requests", "\"cpu\":\"1\"")) "],\"initContainers\":[" CONTAINER("i",
	    ASKS("requests", "\"cpu\":\"3\"")) "," CONTAINER("j",
	    ASKS("requests", "\"cpu\":\"2\"")) "]}}",
	3000},
    /* one that stays (1) is beside those after it (2+1) and beside the others (1+1) */
    {"requests.cpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER("a",
	    ASKS("requests", "\"cpu\":\"1\"")) "],\"initContainers\":[" CONTAINER("s",
	    ",\"restartPolicy\":\"Always\"" ASKS(
		"requests", "\"cpu\":\"1\"")) "," CONTAINER("i",
	    ASKS("requests", "\"cpu\":\"2\"")) "]}}",
	3000},
    {"requests.memory", "pods",
	"{\"spec\":{\"overhead\":{\"memory\":\"10Mi\"},\"containers\":[" CONTAINER(
	    "a", ASKS("requests", "\"memory\":\"0.5Gi\"")) "]}}",
	(UINT64_C(512) + 10) * 1024 * 1024 * 1000},
    {"limits.cpu", "pods",
	"{\"spec\":{\"overhead\":{\"cpu\":\"1\"},\"containers\":[" CONTAINER(
	    "a", "") "]}}",
	0},
    /* shrunk, but not yet by the kubelet */
    {"requests.cpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER("a",
	    ASKS("requests",
		"\"cpu\":\"1\"")) "]},"
				  "\"status\":{\"containerStatuses\":[" CONTAINER(
				      "a", ASKS("requests", "\"cpu\":\"2\"")) "]}}",
	2000},
    {"requests.nvidia.com/gpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER(
	    "a", ASKS("requests", "\"nvidia.com/gpu\":\"2\"")) "]}}",
	2000},
    {"requests.cpu", "pods",
	"{\"spec\":{\"containers\":[" CONTAINER(
	    "a", ASKS("requests", "\"cpu\":\"x\"")) "]}}",
	UINT64_MAX},
    {"requests.storage", "persistentvolumeclaims",
	"{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Ki\"}}}}", 1024000},
    {"gold.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims",
	"{\"spec\":{\"storageClassName\":\"gold\",\"resources\":{\"requests\":{"
	"\"storage\":\"2\"}}}}",
	2000},
    {"gold.storageclass.storage.k8s.io/persistentvolumeclaims",
	"persistentvolumeclaims", "{\"spec\":{\"storageClassName\":\"lead\"}}", 0},
    {"services.loadbalancers", "services", "{\"spec\":{\"type\":\"LoadBalancer\"}}",
	1000},
    {"services.nodeports", "services",
	"{\"spec\":{\"type\":\"LoadBalancer\",\"ports\":[{},{}]}}", 2000},
    {"services.nodeports", "services",
	"{\"spec\":{\"type\":\"LoadBalancer\",\"allocateLoadBalancerNodePorts\":false,"
	"\"ports\":[{\"nodePort\":30000},{}]}}",
	1000},
    {"services.nodeports", "services",
	"{\"spec\":{\"type\":\"NodePort\",\"ports\":[{}]}}", 1000},
};

START_TEST(objects_come_to_what_kubernetes_says)
{
	char text[256];
	uint64_t amount = 0;
	const char *why;
	json_t *object = json_loads(measures[_i].object, 0, NULL);

	ck_assert_ptr_nonnull(object);
	(void)snprintf(
	    text, sizeof(text), QUOTA("q", "/t", "\"%s\": 1"), measures[_i].key);
	ck_assert(load(text));
	ck_assert(str_is(plan.kinds[0].resource, measures[_i].kind));
	ck_assert(budget_measure(&plan, 0, object, &amount, &why) ==
		  (measures[_i].milli != UINT64_MAX));
	if (measures[_i].milli != UINT64_MAX)
		ck_assert_uint_eq(amount, measures[_i].milli);
	json_decref(object);
	unmake();
}
END_TEST

static const struct {
	uint64_t milli;
	const char *text;
} amounts[] = {
    {0, "0"}, {500, "500m"}, {64000, "64"}, {(UINT64_C(256) << 30) * 1000, "256Gi"},
    {(UINT64_C(3) << 20) * 1000, "3Mi"},
    {1024 * 1000, "1024"}, /* a count as much as bytes */
};

START_TEST(amounts_are_written_as_people_write_them)
{
	struct arena *a = arena_new();

	ck_assert_str_eq(budget_amount_text(a, amounts[_i].milli), amounts[_i].text);
	arena_free(a);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("budget");
	TCase *t = tcase_create("budget");
	SRunner *runner;
	int failed;

	tcase_add_test(t, nothing_is_admitted_before_it_is_known_what_exists);
	tcase_add_test(t, reservation_waits_for_its_time_and_for_the_watch);
	tcase_add_test(t, change_down_and_up_again_never_counts_less_than_either);
	tcase_add_test(t, shrinking_is_never_refused);
	tcase_add_test(t, refusal_names_the_limit_that_is_reached);
	tcase_add_test(t, another_policy_charges_everything_anew);
	tcase_add_test(t, relist_finds_what_is_gone);
	tcase_add_test(t, limits_hold_whatever_happens_in_whatever_order);
	tcase_add_loop_test(
	    t, names_mean_what_resource_quotas_mean, 0, (int)ARRAY_LEN(names));
	tcase_add_loop_test(
	    t, objects_come_to_what_kubernetes_says, 0, (int)ARRAY_LEN(measures));
	tcase_add_loop_test(
	    t, amounts_are_written_as_people_write_them, 0, (int)ARRAY_LEN(amounts));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
