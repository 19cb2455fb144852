/*
 * The wire form of a batch: header, then operations one after the other. Everything
 * is read through proc_reader, which fails instead of reading past the end, and every value is
 * checked against what the table can hold before the kernel role builds a message of it.
 */
#include "enforcer/wire/ops.h"

#include <string.h>

#include "common/proc.h"
#include "enforcer/wire/ops_limit.h"

#define MAGIC 0x52464f50u /* "RFOP" */

static bool
set_has(enum table_set_id set, enum table_field field)
{
	for (size_t i = 0; i < ARRAY_LEN(table_sets[set].key); i++) {
		if (table_sets[set].key[i] == field)
			return true;
	}
	return false;
}

static size_t
addr_bytes(enum table_set_id set)
{
	if (set_has(set, FIELD_IPV6) || set_has(set, FIELD_IFNAME))
		return 16;
	return set_has(set, FIELD_IPV4) || set_has(set, FIELD_MARK) ? 4 : 0;
}

/* ---- elements: there may be some hundred thousand ---- */

/* The fields of a set's elements, and nothing else: what the set cannot hold cannot be
 * said. Bytes, one behind the other; 0: there is no such field. */
struct form {
	size_t class_id, addr, addr_end, proto, port_lo, port_hi, value;
	size_t bytes;
};

static struct form
form_of(enum table_set_id set)
{
	const struct table_set *s = &table_sets[set];
	bool port = set_has(set, FIELD_SERVICE);
	struct form f = {
	    .class_id = set_has(set, FIELD_CLASSID) ? 4 : 0,
	    .addr = addr_bytes(set),
	    .proto = set_has(set, FIELD_PROTO) || set_has(set, FIELD_NFPROTO) ? 1 : 0,
	    .port_lo = port || s->slots != 0 ? 2 : 0,
	    .port_hi = (port && s->interval) || table_value_has_port(s->value) ? 2 : 0,
	};

	if (table_value_is_address(s->value))
		f.addr_end = ip_bytes(table_value_family(s->value));
	else if (s->value != FIELD_NONE)
		f.value = 4;
	if (s->interval && !port)
		f.addr_end = f.addr;
	f.bytes = f.class_id + f.addr + f.addr_end + f.proto + f.port_lo + f.port_hi +
		  f.value;
	return f;
}

static uint8_t *
put_le(uint8_t *out, uint32_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
	return out + bytes;
}

static const uint8_t *
get_le(const uint8_t *in, uint32_t *out, size_t bytes)
{
	*out = 0;
	for (size_t i = 0; i < bytes; i++)
		*out |= (uint32_t)in[i] << (8 * i);
	return in + bytes;
}

static void
put_element(uint8_t *out, const struct form *f, const struct table_element *e)
{
	out = put_le(out, e->class_id, f->class_id);
	memcpy(out, e->addr, f->addr);
	memcpy(out + f->addr, e->addr_end, f->addr_end);
	out = put_le(out + f->addr + f->addr_end, e->proto, f->proto);
	out = put_le(out, e->port_lo, f->port_lo);
	out = put_le(out, e->port_hi, f->port_hi);
	(void)put_le(out, e->value, f->value); /* the last */
}

/* Into what is zeroed. */
static void
get_element(const uint8_t *in, const struct form *f, struct table_element *e)
{
	uint32_t proto, lo, hi;

	in = get_le(in, &e->class_id, f->class_id);
	memcpy(e->addr, in, f->addr);
	memcpy(e->addr_end, in + f->addr, f->addr_end);
	in = get_le(in + f->addr + f->addr_end, &proto, f->proto);
	in = get_le(in, &lo, f->port_lo);
	in = get_le(in, &hi, f->port_hi);
	(void)get_le(in, &e->value, f->value); /* the last */
	e->proto = (uint8_t)proto;
	e->port_lo = (uint16_t)lo;
	e->port_hi = (uint16_t)hi;
}

static void
put_elements(struct buf *out, const struct op *op)
{
	const struct form f = form_of(op->set);

	buf_reserve(out, op->element_count * f.bytes + 1);
	for (size_t i = 0; i < op->element_count; i++) {
		put_element((uint8_t *)out->data + out->len, &f, &op->elements[i]);
		out->len += f.bytes;
	}
	out->data[out->len] = '\0';
}

