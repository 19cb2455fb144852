#include "enforcer/steer/announce.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#define ARP_BYTES  28
#define ND_BYTES   32 /* the advertisement and an option of eight bytes */
#define IPV6_BYTES 40
#define ICMPV6     58

/* All nodes of the link: the address, and where it is on Ethernet (RFC 2464). */
static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t everyone_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

int
announce_open(int *out_fd, struct err *err)
{
	/* Protocol 0: receives nothing. */
	*out_fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return *out_fd < 0 ? err_sys(err, "packet socket") : 0;
}

static size_t
arp_packet(const struct announce_link *link, const struct ip_addr *addr, uint8_t *out)
{
	/* Ethernet, IPv4, their lengths, a request. */
	static const uint8_t head[] = {0, 1, 0x08, 0, 6, 4, 0, 1};

	memset(out, 0, ARP_BYTES);
	memcpy(out, head, sizeof(head));
	memcpy(out + 8, link->mac, 6);
	memcpy(out + 14, addr->bytes, 4);
	memcpy(out + 24, addr->bytes, 4); /* who asks is whom is asked for */
	return ARP_BYTES;
}

static uint32_t
sum_words(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	return sum;
}

static size_t
advertisement(
    const struct announce_link *link, const struct ip_addr *addr, uint8_t *out)
{
	uint8_t *nd = out + IPV6_BYTES;
	uint32_t sum;

	memset(out, 0, IPV6_BYTES + ND_BYTES);
	out[0] = 0x60;
	out[5] = ND_BYTES;
	out[6] = ICMPV6;
	out[7] = 255; /* nobody passed it on */
	memcpy(out + 8, addr->bytes, 16);
	memcpy(out + 24, all_nodes, 16);
	nd[0] = 136;
	nd[4] = 0x20; /* overrides what they know */
	memcpy(nd + 8, addr->bytes, 16);
	nd[24] = 2; /* target link-layer address */
	nd[25] = 1;
	memcpy(nd + 26, link->mac, 6);
	sum = sum_words(ND_BYTES + ICMPV6, out + 8, 32);
	sum = sum_words(sum, nd, ND_BYTES);
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	nd[2] = (uint8_t)(~sum >> 8);
	nd[3] = (uint8_t)~sum;
	return IPV6_BYTES + ND_BYTES;
}

size_t
announce_packet(const struct announce_link *link, const struct ip_addr *addr,
    uint8_t out[ANNOUNCE_BYTES_MAX])
{
	return addr->family == IP_V4 ? arp_packet(link, addr, out)
				     : advertisement(link, addr, out);
}

void
announce(int fd, const struct announce_link *link, const struct ip_addr *addr)
{
	bool four = addr->family == IP_V4;
	struct sockaddr_ll to = {
	    .sll_family = AF_PACKET,
	    .sll_protocol = htons(four ? ETH_P_ARP : ETH_P_IPV6),
	    .sll_ifindex = (int)link->interface,
	    .sll_halen = 6,
	};
	uint8_t packet[ANNOUNCE_BYTES_MAX];
	size_t len;

	if (!link->has_mac || fd < 0)
		return;
	memcpy(to.sll_addr, four ? everyone_mac : all_nodes_mac, 6);
	len = announce_packet(link, addr, packet);
	/* An interface that is down, or has no neighbours: then nobody needs to know. */
	(void)sendto(fd, packet, len, 0, (const struct sockaddr *)&to, sizeof(to));
}
