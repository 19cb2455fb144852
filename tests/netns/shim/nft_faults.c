/*
 * Loaded into the daemon (LD_PRELOAD): transactions with nf_tables that fail as the kernel
 * lets them fail. How many are to, the test writes into a page that it shares with every
 * process of the daemon; the file is named by RINGFENCE_NFT_FAULTS. And kernels that lack
 * something: what RINGFENCE_NFT_LACKS names, such as "nat,masq", the kernel is asked for by a
 * name that it does not know.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

/* Each is a number of times. */
struct faults {
	uint32_t send_fails;   /* the transaction is not even sent: ENOBUFS */
	uint32_t refused;      /* its last message is one that the kernel refuses */
	uint32_t answers_lost; /* it is committed, and the answer does not fit */
	uint32_t dies_before,
	    dies_after;   /* its sender ends, before or after it is sent */
	uint32_t done[5]; /* how often each has happened */
	uint32_t held; /* n: after n - 1 transactions nothing is sent until it is 0 */
};

static struct faults *faults;
static int lose_fd = -1;

static __attribute__((constructor)) void
map_faults(void)
{
	const char *path = getenv("RINGFENCE_NFT_FAULTS");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		faults = map;
	(void)close(fd);
}

/* Takes one of those that are left. */
static int
take(uint32_t *left, unsigned kind)
{
	uint32_t n = __atomic_load_n(left, __ATOMIC_SEQ_CST);

	while (n != 0) {
		if (!__atomic_compare_exchange_n(
			left, &n, n - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		(void)__atomic_add_fetch(&faults->done[kind], 1, __ATOMIC_SEQ_CST);
		return 1;
	}
	return 0;
}

/* The name is an attribute: its length, its type, and NUL behind it. */
static void
misname(uint8_t *data, size_t len, const char *name, size_t name_len)
{
	for (size_t at = 4; at + name_len < len; at++) {
		if (memcmp(data + at, name, name_len) == 0 &&
		    data[at + name_len] == '\0' && data[at - 4] == name_len + 5 &&
		    data[at - 3] == 0)
			data[at] = '?';
	}
}

/* NULL: nothing is lacking. Else a copy, to be freed. */
static uint8_t *
without_lacks(const void *data, size_t len)
{
	const char *lacks = getenv("RINGFENCE_NFT_LACKS");
	uint8_t *copy;

	if (lacks == NULL)
		return NULL;
	copy = malloc(len);
	if (copy == NULL)
		abort();
	memcpy(copy, data, len);
	while (*lacks != '\0') {
		size_t name_len = strcspn(lacks, ",");

		misname(copy, len, lacks, name_len);
		lacks += name_len + (lacks[name_len] == ',');
	}
	return copy;
}

static void
wait_while_held(void)
{
	static const struct timespec tick = {.tv_nsec = 5000000};
	uint32_t n = __atomic_load_n(&faults->held, __ATOMIC_SEQ_CST);

	while (n != 0) {
		if (n == 1) {
			(void)nanosleep(&tick, NULL);
			n = __atomic_load_n(&faults->held, __ATOMIC_SEQ_CST);
		} else if (__atomic_compare_exchange_n(&faults->held, &n, n - 1, 0,
			       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			return;
		}
	}
}

static int
is_transaction(const void *data, size_t len)
{
	struct nlmsghdr header;

	if (len < sizeof(header))
		return 0;
	memcpy(&header, data, sizeof(header));
	return header.nlmsg_type == NFNL_MSG_BATCH_BEGIN;
}

/* The message before NFNL_MSG_BATCH_END becomes one of a type that there is not. */
static void
spoil(uint8_t *data, size_t len)
{
	struct nlmsghdr header;
	size_t at = 0, last = 0;

	while (at + sizeof(header) <= len) {
		memcpy(&header, data + at, sizeof(header));
		if (header.nlmsg_type == NFNL_MSG_BATCH_END || header.nlmsg_len == 0)
			break;
		last = at;
		at += (header.nlmsg_len + 3u) & ~3u;
	}
	memcpy(&header, data + last, sizeof(header));
	header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | 0xfe;
	memcpy(data + last, &header, sizeof(header));
}

ssize_t
send(int fd, const void *data, size_t len, int flags)
{
	ssize_t (*real)(int, const void *, size_t, int) =
	    (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
	ssize_t n;

	if (!is_transaction(data, len))
		return real(fd, data, len, flags);
	if (faults == NULL) {
		uint8_t *copy = without_lacks(data, len);

		n = real(fd, copy != NULL ? copy : data, len, flags);
		free(copy);
		return n;
	}
	wait_while_held();
	if (take(&faults->send_fails, 0)) {
		errno = ENOBUFS;
		return -1;
	}
	if (take(&faults->dies_before, 3))
		abort();
	if (take(&faults->refused, 1)) {
		uint8_t *copy = malloc(len);

		if (copy == NULL)
			abort();
		memcpy(copy, data, len);
		spoil(copy, len);
		n = real(fd, copy, len, flags);
		free(copy);
		return n;
	}
	n = real(fd, data, len, flags);
	if (take(&faults->dies_after, 4))
		abort();
	if (take(&faults->answers_lost, 2))
		lose_fd = fd;
	return n;
}

ssize_t
recv(int fd, void *data, size_t len, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) =
	    (ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");

	if (fd != lose_fd)
		return real(fd, data, len, flags);
	lose_fd = -1;
	while (real(fd, data, len, MSG_DONTWAIT) >= 0)
		continue; /* gone */
	errno = ENOBUFS;
	return -1;
}
