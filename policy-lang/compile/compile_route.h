/*
 * Between compile*.c only: what a node needs of Routes.
 *
 * Egress is compiled as policy is. A Route's egress rules are turned into rules of policy,
 * which a compiler of their own compiles for the same workloads: the same walk, classes and
 * cells, whose verdicts are routes. So a connection costs the same look-ups however many
 * routes there are. Ingress is compiled port by port: who walks to the rule that has a
 * published port is an end of it.
 *
 *     compile_route.c      ids, ends, and choices among several ends
 *     compile_leave.c      egress
 *     compile_leave_follow.c  how its rules are followed
 *     compile_leave_known.c   addresses that are known by name, one by one
 *     compile_leave_served.c  whose traffic leaves here
 *     compile_publish.c    ingress
 *     compile_taken.c      addresses that are for Routes alone
 *     compile_via.h        via
 *     compile_ways.c       numbers of ways, for policy routing
 *     compile_routed.c     whom Routes may be about, where not all is compiled
 */
#ifndef POLICY_LANG_COMPILE_ROUTE_H
#define POLICY_LANG_COMPILE_ROUTE_H

#include "policy-lang/compile/compile_internal.h"

/* Addresses of a rule's sources that are told apart. */
#define ROUTE_POOL_MAX 1024u

struct routes {
	struct compiler *c;
	const struct universe *universe; /* of whom Routes may be about */
	struct arena *arena;             /* until routes_build returns */
	struct roaring_bitmap_s *ids;
	struct map ends;   /* family, address, port -> an end's id */
	struct map leaves; /* compile_leave.c: family, number -> an id */
	struct map ways;   /* what a way is -> struct table_way of the compiler */
};

/* An address where something leads, and a port, unless ports stay as they are. */
struct route_end {
	struct ip_addr addr;
	uint16_t port; /* 0: as it is */
	uint64_t weight;
	struct loc loc;
};

/* How one of several ends is picked. */
enum route_pick {
	PICK_RANDOM,
	PICK_HASH,
};

/* Routes as policy: how many rules of a kind a Route has; its policy, yet without rules; and
 * a rule of that, yet without peers: what is done is allowed, what is not is denied. */
MUST_CHECK size_t routes_rule_count(
    const struct route_policy *route, enum route_kind kind);
MUST_CHECK struct policy routes_policy(const struct route_policy *route);
MUST_CHECK struct rule routes_rule(
    const struct route_rule *from, const struct policy *policy);
/* Whose the address of an element's key is; NULL: no workload's. And whether it is none of
 * this node's. */
MUST_CHECK const struct workload *routes_workload(
    const struct routes *r, unsigned family, const struct table_element *e);
MUST_CHECK bool routes_is_remote(
    const struct routes *r, unsigned family, const struct table_element *e);
/* The first address that the workload has of the family; NULL: none. */
MUST_CHECK const struct ip_addr *routes_address(
    const struct workload *w, enum ip_family family);

/* A number that nobody has yet, by what it stands for: mostly the same whatever else there
 * is. */
MUST_CHECK uint32_t routes_new_id(struct routes *r, struct str identity);
/* Makes the id lead to one of the ends (distinct; those of weight 0 do not count). False:
 * there is none, and nothing was made. */
bool routes_lead(struct routes *r, uint32_t id, const struct route_end *ends,
    size_t count, enum route_pick pick, struct loc loc);
/* The same of ends that are there; which slots each prefers follows from its seed. */
struct route_pick_end {
	uint32_t id;
	uint32_t seed;
};
void routes_spread(struct routes *r, uint32_t id, const struct route_pick_end *ends,
    size_t count, struct loc loc);
/* A verdict of some element, here or of another node's. */
struct route_verdict {
	uint32_t number;
	unsigned family;
	bool remote;
};
/* By number, each once; returns how many there are. */
MUST_CHECK size_t routes_sort_verdicts(struct route_verdict *all, size_t count);
/* Connections that get this id are counted, or denied, by the chain of the number. */
void routes_count(struct routes *r, uint32_t id, uint32_t number);

/* The way that leads there, of which all but the number and the comment is given; made if it
 * is new. NULL: there is no number left. */
MUST_CHECK const struct table_way *ways_find(
    struct routes *r, const struct table_way *wanted);
/* The rule's sources are put on here when none of these nodes is up. */
void ways_stand_by(struct routes *r, const struct route_rule *rule,
    const struct node *const *before, size_t count);
/* The nodes as hops, which live as long as the compiler. */
MUST_CHECK struct table_hop *ways_hops(
    struct routes *r, const struct node *const *nodes, size_t count);
/* A workload as a hop. */
MUST_CHECK struct table_hop *ways_hop_of(struct routes *r, const struct workload *w);
/* The id of a way of `via`, as an end that something goes to. */
MUST_CHECK uint32_t ways_end(struct routes *r, const struct table_way *way);
/* What gets this id is steered. */
void ways_lead(struct routes *r, uint32_t id, const struct table_way *way);
/* Whether Routes of that level may name a table of the node's. */
MUST_CHECK bool routes_may_use_table(
    const struct routes *r, uint32_t table, const struct ns *level);
/* Names the numbers of all ways that there can be. */
void ways_name(struct compiler *c);

