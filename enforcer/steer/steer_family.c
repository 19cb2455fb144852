/*
 * One family's rules and routes, from what is there to what is wanted: what loses packets
 * first, what leads to a way last.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "enforcer/steer/steer_internal.h"

struct tending {
	struct steer *s;
	unsigned f;
	enum ip_family family;
	bool seen_rules[TABLE_WAYS_MAX + 1]; /* what is as it should be; 0: the last */
	bool seen_back[TABLE_WAYS_MAX];
	struct choice {
		struct steer_outcome outcome;
		uint32_t interface;
		char name[IF_NAMESIZE]; /* of one that something comes back by */
	} chosen[TABLE_WAYS_MAX];
	int failed; /* errno; 0 */
};

static void
must(struct tending *t, int rc, int harmless)
{
	if (rc != 0 && errno != harmless)
		t->failed = errno;
}

static struct steer_rule
wanted_rule(const struct steer *s, uint32_t number)
{
	const struct steer_way *way = &s->ways[number - 1];

	return (struct steer_rule){
	    .priority = s->config->priority,
	    .mark = table_way_mark(s->config->mask, number),
	    .mask = s->config->mask,
	    .table = way->table != 0 ? way->table : steering_table(s->config, number),
	};
}

/* What bears some number and has come so far. */
static struct steer_rule
last_rule(const struct steer *s)
{
	return (struct steer_rule){
	    .priority = s->config->priority + 1,
	    .mask = s->config->mask,
	    .inverted = true,
	};
}

/* What comes back from where the way leads does not go there again. */
static struct steer_rule
back_rule(const struct tending *t, uint32_t number)
{
	const struct steer *s = t->s;
	struct steer_rule rule = {
	    .priority = s->config->priority - 1,
	    .mark = table_way_mark(s->config->mask, number),
	    .mask = s->config->mask,
	    .table = RT_TABLE_MAIN,
	};

	memcpy(rule.came_by, t->chosen[number - 1].name, sizeof(rule.came_by));
	return rule;
}

static bool
has_family(const struct steer_way *way, unsigned f)
{
	for (size_t i = 0; i < way->hop_count; i++) {
		if (way->hops[i].addr[f].family == steer_families[f])
			return true;
	}
	return way->table != 0;
}

/* The number that a rule of ours is for; 0: none. */
static uint32_t
number_of(const struct steer *s, const struct steer_rule *rule)
{
	for (uint32_t n = 1; n <= s->config->way_count; n++) {
		if (rule->mask == s->config->mask && !rule->inverted &&
		    rule->mark == table_way_mark(s->config->mask, n))
			return n;
	}
	return 0;
}

static const struct steer_route *
route_in(const struct steer *s, uint32_t table)
{
	for (size_t i = 0; i < s->found.route_count; i++) {
		if (s->found.routes[i].table == table)
			return &s->found.routes[i];
	}
	return NULL;
}

/* Whether a route that is there may be one of the way's: it goes by one of its hops. */
static bool
is_ways(const struct steer_way *way, unsigned f, const struct steer_route *route)
{
	for (size_t i = 0; i < way->hop_count; i++) {
		if (ip_eq(&way->hops[i].addr[f], &route->hop))
			return true;
	}
	return false;
}

/* While the former program is in force, a number that led elsewhere leads nowhere. */
static bool
leads_elsewhere(struct tending *t, uint32_t number, const struct steer_rule *rule)
{
	const struct steer *s = t->s;
	const struct steer_rule wanted = wanted_rule(s, number);
	const struct steer_route *route = route_in(s, rule->table);

	if (!steer_rule_same(rule, &wanted))
		return true;
	return s->ways[number - 1].table == 0 && route != NULL &&
	       !is_ways(&s->ways[number - 1], t->f, route);
}

