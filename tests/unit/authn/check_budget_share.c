/*
 * What a ledger tells others of its reservations, and takes from them: as text, from a journal,
 * in time and too late.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "authn/budget/budget_journal.h"
#include "authn/budget/budget_record.h"
#include "authn/budget/resource_quota.h"

#define SECOND UINT64_C(1000000000)
#define HOLD   (90 * SECOND)

static const struct budget_kind kinds[] = {
    {{"apps", 4}, {"deployments", 11}}, {{"", 0}, {"pods", 4}}};
static const struct budget_key keys[] = {
    {{"count/deployments.apps", 22}, 0, MEASURE_COUNT, {"", 0}},
    {{"pods", 4}, 1, MEASURE_POD, {"", 0}},
    {{"requests.cpu", 12}, 1, MEASURE_POD_REQUEST, {"cpu", 3}},
};
static const struct budget_plan plan = {keys, 3, kinds, 2};
static const struct quota_object limits[] = {
    {{"count/deployments.apps", 22}, 9000}, {{"pods", 4}, 3000}};
static struct ns root = {.path = {"/", 1}};
static struct quota quota = {
    .name = {"q", 1}, .level = &root, .objects = limits, .object_count = 2};
static struct quota *quotas[] = {&quota};
static struct ns *namespaces[] = {&root};
static struct model model = {.root = &root, .namespaces = namespaces, .ns_count = 1};
static const uint64_t pod[] = {0, 1000, 250};

static struct budget_object
named(const char *name, const char *uid)
{
	return (struct budget_object){.kind = 1,
	    .namespace = STR("a"),
	    .name = str_from(name),
	    .uid = str_from(uid),
	    .amounts = pod};
}

static struct budget_ledger *
ledger_new(void)
{
	struct budget_ledger *l;

	root.quotas = quotas;
	root.quota_count = 1;
	l = budget_ledger_new(&model, &plan, HOLD);
	for (size_t i = 0; i < plan.kind_count; i++) {
		budget_ledger_list_begin(l, i);
		budget_ledger_list_end(l, i, monotime_now());
	}
	return l;
}

static enum budget_verdict
ask(struct budget_ledger *l, const char *name, const char *uid)
{
	const struct budget_object o = named(name, uid);
	struct budget_refusal refusal;

	return budget_ledger_admit(l, &o, true, false, monotime_now(), &refusal);
}

static budget_sum_t
used(const struct budget_ledger *l)
{
	size_t count;

	return budget_ledger_lines(l, &count)[1].used;
}

/* ---- text ---- */

START_TEST(reservation_is_the_same_as_text)
{
	const uint64_t amounts[] = {0, 18446744073709551615u, 7};
	struct budget_object o = named("x\"\n", "u-1"), got;
	struct buf text = {NULL, 0, 0};
	uint64_t read[3] = {1, 1, 1};
	json_t *json;
	bool is_new;

	o.version = 18446744073709551614u;
	o.amounts = amounts;
	budget_record_put(&text, &plan, &o, false);
	json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_int_eq(
	    budget_record_get(&plan, json, read, &got, &is_new), BUDGET_RECORD_OK);
	ck_assert(!is_new && got.kind == 1 && got.version == o.version);
	ck_assert(str_eq(got.namespace, o.namespace) && str_eq(got.name, o.name) &&
		  str_eq(got.uid, o.uid));
	ck_assert(memcmp(read, amounts, sizeof(amounts)) == 0);
	json_decref(json);
	buf_free(&text);
}
END_TEST

#define RECORD(group, rest)                                                            \
	"{\"group\":\"" group "\",\"resource\":\"pods\",\"namespace\":\"a\",\"name\":" \
	"\"x\",\"uid\":\"\"," rest "}"

static const struct {
	const char *text;
	enum budget_record_result result;
} records[] = {
    {RECORD("", "\"new\":true,\"version\":\"0\",\"amounts\":{\"pods\":\"1000\"}"),
	BUDGET_RECORD_OK},
    /* Another plan's: what it does not count is no matter. */
    {RECORD("", "\"new\":true,\"version\":\"0\",\"amounts\":{\"secrets\":\"1\"}"),
	BUDGET_RECORD_OK},
    {RECORD("x.y", "\"new\":true,\"version\":\"0\",\"amounts\":{}"),
	BUDGET_RECORD_OTHER},
    {RECORD("", "\"new\":1,\"version\":\"0\",\"amounts\":{}"), BUDGET_RECORD_MALFORMED},
    {RECORD("", "\"new\":true,\"version\":0,\"amounts\":{}"), BUDGET_RECORD_MALFORMED},
    {RECORD("", "\"new\":true,\"version\":\"-1\",\"amounts\":{}"),
	BUDGET_RECORD_MALFORMED},
    {RECORD("", "\"new\":true,\"version\":\"0\",\"amounts\":{\"pods\":1000}"),
	BUDGET_RECORD_MALFORMED},
    {RECORD("", "\"new\":true,\"version\":\"0\",\"amounts\":[]"),
	BUDGET_RECORD_MALFORMED},
    {"{}", BUDGET_RECORD_MALFORMED},
    {"[]", BUDGET_RECORD_MALFORMED},
};

