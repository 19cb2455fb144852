/*
 * Between connectivity*.c and diff*.c only: the ends of a model and which of them policy
 * can tell apart. The steps, each in a file of its own:
 *
 *     connectivity_world.c     ends and their addresses
 *     connectivity_match.c     whom a match or a rule's peers take in
 *     connectivity_sides.c     which workloads have the same policies
 *     connectivity_classes.c   addresses that no rule tells apart
 *     connectivity_view.c      what a side says of every class, and of the outside
 *     connectivity_relation.c  sides and classes met: who may connect to whom
 */
#ifndef POLICY_LANG_CONNECTIVITY_WORLD_H
#define POLICY_LANG_CONNECTIVITY_WORLD_H

#include "policy-lang/connectivity/connectivity.h"
#include "policy-lang/connectivity/connectivity_side.h"
#include "policy-lang/model/addrset.h"
#include "policy-lang/model/label_index.h"

struct roaring_bitmap_s;

/* Flows of an end without address with another such, over IPv4, over IPv6. */
#define CONN_FAMILIES 3

/* The place of a family (0, 4, 6) among them. */
MUST_CHECK unsigned conn_family_place(unsigned family);
MUST_CHECK unsigned conn_family_at(unsigned place);

/* One address of a party, or a party without address. */
struct conn_face {
	struct endpoint end;
	unsigned family; /* 4 or 6; 0: no address */
	uint32_t party;
};

/* A set in each family; interned: equal values of one world are the same pointer. */
struct conn_value {
	const struct conn_set *sets[CONN_FAMILIES];
};

/* An end that is no external range. */
struct conn_party {
	const struct conn_end *end;
	uint32_t first_face, face_count;
	/* The flows that it can have, bits by family place. Without an address: all. */
	unsigned families;
	struct conn_side *sides[DIRECTION_COUNT]; /* NULL: it has no policy */
	/* As the peer of rules of each direction: its class. */
	uint32_t classes[DIRECTION_COUNT];
	uint32_t
	    own; /* of `owns`: nodes that reach it always; 0: none that is an end */
};

/* What the from/to of some rule says: the faces in it, and the outside. */
struct conn_peers {
	uint32_t index;
	struct roaring_bitmap_s *faces;
	struct roaring_bitmap_s *classes; /* of faces, once they are classed */
	uint64_t *words;                  /* the same, of a large set; or NULL */
	struct addrset nets[2];
	/* Egress: the faces that give a port's name one meaning; no rule's peers. */
	struct str port_name;
};

/* Party class: the classes of its faces in each family. */
struct conn_party_class {
	struct {
		uint32_t face_class;
		unsigned family;
	} * items;
	size_t count;
};

/* A party class that has a face of some class. */
struct conn_member {
	uint32_t party_class;
	uint8_t
	    lone; /* its families by place, if it has faces of no other class; or 0 */
};

/* One direction: how rules of it see their peers. */
struct conn_plane {
	enum direction dir;
	/* Whom the sides that are not whole are asked about, and whose sides matter at all;
	 * NULL: everybody. */
	struct roaring_bitmap_s *asked, *wanted;
	struct roaring_bitmap_s *asked_classes;
	struct conn_side **sides;
	size_t side_count, side_cap;
	struct map side_by_key;
	struct conn_peers **sets;
	size_t set_count, set_cap;
	struct map meanings; /* port name -> struct conn_meanings: the sets of it */
	uint32_t class_count;
	uint32_t *class_of;        /* by face */
	uint32_t *representatives; /* by class: a face */
	struct roaring_bitmap_s *representative_faces;
	struct conn_party_class *party_classes;
	uint32_t party_class_count;
	uint32_t *member_first; /* by face class: its part of `members` */
	struct conn_member *members;
	struct map view_by_key;
	struct conn_view **views;
	size_t view_count, view_cap;
};

/* What a port's name means at peers: sets of the faces that give it one meaning each. */
struct conn_meanings {
	uint32_t *sets;
	size_t count, cap;
};

/* A range of the outside that a side treats alike; neighbours differ. */
struct conn_span {
	struct ip_addr first, last;
	const struct conn_set *set;
};

struct conn_spans {
	struct conn_span *items;
	size_t count;
};

/* What a side says of party classes: `rest` but for the exceptions. */
struct conn_exception {
	const struct conn_value *value;
	struct roaring_bitmap_s *classes;
};

struct conn_view {
	uint32_t index;
	const struct conn_value *rest;
	struct conn_exception *exceptions; /* by their first classes; values differ */
	size_t count;
	const struct conn_spans *outside[2]; /* IPv4, IPv6; NULL: not listed */
};

struct conn_scope {
	const struct kube_ns *kube; /* NULL: native workloads of ns */
	const struct ns *ns;
	struct roaring_bitmap_s *faces;
};

struct conn_world {
	struct arena *arena;
	const struct model *model;
	struct connectivity_options options;
	struct conn_pool *pool;
	struct conn_party *parties; /* sorted by display */
	/* By party: what a caller wants to tell apart besides; NULL: nothing. */
	const uint8_t *marks;
	const uint8_t *whole; /* see conn_world_fill; NULL: all sides are */
	uint32_t party_count;
	struct conn_face *faces;
	uint32_t face_count;
	bool outside6;
	unsigned families; /* that some pair of parties has, bits by place */

