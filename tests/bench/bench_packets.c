/*
 * Sends UDP packets as fast as it can, and prints how long one took, with all that happens to it on
 * its way through the namespaces of one machine:
 *
 *     bench-packets SOURCE DESTINATION FIRST-PORT PORTS COUNT [SOURCE-PORT]
 *
 * Destination ports are PORTS many, in turn. Source ports are 1024 and up, one after the other,
 * so that each packet opens a flow; or always SOURCE-PORT. Both addresses are IPv4 or IPv6.
 * Prints one JSON object: `ns` of the clock over all packets; `cpu_ns` of the processor in the
 * cheapest burst of them, which whatever else the machine does disturbs least. Needs CAP_NET_RAW.
 */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/str.h"

#define PAYLOAD     18
#define FIRST_PORT  1024
#define SOURCE_MOST 60000
#define BURST       1000

/* Of packets that are sent. */
struct ports {
	uint64_t source; /* 0: each time another */
	uint64_t first, count;
};

struct datagram {
	struct udphdr udp; /* without a checksum, which conntrack lets pass */
	char payload[PAYLOAD];
};

/* As it goes out, and where to. */
struct packet {
	union {
		struct {
			struct iphdr ip;
			struct datagram body;
		} v4;
		struct {
			struct ip6_hdr ip;
			struct datagram body;
		} v6;
	} bytes;
	size_t len;
	struct udphdr *udp; /* of them */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
	socklen_t to_len;
};

/* False if the addresses are not of one family. */
static bool
make_packet(struct packet *p, const char *from, const char *to)
{
	struct iphdr *v4 = &p->bytes.v4.ip;
	struct ip6_hdr *v6 = &p->bytes.v6.ip;
	const size_t len = sizeof(struct datagram);

	memset(p, 0, sizeof(*p));
	if (inet_pton(AF_INET, from, &v4->saddr) == 1 &&
	    inet_pton(AF_INET, to, &v4->daddr) == 1) {
		p->len = sizeof(p->bytes.v4);
		p->udp = &p->bytes.v4.body.udp;
		v4->version = 4;
		v4->ihl = 5;
		v4->tot_len = htons((uint16_t)p->len);
		v4->ttl = 64;
		v4->protocol = IPPROTO_UDP;
		p->to.v4 = (struct sockaddr_in){
		    .sin_family = AF_INET, .sin_addr.s_addr = v4->daddr};
		p->to_len = sizeof(p->to.v4);
	} else if (inet_pton(AF_INET6, from, &v6->ip6_src) == 1 &&
		   inet_pton(AF_INET6, to, &v6->ip6_dst) == 1) {
		p->len = sizeof(p->bytes.v6);
		p->udp = &p->bytes.v6.body.udp;
		v6->ip6_vfc = 6 << 4;
		v6->ip6_plen = htons((uint16_t)len);
		v6->ip6_hlim = 64;
		v6->ip6_nxt = IPPROTO_UDP;
		p->to.v6 = (struct sockaddr_in6){
		    .sin6_family = AF_INET6, .sin6_addr = v6->ip6_dst};
		p->to_len = sizeof(p->to.v6);
	} else {
		return false;
	}
	p->udp->len = htons((uint16_t)len);
	return true;
}

/* The packets from `at` on, `count` of them. */
static bool
send_burst(
    int fd, struct packet *p, const struct ports *ports, uint64_t at, uint64_t count)
{
	for (uint64_t i = at; i < at + count; i++) {
		const uint64_t next = FIRST_PORT + i % SOURCE_MOST;

		p->udp->source =
		    htons((uint16_t)(ports->source != 0 ? ports->source : next));
		p->udp->dest = htons((uint16_t)(ports->first + i % ports->count));
		if (sendto(fd, &p->bytes, p->len, 0, &p->to.any, p->to_len) !=
		    (ssize_t)p->len)
			return false;
	}
	return true;
}

/* What this process took, and what was done for its packets in its time. */
static double
processor_ns(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
		return 0;
	return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* Nanoseconds of the processor a packet, in the cheapest burst; negative: not all were sent. */
static double
send_all(int fd, struct packet *p, const struct ports *ports, uint64_t count)
{
	const uint64_t burst = count < BURST ? count : BURST;
	double least = HUGE_VAL;

	for (uint64_t at = 0; at + burst <= count; at += burst) {
		double took = processor_ns();

		if (!send_burst(fd, p, ports, at, burst))
			return -1;
		took = (processor_ns() - took) / (double)burst;
		least = took < least ? took : least;
	}
	if (!send_burst(fd, p, ports, count - count % burst, count % burst))
		return -1;
	return least;
}

int
main(int argc, char **argv)
{
	struct packet p;
	struct ports ports = {.source = 0};
	uint64_t count;
	monotime_t start;
	double cpu;
	int fd;

	if (argc < 6 || argc > 7 || !make_packet(&p, argv[1], argv[2]) ||
	    !str_to_u64(str_from(argv[3]), 65535, &ports.first) ||
	    !str_to_u64(str_from(argv[4]), 65535 - ports.first, &ports.count) ||
	    ports.count == 0 || !str_to_u64(str_from(argv[5]), SOURCE_MOST, &count) ||
	    count == 0 ||
	    (argc == 7 && !str_to_u64(str_from(argv[6]), 65535, &ports.source))) {
		(void)fprintf(stderr,
		    "usage: bench-packets SOURCE DESTINATION FIRST-PORT PORTS COUNT "
		    "[SOURCE-PORT]\n");
		return 2;
	}
	fd = socket(p.to.any.sa_family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0) {
		perror("bench-packets");
		return 1;
	}
	start = monotime_now();
	cpu = send_all(fd, &p, &ports, count);
	if (cpu < 0) {
		perror("bench-packets");
		return 1;
	}
	printf("{\"packets\": %llu, \"ns\": %.1f, \"cpu_ns\": %.1f}\n",
	    (unsigned long long)count,
	    (double)monotime_since(start, monotime_now()) / (double)count, cpu);
	(void)close(fd); /* all is sent */
	return 0;
}
