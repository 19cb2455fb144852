#include "policy-lang/explain/route_words.h"

#include "policy-lang/explain/explain_internal.h"

const char *
route_prefix_text(const struct ip_prefix *prefix, char *out)
{
	if (prefix->len == ip_bits(prefix->addr.family))
		return ip_format(&prefix->addr, out);
	return ip_prefix_format(prefix, out);
}

void
route_say_found(struct arena *a, struct buf *out, struct route_found found)
{
	const char *phase = phase_name(found.rule->phase);

	if (found.rule->name.len > 0)
		buf_printf(
		    out, "the %s rule \"%.*s\"", phase, STR_ARG(found.rule->name));
	else
		buf_printf(out, "%s %s rule %u", phase,
		    route_kind_name(found.rule->kind), (unsigned)found.rule->index);
	buf_printf(out, " of %s (%s)", route_title(a, found.route),
	    loc_text(a, found.rule->loc));
}

/* ---- what it is about ---- */

static void
say_peers(struct buf *out, const char *before, const struct peer *peers, size_t count)
{
	buf_add_cstr(out, before);
	for (size_t i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? "; or " : "");
		explain_say_peer(out, &peers[i]);
		/* Beside prefixes an ExternalNetwork may have names. */
		for (size_t j = 0;
		     peers[i].kind == PEER_NETWORK && j < peers[i].fqdn_count; j++)
			buf_printf(out, ", %.*s", STR_ARG(peers[i].fqdns[j]));
	}
}

static void
say_prefixes(struct buf *out, const struct ip_prefix *prefixes, size_t count)
{
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%s%s", i > 0 ? ", " : "",
		    route_prefix_text(&prefixes[i], text));
}

void
route_say_reach(struct buf *out, const struct route_rule *rule)
{
	switch (rule->kind) {
	case ROUTE_EGRESS:
		if (rule->to_count > 0)
			say_peers(out, "to ", rule->to, rule->to_count);
		else
			buf_add_cstr(out, "to everywhere outside");
		break;
	case ROUTE_INGRESS:
		if (rule->address_count > 0)
			say_prefixes(out, rule->addresses, rule->address_count);
		else
			buf_add_cstr(out, "any address");
		break;
	case ROUTE_VIA:
		if (rule->from_count > 0)
			say_peers(out, "from ", rule->from, rule->from_count);
		buf_add_cstr(out, rule->from_count > 0 ? " " : "");
		if (rule->to_count > 0)
			say_peers(out, "to ", rule->to, rule->to_count);
		else
			buf_add_cstr(out, "to every workload");
		break;
	}
	if (rule->port_count == 0)
		return;
	buf_add_cstr(out, ", at ");
	explain_say_port_list(out, rule->ports, rule->port_count);
}

/* ---- what it does ---- */

static void
say_egress(struct buf *out, const struct route_rule *rule)
{
	const char *semicolon = "";
	char text[IP_TEXT_BYTES];

	if (rule->source_count > 0) {
		buf_add_cstr(out, "source ");
		say_prefixes(out, rule->sources, rule->source_count);
		semicolon = "; ";
	}
	if (rule->gateway_selector != NULL) {
		buf_printf(out, "%sgateway one of the nodes labelled ", semicolon);
		explain_say_selector(out, rule->gateway_selector);
		semicolon = "; ";
	}
	for (size_t i = 0; i < rule->gateway_count; i++) {
		buf_printf(out, "%s%s", i > 0 ? ", else " : semicolon,
		    i > 0 ? "" : "gateway ");
		buf_add_str(out, rule->gateways[i]);
		semicolon = "; ";
	}
	for (size_t i = 0; i < rule->next_hop_count; i++) {
		buf_printf(out, "%s%s%s", i > 0 ? ", " : semicolon,
		    i > 0 ? "" : "next hop ", ip_format(&rule->next_hops[i], text));
		semicolon = "; ";
	}
	if (rule->table != 0)
		buf_printf(out, "%stable %u", semicolon, (unsigned)rule->table);
}

static const char *
balance_text(const struct route_rule *rule)
{
	return rule->balance == BALANCE_HASH ? "by the client's address" : "at random";
}

static void
say_ingress(struct buf *out, const struct route_rule *rule)
{
	buf_add_cstr(out, "to ");
	for (size_t i = 0; i < rule->backend_count; i++) {
		const struct route_backend *b = &rule->backends[i];

		buf_add_cstr(out, i > 0 ? "; or " : "");
		explain_say_match(out, &b->workloads);
		if (b->weight != 1)
			buf_printf(out, " (weight %u)", (unsigned)b->weight);
	}
	if (rule->target_name.len > 0)
		buf_printf(out, ", there at port %.*s", STR_ARG(rule->target_name));
	else if (rule->target_port != 0)
		buf_printf(out, ", there at %u", (unsigned)rule->target_port);
	buf_printf(out, "; %s", balance_text(rule));
}

static void
say_via(struct buf *out, const struct route_rule *rule)
{
	explain_say_match(out, &rule->through);
	buf_printf(out, "; %s; where none is there %s", balance_text(rule),
	    rule->direct_on_failure ? "direct" : "deny");
}

void
route_say_effect(struct buf *out, const struct route_rule *rule)
{
	static void (*const say[ROUTE_KIND_COUNT])(
	    struct buf * out, const struct route_rule *rule) = {
	    [ROUTE_EGRESS] = say_egress,
	    [ROUTE_INGRESS] = say_ingress,
	    [ROUTE_VIA] = say_via,
	};

	if (rule->action == ROUTE_APPLY)
		say[rule->kind](out, rule);
}
