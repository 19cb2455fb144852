#include "enforcer/wire/ops_limit.h"

void
op_limit_encode(struct buf *out, const struct table_limit *l)
{
	proc_put_u8(out, (uint8_t)l->form);
	if (l->form == LIMIT_NONE)
		return;
	proc_put_u8(out, (uint8_t)l->kind);
	proc_put_u8(out, l->nothing);
	proc_put_u64(out, l->bucket.rate);
	proc_put_u32(out, l->bucket.unit_s);
	proc_put_u32(out, l->bucket.burst);
	proc_put_u32(out, l->count);
	proc_put_u32(out, l->deny);
	proc_put_u32(out, l->first);
	proc_put_u32(out, l->next);
}

static bool
unit_ok(uint32_t seconds)
{
	return seconds == 1 || seconds == TABLE_MINUTE || seconds == TABLE_HOUR ||
	       seconds == TABLE_DAY || seconds == TABLE_WEEK;
}

/* What it limits must be of its kind, and each way out a chain's number. */
static const char *
check(const struct table_limit *l)
{
	const bool own = l->form == LIMIT_OWN;
	const bool bytes = l->kind == NETLIM_OUT || l->kind == NETLIM_IN;

	if (own ? l->deny != NUMBER_NONE : l->first != NUMBER_NONE)
		return "a limit with too many ways out";
	if (own ? l->first == NUMBER_NONE || l->next == NUMBER_NONE
		: l->deny == NUMBER_NONE)
		return "a limit without a way out";
	if (l->nothing || l->kind == NETLIM_COUNT) {
		if (l->bucket.rate != 0 || l->bucket.unit_s != 0 ||
		    l->bucket.burst != 0)
			return "a bucket where there is none";
		if (l->nothing ? own || l->count != 0 : l->count == 0)
			return "a count of connections";
		return NULL;
	}
	if (l->count != 0)
		return "a count beside a bucket";
	if (l->bucket.rate == 0 || l->bucket.burst == 0 || !unit_ok(l->bucket.unit_s) ||
	    (bytes && l->bucket.unit_s != 1))
		return "a bucket that no kernel has";
	return NULL;
}

const char *
op_limit_decode(struct proc_reader *r, struct table_limit *out)
{
	uint8_t form = proc_get_u8(r), kind, nothing;

	*out = (struct table_limit){.form = LIMIT_NONE};
	if (form == LIMIT_NONE)
		return NULL;
	kind = proc_get_u8(r);
	nothing = proc_get_u8(r);
	if (form > LIMIT_OWN || kind >= NETLIM_KINDS || nothing > 1)
		return "no such limit";
	out->form = (enum table_limit_form)form;
	out->kind = (enum net_limit)kind;
	out->nothing = nothing != 0;
	out->bucket.rate = proc_get_u64(r);
	out->bucket.unit_s = proc_get_u32(r);
	out->bucket.burst = proc_get_u32(r);
	out->bucket.bytes = out->bucket.rate != 0 && kind >= NETLIM_OUT;
	out->count = proc_get_u32(r);
	out->deny = proc_get_u32(r);
	out->first = proc_get_u32(r);
	out->next = proc_get_u32(r);
	return r->ok ? check(out) : NULL;
}