START_TEST(text_of_others_is_read_with_care)
{
	json_t *json = json_loads(records[_i].text, JSON_REJECT_DUPLICATES, NULL);
	struct budget_object got;
	uint64_t amounts[3];
	bool is_new;

	ck_assert(json != NULL);
	ck_assert_int_eq(
	    budget_record_get(&plan, json, amounts, &got, &is_new), records[_i].result);
	json_decref(json);
}
END_TEST

/* ---- ledgers ---- */

struct heard {
	size_t count;
	char names[64];
};

static void
hear(void *arg, const struct budget_object *o, bool is_new, monotime_t expires)
{
	struct heard *h = arg;

	ck_assert(is_new && expires.ns > monotime_now().ns);
	ck_assert(str_is(o->namespace, "a") && o->kind == 1);
	ck_assert(memcmp(o->amounts, pod, sizeof(pod)) == 0);
	memcpy(h->names + h->count, o->name.ptr, 1);
	h->count++;
}

START_TEST(what_is_taken_back_makes_room)
{
	struct budget_ledger *l = ledger_new();
	struct heard h = {.count = 0};
	uint64_t mark;

	ck_assert(ask(l, "x", "1") == BUDGET_FITS);
	mark = budget_ledger_mark(l);
	ck_assert(ask(l, "y", "2") == BUDGET_FITS);
	ck_assert(ask(l, "z", "3") == BUDGET_FITS);
	ck_assert(ask(l, "w", "4") == BUDGET_FULL);
	budget_ledger_since(l, mark, hear, &h);
	ck_assert_uint_eq(h.count, 2);
	ck_assert_str_eq(h.names, "yz"); /* oldest first */
	budget_ledger_undo(l, mark);
	ck_assert(used(l) == 1000 && budget_ledger_reservations(l) == 1);
	ck_assert(ask(l, "w", "4") == BUDGET_FITS);
	budget_ledger_undo(l, 0);
	ck_assert(used(l) == 0 && budget_ledger_reservations(l) == 0);
	budget_ledger_free(l);
}
END_TEST

START_TEST(what_others_admitted_is_charged_until_it_is_seen)
{
	struct budget_ledger *l = ledger_new();
	const monotime_t until = {monotime_now().ns + HOLD};
	struct budget_object o = named("x", "1");

	budget_ledger_charge(l, &o, true, until);
	/* Heard of again, it is charged once. */
	budget_ledger_charge(l, &o, true, until);
	ck_assert(used(l) == 1000);
	ck_assert(ask(l, "y", "2") == BUDGET_FITS);
	ck_assert(ask(l, "z", "3") == BUDGET_FITS);
	ck_assert(ask(l, "w", "4") == BUDGET_FULL);
	/* More than there is room for is charged all the same: it may exist. */
	o = named("v", "5");
	budget_ledger_charge(l, &o, true, until);
	ck_assert(used(l) == 4000);
	o = named("x", "1");
	o.version = 7;
	budget_ledger_seen(l, &o);
	ck_assert(used(l) == 4000 && budget_ledger_reservations(l) == 3);
	/* Seen before it was heard of: it waits for nothing. */
	budget_ledger_charge(l, &o, true, until);
	ck_assert_uint_eq(budget_ledger_reservations(l), 3);
	budget_ledger_free(l);
}
END_TEST

START_TEST(doubt_ends_when_every_watch_was_heard)
{
	struct budget_ledger *l = ledger_new();
	const monotime_t now = {monotime_now().ns + SECOND};

	budget_ledger_doubt(l, now);
	ck_assert(!budget_ledger_synced(l));
	ck_assert(ask(l, "x", "1") == BUDGET_UNKNOWN);
	budget_ledger_heard(l, 0, now);
	ck_assert(ask(l, "x", "1") == BUDGET_UNKNOWN); /* of another kind */
	budget_ledger_heard(l, 1, now);
	ck_assert(budget_ledger_synced(l));
	ck_assert(ask(l, "x", "1") == BUDGET_FITS);
	budget_ledger_free(l);
}
END_TEST

/* ---- the journal ---- */

static int fds[BUDGET_JOURNAL_FILES];

static void
make_files(void)
{
	for (size_t i = 0; i < BUDGET_JOURNAL_FILES; i++) {
		fds[i] = memfd_create("journal", MFD_CLOEXEC);
		ck_assert_int_ge(fds[i], 0);
		ck_assert_int_eq(fcntl(fds[i], F_SETFL, O_APPEND), 0);
	}
}

/* A process begins. */
static struct budget_ledger *
begin(struct budget_journal *j)
{
	struct budget_ledger *l = ledger_new();
	struct err err = ERR_INIT;

	ck_assert_int_eq(budget_journal_open(j, fds, l, &plan, HOLD, &err), 0);
	return l;
}

