/*
 * The table is open-addressed by a 64-bit hash of the bucket's name. A slot, once
 * claimed, keeps its name: names are (Quota document, user), so the table fills with users, not
 * with requests; when it is full, whoever has no slot yet is refused rather than let through.
 * Idle slots (no one in flight, bucket full again) may be taken over by another name.
 */
#include "authn/quota/quota_internal.h"

#include <string.h>

#define PROBE_LIMIT   64u
#define TOLERANCE_MAX (UINT64_MAX / 4)
/* A slot nobody used for this long may be taken over. */
#define IDLE_NS (600ull * NS_PER_S)

/* One bucket to be charged: a part of one Quota document. */
struct charge {
	uint32_t slot;
	enum quota_kind kind;
	enum quota_for whom;
	const struct quota *quota;
	uint64_t limit;
	uint64_t interval_ns;  /* QUOTA_RATE: emission interval */
	uint64_t tolerance_ns; /* QUOTA_RATE: (burst - 1) intervals */
};

struct charges {
	struct charge items[QUOTA_MAX_CHARGES];
	size_t count;
	bool overflow;
	uint64_t now_ns, day; /* when */
	uint64_t body_bytes;  /* the least of those that limit it */
	uint64_t replicas;    /* that share each limit */
};

/* Whom a bucket is for. */
struct party {
	enum quota_for whom;
	struct str name; /* "": of all */
};

static const struct party everybody = {QUOTA_FOR_ALL, {NULL, 0}};

size_t
quota_table_bytes(void)
{
	return sizeof(struct quota_table);
}

void
quota_table_init(void *memory)
{
	memset(memory, 0, sizeof(struct quota_table));
}

void
quota_table_worker_reset(struct quota_table *t, unsigned worker)
{
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct slot *s = &t->slots[i];
		uint32_t held = atomic_exchange(&s->in_flight[worker], 0);

		if (held != 0)
			atomic_fetch_sub(&s->total, held);
	}
}

/* FNV-1a: fixed, because every worker must compute the same name; users cannot choose the
 * other parts, and a collision of two users merely makes them share a bucket. */
uint64_t
quota_hash(uint64_t h, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 1099511628211ull;
	return (h ^ 0xff) * 1099511628211ull; /* separates the parts */
}

static uint64_t
bucket_name(
    const struct quota *q, enum quota_kind kind, enum quota_for whom, struct str who)
{
	uint64_t h = QUOTA_HASH_BEGIN;
	unsigned char k[] = {(unsigned char)kind, (unsigned char)whom};

	h = quota_hash(h, q->level->path.ptr, q->level->path.len);
	h = quota_hash(h, q->name.ptr, q->name.len);
	h = quota_hash(h, who.ptr, who.len);
	h = quota_hash(h, k, sizeof(k));
	h ^=
	    h >> 29; /* FNV's low bits are weak; the table's index is taken from them */
	h *= 0xbf58476d1ce4e5b9ull;
	h ^= h >> 32;
	return h != 0 ? h : 1;
}

/* Nothing that it remembers could still refuse anybody. */
static bool
slot_idle(const struct slot *s, uint64_t now_ns, uint64_t day)
{
	uint64_t used = atomic_load(&s->used);
	uint64_t counted = atomic_load(&s->day);

	return atomic_load(&s->total) == 0 && atomic_load(&s->tat) < now_ns &&
	       used < now_ns && now_ns - used > IDLE_NS &&
	       ((counted & DAY_COUNT_MASK) == 0 || counted >> DAY_SHIFT != day);
}

static bool
slot_take(struct slot *s, uint64_t expected, uint64_t name)
{
	if (!atomic_compare_exchange_strong(&s->name, &expected, name))
		return expected == name;
	return true;
}

uint32_t
quota_slot_find(struct quota_table *t, uint64_t name, uint64_t now_ns, uint64_t day)
{
	uint32_t at = (uint32_t)name & (SLOT_COUNT - 1);

	for (uint32_t i = 0; i < PROBE_LIMIT; i++) {
		uint32_t index = (at + i) & (SLOT_COUNT - 1);
		struct slot *s = &t->slots[index];
		uint64_t present = atomic_load(&s->name);

		if (present == name || (present == 0 && slot_take(s, 0, name)))
			goto found;
		continue;
	found:
		atomic_store(&s->used, now_ns);
		return index;
	}
	for (uint32_t i = 0; i < PROBE_LIMIT; i++) {
		uint32_t index = (at + i) & (SLOT_COUNT - 1);
		struct slot *s = &t->slots[index];
		uint64_t present = atomic_load(&s->name);

		/* Somebody else may have taken one for the same name meanwhile. */
		if (present != name) {
			if (!slot_idle(s, now_ns, day) || !slot_take(s, present, name))
				continue;
			atomic_store(&s->admitted, 0);
			atomic_store(&s->refused, 0);
		}
		atomic_store(&s->used, now_ns);
		return index;
	}
	return NO_SLOT;
}

