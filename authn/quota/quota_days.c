/*
 * The table's counts of the day: kept over a restart, and shared with other replicas.
 */
#include "authn/quota/quota_internal.h"
#include "common/proc.h"

#define DAYS_MAGIC 0x59444652u /* "RFDY" */

void
quota_days_encode(const struct quota_table *t, walltime_t today, struct buf *out)
{
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	const size_t begin = out->len;

	proc_put_u32(out, DAYS_MAGIC);
	proc_put_u64(out, day);
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		const uint64_t counted = atomic_load(&t->slots[i].day);

		if (counted >> DAY_SHIFT != day || (counted & DAY_COUNT_MASK) == 0)
			continue;
		proc_put_u64(out, atomic_load(&t->slots[i].name));
		proc_put_u64(out, counted & DAY_COUNT_MASK);
	}
	/* Not against people, who could make another: against half a file. */
	proc_put_u64(
	    out, quota_hash(QUOTA_HASH_BEGIN, out->data + begin, out->len - begin));
}

bool
quota_days_decode(
    struct quota_table *t, struct str bytes, monotime_t now, walltime_t today)
{
	const struct proc_msg msg = {
	    .data = (const uint8_t *)bytes.ptr, .len = bytes.len};
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	struct proc_reader r, end;
	bool is_today;

	proc_reader_init(&r, &msg);
	if (bytes.len < 20 || (bytes.len - 20) % 16 != 0 ||
	    proc_get_u32(&r) != DAYS_MAGIC)
		return false;
	end = r;
	end.pos = bytes.len - 8;
	if (proc_get_u64(&end) !=
	    quota_hash(QUOTA_HASH_BEGIN, bytes.ptr, bytes.len - 8))
		return false;
	is_today = proc_get_u64(&r) == day;
	while (is_today && r.pos < bytes.len - 8) {
		const uint64_t name = proc_get_u64(&r), count = proc_get_u64(&r);
		const uint32_t slot = quota_slot_find(t, name, now.ns, day);

		if (slot != NO_SLOT)
			atomic_store(&t->slots[slot].day,
			    (day << DAY_SHIFT) | (count & DAY_COUNT_MASK));
	}
	return true;
}

/* ---- several replicas ---- */

void
quota_share(struct quota_table *t, uint32_t replicas, uint64_t keep_ns)
{
	atomic_store(&t->keep_ns, keep_ns);
	atomic_store(&t->replicas, replicas);
}

void
quota_share_contact(struct quota_table *t, monotime_t now)
{
	atomic_store(&t->contact_ns, now.ns);
}

bool
quota_share_cut_off(const struct quota_table *t, monotime_t now)
{
	const uint64_t contact = atomic_load(&t->contact_ns);
	const uint64_t keep = atomic_load(&t->keep_ns);

	return keep != 0 &&
	       (contact == 0 || (now.ns > contact && now.ns - contact > keep));
}

size_t
quota_days(
    const struct quota_table *t, walltime_t today, struct quota_day *out, size_t max)
{
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	size_t count = 0;

	for (uint32_t i = 0; i < SLOT_COUNT && count < max; i++) {
		const struct slot *s = &t->slots[i];
		const uint64_t counted = atomic_load(&s->day);
		const uint64_t granted = atomic_load(&s->granted);

		if (counted >> DAY_SHIFT != day || (counted & DAY_COUNT_MASK) == 0)
			continue;
		out[count++] = (struct quota_day){.name = atomic_load(&s->name),
		    .used = counted & DAY_COUNT_MASK,
		    .granted =
			granted >> DAY_SHIFT == day ? granted & DAY_COUNT_MASK : 0,
		    .limit = atomic_load(&s->day_limit)};
	}
	return count;
}

/* Raises a value of the day to at least so much. */
static void
day_raise(_Atomic uint64_t *at, uint64_t day, uint64_t to)
{
	uint64_t value = atomic_load(at);

	to = (day << DAY_SHIFT) | (to & DAY_COUNT_MASK);
	while (value < to && !atomic_compare_exchange_weak(at, &value, to)) {
		/* until it is, or somebody was faster */
	}
}

void
quota_day_grant(
    struct quota_table *t, const struct quota_day *d, monotime_t now, walltime_t today)
{
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	const uint32_t slot = quota_slot_find(t, d->name, now.ns, day);

	if (slot == NO_SLOT)
		return;
	day_raise(&t->slots[slot].granted, day, d->granted);
	if (d->used != 0)
		day_raise(&t->slots[slot].day, day, d->used);
}
