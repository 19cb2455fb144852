#include "authn/directory/directory_srv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/nameser.h>
#include <resolv.h>

#include "common/secret.h"

#define ANSWER_BYTES 16384
#define SRV_FIXED    6 /* priority, weight, port */
#define LOOKUP_S     2 /* for one name server */

static uint16_t resolver_port; /* network order; tests */

void
srv_use_resolver(uint16_t port)
{
	resolver_port = htons(port);
}

static bool
in_domain(const char *host, struct str domain)
{
	const size_t len = strlen(host);

	return len > domain.len && host[len - domain.len - 1] == '.' &&
	       strncasecmp(host + len - domain.len, domain.ptr, domain.len) == 0;
}

/* A name that goes into a URL. */
static bool
host_ok(const char *host)
{
	return host[0] != '\0' &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789.-_") == strlen(host);
}

static bool
read_target(ns_msg *m, const ns_rr *rr, struct srv_target *out)
{
	const u_char *data = ns_rr_rdata(*rr);
	int n;

	if (ns_rr_type(*rr) != ns_t_srv || ns_rr_class(*rr) != ns_c_in ||
	    ns_rr_rdlen(*rr) <= SRV_FIXED)
		return false;
	out->priority = (uint16_t)ns_get16(data);
	out->weight = (uint16_t)ns_get16(data + 2);
	out->port = (uint16_t)ns_get16(data + 4);
	n = dn_expand(ns_msg_base(*m), ns_msg_end(*m), data + SRV_FIXED, out->host,
	    sizeof(out->host));
	return n > 0 && SRV_FIXED + n == ns_rr_rdlen(*rr) && out->port != 0 &&
	       host_ok(out->host);
}

static int
compare_priority(const void *a, const void *b)
{
	const struct srv_target *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	/* RFC 2782: those of weight 0 come first, so that they are rarely chosen. */
	return x->weight < y->weight ? -1 : x->weight > y->weight;
}

/* RFC 2782: draw one of [from, end), which have one priority, to the front. */
static void
draw(struct srv_target *t, size_t from, size_t end, uint32_t random)
{
	struct srv_target chosen;
	uint64_t sum = 0, mark;
	size_t i;

	for (i = from; i < end; i++)
		sum += t[i].weight;
	mark = random % (sum + 1);
	sum = 0;
	for (i = from; i + 1 < end; i++) {
		sum += t[i].weight;
		if (sum >= mark)
			break;
	}
	chosen = t[i];
	memmove(&t[from + 1], &t[from], (i - from) * sizeof(*t));
	t[from] = chosen;
}

static void
put_in_order(struct srv_answer *a, const uint32_t *random)
{
	qsort(a->targets, a->count, sizeof(*a->targets), compare_priority);
	for (size_t i = 0; i < a->count; i++) {
		size_t end = i + 1;

		while (end < a->count &&
		       a->targets[end].priority == a->targets[i].priority)
			end++;
		draw(a->targets, i, end, random[i]);
	}
}

int
srv_parse(const uint8_t *message, size_t len, struct str domain,
    const uint32_t random[SRV_TARGETS_MAX], struct srv_answer *out, struct err *err)
{
	ns_msg m;

	memset(out, 0, sizeof(*out));
	out->ttl_s = UINT32_MAX;
	if (len > INT32_MAX || ns_initparse(message, (int)len, &m) != 0)
		return err_set(err, ERR_INVALID, "a malformed answer from DNS");
	for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
		struct srv_target *t = &out->targets[out->count];
		ns_rr rr;

		if (ns_parserr(&m, ns_s_an, i, &rr) != 0)
			return err_set(err, ERR_INVALID, "a malformed answer from DNS");
		if (!read_target(&m, &rr, t) || !in_domain(t->host, domain))
			continue;
		if (ns_rr_ttl(rr) < out->ttl_s)
			out->ttl_s = ns_rr_ttl(rr);
		if (++out->count == SRV_TARGETS_MAX)
			break;
	}
	put_in_order(out, random);
	return out->count != 0
		   ? 0
		   : err_set(err, ERR_NOT_FOUND, "DNS names no server within %.*s",
			 STR_ARG(domain));
}

int
srv_lookup(struct str domain, struct srv_answer *out, struct err *err)
{
	uint32_t random[SRV_TARGETS_MAX];
	struct __res_state state;
	uint8_t *answer;
	char name[300];
	int len, rc;

	memset(&state, 0, sizeof(state));
	if (domain.len > 253 || res_ninit(&state) != 0)
		return err_set(err, ERR_INVALID, "no lookup of %.*s", STR_ARG(domain));
	state.retrans = LOOKUP_S; /* a login waits for this */
	state.retry = 1;
	if (resolver_port != 0) {
		state.nscount = 1;
		state.nsaddr_list[0] = (struct sockaddr_in){.sin_family = AF_INET,
		    .sin_port = resolver_port,
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	(void)snprintf(
	    name, sizeof(name), "_ldap._tcp.%.*s", STR_ARG(domain)); /* fits */
	answer = xmalloc(ANSWER_BYTES);
	secret_random(random, sizeof(random));
	len = res_nquery(&state, name, ns_c_in, ns_t_srv, answer, ANSWER_BYTES);
	if (len > ANSWER_BYTES)
		len = ANSWER_BYTES;
	rc = len > 0 ? srv_parse(answer, (size_t)len, domain, random, out, err)
		     : err_set(err, ERR_UNAVAILABLE, "DNS has no answer for %s", name);
	res_nclose(&state);
	free(answer);
	return rc;
}