static void
add_charge(struct charges *all, struct quota_table *t, const struct quota *q,
    enum quota_kind kind, const struct party *party, uint64_t limit)
{
	struct charge *c;

	if (limit == QUOTA_UNSET)
		return;
	if (all->count == QUOTA_MAX_CHARGES) {
		all->overflow = true;
		return;
	}
	c = &all->items[all->count++];
	c->slot = quota_slot_find(
	    t, bucket_name(q, kind, party->whom, party->name), all->now_ns, all->day);
	c->kind = kind;
	c->whom = party->whom;
	c->quota = q;
	c->limit = limit;
	if (c->slot == NO_SLOT)
		all->overflow = true;
}

static void
add_rate(struct charges *all, struct quota_table *t, const struct quota *q,
    const struct quota_limits *l, const struct party *party)
{
	uint64_t burst;
	struct charge *c;

	if (l->per_second_milli == QUOTA_UNSET)
		return;
	add_charge(all, t, q, QUOTA_RATE, party, l->per_second_milli);
	if (all->overflow)
		return;
	burst = l->burst != QUOTA_UNSET ? l->burst : l->per_second_milli * 2 / 1000;
	if (burst < 1)
		burst = 1;
	c = &all->items[all->count - 1];
	/* A rate of 0 admits nothing: an interval that no burst can bridge. */
	burst = (burst + all->replicas - 1) / all->replicas;
	c->interval_ns = l->per_second_milli != 0
			     ? 1000 * NS_PER_S / l->per_second_milli * all->replicas
			     : UINT64_MAX;
	if (l->per_second_milli == 0)
		c->tolerance_ns = 0;
	else if (__builtin_mul_overflow(burst - 1, c->interval_ns, &c->tolerance_ns) ||
		 c->tolerance_ns > TOLERANCE_MAX)
		c->tolerance_ns = TOLERANCE_MAX; /* centuries */
}

/* One replica's part. */
static uint64_t
part_of(const struct charges *all, uint64_t limit)
{
	return limit != QUOTA_UNSET
		   ? limit / all->replicas + (limit % all->replicas != 0)
		   : QUOTA_UNSET;
}

static void
add_limits(struct charges *all, struct quota_table *t, const struct quota *q,
    const struct quota_limits *l, const struct party *party, bool is_watch)
{
	add_rate(all, t, q, l, party);
	if (is_watch)
		add_charge(all, t, q, QUOTA_WATCHES, party, part_of(all, l->watches));
	else
		add_charge(
		    all, t, q, QUOTA_IN_FLIGHT, party, part_of(all, l->in_flight));
	add_charge(all, t, q, QUOTA_PER_DAY, party, l->per_day);
	if (l->body_bytes < all->body_bytes)
		all->body_bytes = l->body_bytes;
}

/* GCRA: admits if the bucket's time is not further ahead than the burst allows. */
static bool
take_rate(
    struct slot *s, const struct charge *c, uint64_t now_ns, uint64_t *out_wait_ns)
{
	uint64_t tat = atomic_load(&s->tat);

	for (;;) {
		uint64_t start = tat > now_ns ? tat : now_ns;

		if (c->interval_ns == UINT64_MAX) {
			*out_wait_ns = 60 * NS_PER_S;
			return false;
		}
		if (start - now_ns > c->tolerance_ns) {
			*out_wait_ns = start - now_ns - c->tolerance_ns;
			return false;
		}
		if (atomic_compare_exchange_weak(&s->tat, &tat, start + c->interval_ns))
			return true;
	}
}

static bool
take_held(struct slot *s, const struct charge *c, unsigned worker)
{
	uint32_t total = atomic_load(&s->total);

	do {
		if (total >= c->limit)
			return false;
	} while (!atomic_compare_exchange_weak(&s->total, &total, total + 1));
	atomic_fetch_add(&s->in_flight[worker], 1);
	return true;
}

