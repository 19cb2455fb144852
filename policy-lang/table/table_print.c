/*
 * The table as nft(8) reads it. What nft 1.0.6 needs is here: class ids are "major:minor" in
 * hexadecimal (0 is "none"), a range of one is written as a single value, and a
 * definition's elements stand in its block.
 */
#include <string.h>

#include "policy-lang/table/table_text.h"

/* ---- elements ---- */

static void
print_class(struct buf *out, uint32_t id)
{
	if (id == 0)
		buf_add_cstr(out, "none");
	else
		buf_printf(out, "%x:%x", (unsigned)(id >> 16), (unsigned)(id & 0xffff));
}

static void
print_field(struct buf *out, const struct table_set *set, enum table_field field,
    const struct table_element *e)
{
	switch (field) {
	case FIELD_CLASSID:
		print_class(out, e->class_id);
		break;
	case FIELD_IPV4:
	case FIELD_IPV6:
		table_text_addr(out, field, e->addr);
		if (table_set_ranges(set) &&
		    memcmp(e->addr, e->addr_end, sizeof(e->addr)) != 0) {
			buf_add_char(out, '-');
			table_text_addr(out, field, e->addr_end);
		}
		break;
	case FIELD_IFNAME:
		table_text_interface(out, e);
		break;
	case FIELD_NFPROTO:
		buf_add_cstr(out, e->proto == table_nfproto(IP_V4) ? "ipv4" : "ipv6");
		break;
	case FIELD_PROTO:
		/* Numbers: names would depend on the machine's /etc/protocols. */
		buf_printf(out, "%u", (unsigned)e->proto);
		break;
	case FIELD_SERVICE:
		buf_printf(out, "%u", (unsigned)e->port_lo);
		if (set->interval && e->port_hi != e->port_lo)
			buf_printf(out, "-%u", (unsigned)e->port_hi);
		break;
	case FIELD_SLOT:
		buf_printf(out, "%u", (unsigned)e->port_lo);
		break;
	case FIELD_MARK:
		buf_printf(out, "0x%08x", (unsigned)table_element_mark(e));
		break;
	case FIELD_NONE:
	case FIELD_VERDICT:
	case FIELD_IPV4_PORT:
	case FIELD_IPV6_PORT:
		break;
	}
}

/* The address, and the port, that a map leads to. */
static void
print_end(struct buf *out, enum table_field value, const struct table_element *e)
{
	table_text_addr(out, value, e->addr_end);
	if (table_value_has_port(value))
		buf_printf(out, " . %u", (unsigned)e->port_hi);
}

static void
print_element(
    struct buf *out, const struct table_set *set, const struct table_element *e)
{
	for (size_t i = 0; i < TABLE_KEY_FIELDS && set->key[i] != FIELD_NONE; i++) {
		if (i != 0)
			buf_add_cstr(out, " . ");
		print_field(out, set, set->key[i], e);
	}
	if (set->value == FIELD_VERDICT)
		buf_printf(out, " : goto rule_%u", (unsigned)e->value);
	if (set->value == FIELD_CLASSID) {
		buf_add_cstr(out, " : ");
		print_class(out, e->value);
	}
	if (table_value_is_address(set->value)) {
		buf_add_cstr(out, " : ");
		print_end(out, set->value, e);
	}
}

/* ---- sets ---- */

static const char *const field_types[] = {
    [FIELD_CLASSID] = "classid",
    [FIELD_IPV4] = "ipv4_addr",
    [FIELD_IPV6] = "ipv6_addr",
    [FIELD_IFNAME] = "ifname",
    [FIELD_NFPROTO] = "nf_proto",
    [FIELD_PROTO] = "inet_proto",
    [FIELD_SERVICE] = "inet_service",
    [FIELD_MARK] = "mark",
    [FIELD_VERDICT] = "verdict",
    [FIELD_IPV4_PORT] = "ipv4_addr . inet_service",
    [FIELD_IPV6_PORT] = "ipv6_addr . inet_service",
};

/* A slot has no type of its own: it is of the type of what makes one. */
static void
print_type(struct buf *out, const struct table_set *set)
{
	if (set->slots != 0) {
		buf_printf(out,
		    "typeof meta priority . numgen random mod %u : meta priority",
		    (unsigned)set->slots);
		return;
	}
	buf_add_cstr(out, "type ");
	for (size_t i = 0; i < TABLE_KEY_FIELDS && set->key[i] != FIELD_NONE; i++)
		buf_printf(out, "%s%s", i != 0 ? " . " : "", field_types[set->key[i]]);
	if (set->value != FIELD_NONE)
		buf_printf(out, " : %s", field_types[set->value]);
}