static void
put_chain(struct buf *out, const struct table_rule_chain *c)
{
	proc_put_u32(out, c->number);
	proc_put_u8(out, (uint8_t)c->action);
	proc_put_u8(out, c->log);
	proc_put_u8(out, c->reset);
	proc_put_u8(out, c->quiet);
	op_limit_encode(out, &c->limit);
	proc_put_u32(out, c->mark);
	proc_put_u8(out, c->keeps);
	proc_put_str(out, str_from(c->comment));
}

/* Of the sets that have a room: which, and how much. */
static void
put_room(struct buf *out, const struct op *op)
{
	unsigned count = 0;

	for (unsigned set = 0; op->room != NULL && set < SET_COUNT; set++)
		count += op->room[set] != 0;
	proc_put_u8(out, (uint8_t)count);
	for (unsigned set = 0; count != 0 && set < SET_COUNT; set++) {
		if (op->room[set] == 0)
			continue;
		proc_put_u8(out, (uint8_t)set);
		proc_put_u32(out, op->room[set]);
	}
}

void
op_encode(struct buf *out, const struct op_batch *batch)
{
	proc_put_u32(out, MAGIC);
	proc_put_u16(out, batch->settings.log_group);
	proc_put_u16(out, batch->settings.names_group);
	proc_put_u8(out, batch->settings.reject);
	proc_put_u32(out, batch->settings.steer_mask);
	proc_put_u8(out, batch->settings.no_nat);
	proc_put_u8(out, batch->settings.validate_sources);
	proc_put_u32(out, batch->settings.uses);
	proc_put_u32(out, (uint32_t)batch->count);
	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		proc_put_u8(out, (uint8_t)op->kind);
		switch (op->kind) {
		case OP_TABLE:
			put_room(out, op);
			break;
		case OP_ADD:
		case OP_DELETE:
			proc_put_u8(out, (uint8_t)op->set);
			proc_put_u32(out, (uint32_t)op->element_count);
			put_elements(out, op);
			break;
		case OP_RULES:
			break;
		case OP_FLUSH:
			proc_put_u8(out, (uint8_t)op->set);
			break;
		case OP_CHAIN_ADD:
		case OP_CHAIN_REPLACE:
		case OP_CHAIN_DELETE:
			put_chain(out, op->chain);
			break;
		}
	}
}

/* ---- reading ---- */

static bool
all_zero(const uint8_t *bytes, size_t count)
{
	static const uint8_t zero[16];

	return memcmp(bytes, zero, count) == 0;
}

/* A map to addresses has ids for keys. The address of an end is where packets are sent: a
 * number that no host can have would only lose them. */
static const char *
check_end(const struct form *f, const struct table_element *e)
{
	if (e->class_id == 0)
		return "an end without an id";
	if (all_zero(e->addr_end, f->addr_end))
		return "an end without an address";
	if (f->port_hi != 0 && e->port_hi == 0)
		return "an end without its port";
	return NULL;
}

/* What elements of a set can be, beyond their fields. */
struct limits {
	struct form form;
	uint32_t slots; /* the port is one of so many; 0: it is a port */
	bool family, end, ranges, port_ranges, needs_value;
};

static struct limits
limits_of(enum table_set_id set)
{
	const struct table_set *s = &table_sets[set];
	struct limits l = {
	    .form = form_of(set),
	    .slots = s->slots,
	    .family = set_has(set, FIELD_NFPROTO),
	    .end = table_value_is_address(s->value),
	};

	l.ranges = !l.end && l.form.addr_end != 0;
	l.port_ranges = !l.end && l.form.port_hi != 0;
	/* Class 0 takes an address out of the network around it; rules have numbers. */
	l.needs_value =
	    l.form.value != 0 && !(set >= SET_PEER4_IN && set <= SET_PEER6_OUT);
	return l;
}

