#include "policy-lang/compile/compile_cutters.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/table64.h"

/* The classes that are the same to one tenant and policy at /. */
struct part {
	uint32_t count;
	uint32_t first[FAMILY_COUNT]; /* of them, with addresses of the family; NONE */
};

/* Of a class: whose sets it is in, and which of his parts that is. */
struct portion {
	uint32_t tenant, part;
};

struct cutters {
	const struct side *s;
	struct map tenants; /* name -> number */
	uint32_t *of_set;   /* set -> tenant */
	uint32_t *narrow;   /* set -> its classes */
	uint64_t *hashes;   /* tenant -> of his sets of the class at hand; 0: none */
	struct table64 ids; /* of parts -> their place */
	struct part *parts;
	struct portion *portions; /* of the classes, each begins with nobody's */
	uint32_t *first;          /* class -> its portions; one more than there are */
	uint32_t class_count, class_cap, part_cap, portion_count, portion_cap;
};

static uint32_t
number_of(struct cutters *c, struct str name)
{
	const uint32_t next = (uint32_t)c->tenants.len + 1;
	uint32_t found;

	if (name.len == 0)
		return 0;
	found = (uint32_t)(uintptr_t)map_get(&c->tenants, name);
	if (found == 0)
		(void)map_set(&c->tenants, name, (void *)(uintptr_t)next); /* new */
	return found != 0 ? found : next;
}

uint32_t
cutters_tenant(struct cutters *c, const struct policy *policy)
{
	return policy != NULL ? number_of(c, ns_tenant(policy->level)) : 0;
}

struct cutters *
cutters_new(const struct side *s)
{
	struct cutters *c = xcalloc(1, sizeof(*c));

	c->s = s;
	c->of_set = xcalloc(s->set_count + 1, sizeof(*c->of_set));
	c->narrow = xcalloc(s->set_count + 1, sizeof(*c->narrow));
	for (size_t i = 0; i < s->set_count; i++) {
		const struct rule *rule = s->sets[i]->rule;

		c->of_set[i] = cutters_tenant(c, rule != NULL ? rule->policy : NULL);
	}
	c->hashes = xcalloc(c->tenants.len + 1, sizeof(*c->hashes));
	return c;
}

void
cutters_free(struct cutters *c)
{
	if (c == NULL)
		return;
	map_fini(&c->tenants);
	table64_fini(&c->ids);
	free(c->of_set);
	free(c->narrow);
	free(c->hashes);
	free(c->parts);
	free(c->portions);
	free(c->first);
	free(c);
}

static void *
grown(void *items, uint32_t count, uint32_t *cap, size_t size)
{
	if (count < *cap)
		return items;
	*cap = *cap == 0 ? 64 : 2 * *cap;
	return xreallocarray(items, *cap, size);
}

static uint64_t
mix(uint64_t hash, uint64_t more)
{
	hash = (hash ^ (more + 1)) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

/* The class at hand is in the part that the hash says. */
static void
join(struct cutters *c, uint32_t tenant, uint64_t hash,
    const bool families[FAMILY_COUNT])
{
	const uint32_t next = (uint32_t)c->ids.used;
	const uint32_t at = table64_intern(&c->ids, mix(hash, tenant), next);
	struct part *part;

	if (at == next) {
		c->parts = grown(c->parts, at, &c->part_cap, sizeof(*c->parts));
		c->parts[at] = (struct part){.first = {NONE, NONE}};
	}
	part = &c->parts[at];
	part->count++;
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (families[f] && part->first[f] == NONE)
			part->first[f] = c->class_count;
	}
	c->portions =
	    grown(c->portions, c->portion_count, &c->portion_cap, sizeof(*c->portions));
	c->portions[c->portion_count++] = (struct portion){tenant, at};
}

void
cutters_add(struct cutters *c, const uint32_t *sets, size_t count,
    const bool families[FAMILY_COUNT])
{
	uint64_t nobodys;

	c->first =
	    grown(c->first, c->class_count + 1, &c->class_cap, sizeof(*c->first));
	c->first[c->class_count] = c->portion_count;
	for (size_t i = 0; i < count; i++) {
		uint64_t *hash = &c->hashes[c->of_set[sets[i]]];

		*hash = mix(*hash, sets[i]);
		c->narrow[sets[i]]++;
	}
	nobodys = c->hashes[0];
	c->hashes[0] = 0;
	join(c, 0, nobodys, families);
	for (size_t i = 0; i < count; i++) {
		const uint32_t tenant = c->of_set[sets[i]];

		if (c->hashes[tenant] != 0)
			join(c, tenant, mix(nobodys, c->hashes[tenant]), families);
		c->hashes[tenant] = 0;
	}
	c->first[++c->class_count] = c->portion_count;
}

struct cutters *
cutters_of_classes(const struct side *s)
{
	struct cutters *c = cutters_new(s);

	for (size_t i = 0; i < s->classes->count; i++) {
		const struct class_info *class = &s->classes->items[i];

		cutters_add(c, class->sets, class->set_count,
		    (const bool[]){class->uses[0] != 0, class->uses[1] != 0});
	}
	return c;
}

/* The part that is least cut by others says most of what is a class. Of equals it is each for
 * some classes. */
uint32_t
cutters_most(const struct cutters *c, uint32_t class, uint32_t but)
{
	const struct portion *all = &c->portions[c->first[class]];
	const uint32_t count = c->first[class + 1] - c->first[class];
	const struct portion *best = NULL;

	for (uint32_t i = 0; i < count; i++) {
		const struct portion *p = &all[(class + i) % count];

		if (p->tenant != 0 && p->tenant != but &&
		    (best == NULL ||
			c->parts[p->part].count < c->parts[best->part].count))
			best = p;
	}
	return best != NULL ? best->tenant : 0;
}

uint32_t
cutters_blame(const struct cutters *c, uint32_t class, unsigned family, uint32_t tenant,
    size_t cells)
{
	const struct portion *own = &c->portions[c->first[class]];
	const struct part *part;
	uint32_t other;

	for (uint32_t i = c->first[class]; i < c->first[class + 1]; i++) {
		if (c->portions[i].tenant == tenant)
			own = &c->portions[i];
	}
	part = &c->parts[own->part];
	if (part->first[family] == class || part->count < CUTTERS_PARTS * cells)
		return own->tenant;
	other = cutters_most(c, class, tenant);
	return other != 0 ? other : own->tenant;
}

bool
cutters_is_of(const struct cutters *c, uint32_t set, uint32_t tenant)
{
	return c->of_set[set] == tenant;
}

const struct policy *
cutters_policy(const struct cutters *c, const struct class_info *class, uint32_t tenant)
{
	uint32_t best = NONE;

	for (size_t i = 0; i < class->set_count; i++) {
		const uint32_t set = class->sets[i];

		if (cutters_is_of(c, set, tenant) &&
		    (best == NONE || c->narrow[set] < c->narrow[best]))
			best = set;
	}
	return best != NONE && c->s->sets[best]->rule != NULL
		   ? c->s->sets[best]->rule->policy
		   : NULL;
}