/* How much of a day's limit may be used here. */
static uint64_t
day_part(const struct quota_table *t, const struct slot *s, const struct charge *c,
    uint64_t day)
{
	const uint64_t replicas = atomic_load(&t->replicas);
	const uint64_t granted = atomic_load(&s->granted);
	uint64_t part = c->limit;

	if (replicas == 0)
		return part;
	part = c->limit / (16 * replicas);
	if (part == 0)
		part = 1;
	if (granted >> DAY_SHIFT == day && (granted & DAY_COUNT_MASK) > part)
		part = granted & DAY_COUNT_MASK;
	return part < c->limit ? part : c->limit;
}

static bool
take_day(
    const struct quota_table *t, struct slot *s, const struct charge *c, uint64_t day)
{
	const uint64_t limit = day_part(t, s, c, day);
	uint64_t value = atomic_load(&s->day);
	uint64_t next;

	atomic_store(&s->day_limit, c->limit);
	do {
		uint64_t used =
		    (value >> DAY_SHIFT) == day ? value & DAY_COUNT_MASK : 0;

		if (used >= limit)
			return false;
		next = (day << DAY_SHIFT) | (used + 1);
	} while (!atomic_compare_exchange_weak(&s->day, &value, next));
	return true;
}

static void
give_held(struct slot *s, unsigned worker)
{
	atomic_fetch_sub(&s->in_flight[worker], 1);
	atomic_fetch_sub(&s->total, 1);
}

static bool
take(struct quota_table *t, const struct charge *c, unsigned worker, uint64_t now_ns,
    int64_t wall_ns, uint64_t *out_wait_ns)
{
	struct slot *s = &t->slots[c->slot];

	switch (c->kind) {
	case QUOTA_RATE:
		return take_rate(s, c, now_ns, out_wait_ns);
	case QUOTA_IN_FLIGHT:
	case QUOTA_WATCHES:
		*out_wait_ns = NS_PER_S;
		return take_held(s, c, worker);
	case QUOTA_PER_DAY:
		if (take_day(t, s, c, (uint64_t)(wall_ns / DAY_NS)))
			return true;
		/* More may be granted soon. */
		*out_wait_ns = atomic_load(&t->replicas) > 1
				   ? NS_PER_S
				   : (uint64_t)(DAY_NS - wall_ns % DAY_NS);
		return false;
	case QUOTA_ACCOUNT:
		atomic_fetch_add(&s->admitted, 1);
		break;
	case QUOTA_CUT_OFF:
	case QUOTA_BODY:
		break;
	}
	return true;
}

static void
give_back(struct quota_table *t, const struct charge *c, unsigned worker)
{
	struct slot *s = &t->slots[c->slot];

	switch (c->kind) {
	case QUOTA_RATE:
		atomic_fetch_sub(&s->tat, c->interval_ns);
		break;
	case QUOTA_IN_FLIGHT:
	case QUOTA_WATCHES:
		give_held(s, worker);
		break;
	case QUOTA_PER_DAY:
		atomic_fetch_sub(&s->day, 1);
		break;
	case QUOTA_ACCOUNT:
		atomic_fetch_sub(&s->admitted, 1);
		break;
	case QUOTA_CUT_OFF:
	case QUOTA_BODY:
		break;
	}
}

static void
refuse(struct quota_refusal *out, const struct charge *c, uint64_t wait_ns)
{
	uint64_t seconds = (wait_ns + NS_PER_S - 1) / NS_PER_S;

	out->kind = c->kind;
	out->whom = c->whom;
	out->quota = c->quota;
	out->limit = c->limit;
	out->retry_after_s = seconds < 1       ? 1
			     : seconds > 86400 ? 86400
					       : (uint32_t)seconds;
}

static void
collect(struct charges *all, struct quota_table *t, const struct quota_request *r)
{
	const struct party user = {QUOTA_FOR_USER, r->user};
	const struct party token = {QUOTA_FOR_TOKEN, r->token};

	for (const struct ns *n = r->level; n != NULL; n = n->parent) {
		for (size_t i = 0; i < n->quota_count; i++) {
			const struct quota *q = n->quotas[i];

			add_charge(all, t, q, QUOTA_ACCOUNT, &everybody, 0);
			add_limits(all, t, q, &q->requests, &everybody, r->is_watch);
			add_limits(all, t, q, &q->per_user, &user, r->is_watch);
			if (r->token.len != 0)
				add_limits(
				    all, t, q, &q->per_token, &token, r->is_watch);
		}
	}
}