static void
print_set(struct buf *out, enum table_set_id id, const struct table_element *elements,
    size_t count)
{
	const struct table_set *set = &table_sets[id];
	const uint32_t room = table_set_room(id, count);

	buf_printf(out, "\n\t%s %s {\n\t\t", set->value == FIELD_NONE ? "set" : "map",
	    set->name);
	print_type(out, set);
	buf_add_char(out, '\n');
	if (room != 0)
		buf_printf(out, "\t\tsize %u\n", (unsigned)room);
	if (set->interval)
		buf_add_cstr(out, "\t\tflags interval\n");
	if (set->room != 0)
		buf_printf(out, "\t\tsize %u\n\t\tflags dynamic%s\n",
		    (unsigned)set->room, set->timeout_s != 0 ? ",timeout" : "");
	if (set->timeout_s != 0)
		buf_printf(out, "\t\ttimeout %us\n", (unsigned)set->timeout_s);
	buf_printf(out, "\t\tcomment \"%s\"\n", set->comment);
	for (size_t i = 0; i < count; i++) {
		buf_add_cstr(out, i == 0 ? "\t\telements = { " : ",\n\t\t\t     ");
		print_element(out, set, &elements[i]);
	}
	buf_add_cstr(out, count != 0 ? " }\n\t}\n" : "\t}\n");
}

/* ---- rules ---- */

/* The key of a look-up: "meta priority . ip daddr . ..."; `mask`: settings.steer_mask. */
static void
print_load(struct buf *out, const struct table_stmt *stmt, uint32_t mask)
{
	const struct table_set *set = &table_sets[stmt->set];
	static const char *const texts[] = {
	    [LOAD_PRIORITY] = "meta priority",
	    [LOAD_NFPROTO] = "meta nfproto",
	    [LOAD_IIFNAME] = "iifname",
	    [LOAD_OIFNAME] = "oifname",
	    [LOAD_SADDR] = "saddr",
	    [LOAD_DADDR] = "daddr",
	    [LOAD_L4PROTO] = "meta l4proto",
	    [LOAD_DPORT] = "th dport",
	    [LOAD_SPORT] = "th sport",
	    [LOAD_CT_MARK] = "ct mark",
	    [LOAD_CT_SADDR] = "saddr",
	    [LOAD_CT_DADDR] = "daddr",
	    [LOAD_HASH4] = "jhash ip saddr",
	    [LOAD_HASH6] = "jhash ip6 saddr",
	    [LOAD_ENDS4] = "jhash ip saddr . ip daddr",
	    [LOAD_ENDS6] = "jhash ip6 saddr . ip6 daddr",
	    [LOAD_ENDS4_BACK] = "jhash ip daddr . ip saddr",
	    [LOAD_ENDS6_BACK] = "jhash ip6 daddr . ip6 saddr",
	    [LOAD_RANDOM] = "numgen random",
	};

	for (size_t i = 0; i < TABLE_KEY_FIELDS && stmt->load[i] != LOAD_NONE; i++) {
		if (i != 0)
			buf_add_cstr(out, " . ");
		if (stmt->load[i] == LOAD_CT_SADDR || stmt->load[i] == LOAD_CT_DADDR)
			buf_add_cstr(out, "ct original ");
		if (stmt->load[i] == LOAD_SADDR || stmt->load[i] == LOAD_DADDR ||
		    stmt->load[i] == LOAD_CT_SADDR || stmt->load[i] == LOAD_CT_DADDR)
			buf_add_cstr(out, set->key[i] == FIELD_IPV4 ? "ip " : "ip6 ");
		buf_add_cstr(out, texts[stmt->load[i]]);
		if (stmt->load[i] == LOAD_CT_MARK)
			buf_printf(out, " & 0x%08x", (unsigned)mask);
		if (stmt->load[i] >= LOAD_HASH4)
			buf_printf(out, " mod %u", (unsigned)set->slots);
		if (stmt->load[i] >= LOAD_HASH4 && stmt->load[i] < LOAD_RANDOM)
			buf_printf(out, " seed 0x%x", (unsigned)TABLE_HASH_SEED);
	}
}

/* What is the same for every statement of a kind; the rest in print_stmt. */
static const char *const stmt_texts[] = {
    [STMT_CT_ESTABLISHED] = "ct state established,related",
    [STMT_LOOPBACK] = "iif \"lo\"",
    [STMT_LOOPBACK_OUT] = "oif \"lo\"",
    [STMT_TCP_MIDSTREAM] = "tcp flags & (fin | syn | rst | ack) != syn ct state new",
    [STMT_CT_DNAT] = "ct status dnat",
    [STMT_CT_ORIGINAL] = "ct direction original",
    [STMT_CT_REPLY] = "ct direction reply",
    [STMT_CT_STRAY] = "ct state invalid,untracked",
    [STMT_CAME_ELSEWHERE] = "fib saddr . iif oif missing",
    [STMT_CAME_BACK] = "fib saddr . mark . iif oif exists",
    [STMT_MASQUERADE] = "masquerade",
    [STMT_CT_UNCONFIRMED] = "ct status ! confirmed",
    [STMT_CT_CONFIRMED] = "ct status confirmed",
    [STMT_COUNTER] = "counter",
    [STMT_DROP] = "drop",
    [STMT_REJECT_RESET] = "reject with tcp reset",
    [STMT_ON_LINK] = "ip6 hoplimit 255",
    [STMT_REJECT_ADMIN] = "reject with icmpx admin-prohibited",
    [STMT_ACCEPT] = "accept",
    [STMT_RETURN] = "return",
};