/* Ends are not before beginnings; the rest is what there is. */
static const char *
check_element(const struct limits *l, const struct table_element *e)
{
	if (l->end)
		return check_end(&l->form, e);
	if (l->ranges && memcmp(e->addr, e->addr_end, l->form.addr) > 0)
		return "an address range that ends before it begins";
	if (l->family && e->proto != table_nfproto(IP_V4) &&
	    e->proto != table_nfproto(IP_V6))
		return "an address family that there is not";
	if (l->slots != 0 && e->port_lo >= l->slots)
		return "a slot that there is not";
	if (l->port_ranges && e->port_hi < e->port_lo)
		return "a port range that ends before it begins";
	if (l->needs_value && e->value == 0)
		return "a map element without a value";
	return NULL;
}

static int
decode_set(struct proc_reader *r, struct op *op, struct err *err)
{
	uint8_t set = proc_get_u8(r);

	if (!r->ok || set >= SET_COUNT)
		return err_set(err, ERR_INVALID, "no such set: %u", set);
	op->set = (enum table_set_id)set;
	return 0;
}

static int
decode_elements(struct arena *arena, struct proc_reader *r, size_t *left, struct op *op,
    struct err *err)
{
	struct table_element *elements;
	const uint8_t *bytes;
	const char *problem;
	struct limits limits;
	uint32_t count;
	int rc = decode_set(r, op, err);

	if (rc == 0 && table_set_is_kernels(op->set))
		rc = err_set(err, ERR_INVALID, "%s is the kernel's to fill",
		    table_sets[op->set].name);
	if (rc != 0)
		return rc;
	limits = limits_of(op->set);
	if (op->kind == OP_DELETE && table_sets[op->set].interval)
		return err_set(err, ERR_INVALID, "%s is replaced whole, not edited",
		    table_sets[op->set].name);
	count = proc_get_u32(r);
	if (!r->ok || count == 0 || count > (r->len - r->pos) / limits.form.bytes)
		return err_set(
		    err, ERR_INVALID, "%u elements do not fit the message", count);
	if (count > *left)
		return err_set(err, ERR_LIMIT, "more than %u elements in a batch",
		    OP_MAX_ELEMENTS);
	*left -= count;
	elements = ARENA_ARRAY(arena, count, struct table_element);
	bytes = proc_get_bytes(r, count * limits.form.bytes);
	for (uint32_t i = 0; bytes != NULL && i < count; i++) {
		get_element(bytes + i * limits.form.bytes, &limits.form, &elements[i]);
		problem = check_element(&limits, &elements[i]);
		if (problem != NULL)
			return err_set(err, ERR_INVALID, "%s, element %u: %s",
			    table_sets[op->set].name, i, problem);
	}
	op->elements = elements;
	op->element_count = count;
	return 0;
}

static bool
comment_ok(struct str comment)
{
	if (comment.len > TABLE_COMMENT_BYTES)
		return false;
	for (size_t i = 0; i < comment.len; i++) {
		if (comment.ptr[i] < 0x20 || comment.ptr[i] > 0x7e ||
		    comment.ptr[i] == '"')
			return false;
	}
	return true;
}

static int
decode_chain(struct arena *arena, struct proc_reader *r, uint32_t mask, struct op *op,
    struct err *err)
{
	struct table_rule_chain *c = ARENA_NEW(arena, struct table_rule_chain);
	struct str comment;
	const char *problem;
	uint8_t action;

	c->number = proc_get_u32(r);
	action = proc_get_u8(r);
	c->log = proc_get_u8(r) != 0;
	c->reset = proc_get_u8(r) != 0;
	c->quiet = proc_get_u8(r) != 0;
	problem = op_limit_decode(r, &c->limit);
	c->mark = proc_get_u32(r);
	c->keeps = proc_get_u8(r) != 0;
	comment = proc_get_str(r);
	if (!r->ok || c->number == NUMBER_NONE)
		return err_set(err, ERR_INVALID, "a rule chain without a number");
	if (action != ACTION_ALLOW && action != ACTION_DENY)
		return err_set(
		    err, ERR_INVALID, "rule_%u neither allows nor denies", c->number);
	if (problem != NULL)
		return err_set(err, ERR_INVALID, "rule_%u: %s", c->number, problem);
	if (!comment_ok(comment))
		return err_set(err, ERR_INVALID,
		    "rule_%u has a comment nft cannot print", c->number);
	if (c->mark != 0 && (action != ACTION_ALLOW || (c->mark & ~mask) != 0))
		return err_set(
		    err, ERR_INVALID, "rule_%u sets others' marks", c->number);
	c->action = (enum action)action;
	c->comment = arena_strndup(arena, comment.ptr, comment.len);
	op->chain = c;
	return 0;
}