/* The account of a charge's document, which comes before it. */
static void
count_refusal(struct quota_table *t, const struct charges *all, size_t refused)
{
	for (size_t i = 0; i <= refused; i++) {
		const struct charge *c = &all->items[i];

		if (c->kind == QUOTA_ACCOUNT && c->quota == all->items[refused].quota)
			atomic_fetch_add(&t->slots[c->slot].refused, 1);
	}
}

bool
quota_admit(struct quota_table *t, unsigned worker, const struct quota_request *request,
    monotime_t now, walltime_t today, struct quota_ticket *out_ticket,
    struct quota_refusal *out_refusal)
{
	struct charges all = {.now_ns = now.ns,
	    .day = (uint64_t)(today.ns / DAY_NS),
	    .body_bytes = QUOTA_UNSET,
	    .replicas = atomic_load(&t->replicas)};
	uint64_t wait_ns = 0;

	out_ticket->count = 0;
	if (all.replicas == 0)
		all.replicas = 1;
	if (quota_share_cut_off(t, now)) {
		*out_refusal =
		    (struct quota_refusal){.kind = QUOTA_CUT_OFF, .retry_after_s = 1};
		return false;
	}
	collect(&all, t, request);
	out_ticket->body_bytes = all.body_bytes;
	if (all.overflow) { /* no room to count is no room */
		atomic_fetch_add(&t->refused_full, 1);
		refuse(out_refusal, &all.items[all.count - 1], NS_PER_S);
		return false;
	}
	for (size_t i = 0; i < all.count; i++) {
		if (take(t, &all.items[i], worker, now.ns, today.ns, &wait_ns))
			continue;
		refuse(out_refusal, &all.items[i], wait_ns);
		count_refusal(t, &all, i);
		while (i-- > 0)
			give_back(t, &all.items[i], worker);
		return false;
	}
	for (size_t i = 0; i < all.count; i++) {
		if (all.items[i].kind != QUOTA_IN_FLIGHT &&
		    all.items[i].kind != QUOTA_WATCHES)
			continue;
		out_ticket->slots[out_ticket->count] = all.items[i].slot;
		out_ticket->kinds[out_ticket->count++] = (uint8_t)all.items[i].kind;
	}
	return true;
}

void
quota_release(struct quota_table *t, unsigned worker, struct quota_ticket *ticket)
{
	for (size_t i = 0; i < ticket->count; i++)
		give_held(&t->slots[ticket->slots[i]], worker);
	ticket->count = 0;
}

/* ---- what is known ---- */

/* The slot of a bucket, if it has one; nothing is claimed. */
static const struct slot *
slot_look(const struct quota_table *t, uint64_t name)
{
	for (uint32_t i = 0; i < PROBE_LIMIT; i++) {
		const struct slot *s =
		    &t->slots[((uint32_t)name + i) & (SLOT_COUNT - 1)];

		if (atomic_load(&s->name) == name)
			return s;
	}
	return NULL;
}

void
quota_use(const struct quota_table *t, const struct quota *q, walltime_t today,
    struct quota_use *out)
{
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	const struct slot *s;
	uint64_t counted;

	*out = (struct quota_use){0};
	s = slot_look(t, bucket_name(q, QUOTA_ACCOUNT, QUOTA_FOR_ALL, everybody.name));
	if (s != NULL) {
		out->admitted = atomic_load(&s->admitted);
		out->refused = atomic_load(&s->refused);
	}
	s = slot_look(
	    t, bucket_name(q, QUOTA_IN_FLIGHT, QUOTA_FOR_ALL, everybody.name));
	out->in_flight = s != NULL ? atomic_load(&s->total) : 0;
	s = slot_look(t, bucket_name(q, QUOTA_WATCHES, QUOTA_FOR_ALL, everybody.name));
	out->watches = s != NULL ? atomic_load(&s->total) : 0;
	s = slot_look(t, bucket_name(q, QUOTA_PER_DAY, QUOTA_FOR_ALL, everybody.name));
	counted = s != NULL ? atomic_load(&s->day) : 0;
	out->today = counted >> DAY_SHIFT == day ? counted & DAY_COUNT_MASK : 0;
}
