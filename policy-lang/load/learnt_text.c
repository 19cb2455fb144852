#include "policy-lang/load/learnt_text.h"

#include <stdlib.h>

#include "common/limits.h"
#include "policy-lang/load/load_names.h"

#define WORDS_MAX 4

/* ---- reading ---- */

/* How many words there are; one more than fit says that there are too many. */
static size_t
split_words(struct str line, struct str words[WORDS_MAX])
{
	size_t count = 0;

	while (line.ptr != NULL) {
		struct str word = str_split(&line, ' ');

		if (word.len == 0)
			continue;
		if (count == WORDS_MAX)
			return WORDS_MAX + 1;
		words[count++] = word;
	}
	return count;
}

static bool
read_address(struct str text, struct ip_addr *out, struct buf *why)
{
	if (ip_parse(text, out))
		return true;
	buf_printf(why, "\"%.*s\" is no address", STR_ARG(text));
	return false;
}

static bool
add_resolver(struct learnt *table, struct str text, struct buf *why)
{
	size_t count;
	const struct ip_addr *before = learnt_resolvers(table, &count);
	struct ip_addr *all = xcalloc(count + 1, sizeof(*all));
	bool ok = read_address(text, &all[count], why);

	for (size_t i = 0; i < count; i++)
		all[i] = before[i];
	if (ok && count == LIMIT_DNS_RESOLVERS) {
		buf_printf(why, "more than %u resolvers", LIMIT_DNS_RESOLVERS);
		ok = false;
	}
	if (ok)
		learnt_set_resolvers(table, all, count + 1);
	free(all);
	return ok;
}

/* "/acme" is acme. False: it is no tenant. */
static bool
read_tenant(struct str text, struct str *out, struct buf *why)
{
	*out = str_slice(text, str_starts(text, STR("/")) ? 1 : 0, text.len);
	if (str_starts(text, STR("/")) && str_find(*out, '/', 0) == out->len)
		return true;
	buf_printf(why, "\"%.*s\" is no tenant, such as /acme, or / for the root's own",
	    STR_ARG(text));
	return false;
}

static bool
add_name(struct learnt *table, const struct str *words, uint64_t ttl_s, uint64_t now_ms,
    struct buf *why)
{
	struct ip_addr addr;
	struct str tenant;

	if (!read_tenant(words[0], &tenant, why) || !read_address(words[2], &addr, why))
		return false;
	if (!name_is_domain(words[1]) || str_starts(words[1], STR("*."))) {
		buf_printf(why, "\"%.*s\" is no domain name", STR_ARG(words[1]));
		return false;
	}
	if (learnt_add(table, tenant, words[1], &addr, (uint32_t)ttl_s, now_ms) !=
	    LEARNT_FULL)
		return true;
	buf_printf(why, "/%.*s knows as much as it may: %u names of addresses",
	    STR_ARG(tenant), LIMIT_DNS_LEARNT);
	return false;
}

bool
learnt_read_line(
    struct learnt *table, struct str line, uint64_t now_ms, struct buf *why)
{
	struct str words[WORDS_MAX];
	size_t count = split_words(line, words);
	uint64_t ttl_s = LIMIT_DNS_TTL_FLOOR_S;

	if (count == 0 || str_starts(line, STR("#")))
		return true;
	if (count == 2 && str_is(words[0], "resolver"))
		return add_resolver(table, words[1], why);
	if (count < 3 || count > WORDS_MAX) {
		buf_add_cstr(why,
		    "a line is TENANT NAME ADDRESS [SECONDS], or resolver ADDRESS");
		return false;
	}
	if (count == WORDS_MAX && !str_to_u64(words[3], UINT32_MAX, &ttl_s)) {
		buf_printf(why, "\"%.*s\" is no number of seconds", STR_ARG(words[3]));
		return false;
	}
	return add_name(table, words, ttl_s, now_ms, why);
}

/* ---- printing ---- */

struct printed {
	const struct learnt_entry **entries;
	size_t count;
};

static void
collect(void *ctx, const struct learnt_entry *entry)
{
	struct printed *p = ctx;

	p->entries[p->count++] = entry;
}

static int
entry_cmp(const void *a, const void *b)
{
	const struct learnt_entry *x = *(const struct learnt_entry *const *)a;
	const struct learnt_entry *y = *(const struct learnt_entry *const *)b;
	int order = str_cmp(x->tenant, y->tenant);

	if (order == 0)
		order = str_cmp(x->name, y->name);
	if (order == 0)
		order = (int)x->addr.family - (int)y->addr.family;
	return order != 0
		   ? order
		   : memcmp(x->addr.bytes, y->addr.bytes, ip_bytes(x->addr.family));
}

/* All of them, for the caller to free. */
static struct printed
list_all(const struct learnt *table)
{
	struct printed p = {.entries = xcalloc(learnt_count(table),
				sizeof(const struct learnt_entry *))};

	learnt_each(table, collect, &p);
	if (p.count > 1)
		qsort(
		    p.entries, p.count, sizeof(const struct learnt_entry *), entry_cmp);
	return p;
}

static unsigned long long
seconds_left(const struct learnt_entry *e, uint64_t now_ms)
{
	return e->until_ms > now_ms ? (e->until_ms - now_ms + 999) / 1000 : 0;
}

void
learnt_print(struct buf *out, const struct learnt *table, uint64_t now_ms)
{
	struct printed p = list_all(table);
	size_t resolver_count;
	const struct ip_addr *resolvers = learnt_resolvers(table, &resolver_count);
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < resolver_count; i++)
		buf_printf(out, "resolver %s\n", ip_format(&resolvers[i], text));
	for (size_t i = 0; i < p.count; i++) {
		const struct learnt_entry *e = p.entries[i];

		buf_printf(out, "/%.*s %.*s %s %llu\n", STR_ARG(e->tenant),
		    STR_ARG(e->name), ip_format(&e->addr, text),
		    seconds_left(e, now_ms));
	}
	free(p.entries);
}

static void
print_entry_json(struct buf *out, const struct learnt_entry *e, uint64_t now_ms)
{
	struct buf tenant = {0};
	char text[IP_TEXT_BYTES];

	buf_printf(&tenant, "/%.*s", STR_ARG(e->tenant));
	buf_add_cstr(out, "{\"tenant\":");
	buf_add_json(out, buf_str(&tenant));
	buf_add_cstr(out, ",\"name\":");
	buf_add_json(out, e->name);
	buf_printf(out, ",\"address\":\"%s\",\"seconds\":%llu}",
	    ip_format(&e->addr, text), seconds_left(e, now_ms));
	buf_free(&tenant);
}

void
learnt_print_json(struct buf *out, const struct learnt *table, uint64_t now_ms)
{
	struct printed p = list_all(table);
	size_t resolver_count;
	const struct ip_addr *resolvers = learnt_resolvers(table, &resolver_count);
	char text[IP_TEXT_BYTES];

	buf_add_cstr(out, "{\"resolvers\":[");
	for (size_t i = 0; i < resolver_count; i++)
		buf_printf(
		    out, "%s\"%s\"", i != 0 ? "," : "", ip_format(&resolvers[i], text));
	buf_add_cstr(out, "],\"names\":[");
	for (size_t i = 0; i < p.count; i++) {
		buf_add_cstr(out, i != 0 ? "," : "");
		print_entry_json(out, p.entries[i], now_ms);
	}
	buf_add_cstr(out, "]}\n");
	free(p.entries);
}