static int
decode_room(struct arena *arena, struct proc_reader *r, struct op *op, struct err *err)
{
	uint32_t *room = ARENA_ARRAY(arena, SET_COUNT, uint32_t);
	uint32_t rest = OP_MAX_ROOM;
	uint8_t count = proc_get_u8(r);

	for (unsigned i = 0; i < count; i++) {
		int rc = decode_set(r, op, err);
		uint32_t wanted = proc_get_u32(r);

		if (rc != 0)
			return rc;
		if (!r->ok || wanted == 0 || wanted > rest ||
		    table_sets[op->set].interval || table_set_is_kernels(op->set) ||
		    room[op->set] != 0)
			return err_set(err, ERR_INVALID, "%s has no such room",
			    table_sets[op->set].name);
		room[op->set] = wanted;
		rest -= wanted;
	}
	if (!r->ok)
		return err_set(err, ERR_INVALID, "a table that is cut off");
	op->set = (enum table_set_id)0;
	op->room = room;
	return 0;
}

static int
decode_op(struct arena *arena, struct proc_reader *r, uint32_t mask, size_t *left,
    struct op *op, struct err *err)
{
	uint8_t kind = proc_get_u8(r);

	op->kind = (enum op_kind)kind;
	switch (kind) {
	case OP_TABLE:
		return decode_room(arena, r, op, err);
	case OP_RULES:
		return 0;
	case OP_ADD:
	case OP_DELETE:
		return decode_elements(arena, r, left, op, err);
	case OP_FLUSH:
		return decode_set(r, op, err);
	case OP_CHAIN_ADD:
	case OP_CHAIN_REPLACE:
	case OP_CHAIN_DELETE:
		return decode_chain(arena, r, mask, op, err);
	default:
		return err_set(err, ERR_INVALID, "no such operation: %u", kind);
	}
}

int
op_decode(struct arena *arena, const uint8_t *data, size_t len,
    struct op_batch *out_batch, struct err *err)
{
	struct proc_reader r = {.data = data, .len = len, .ok = true};
	size_t left = OP_MAX_ELEMENTS;
	uint32_t count;

	if (len > OP_MAX_BATCH_BYTES)
		return err_set(
		    err, ERR_LIMIT, "a batch of %zu bytes is too large", len);
	if (proc_get_u32(&r) != MAGIC)
		return err_set(err, ERR_INVALID, "this is no batch of operations");
	out_batch->settings.log_group = proc_get_u16(&r);
	out_batch->settings.names_group = proc_get_u16(&r);
	out_batch->settings.reject = proc_get_u8(&r) != 0;
	out_batch->settings.steer_mask = proc_get_u32(&r);
	out_batch->settings.no_nat = proc_get_u8(&r) != 0;
	out_batch->settings.validate_sources = proc_get_u8(&r) != 0;
	out_batch->settings.uses = proc_get_u32(&r);
	count = proc_get_u32(&r);
	if (!r.ok || count > OP_MAX_OPS || count > len)
		return err_set(
		    err, ERR_INVALID, "%u operations do not fit the message", count);
	if ((out_batch->settings.uses & ~(uint32_t)USE_ALL) != 0)
		return err_set(err, ERR_INVALID, "uses that there are not");
	out_batch->ops = ARENA_ARRAY(arena, count, struct op);
	out_batch->count = count;
	for (uint32_t i = 0; i < count; i++) {
		int rc = decode_op(arena, &r, out_batch->settings.steer_mask, &left,
		    &out_batch->ops[i], err);

		if (rc != 0)
			return err_wrap(err, "operation %u", i);
		/* A table made anew is the first thing in its batch, or nothing of it holds;
		 * so are its rules, which what follows may be for. */
		if (out_batch->ops[i].kind <= OP_RULES && i != 0)
			return err_set(
			    err, ERR_INVALID, "operation %u: a late table", i);
	}
	if (!proc_reader_done(&r))
		return err_set(err, ERR_INVALID, "bytes follow the last operation");
	return 0;
}