/* Those of the program that is still in force stay. */
static void
tend_back_rule(struct tending *t, const struct steer_rule *rule)
{
	struct steer *s = t->s;
	uint32_t number = number_of(s, rule);
	struct steer_rule wanted;

	if (number != 0 && t->chosen[number - 1].name[0] != '\0' &&
	    !t->seen_back[number - 1]) {
		wanted = back_rule(t, number);
		t->seen_back[number - 1] = steer_rule_same(rule, &wanted);
		if (t->seen_back[number - 1])
			return;
	} else if (!s->settled && number != 0 && !s->ways[number - 1].used) {
		return;
	}
	must(t, steer_change_rule(&s->rtnl, false, t->family, rule), ENOENT);
}

static void
tend_rule(struct tending *t, const struct steer_rule *rule)
{
	struct steer *s = t->s;
	const struct steer_rule last = last_rule(s);
	uint32_t number = number_of(s, rule);
	bool wanted = number != 0 && s->ways[number - 1].used &&
		      has_family(&s->ways[number - 1], t->f);

	if (s->config->mask != 0 && steer_rule_same(rule, &last) && !t->seen_rules[0]) {
		t->seen_rules[0] = true;
		return;
	}
	if (rule->came_by[0] != '\0') {
		tend_back_rule(t, rule);
		return;
	}
	if (wanted && !t->seen_rules[number]) {
		const struct steer_rule as = wanted_rule(s, number);

		if (!s->settled && leads_elsewhere(t, number, rule))
			s->closed[number - 1][t->f] = true;
		else if (steer_rule_same(rule, &as)) {
			t->seen_rules[number] = !s->closed[number - 1][t->f];
			if (t->seen_rules[number])
				return;
		}
	} else if (!s->settled && number != 0 && !wanted) {
		return; /* of the program that is still in force */
	}
	must(t, steer_change_rule(&s->rtnl, false, t->family, rule), ENOENT);
}

/* The first hop that can be used. */
static struct steer_outcome
choose(struct tending *t, const struct steer_way *way, uint32_t *out_interface)
{
	struct steer_outcome outcome = {.state = STEER_UNUSED};

	for (size_t i = 0; i < way->hop_count; i++) {
		const struct ip_addr *addr = &way->hops[i].addr[t->f];

		if (addr->family != t->family)
			continue;
		/* One of a program that comes is not asked yet. */
		if (way->gateways && !probe_is_up(t->s->probe, addr, !t->s->settled)) {
			outcome.state = STEER_DOWN;
			continue;
		}
		*out_interface = steer_on_link(&t->s->rtnl, addr);
		if (*out_interface == 0)
			outcome.state = STEER_NOT_ON_LINK;
		else if (way->kind == WAY_INSTANCE &&
			 !steer_is_alone(&t->s->rtnl, addr))
			outcome.state = STEER_SHARED;
		else
			return (struct steer_outcome){STEER_GOES, (uint8_t)i};
	}
	return outcome;
}

/* What comes back is known by its interface. Where that is a workload's, a reverse path
 * filter that is there lets by what comes back, and nothing else that is not its own. */
static void
know_interface(struct tending *t, const struct steer_way *way, struct choice *c)
{
	struct rtnl *r = &t->s->rtnl;
	bool by_mark;

	if (!steer_link(r, c->interface, c->name, &by_mark)) {
		c->name[0] = '\0';
		c->outcome.state = STEER_NOT_ON_LINK;
	} else if (t->family == IP_V4 && way->kind == WAY_INSTANCE && !by_mark) {
		must(t, steer_link_by_mark(r, c->interface), 0);
	}
}

static void
choose_all(struct tending *t)
{
	const struct steer *s = t->s;

	for (uint32_t n = 0; n < s->config->way_count; n++) {
		const struct steer_way *way = &s->ways[n];
		struct choice *c = &t->chosen[n];

		if (!way->used || way->table != 0)
			continue;
		c->outcome = choose(t, way, &c->interface);
		if (way->kind != WAY_OUT && c->outcome.state == STEER_GOES)
			know_interface(t, way, c);
	}
}