	/* who is where */
	struct conn_scope *scopes;
	uint32_t scope_count;
	struct map scope_by_key;
	struct roaring_bitmap_s *workload_faces;
	struct map cluster_faces;           /* cluster -> faces of its workloads */
	struct roaring_bitmap_s **ns_faces; /* by namespace index */
	struct label_index *labels;
	struct label_index *scope_labels;
	struct map ns_selections; /* selector's bytes -> faces */
	struct conn_point *points;
	uint32_t point_count;
	uint32_t *node_faces; /* of nodes and what runs on their network */
	uint32_t node_face_count;

	struct conn_plane planes[DIRECTION_COUNT];
	struct map values;
	struct map values_by_set; /* a set and families -> struct conn_value */
	struct map owns_by_key;   /* nodes' texts -> struct conn_own */
	struct conn_own **owns;
	uint32_t own_count;
	struct map ranges;                 /* bounds -> struct conn_end */
	struct roaring_bitmap_s **bitmaps; /* all that live as long as this */
	size_t bitmap_count, bitmap_cap;
};

/* Parties that reach some workloads always: those that are its node. */
struct conn_own {
	uint32_t index;
	struct roaring_bitmap_s *parties;
};

/* Who is there, and where. The pool is borrowed, and may be shared by two worlds that are
 * compared; conn_pool_init is the caller's. */
MUST_CHECK struct conn_world *conn_world_open(struct arena *arena,
    const struct model *m, const struct connectivity_options *options,
    struct conn_pool *pool);
/*
 * What their policies say: everything up to the views. `whole` NULL: all of it. Else, by
 * party, bits by direction: the sides of which all is wanted. Of the others the views say
 * what they say to those parties whose sides in the other direction are whole, and nothing
 * of the rest; so that pairs of which one side is whole are exact, and of two whose sides
 * are not, nothing is allowed. `whole` is borrowed.
 */
void conn_world_fill(struct conn_world *world, const uint8_t *whole);
/* Both, all of it. */
MUST_CHECK struct conn_world *conn_world_new(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct conn_pool *pool);
void conn_world_free(struct conn_world *world);

/* True if some policy names a protocol without ports: the pool should be wide. */
MUST_CHECK bool conn_names_portless(const struct model *m);

/* True if a policy names an IPv6 network or a workload has an IPv6 address. */
MUST_CHECK bool conn_speaks_of_ipv6(const struct model *m);

/* An empty bitmap; it lives as long as the world. */
MUST_CHECK struct roaring_bitmap_s *conn_bitmap(struct conn_world *world);
/* Takes the bitmap; it lives as long as the world. */
void conn_bitmap_keep(struct conn_world *world, struct roaring_bitmap_s *bits);

/* Room to put numbers in order. Zeroed: none yet; free(words) gives it back. */
struct conn_sieve {
	uint64_t *words; /* all 0 between uses */
	size_t cap;
};

/* Puts numbers in order, each of which is there once. */
void conn_numbers_sort(struct conn_sieve *sieve, uint32_t *numbers, size_t count);
/* Their bitmap, once they are in order, which is what a bitmap takes best. The bitmap is
 * the caller's. */
MUST_CHECK struct roaring_bitmap_s *conn_bitmap_of(
    struct conn_sieve *sieve, uint32_t *numbers, size_t count);

/* ---- connectivity_world.c ---- */

/* ---- connectivity_match.c ---- */

/* Finds out who is where, for what follows. */
void conn_world_place(struct conn_world *world);
/* Announces the selectors of a match; all must be before conn_world_index. */
void conn_match_announce(struct conn_world *world, const struct workload_match *match);
void conn_world_index(struct conn_world *world);
/* Adds the faces of the workloads in the match (of its nodes, if it is of such and they
 * are judged), or of the peers of the rule; only those in `within` unless it is NULL. */
void conn_match_faces(struct conn_world *world, const struct workload_match *match,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces);
void conn_rule_faces(struct conn_world *world, const struct rule *rule,
    const struct roaring_bitmap_s *within, struct roaring_bitmap_s *out_faces);
/* Adds the addresses that the rule's networks name. */
void conn_rule_nets(const struct rule *rule, struct addrset out_nets[2]);

/* ---- connectivity_sides.c ---- */

/* Announces all that policies ask for. */
void conn_policies_announce(struct conn_world *world);
/* True if the policy says something in that direction. */
MUST_CHECK bool conn_policy_concerns(const struct policy *policy, enum direction dir);
void conn_sides_make(struct conn_world *world);

/* ---- connectivity_classes.c ---- */

/* Sides, sets of peers and classes. */
void conn_classes_build(struct conn_world *world);

/* ---- connectivity_view.c ---- */

void conn_views_build(struct conn_world *world);
MUST_CHECK struct conn_value *conn_value_intern(
    struct conn_world *world, const struct conn_value *value);
/* Everything, in every family: what ends without policy say. */
MUST_CHECK struct conn_value *conn_value_all(struct conn_world *world);
/* The view of a party in a direction; ends without policy have one, too. */
MUST_CHECK const struct conn_view *conn_party_view(
    const struct conn_world *world, const struct conn_party *party, enum direction dir);

#endif