static void
print_icmp_type(struct buf *out, const struct table_stmt *stmt)
{
	unsigned first = stmt->value >> 8, last = stmt->value & UINT8_MAX;

	buf_printf(
	    out, "%s type %u", stmt->kind == STMT_ICMP_TYPE ? "icmp" : "icmpv6", first);
	if (last != first)
		buf_printf(out, "-%u", last);
}

static const char *
unit_text(uint32_t seconds)
{
	switch (seconds) {
	case TABLE_MINUTE:
		return "minute";
	case TABLE_HOUR:
		return "hour";
	case TABLE_DAY:
		return "day";
	case TABLE_WEEK:
		return "week";
	default:
		return "second";
	}
}

/* A bucket, or without one a count of connections. */
static void
print_limit(struct buf *out, const struct table_stmt *stmt)
{
	const struct table_bucket *b = &stmt->bucket;
	const char *over = stmt->invert ? "over " : "";

	if (b->rate == 0)
		buf_printf(out, "ct count %s%u", over, (unsigned)stmt->value);
	else
		buf_printf(out, "limit rate %s%llu%s/%s burst %u %s", over,
		    (unsigned long long)b->rate, b->bytes ? " bytes" : "",
		    unit_text(b->unit_s), (unsigned)b->burst,
		    b->bytes ? "bytes" : "packets");
}

/* False for a statement of another kind. */
static bool
print_limiting(struct buf *out, const struct table_stmt *stmt, uint32_t mask)
{
	const char *set = table_sets[stmt->set].name;

	switch ((int)stmt->kind) {
	case STMT_VMAP:
		print_load(out, stmt, mask);
		buf_printf(out, " vmap @%s", set);
		return true;
	case STMT_LIMIT:
	case STMT_CT_COUNT:
		print_limit(out, stmt);
		return true;
	case STMT_OWN:
		buf_printf(out, "add @%s { ", set);
		print_load(out, stmt, mask);
		buf_add_char(out, ' ');
		print_limit(out, stmt);
		buf_add_cstr(out, " }");
		return true;
	case STMT_JUMP_NUMBER:
	case STMT_GOTO_NUMBER:
		buf_printf(out, "%s rule_%u",
		    stmt->kind == STMT_JUMP_NUMBER ? "jump" : "goto",
		    (unsigned)stmt->value);
		return true;
	default:
		return false;
	}
}

/* Some bits of the mark, asked for or set. */
static void
print_mark(struct buf *out, const struct table_stmt *stmt, uint32_t mask)
{
	bool of_ct = stmt->kind == STMT_CT_MARKED || stmt->kind == STMT_CT_MARK;
	const char *what = of_ct ? "ct mark" : "meta mark";

	if (stmt->kind == STMT_MARKED || stmt->kind == STMT_CT_MARKED) {
		buf_printf(out, "%s & 0x%08x != 0x00000000", what, (unsigned)mask);
		return;
	}
	buf_printf(out, "%s set %s & 0x%08x", what, what, (unsigned)~mask);
	if (stmt->value != 0)
		buf_printf(out, " | 0x%08x", (unsigned)stmt->value);
}