/* Whether any Route says how anything leaves: then there is an inside. */
MUST_CHECK bool leave_is_ruled(const struct model *m);
/* Whether this node is a gateway of what leaves by the Route. */
MUST_CHECK bool leave_is_served(
    const struct compiler *c, const struct route_policy *route);
/* Whether it is one of any Route. */
MUST_CHECK bool leave_has_gateway(const struct compiler *c);
/* Whether some Route names the address, as published or as a source. */
MUST_CHECK bool routes_speak_of(const struct model *m, const struct ip_addr *addr);
/* Whether this node translates from or to the address, for Routes of that level. */
enum route_right {
	ROUTE_MAY,
	ROUTE_ELSEWHERE, /* other nodes may have it */
	ROUTE_OTHERS,    /* it is for Routes of other subtrees */
};
MUST_CHECK enum route_right routes_right(
    const struct routes *r, const struct ip_addr *addr, const struct ns *level);
/* Whether it is a workload's or a node's: those are not Routes' to give away. */
MUST_CHECK bool routes_inside(const struct model *m, const struct ip_addr *addr);
/* Makes the id lead where the rule of that level says, for workloads of this node, or of others
 * if remote. False: it is not followed in the family, which a warning tells, and what it
 * decides is to be denied. What other nodes' workloads do not send here is not worth a word. */
MUST_CHECK bool leave_follow(struct routes *r, const struct route_rule *rule,
    const struct ns *level, unsigned family, bool remote, uint32_t id);
/* The routes that workloads here leave by. With names, and if it is to be kept, what later
 * changes of single addresses need is in c->leave. */
void leave_build(struct routes *r);
/* Whether this node is a gateway of the workload, which is another node's. */
MUST_CHECK bool leave_serves(const struct compiler *c, const struct workload *w);

/* ---- what is kept of that ---- */

/* What a verdict number of routes is: their ids, by family. */
struct leave_id {
	uint32_t number;
	uint32_t ids[FAMILY_COUNT];
};

struct leave_kept {
	struct arena *arena;
	struct model model; /* as routes see it */
	struct compile_options options;
	struct compiler c;
	struct leave_id *ids; /* by number */
	size_t id_count;
	struct map nodes; /* address -> struct leave_known */
	/* Of the update under way: */
	struct leave_touched *touched;
	size_t touched_count, touched_cap;
};

/* From a compiler's sets of egress, IPv4 first, to those of routes. */
struct leave_move {
	enum table_set_id from, to;
	bool verdict; /* its values are */
};
#define LEAVE_MOVES 7
extern const struct leave_move leave_moves[LEAVE_MOVES];

/* A compiler for routes as policies. */
MUST_CHECK struct leave_kept *leave_new(struct routes *r);
/* The model as routes see it. */
void leave_see_model(struct leave_kept *leave, const struct model *model);
/* Holds what is known by name, once all is compiled. */
void leave_hold(struct leave_kept *leave);
/* NULL is fine. */
void leave_free(struct leave_kept *leave);
/* Looks at an address anew; elements go to the lists. */
void leave_look_at(struct leave_kept *leave, const struct ip_addr *addr,
    const struct place *p, struct element_list removed[SET_COUNT],
    struct element_list added[SET_COUNT]);
/* Then, the cells of classes that came or went. */
void leave_settle(struct leave_kept *leave, struct element_list removed[SET_COUNT],
    struct element_list added[SET_COUNT]);
/* True if only compiling anew can tell what it is. */
MUST_CHECK bool leave_needs_anew(const struct leave_kept *leave);

/* ---- */

/* The addresses that the node takes for Routes. */
void taken_build(struct routes *r);
/* Whether any Route says what anything goes through. */
MUST_CHECK bool via_is_ruled(const struct model *m);
/* What connections go through, whosever they are. If it is to be kept, what holds as long as
 * nothing changes that it depends on is in c->via afterwards; if it is there before, the sets
 * that only list whom it is about (via_is_listed) are as they were, and are not emitted. */
void via_build(struct routes *r);
MUST_CHECK bool via_is_listed(enum table_set_id set);
/* Whether that may change with the workload. */
MUST_CHECK bool via_depends_on(const struct model *m, const struct workload *w);
/* NULL is fine. */
void via_free(struct via_kept *kept);
/* True if only compiling anew can tell what it is. */
MUST_CHECK bool via_needs_anew(const struct via_kept *kept);

/* What is published anywhere. */
void publish_build(struct routes *r);
/* Whether the Route says what is published, or not. */
MUST_CHECK bool publish_is_by(const struct route_policy *route);
/* Whether what is published may change with the workload. */
MUST_CHECK bool publish_depends_on(const struct workload *w);

/* Fills in c->routed of a compiler that has the workloads of its node alone: *out is what it
 * is to point to. False: Routes may be about very many. */
MUST_CHECK bool routed_find(
    struct compiler *c, const struct model *locals, struct model *out);
/* The same for c->via_about: all that via depends on. */
MUST_CHECK bool routed_find_via(struct compiler *c, struct model *out);

/* Names the numbers that Routes may use; before chains_seal. */
void routes_name(struct compiler *c);
/* Emits all of it. */
void routes_build(struct compiler *c);

#endif