static void
tend_hops(struct tending *t, uint32_t number)
{
	struct steer *s = t->s;
	const struct steer_way *way = &s->ways[number - 1];
	uint32_t table = steering_table(s->config, number);
	const struct steer_route *there = route_in(s, table);
	struct steer_outcome *out = &s->now[number - 1][t->f], before = *out;
	struct steer_route route = {
	    .table = table, .interface = t->chosen[number - 1].interface};

	*out = t->chosen[number - 1].outcome;
	if (out->state == STEER_GOES) {
		route.hop = way->hops[out->hop].addr[t->f];
		if ((there == NULL || there->odd || !ip_eq(&there->hop, &route.hop) ||
			there->interface != route.interface) &&
		    steer_set_route(&s->rtnl, t->family, &route) != 0) {
			t->failed = errno;
			out->state = STEER_REFUSED;
		}
	} else if (there != NULL) {
		must(t, steer_delete_route(&s->rtnl, t->family, there), ESRCH);
	}
	s->changed |= before.state != out->state || before.hop != out->hop;
}

/* Tables of ours in which nothing of ours is to be, or something else. */
static void
sweep_routes(struct tending *t)
{
	struct steer *s = t->s;

	for (size_t i = 0; i < s->found.route_count; i++) {
		const struct steer_route *route = &s->found.routes[i];
		uint32_t number = route->table - s->config->first_table + 1;
		bool wanted = number >= 1 && number <= s->config->way_count &&
			      s->ways[number - 1].used &&
			      s->ways[number - 1].table == 0 &&
			      has_family(&s->ways[number - 1], t->f) &&
			      route == route_in(s, route->table) && !route->odd;

		if (!wanted)
			must(t, steer_delete_route(&s->rtnl, t->family, route), ESRCH);
	}
}

static void
add_back_rule(struct tending *t, uint32_t number)
{
	const struct steer_rule rule = back_rule(t, number);

	if (rule.came_by[0] != '\0' && !t->seen_back[number - 1])
		must(t, steer_change_rule(&t->s->rtnl, true, t->family, &rule), EEXIST);
}

static void
add_rule(struct tending *t, uint32_t number, const struct steer_rule *rule)
{
	if (!t->seen_rules[number])
		must(t, steer_change_rule(&t->s->rtnl, true, t->family, rule), EEXIST);
}

/* First what loses packets, then where ways lead, at last what leads to them. */
int
steer_tend_family(struct steer *s, unsigned f)
{
	struct tending t = {.s = s, .f = f, .family = steer_families[f]};
	const struct steer_rule last = last_rule(s);
	struct steer_rule wanted;

	if (steer_find(&s->rtnl, t.family, &s->found) != 0)
		return errno == EOPNOTSUPP || errno == EAFNOSUPPORT ? 0 : errno;
	choose_all(&t);
	for (size_t i = 0; i < s->found.rule_count; i++)
		tend_rule(&t, &s->found.rules[i]);
	if (s->config->mask != 0)
		add_rule(&t, 0, &last);
	for (uint32_t n = 1; n <= s->config->way_count; n++) {
		const struct steer_way *way = &s->ways[n - 1];

		if (!way->used || !has_family(way, f)) {
			s->changed |= s->now[n - 1][f].state != STEER_UNUSED;
			s->now[n - 1][f] = (struct steer_outcome){STEER_UNUSED, 0};
			continue;
		}
		if (s->closed[n - 1][f])
			continue;
		add_back_rule(&t, n);
		if (way->table == 0) {
			tend_hops(&t, n);
		} else {
			s->changed |= s->now[n - 1][f].state != STEER_GOES;
			s->now[n - 1][f] = (struct steer_outcome){STEER_GOES, 0};
		}
		wanted = wanted_rule(s, n);
		add_rule(&t, n, &wanted);
	}
	if (s->settled)
		sweep_routes(&t);
	return t.failed;
}
