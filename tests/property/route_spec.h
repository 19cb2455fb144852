/*
 * Random worlds with Routes: as data, which a second implementation reads, and as the YAML
 * that people write.
 */
#ifndef TESTS_PROPERTY_ROUTE_SPEC_H
#define TESTS_PROPERTY_ROUTE_SPEC_H

#include "policy-lang/model/model.h"
#include "tests/property/world.h"

#define SPEC_LEVELS    7
#define SPEC_WORKLOADS 6
#define SPEC_ROUTES    6
#define SPEC_RULES     4
#define SPEC_NONE      (-1)

struct rule_spec {
	enum phase phase;
	enum route_kind kind;
	enum route_action action;
	int ports;      /* in spec_port_sets */
	int to[2];      /* SPEC_NONE; egress: in networks; via: a level */
	int from;       /* via: a level */
	int effect;     /* egress */
	int addresses;  /* ingress: in spec_address_sets; SPEC_NONE: any (deny, pass) */
	int weights[2]; /* ingress: of app a, b; SPEC_NONE: no target */
	int target;     /* ingress: 0 or 9000 */
	int through;    /* via: app a or b at a level: level * 2 + app */
	bool direct;    /* via: onFailure */
};

struct route_spec {
	int level, priority;
	int app; /* SPEC_NONE: everybody */
	struct rule_spec rules[SPEC_RULES];
	int rule_count;
};

struct spec {
	int parent[SPEC_LEVELS]; /* always smaller; 0 is the root */
	int at[SPEC_WORKLOADS];
	int app[SPEC_WORKLOADS];
	struct route_spec routes[SPEC_ROUTES];
	int route_count;
};

struct spec_addresses {
	const char *text;
	bool has[3];
};
extern const struct spec_addresses spec_address_sets[3];

/* What is asked about. */
#define SPEC_PROBES 3
struct spec_probe {
	uint8_t proto;
	uint16_t port;
};
extern const struct spec_probe spec_probes[SPEC_PROBES];

/* The items of a rule's ports, and which probes each takes. */
struct spec_ports {
	const char *items[2];
	bool takes[2][SPEC_PROBES];
};
extern const struct spec_ports spec_port_sets[4];

struct spec_effect {
	const char *text;
	bool refuses[2]; /* IPv4, IPv6 */
};
extern const struct spec_effect spec_effects[6];

/* True if the level is `top` or below it; how many steps it is from the root. */
MUST_CHECK bool spec_within(const struct spec *s, int level, int top);
MUST_CHECK int spec_depth(const struct spec *s, int level);

/* Another world; another Route, of a level. */
void spec_roll(struct dice *dice, struct spec *s);
void spec_roll_route(struct dice *dice, struct route_spec *r, int level);

/* How a world is printed. */
struct spec_printing {
	const struct spec *s;
	bool gone[SPEC_LEVELS]; /* these levels are left out */
	bool split;             /* a rule for each port and peer */
	struct buf *out;
};

void spec_print(const struct spec_printing *p);
/* A level's path; nothing for the root. */
void spec_print_path(struct buf *out, const struct spec_printing *p, int level);

#endif
