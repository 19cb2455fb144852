/*
 * Every diagnostic of the language: one table of stable codes. Scripts and
 * editors match on the codes, so a code is never renamed and never reused.
 */
#ifndef POLICY_LANG_CODES_H
#define POLICY_LANG_CODES_H

#include "common/diag.h"

/* X(enumerator, code, severity, explanation) */
#define DIAG_CODES(X)                                                                  \
	X(CODE_NOT_AN_OBJECT, "not-an-object", DIAG_ERROR,                             \
	    "A document of a known kind, or an item of a list, is not a map or "       \
	    "lacks apiVersion or kind.")                                               \
	X(CODE_SKIPPED_KIND, "skipped-kind", DIAG_NOTE,                                \
	    "Documents of this kind have no bearing on policy and were skipped.")      \
	X(CODE_UNKNOWN_KIND, "unknown-kind", DIAG_ERROR,                               \
	    "The kind is not one of its API group's, and looks like a policy kind "    \
	    "misspelt.")                                                               \
	X(CODE_UNKNOWN_API_VERSION, "unknown-api-version", DIAG_ERROR,                 \
	    "This kind exists, but not in the apiVersion given.")                      \
	X(CODE_LIST_DEPTH, "list-depth", DIAG_ERROR,                                   \
	    "List objects are nested too deeply.")                                     \
	X(CODE_DUPLICATE_OBJECT, "duplicate-object", DIAG_ERROR,                       \
	    "Two objects have the same kind, namespace and name.")                     \
	X(CODE_UNKNOWN_FIELD, "unknown-field", DIAG_ERROR,                             \
	    "The object has no such field. What is not understood is not enforced, "   \
	    "so it is refused.")                                                       \
	X(CODE_WRONG_TYPE, "wrong-type", DIAG_ERROR,                                   \
	    "The value is of another type than the field.")                            \
	X(CODE_MISSING_FIELD, "missing-field", DIAG_ERROR,                             \
	    "A field that must be given is absent, or null.")                          \
	X(CODE_BAD_VALUE, "bad-value", DIAG_ERROR,                                     \
	    "The value is of the right type but not one that the field can have.")     \
	X(CODE_TOO_MANY, "too-many", DIAG_ERROR,                                       \
	    "A list or map has more or fewer entries than it may have.")               \
	X(CODE_DUPLICATE_VALUE, "duplicate-value", DIAG_ERROR,                         \
	    "A list whose entries must differ has the same entry twice.")              \
	X(CODE_BAD_NAME, "bad-name", DIAG_ERROR,                                       \
	    "A name does not follow the grammar of names.")                            \
	X(CODE_ODD_NAME, "odd-name", DIAG_WARNING,                                     \
	    "The API server would refuse this name; as it stands in a file, nothing "  \
	    "depends on it.")                                                          \
	X(CODE_BAD_LABEL, "bad-label", DIAG_ERROR,                                     \
	    "A label's key or value does not follow the grammar of labels.")           \
	X(CODE_DEAD_LABEL, "dead-label", DIAG_WARNING,                                 \
	    "A selector names a label that no object can bear: it matches nothing.")   \
	X(CODE_BAD_PATH, "bad-path", DIAG_ERROR,                                       \
	    "A namespace path is malformed, too deep or too long, or leads above /.")  \
	X(CODE_UNKNOWN_NAMESPACE, "unknown-namespace", DIAG_WARNING,                   \
	    "No document declares this namespace. It is taken to exist, but the name " \
	    "may be misspelt.")                                                        \
	X(CODE_PLACED_TWICE, "placed-twice", DIAG_ERROR,                               \
	    "Two Namespace documents place the same Kubernetes namespace at "          \
	    "different "                                                               \
	    "paths.")                                                                  \
	X(CODE_UNKNOWN_CLUSTER, "unknown-cluster", DIAG_WARNING,                       \
	    "The cluster named is none of those that were given.")                     \
	X(CODE_WHICH_CLUSTER, "which-cluster", DIAG_ERROR,                             \
	    "With several clusters, a Kubernetes namespace needs to say which one it " \
	    "is in.")                                                                  \
	X(CODE_BAD_SELECTOR, "bad-selector", DIAG_ERROR,                               \
	    "A label selector's requirement contradicts its operator.")                \
	X(CODE_ODD_SELECTOR, "odd-selector", DIAG_WARNING,                             \
	    "The API server takes this requirement of a selector, but it means "       \
	    "nothing; the rule fails closed.")                                         \
	X(CODE_NULL_SELECTOR, "null-selector", DIAG_WARNING,                           \
	    "podSelector is present but null; the API server takes that for {}, "      \
	    "which "                                                                   \
	    "selects every pod of the namespace.")                                     \
	X(CODE_ABSENT_SELECTOR, "absent-selector", DIAG_WARNING,                       \
	    "A selector that the API server wants is absent; it is read as {}, "       \
	    "which selects everything.")                                               \
	X(CODE_BAD_CIDR, "bad-cidr", DIAG_ERROR,                                       \
	    "Not an address prefix such as 10.0.0.0/8 or fd00::/8.")                   \
	X(CODE_LOOSE_CIDR, "loose-cidr", DIAG_WARNING,                                 \
	    "The prefix has host bits, leading zeros or an IPv4-mapped spelling; it "  \
	    "is read as the prefix shown.")                                            \
	X(CODE_BAD_EXCEPT, "bad-except", DIAG_ERROR,                                   \
	    "An exception must be a smaller part of the cidr that it is cut out of.")  \
	X(CODE_BAD_ADDRESS, "bad-address", DIAG_ERROR, "Not an IP address.")           \
	X(CODE_BAD_PORT, "bad-port", DIAG_ERROR,                                       \
	    "A port, port range, port name or protocol is malformed or out of range.") \
	X(CODE_EMPTY_RANGE, "empty-range", DIAG_WARNING,                               \
	    "A port range ends before it starts: it matches nothing.")                 \
	X(CODE_ODD_PROTOCOL, "odd-protocol", DIAG_WARNING,                             \
	    "The API server takes this protocol, but there is none of that name; the " \
	    "rule fails closed.")                                                      \
	X(CODE_EMPTY_PEER, "empty-peer", DIAG_ERROR,                                   \
	    "A peer must say who it is; leave the list out to mean everyone.")         \
	X(CODE_MIXED_PEER, "mixed-peer", DIAG_ERROR,                                   \
	    "These ways of naming a peer cannot be combined in one list item.")        \
	X(CODE_UNKNOWN_EXTERNAL, "unknown-external", DIAG_ERROR,                       \
	    "No ExternalNetwork of this name is visible from the policy's namespace.") \
	X(CODE_EMPTY_EXTERNAL, "empty-external", DIAG_WARNING,                         \
	    "The ExternalNetwork has no address and no name: it matches nothing.")     \
	X(CODE_UNKNOWN_NODE, "unknown-node", DIAG_WARNING,                             \
	    "No node of this name is known.")                                          \
	X(CODE_NAMED_PORT_PEER, "named-port-peer", DIAG_ERROR,                         \
	    "Networks, nodes and domain names have no named ports.")                   \
	X(CODE_NODE_SUBJECT, "node-subject", DIAG_ERROR,                               \
	    "A policy for nodes stands at / and is for nothing else.")                 \
	X(CODE_ALLOW_ACTION, "allow-action", DIAG_ERROR,                               \
	    "Rules of an allow block only allow; deny and pass belong to mandatory "   \
	    "and default.")                                                            \
	X(CODE_BAD_QUANTITY, "bad-quantity", DIAG_ERROR,                               \
	    "Not an amount such as 64, 500m, 256Gi or 1e3.")                           \
	X(CODE_BAD_RULE, "bad-rule", DIAG_ERROR,                                       \
	    "The fields of a rule contradict each other.")                             \
	X(CODE_OUTSIDE_SUBTREE, "outside-subtree", DIAG_ERROR,                         \
	    "A document governs only what is at or below the namespace that it is "    \
	    "written in.")                                                             \
	X(CODE_NEVER_JUDGED, "never-judged", DIAG_WARNING,                             \
	    "The rule can never apply where it is written.")                           \
	X(CODE_ODD_VERB, "odd-verb", DIAG_WARNING,                                     \
	    "The verb looks like a misspelling of one that the API server knows.")     \
	X(CODE_SHARED_ADDRESS, "shared-address", DIAG_WARNING,                         \
	    "Two have one address: a pod or a node keeps it, else the first one.")     \
	X(CODE_SELECTS_NOTHING, "selects-nothing", DIAG_WARNING,                       \
	    "The policy's selector matches none of the workloads known.")              \
	X(CODE_PORT_NAME_UNKNOWN, "port-name-unknown", DIAG_WARNING,                   \
	    "No workload known gives a port this name: the entry matches nothing.")    \
	X(CODE_SAME_PRIORITY, "same-priority", DIAG_NOTE,                              \
	    "Two cluster-wide policies have the same priority; their names decide "    \
	    "which is first.")                                                         \
	X(CODE_ISOLATES_WHOLLY, "isolates-wholly", DIAG_NOTE,                          \
	    "The policy isolates and allows nothing.")                                 \
	X(CODE_SHADOWED_RULE, "shadowed-rule", DIAG_WARNING,                           \
	    "Rules before this one, in the same list, decide all that it could "       \
	    "match.")                                                                  \
	X(CODE_UNREACHABLE_RULE, "unreachable-rule", DIAG_WARNING,                     \
	    "What comes earlier in the walk decides all that this could match.")       \
	X(CODE_REDUNDANT_RULE, "redundant-rule", DIAG_NOTE,                            \
	    "Other rules of the allow blocks at this level allow all of it.")          \
	X(CODE_REDUNDANT_PEER, "redundant-peer", DIAG_NOTE,                            \
	    "Another entry of the list of peers takes in all of this one.")            \
	X(CODE_REDUNDANT_PORT, "redundant-port", DIAG_NOTE,                            \
	    "Another entry of the list of ports takes in all of this one.")            \
	X(CODE_TWO_ITEMS, "two-items", DIAG_NOTE,                                      \
	    "A namespaceSelector and a podSelector are two items, which means "        \
	    "either; "                                                                 \
	    "one item with both was probably meant.")                                  \
	X(CODE_PRIORITY_CONFLICT, "priority-conflict", DIAG_WARNING,                   \
	    "Two policies of one priority decide some connections differently; only "  \
	    "their names say which is first.")                                         \
	X(CODE_PEER_MATCHES_NOTHING, "peer-matches-nothing", DIAG_WARNING,             \
	    "There are workloads where the peer is looked for, and none of them is "   \
	    "what it asks for.")                                                       \
	X(CODE_NAMESPACES_MATCH_NOTHING, "namespaces-match-nothing", DIAG_WARNING,     \
	    "A selector of namespaces matches none of those known.")                   \
	X(CODE_NODES_MATCH_NOTHING, "nodes-match-nothing", DIAG_WARNING,               \
	    "A selector of nodes matches none of those known.")                        \
	X(CODE_PEER_UNKNOWN, "peer-unknown", DIAG_NOTE,                                \
	    "No workload is known where the peer is looked for.")                      \
	X(CODE_PORT_NAME_PARTIAL, "port-name-partial", DIAG_NOTE,                      \
	    "Only some of the workloads that the rule speaks of have a port of this "  \
	    "name.")                                                                   \
	X(CODE_PORT_NAME_PROTOCOL, "port-name-protocol", DIAG_WARNING,                 \
	    "The workloads have a port of this name, in another protocol.")            \
	X(CODE_EXCEPT_CANCELS, "except-cancels", DIAG_WARNING,                         \
	    "The exceptions together leave nothing of the prefix.")                    \
	X(CODE_ONE_FAMILY, "one-family", DIAG_WARNING,                                 \
	    "All addresses of one family are meant, and workloads have both.")         \
	X(CODE_CIDR_COVERS_WORKLOADS, "cidr-covers-workloads", DIAG_NOTE,              \
	    "An address prefix takes in workloads, which change their addresses.")     \
	X(CODE_CIDR_COVERS_NODES, "cidr-covers-nodes", DIAG_NOTE,                      \
	    "An address prefix takes in addresses of nodes.")                          \
	X(CODE_CIDR_COVERS_SERVICES, "cidr-covers-services", DIAG_WARNING,             \
	    "An address prefix takes in the address of a Service and not what is "     \
	    "behind it; policy sees only the latter.")                                 \
	X(CODE_SERVICE_SELECTS_NOTHING, "service-selects-nothing", DIAG_WARNING,       \
	    "The selector of a Service matches no pod of its namespace.")              \
	X(CODE_SERVICE_PORT_UNKNOWN, "service-port-unknown", DIAG_WARNING,             \
	    "No pod of a Service has a port of the name that it leads to.")            \
	X(CODE_CUTS_DNS, "cuts-dns", DIAG_WARNING,                                     \
	    "Workloads that may connect somewhere may not ask for names.")             \
	X(CODE_CUTS_API_SERVER, "cuts-api-server", DIAG_WARNING,                       \
	    "Workloads may not connect to the API server.")                            \
	X(CODE_TENANTS_OPENED, "tenants-opened", DIAG_NOTE,                            \
	    "A rule lets workloads of another tenant in, and nothing at their end "    \
	    "forbids it.")                                                             \
	X(CODE_UNSELECTED, "unselected-workloads", DIAG_NOTE,                          \
	    "No policy selects some workloads: the cluster's default decides.")        \
	X(CODE_DEFAULT_ALONE, "default-alone", DIAG_NOTE,                              \
	    "Between some workloads the cluster default decides everything: no "       \
	    "policy of either end speaks of the other.")                               \
	X(CODE_ACCESS_SHADOWED, "access-shadowed", DIAG_WARNING,                       \
	    "Access rules before this one decide all that it could match.")            \
	X(CODE_NO_OWNER, "no-owner", DIAG_NOTE,                                        \
	    "A tenant's top namespace has no owners.")                                 \
	X(CODE_QUOTA_NO_EFFECT, "quota-no-effect", DIAG_WARNING,                       \
	    "A limit is above one of the same kind further up the path.")              \
	X(CODE_QUOTA_SMALL_BURST, "quota-small-burst", DIAG_WARNING,                   \
	    "Connections that come close together exceed a limit of many.")            \
	X(CODE_ROUTE_CONFLICT, "route-conflict", DIAG_ERROR,                           \
	    "Two Routes publish the same address and port, and neither "               \
	    "overrides the other.")                                                    \
	X(CODE_ROUTE_SHADOWED, "route-shadowed", DIAG_WARNING,                         \
	    "A rule of a Route never decides: rules before it take all that it "       \
	    "could match.")                                                            \
	X(CODE_ROUTE_FAMILY, "route-family", DIAG_WARNING,                             \
	    "A route has a source or next hop for one address family, and "            \
	    "matches connections of the other: these are refused.")                    \
	X(CODE_ROUTE_SOURCE_TAKEN, "route-source-taken", DIAG_WARNING,                 \
	    "The source address of a route is that of a workload, or of a node "       \
	    "that is no gateway of it.")                                               \
	X(CODE_ROUTE_SOURCE_UNOWNED, "route-source-unowned", DIAG_NOTE,                \
	    "No gateway of a route is known to have its source address. A "            \
	    "gateway must have it, or announce it.")                                   \
	X(CODE_GATEWAYS_MATCH_NOTHING, "gateways-match-nothing", DIAG_WARNING,         \
	    "The gateway selector of a route matches no known node: what the "         \
	    "route matches is refused.")                                               \
	X(CODE_ROUTE_TARGET_NOTHING, "route-target-nothing", DIAG_WARNING,             \
	    "A Route publishes, or sends through, workloads of which there are none.") \
	X(CODE_ROUTE_PORT_UNKNOWN, "route-port-unknown", DIAG_WARNING,                 \
	    "A Route names a port that nothing which it leads to has.")                \
	X(CODE_ROUTE_LOOP, "route-loop", DIAG_WARNING,                                 \
	    "What a via rule sends connections through is an end of them. Such "       \
	    "connections are left to the next rule.")                                  \
	X(CODE_PUBLISHED_CLOSED, "published-closed", DIAG_WARNING,                     \
	    "A Route publishes workloads whose ingress policy lets nobody from "       \
	    "outside in.")                                                             \
	X(CODE_IGNORED_RULES, "ignored-rules", DIAG_WARNING,                           \
	    "policyTypes leaves a direction out for which there are rules: they have " \
	    "no effect.")                                                              \
	X(CODE_BAD_IGNORE, "bad-ignore", DIAG_WARNING,                                 \
	    "A comment that should silence a diagnostic cannot do so.")                \
	X(CODE_UNUSED_IGNORE, "unused-ignore", DIAG_NOTE,                              \
	    "A comment silences a diagnostic that is not given here.")                 \
	X(CODE_LINT_LIMIT, "lint-limit", DIAG_NOTE,                                    \
	    "Some lints were not made, or not shown, because there is too much.")      \
	X(CODE_PROGRAM_TOO_LARGE, "program-too-large", DIAG_ERROR,                     \
	    "A node's program needs more than a kernel takes in reasonable time.")     \
	X(CODE_UNSUPPORTED_PROTOCOL, "unsupported-protocol", DIAG_ERROR,               \
	    "The protocol of a rule cannot be enforced.")                              \
	X(CODE_NUMBER_COLLISION, "number-collision", DIAG_ERROR,                       \
	    "Two rules have the same number; rename one of their policies.")           \
	X(CODE_FMT_UNSAFE, "fmt-unsafe", DIAG_ERROR,                                   \
	    "The file has no canonical form that says the same with the same "         \
	    "comments; fmt leaves it alone.")

enum diag_code {
#define DIAG_CODE_ENUM(id, code, severity, text) id,
	DIAG_CODES(DIAG_CODE_ENUM)
#undef DIAG_CODE_ENUM
	DIAG_CODE_COUNT
};

struct diag_code_info {
	const char *code;
	enum diag_severity severity;
	const char *text; /* what it means, in a sentence or two */
};

extern const struct diag_code_info diag_code_table[DIAG_CODE_COUNT];

/* Codes that reading files and YAML gives (common/bundle.h, common/doc.h). */
extern const struct diag_code_info diag_reading_table[];
extern const size_t diag_reading_count;

/* The row of a code as printed ("unknown-field"), of either table; NULL if there is
 * none. */
MUST_CHECK const struct diag_code_info *diag_code_find(const char *code);
/* Why a code matters, with an example that triggers it and its corrected form: what
 * help/CODE.md says. NULL if there is no such code. */
MUST_CHECK const char *diag_code_help(const char *code);
/* Both as SARIF wants them; see diag_describe. */
bool diag_code_describe(const char *code, struct diag_rule *out_rule);

/* Appends a diagnostic of the code's severity; see diag_add. */
struct diag *diag_say(struct diag_list *list, enum diag_code code, struct loc loc,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
