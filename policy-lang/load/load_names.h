/*
 * Grammars of names, exactly as the API server has them (apimachinery's
 * util/validation). Pure questions about bytes.
 */
#ifndef POLICY_LANG_LOAD_NAMES_H
#define POLICY_LANG_LOAD_NAMES_H

#include "common/str.h"
#include "policy-lang/load/schema.h"

/* RFC 1123 label: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 bytes. */
MUST_CHECK bool name_is_label(struct str s);
/* RFC 1123 subdomain: labels (of any length) joined by dots, at most 253 bytes. */
MUST_CHECK bool name_is_subdomain(struct str s);
/* [A-Za-z0-9] at both ends, and [-_.A-Za-z0-9] between; at most 63 bytes; with an
 * optional prefix, a subdomain and a slash. */
MUST_CHECK bool name_is_qualified(struct str s);
/* An annotation's key: a qualified name, in whatever case. */
MUST_CHECK bool name_is_annotation(struct str s);
/* A label's value: empty, or as the name part of a qualified name. */
MUST_CHECK bool name_is_label_value(struct str s);
/* IANA service name: at most 15 of [-a-z0-9], a letter among them, no hyphen at the
 * ends or beside another. */
MUST_CHECK bool name_is_port(struct str s);
/* As ClusterNetworkPolicy's DomainName: two labels at least, an optional "*." in
 * front, an optional dot behind. */
MUST_CHECK bool name_is_domain(struct str s);
/* The same without "*.", and no mistaken address: its last label is no number. */
MUST_CHECK bool name_is_one_domain(struct str s);
/* One step of a namespace path: as a qualified name's name part, in lower case. */
MUST_CHECK bool name_is_path_step(struct str s);
/* Printable ASCII without spaces, quotes or backslashes; users, groups. */
MUST_CHECK bool name_is_printable(struct str s);
/* None of what must not be shown: what people call a rule, "" too. */
MUST_CHECK bool name_is_shown(struct str s);

/* What the grammar is, to follow "must be". */
#define NAME_LABEL_RULE                                                                \
	"at most 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
#define NAME_SUBDOMAIN_RULE                                                            \
	"at most 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends "   \
	"of each part"
#define NAME_QUALIFIED_RULE                                                            \
	"at most 63 of A-Z, a-z, 0-9, '-', '_' and '.', with a letter or digit at "    \
	"both ends, after an optional DNS name and '/'"
#define NAME_LABEL_VALUE_RULE                                                          \
	"empty, or at most 63 of A-Z, a-z, 0-9, '-', '_' and '.', with a letter or "   \
	"digit at both ends"
#define NAME_PORT_RULE                                                                 \
	"at most 15 of a-z, 0-9 and '-', with a letter, and no '-' at the ends or "    \
	"beside another"
#define NAME_DOMAIN_RULE     "a domain name such as example.org or *.example.org"
#define NAME_ONE_DOMAIN_RULE "a domain name such as api.example.org"
#define NAME_PATH_STEP_RULE                                                            \
	"at most 63 of a-z, 0-9, '-', '_' and '.', with a letter or digit at both "    \
	"ends"

/* The same grammars for those who do not call C. */
extern const struct grammar grammar_placed, grammar_annotation, grammar_subdomain,
    grammar_qualified, grammar_label_value, grammar_port_name, grammar_domain,
    grammar_one_domain, grammar_printable;
/* But for what changes the direction of text, which no pattern that all take says. */
extern const struct grammar grammar_title, grammar_by;
/* A namespace path; a path or the name of a Kubernetes namespace; what a peer may say. */
extern const struct grammar grammar_path, grammar_home, grammar_relative;
/* A native Namespace's own name: a path, or a Kubernetes object's name. */
extern const struct grammar grammar_tree_name;
/* Addresses, prefixes, and either, roughly; and the ports of native rules. */
/* An end of a Test: a workload, a node, an address; a destination may be a domain. */
extern const struct grammar grammar_source, grammar_destination;
extern const struct grammar grammar_ip, grammar_cidr, grammar_address, grammar_port;

/* For those that build on them. */
#define RE_LABEL     "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
#define RE_PART      "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define RE_SUBDOMAIN RE_PART "(\\." RE_PART ")*"
#define RE_NAME      "[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?"

#endif
