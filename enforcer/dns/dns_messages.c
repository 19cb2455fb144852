#include "enforcer/dns/dns_messages.h"

#include <string.h>

const struct dns_count_words dns_count_words[DNS_COUNTS] = {
    [DNS_COUNT_QUERIES] = {"queries", "Queries of workloads that the node's resolver "
				      "took."},
    [DNS_COUNT_ANSWERED] = {"answered", "Of these, that a resolver answered."},
    [DNS_COUNT_HELD] = {"held", "Answers that waited for the kernel to know what they "
				"say."},
    [DNS_COUNT_LATE] = {"late", "Of these, that were not let go in time."},
    [DNS_COUNT_UNHEARD] = {"unheard", "Answers with addresses that were not given, "
				      "because the engine says nothing."},
    [DNS_COUNT_FAILED] = {"failed", "Queries that no resolver answered in time."},
    [DNS_COUNT_OVER] = {"over", "Queries and connections beyond their tenant's share."},
    [DNS_COUNT_STRANGERS] = {"strangers", "Queries and connections from outside the "
					  "workload networks."},
    [DNS_COUNT_MALFORMED] = {"malformed", "Messages of workloads that are no query."},
    [DNS_COUNT_FORGED] = {"forged", "Messages to the node's resolver that do not fit "
				    "what it asked."},
    [DNS_COUNT_WAITING] = {"waiting", "Queries under way."},
};

void
dns_lesson_encode(struct buf *out, uint32_t ticket, const struct ip_addr *client,
    const struct dns_answer *answer)
{
	proc_put_u32(out, ticket);
	proc_put_ip(out, client);
	proc_put_u16(out, (uint16_t)answer->type);
	proc_put_str(out, str_from(answer->name));
	proc_put_u32(out, (uint32_t)answer->address_count);
	for (size_t i = 0; i < answer->address_count; i++) {
		proc_put_ip(out, &answer->addresses[i].addr);
		proc_put_u32(out, answer->addresses[i].ttl_s);
	}
}

bool
dns_lesson_decode(struct proc_reader *r, struct dns_lesson *out)
{
	struct dns_answer *a = &out->answer;
	struct str name;
	uint32_t count;
	uint16_t type;

	*out = (struct dns_lesson){.ticket = proc_get_u32(r)};
	out->client = proc_get_ip(r);
	type = proc_get_u16(r);
	name = proc_get_str(r);
	count = proc_get_u32(r);
	if (!r->ok || !dns_type_teaches(type) || name.len == 0 ||
	    name.len >= sizeof(a->name) || memchr(name.ptr, 0, name.len) != NULL ||
	    count > LIMIT_DNS_ADDRESSES)
		return false;
	a->type = (enum dns_type)type;
	memcpy(a->name, name.ptr, name.len);
	a->address_count = count;
	for (uint32_t i = 0; i < count; i++) {
		a->addresses[i].addr = proc_get_ip(r);
		a->addresses[i].ttl_s = proc_get_u32(r);
	}
	return proc_reader_done(r);
}

void
dns_counts_encode(struct buf *out, const uint64_t counts[DNS_COUNTS])
{
	for (size_t i = 0; i < DNS_COUNTS; i++)
		proc_put_u64(out, counts[i]);
}

bool
dns_counts_decode(struct proc_reader *r, uint64_t out[DNS_COUNTS])
{
	for (size_t i = 0; i < DNS_COUNTS; i++)
		out[i] = proc_get_u64(r);
	return proc_reader_done(r);
}