static void
admit(struct budget_journal *j, struct budget_ledger *l, const char *name)
{
	const uint64_t mark = budget_ledger_mark(l);
	struct err err = ERR_INIT;

	ck_assert(ask(l, name, name) == BUDGET_FITS);
	ck_assert_int_eq(budget_journal_note(j, l, &plan, mark, &err), 0);
}

static off_t
size_of(int i)
{
	return lseek(fds[i], 0, SEEK_END);
}

START_TEST(next_process_knows_what_was_admitted)
{
	struct budget_journal j;
	struct budget_ledger *l;
	static const char torn[] = "{\"until\":9223372036854775807,\"reserv";
	static const char over[] = "\n{\"until\":5,\"reservation\":" RECORD(
	    "", "\"new\":true,\"version\":\"0\",\"amounts\":{\"pods\":\"1000\"}") "\n";

	make_files();
	l = begin(&j);
	admit(&j, l, "x");
	admit(&j, l, "y");
	budget_ledger_free(l); /* it is killed */
	ck_assert(write(fds[0], torn, sizeof(torn) - 1) > 0);
	/* Its time was over long ago, in the other file. */
	ck_assert(write(fds[1], over, sizeof(over) - 1) > 0);
	l = begin(&j);
	ck_assert(used(l) == 2000 && budget_ledger_reservations(l) == 2);
	admit(&j, l, "z"); /* after the line that was cut off */
	budget_ledger_free(l);
	l = begin(&j);
	ck_assert(used(l) == 3000);
	ck_assert(ask(l, "w", "w") == BUDGET_FULL);
	budget_ledger_free(l);
}
END_TEST

START_TEST(journal_goes_on_in_the_other_file)
{
	struct budget_journal j;
	struct budget_ledger *l;
	struct budget_object o;

	make_files();
	l = begin(&j);
	/* Admitted, and gone again: the line stays, but for a turn. */
	for (unsigned i = 0; j.active == 0; i++) {
		ck_assert_uint_lt(i, 100000);
		admit(&j, l, "x");
		o = named("x", "x");
		if (j.active == 0)
			budget_ledger_gone(l, &o);
	}
	ck_assert_int_eq(size_of(0), 0);
	ck_assert_int_lt(size_of(1), 1000);
	ck_assert(used(l) == 1000);
	admit(&j, l, "y");
	budget_ledger_free(l);
	l = begin(&j);
	ck_assert(used(l) == 2000);
	ck_assert_int_eq(size_of(1), 0);
	budget_ledger_free(l);
}
END_TEST

/* ---- ResourceQuotas ---- */

static const struct {
	const char *hard;
	bool same;
} hards[] = {
    {"{\"pods\":\"5\",\"requests.memory\":\"1Gi\"}", true},
    {"{\"pods\":\"5\",\"requests.memory\":\"1024Mi\"}", true}, /* as a number */
    {"{\"pods\":\"5\",\"requests.memory\":\"1G\"}", false},
    {"{\"pods\":\"5\"}", false},
    {"{\"pods\":\"5\",\"requests.memory\":\"1Gi\",\"secrets\":\"1\"}", false},
    {"{\"pods\":\"x\",\"requests.memory\":\"1Gi\"}", false},
    {"null", false},
};

START_TEST(resource_quota_is_known_by_its_amounts)
{
	struct resource_quota_line lines[] = {{STR("pods"), 5000, &quota},
	    {STR("requests.memory"), 1073741824000, &quota}};
	const struct resource_quota q = {
	    .namespace = STR("a"), .level = &root, .lines = lines, .line_count = 2};
	struct buf text = {NULL, 0, 0};
	json_t *object, *spec, *hard;

	resource_quota_json(&text, &q);
	object = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	ck_assert(resource_quota_is(&q, object));
	spec = json_object_get(object, "spec");
	hard = json_loads(hards[_i].hard, JSON_DECODE_ANY, NULL);
	ck_assert_int_eq(json_object_set_new(spec, "hard", hard), 0);
	ck_assert(resource_quota_is(&q, object) == hards[_i].same);
	json_decref(object);
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("budget_share");
	TCase *t = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_test(t, reservation_is_the_same_as_text);
	tcase_add_loop_test(
	    t, text_of_others_is_read_with_care, 0, (int)ARRAY_LEN(records));
	tcase_add_test(t, what_is_taken_back_makes_room);
	tcase_add_test(t, what_others_admitted_is_charged_until_it_is_seen);
	tcase_add_test(t, doubt_ends_when_every_watch_was_heard);
	tcase_add_test(t, next_process_knows_what_was_admitted);
	tcase_add_test(t, journal_goes_on_in_the_other_file);
	tcase_add_loop_test(
	    t, resource_quota_is_known_by_its_amounts, 0, (int)ARRAY_LEN(hards));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