static void
print_stmt(struct buf *out, const struct table_stmt *stmt,
    const struct table_settings *settings)
{
	const char *set = table_sets[stmt->set].name;

	if ((size_t)stmt->kind < ARRAY_LEN(stmt_texts) &&
	    stmt_texts[stmt->kind] != NULL) {
		buf_add_cstr(out, stmt_texts[stmt->kind]);
	} else if (print_limiting(out, stmt, settings->steer_mask)) {
		return;
	} else if (stmt->kind == STMT_FAMILY) {
		buf_printf(out, "meta nfproto ipv%u", (unsigned)stmt->value);
	} else if (stmt->kind == STMT_ICMP_TYPE || stmt->kind == STMT_ICMPV6_TYPE) {
		print_icmp_type(out, stmt);
	} else if (stmt->kind == STMT_L4PROTO) {
		buf_printf(out, "meta l4proto %u", (unsigned)stmt->value);
	} else if (stmt->kind == STMT_IIF_KIND) {
		buf_printf(out, "meta iifkind \"%s\"", stmt->iif_kind);
	} else if (stmt->kind == STMT_CT_ASKED) {
		buf_printf(out, "ct original proto-dst %u", (unsigned)stmt->value);
	} else if (stmt->kind == STMT_LOOKUP) {
		print_load(out, stmt, settings->steer_mask);
		buf_printf(out, " %s@%s", stmt->invert ? "!= " : "", set);
	} else if (stmt->kind == STMT_PRIORITY_MAP) {
		buf_add_cstr(out, "meta priority set ");
		print_load(out, stmt, settings->steer_mask);
		buf_printf(out, " map @%s", set);
	} else if (stmt->kind == STMT_PRIORITY_CONST) {
		buf_add_cstr(out, "meta priority set ");
		print_class(out, stmt->value);
	} else if (stmt->kind == STMT_PRIORITY_VMAP) {
		buf_printf(out, "meta priority vmap @%s", set);
	} else if (stmt->kind >= STMT_MARKED && stmt->kind <= STMT_CT_MARK) {
		print_mark(out, stmt, settings->steer_mask);
	} else if (stmt->kind == STMT_SNAT || stmt->kind == STMT_DNAT) {
		enum ip_family to = table_value_family(table_sets[stmt->set].value);

		buf_printf(out, "%s %s to meta priority map @%s",
		    stmt->kind == STMT_SNAT ? "snat" : "dnat",
		    to == IP_V4 ? "ip" : "ip6", set);
	} else if (stmt->kind == STMT_LOG) {
		buf_printf(out, "log prefix \"%u\" group %u", (unsigned)stmt->value,
		    (unsigned)settings->log_group);
	} else if (stmt->kind == STMT_LOG_NAMES) {
		buf_printf(
		    out, "log prefix \"0\" group %u", (unsigned)settings->names_group);
	} else {
		buf_printf(out, "%s %s", stmt->kind == STMT_JUMP ? "jump" : "goto",
		    stmt->chain);
	}
}

static void
print_rules(struct buf *out, const struct table_rule *rules, size_t count,
    const struct table_settings *settings)
{
	for (size_t i = 0; i < count; i++) {
		if (!table_rule_is_on(&rules[i], settings))
			continue;
		buf_add_cstr(out, "\t\t");
		for (size_t j = 0; j < rules[i].count; j++) {
			if (j != 0)
				buf_add_char(out, ' ');
			print_stmt(out, &rules[i].stmts[j], settings);
		}
		if (rules[i].comment != NULL)
			buf_printf(out, " comment \"%s\"", rules[i].comment);
		buf_add_char(out, '\n');
	}
}

static void
print_chain(struct buf *out, const struct table_chain *chain,
    const struct table_settings *settings)
{
	static const char *const hooks[] = {
	    [HOOK_FORWARD] = "forward",
	    [HOOK_INPUT] = "input",
	    [HOOK_OUTPUT] = "output",
	    [HOOK_PREROUTING] = "prerouting",
	    [HOOK_POSTROUTING] = "postrouting",
	};

	buf_printf(out, "\n\tchain %s {\n", chain->name);
	if (chain->hook != HOOK_NONE)
		buf_printf(out, "\t\ttype %s hook %s priority %d; policy accept;\n",
		    chain->nat ? "nat" : "filter", hooks[chain->hook],
		    (int)chain->priority);
	print_rules(out, chain->rules, chain->rule_count, settings);
	buf_add_cstr(out, "\t}\n");
}

static void
print_rule_chain(struct buf *out, const struct table_rule_chain *chain,
    const struct table_settings *settings)
{
	struct table_rule rules[TABLE_RULE_CHAIN_RULES];
	size_t count = table_rule_chain_rules(chain, settings, rules);

	buf_printf(out, "\n\tchain rule_%u {\n", (unsigned)chain->number);
	print_rules(out, rules, count, settings);
	buf_add_cstr(out, "\t}\n");
}

void
table_print_nft(struct buf *out, const struct table_content *content)
{
	/* The first line makes sure that there is something to delete. */
	buf_add_cstr(out, "table " TABLE_FAMILY " " TABLE_NAME "\n"
			  "delete table " TABLE_FAMILY " " TABLE_NAME "\n"
			  "table " TABLE_FAMILY " " TABLE_NAME " {");
	for (size_t i = 0; i < SET_COUNT; i++)
		print_set(out, (enum table_set_id)i, content->elements[i],
		    content->element_count[i]);
	for (size_t i = 0; i < content->rule_chain_count; i++)
		print_rule_chain(out, &content->rule_chains[i], &content->settings);
	for (size_t i = 0; i < table_chain_count; i++) {
		if (table_chain_is_on(&table_chains[i], &content->settings))
			print_chain(out, &table_chains[i], &content->settings);
	}
	buf_add_cstr(out, "}\n");
}
