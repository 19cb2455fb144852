/*
 * Sends UDP packets as fast as it can, and prints how long one took, with all that happens to it on
 * its way through the namespaces of one machine:
 *
 *     bench-packets SOURCE DESTINATION FIRST-PORT PORTS COUNT [SOURCE-PORT]
 *
 * Destination ports are PORTS many, in turn. Source ports are 1024 and up, one after the other,
 * so that each packet opens a flow; or always SOURCE-PORT. Prints one JSON object. Needs
 * CAP_NET_RAW.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
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

/* Of packets that are sent. */
struct ports {
	uint64_t source; /* 0: each time another */
	uint64_t first, count;
};

struct packet {
	struct iphdr ip;
	struct udphdr udp;
	char payload[PAYLOAD];
};

static bool
send_all(int fd, struct packet *p, const struct ports *ports, uint64_t count)
{
	const struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_addr.s_addr = p->ip.daddr};

	for (uint64_t i = 0; i < count; i++) {
		const uint64_t next = FIRST_PORT + i % SOURCE_MOST;

		p->udp.source =
		    htons((uint16_t)(ports->source != 0 ? ports->source : next));
		p->udp.dest = htons((uint16_t)(ports->first + i % ports->count));
		if (sendto(fd, p, sizeof(*p), 0, (const struct sockaddr *)&to,
			sizeof(to)) != (ssize_t)sizeof(*p))
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

int
main(int argc, char **argv)
{
	struct packet p = {
	    .ip = {.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(p)),
		.ttl = 64,
		.protocol = IPPROTO_UDP},
	    .udp = {.len = htons(sizeof(p.udp) + PAYLOAD)},
	};
	struct ports ports = {.source = 0};
	uint64_t count;
	monotime_t start;
	double cpu;
	int fd;

	if (argc < 6 || argc > 7 || inet_pton(AF_INET, argv[1], &p.ip.saddr) != 1 ||
	    inet_pton(AF_INET, argv[2], &p.ip.daddr) != 1 ||
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
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0) {
		perror("bench-packets");
		return 1;
	}
	cpu = processor_ns();
	start = monotime_now();
	if (!send_all(fd, &p, &ports, count)) {
		perror("bench-packets");
		return 1;
	}
	printf("{\"packets\": %llu, \"ns\": %.1f, \"cpu_ns\": %.1f}\n",
	    (unsigned long long)count,
	    (double)monotime_since(start, monotime_now()) / (double)count,
	    (processor_ns() - cpu) / (double)count);
	(void)close(fd); /* all is sent */
	return 0;
}
