#include "tests/property/names.h"

#define PICK(dice, list) (list)[dice_roll((dice), (unsigned)ARRAY_LEN(list))]

static const char *const patterns[] = {"api.cards.example", "*.cards.example",
    "cdn.other.example", "*.other.example", "evil.test"};
static const char *const names[] = {"api.cards.example", "cards.example",
    "a.b.cards.example", "CDN.other.example.", "evil.test"};
static const char *const tenants[] = {"", "a", "e"};

const char *const names_addresses[NAMES_ADDRESSES] = {"192.0.2.7", "192.0.2.8",
    "192.0.3.1", "8.8.8.8", "198.51.100.1", "198.51.100.2", "10.1.0.3", "10.1.0.77",
    "10.9.0.1", "2001:db8::7", "2001:db8::8", "fd00:1::3", "fd00:1::77", "2a00::1"};

const char *
names_pattern(struct dice *dice)
{
	return PICK(dice, patterns);
}

static struct ip_addr
random_address(struct dice *dice)
{
	struct ip_addr addr;

	if (!ip_parse(str_from(PICK(dice, names_addresses)), &addr))
		base_die("address");
	return addr;
}

bool
names_learn(
    struct learnt *table, struct dice *dice, uint64_t now_ms, struct ip_addr *out_addr)
{
	struct str tenant = str_from(PICK(dice, tenants));
	struct str name = str_from(PICK(dice, names));

	*out_addr = random_address(dice);
	return learnt_add(table, tenant, name, out_addr, 60 + dice_roll(dice, 600),
		   now_ms) == LEARNT_NEW;
}

void
names_fill(struct learnt *table, struct dice *dice)
{
	unsigned count = dice_roll(dice, 30);
	struct ip_addr resolver = random_address(dice), addr;

	while (count > 0)
		count -= names_learn(table, dice, 0, &addr) ? 1 : count;
	if (dice_roll(dice, 3) == 0)
		learnt_set_resolvers(table, &resolver, 1);
}
