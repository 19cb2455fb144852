/*
 * Between lint*.c only: what a rule can match, as a set that holds for every world, not
 * for the workloads of today. A box is a product of sets, one for each thing that a rule
 * can ask for (a label of the subject, the peer's address, the port, ...); what it does
 * not ask for is not among its dimensions. Values are numbers: texts by a number
 * of their own, with room for all texts that nobody has mentioned.
 */
#ifndef POLICY_LANG_LINT_SPACE_H
#define POLICY_LANG_LINT_SPACE_H

#include "policy-lang/model/addrset.h"
#include "policy-lang/model/model.h"

/* Dimensions that are no label's. */
enum space_dim_id {
	DIM_PORT, /* column and port; then names of ports */
	DIM_SUBJECT_CLUSTER,
	DIM_SUBJECT_NS,
	DIM_SUBJECT_KUBE,
	DIM_SUBJECT_ACCOUNT,
	DIM_PEER_KIND, /* workload, node, any other address */
	DIM_PEER_ADDRESS,
	DIM_PEER_ADDRESSED, /* whether it has an address */
	DIM_PEER_CLUSTER,
	DIM_PEER_NS,
	DIM_PEER_KUBE,
	DIM_PEER_ACCOUNT,
	DIM_PEER_NODE,
	DIM_PEER_NAME, /* a domain name */
	DIM_LABELS = 16,
};

/* Labels of whom; dimension DIM_LABELS + 8 * key + this. */
enum space_labels {
	LABELS_SUBJECT,
	LABELS_SUBJECT_NS,
	LABELS_PEER,
	LABELS_PEER_NS,
	LABELS_NODE,
};

/* Normalised ranges, as in struct addrset, in an arena. Never empty. */
struct space_set {
	const struct addr_range *ranges;
	uint32_t count;
};

struct space_dim {
	uint32_t id;
	struct space_set set;
};

struct space_box {
	const struct space_dim *dims; /* by id */
	uint32_t count;
};

struct space_boxes {
	struct space_box *items;
	size_t count, cap;
};

struct space {
	struct arena *arena; /* of all boxes that are made */
	struct map keys;     /* label keys: text -> number */
	struct map values;   /* label values and every other text */
	struct map sets;     /* that were kept: their bytes -> their ranges */
	struct map lists;    /* long ones: where they stand -> their set */
	uint64_t *work;      /* that making boxes has taken, in comparisons; or NULL */
	/* Namespaces numbered so that a subtree is a range; by namespace index. */
	const uint32_t *ns_rank, *ns_rank_end;
};

void space_fini(struct space *s);

/* An address of either family as one number; IPv4 lies where IPv6 has ::ffff:0:0/96. */
MUST_CHECK addr_num space_address(const struct ip_addr *addr);
/* The addresses of a network peer. */
void space_add_network(struct addrset *set, const struct peer *peer);
/* The same; of a long list, which is gone through once. May be empty. */
MUST_CHECK struct space_set space_network(struct space *s, const struct peer *peer);
/* What a peer's list of prefixes is known by, if it is so long that it should be gone through
 * once, however many rules name it; else empty. Lists of one place are one list. */
struct space_list {
	uintptr_t where[4];
};
MUST_CHECK struct str space_list_key(struct space_list *out, const struct peer *peer);

/* Whom a policy speaks about: appends nothing if the selector contradicts itself. */
void space_subject(
    struct space *s, const struct workload_match *subject, struct space_boxes *out);
/* One peer alone: all that a connection can be at its other end. */
void space_peer(struct space *s, const struct peer *peer, struct space_boxes *out);
/* One entry of a rule's ports. */
MUST_CHECK struct space_box space_port(struct space *s, const struct port_match *port);
/* A whole rule, its policy's subject included; networks of one rule are one box. */
void space_rule(struct space *s, const struct rule *rule, struct space_boxes *out);

/* The box with whatever a name may stand for: beside numbers all names of their protocol,
 * beside names all numbers. */
MUST_CHECK struct space_box space_with_names(
    struct space *s, const struct space_box *box);

/* True if every point of `inner` is in `outer`. */
MUST_CHECK bool space_covers(
    const struct space_box *outer, const struct space_box *inner);
MUST_CHECK bool space_meets(const struct space_box *a, const struct space_box *b);
/*
 * A point of a box: the last of each of its dimensions, or the first. Of what the box does
 * not ask for it has the greatest value, or the least.
 */
MUST_CHECK struct space_box space_corner(
    struct arena *arena, const struct space_box *box, bool last);
/* True if that point of another box is in this one. */
MUST_CHECK bool space_has_corner(
    const struct space_box *box, const struct space_box *corner, bool last);
/* True if the set is single numbers, few enough to be looked up one by one. */
MUST_CHECK bool space_is_points(const struct space_set *set);

/*
 * What is left of boxes while others are taken away, in order. `open` has not been
 * decided; `passed` was left to the next level. Beyond SPACE_PIECES pieces it gives up.
 */
#define SPACE_PIECES 256u

struct space_rest {
	struct arena *arena; /* of the pieces */
	struct space_boxes open, passed;
	bool gave_up;
};

void space_rest_init(
    struct space_rest *rest, struct arena *arena, const struct space_box *box);
void space_rest_fini(struct space_rest *rest);
/* Takes `box` away; `pass`: to the passed ones. True if it took anything. */
bool space_rest_take(struct space_rest *rest, const struct space_box *box, bool pass);
/* The next level: what was passed is open again. */
void space_rest_next_level(struct space_rest *rest);

#endif
