#include "authn/budget/budget_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authn/budget/budget_record.h"
#include "common/log.h"

#define TURN_BYTES (1024u * 1024)       /* begin the other file */
#define FILE_BYTES (256u * 1024 * 1024) /* more is none of ours */

/* ---- writing ---- */

struct writing {
	const struct budget_plan *plan;
	struct buf out;
};

/* {"until": nanoseconds of the wall clock, "reservation": ...} */
static void
put_line(void *arg, const struct budget_object *o, bool is_new, monotime_t expires)
{
	struct writing *w = arg;
	const monotime_t now = monotime_now();
	const uint64_t left_ns = expires.ns > now.ns ? expires.ns - now.ns : 0;

	buf_printf(&w->out, "{\"until\":%lld,\"reservation\":",
	    (long long)(walltime_now().ns + (int64_t)left_ns));
	budget_record_put(&w->out, w->plan, o, is_new);
	buf_add_cstr(&w->out, "}\n");
}

static int
append(struct budget_journal *j, struct str bytes, struct err *err)
{
	const int fd = j->fds[j->active];

	while (bytes.len != 0) {
		const ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "budget journal");
		j->bytes += (size_t)n;
		bytes = str_slice(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

static int
write_since(struct budget_journal *j, const struct budget_ledger *ledger,
    const struct budget_plan *plan, uint64_t mark, struct err *err)
{
	struct writing w = {.plan = plan};
	int rc;

	if (j->torn) /* what was cut off spoils no line that follows */
		buf_add_char(&w.out, '\n');
	budget_ledger_since(ledger, mark, put_line, &w);
	rc = append(j, buf_str(&w.out), err);
	j->torn = rc != 0;
	buf_free(&w.out);
	return rc;
}

/* Everything that waits into the other file; then the first is not needed. */
static int
turn(struct budget_journal *j, const struct budget_ledger *ledger,
    const struct budget_plan *plan, struct err *err)
{
	const unsigned before = j->active;

	j->active = (j->active + 1) % BUDGET_JOURNAL_FILES;
	j->bytes = 0;
	if (ftruncate(j->fds[j->active], 0) != 0)
		return err_sys(err, "budget journal");
	if (write_since(j, ledger, plan, 0, err) != 0)
		return err->code;
	return ftruncate(j->fds[before], 0) == 0 ? 0 : err_sys(err, "budget journal");
}

int
budget_journal_note(struct budget_journal *j, const struct budget_ledger *ledger,
    const struct budget_plan *plan, uint64_t mark, struct err *err)
{
	if (j->bytes >= TURN_BYTES)
		return turn(j, ledger, plan, err); /* those since the mark, too */
	return write_since(j, ledger, plan, mark, err);
}

/* ---- reading ---- */

struct reading {
	struct budget_ledger *ledger;
	const struct budget_plan *plan;
	uint64_t hold_ns;
	size_t spoilt;
};

/* False: no line of ours. */
static bool
take_line(const struct reading *r, struct str line)
{
	const walltime_t now = walltime_now();
	json_t *json = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *until = json_object_get(json, "until");
	enum budget_record_result result = BUDGET_RECORD_MALFORMED;
	uint64_t amounts[BUDGET_KEYS_MAX], left_ns;
	struct budget_object o;
	bool is_new;

	if (json_is_integer(until))
		result = budget_record_get(r->plan,
		    json_object_get(json, "reservation"), amounts, &o, &is_new);
	if (result == BUDGET_RECORD_OK && json_integer_value(until) > now.ns) {
		left_ns = (uint64_t)(json_integer_value(until) - now.ns);
		left_ns = left_ns < r->hold_ns ? left_ns : r->hold_ns;
		budget_ledger_charge(
		    r->ledger, &o, is_new, (monotime_t){monotime_now().ns + left_ns});
	}
	json_decref(json);
	return result != BUDGET_RECORD_MALFORMED;
}

static int
read_all(int fd, struct buf *out, struct err *err)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0)
		return err_sys(err, "budget journal");
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_BYTES)
		return err_set(
		    err, ERR_INVALID, "budget journal: no regular file of its size");
	buf_reserve(out, (size_t)st.st_size + 1);
	while (out->len < (size_t)st.st_size && n > 0) {
		n = pread(fd, out->data + out->len, (size_t)st.st_size - out->len,
		    (off_t)out->len);
		out->len += n > 0 ? (size_t)n : 0;
	}
	return n < 0 ? err_sys(err, "budget journal") : 0;
}

/* A last line without its end was not answered for: nobody was told yes. */
static void
take_lines(struct reading *r, struct str text)
{
	size_t end;

	while ((end = str_find(text, '\n', 0)) < text.len) {
		const struct str line = str_slice(text, 0, end);

		if (line.len != 0 && !take_line(r, line))
			r->spoilt++;
		text = str_slice(text, end + 1, text.len);
	}
}

int
budget_journal_open(struct budget_journal *j, const int fds[BUDGET_JOURNAL_FILES],
    struct budget_ledger *ledger, const struct budget_plan *plan, uint64_t hold_ns,
    struct err *err)
{
	struct reading r = {.ledger = ledger, .plan = plan, .hold_ns = hold_ns};
	int rc = 0;

	*j = (struct budget_journal){.active = 0};
	for (size_t i = 0; i < BUDGET_JOURNAL_FILES && rc == 0; i++) {
		struct buf text = {NULL, 0, 0};

		j->fds[i] = fds[i];
		rc = read_all(fds[i], &text, err);
		if (rc == 0)
			take_lines(&r, buf_str(&text));
		if (i == j->active)
			j->bytes = text.len;
		buf_free(&text);
	}
	if (r.spoilt != 0)
		log_warn("budget-journal", "spoilt-lines=%zu", r.spoilt);
	if (rc != 0)
		return rc;
	/* The first goes on, with what was in both, after a line that may have been cut off. */
	j->torn = true;
	rc = write_since(j, ledger, plan, 0, err);
	if (rc == 0 && ftruncate(j->fds[1], 0) != 0)
		rc = err_sys(err, "budget journal");
	return rc;
}
